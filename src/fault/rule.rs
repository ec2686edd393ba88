//! One rule: an action and the requests that it acts on.

use std::fmt;
use std::time::Duration;

use super::{Action, How, Mode, Ops, Then};
use crate::protocol::Errno;
use crate::protocol::names::SECTOR;
use crate::units::duration::show_duration;

/// An action and its selectors, which must all hold. Two rules are equal when they do the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// What happens.
    pub action: Action,
    /// The kinds of request it happens to.
    pub ops: Ops,
    /// Where: ranges of which a request overlaps one; anywhere without one.
    pub at: Vec<Sectors>,
    /// How many bytes a request has.
    pub size: Option<SizeRange>,
    /// Only requests of guests: a test's own sector calls pass it by.
    pub from_guest: bool,
    /// So many of the matching requests are passed over first.
    pub skip: u64,
    /// Of the rest each so-manieth is taken.
    pub every: u64,
    /// Of these with this probability.
    pub probability: Option<Probability>,
    /// Where its random numbers begin; the disk's seed decides without it.
    pub seed: Option<u64>,
    /// It acts so often and no more.
    pub times: Option<u64>,
    /// How long after it was armed it begins to act.
    pub after: Duration,
    /// For how long it acts then.
    pub lasts: Option<Duration>,
    /// Within that time: how long it acts, and how long it does not, by turns.
    pub cycle: Option<(Duration, Duration)>,
    /// Only once a rule with this tag has fired.
    pub when: Option<String>,
    /// Its own name.
    pub tag: Option<String>,
    /// How it prints.
    pub spelling: Spelling,
}

/// Whether a rule was written as a mode with selectors, and prints so. Rules that differ in nothing
/// else are equal. Without selectors a rule that does what a mode does prints as the mode.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spelling {
    /// It began with the name of a mode.
    pub as_mode: bool,
}

impl PartialEq for Spelling {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Spelling {}
impl std::hash::Hash for Spelling {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

/// A range of sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sectors {
    /// The first.
    pub start: u64,
    /// How many.
    pub count: u64,
}

impl Sectors {
    /// The bytes of the range: the first, and the first behind it.
    pub fn bytes(self) -> (u64, u64) {
        let start = self.start.saturating_mul(SECTOR);
        (
            start,
            start.saturating_add(self.count.saturating_mul(SECTOR)),
        )
    }
}

/// The least and the most bytes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SizeRange {
    /// At least so many.
    pub min: u64,
    /// At most so many.
    pub max: u64,
}

/// A probability from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probability(f64);

impl Probability {
    /// None for what is not from 0 to 1.
    pub fn new(value: f64) -> Option<Self> {
        // Adding 0 makes -0 the 0 that it is equal to.
        (0.0..=1.0).contains(&value).then_some(Self(value + 0.0))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

// Never NaN, never -0: equal numbers have equal bits.
impl Eq for Probability {}
impl std::hash::Hash for Probability {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Rule {
    /// The action without any selector.
    pub fn new(action: Action) -> Self {
        Self {
            ops: action.ops(),
            action,
            at: Vec::new(),
            size: None,
            from_guest: false,
            skip: 0,
            every: 1,
            probability: None,
            seed: None,
            times: None,
            after: Duration::ZERO,
            lasts: None,
            cycle: None,
            when: None,
            tag: None,
            spelling: Spelling::default(),
        }
    }

    /// How it may print: as an action, and with the name of a mode where there is one.
    pub(super) fn spellings(mut self) -> Vec<String> {
        let mut print = |as_mode| {
            self.spelling = Spelling { as_mode };
            self.to_string()
        };
        vec![print(false), print(true)]
    }

    /// `key=value` for all that the action says; empty where a mode says it.
    fn action_words(&self) -> Vec<String> {
        let then = |then: &Then| match then {
            Then::Ok => "then=ok".to_owned(),
            Then::Error(errno) => format!("then={errno}"),
        };
        match &self.action {
            Action::Error(errno) => vec![format!("errno={errno}")],
            Action::Delay(min, max) if min == max => vec![format!("by={}", show_duration(*min))],
            Action::Delay(min, max) => {
                vec![format!(
                    "by={}..{}",
                    show_duration(*min),
                    show_duration(*max)
                )]
            }
            Action::Hang(max, end) => vec![format!("max={}", show_duration(*max)), then(end)],
            Action::Corrupt(How::Flip(bits)) => vec!["how=flip".into(), format!("bits={bits}")],
            Action::Corrupt(How::Zero) => vec!["how=zero".into()],
            Action::Corrupt(How::Random) => vec!["how=random".into()],
            Action::Corrupt(How::Fill(byte)) => vec!["how=fill".into(), format!("byte={byte}")],
            Action::Tear(keep, end) => vec![format!("keep={keep}"), then(end)],
            Action::Misdirect(by) => vec![format!("by={by:+}")],
            Action::Lose | Action::Stale => Vec::new(),
        }
    }

    fn selector_words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if !self.at.is_empty() {
            let ranges = self
                .at
                .iter()
                .map(|at| format!("{}+{}", at.start, at.count));
            words.push(format!("at={}", ranges.collect::<Vec<_>>().join(",")));
        }
        if let Some(SizeRange { min, max }) = self.size {
            let max = if max == u64::MAX {
                String::new()
            } else {
                max.to_string()
            };
            words.push(format!("size={min}..{max}"));
        }
        if self.from_guest {
            words.push("from=guest".into());
        }
        if self.skip > 0 {
            words.push(format!("skip={}", self.skip));
        }
        if self.every > 1 {
            words.push(format!("every={}", self.every));
        }
        words.extend(self.probability.map(|p| format!("p={}", p.get())));
        words.extend(self.seed.map(|seed| format!("seed={seed}")));
        words.extend(self.times.map(|times| format!("times={times}")));
        if !self.after.is_zero() {
            words.push(format!("after={}", show_duration(self.after)));
        }
        words.extend(
            self.lasts
                .map(|lasts| format!("for={}", show_duration(lasts))),
        );
        if let Some((up, down)) = self.cycle {
            words.push(format!("up={}", show_duration(up)));
            words.push(format!("down={}", show_duration(down)));
        }
        words.extend(self.when.as_ref().map(|tag| format!("when={tag}")));
        words.extend(self.tag.as_ref().map(|tag| format!("tag={tag}")));
        words
    }
}

/// Prints the text that parses back to an equal rule: with the mode's name where there is one.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let selectors = self.selector_words();
        let mode = Mode::of(self).filter(|_| self.spelling.as_mode || selectors.is_empty());
        let mut words = match mode {
            Some(mode) => vec![mode.name().to_owned()],
            None => {
                let mut words = vec![self.action.name().to_owned(), format!("op={}", self.ops)];
                words.extend(self.action_words());
                words
            }
        };
        words.extend(selectors);
        f.write_str(&words.join(" "))
    }
}

impl From<Errno> for Then {
    fn from(errno: Errno) -> Self {
        Self::Error(errno)
    }
}
