//! The log of a server: where its lines go, and which. A line is never waited for: a queue of bounded length leads to
//! the one thread that writes, and lines that find no place are counted instead.
//!
//! Modules log by the macros of `tracing`. Nothing is logged per request on the data path.

mod format;
mod named_file;
mod panics;
mod queue;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use format::LineFormat;
use named_file::NamedFile;
use queue::{Queue, Sink};

pub use panics::panic_file;

/// How long the end of a server waits for lines that its log has not taken yet.
const END: Duration = Duration::from_secs(1);

/// The name for standard error in the place of a file.
pub const STANDARD_ERROR: &str = "-";

/// What is logged, and where.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// A file, or [`STANDARD_ERROR`]. Without it the journal gets the lines, if it reads standard error, or nobody.
    pub path: Option<PathBuf>,
    /// The least urgent lines that are logged: `off`, `error`, `warn`, `info` or `debug`.
    pub level: String,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            path: None,
            level: "info".into(),
        }
    }
}

/// Why a log cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be opened.
    #[error("cannot write the log {}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the host said.
        cause: io::Error,
    },
    /// A level that there is none of.
    #[error("no log level `{0}` (known: off, error, warn, info, debug)")]
    Level(String),
    /// There is a log.
    #[error("this process has a log already")]
    IsOn,
}

/// The log of this process. It lasts as long as the process; dropping it writes what waits.
#[derive(Debug)]
pub struct Log {
    queue: Option<Queue>,
}

impl Log {
    /// Starts the log of this process, and has it take panics too. Call it before the server mounts: a file is found
    /// in its folder as that is now.
    pub fn start(options: &LogOptions) -> Result<Self, LogError> {
        let level: LevelFilter = options
            .level
            .parse()
            .map_err(|_| LogError::Level(options.level.clone()))?;
        let Some((sink, format)) = target(options.path.as_deref())? else {
            record_panics();
            return Ok(Self { queue: None });
        };
        let queue = Queue::start(sink, format).map_err(|cause| LogError::File {
            path: options.path.clone().unwrap_or_default(),
            cause,
        })?;
        let writer = queue.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .event_format(format)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::IsOn)?;
        panics::record(Some(queue.clone()));
        Ok(Self { queue: Some(queue) })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.flush(END);
        }
    }
}

/// Records panics of a process without a log: to [`panic_file`].
pub fn record_panics() {
    panics::record(None);
}

/// Where lines go, and how they look; None where nobody would read them.
fn target(path: Option<&Path>) -> Result<Option<(Sink, LineFormat)>, LogError> {
    let is_journal = journal_reads_standard_error();
    match path {
        None if is_journal => Ok(Some((Sink::StandardError, LineFormat::Journal))),
        None => Ok(None),
        Some(path) if path.as_os_str() == STANDARD_ERROR => {
            let format = match is_journal {
                true => LineFormat::Journal,
                false => LineFormat::File,
            };
            Ok(Some((Sink::StandardError, format)))
        }
        Some(path) => {
            let file = NamedFile::open(path).map_err(|cause| LogError::File {
                path: path.to_owned(),
                cause,
            })?;
            Ok(Some((Sink::File(file), LineFormat::File)))
        }
    }
}

/// Whether systemd has connected standard error with its journal: systemd.exec(5), `$JOURNAL_STREAM`.
fn journal_reads_standard_error() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let found = std::fs::metadata("/proc/self/fd/2");
    found.is_ok_and(|found| stream == format!("{}:{}", found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journal_is_known_by_the_device_and_inode_of_standard_error() {
        // No other test of this process reads the variable; this one only looks at it.
        let found = std::fs::metadata("/proc/self/fd/2").unwrap();
        let said = std::env::var("JOURNAL_STREAM").unwrap_or_default();
        let ours = format!("{}:{}", found.dev(), found.ino());
        assert_eq!(journal_reads_standard_error(), said == ours);
    }

    #[test]
    fn level_that_there_is_none_of_is_named_with_the_known_ones() {
        let options = LogOptions {
            level: "loud".into(),
            ..LogOptions::default()
        };
        let error = Log::start(&options).unwrap_err().to_string();
        assert_eq!(
            error,
            "no log level `loud` (known: off, error, warn, info, debug)"
        );
    }
}
