//! A mount and its control files.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::ClientError;
use crate::os::{mounts, sys};
use crate::protocol::disk_options::DiskOptions;
use crate::protocol::names::{CTL, is_version};
use crate::protocol::{Attach, ControlFile, ControlPath, DiskFile, DiskLine, Rejection};

/// A provium mount that answers.
#[derive(Clone, Debug)]
pub struct MountClient {
    point: PathBuf,
}

/// Bytes of a control file that are read at first.
const FIRST_READ: usize = 64 << 10;

const VERSION_FILE: ControlPath = ControlPath::Mount(ControlFile::Version);

/// How a control file is opened for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteMode {
    /// `>`: what is written replaces the content.
    Replace,
    /// `>>`: what is written is added to it.
    Append,
}

impl MountClient {
    /// The mount at `point`.
    pub fn open(point: &Path) -> Result<Self, ClientError> {
        check_not_stopped(point)?;
        let client = Self {
            point: point.to_owned(),
        };
        match client.version() {
            Ok(version) if is_version(&version) => Ok(client),
            Err(error) if is_dead(&error) => Err(ClientError::Stale(point.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(denied(&client, error))
            }
            _ => Err(ClientError::NotAMount(point.to_owned())),
        }
    }

    /// Where it is.
    pub fn point(&self) -> &Path {
        &self.point
    }

    /// The version of the server, as `provium X.Y.Z`.
    pub fn version(&self) -> io::Result<String> {
        let text = std::fs::read_to_string(self.path_of(&VERSION_FILE))?;
        Ok(text.trim_end().to_owned())
    }

    /// The disks that it serves, in the order in which they were attached.
    pub fn disks(&self) -> Result<Vec<DiskLine>, ClientError> {
        let text = self.read(&ControlPath::Mount(ControlFile::Disks))?;
        Ok(parsed(&text).collect())
    }

    /// The IDs of its disks, in the order in which they were attached. Does not wait for storage.
    pub fn ids(&self) -> Result<Vec<String>, ClientError> {
        let ctl = self.point.join(CTL);
        let entries = ctl.read_dir().map_err(ClientError::io(&ctl))?;
        let folders = entries.filter_map(|entry| {
            let entry = entry.ok()?;
            let is_disk = entry.file_type().ok()?.is_dir();
            is_disk.then(|| entry.file_name().into_string().ok())?
        });
        Ok(folders.collect())
    }

    /// Serves the image at `image`, an absolute path, as `id`.
    pub fn attach(&self, id: &str, image: &Path, options: DiskOptions) -> Result<(), ClientError> {
        let attach = Attach {
            id: id.to_owned(),
            image: image.to_string_lossy().into_owned(),
            options,
        };
        let mut words = [&attach.id, &attach.image].into_iter();
        if let Some(word) = words.find(|word| word.contains('\0')) {
            let reason = format!("{word:?} holds a NUL byte");
            return Err(ClientError::Rejected(reason));
        }
        self.command(ControlFile::Attach, &format!("{attach}\n"))
    }

    /// Detaches the disk `id`.
    pub fn detach(&self, id: &str) -> Result<(), ClientError> {
        self.command(ControlFile::Detach, id)
    }

    /// Disarms all rules of all disks, which releases the requests that wait for them.
    pub fn clear(&self) -> Result<(), ClientError> {
        self.command(ControlFile::Clear, "1\n")
    }

    pub(super) fn path_of(&self, file: &ControlPath) -> PathBuf {
        self.point.join(CTL).join(file.to_string())
    }

    /// Writes `text` to a control file of the mount.
    pub(super) fn command(&self, file: ControlFile, text: &str) -> Result<(), ClientError> {
        self.write(&ControlPath::Mount(file), text, WriteMode::Append)
    }

    /// The text of a control file.
    pub(super) fn read(&self, file: &ControlPath) -> Result<String, ClientError> {
        let path = self.path_of(file);
        let mut text = String::with_capacity(FIRST_READ);
        // `take` has no use for the file's size. For that the server would have to make all of the text.
        let read = File::open(&path).and_then(|open| open.take(u64::MAX).read_to_string(&mut text));
        read.map(|_| text).map_err(ClientError::io(path))
    }

    /// Writes `text` to a control file, as one transaction.
    pub(super) fn write(
        &self,
        file: &ControlPath,
        text: &str,
        mode: WriteMode,
    ) -> Result<(), ClientError> {
        let path = self.path_of(file);
        let mut options = OpenOptions::new();
        match mode {
            WriteMode::Replace => options.write(true).truncate(true),
            WriteMode::Append => options.append(true),
        };
        let before = self.latest_rejection(file);
        let mut open = options.open(&path).map_err(ClientError::io(&path))?;
        // One write(2), which is one transaction: the server takes all of it or nothing. Longer rules come in several
        // requests, between `begin` and `commit`.
        match open.write_all(text.as_bytes()) {
            Ok(()) => Ok(()),
            Err(cause) => Err(match self.latest_rejection(file) {
                Some(now) if Some(&now) != before.as_ref() => rejected(now, &cause),
                _ => ClientError::Io { path, cause },
            }),
        }
    }

    /// The latest rejection of the mount, if it is of a write to `file`.
    fn latest_rejection(&self, file: &ControlPath) -> Option<Rejection> {
        let text = self.read(&ControlPath::Mount(ControlFile::Error)).ok()?;
        let rejection: Rejection = text.trim_end().parse().ok()?;
        (rejection.file == *file).then_some(rejection)
    }
}

/// The error of a write that was rejected. EINVAL says that the text itself is wrong; but a line for `attach`, `detach`
/// or `log` may be right elsewhere, or later.
fn rejected(rejection: Rejection, cause: &io::Error) -> ClientError {
    let depends_on_state = match rejection.file {
        ControlPath::Mount(ControlFile::Attach | ControlFile::Detach) => true,
        ControlPath::Mount(
            ControlFile::Version
            | ControlFile::Disks
            | ControlFile::Clear
            | ControlFile::Error
            | ControlFile::Power
            | ControlFile::Mark
            | ControlFile::Events,
        ) => false,
        ControlPath::Disk(_, file) => file == DiskFile::Log,
    };
    match cause.raw_os_error() {
        Some(libc::EINVAL) if !depends_on_state => ClientError::Wrong(rejection.reason),
        _ => ClientError::Rejected(rejection.reason),
    }
}

/// An error if the server is stopped. Does not ask the mount, which would not answer.
fn check_not_stopped(point: &Path) -> Result<(), ClientError> {
    let absolute = std::path::absolute(point).map_err(ClientError::io(point))?;
    let mount = mounts::find(&absolute).ok().flatten();
    match mount.and_then(|mount| mount.stopped_server()) {
        Some(server) => Err(ClientError::Stopped {
            mount: point.to_owned(),
            server,
        }),
        None => Ok(()),
    }
}

/// Why this user may not look into the mount.
fn denied(client: &MountClient, error: io::Error) -> ClientError {
    let absolute = std::path::absolute(&client.point).ok();
    let mount = absolute.and_then(|point| mounts::find(&point).ok().flatten());
    match mount {
        Some(mount) if mount.owner != sys::uid() => ClientError::NotYours {
            mount: client.point.clone(),
            owner: mount.owner,
        },
        _ => ClientError::io(client.path_of(&VERSION_FILE))(error),
    }
}

/// Whether `error` says that the server behind a mount is gone.
fn is_dead(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOTCONN | libc::ECONNABORTED)
    )
}

/// The lines of `text`, without those that only a newer server knows.
pub(super) fn parsed<T: FromStr>(text: &str) -> impl Iterator<Item = T> {
    text.lines().filter_map(|line| line.parse().ok())
}
