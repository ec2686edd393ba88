//! What users choose of a profile: `seed=`, `scale=`, and its parameters.

use std::time::Duration;

use crate::fault::GrammarError;
use crate::units::text::readable;
use crate::units::{fnv, nearest};

/// The seed where none is given.
const SEED: u64 = 1;
/// The smallest and the largest scale.
const SCALES: std::ops::RangeInclusive<f64> = 1e-6..=1e6;

/// What users choose of a profile.
#[derive(Clone, Debug)]
pub struct Settings {
    /// From it each rule with random draws has a seed of its own.
    pub seed: u64,
    /// What the times of phases are multiplied by. Latencies stay as they are.
    scale: f64,
    /// Values of the profile's parameters.
    values: Vec<(String, String)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: SEED,
            scale: 1.0,
            values: Vec::new(),
        }
    }
}

/// Why settings are not those of a profile.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A word is none.
    #[error("`{}` is not a setting of a profile: write KEY=VALUE, as in scale=0.01", readable(.0))]
    NoPair(String),
    /// A setting is given twice.
    #[error("`{}=` is given twice", readable(.0))]
    Twice(String),
    /// A value would be more words than one, or none.
    #[error("`{}=` expects a value, in one word", readable(.0))]
    Value(String),
    /// A seed is none.
    #[error("seed={}: expects a whole number below 2^64", readable(.0))]
    Seed(String),
    /// A scale is none.
    #[error("scale={}: expects a number from 0.000001 to 1000000, by which the times of phases are multiplied", readable(.0))]
    Scale(String),
    /// The profile has no such parameter.
    #[error("the profile {profile} has no setting `{}=`{nearest} (valid: {valid})", readable(.name))]
    Unknown {
        /// The name of the profile.
        profile: &'static str,
        /// The name that was given.
        name: String,
        /// A known name that is near.
        nearest: String,
        /// All known names.
        valid: String,
    },
    /// A value makes something else of a rule.
    #[error("`{}` is not a rule: {error}", readable(.rule))]
    Rule {
        /// The line.
        rule: String,
        /// What is wrong with it.
        error: GrammarError,
    },
}

impl Settings {
    /// The settings that words of the form `key=value` mean.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for word in words {
            let pair = word.split_once('=').filter(|(key, _)| !key.is_empty());
            let (key, value) = pair.ok_or_else(|| SettingsError::NoPair(word.to_owned()))?;
            if seen.contains(&key) {
                return Err(SettingsError::Twice(key.to_owned()));
            }
            seen.push(key);
            settings.set(key, value)?;
        }
        Ok(settings)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), SettingsError> {
        match key {
            "seed" => {
                let seed = value.parse();
                self.seed = seed.map_err(|_| SettingsError::Seed(value.to_owned()))?;
            }
            "scale" => {
                let scale = value.parse().ok().filter(|scale| SCALES.contains(scale));
                self.scale = scale.ok_or_else(|| SettingsError::Scale(value.to_owned()))?;
            }
            _ if value.is_empty() || value.contains(char::is_whitespace) => {
                return Err(SettingsError::Value(key.to_owned()));
            }
            _ => self.values.push((key.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    /// Fails for a setting that is neither of every profile nor one of `own`, the parameters of `profile`.
    pub(super) fn check(&self, profile: &'static str, own: &[&str]) -> Result<(), SettingsError> {
        let known = || own.iter().copied().chain(["seed", "scale"]);
        let mut names = self.values.iter().map(|(name, _)| name);
        match names.find(|name| known().all(|it| it != *name)) {
            None => Ok(()),
            Some(name) => Err(SettingsError::Unknown {
                profile,
                name: name.clone(),
                nearest: nearest(name, known()),
                valid: known().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// The seed of the rule that is the `number`th to need one: those of one profile draw nothing alike.
    pub(super) fn seed_of(&self, number: u64) -> u64 {
        // Short enough to be read aloud.
        fnv(format!("{} {number}", self.seed).as_bytes()) >> 32
    }

    /// The time of a phase: never none of it.
    pub(super) fn scaled(&self, time: Duration) -> Duration {
        let micros = (time.as_micros() as f64 * self.scale).round() as u64;
        Duration::from_micros(micros.max(u64::from(!time.is_zero())))
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.values.iter();
        let found = values.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The words that mean these settings.
    pub(super) fn words(&self) -> String {
        let values = self.values.iter();
        let values: String = values
            .map(|(key, value)| format!(" {key}={value}"))
            .collect();
        format!(" seed={} scale={}{values}", self.seed, self.scale)
    }
}
