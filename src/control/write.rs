//! What the control files accept.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str;
use std::sync::Arc;

use tracing::{debug, info, warn};

use super::Control;
use super::error::{
    ATTACH_USAGE, CACHE_USAGE, CHECKPOINT_USAGE, DETACH_USAGE, IMAGE_USAGE, LOG_USAGE, MARK_USAGE,
    POWER_USAGE, RELEASE_USAGE, RULES_USAGE, SEED_USAGE, WriteError,
};
use crate::disk::Disk;
use crate::fault::{Edit, NoSuchTag, Then, parse_edits};
use crate::protocol::names::{LONGEST_CONTROL_WRITE, LONGEST_MARK};
use crate::protocol::{
    Attach, ControlFile, ControlPath, DiskFile, Errno, LogCommand, PowerCommand, Rejection,
    Release, Released, UNLOCK,
};
use crate::units::text::shown;

/// The error of a write to a file that takes none. The kernel refuses to open it for writing, except for root.
const READ_ONLY: Errno = Errno(libc::EACCES);

impl Control {
    /// Carries out a write to `file`. It may wait for storage, and for clients that are just closing.
    pub fn write(&self, file: ControlFile, data: &[u8]) -> Result<(), Errno> {
        let done = match file {
            ControlFile::Attach => self.attach(data),
            ControlFile::Detach => self.detach(data),
            ControlFile::Clear => {
                self.disks.clear();
                Ok(())
            }
            ControlFile::Power => self.switch_power(None, data),
            ControlFile::Mark => self.mark(data),
            ControlFile::Version
            | ControlFile::Disks
            | ControlFile::Error
            | ControlFile::Events => return Err(READ_ONLY),
        };
        let path = || ControlPath::Mount(file);
        log_done(&path, data, &done, file == ControlFile::Mark);
        done.map_err(|error| self.reject(path(), &error))
    }

    /// Carries out a write to `file` of `disk`: all its lines, or none. With `replace` it starts from an empty
    /// set of rules.
    pub fn write_disk(
        &self,
        disk: &Arc<Disk>,
        file: DiskFile,
        data: &[u8],
        replace: bool,
    ) -> Result<(), Errno> {
        let done = match file {
            DiskFile::Faults => must_be_few(data).and_then(|()| edit_faults(disk, data, replace)),
            DiskFile::Rules => switch_rules(disk, data),
            DiskFile::Release => release(disk, data),
            DiskFile::Image => unlock_image(disk, data),
            DiskFile::Seed => set_seed(disk, data),
            DiskFile::Cache => set_cache(disk, data),
            DiskFile::Power => self.switch_power(Some(disk), data),
            DiskFile::Log => log(disk, data),
            DiskFile::Mark => mark(data).map(|text| disk.mark(text)),
            DiskFile::Checkpoint => checkpoint(disk, data),
            DiskFile::Stats
            | DiskFile::Inflight
            | DiskFile::Damage
            | DiskFile::Trace
            | DiskFile::Decisions
            | DiskFile::Size
            | DiskFile::Mode
            | DiskFile::Pending => return Err(READ_ONLY),
        };
        self.end_write(disk, file, data, done)
    }

    /// Logs what a write to `file` of `disk` has done, and keeps why it was rejected.
    pub(super) fn end_write(
        &self,
        disk: &Disk,
        file: DiskFile,
        data: &[u8],
        done: Result<(), WriteError>,
    ) -> Result<(), Errno> {
        let path = || ControlPath::Disk(disk.id().to_owned(), file);
        log_done(&path, data, &done, file == DiskFile::Mark);
        done.map_err(|error| self.reject(path(), &error))
    }

    fn attach(&self, data: &[u8]) -> Result<(), WriteError> {
        let attach: Attach = parsed(data, ATTACH_USAGE)?;
        let path = Path::new(&attach.image);
        if !path.is_absolute() {
            return Err(WriteError::RelativeImage(attach.image));
        }
        Ok(self.disks.attach(&attach.id, path, attach.options)?)
    }

    fn detach(&self, data: &[u8]) -> Result<(), WriteError> {
        let words = shlex::split(text(data, DETACH_USAGE)?).unwrap_or_default();
        match words.as_slice() {
            [id] => Ok(self.disks.detach(id)?),
            _ => Err(WriteError::Usage(DETACH_USAGE)),
        }
    }

    /// Cuts or returns the power of `disk`, or of all disks at one instant.
    fn switch_power(&self, disk: Option<&Arc<Disk>>, data: &[u8]) -> Result<(), WriteError> {
        match text(data, POWER_USAGE)?.parse()? {
            PowerCommand::Cut(cut) => Ok(self.disks.cut_power(disk, &cut)?),
            PowerCommand::On => Ok(self.disks.power_on(disk)?),
        }
    }

    fn mark(&self, data: &[u8]) -> Result<(), WriteError> {
        let text = mark(data)?;
        self.disks
            .all()
            .iter()
            .for_each(|(_, disk)| disk.mark(text));
        Ok(())
    }

    fn reject(&self, file: ControlPath, error: &WriteError) -> Errno {
        let mut rejected = self.rejected.lock();
        let number = rejected.as_ref().map_or(1, |last| last.number + 1);
        *rejected = Some(Rejection::new(number, file, &error.to_string()));
        error.errno()
    }
}

