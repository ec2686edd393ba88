//! Profiles: sets of rules that fail as real devices do, with the sources of their figures.
//!
//! A profile is a text in `data/`: what it is, line by line, a blank line, and its rules. In the rules
//! `{3m}` is a time of a phase, which `scale=` multiplies, `{seed}` a seed of the rule's own, and `{at=8+1}` a parameter with
//! its default. Everything else is written out as it is.

mod fill;
mod settings;
#[cfg(test)]
mod tests;

use crate::fault::Rule;
use crate::units::nearest;
use crate::units::text::readable;

use fill::Line;
pub use settings::{Settings, SettingsError};

macro_rules! data {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("data/", $name, ".txt")))),*]
    };
}

/// Name and text of each profile, in the order in which they are listed.
const DATA: [(&str, &str); 10] = data![
    "latent-sector-errors"
    "ageing-ssd"
    "desktop-drive-recovery"
    "fail-slow-drive"
    "smr-cleaning"
    "ebs-sustained-latency"
    "ebs-increasing-latency"
    "ebs-intermittent-latency"
    "ebs-decreasing-latency"
    "flaky-link"
];

/// A set of rules that fails as a device of some kind does.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What users call it by.
    pub name: &'static str,
    /// A line.
    pub title: &'static str,
    /// The device, and what is wrong with it.
    pub models: &'static str,
    /// Where its figures were published.
    pub sources: Vec<&'static str>,
    /// What no source says, and was chosen for the profile.
    pub ours: Option<&'static str>,
    /// What its rules take beside `seed=` and `scale=`.
    pub parameters: Vec<Parameter>,
    rules: &'static str,
}

/// What users may choose in the rules of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its value where users give none.
    pub default: &'static str,
    /// What it is.
    pub about: &'static str,
}

/// No profile has this name.
#[derive(Debug, thiserror::Error)]
#[error("there is no profile `{}`{nearest} (valid: {})", readable(.name), names().collect::<Vec<_>>().join(", "))]
pub struct UnknownProfile {
    name: String,
    nearest: String,
}

/// The names of all profiles.
pub fn names() -> impl Iterator<Item = &'static str> {
    DATA.iter().map(|(name, _)| *name)
}

impl Profile {
    /// All profiles.
    pub fn all() -> Vec<Self> {
        DATA.iter()
            .map(|(name, text)| Self::of(name, text))
            .collect()
    }

    /// The profile called `name`.
    pub fn named(name: &str) -> Result<Self, UnknownProfile> {
        let found = DATA.iter().find(|(known, _)| *known == name);
        found
            .map(|(name, text)| Self::of(name, text))
            .ok_or_else(|| UnknownProfile {
                name: name.to_owned(),
                nearest: nearest(name, names()),
            })
    }

    fn of(name: &'static str, text: &'static str) -> Self {
        let (head, rules) = text.split_once("\n\n").unwrap_or((text, ""));
        let lines = || head.lines().filter_map(|line| line.split_once(": "));
        let values =
            |key| lines().filter_map(move |(found, value)| (found == key).then_some(value));
        let about = |name: &str| {
            lines()
                .find(|(key, _)| key.strip_prefix("parameter ") == Some(name))
                .map_or("", |(_, about)| about)
        };
        let parameters = fill::parameters(rules).into_iter();
        Self {
            name,
            title: values("title").next().unwrap_or_default(),
            models: values("models").next().unwrap_or_default(),
            sources: values("source").collect(),
            ours: values("ours").next(),
            parameters: parameters
                .map(|(name, default)| Parameter {
                    name,
                    default,
                    about: about(name),
                })
                .collect(),
            rules,
        }
    }

    /// Its rules, a line each, with comments that name its sources.
    pub fn text(&self, settings: &Settings) -> Result<String, SettingsError> {
        let lines = self.lines(settings)?;
        let mut text = format!("# {}: {}\n", self.title, self.models);
        text += &format!("# provium profile {}{}\n", self.name, settings.words());
        for source in &self.sources {
            text += &format!("# Source: {source}\n");
        }
        if let Some(ours) = self.ours {
            text += &format!("# Chosen here, by no source: {ours}\n");
        }
        for line in lines {
            text += &match line {
                Line::Comment(comment) => comment + "\n",
                Line::Rule(rule) => format!("{rule}\n"),
            };
        }
        Ok(text)
    }

    /// Its rules alone, in order.
    pub fn rules(&self, settings: &Settings) -> Result<Vec<Rule>, SettingsError> {
        let lines = self.lines(settings)?.into_iter();
        let rules = lines.filter_map(|line| match line {
            Line::Comment(_) => None,
            Line::Rule(rule) => Some(*rule),
        });
        Ok(rules.collect())
    }

    fn lines(&self, settings: &Settings) -> Result<Vec<Line>, SettingsError> {
        let own: Vec<_> = self.parameters.iter().map(|it| it.name).collect();
        settings.check(self.name, &own)?;
        fill::lines(self.rules, settings)
    }
}
