//! What `power` takes and reads: `cut` with what survives, `on`, and the state of the power.

use std::fmt;
use std::str::FromStr;

use super::line::BadLine;
use crate::units::Probability;
use crate::units::text::readable;

/// What `power` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PowerCommand {
    /// The power goes off.
    Cut(PowerCut),
    /// The power returns.
    On,
}

/// A power cut: what becomes of the requests that are pending. Prints as `keep=... [p=...] [seed=...]
/// [tear=...] [garbage=...]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PowerCut {
    /// Which of them survive.
    pub keep: Keep,
    /// What survives or not are pieces of this many sectors; whole requests without.
    pub tear: Option<u64>,
    /// A piece that does not survive has with this probability neither old nor new data.
    pub garbage: Option<Probability>,
    /// The seed of the random numbers. Without one, one is drawn.
    pub seed: Option<u64>,
}

/// Which pending requests survive a power cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Keep {
    /// None.
    #[default]
    None,
    /// All: what the crash of a process leaves.
    All,
    /// The oldest, so many.
    First(u64),
    /// Those with these numbers.
    Only(Vec<u64>),
    /// Each with this probability.
    Random(Probability),
}

/// Why a text is not a [`PowerCommand`]: a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct BadPower {
    /// What is wrong, and what would be right.
    pub what: String,
    /// The key of the `key=value` word that is wrong, if one is.
    pub key: Option<String>,
}

impl BadPower {
    fn new(what: String) -> Self {
        Self { what, key: None }
    }

    fn at(key: &str, what: String) -> Self {
        let key = Some(key.to_owned());
        Self { what, key }
    }
}

/// The state of a disk's power. Prints as `on`, or `off kept=K lost=L seed=S cut=N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerState {
    /// It is on.
    On,
    /// It is off since this cut.
    Off(CutReport),
}

/// What a power cut has done to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CutReport {
    /// How many pending requests, or pieces of them, have survived.
    pub kept: u64,
    /// How many have not.
    pub lost: u64,
    /// The seed that decided.
    pub seed: u64,
    /// The number of the cut among those of the disk, from 1.
    pub cut: u64,
}

const CUT: &str = "cut";
const ON: &str = "on";
const OFF: &str = "off ";
/// `p=` without a value.
const HALF: f64 = 0.5;
/// The keys of a cut, in the order of printing.
const KEYS: &str = "keep, p, seed, tear, garbage";

impl PowerCut {
    /// The cut that `key=value` words describe. An error names the key of the word that is wrong.
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, BadPower> {
        let (mut cut, mut p, mut given) = (Self::default(), None, Vec::new());
        for (key, value) in pairs {
            if given.contains(&key) {
                let what = format!("`{}` is given twice", readable(key));
                return Err(BadPower::at(key, what));
            }
            given.push(key);
            match key {
                "keep" => cut.keep = value.parse()?,
                "p" => p = Some(probability(key, value)?),
                "seed" => cut.seed = Some(number(key, value, "a whole number below 2^64")?),
                "tear" => cut.tear = Some(sectors(key, value)?),
                "garbage" => cut.garbage = Some(probability(key, value)?),
                _ => {
                    let what = format!("unknown key `{}` (valid: {KEYS})", readable(key));
                    return Err(BadPower::at(key, what));
                }
            }
        }
        match (&mut cut.keep, p) {
            (Keep::Random(chance), Some(p)) => *chance = p,
            (_, Some(_)) => {
                let what = "`p` belongs to keep=random".to_owned();
                return Err(BadPower::at("p", what));
            }
            (_, None) => {}
        }
        Ok(cut)
    }

    /// Its `key=value` words, without those that say nothing.
    pub fn words(&self) -> Vec<(&'static str, String)> {
        let p = match &self.keep {
            Keep::Random(p) => Some(p.to_string()),
            Keep::None | Keep::All | Keep::First(_) | Keep::Only(_) => None,
        };
        let words = [
            ("keep", Some(self.keep.to_string())),
            ("p", p),
            ("seed", self.seed.map(|seed| seed.to_string())),
            ("tear", self.tear.map(|tear| tear.to_string())),
            ("garbage", self.garbage.map(|garbage| garbage.to_string())),
        ];
        let said = words.into_iter();
        said.filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }
}

fn bad(key: &str, value: &str, expected: &str) -> BadPower {
    let what = format!("`{key}={}` expects {expected}", readable(value));
    BadPower::at(key, what)
}

fn number(key: &str, value: &str, expected: &str) -> Result<u64, BadPower> {
    value.parse().map_err(|_| bad(key, value, expected))
}

fn sectors(key: &str, value: &str) -> Result<u64, BadPower> {
    let expected = "a number of sectors from 1 to 2^54 - 1";
    let sectors = number(key, value, expected)?;
    let is_valid = (1..1 << 54).contains(&sectors);
    is_valid
        .then_some(sectors)
        .ok_or_else(|| bad(key, value, expected))
}

fn probability(key: &str, value: &str) -> Result<Probability, BadPower> {
    let expected = "a probability from 0 to 1";
    value.parse().map_err(|()| bad(key, value, expected))
}

impl fmt::Display for PowerCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words().into_iter();
        let words: Vec<_> = words.map(|(key, value)| format!("{key}={value}")).collect();
        f.write_str(&words.join(" "))
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::All => f.write_str("all"),
            Self::First(number) => write!(f, "first={number}"),
            Self::Only(numbers) => {
                let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
                write!(f, "only={}", numbers.join(","))
            }
            Self::Random(_) => f.write_str("random"),
        }
    }
}

