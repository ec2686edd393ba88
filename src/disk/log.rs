//! The write log of a disk: beginning it with a copy of what the disk holds, what goes into it, its end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::power::PowerError;
use crate::protocol::{Errno, LogBase, LogLine};
use crate::storage::write_log::{LogWriter, Place, Record};
use crate::storage::{Existing, Image, NewFile, NewFileError, copy};

/// What is added to the path of a log for that of the copy it begins from.
const BASE_SUFFIX: &str = ".base";

/// Why a log was not begun or ended. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file of the log cannot be made.
    #[error(transparent)]
    File(#[from] NewFileError),
    /// A path that the control files could not show as one line of text.
    #[error("path {0:?} holds a newline or is not UTF-8: give the log a path without")]
    BadPath(PathBuf),
    /// There is one.
    #[error("the log of this disk is being written to {0}: stop it first")]
    IsOn(String),
    /// It is being begun or ended.
    #[error("the log of this disk is just being started or stopped")]
    IsChanging,
    /// There is none.
    #[error("there is no log to stop")]
    NoLog,
    /// The power is off, or a request does not end.
    #[error(transparent)]
    Power(#[from] PowerError),
    /// What is pending cannot be made durable.
    #[error("the pending data cannot be made durable: {0}")]
    Pending(Errno),
    /// The image cannot be copied.
    #[error("cannot copy the image to {path}, which the log begins from: {cause}")]
    Base {
        /// The copy.
        path: String,
        /// What the host said.
        cause: io::Error,
    },
    /// The log cannot be written.
    #[error("cannot write the log {path}: {cause}")]
    Storage {
        /// The log.
        path: String,
        /// What the host said.
        cause: io::Error,
    },
}

impl LogError {
    /// The error number for a client that only gets a number.
    pub fn errno(&self) -> Errno {
        Errno(match self {
            Self::File(error) => error.errno(),
            Self::BadPath(_) | Self::NoLog => libc::EINVAL,
            Self::IsOn(_) => libc::EALREADY,
            Self::IsChanging => libc::EBUSY,
            Self::Power(error) => return error.errno(),
            Self::Pending(errno) => return *errno,
            Self::Base { cause, .. } | Self::Storage { cause, .. } => {
                cause.raw_os_error().unwrap_or(libc::EIO)
            }
        })
    }
}

/// The log of a disk, if there is one.
#[derive(Default)]
pub(super) struct DiskLog {
    /// Whether requests are to be recorded. Read by each of them.
    is_on: AtomicBool,
    current: ArcSwapOption<Started>,
    /// Held to begin and to end a log.
    changing: Mutex<()>,
    when_stopped: OnceLock<Box<dyn Fn(String) + Send + Sync>>,
}

/// A log that was begun, and perhaps has ended at an error.
struct Started {
    path: String,
    writer: Arc<LogWriter>,
    /// Why it was ended, where nobody has stopped it.
    ended: OnceLock<&'static str>,
}

/// The files of a log that begins. They are gone again unless it does.
pub(super) struct Files {
    path: String,
    log: NewFile,
    base: Option<(String, NewFile)>,
}

impl DiskLog {
    /// Whether requests are to be recorded.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Has `tell` called with the reason, once, when a log ends by itself.
    pub(super) fn when_stopped(&self, tell: impl Fn(String) + Send + Sync + 'static) {
        // The first one stays: a disk is added to one list of disks.
        let _ = self.when_stopped.set(Box::new(tell));
    }

    /// Gives the next place in the log to `record`. Does no I/O: call it where the order of records is known.
    pub(super) fn reserve(&self, record: Record) -> Place {
        match &*self.current.load() {
            Some(started) => started.writer.reserve(record),
            None => Place::default(),
        }
    }

    /// Writes a record at its place, with the data of a write.
    pub(super) fn fill(&self, place: Place, data: &[u8]) {
        if let Err(cause) = place.fill(data) {
            self.tell(&cause);
        }
    }

    /// Adds `record` to the log, with the data of a write.
    pub(super) fn record(&self, record: Record, data: &[u8]) {
        self.fill(self.reserve(record), data);
    }

    /// The log has ended at an error.
    #[cold]
    pub(super) fn tell(&self, cause: &io::Error) {
        self.is_on.store(false, Ordering::Relaxed);
        if let Some(tell) = self.when_stopped.get() {
            tell(cause.to_string());
        }
    }

    /// Makes the files of a log at `path`.
    pub(super) fn prepare(&self, path: &Path, base: &LogBase) -> Result<Files, LogError> {
        self.must_be_off()?;
        Files::create(path, base)
    }

    /// Begins a log in `files` of what `image` holds now. No change may be under way.
    /// `ask` has what is collected written: see [`LogWriter::begin`].
    pub(super) fn start(
        &self,
        files: Files,
        image: &dyn Image,
        ask: impl Fn(Arc<LogWriter>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Result<(), LogError> {
        let _one_at_a_time = self.changing.try_lock().ok_or(LogError::IsChanging)?;
        self.must_be_off()?;
        self.current.store(Some(Arc::new(files.begin(image, ask)?)));
        self.is_on.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn must_be_off(&self) -> Result<(), LogError> {
        match &*self.current.load() {
            Some(started) if started.why_stopped().is_none() => {
                Err(LogError::IsOn(started.path.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Ends the log. What is recorded meanwhile is in it, or not.
    pub(super) fn stop(&self) -> Result<(), LogError> {
        let _one_at_a_time = self.changing.lock();
        self.is_on.store(false, Ordering::SeqCst);
        let started = self.current.swap(None).ok_or(LogError::NoLog)?;
        let finished = started.writer.finish();
        finished.map_err(|cause| LogError::Storage {
            path: started.path.clone(),
            cause,
        })
    }

    /// Ends the log by itself: from now on its line says `why`, until it is stopped or another one begins.
    pub(super) fn end(&self, why: &'static str) {
        let _one_at_a_time = self.changing.lock();
        if !self.is_on.swap(false, Ordering::SeqCst) {
            return;
        }
        let current = self.current.load_full();
        let finished = current.map(|started| {
            let _ = started.ended.set(why);
            started.writer.finish()
        });
        match finished {
            Some(Err(cause)) => self.tell(&cause),
            Some(Ok(())) | None => self.tell(&io::Error::other(why)),
        }
    }

    /// The line of `log`.
    pub(super) fn line(&self) -> LogLine {
        match &*self.current.load() {
            Some(started) => started.line(),
            None => LogLine::Off,
        }
    }
}

impl Started {
    fn why_stopped(&self) -> Option<String> {
        let failure = self.writer.failure().map(|cause| cause.to_string());
        failure.or_else(|| self.ended.get().map(|why| (*why).to_owned()))
    }

    fn line(&self) -> LogLine {
        let (entries, bytes) = self.writer.len();
        LogLine::On {
            path: self.path.clone(),
            entries,
            bytes,
            stopped: self.why_stopped(),
        }
    }
}

impl Files {
    fn create(path: &Path, base: &LogBase) -> Result<Self, LogError> {
        let line = path.to_str().filter(|line| !line.contains('\n'));
        let line = line.ok_or_else(|| LogError::BadPath(path.to_owned()))?;
        let log = NewFile::create(path, Existing::Empty)?;
        let base = match base {
            LogBase::Beside => Some(format!("{line}{BASE_SUFFIX}")),
            LogBase::At(base) => Some(base.clone()),
            LogBase::None => None,
        };
        let base = base.map(|path| {
            let file = NewFile::create(path.as_ref(), Existing::No)?;
            Ok::<_, LogError>((path, file))
        });
        Ok(Self {
            path: line.to_owned(),
            log,
            base: base.transpose()?,
        })
    }

    fn begin(
        self,
        image: &dyn Image,
        ask: impl Fn(Arc<LogWriter>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Result<Started, LogError> {
        if let Some((path, file)) = &self.base {
            copy(image, file.file()).map_err(|cause| LogError::Base {
                path: path.clone(),
                cause,
            })?;
        }
        let file = self.log.file().try_clone();
        let writer = file
            .and_then(|file| LogWriter::begin(file, ask))
            .map_err(|cause| LogError::Storage {
                path: self.path.clone(),
                cause,
            })?;
        self.log.keep();
        self.base.into_iter().for_each(|(_, file)| file.keep());
        Ok(Started {
            path: self.path,
            writer: Arc::new(writer),
            ended: OnceLock::new(),
        })
    }
}
