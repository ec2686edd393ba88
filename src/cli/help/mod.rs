//! `provium help`, and the list of commands in `provium --help`: in groups, in the order in which people meet them.

mod rules;

use clap::Command;

pub(super) use rules::{Section, sections as rules};

use super::Exit;
use super::exit::UsageError;
use crate::units::nearest;
use crate::units::text::readable;

/// Explain a command, or how rules are written
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium help fault
  provium help guest list
  provium help rules          actions, selectors and units, each with an example")]
pub(super) struct Args {
    /// A command, or `rules`
    #[arg(value_name = "COMMAND|rules")]
    topic: Vec<String>,
}

const RULES: &str = "rules";

/// Every command, by what people do with it.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "Serve disks",
        &["mount", "run", "umount", "attach", "detach"],
    ),
    (
        "Break them",
        &[
            "fault",
            "sectors",
            "profile",
            "sweep",
            "power",
            "checkpoint",
            "mark",
        ],
    ),
    ("Watch them", &["status", "top", "trace", "decisions"]),
    ("Find what a power cut leaves", &["record", "states"]),
    (
        "Test with guests",
        &["init", "test", "repl", "console", "guest"],
    ),
];
/// The group of all commands that are in none of [`GROUPS`].
const OTHERS: &str = "Set up";

/// The longest line of help.
const WIDTH: usize = 100;

pub(super) fn run(args: &Args, command: Command) -> anyhow::Result<Exit> {
    if args.topic == [RULES] {
        for (at, section) in rules().iter().enumerate() {
            let between = if at == 0 { "" } else { "\n" };
            print!("{between}{}\n\n{}", section.title, section.text);
        }
        return Ok(Exit::Done);
    }
    let mut found = &command;
    for word in &args.topic {
        found = sub(found, word)?;
    }
    let name = command.get_name().to_owned();
    let words = [&[name][..], &args.topic, &["--help".into()]].concat();
    // The help comes as an error.
    match grouped(command).try_get_matches_from(words) {
        Ok(_) => Ok(Exit::Done),
        Err(help) => Ok(help.print().map(|()| Exit::Done)?),
    }
}

/// The subcommand of `command` called `name`.
fn sub<'a>(command: &'a Command, name: &str) -> Result<&'a Command, UsageError> {
    command.find_subcommand(name).ok_or_else(|| {
        let known = command.get_subcommands().map(Command::get_name);
        let whole = command.get_name();
        if name == RULES {
            return UsageError(format!("`help` takes one topic: `provium help {whole}`, or `provium help {RULES}`"));
        }
        // Below a command there are its own subcommands alone.
        let (topics, and_rules) = match GROUPS.iter().any(|(_, names)| names.contains(&whole)) {
            true => (&[][..], String::new()),
            false => (&[RULES][..], format!(", and {RULES}")),
        };
        let nearest = nearest(name, known.chain(topics.iter().copied()));
        UsageError(format!(
            "`{whole}` has no command `{}`{nearest} (valid: what `{whole} --help` lists{and_rules})",
            readable(name)
        ))
    })
}

/// `command` with a help that lists its commands in groups. clap has one list; so it is told to hide them all.
pub(super) fn grouped(command: Command) -> Command {
    let list = list(&command);
    let usage = format!("{} [OPTIONS] <COMMAND>", command.get_name());
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {usage}\n\n{list}{{all-args}}{{after-help}}"
    );
    let command = command.override_usage(usage).help_template(template);
    command.mut_subcommands(|sub| sub.hide(true))
}

/// The commands in their groups, as lines.
fn list(command: &Command) -> String {
    let visible = || command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let is_grouped = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let all: Vec<_> = visible().map(Command::get_name).collect();
    let widest = all.iter().map(|name| name.len()).max().unwrap_or_default();
    let others: Vec<_> = all.into_iter().filter(|name| !is_grouped(name)).collect();
    let groups = GROUPS.iter().map(|(title, names)| (*title, names.to_vec()));
    let styles = command.get_styles();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut list = String::new();
    for (title, names) in groups.chain([(OTHERS, others)]) {
        list += &format!("{header}{title}:{header:#}\n");
        for name in names {
            let about = visible()
                .find(|sub| sub.get_name() == name)
                .and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let lines = wrapped(&about, width().saturating_sub(widest + 4));
            let between = format!("\n{:1$}", "", widest + 4);
            let name = format!("{literal}{name}{literal:#}{:1$}", "", widest - name.len());
            list += &format!("  {name}  {}\n", lines.join(&between));
        }
        list.push('\n');
    }
    list
}

/// The width of the terminal, up to [`WIDTH`].
fn width() -> usize {
    let size = console::Term::stdout().size_checked();
    size.map_or(WIDTH, |(_, columns)| usize::from(columns).min(WIDTH))
}

/// `text` in lines of at most `width` characters, unless a word is longer.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    #[test]
    fn each_visible_command_is_listed_once_and_each_group_has_commands_alone() {
        let command = Cli::command();
        let list = list(&command);
        let plain = console::strip_ansi_codes(&list);
        for sub in command.get_subcommands() {
            let begins = format!("  {} ", sub.get_name());
            let lines = plain.lines().filter(|line| line.starts_with(&begins));
            assert_eq!(lines.count(), usize::from(!sub.is_hide_set()), "{begins}");
        }
        let names = GROUPS.iter().flat_map(|(_, names)| names.iter());
        for name in names {
            assert!(command.find_subcommand(name).is_some(), "{name}");
        }
    }

    #[test]
    fn lines_are_wrapped_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("longest", 3), ["longest"]);
        assert!(wrapped("", 3).is_empty());
    }

    #[test]
    fn topic_that_is_none_is_explained() {
        let run = |words: &[&str]| {
            let topic = words.iter().map(|word| (*word).to_owned()).collect();
            super::run(&Args { topic }, Cli::command())
                .err()
                .map(|error| error.to_string())
        };
        assert!(run(&["rulse"]).unwrap().contains("did you mean `rules`?"));
        let list = run(&["guest", "lst"]).unwrap();
        assert!(
            list.contains("did you mean `list`?") && !list.contains("rules"),
            "{list}"
        );
        let one = run(&["fault", "rules"]).unwrap();
        assert!(
            one.contains("one topic: `provium help fault`, or `provium help rules`"),
            "{one}"
        );
    }
}
