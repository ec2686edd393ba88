//! `provium man`: man pages from the command line's own help.

use std::path::PathBuf;

use anyhow::Context;

use super::Exit;

/// Write the man pages, one per command
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  provium man ~/.local/share/man/man1 && man provium-test")]
pub(super) struct Args {
    /// The folder; created if it is missing
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

pub(super) fn run(args: &Args, command: clap::Command) -> anyhow::Result<Exit> {
    let write = || {
        std::fs::create_dir_all(&args.folder)?;
        clap_mangen::generate_to(command.disable_help_subcommand(true), &args.folder)
    };
    write().with_context(|| format!("cannot write the man pages to {}", args.folder.display()))?;
    Ok(Exit::Done)
}
