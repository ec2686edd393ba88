//! A mount whose files are states that a power cut may leave, seen by the process that asks for them.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use parking_lot::Mutex;

use super::launch::{LaunchError, start_states};
use crate::crash::{Content, Sectors, Shelf, Source};
use crate::os::process::Process;
use crate::os::run_folder::{RunFolder, RunFolderKind};

/// How long the server may take to end.
const SERVER_END: Duration = Duration::from_secs(10);

/// The mount, in a folder of its own. Its server ends with this, and with the thread that started it.
#[derive(Debug)]
pub struct StateMount {
    socket: Mutex<BufReader<UnixStream>>,
    server: Child,
    // The last to go: the mount lies in it.
    _folder: RunFolder,
}

impl StateMount {
    /// Starts a server of the states of `source`.
    pub fn start(source: &Source) -> Result<Self, LaunchError> {
        let folder = RunFolder::create(RunFolderKind::States)?;
        let (server, socket) = start_states(source, &folder)?;
        Ok(Self {
            socket: Mutex::new(BufReader::new(socket)),
            server,
            _folder: folder,
        })
    }

    /// Makes the file at `path` the state that holds `content`, as if it had just been served.
    pub fn replace(&self, path: &Path, content: &Content) -> io::Result<()> {
        let name = name_of(path);
        self.ask(&format!("replace {name} {content}\n")).map(drop)
    }

    /// The sectors of the state at `path` that were read so far.
    pub fn read(&self, path: &Path) -> io::Result<Sectors> {
        sectors(&self.ask(&format!("read {}\n", name_of(path)))?)
    }

    fn ask(&self, request: &str) -> io::Result<String> {
        let gone = || io::Error::other("the server of the states has ended");
        let mut socket = self.socket.lock();
        let asked = socket.get_mut().write_all(request.as_bytes());
        asked.map_err(|_| gone())?;
        let mut answer = String::new();
        socket.read_line(&mut answer)?;
        let answer = answer.strip_suffix('\n').ok_or_else(gone)?;
        match answer.split_once(' ') {
            Some(("ok", result)) => Ok(result.to_owned()),
            Some((_, text)) => Err(io::Error::other(text.to_owned())),
            None => Err(gone()),
        }
    }
}

impl Shelf for StateMount {
    fn serve(&self, name: &str, content: &Content) -> io::Result<PathBuf> {
        self.ask(&format!("serve {name} {content}\n"))
            .map(PathBuf::from)
    }

    fn withdraw(&self, path: &Path) -> io::Result<Sectors> {
        sectors(&self.ask(&format!("withdraw {}\n", name_of(path)))?)
    }
}

fn name_of(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

fn sectors(read: &str) -> io::Result<Sectors> {
    let bad = || io::Error::other("the server of the states does not say what was read");
    Sectors::parse(read).ok_or_else(bad)
}

impl Drop for StateMount {
    fn drop(&mut self) {
        let _ = self
            .socket
            .get_mut()
            .get_ref()
            .shutdown(std::net::Shutdown::Both);
        let server = Process::open(self.server.id());
        if !server.is_ok_and(|server| server.wait(SERVER_END).unwrap_or(false)) {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}
