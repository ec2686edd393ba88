//! Starting a server in a process of its own, and waiting until it answers.

use std::ffi::OsString;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::crash::Source;
use crate::os::run_folder::RunFolder;
use crate::os::sys;
use crate::protocol::DiskSpec;

/// The word that the server writes to the ready pipe once it answers. Any other text is an error message.
pub const READY: &str = "ready\n";

/// How long a server lives.
#[derive(Clone, Debug)]
pub enum Lifetime {
    /// Until it is unmounted. It leads a session of its own.
    UntilUnmounted,
    /// Until the calling thread ends. Then it also removes this folder.
    WithCaller {
        /// Holds the mount point.
        run_folder: PathBuf,
    },
}

/// Why no server runs.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The server reported an error.
    #[error("{0}")]
    Refused(String),
    /// The server ended without a report.
    #[error("the server ended while it started")]
    Died,
    /// Its process could not be started.
    #[error("cannot start the server: {0}")]
    Io(#[from] io::Error),
}

/// Starts a server at `mount_point`, with further `options` of `provium mount`, and returns once the mount answers.
pub fn start(
    mount_point: &Path,
    disks: &[DiskSpec],
    options: &[OsString],
    lifetime: &Lifetime,
) -> Result<Child, LaunchError> {
    let (ready, write_end) = io::pipe()?;
    let mut command = command(&["mount", "--foreground"], write_end.as_fd())?;
    for disk in disks {
        command.arg("--disk").arg(disk.to_argument());
    }
    command.args(options);
    bind(&mut command, lifetime);
    // After the options, so that a mount point may begin with a dash.
    command.arg("--").arg(mount_point);
    let child = command.spawn()?;
    drop(write_end);
    await_ready(child, ready)
}

/// Starts a server of the states of `source` in `folder`, and returns once the mount answers. It lives until the
/// calling thread ends or the socket is closed; then it also removes the folder.
pub(super) fn start_states(
    source: &Source,
    folder: &RunFolder,
) -> Result<(Child, UnixStream), LaunchError> {
    let (ready, write_end) = io::pipe()?;
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = command(&["state-server"], write_end.as_fd())?;
    command
        .arg("--socket-fd")
        .arg(theirs.as_raw_fd().to_string());
    sys::inherit(&mut command, theirs.as_fd());
    command.arg("--sectors").arg(source.sectors.to_string());
    if let Some(base) = &source.base_path {
        command.arg("--base").arg(std::path::absolute(base)?);
    }
    let run_folder = folder.path().to_owned();
    bind(&mut command, &Lifetime::WithCaller { run_folder });
    command.arg("--").arg(folder.mount_point());
    command.arg(std::path::absolute(&source.log_path)?);
    let child = command.spawn()?;
    drop((write_end, theirs));
    Ok((await_ready(child, ready)?, ours))
}

/// A command of provium that serves and reports at `ready`. Nothing else of the caller's is open in it: the server
/// may outlive it.
fn command(words: &[&str], ready: BorrowedFd<'_>) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(words).arg("--ready-fd");
    command.arg(ready.as_raw_fd().to_string());
    sys::inherit(&mut command, ready);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/");
    Ok(command)
}

/// Has the server that `command` starts end with `lifetime`.
fn bind(command: &mut Command, lifetime: &Lifetime) {
    match lifetime {
        Lifetime::UntilUnmounted => sys::new_session(command),
        Lifetime::WithCaller { run_folder } => {
            // Signals to the caller's group do not reach it: it ends by itself, in order.
            command.process_group(0);
            sys::die_with_starter(command, libc::SIGTERM);
            command.arg("--run-folder").arg(run_folder);
        }
    }
}

/// Waits until the server says that it is ready, or why it is not.
fn await_ready(mut server: Child, mut ready: PipeReader) -> Result<Child, LaunchError> {
    let mut said = String::new();
    ready.read_to_string(&mut said)?;
    if said == READY {
        return Ok(server);
    }
    server.wait()?;
    match said.is_empty() {
        true => Err(LaunchError::Died),
        false => Err(LaunchError::Refused(said.trim_end().to_owned())),
    }
}
