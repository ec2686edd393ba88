//! The words of an action: `errno=`, `by=`, `how=` and the like.

use std::time::Duration;

use super::error::GrammarError;
use super::line::{Line, Pair};
use super::value::SECTORS_END;
use crate::fault::{
    Action, ActionKey, ActionKind, CutPoint, CutRule, CutScope, HANG_MAX, Heal, How, Then,
};
use crate::protocol::{Errno, PowerCut};
use crate::units::nearest;

/// The largest number of tries and of spares.
const MOST_HEALED: u64 = 1_000_000_000_000_000;

/// The words of a rule that begins with the name of an action.
pub(super) struct ActionWords<'l, 'a> {
    pub(super) line: &'l Line<'a>,
    pub(super) kind: ActionKind,
    /// Those of selectors, too.
    pub(super) pairs: &'l [Pair<'a>],
}

impl<'a> ActionWords<'_, 'a> {
    /// The action that the words mean.
    pub(super) fn action(&self) -> Result<Action, GrammarError> {
        Ok(match self.kind {
            ActionKind::Error => Action::Error(self.errno()?),
            ActionKind::Delay => {
                let by = self.expect(ActionKey::By, "50ms")?;
                Action::Delay(self.line.delay(by)?)
            }
            ActionKind::Hang => Action::Hang(self.max()?, self.then(Then::Error(Errno::EIO))?),
            ActionKind::Corrupt => Action::Corrupt(self.how()?),
            ActionKind::Lose => Action::Lose,
            ActionKind::Tear => Action::Tear(self.keep()?, self.then(Then::Ok)?),
            ActionKind::Misdirect => Action::Misdirect(self.shift()?),
            ActionKind::Stale => Action::Stale,
            ActionKind::Limit => Action::Limit(self.limit()?),
            ActionKind::Cut => Action::Cut(self.cut()?),
        })
    }

    fn cut(&self) -> Result<CutRule, GrammarError> {
        Ok(CutRule {
            point: self.one_of(ActionKey::Point, CutPoint::ALL, CutPoint::name)?,
            scope: self.one_of(ActionKey::Scope, CutScope::ALL, CutScope::name)?,
            cut: self.power_cut()?,
        })
    }

    /// What survives: in the words that `power` takes, too.
    fn power_cut(&self) -> Result<PowerCut, GrammarError> {
        let is_place = |key: &ActionKey| matches!(key, ActionKey::Point | ActionKey::Scope);
        let is_of_cut = |pair: &&Pair<'_>| {
            let mut own = self.kind.keys().iter();
            own.any(|key| key.name() == pair.key && !is_place(key))
        };
        let pairs: Vec<_> = self.pairs.iter().filter(is_of_cut).collect();
        PowerCut::of(pairs.iter().map(|pair| (pair.key, pair.value))).map_err(|error| {
            let mut pairs = pairs.iter();
            let wrong = pairs.find(|pair| error.key.as_deref() == Some(pair.key));
            match wrong {
                Some(pair) => self.line.error(pair.key, error.what),
                None => self.line.error_at_end(error.what),
            }
        })
    }

    /// The one of `all` that the word with this key names; the default without the word.
    fn one_of<T: Copy + Default, const N: usize>(
        &self,
        key: ActionKey,
        all: [T; N],
        name: fn(T) -> &'static str,
    ) -> Result<T, GrammarError> {
        let Some(pair) = self.find(key) else {
            return Ok(T::default());
        };
        let found = all.into_iter().find(|one| name(*one) == pair.value);
        found.ok_or_else(|| {
            let nearest = nearest(pair.value, all.map(name).into_iter());
            self.line
                .bad(pair, &(all.map(name).join(" or ") + &nearest))
        })
    }

    pub(super) fn find(&self, key: ActionKey) -> Option<Pair<'a>> {
        debug_assert!(self.kind.keys().contains(&key), "an action has this key");
        let mut pairs = self.pairs.iter();
        pairs.find(|pair| pair.key == key.name()).copied()
    }

    /// The word with this key, without which the action means nothing.
    fn expect(&self, key: ActionKey, example: &str) -> Result<Pair<'a>, GrammarError> {
        self.find(key).ok_or_else(|| {
            let (name, key) = (self.kind.name(), key.name());
            let what = format!("`{name}` expects {key}=, as in {key}={example}");
            self.line.error_at_end(what)
        })
    }

    fn errno(&self) -> Result<Errno, GrammarError> {
        let errno = self.find(ActionKey::Errno);
        errno.map_or(Ok(Errno::EIO), |pair| self.line.errno(pair))
    }

    /// How the sectors of an error heal, if they do.
    pub(super) fn heal(&self) -> Result<Option<Heal>, GrammarError> {
        let Some(heal) = self.find(ActionKey::Heal) else {
            let mut keys = [ActionKey::Tries, ActionKey::Spares].into_iter();
            return match keys.find_map(|key| self.find(key)) {
                Some(pair) => Err(self
                    .line
                    .error(pair.key, format!("`{}=` belongs to heal=write", pair.key))),
                None => Ok(None),
            };
        };
        if heal.value != "write" {
            return Err(self.line.bad(heal, "`write`, the only valid value"));
        }
        let number = |key, least, expected| match self.find(key) {
            Some(pair) => {
                let number = self.line.count(pair, MOST_HEALED, expected)?;
                let number = Some(number).filter(|number| *number >= least);
                number
                    .ok_or_else(|| self.line.bad(pair, expected))
                    .map(Some)
            }
            None => Ok(None),
        };
        Ok(Some(Heal {
            tries: number(ActionKey::Tries, 1, "a number of writes from 1 to 10^15")?.unwrap_or(1),
            spares: number(ActionKey::Spares, 0, "a number of sectors, up to 10^15")?,
        }))
    }

    fn then(&self, default: Then) -> Result<Then, GrammarError> {
        let then = self.find(ActionKey::Then);
        then.map_or(Ok(default), |pair| self.line.then(pair))
    }

    fn max(&self) -> Result<Duration, GrammarError> {
        let max = self.find(ActionKey::Max);
        max.map_or(Ok(HANG_MAX), |pair| self.line.duration(pair))
    }

    fn keep(&self) -> Result<u64, GrammarError> {
        let keep = self.expect(ActionKey::Keep, "1")?;
        let expected = "a number of sectors below 2^54";
        self.line.count(keep, SECTORS_END, expected)
    }

    fn shift(&self) -> Result<i64, GrammarError> {
        let by = self.expect(ActionKey::By, "+8")?;
        let is_signed = by.value.starts_with(['+', '-']);
        let is_near = |by: &i64| *by != 0 && by.unsigned_abs() < SECTORS_END;
        let sectors = by.value.parse().ok();
        let sectors = sectors.filter(|by| is_signed && is_near(by));
        let expected = "a number of sectors with its sign, as in +8 or -8, below 2^54";
        sectors.ok_or_else(|| self.line.bad(by, expected))
    }

    fn how(&self) -> Result<How, GrammarError> {
        let how = self.expect(ActionKey::How, "flip")?;
        self.belongs(how, ActionKey::Bits, "flip")?;
        self.belongs(how, ActionKey::Byte, "fill")?;
        match how.value {
            "flip" => self.bits().map(How::Flip),
            "zero" => Ok(How::Zero),
            "random" => Ok(How::Random),
            "fill" => self.byte().map(How::Fill),
            other => {
                let nearest = nearest(other, ["flip", "zero", "random", "fill"].into_iter());
                let expected = format!("one of flip, zero, random, fill{nearest}");
                Err(self.line.bad(how, &expected))
            }
        }
    }

    /// Fails if a word has the `key` and `how` has not the `value` that the key is for.
    fn belongs(&self, how: Pair<'_>, key: ActionKey, value: &str) -> Result<(), GrammarError> {
        match self.find(key) {
            Some(pair) if how.value != value => {
                let what = format!("`{}` belongs to how={value}", pair.key);
                Err(self.line.error(pair.key, what))
            }
            _ => Ok(()),
        }
    }

    fn bits(&self) -> Result<u32, GrammarError> {
        let expected = "a number of bits from 1 to 65536";
        let Some(bits) = self.find(ActionKey::Bits) else {
            return Ok(1);
        };
        let bits = self.line.small(bits, 1..=65_536, expected)?;
        Ok(bits as u32)
    }

    fn byte(&self) -> Result<u8, GrammarError> {
        let expected = "a byte from 0 to 255, as in byte=0xff";
        let missing = || {
            let what = format!("how=fill expects byte=: {expected}");
            self.line.error_at_end(what)
        };
        let byte = self.find(ActionKey::Byte).ok_or_else(missing)?;
        let byte = self.line.small(byte, 0..=255, expected)?;
        Ok(byte as u8)
    }
}
