//! Serving states that a power cut may leave: the mount whose files they are, and the process that has it.
//!
//! The process that asks for states opens their files too. So they are served by another one, which is asked by
//! lines through a socket: `serve NAME CONTENT`, `replace NAME CONTENT`, `read NAME` and `withdraw NAME`. It answers
//! `ok RESULT` or `error TEXT`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded, select};
use parking_lot::Mutex;

use super::launch::READY;
use super::mount_point::{MountError, check_mount_point};
use super::sandbox;
use super::serve::{ServeError, remove_run_folder, stop_signals};
use super::start::{Options, Server};
use crate::crash::{BaseImage, Content, Sectors, Shelf, Source, StateImage};
use crate::disk::Disks;
use crate::fuse::Access;
use crate::os::log;
use crate::os::sys;

/// A mount whose files are states, until [`end`](Self::end). The process that has it must not open them.
pub struct StateServer {
    mount_point: PathBuf,
    source: Arc<Source>,
    disks: Arc<Disks>,
    /// By their names. One that somebody still had open when it was withdrawn is among them.
    served: Mutex<HashMap<String, Arc<StateImage>>>,
    server: Server,
}

impl StateServer {
    /// Mounts at `mount_point`, an empty folder with an absolute path.
    pub fn start(mount_point: &Path, source: Arc<Source>) -> Result<Self, MountError> {
        let failed = |cause| MountError::Io {
            path: mount_point.to_owned(),
            cause,
        };
        let disks = Arc::new(Disks::start().map_err(failed)?);
        let options = Options {
            mount_point: mount_point.to_owned(),
            access: Access::default(),
        };
        Ok(Self {
            mount_point: mount_point.to_owned(),
            source,
            server: Server::start(&options, Arc::clone(&disks))?,
            served: Mutex::default(),
            disks,
        })
    }

    /// Disconnects when somebody else has unmounted it.
    pub fn unmounted(&self) -> &Receiver<()> {
        self.server.unmounted()
    }

    /// Unmounts.
    pub fn end(self) {
        let _ = self.server.end();
    }

    /// Answers what is asked through `socket`, until its other end is closed.
    fn answer(&self, socket: &UnixStream) -> io::Result<()> {
        let mut answers = socket;
        for line in BufReader::new(socket).lines() {
            let answer = match self.answer_to(&line?) {
                Ok(result) => format!("ok {result}\n"),
                Err(error) => format!("error {error}\n"),
            };
            answers.write_all(answer.as_bytes())?;
        }
        Ok(())
    }

    fn answer_to(&self, line: &str) -> io::Result<String> {
        let bad = || io::Error::other("this is not a request for a state");
        let (word, rest) = line.split_once(' ').ok_or_else(bad)?;
        match word {
            "serve" => {
                let (name, content) = rest.split_once(' ').ok_or_else(bad)?;
                let content = Content::parse(content).ok_or_else(bad)?;
                let path = self.serve(name, &content)?;
                Ok(path.display().to_string())
            }
            "replace" => {
                let (name, content) = rest.split_once(' ').ok_or_else(bad)?;
                let content = Content::parse(content).ok_or_else(bad)?;
                self.image(name)?.replace(content);
                Ok(String::new())
            }
            "read" => Ok(self.image(rest)?.read_sectors().to_string()),
            "withdraw" => self.withdraw(Path::new(rest)).map(|read| read.to_string()),
            _ => Err(bad()),
        }
    }
}

impl StateServer {
    /// The state that is served as `name`.
    fn image(&self, name: &str) -> io::Result<Arc<StateImage>> {
        let image = self.served.lock().get(name).cloned();
        image.ok_or_else(|| io::Error::other(format!("no state `{name}` is served")))
    }
}

impl Shelf for StateServer {
    fn serve(&self, name: &str, content: &Content) -> io::Result<PathBuf> {
        let mut served = self.served.lock();
        let names = (2..).map(|n| format!("{name}~{n}"));
        let mut names = std::iter::once(name.to_owned()).chain(names);
        let name = names.find(|name| !served.contains_key(name));
        let name = name.unwrap_or_default();
        let image = Arc::new(StateImage::new(&self.source, content.clone()));
        served.insert(name.clone(), Arc::clone(&image));
        let attached = self.disks.attach_image(&name, Path::new("state"), image);
        attached.map_err(io::Error::other)?;
        Ok(self.mount_point.join(name))
    }

    fn withdraw(&self, path: &Path) -> io::Result<Sectors> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let read = self.image(&name)?.read_sectors();
        // One that somebody has open stays to the end of the mount.
        if self.disks.detach(&name).is_ok() {
            self.served.lock().remove(&*name);
        }
        Ok(read)
    }
}

/// What the process that serves states is told when it starts.
#[derive(Debug)]
pub struct StatesServing<'a> {
    /// An empty folder.
    pub mount_point: &'a Path,
    /// A folder to remove at the end.
    pub run_folder: &'a Path,
    /// The log.
    pub log: &'a Path,
    /// What the disk held first; None for zeros.
    pub base: Option<&'a Path>,
    /// The size of the disk.
    pub sectors: u64,
    /// Gets [`READY`] once the mount answers, or the error text.
    pub ready: File,
    /// Where it is asked for states. Its end is the end of the server.
    pub socket: UnixStream,
}

/// Serves states, in this process, until the socket's other end is closed, a signal comes or the mount is gone.
pub fn serve_states(mut serving: StatesServing<'_>) -> Result<(), ServeError> {
    // As a server of disks does: `server::serve`.
    sys::ignore(libc::SIGXFSZ);
    sys::share_heaps();
    let _ = sandbox::drop_capabilities();
    log::record_panics();
    let started = start(&serving);
    let report = match &started {
        Ok(_) => {
            let _ = sandbox::enter();
            READY.to_owned()
        }
        Err(error) => error.to_string(),
    };
    let _ = serving.ready.write_all(report.as_bytes());
    drop(serving.ready);
    let (server, stop) = started?;
    let socket = &serving.socket;
    let (tx, over) = bounded::<()>(0);
    std::thread::scope(|scope| {
        let server = &server;
        scope.spawn(move || {
            // Whatever ends the answers, nobody asks any more.
            let _ = server.answer(socket);
            drop(tx);
        });
        select! {
            recv(stop) -> _ => {}
            recv(server.unmounted()) -> _ => {}
            recv(over) -> _ => {}
        }
        let _ = socket.shutdown(Shutdown::Both);
    });
    server.end();
    remove_run_folder(serving.run_folder, serving.mount_point);
    Ok(())
}

fn start(serving: &StatesServing<'_>) -> Result<(StateServer, Receiver<i32>), ServeError> {
    let mount_point = check_mount_point(serving.mount_point)?;
    // Before the mount: a signal that arrives in between must not leave the mount behind.
    let stop = stop_signals().map_err(ServeError::Signals)?;
    let base = match serving.base {
        Some(path) => BaseImage::At(path.to_owned()),
        None => BaseImage::Zeros,
    };
    let mut source = Source::open(serving.log, &base)?;
    // A log that goes on may name later sectors by now.
    source.sectors = serving.sectors;
    Ok((StateServer::start(&mount_point, Arc::new(source))?, stop))
}
