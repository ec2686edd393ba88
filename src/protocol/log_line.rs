//! What `log` takes and reads: the write log of a disk.

use std::fmt;
use std::str::FromStr;

use super::line::{BadLine, quoted};

/// What `log` takes. Prints as `start PATH [base=PATH|none]` or `stop`, quoted as for a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogCommand {
    /// Begins a log.
    Start {
        /// Its path.
        path: String,
        /// Where a copy of what the disk holds at its beginning is kept.
        base: LogBase,
    },
    /// Ends the log.
    Stop,
}

/// Where a copy of what a disk holds at the beginning of its log is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogBase {
    /// Beside the log: at its path with `.base` added.
    #[default]
    Beside,
    /// Nowhere.
    None,
    /// At this path.
    At(String),
}

/// What `log` reads. Prints as `off`, as `PATH entries=N bytes=B`, or as the latter with why the log has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogLine {
    /// There is no log.
    Off,
    /// There is one, or there was one until it could not be written any more.
    On {
        /// Its path.
        path: String,
        /// Its entries, marks included.
        entries: u64,
        /// Its length in bytes.
        bytes: u64,
        /// Why it has ended.
        stopped: Option<String>,
    },
}

const STOP: &str = "stop";
const NO_LOG: &str = "off";
const BASE: &str = "base=";
const NO_BASE: &str = "none";
const STOPPED: &str = " stopped: ";

impl fmt::Display for LogCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Start { path, base } = self else {
            return f.write_str(STOP);
        };
        write!(f, "start {}", quoted(path))?;
        match base {
            LogBase::Beside => Ok(()),
            LogBase::None => write!(f, " {BASE}{NO_BASE}"),
            LogBase::At(base) => write!(f, " {}", quoted(&format!("{BASE}{base}"))),
        }
    }
}

impl FromStr for LogCommand {
    type Err = BadLine;

    fn from_str(text: &str) -> Result<Self, BadLine> {
        let words = shlex::split(text).unwrap_or_default();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let base = |word: &str| match word.strip_prefix(BASE)? {
            NO_BASE => Some(LogBase::None),
            path => Some(LogBase::At(path.to_owned())),
        };
        let start = |path: &str, base| Self::Start {
            path: path.to_owned(),
            base,
        };
        let command = match words.as_slice() {
            [STOP] => Some(Self::Stop),
            ["start", path] => Some(start(path, LogBase::Beside)),
            ["start", path, word] => base(word).map(|base| start(path, base)),
            _ => None,
        };
        command.ok_or_else(|| BadLine::new("a line for `log`", text))
    }
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str(NO_LOG),
            Self::On {
                path,
                entries,
                bytes,
                stopped,
            } => {
                write!(f, "{} entries={entries} bytes={bytes}", quoted(path))?;
                match stopped {
                    Some(why) => write!(f, "{STOPPED}{why}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl FromStr for LogLine {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        if line == NO_LOG {
            return Ok(Self::Off);
        }
        let parse = || {
            let (log, stopped) = match line.split_once(STOPPED) {
                Some((log, why)) => (log, Some(why.to_owned())),
                None => (line, None),
            };
            let words = shlex::split(log)?;
            let [path, entries, bytes] = words.as_slice() else {
                return None;
            };
            Some(Self::On {
                path: path.clone(),
                entries: entries.strip_prefix("entries=")?.parse().ok()?,
                bytes: bytes.strip_prefix("bytes=")?.parse().ok()?,
                stopped,
            })
        };
        parse().ok_or_else(|| BadLine::new("a line of `log`", line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_command_is_parsed_as_it_is_printed() {
        for text in [
            "stop",
            "start /tmp/a.log",
            "start '/tmp/two words' base=none",
            "start /a 'base=/two words'",
        ] {
            let command: LogCommand = text.parse().unwrap();
            assert_eq!(command.to_string(), text);
        }
        for bad in [
            "",
            "start",
            "stop now",
            "start /a /b",
            "start '/a",
            "begin /a",
        ] {
            assert!(bad.parse::<LogCommand>().is_err(), "{bad}");
        }
    }

    #[test]
    fn log_line_is_parsed_as_it_is_printed() {
        for text in [
            "off",
            "/tmp/a.log entries=2 bytes=1024",
            "'/tmp/two words' entries=0 bytes=512 stopped: No space left on device",
        ] {
            let line: LogLine = text.parse().unwrap();
            assert_eq!(line.to_string(), text);
        }
        for bad in ["", "on", "/a entries=x bytes=1"] {
            assert!(bad.parse::<LogLine>().is_err(), "{bad}");
        }
    }
}
