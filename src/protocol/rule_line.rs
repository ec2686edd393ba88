//! A line of `rules`: an armed rule and what it has done.
//!
//! The rule itself is text, since rules are above this layer: `fault` makes the line of a rule, and the rule of
//! a line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::line::BadLine;
use super::switch::Switch;
use crate::units::duration::{parse_duration, show_duration};

/// What stands before the reason why a rule can never act.
const NEVER: &str = " never: ";
/// What stands before another remark.
const NOTE: &str = " note: ";
/// The rule that this rule's `when=` names has fired, and is removed.
const WOKEN: &str = "woken";

/// A line of `rules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RulesLine {
    /// All rules are switched off: the first line while they are.
    Off,
    /// A rule.
    Rule(RuleLine),
}

/// An armed rule, and what it has done. Prints as `RULE considered=N matched=N fired=N left=N age=TIME
/// drawn_from=SEED [woken] [bad=START+COUNT,...|bad=-] [healed=N refused=N] [never: REASON|note: TEXT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleLine {
    /// The rule's text.
    pub rule: String,
    /// What it has counted.
    pub counts: Counts,
    /// How often it may still act, where that is limited.
    pub left: Option<u64>,
    /// How long ago it was armed, to the microsecond.
    pub age: Duration,
    /// The seed of its random numbers.
    pub seed: u64,
    /// Whether the rule that its `when=` names has fired and is removed.
    pub woken: bool,
    /// Ranges of sectors, as the first with how many, of a rule whose sectors were found when it was armed: what is left
    /// of them, if they heal.
    pub bad: Option<Vec<(u64, u64)>>,
    /// Of a rule whose sectors heal: how many have, and how many writes have failed instead.
    pub healed: Option<(u64, u64)>,
    /// What a user should know of it.
    pub remark: Option<Remark>,
}

/// What a rule has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests of its operations and sectors that no earlier rule had decided.
    pub considered: u64,
    /// Requests that match all selectors but the counting ones.
    pub matched: u64,
    /// How often it acted.
    pub fired: u64,
}

/// Something about an armed rule that its user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// It can never act, for this reason.
    Never(String),
    /// It acts, and this may be a surprise.
    Note(String),
}

impl RuleLine {
    /// Why it can never act, if it cannot.
    pub fn never(&self) -> Option<&str> {
        match &self.remark {
            Some(Remark::Never(why)) => Some(why),
            Some(Remark::Note(_)) | None => None,
        }
    }

    /// A sentence for a rule that can never act or may surprise.
    pub fn warning(&self) -> Option<String> {
        Some(match self.remark.as_ref()? {
            Remark::Never(why) => format!("`{}` can never act: {why}", self.rule),
            Remark::Note(note) => format!("`{}`: {note}", self.rule),
        })
    }
}

impl fmt::Display for RulesLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => Switch::Off.fmt(f),
            Self::Rule(rule) => rule.fmt(f),
        }
    }
}

impl FromStr for RulesLine {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        match line == Switch::Off.name() {
            true => Ok(Self::Off),
            false => line.parse().map(Self::Rule),
        }
    }
}

impl fmt::Display for RuleLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            considered,
            matched,
            fired,
        } = self.counts;
        let (rule, age, seed) = (&self.rule, show_duration(self.age), self.seed);
        write!(
            f,
            "{rule} considered={considered} matched={matched} fired={fired} "
        )?;
        match self.left {
            Some(left) => write!(f, "left={left}")?,
            None => f.write_str("left=-")?,
        }
        write!(f, " age={age} drawn_from={seed}")?;
        if self.woken {
            write!(f, " {WOKEN}")?;
        }
        if let Some(bad) = &self.bad {
            let bad: Vec<_> = bad
                .iter()
                .map(|(start, n)| format!("{start}+{n}"))
                .collect();
            let bad = if bad.is_empty() {
                "-".to_owned()
            } else {
                bad.join(",")
            };
            write!(f, " bad={bad}")?;
        }
        if let Some((healed, refused)) = self.healed {
            write!(f, " healed={healed} refused={refused}")?;
        }
        match &self.remark {
            Some(Remark::Never(why)) => write!(f, "{NEVER}{why}"),
            Some(Remark::Note(note)) => write!(f, "{NOTE}{note}"),
            None => Ok(()),
        }
    }
}

