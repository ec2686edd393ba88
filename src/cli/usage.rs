//! Wrong usage: clap says what is wrong, and the command's own examples show what is right.

use std::ffi::OsString;
use std::fmt::Write;
use std::io::IsTerminal;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::os::colour;

/// How many of a command's examples are shown.
const MOST: usize = 4;

/// Ends the process with clap's error for the command line `words`. Help and version are such errors, too.
pub(super) fn exit(mut error: clap::Error, command: &Command, words: &[OsString]) -> ! {
    improve(&mut error, command);
    let Some(examples) = examples_for(&error, called(command, words)) else {
        error.exit();
    };
    let text = error.render();
    let text = match colour::is_wanted(std::io::stderr().is_terminal()) {
        true => text.ansi().to_string(),
        false => text.to_string(),
    };
    eprint!("{}", with_examples(&text, &examples));
    std::process::exit(error.exit_code());
}

/// The command that `words` call: `guest list` in `provium -v guest list --json`.
fn called<'a>(command: &'a Command, words: &[OsString]) -> &'a Command {
    let mut called = command;
    for word in words.iter().skip(1) {
        match called.find_subcommand(word) {
            Some(found) => called = found,
            None if word.as_encoded_bytes().starts_with(b"-") => {}
            None => break,
        }
    }
    called
}

/// Whether no person calls the command of `whole` called `name`.
fn is_internal(whole: &Command, name: &str) -> bool {
    let found = whole.find_subcommand(name);
    found.is_some_and(Command::is_hide_set)
}

/// Leaves out the advice to pass an option as if it were a path, and the names of internal commands; adds the option that an unknown command is.
fn improve(error: &mut clap::Error, command: &Command) {
    if let Some(ContextValue::StyledStrs(tips)) = error.remove(ContextKind::Suggested) {
        let tips = tips.into_iter();
        let tips: Vec<_> = tips
            .filter(|tip| !tip.to_string().contains("as a value"))
            .collect();
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
    if let Some(ContextValue::Strings(names)) = error.remove(ContextKind::SuggestedSubcommand) {
        let names: Vec<_> = names
            .into_iter()
            .filter(|name| !is_internal(command, name))
            .collect();
        if !names.is_empty() {
            error.insert(
                ContextKind::SuggestedSubcommand,
                ContextValue::Strings(names),
            );
        }
    }
    let word = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) => word.clone(),
        _ => return,
    };
    let mut options = command.get_arguments().filter_map(clap::Arg::get_long);
    let is_option = options.any(|option| option == word);
    if is_option || word == "version" {
        let tip = format!("there is an option `--{word}`").into();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
}

/// Lines of the help of `command` that show how it is called, if `error` is that it was called in another way.
fn examples_for(error: &clap::Error, command: &Command) -> Option<String> {
    use ErrorKind as Kind;
    let is_form = matches!(
        error.kind(),
        Kind::UnknownArgument
            | Kind::MissingRequiredArgument
            | Kind::TooManyValues
            | Kind::TooFewValues
            | Kind::WrongNumberOfValues
            | Kind::InvalidValue
            | Kind::ArgumentConflict
            | Kind::NoEquals
    );
    let examples = super::man::examples(command).filter(|_| is_form)?;
    let mut lines: Vec<_> = examples.lines().take(MOST).collect();
    // The first half of a command says nothing.
    while lines.last().is_some_and(|line| line.ends_with('\\')) {
        lines.pop();
    }
    Some(lines.iter().map(|line| format!("{line}\n")).collect())
}

/// `text` with the examples in front of its last line, which names `--help`.
fn with_examples(text: &str, examples: &str) -> String {
    let (before, rest) = match text.rfind("\nFor more information") {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let mut all = before.to_owned();
    let _ = write!(all, "\nExamples:\n{examples}{rest}");
    all
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    /// What is said of a command line; nothing if it is right.
    fn said(line: &str) -> String {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let mut command = Cli::command();
        command.build();
        let Err(mut error) = command.clone().try_get_matches_from(&words) else {
            return String::new();
        };
        improve(&mut error, &command);
        let text = error.render().to_string();
        match examples_for(&error, called(&command, &words)) {
            Some(examples) => with_examples(&text, &examples),
            None => text,
        }
    }

    #[test]
    fn wrong_form_of_a_command_is_answered_with_its_examples() {
        for (line, example) in [
            (
                "provium mount m a.img",
                "provium mount /tmp/m --disk vda=disk.img",
            ),
            ("provium -v attach m vdc=b.img", "provium attach /tmp/m"),
            ("provium detach m/vdc", "provium detach /tmp/m vdb"),
            ("provium power m cut --keep half", "cut keep="),
            ("provium run ls", "provium run --disk"),
            ("provium record m/vda -o x", "provium record /tmp/m/vda"),
            ("provium guest lost", ""),
        ] {
            let said = said(line);
            assert!(said.contains(example), "{line}: {said}");
            assert!(!said.contains("as a value"), "{line}: {said}");
            assert!(!said.contains("\\\n\nFor more"), "{line}: {said}");
            assert!(said.ends_with("try '--help'.\n"), "{line}: {said}");
        }
        assert!(said("provium fault m/vda --jsno").contains("argument exists: '--json'"));
        assert!(!said("provium test --timeout x").contains("Examples"));
    }

    #[test]
    fn option_in_the_place_of_a_command_is_named() {
        assert!(said("provium version").contains("an option `--version`"));
        assert!(said("provium verbose").contains("an option `--verbose`"));
        assert!(!said("provium vresion").contains("an option"));
        let typo = said("provium tset");
        assert!(
            typo.contains("'test'") && !typo.contains("test-file"),
            "{typo}"
        );
    }

    /// Every option with a value, of every command, in a text that is none of its values.
    #[test]
    fn value_of_another_form_is_answered_in_words_and_not_in_those_of_a_parser() {
        fn check(command: &Command, path: &[&str], seen: &mut usize) {
            for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
                check(sub, &[path, &[sub.get_name()]].concat(), seen);
            }
            let arguments = command.get_arguments().filter(|it| !it.is_hide_set());
            let arguments = arguments.filter_map(clap::Arg::get_long);
            for (long, value) in arguments.flat_map(|long| {
                [
                    (long, "many"),
                    (long, "-1"),
                    (long, "99999999999999999999999"),
                ]
            }) {
                let said = said(&format!("{} --{long}={value}", path.join(" ")));
                *seen += usize::from(said.contains("invalid value"));
                for word in ["invalid digit", "..=", "too large to fit", "invalid float"] {
                    assert!(!said.contains(word), "{path:?}: {said}");
                }
            }
        }
        let mut command = Cli::command();
        command.build();
        let mut seen = 0;
        check(&command, &["provium"], &mut seen);
        assert!(seen > 30, "{seen}");
    }
}
