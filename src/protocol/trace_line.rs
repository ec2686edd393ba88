//! A line of `trace`: a request that was answered.
//!
//! The rules of a line are text, since rules are above this layer. The server lends them from its own copy.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::effect::Effect;
use super::errno::Errno;
use super::event_line::DiskEvent;
use super::line::{BadLine, Seconds, parse_seconds, push_milliseconds, push_number, push_seconds};
use super::op::Op;
use crate::units::duration::parse_duration;

/// A line of `trace`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceLine<'a> {
    /// A request was answered.
    Answered(Answered<'a>),
    /// Something else happened between requests.
    Noted(Noted),
    /// This many lines are missing here: the reader was too slow. Prints as `# N lines were lost`.
    Lost(u64),
}

/// A request that was answered. Prints as `SEQUENCE SECONDS OP SECTOR COUNT VERDICT LATENCY RULES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered<'a> {
    /// Counts the answers of the disk while somebody reads the trace.
    pub sequence: u64,
    /// When it was answered, by the clock of dmesg; shown in microseconds.
    pub time: Duration,
    /// Its kind.
    pub op: Op,
    /// Its first sector.
    pub sector: u64,
    /// How many sectors it touches.
    pub count: u64,
    /// How it was answered.
    pub verdict: Verdict,
    /// From arrival to answer; shown in microseconds.
    pub latency: Duration,
    /// The rules that acted on it, as shown: [`NO_RULES`](super::NO_RULES) without any.
    pub rules: Cow<'a, str>,
}

/// What happened between requests. Prints as `SEQUENCE SECONDS mark TEXT`, or as `SEQUENCE SECONDS disk EVENT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Its number among the lines of the disk.
    pub sequence: u64,
    /// When, by the clock of dmesg; shown in microseconds.
    pub time: Duration,
    /// What it was.
    pub note: Note,
}

/// What happened between requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Somebody has set a mark with this text, which is one line.
    Mark(String),
    /// Something has happened to the disk as a whole.
    Disk(DiskEvent),
}

/// How a request was answered. Prints as the effects of rules and the error, with `+` between them; `ok` when
/// there is neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What rules did to it, one for each rule.
    pub effects: Vec<Effect>,
    /// What its client was told.
    pub completion: Completion,
}

/// What the client of a request is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// That it is done.
    Done,
    /// An error that a rule asked for.
    Injected(Errno),
    /// An error of the host. Prints with `host:` before it.
    Host(Errno),
    /// EIO, because the power is off. Prints as `power:EIO`.
    PowerOff,
}

const MARK: &str = "mark";
const DISK: &str = "disk";
const OK: &str = "ok";
const POWER_OFF: &str = "power:EIO";
const HOST: &str = "host:";
const LOST: &str = " lines were lost";

impl fmt::Display for TraceLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(answered) => answered.fmt(f),
            Self::Noted(noted) => noted.fmt(f),
            Self::Lost(number) => write!(f, "# {number}{LOST}"),
        }
    }
}

impl Answered<'_> {
    /// Adds its line to `text`, quicker than it prints.
    pub fn write_to(&self, text: &mut String) {
        push_number(text, self.sequence, 1);
        text.push(' ');
        push_seconds(text, self.time);
        text.push(' ');
        text.push_str(self.op.name());
        for number in [self.sector, self.count] {
            text.push(' ');
            push_number(text, number, 1);
        }
        text.push(' ');
        self.verdict.write_to(text);
        text.push(' ');
        push_milliseconds(text, self.latency);
        text.push(' ');
        text.push_str(&self.rules);
    }
}

impl fmt::Display for Answered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write_to(&mut text);
        f.write_str(&text)
    }
}

impl fmt::Display for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = Seconds(self.time);
        write!(f, "{} {seconds} {}", self.sequence, self.note)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mark(text) => write!(f, "{MARK} {text}"),
            Self::Disk(event) => write!(f, "{DISK} {event}"),
        }
    }
}

