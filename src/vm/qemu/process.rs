//! The QEMU process.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::arguments::{MachineSpec, Sockets, arguments};
use crate::client::MountClient;
use crate::os::capped_log;
use crate::os::sys;
use crate::units::text;
use crate::vm::VmError;
use crate::vm::disks::held::drop_held;

/// The program.
pub const PROGRAM: &str = "qemu-system-x86_64";
/// Most bytes of its messages that an error shows.
const LOG_END: u64 = 4000;
/// How long a killed QEMU may take to be gone: storage of the host may hang below one of its disks.
const KILLED: Duration = Duration::from_secs(3);
/// Between two looks whether it is gone.
const TICK: Duration = Duration::from_millis(5);

/// Where the program `name` is: the file itself if `name` has a folder, else the first in PATH.
pub(in crate::vm) fn find_program(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return name.is_file().then(|| name.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places.find(|place| place.is_file())
}

/// A running QEMU. It is killed when this is dropped, and when the thread that started it ends.
#[derive(Debug)]
pub(in crate::vm) struct Qemu {
    child: Child,
    program: PathBuf,
    log: PathBuf,
    /// Where its disks are.
    mount: MountClient,
}

/// Our ends of the channels to a QEMU.
pub(in crate::vm) struct Channels {
    pub(in crate::vm) qmp: UnixStream,
    pub(in crate::vm) agent: UnixStream,
    pub(in crate::vm) console: UnixStream,
    pub(in crate::vm) qtest: UnixStream,
}

/// QEMU's ends of the same, which it inherits.
struct ItsEnds([UnixStream; 4]);

/// Makes the channels.
fn channels() -> Result<(Channels, ItsEnds), VmError> {
    let pair = || UnixStream::pair().map_err(VmError::io("a socket pair for QEMU"));
    let (qmp, its_qmp) = pair()?;
    let (agent, its_agent) = pair()?;
    let (console, its_console) = pair()?;
    let (qtest, its_qtest) = pair()?;
    let ours = Channels {
        qmp,
        agent,
        console,
        qtest,
    };
    let its = [its_qmp, its_agent, its_console, its_qtest];
    Ok((ours, ItsEnds(its)))
}

impl ItsEnds {
    fn numbers(&self) -> Sockets {
        let [qmp, agent, console, qtest] = self.0.each_ref().map(|socket| socket.as_raw_fd());
        Sockets {
            qmp,
            agent,
            console,
            qtest,
        }
    }
}

impl Qemu {
    /// Starts the machine `spec` with sockets of its own, and with its disks in `mount`; messages go to `log`.
    pub(in crate::vm) fn start(
        spec: &MachineSpec<'_>,
        log: &Path,
        mount: &MountClient,
    ) -> Result<(Self, Channels), VmError> {
        let (channels, its_ends) = channels()?;
        let mut command = Command::new(spec.program);
        command.args(arguments(&MachineSpec {
            sockets: its_ends.numbers(),
            ..*spec
        }));
        let sockets = its_ends.0.iter().map(|socket| socket.as_fd());
        for file in sockets.chain(spec.start.memory()) {
            sys::inherit(&mut command, file);
        }
        // Out of reach of Ctrl-C at the terminal, which is for the caller.
        command.process_group(0);
        sys::die_with_starter(&mut command, libc::SIGKILL);
        log_to(&mut command, log).map_err(VmError::io(log.display().to_string()))?;
        let qemu = Self {
            child: command.spawn().map_err(not_started(spec.program))?,
            program: spec.program.to_owned(),
            log: log.to_owned(),
            mount: mount.clone(),
        };
        Ok((qemu, channels))
    }

    /// Its number.
    pub(in crate::vm) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(in crate::vm) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The error that says how it ended; `when` completes "QEMU exited ...". It has closed its
    /// end of a channel, or ended: give it a moment to be gone.
    pub(in crate::vm) fn exit_error(&mut self, when: &str) -> VmError {
        let status = match self.wait(Duration::from_secs(5)) {
            Some(status) => format!("with {status}"),
            None => "or closed its channel".into(),
        };
        let log = text::escaped(&capped_log::end(&self.log, LOG_END));
        VmError::Exited {
            program: self.name(),
            status,
            when: when.to_owned(),
            log: log.trim_end().to_owned(),
        }
    }

    /// Its name in a message.
    fn name(&self) -> String {
        match self.program.file_name() {
            Some(name) if name == PROGRAM => "QEMU".to_owned(),
            _ => format!("QEMU `{}`", self.program.display()),
        }
    }

    /// Waits for its end.
    pub(in crate::vm) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            match self.exited() {
                Some(status) => return Some(status),
                None if Instant::now() >= deadline => return None,
                None => std::thread::sleep(TICK),
            }
        }
    }

    /// Ends it now. It is gone only when its requests are answered, so those that a rule holds are dropped.
    fn kill(&mut self) {
        let deadline = Instant::now() + KILLED;
        let _ = self.child.kill();
        while self.wait(2 * TICK).is_none() && Instant::now() < deadline {
            drop_held(&self.mount);
        }
    }
}

/// Has `command` read nothing, and write all its messages to the new file `log`.
fn log_to(command: &mut Command, log: &Path) -> io::Result<()> {
    let log = File::create(log)?;
    let second = log.try_clone()?;
    command.stdin(Stdio::null()).stdout(log).stderr(second);
    Ok(())
}

fn not_started(program: &Path) -> impl FnOnce(io::Error) -> VmError {
    VmError::io(format!("cannot start {}", program.display()))
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.kill();
    }
}
