//! The places of a profile's rules that are filled in.

use std::time::Duration;

use super::settings::{Settings, SettingsError};
use crate::fault::{Rule, parse_rule};
use crate::units::duration::{parse_duration, show_duration};

/// A place in the rules, between braces.
enum Place<'a> {
    /// A seed of the rule's own.
    Seed,
    /// The time of a phase.
    Time(Duration),
    /// What users may choose.
    Parameter(&'a str, &'a str),
}

impl<'a> Place<'a> {
    fn of(text: &'a str) -> Self {
        match (text.split_once('='), parse_duration(text)) {
            (Some((name, default)), _) => Self::Parameter(name, default),
            (None, Some(time)) => Self::Time(time),
            (None, None) => Self::Seed,
        }
    }
}

/// `text` in pieces: what is as it is, and the place after it.
fn pieces(text: &str) -> impl Iterator<Item = (&str, Option<Place<'_>>)> {
    text.split_inclusive('}').map(|piece| {
        let whole = piece.strip_suffix('}').and_then(|it| it.split_once('{'));
        whole.map_or((piece, None), |(before, place)| {
            (before, Some(Place::of(place)))
        })
    })
}

/// The names of the parameters of `rules` and their defaults, in the order in which they come first.
pub(super) fn parameters(rules: &str) -> Vec<(&str, &str)> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for (_, place) in pieces(rules) {
        if let Some(Place::Parameter(name, default)) = place
            && found.iter().all(|(known, _)| *known != name)
        {
            found.push((name, default));
        }
    }
    found
}

/// A line of a filled profile.
pub(super) enum Line {
    /// Words for people, with the `#` before them.
    Comment(String),
    Rule(Box<Rule>),
}

/// The lines of `rules` with all places filled in. A value may make another rule of a line, or none: an error.
pub(super) fn lines(rules: &str, settings: &Settings) -> Result<Vec<Line>, SettingsError> {
    let mut text = String::new();
    let mut seeds = 0;
    for (before, place) in pieces(rules) {
        text += before;
        text += &match place {
            None => String::new(),
            Some(Place::Seed) => {
                seeds += 1;
                settings.seed_of(seeds).to_string()
            }
            Some(Place::Time(time)) => show_duration(settings.scaled(time)),
            Some(Place::Parameter(name, default)) => value(settings, name, default),
        };
    }
    let line = |line: &str| match line.starts_with('#') {
        true => Ok(Line::Comment(line.to_owned())),
        false => match parse_rule(line, 1) {
            Ok(rule) => Ok(Line::Rule(Box::new(rule))),
            Err(error) => Err(SettingsError::Rule {
                rule: line.to_owned(),
                error,
            }),
        },
    };
    text.lines().map(line).collect()
}

/// The value of a parameter. Where its default is a time, it is that of a phase.
fn value(settings: &Settings, name: &str, default: &str) -> String {
    let value = settings.value(name).unwrap_or(default);
    match (parse_duration(default), parse_duration(value)) {
        (Some(_), Some(time)) => show_duration(settings.scaled(time)),
        _ => value.to_owned(),
    }
}
