//! `provium completions`: for the shell's tab key.

use clap_complete::Shell;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  provium completions bash > ~/.local/share/bash-completion/completions/provium"
)]
pub(super) struct Args {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(args: &Args, command: &mut clap::Command) {
    clap_complete::generate(args.shell, command, "provium", &mut std::io::stdout());
}