impl FromStr for Keep {
    type Err = BadPower;

    fn from_str(text: &str) -> Result<Self, BadPower> {
        let expected = "none, all, first=N, only=N,N,... or random";
        let bad = || bad("keep", text, expected);
        let (word, value) = match text.split_once('=') {
            Some((word, value)) => (word, Some(value)),
            None => (text, None),
        };
        match (word, value) {
            ("none", None) => Ok(Self::None),
            ("all", None) => Ok(Self::All),
            ("random", None) => Ok(Self::Random(Probability::new(HALF).ok_or_else(bad)?)),
            ("first", Some(number)) => number.parse().map(Self::First).map_err(|_| bad()),
            ("only", Some(numbers)) => {
                let numbers = numbers.split(',').map(str::parse);
                numbers
                    .collect::<Result<_, _>>()
                    .map(Self::Only)
                    .map_err(|_| bad())
            }
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for PowerCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(cut) => write!(f, "{CUT} {cut}"),
            Self::On => f.write_str(ON),
        }
    }
}

impl FromStr for PowerCommand {
    type Err = BadPower;

    fn from_str(text: &str) -> Result<Self, BadPower> {
        let mut words = text.split_whitespace();
        let first = words.next().unwrap_or_default();
        let mut pairs = words.map(|word| match word.split_once('=') {
            Some(pair) => Ok(pair),
            None => Err(BadPower::new(format!(
                "`{}` is not key=value (valid keys: {KEYS})",
                readable(word)
            ))),
        });
        match (first, text.split_whitespace().nth(1)) {
            (CUT, _) => {
                let pairs = pairs.by_ref().collect::<Result<Vec<_>, _>>()?;
                PowerCut::of(pairs).map(Self::Cut)
            }
            (ON, None) => Ok(Self::On),
            _ => Err(BadPower::new(format!(
                "power expects `cut`, with `keep=...` to say what survives, or `on`, not `{}`",
                readable(text)
            ))),
        }
    }
}

impl fmt::Display for CutReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kept,
            lost,
            seed,
            cut,
        } = self;
        write!(f, "kept={kept} lost={lost} seed={seed} cut={cut}")
    }
}

impl FromStr for CutReport {
    type Err = BadLine;

    fn from_str(text: &str) -> Result<Self, BadLine> {
        let mut words = text.split(' ');
        let mut value = |key: &str| {
            let (given, value) = words.next()?.split_once('=')?;
            (given == key).then(|| value.parse::<u64>().ok())?
        };
        let mut parse = || {
            Some(Self {
                kept: value("kept")?,
                lost: value("lost")?,
                seed: value("seed")?,
                cut: value("cut")?,
            })
        };
        parse().ok_or_else(|| BadLine::new("what a power cut has done", text))
    }
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str(ON),
            Self::Off(report) => write!(f, "{OFF}{report}"),
        }
    }
}

impl FromStr for PowerState {
    type Err = BadLine;

    fn from_str(text: &str) -> Result<Self, BadLine> {
        match text.strip_prefix(OFF) {
            Some(report) => report.parse().map(Self::Off),
            None if text == ON => Ok(Self::On),
            None => Err(BadLine::new("a line of `power`", text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_command_is_parsed_as_it_is_printed() {
        for text in [
            "on",
            "cut keep=none",
            "cut keep=all tear=1",
            "cut keep=first=3",
            "cut keep=only=3,5,7",
            "cut keep=random p=0.25 seed=7 tear=8 garbage=0.5",
        ] {
            let command: PowerCommand = text.parse().unwrap();
            assert_eq!(command.to_string(), text);
        }
        assert_eq!("cut".parse(), Ok(PowerCommand::Cut(PowerCut::default())));
        let random: PowerCommand = "cut keep=random".parse().unwrap();
        assert_eq!(random.to_string(), "cut keep=random p=0.5");
    }

    #[test]
    fn power_command_that_is_wrong_is_explained() {
        for (text, what) in [
            ("", "power expects `cut`"),
            ("off", "not `off`"),
            ("on now", "power expects"),
            ("cut all", "`all` is not key=value"),
            ("cut keep=some", "`keep=some` expects none, all, first=N"),
            ("cut keep=only=1,x", "only=N"),
            ("cut keep=all keep=none", "`keep` is given twice"),
            ("cut p=0.5", "`p` belongs to keep=random"),
            ("cut keep=random p=2", "a probability from 0 to 1"),
            ("cut tear=0", "a number of sectors from 1"),
            ("cut seed=18446744073709551616", "a whole number below 2^64"),
            ("off\nnow\x1b", r"not `off\nnow\u{1b}`"),
            ("cut bogus=1", "unknown key `bogus` (valid: keep, p, seed"),
        ] {
            let error = text.parse::<PowerCommand>().unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn power_state_is_parsed_as_it_is_printed() {
        for text in ["on", "off kept=1 lost=2 seed=3 cut=4"] {
            let state: PowerState = text.parse().unwrap();
            assert_eq!(state.to_string(), text);
        }
        for bad in ["", "off", "off kept=1", "off kept=1 lost=2 cut=4 seed=3"] {
            assert!(bad.parse::<PowerState>().is_err(), "{bad}");
        }
    }
}
