//! How a rule prints: as the text that parses back to an equal rule.

use std::fmt;

use super::keys::{ActionKey, Selector};
use super::{Action, At, CutRule, Heal, How, Limit, Mode, Rule, SizeRange, Spelling, Then};
use crate::units::duration::show_duration;
use crate::units::size::exact_size;

/// Prints with the mode's name where the rule was written with it, or has nothing else.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.heal_words().chain(self.selectors()).collect();
        let mode = Mode::of(self).filter(|_| self.spelling.as_mode || words.is_empty());
        match mode {
            Some(mode) => f.write_str(&joined(mode.name(), words)),
            None => f.write_str(&self.in_full()),
        }
    }
}

fn joined(first: &str, words: Vec<String>) -> String {
    let words = words.into_iter().map(|word| format!(" {word}"));
    std::iter::once(first.to_owned()).chain(words).collect()
}

impl Rule {
    /// The rule as an action with all its words, whatever it is written as.
    pub fn in_full(&self) -> String {
        let op = self.selector(Selector::Op).into_iter();
        let words = op.chain(action_words(&self.action));
        let words = words.chain(self.heal_words()).chain(self.selectors());
        joined(self.action.kind().name(), words.collect())
    }

    fn heal_words(&self) -> impl Iterator<Item = String> {
        let heal = self.heal.into_iter();
        heal.flat_map(|Heal { tries, spares }| {
            let values = [
                Some((ActionKey::Heal, "write".to_owned())),
                (tries > 1).then(|| (ActionKey::Tries, tries.to_string())),
                spares.map(|spares| (ActionKey::Spares, spares.to_string())),
            ];
            let values = values.into_iter().flatten();
            values.map(|(key, value)| format!("{}={value}", key.name()))
        })
    }

    /// The selectors but `op=`, which stands before the values of the action.
    fn selectors(&self) -> Vec<String> {
        let others = Selector::ALL.into_iter().filter(|key| *key != Selector::Op);
        others.filter_map(|key| self.selector(key)).collect()
    }

    /// How it may print: as an action, and with the name of a mode where there is one.
    pub(super) fn spellings(mut self) -> Vec<String> {
        let mut print = |as_mode| {
            self.spelling = Spelling { as_mode };
            self.to_string()
        };
        vec![print(false), print(true)]
    }

    /// `key=value`, unless the rule is as if nothing was said.
    fn selector(&self, key: Selector) -> Option<String> {
        let value = match key {
            Selector::Op => Some(self.ops.to_string()),
            Selector::At => (!self.at.is_empty()).then(|| show_sectors(&self.at)),
            Selector::Sectors => self.draw.map(|draw| draw.count.to_string()),
            Selector::Cluster => self
                .draw
                .and_then(|draw| draw.cluster)
                .map(|size| size.to_string()),
            Selector::Size => self.size.map(show_size),
            Selector::Client => self.client.map(|client| client.name().to_owned()),
            Selector::Skip => (self.skip > 0).then(|| self.skip.to_string()),
            Selector::Every => (self.every > 1).then(|| self.every.to_string()),
            Selector::P => self.probability.map(|p| p.get().to_string()),
            Selector::Per => self.per_sector.then(|| "sector".to_owned()),
            Selector::Seed => self.seed.map(|seed| seed.to_string()),
            Selector::Times => self.times.map(|times| times.to_string()),
            Selector::After => (!self.after.is_zero()).then(|| show_duration(self.after)),
            Selector::For => self.lasts.map(show_duration),
            Selector::Up => self.cycle.map(|(up, _)| show_duration(up)),
            Selector::Down => self.cycle.map(|(_, down)| show_duration(down)),
            Selector::When => self.when.clone(),
            Selector::Tag => self.tag.clone(),
        };
        value.map(|value| format!("{}={value}", key.name()))
    }
}

/// `key=value` for each value of the action.
fn action_words(action: &Action) -> Vec<String> {
    let values = match action {
        Action::Cut(rule) => return cut_words(rule),
        Action::Error(errno) => vec![(ActionKey::Errno, errno.to_string())],
        Action::Delay(by) => vec![(ActionKey::By, by.to_string())],
        Action::Hang(max, then) => vec![
            (ActionKey::Max, show_duration(*max)),
            (ActionKey::Then, show_then(*then)),
        ],
        Action::Corrupt(how) => corrupt_values(*how),
        Action::Tear(keep, then) => vec![
            (ActionKey::Keep, keep.to_string()),
            (ActionKey::Then, show_then(*then)),
        ],
        Action::Misdirect(by) => vec![(ActionKey::By, format!("{by:+}"))],
        Action::Limit(limit) => limit_values(limit),
        Action::Lose | Action::Stale => Vec::new(),
    };
    let words = values.into_iter();
    words
        .map(|(key, value)| format!("{}={value}", key.name()))
        .collect()
}

fn cut_words(rule: &CutRule) -> Vec<String> {
    let places = [
        (ActionKey::Point.name(), rule.point.name().to_owned()),
        (ActionKey::Scope.name(), rule.scope.name().to_owned()),
    ];
    let words = places.into_iter().chain(rule.cut.words());
    words.map(|(key, value)| format!("{key}={value}")).collect()
}

fn corrupt_values(how: How) -> Vec<(ActionKey, String)> {
    let (how, more) = match how {
        How::Flip(bits) => ("flip", Some((ActionKey::Bits, bits.to_string()))),
        How::Zero => ("zero", None),
        How::Random => ("random", None),
        How::Fill(byte) => ("fill", Some((ActionKey::Byte, byte.to_string()))),
    };
    let how = (ActionKey::How, how.to_owned());
    [how].into_iter().chain(more).collect()
}

fn limit_values(limit: &Limit) -> Vec<(ActionKey, String)> {
    let values = [
        (ActionKey::Rate, limit.rate.map(exact_size)),
        (ActionKey::Iops, limit.iops.map(|iops| iops.to_string())),
        (
            ActionKey::Burst,
            Some(limit.burst).filter(|burst| *burst > 0).map(exact_size),
        ),
        (ActionKey::Lanes, limit.lanes.map(|lanes| lanes.to_string())),
    ];
    let given = values.into_iter();
    given
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

fn show_then(then: Then) -> String {
    match then {
        Then::Ok => "ok".to_owned(),
        Then::Error(errno) => errno.to_string(),
    }
}

fn show_sectors(at: &[At]) -> String {
    let ranges = at.iter().map(At::to_string);
    ranges.collect::<Vec<_>>().join(",")
}

fn show_size(size: SizeRange) -> String {
    match size.max {
        u64::MAX => format!("{}..", size.min),
        max => format!("{}..{max}", size.min),
    }
}
