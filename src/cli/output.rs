//! How much all commands say, and in which colours: `-q`, `-v` and `--color`.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use clap::{ColorChoice, ValueEnum};
use indicatif::ProgressDrawTarget;

use crate::config::{Config, ConfigError};
use crate::os::colour::{self, Colour};
use crate::os::folders;
use crate::units::text;

/// Options that every command takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print only errors, and what was asked for
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Output"
    )]
    quiet: bool,
    /// Say on standard error what is done: which configuration, cache, mount and server
    #[arg(short, long, global = true, help_heading = "Output")]
    verbose: bool,
    /// When to use colours. `auto` is on a terminal, unless NO_COLOR is set; CLICOLOR_FORCE has them always
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Output"
    )]
    color: When,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

/// How much is said: `-q`, nothing, or `-v`. Set once, at the start of the process.
static LOUDNESS: AtomicU8 = AtomicU8::new(NORMAL);
const QUIET: u8 = 0;
const NORMAL: u8 = 1;
const VERBOSE: u8 = 2;

impl Args {
    /// Has the rest of this process say as much, in these colours.
    pub(super) fn set(&self) {
        let loudness = match (self.quiet, self.verbose) {
            (true, _) => QUIET,
            (_, true) => VERBOSE,
            _ => NORMAL,
        };
        LOUDNESS.store(loudness, Ordering::Relaxed);
    }
}

/// Sets the colours, and returns those of clap. Before the words are parsed: an error in them may be coloured.
pub(super) fn set_colours(words: &[OsString]) -> ColorChoice {
    let (chosen, choice) = match when(words) {
        When::Auto => (Colour::Auto, ColorChoice::Auto),
        When::Always => (Colour::Always, ColorChoice::Always),
        When::Never => (Colour::Never, ColorChoice::Never),
    };
    colour::choose(chosen);
    choice
}

/// The value of the last `--color`; `auto` where there is none that clap would take.
fn when(words: &[OsString]) -> When {
    let words = words.iter().map(|word| word.to_str().unwrap_or_default());
    let words: Vec<_> = words.take_while(|word| *word != "--").collect();
    let mut given = words.iter().enumerate().filter_map(|(at, word)| {
        let joined = word.strip_prefix("--color=");
        joined.or_else(|| (*word == "--color").then(|| words.get(at + 1).copied())?)
    });
    let last = given
        .next_back()
        .and_then(|text| When::from_str(text, false).ok());
    last.unwrap_or(When::Auto)
}

/// How many of `words` are these options: with them a line may begin before its command.
pub(super) fn leading_options(words: &[OsString]) -> usize {
    let mut count = 0;
    while let Some(word) = words.get(count).and_then(|word| word.to_str()) {
        match word {
            "-q" | "-v" | "--quiet" | "--verbose" => count += 1,
            "--color" => count += 2,
            _ if word.starts_with("--color=") => count += 1,
            _ => break,
        }
    }
    count.min(words.len())
}

/// Whether only errors are printed, and what was asked for.
pub(super) fn is_quiet() -> bool {
    LOUDNESS.load(Ordering::Relaxed) == QUIET
}

/// Progress is shown on a terminal, and not with `-q`.
pub(super) fn progress_target() -> ProgressDrawTarget {
    match is_quiet() {
        true => ProgressDrawTarget::hidden(),
        false => ProgressDrawTarget::stderr(),
    }
}

fn say(line: &str) {
    // Standard error may be closed.
    let _ = writeln!(stderr(), "provium: {}", text::harmless(line));
}

/// Says that something is done, on standard error; nothing with `-q`.
pub(super) fn note(line: impl Display) {
    if !is_quiet() {
        say(&line.to_string());
    }
}

/// Prints what was done, on standard output; nothing with `-q`.
pub(super) fn done(line: impl Display) {
    if !is_quiet() {
        println!("{line}");
    }
}

/// Says what may go wrong; nothing with `-q`.
pub(super) fn warn(line: impl Display) {
    note(format!("warning: {line}"));
}

/// Says how something is done, with `-v` alone.
pub(super) fn step(line: impl FnOnce() -> String) {
    if LOUDNESS.load(Ordering::Relaxed) == VERBOSE {
        say(&line());
    }
}

/// Loads the configuration at `path`, or the default one, and says which, with `-v`.
pub(super) fn load_config(path: Option<PathBuf>, folder: &Path) -> Result<Config, ConfigError> {
    step(|| match &path {
        Some(path) => format!("configuration: {}", path.display()),
        None => "configuration: none; the profile `default` is built in".into(),
    });
    step(|| match folders::cache() {
        Ok(cache) => format!("cache: {}", cache.display()),
        Err(error) => format!("cache: none: {error}"),
    });
    Config::load(path.as_deref(), folder)
}

/// Prints an error.
pub(super) fn error(line: impl Display) {
    let name = match colour::is_wanted(stderr().is_terminal()) {
        true => "\x1b[1;31mprovium:\x1b[0m",
        false => "provium:",
    };
    let line = text::harmless(&line.to_string());
    let _ = writeln!(stderr(), "{name} {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn last_colour_before_the_double_dash_counts() {
        for (line, expected) in [
            ("", When::Auto),
            ("--color=always test", When::Always),
            ("test --color never", When::Never),
            ("--color=always test --color=never", When::Never),
            ("fault m -- --color=always", When::Auto),
            ("--color sometimes", When::Auto),
            ("--color", When::Auto),
        ] {
            assert_eq!(when(&words(line)), expected, "{line}");
        }
    }

    #[test]
    fn options_for_all_commands_may_stand_before_the_command() {
        for (line, count) in [
            ("", 0),
            ("-q tests", 1),
            ("-v --color always tests", 3),
            ("--color=never -q tests", 2),
            ("--color", 1),
            ("tests -q", 0),
        ] {
            assert_eq!(leading_options(&words(line)), count, "{line}");
        }
    }
}
