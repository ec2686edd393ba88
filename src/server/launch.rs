//! Starting a server in a process of its own, and knowing when it answers.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::os::sys;
use crate::protocol::disk_options::DiskOptions;

/// What the server writes to the ready pipe once it answers; anything else there is an error text.
pub const READY: &str = "ready\n";

/// An image to serve from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpec {
    /// The disk's name in the mount.
    pub id: String,
    /// Its image.
    pub image: PathBuf,
    /// How it is served.
    pub options: DiskOptions,
}

/// How long a server lives.
#[derive(Clone, Debug)]
pub enum Lifetime {
    /// Until it is unmounted; it is in a session of its own.
    UntilUnmounted,
    /// Until the calling thread ends; then it also removes this folder.
    WithCaller {
        /// Holds the mount point.
        scratch: PathBuf,
    },
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// It said so itself.
    #[error("{0}")]
    Refused(String),
    /// It ended without a word.
    #[error("the server ended while it started")]
    Died,
    /// It could not be started.
    #[error("cannot start the server: {0}")]
    Io(io::Error),
}

impl From<io::Error> for LaunchError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Starts a server at `mount_point` and returns once the mount answers.
pub fn start(
    mount_point: &Path,
    disks: &[DiskSpec],
    options: &[String],
    lifetime: &Lifetime,
) -> Result<Child, LaunchError> {
    let (mut ready, write_end) = io::pipe()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["mount", "--foreground", "--ready-fd"]);
    command.arg(write_end.as_raw_fd().to_string());
    sys::inherit(&mut command, write_end.as_fd());
    for disk in disks {
        command.arg("--disk").arg(disk_argument(disk));
    }
    for option in options {
        command.arg("-o").arg(option);
    }
    match lifetime {
        Lifetime::UntilUnmounted => sys::new_session(&mut command),
        Lifetime::WithCaller { scratch } => {
            // Out of reach of what is sent to the caller's group: it has an end of its own.
            command.process_group(0);
            sys::die_with_starter(&mut command, libc::SIGTERM);
            command.arg("--scratch").arg(scratch);
        }
    }
    command.arg("--").arg(mount_point);
    // Nothing of the caller may be kept open by a server that outlives it.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/");
    let mut child = command.spawn()?;
    drop(write_end);
    let mut said = String::new();
    ready.read_to_string(&mut said)?;
    if said == READY {
        return Ok(child);
    }
    child.wait()?;
    match said.is_empty() {
        true => Err(LaunchError::Died),
        false => Err(LaunchError::Refused(said.trim_end().to_owned())),
    }
}

/// `ID=IMAGE[,ro][,fixed]`, as `provium mount --disk` takes it.
fn disk_argument(disk: &DiskSpec) -> OsString {
    let mut argument = OsString::from(format!("{}=", disk.id));
    argument.push(&disk.image);
    argument.push(disk.options.words(','));
    argument
}
