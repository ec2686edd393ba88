//! A line of `ctl/events`: what has happened to a disk as a whole.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::checkpoint::CheckpointCommand;
use super::line::{BadLine, Seconds, parse_seconds};
use super::power::CutReport;

/// Something that has happened to a disk. Prints as `SECONDS ID WHAT ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLine {
    /// When, by the clock of dmesg; shown in microseconds.
    pub time: Duration,
    /// The disk.
    pub id: String,
    /// What it was.
    pub what: DiskEvent,
}

/// What has happened to a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskEvent {
    /// Its power was cut, by a rule where one stands. Prints as `cut kept=K lost=L seed=S cut=N [by RULE]`.
    Cut(CutReport, Option<String>),
    /// Its power has returned. Prints as `on`.
    On,
    /// Its oldest pending requests became durable early, for want of memory; told of once. Prints as `evicted
    /// requests=N bytes=B`.
    Evicted {
        /// How many.
        requests: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// A checkpoint was saved, returned to or dropped. Prints as `checkpoint COMMAND`.
    Checkpoint(CheckpointCommand),
    /// Its log has ended by itself. Prints as `log stopped: WHY`.
    LogStopped(String),
}

const BY: &str = " by ";
const CHECKPOINT: &str = "checkpoint ";
const LOG_STOPPED: &str = "log stopped: ";

impl fmt::Display for DiskEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(report, None) => write!(f, "cut {report}"),
            Self::Cut(report, Some(rule)) => write!(f, "cut {report}{BY}{rule}"),
            Self::On => f.write_str("on"),
            Self::Evicted { requests, bytes } => {
                write!(f, "evicted requests={requests} bytes={bytes}")
            }
            Self::Checkpoint(command) => write!(f, "{CHECKPOINT}{command}"),
            Self::LogStopped(why) => write!(f, "{LOG_STOPPED}{why}"),
        }
    }
}

impl FromStr for DiskEvent {
    type Err = BadLine;

    fn from_str(text: &str) -> Result<Self, BadLine> {
        let parse = || {
            if text == "on" {
                return Some(Self::On);
            }
            if let Some(why) = text.strip_prefix(LOG_STOPPED) {
                return Some(Self::LogStopped(why.to_owned()));
            }
            if let Some(command) = text.strip_prefix(CHECKPOINT) {
                return command.parse().ok().map(Self::Checkpoint);
            }
            if let Some(cut) = text.strip_prefix("cut ") {
                let (report, rule) = match cut.split_once(BY) {
                    Some((report, rule)) => (report, Some(rule.to_owned())),
                    None => (cut, None),
                };
                return Some(Self::Cut(report.parse().ok()?, rule));
            }
            let evicted = text.strip_prefix("evicted requests=")?;
            let (requests, bytes) = evicted.split_once(" bytes=")?;
            Some(Self::Evicted {
                requests: requests.parse().ok()?,
                bytes: bytes.parse().ok()?,
            })
        };
        parse().ok_or_else(|| BadLine::new("an event of a disk", text))
    }
}

impl fmt::Display for EventLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = Seconds(self.time);
        write!(f, "{seconds} {} {}", self.id, self.what)
    }
}

impl FromStr for EventLine {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        let parse = || {
            let mut words = line.splitn(3, ' ');
            Some(Self {
                time: parse_seconds(words.next()?)?,
                id: words.next()?.to_owned(),
                what: words.next()?.parse().ok()?,
            })
        };
        parse().ok_or_else(|| BadLine::new("a line of `ctl/events`", line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_line_is_parsed_as_it_is_printed() {
        for text in [
            "12.000345 vda cut kept=1 lost=2 seed=3 cut=4",
            "12.000345 vda cut kept=0 lost=0 seed=3 cut=1 by cut op=flush point=before",
            "0.500000 v.1 on",
            "0.500000 vda evicted requests=3 bytes=12288",
            "0.500000 vda checkpoint save a faults=yes",
            "0.500000 vda checkpoint restore a",
            "0.500000 vda log stopped: No space left on device",
        ] {
            let line: EventLine = text.parse().unwrap();
            assert_eq!(line.to_string(), text);
        }
        for bad in [
            "",
            "1.0 vda",
            "1.0 vda off",
            "x vda on",
            "1.0 vda cut kept=1",
        ] {
            assert!(bad.parse::<EventLine>().is_err(), "{bad}");
        }
    }
}