/// Bytes of a control write that the log shows.
const LOGGED: usize = 400;

/// Logs what a control write has done. Marks are set by the thousand.
fn log_done(
    path: &impl Fn() -> ControlPath,
    data: &[u8],
    done: &Result<(), WriteError>,
    is_mark: bool,
) {
    let data = data[..data.len().min(LOGGED)].trim_ascii();
    let text = || match data.is_empty() {
        true => "(emptied)".to_owned(),
        false => shown(OsStr::from_bytes(data)),
    };
    match done {
        Ok(()) if is_mark => debug!("{}: {}", path(), text()),
        Ok(()) => info!("{}: {}", path(), text()),
        Err(error) => warn!("{}: rejected `{}`: {error}", path(), text()),
    }
}

/// Edits the rules of `disk`, all edits of `data` or none. With `replace` it starts from an empty set.
pub(super) fn edit_faults(disk: &Disk, data: &[u8], replace: bool) -> Result<(), WriteError> {
    let edits = parse_edits(data)?;
    let removes = |edit: &_| matches!(edit, Edit::Remove(_) | Edit::RemoveTag(_));
    if replace && edits.iter().any(removes) {
        return Err(WriteError::RemoveWhileReplacing);
    }
    Ok(disk.arm(&edits, replace)?)
}

fn switch_rules(disk: &Disk, data: &[u8]) -> Result<(), WriteError> {
    disk.switch_rules(parsed(data, RULES_USAGE)?);
    Ok(())
}

fn release(disk: &Disk, data: &[u8]) -> Result<(), WriteError> {
    let release: Release = text(data, RELEASE_USAGE)?.parse()?;
    let tag = release.tag.as_deref();
    let released = match release.then {
        Released::Served => disk.release(tag, Then::Ok),
        Released::Failed(errno) => disk.release(tag, Then::Error(errno)),
        Released::Dropped => disk.drop_waiting(tag),
    };
    match released {
        Some(_) => Ok(()),
        None => Err(NoSuchTag(tag.unwrap_or_default().to_owned()).into()),
    }
}

fn unlock_image(disk: &Arc<Disk>, data: &[u8]) -> Result<(), WriteError> {
    if text(data, IMAGE_USAGE)? != UNLOCK {
        return Err(WriteError::Usage(IMAGE_USAGE));
    }
    if disk.has_more_than_its_image() {
        return Err(WriteError::Layered);
    }
    disk.unlock_image().map_err(|errno| match errno.0 {
        libc::EBUSY => WriteError::InUse(disk.open_count()),
        _ => WriteError::Unlock(errno),
    })
}

fn set_seed(disk: &Disk, data: &[u8]) -> Result<(), WriteError> {
    disk.set_seed(parsed(data, SEED_USAGE)?);
    Ok(())
}

fn set_cache(disk: &Arc<Disk>, data: &[u8]) -> Result<(), WriteError> {
    Ok(disk.set_cache_mode(parsed(data, CACHE_USAGE)?)?)
}

fn log(disk: &Arc<Disk>, data: &[u8]) -> Result<(), WriteError> {
    let done = match parsed(data, LOG_USAGE)? {
        LogCommand::Start { path, base } => disk.start_log(Path::new(&path), &base),
        LogCommand::Stop => disk.stop_log(),
    };
    Ok(done?)
}

fn checkpoint(disk: &Arc<Disk>, data: &[u8]) -> Result<(), WriteError> {
    Ok(disk.checkpoint(&text(data, CHECKPOINT_USAGE)?.parse()?)?)
}

/// The text of a mark: one line that is not too long.
fn mark(data: &[u8]) -> Result<&str, WriteError> {
    let text = text(data, MARK_USAGE)?;
    let is_mark = (1..=LONGEST_MARK).contains(&text.len()) && !text.contains(char::is_control);
    is_mark.then_some(text).ok_or(WriteError::Usage(MARK_USAGE))
}

/// What `data` says, which is the rejected usage if it cannot be parsed.
fn parsed<T: str::FromStr>(data: &[u8], usage: &'static str) -> Result<T, WriteError> {
    let parsed = text(data, usage)?.parse();
    parsed.map_err(|_| WriteError::Usage(usage))
}

/// `data` as text, without the spaces and line ends around it.
fn text<'a>(data: &'a [u8], usage: &'static str) -> Result<&'a str, WriteError> {
    must_be_short(data)?;
    let text = str::from_utf8(data).map_err(|_| WriteError::Usage(usage))?;
    match text.contains('\0') {
        true => Err(WriteError::Usage(usage)),
        false => Ok(text.trim()),
    }
}

fn must_be_few(rules: &[u8]) -> Result<(), WriteError> {
    match rules.len() > LONGEST_CONTROL_WRITE {
        true => Err(WriteError::ManyRules(rules.len())),
        false => Ok(()),
    }
}

fn must_be_short(data: &[u8]) -> Result<(), WriteError> {
    match data.len() > LONGEST_CONTROL_WRITE {
        true => Err(WriteError::TooLong(data.len())),
        false => Ok(()),
    }
}