impl FromStr for RuleLine {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        parse_rule_line(line).ok_or_else(|| BadLine::new("a line of `rules`", line))
    }
}

fn parse_rule_line(line: &str) -> Option<RuleLine> {
    let (line, remark) = parse_remark(line);
    let (rule, counters) = line.split_once(" considered=")?;
    let mut words = counters.split_whitespace();
    let considered = words.next()?.parse().ok()?;
    let mut value = |key: &str| words.next()?.strip_prefix(key);
    let counts = Counts {
        considered,
        matched: value("matched=")?.parse().ok()?,
        fired: value("fired=")?.parse().ok()?,
    };
    let left = value("left=")?.parse().ok();
    let age = parse_duration(value("age=")?)?;
    let seed = value("drawn_from=")?.parse().ok()?;
    let mut words = words.peekable();
    let woken = words.next_if_eq(&WOKEN).is_some();
    let bad = words.next_if(|word| word.starts_with("bad="));
    let bad = bad.map(|word| parse_bad(&word["bad=".len()..]));
    let healed = words.next_if(|word| word.starts_with("healed="));
    let healed = healed.map(|word| {
        let number = |word: &str, key| word.strip_prefix(key)?.parse().ok();
        Some((number(word, "healed=")?, number(words.next()?, "refused=")?))
    });
    Some(RuleLine {
        rule: rule.to_owned(),
        counts,
        left,
        age,
        seed,
        woken,
        bad: match bad {
            Some(bad) => Some(bad?),
            None => None,
        },
        healed: match healed {
            Some(healed) => Some(healed?),
            None => None,
        },
        remark,
    })
}

/// Ranges as START+COUNT with commas; `-` is none.
fn parse_bad(text: &str) -> Option<Vec<(u64, u64)>> {
    let range = |text: &str| {
        let (start, count) = text.split_once('+')?;
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    match text {
        "-" => Some(Vec::new()),
        text => text.split(',').map(range).collect(),
    }
}

fn parse_remark(line: &str) -> (&str, Option<Remark>) {
    if let Some((line, why)) = line.split_once(NEVER) {
        return (line, Some(Remark::Never(why.to_owned())));
    }
    match line.split_once(NOTE) {
        Some((line, note)) => (line, Some(Remark::Note(note.to_owned()))),
        None => (line, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_line_is_parsed_as_it_is_printed() {
        for text in [
            "off",
            "slow considered=3 matched=2 fired=1 left=- age=1500ms drawn_from=0",
            "error op=read errno=EIO at=8+1 times=2 considered=0 matched=0 fired=0 left=2 age=0s \
             drawn_from=18446744073709551615 woken",
            "lose op=flush when=a considered=0 matched=0 fired=0 left=- age=1us drawn_from=7 never: no rule \
             has the tag `a`",
            "eio_read heal=write sectors=3 considered=0 matched=0 fired=0 left=- age=0s drawn_from=7 woken bad=8+1,10+2 \
             healed=0 refused=2 note: a",
            "lose op=write sectors=3 considered=0 matched=0 fired=0 left=- age=0s drawn_from=7 bad=- never: b",
            "stale considered=0 matched=0 fired=0 left=- age=2m drawn_from=7 woken note: memory is full",
        ] {
            let line: RulesLine = text.parse().unwrap();
            assert_eq!(line.to_string(), text);
        }
        for bad in [
            "",
            "on",
            "slow",
            "slow considered=1 matched=1 fired=x left=- age=0s drawn_from=0",
            "slow considered=1 matched=1 fired=1 left=- age=0s drawn_from=0 bad=8",
            "slow considered=1 matched=1 fired=1 left=- age=0s drawn_from=0 bad=- healed=1",
        ] {
            assert!(bad.parse::<RulesLine>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rule_line_says_why_a_rule_never_acts() {
        let line = "slow considered=3 matched=2 fired=1 left=- age=0s drawn_from=0";
        let parse = |text: &str| text.parse::<RuleLine>().unwrap();
        assert_eq!(parse(line).never(), None);
        assert_eq!(parse(&format!("{line} note: x")).never(), None);
        assert_eq!(parse(&format!("{line} never: x y")).never(), Some("x y"));
    }
}
