//! A line of `ctl/ID/rules`: a rule and what it has done, as both sides of a mount know it.

use std::fmt;
use std::time::Duration;

use super::{Armed, Counts, Remark, Rule, parse_rule};
use crate::units::duration::{parse_duration, show_duration};

/// What stands before the reason why a rule can never act.
const NEVER: &str = " never: ";
/// What stands before whatever else is to be known.
const NOTE: &str = " note: ";
/// What a rule's `when=` waited for has happened, and is armed no more.
const WOKEN: &str = "woken";

/// A rule, and what it has done. Prints as the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleState {
    /// The rule's text.
    pub rule: String,
    /// What it has counted.
    pub counts: Counts,
    /// How often it may still act, where that is limited.
    pub left: Option<u64>,
    /// How long ago it was armed.
    pub age: Duration,
    /// Where its random numbers begin.
    pub seed: u64,
    /// It waits for its `when=` no more.
    pub woken: bool,
    /// Why it can never act, or what else is to be known.
    pub remark: Option<Remark>,
}

impl RuleState {
    /// The state of `armed` at `now`.
    pub fn of(armed: &Armed, now: Duration, remark: Option<Remark>) -> Self {
        let counts = armed.counts();
        let left = |times: u64| times.saturating_sub(counts.fired);
        Self {
            rule: armed.rule.to_string(),
            counts,
            left: armed.rule.times.map(left),
            age: now.saturating_sub(armed.since),
            seed: armed.seed,
            woken: armed.is_woken(),
            remark,
        }
    }

    /// Reads a line.
    pub fn parse(line: &str) -> Option<Self> {
        let (line, remark) = parse_remark(line);
        let (rule, counters) = line.split_once(" considered=")?;
        let mut words = counters.split_whitespace();
        let considered = words.next()?.parse().ok()?;
        let mut value = |key: &str| words.next()?.strip_prefix(key);
        Some(Self {
            rule: rule.to_owned(),
            counts: Counts {
                considered,
                matched: value("matched=")?.parse().ok()?,
                fired: value("fired=")?.parse().ok()?,
            },
            left: value("left=")?.parse().ok(),
            age: parse_duration(value("age=")?)?,
            seed: value("drawn_from=")?.parse().ok()?,
            woken: words.next() == Some(WOKEN),
            remark,
        })
    }

    /// Why it can never act, if it cannot.
    pub fn never(&self) -> Option<&str> {
        match &self.remark {
            Some(Remark::Never(why)) => Some(why),
            _ => None,
        }
    }

    /// Whether `name` is the rule, in whichever words, or its tag.
    pub fn is_called(&self, name: &RuleName) -> bool {
        let last = self.rule.rsplit(' ').next();
        name.texts.contains(&self.rule)
            || last.and_then(|word| word.strip_prefix("tag=")) == Some(&*name.given)
    }

    /// The rule as it is armed, for a `now` of the caller's choice. None when its text is no rule.
    pub fn armed(&self, id: u64, now: Duration) -> Option<Armed> {
        let rule = parse_rule(&self.rule, 1).ok()?;
        let armed = Armed::new(id, rule, now.saturating_sub(self.age), self.seed);
        Some(armed.counting_from(self.counts, self.woken))
    }
}

/// What somebody calls a rule by: a tag, or a text that parses to it.
#[derive(Clone, Debug)]
pub struct RuleName {
    given: String,
    /// How a rule like this prints.
    texts: Vec<String>,
}

impl RuleName {
    /// The name that `text` is.
    pub fn new(text: &str) -> Self {
        let rule = parse_rule(text, 1);
        Self {
            given: text.to_owned(),
            texts: rule.map(Rule::spellings).unwrap_or_default(),
        }
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

impl fmt::Display for RuleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            counts,
            left,
            age,
            seed,
            woken,
            remark,
        } = self;
        let Counts {
            considered,
            matched,
            fired,
        } = counts;
        let left = left.map_or("-".to_owned(), |left| left.to_string());
        let age = show_duration(*age);
        write!(
            f,
            "{rule} considered={considered} matched={matched} fired={fired} left={left} age={age} \
             drawn_from={seed}"
        )?;
        if *woken {
            write!(f, " {WOKEN}")?;
        }
        match remark {
            Some(Remark::Never(why)) => write!(f, "{NEVER}{why}"),
            Some(Remark::Note(note)) => write!(f, "{NOTE}{note}"),
            None => Ok(()),
        }
    }
}
