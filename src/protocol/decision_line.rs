//! A line of `decisions`: a rule that has acted on a request.
//!
//! The rules of a line are text, since rules are above this layer.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::line::{BadLine, NO_RULES, Seconds, parse_seconds};
use super::op::Op;

/// A line of `decisions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecisionsLine<'a> {
    /// A rule has acted.
    Fired(DecisionLine<'a>),
    /// Something about the stream itself. Prints as `# TEXT`.
    Remark(String),
}

/// A rule that has acted on a request. Prints as `SEQUENCE SECONDS OP SECTOR COUNT touch=N rule=ID since=SEQUENCE RULE ->
/// REPLAY [note: TEXT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionLine<'a> {
    /// Counts the decisions of the disk while somebody reads them.
    pub sequence: u64,
    /// When it was decided, by the clock of dmesg; shown in microseconds.
    pub time: Duration,
    /// The kind of the request.
    pub op: Op,
    /// Its first sector.
    pub sector: u64,
    /// How many sectors it touches.
    pub count: u64,
    /// Which request it is, from 1, of those with this operation that touch the same sectors and came to the rule's
    /// stage since the rule was armed. None, printed as `-`, if that is not known.
    pub touch: Option<u64>,
    /// The number of the rule among the edits of the disk's rules, from 0.
    pub rule_id: u64,
    /// The sequence of the latest decision before the rule was armed; 0 if there was none.
    pub since: u64,
    /// The rule, as a trace shows it.
    pub rule: Cow<'a, str>,
    /// The rule that does the same to the same request of another run. None, printed as `-`, if there is none.
    pub replay: Option<Cow<'a, str>>,
    /// Why the replay may differ.
    pub note: Option<Cow<'a, str>>,
}

const REMARK: &str = "# ";
const REPLAY: &str = " -> ";
const NOTE: &str = " note: ";

impl fmt::Display for DecisionsLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fired(decision) => decision.fmt(f),
            Self::Remark(text) => write!(f, "{REMARK}{text}"),
        }
    }
}

impl fmt::Display for DecisionLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sequence,
            op,
            sector,
            count,
            rule_id,
            since,
            rule,
            ..
        } = self;
        let seconds = Seconds(self.time);
        let touch = self.touch.map_or(NO_RULES.into(), |n| n.to_string());
        let replay = self.replay.as_deref().unwrap_or(NO_RULES);
        write!(
            f,
            "{sequence} {seconds} {op} {sector} {count} touch={touch} rule={rule_id} since={since} \
             {rule}{REPLAY}{replay}"
        )?;
        match &self.note {
            Some(note) => write!(f, "{NOTE}{note}"),
            None => Ok(()),
        }
    }
}

impl FromStr for DecisionsLine<'static> {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        match line.strip_prefix(REMARK) {
            Some(text) => Ok(Self::Remark(text.to_owned())),
            None => line.parse().map(Self::Fired),
        }
    }
}

impl FromStr for DecisionLine<'static> {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        parse(line).ok_or_else(|| BadLine::new("a line of `decisions`", line))
    }
}

fn parse(line: &str) -> Option<DecisionLine<'static>> {
    let mut words = line.splitn(9, ' ');
    let sequence = words.next()?.parse().ok()?;
    let time = parse_seconds(words.next()?)?;
    let op = Op::named(words.next()?)?;
    let sector = words.next()?.parse().ok()?;
    let count = words.next()?.parse().ok()?;
    let mut value = |key: &str| words.next()?.strip_prefix(key);
    let touch = match value("touch=")? {
        NO_RULES => None,
        number => Some(number.parse().ok()?),
    };
    let rule_id = value("rule=")?.parse().ok()?;
    let since = value("since=")?.parse().ok()?;
    let (rule, rest) = words.next()?.split_once(REPLAY)?;
    let (replay, note) = match rest.split_once(NOTE) {
        Some((replay, note)) => (replay, Some(note.to_owned().into())),
        None => (rest, None),
    };
    Some(DecisionLine {
        sequence,
        time,
        op,
        sector,
        count,
        touch,
        rule_id,
        since,
        rule: rule.to_owned().into(),
        replay: (replay != NO_RULES).then(|| replay.to_owned().into()),
        note,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decision_line_is_parsed_as_it_is_printed() {
        for text in [
            "1 12.000345 write 8 8 touch=3 rule=0 since=0 error op=write errno=EIO p=0.1 -> error op=write errno=EIO at=8+8 \
             skip=2 times=1",
            "19 0.000000 flush 0 0 touch=- rule=7 since=4 lose op=flush -> -",
            "20 1.500000 read 7 9 touch=1 rule=18446744073709551615 since=0 stale -> stale at=7+9 times=1 note: why not",
            "# 7 lines were lost",
        ] {
            let line: DecisionsLine<'_> = text.parse().unwrap();
            assert_eq!(line.to_string(), text);
        }
        for bad in [
            "",
            "#",
            "1 12.0 write 8 8 touch=3 rule=0 since=0 slow",
            "1 12.0 write 8 8 touch=x rule=0 since=0 slow -> slow",
            "1 12.0 write 8 8 rule=0 touch=1 since=0 slow -> slow",
        ] {
            assert!(bad.parse::<DecisionsLine<'_>>().is_err(), "{bad}");
        }
    }
}
