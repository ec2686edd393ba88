//! How a rule prints: as the text that parses back to an equal rule.

use std::fmt;
use std::time::Duration;

use super::keys::{ActionKey, Selector};
use super::{Action, At, CutRule, Heal, How, Limit, Mode, Ops, Rule, SizeRange, Spelling, Then};
use crate::units::duration::show_duration;
use crate::units::size::exact_size;

/// What a selector of a rule says. Prints as the text behind `=`. A set of rules may have very many, and prints as they
/// are: so this owns nothing.
enum Said<'a> {
    Number(u64),
    P(f64),
    Word(&'a str),
    Time(Duration),
    Ops(Ops),
    Sectors(&'a [At]),
    Size(SizeRange),
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::P(p) => p.fmt(f),
            Self::Word(word) => f.write_str(word),
            Self::Time(time) => f.write_str(&show_duration(*time)),
            Self::Ops(ops) => ops.fmt(f),
            Self::Sectors(at) => {
                for (place, at) in at.iter().enumerate() {
                    let between = if place > 0 { "," } else { "" };
                    write!(f, "{between}{at}")?;
                }
                Ok(())
            }
            Self::Size(SizeRange { min, max: u64::MAX }) => write!(f, "{min}.."),
            Self::Size(SizeRange { min, max }) => write!(f, "{min}..{max}"),
        }
    }
}

/// Prints with the mode's name where the rule was written with it, or has nothing else.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = Mode::of(self).filter(|_| self.spelling.as_mode || self.says_nothing_else());
        match mode {
            Some(mode) => f.write_str(mode.name())?,
            None => self.write_action(f)?,
        }
        self.write_others(f)
    }
}

/// The selectors but `op=`, which stands before the values of the action.
fn others() -> impl Iterator<Item = Selector> {
    let all = Selector::ALL.into_iter();
    all.filter(|key| *key != Selector::Op)
}

impl Rule {
    /// The rule as an action with all its words, whatever it is written as.
    pub fn in_full(&self) -> String {
        let mut text = String::new();
        // Cannot fail: it is written to memory.
        let _ = self
            .write_action(&mut text)
            .and_then(|()| self.write_others(&mut text));
        text
    }

    /// Whether it has no words but those of its operations and its action.
    fn says_nothing_else(&self) -> bool {
        self.heal.is_none() && others().all(|key| self.said(key).is_none())
    }

    fn write_action(&self, to: &mut impl fmt::Write) -> fmt::Result {
        let ops = self.ops;
        write!(
            to,
            "{} {}={ops}",
            self.action.kind().name(),
            Selector::Op.name()
        )?;
        for word in action_words(&self.action) {
            write!(to, " {word}")?;
        }
        Ok(())
    }

    fn write_others(&self, to: &mut impl fmt::Write) -> fmt::Result {
        if let Some(Heal { tries, spares }) = self.heal {
            write!(to, " {}=write", ActionKey::Heal.name())?;
            if tries > 1 {
                write!(to, " {}={tries}", ActionKey::Tries.name())?;
            }
            if let Some(spares) = spares {
                write!(to, " {}={spares}", ActionKey::Spares.name())?;
            }
        }
        for key in others() {
            if let Some(said) = self.said(key) {
                write!(to, " {}={said}", key.name())?;
            }
        }
        Ok(())
    }

    /// How it may print: as an action, and with the name of a mode where there is one.
    pub(super) fn spellings(mut self) -> Vec<String> {
        let mut print = |as_mode| {
            self.spelling = Spelling { as_mode };
            self.to_string()
        };
        vec![print(false), print(true)]
    }

    /// What it says with `key`; None if that is as if nothing was said.
    fn said(&self, key: Selector) -> Option<Said<'_>> {
        Some(match key {
            Selector::Op => Said::Ops(self.ops),
            Selector::At if self.at.is_empty() => return None,
            Selector::At => Said::Sectors(&self.at),
            Selector::Sectors => Said::Number(self.draw?.count),
            Selector::Cluster => Said::Number(self.draw?.cluster?),
            Selector::Size => Said::Size(self.size?),
            Selector::Client => Said::Word(self.client?.name()),
            Selector::Skip if self.skip == 0 => return None,
            Selector::Skip => Said::Number(self.skip),
            Selector::Every if self.every <= 1 => return None,
            Selector::Every => Said::Number(self.every),
            Selector::P => Said::P(self.probability?.get()),
            Selector::Per if !self.per_sector => return None,
            Selector::Per => Said::Word("sector"),
            Selector::Seed => Said::Number(self.seed?),
            Selector::Times => Said::Number(self.times?),
            Selector::After if self.after.is_zero() => return None,
            Selector::After => Said::Time(self.after),
            Selector::For => Said::Time(self.lasts?),
            Selector::Up => Said::Time(self.cycle?.0),
            Selector::Down => Said::Time(self.cycle?.1),
            Selector::When => Said::Word(self.when.as_deref()?),
            Selector::Tag => Said::Word(self.tag.as_deref()?),
        })
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