impl Verdict {
    fn write_to(&self, text: &mut String) {
        let mut between = "";
        for effect in &self.effects {
            text.push_str(between);
            text.push_str(effect.name());
            between = "+";
        }
        let (before, errno) = match self.completion {
            Completion::Done if self.effects.is_empty() => return text.push_str(OK),
            Completion::Done => return,
            Completion::Injected(errno) => ("", errno.to_string()),
            Completion::Host(errno) => (HOST, errno.to_string()),
            Completion::PowerOff => ("", POWER_OFF.to_owned()),
        };
        text.push_str(between);
        text.push_str(before);
        text.push_str(&errno);
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write_to(&mut text);
        f.write_str(&text)
    }
}

impl FromStr for TraceLine<'static> {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        if let Some(rest) = line.strip_prefix("# ") {
            let number = rest
                .strip_suffix(LOST)
                .and_then(|number| number.parse().ok());
            return number.map(Self::Lost).ok_or_else(|| bad(line));
        }
        let noted = line.parse().map(Self::Noted);
        noted.or_else(|_| line.parse().map(Self::Answered))
    }
}

impl FromStr for Noted {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        let parse = || {
            let mut words = line.splitn(4, ' ');
            Some(Self {
                sequence: words.next()?.parse().ok()?,
                time: parse_seconds(words.next()?)?,
                note: match (words.next()?, words.next()?) {
                    (MARK, text) => Note::Mark(text.to_owned()),
                    (DISK, event) => Note::Disk(event.parse().ok()?),
                    _ => return None,
                },
            })
        };
        parse().ok_or_else(|| bad(line))
    }
}

impl FromStr for Answered<'static> {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        let parse = || {
            let mut words = line.splitn(8, ' ');
            Some(Self {
                sequence: words.next()?.parse().ok()?,
                time: parse_seconds(words.next()?)?,
                op: Op::named(words.next()?)?,
                sector: words.next()?.parse().ok()?,
                count: words.next()?.parse().ok()?,
                verdict: words.next()?.parse().ok()?,
                latency: parse_duration(words.next()?)?,
                rules: words.next()?.to_owned().into(),
            })
        };
        parse().ok_or_else(|| bad(line))
    }
}

impl FromStr for Verdict {
    type Err = BadLine;

    fn from_str(text: &str) -> Result<Self, BadLine> {
        let mut verdict = Self {
            effects: Vec::new(),
            completion: Completion::Done,
        };
        if text == OK {
            return Ok(verdict);
        }
        for word in text.split('+') {
            let errno = |name: &str| name.parse().map_err(|_| bad(text));
            match (Effect::named(word), word.strip_prefix(HOST)) {
                (Some(effect), _) => verdict.effects.push(effect),
                _ if word == POWER_OFF => verdict.completion = Completion::PowerOff,
                (None, Some(name)) => verdict.completion = Completion::Host(errno(name)?),
                (None, None) => verdict.completion = Completion::Injected(errno(word)?),
            }
        }
        Ok(verdict)
    }
}

fn bad(text: &str) -> BadLine {
    BadLine::new("a line of `trace`", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_line_is_parsed_as_it_is_printed() {
        for text in [
            "1 12.000345 read 1 8 ok 1.500ms -",
            "18 99999.999999 write 0 1 delayed+lost 50.123ms slow; lose op=write",
            "19 0.000000 flush 0 0 EIO 0.000ms error op=flush errno=EIO",
            "20 1.500000 zero 7 9 held+host:ENOSYS 0.010ms hang",
            "21 1.500000 write 7 9 torn+400 0.010ms tear",
            "22 1.500000 write 7 9 power:EIO 0.010ms -",
            "23 1.500000 mark after mkfs",
            "24 1.500000 disk cut kept=0 lost=1 seed=7 cut=1",
            "# 7 lines were lost",
        ] {
            let line: TraceLine<'_> = text.parse().unwrap();
            assert_eq!(line.to_string(), text);
        }
        for bad in [
            "",
            "# lines were lost",
            "1 1.0 read 1 8 ok 1.500ms",
            "1 1.0 read 1 8 fine 1.500ms -",
            "1 1.0 erase 1 8 ok 1.500ms -",
        ] {
            assert!(bad.parse::<TraceLine<'_>>().is_err(), "{bad}");
        }
    }
}
