//! `provium completions`: for the shell's tab key.

use std::io::Write;

use clap::Command;
use clap_complete::Shell;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  provium completions bash > ~/.local/share/bash-completion/completions/provium"
)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, command: &Command) {
    write(args.shell, command, &mut std::io::stdout());
}

fn write(shell: Shell, command: &Command, out: &mut dyn Write) {
    clap_complete::generate(shell, &mut visible(command), command.get_name(), out);
}

/// The same command without its hidden subcommands and arguments: clap_complete would offer them.
fn visible(command: &Command) -> Command {
    let arguments = command.get_arguments().filter(|one| !one.is_hide_set());
    let commands = command.get_subcommands().filter(|one| !one.is_hide_set());
    let visible = Command::new(command.get_name().to_owned())
        .disable_help_subcommand(command.is_disable_help_subcommand_set())
        .args(arguments)
        .subcommands(commands.map(visible));
    let visible = match command.get_about() {
        Some(about) => visible.about(about.clone()),
        None => visible,
    };
    match command.get_version() {
        Some(version) => visible.version(version.to_owned()),
        None => visible,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::{CommandFactory, ValueEnum};

    /// All that a shell, or a reader of the man pages, is offered.
    fn offers() -> Vec<String> {
        let command = Cli::command();
        let mut offers: Vec<_> = Shell::value_variants()
            .iter()
            .map(|shell| {
                let mut script = Vec::new();
                write(*shell, &command, &mut script);
                String::from_utf8(script).unwrap()
            })
            .collect();
        let pages = crate::cli::man::texts(command).unwrap();
        offers.push(pages.concat());
        offers
    }

    #[test]
    fn completions_and_man_pages_offer_all_that_is_visible_and_nothing_hidden() {
        let hidden = |command: &Command| {
            let commands = command.get_subcommands().filter(|one| one.is_hide_set());
            let arguments = command.get_subcommands().flat_map(Command::get_arguments);
            let arguments = arguments.filter(|one| one.is_hide_set());
            let names = commands.map(|one| one.get_name().to_owned());
            let flags = arguments.filter_map(|one| one.get_long().map(str::to_owned));
            names.chain(flags).collect::<Vec<_>>()
        };
        let hidden = hidden(&Cli::command());
        assert!(hidden.contains(&"test-file".to_owned()), "{hidden:?}");
        assert!(hidden.contains(&"ready-fd".to_owned()), "{hidden:?}");
        for offer in offers() {
            for name in &hidden {
                assert!(!offer.contains(name.as_str()), "{name} is offered");
            }
            for name in ["mount", "umount", "foreground", "completions", "detach"] {
                assert!(offer.contains(name), "{name} is not offered");
            }
        }
    }
}
