//! `provium checkpoint`: saves, returns to, drops and lists the checkpoints of a disk.

use std::path::PathBuf;

use super::Exit;
use super::exit::UsageError;
use super::target;
use crate::protocol::{BadCheckpoint, CheckpointCommand};

/// Save a disk as it is now, and return to it
///
/// A checkpoint keeps what the disk holds, what is pending, and the state of its power. Nothing is copied: changes go into
/// files of their own from then on. `restore` makes the disk what it was, any number of times. `drop` forgets a
/// checkpoint; with the last one, what the disk holds is written to its image. Lists the checkpoints without a command.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium checkpoint /tmp/m/vda save clean
  provium checkpoint /tmp/m/vda restore clean
  provium checkpoint /tmp/m/vda save armed --faults     with its rules and their counters
  provium checkpoint /tmp/m/vda                         list them, oldest first
  provium checkpoint /tmp/m/vda drop clean")]
pub(super) struct Args {
    /// The data file of the disk
    #[arg(value_name = "MNT/ID")]
    disk: PathBuf,
    /// What to do; list the checkpoints without it
    #[arg(value_name = "save|restore|drop", value_parser = ["save", "restore", "drop"], hide_possible_values = true, requires = "name")]
    command: Option<String>,
    /// What the checkpoint is called: 1 to 63 letters, digits, `.`, `_` or `-`
    name: Option<String>,
    /// For save: the rules and their counters belong to it
    #[arg(long, requires = "command")]
    faults: bool,
    /// Print JSON: an array of names
    #[arg(long, conflicts_with = "command")]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let command = args.command()?;
    let disk = target::disk(&args.disk)?;
    match command {
        Some(command) => disk.checkpoint(&command)?,
        None if args.json => {
            println!("{}", serde_json::to_string_pretty(&disk.checkpoints()?)?);
        }
        None => disk
            .checkpoints()?
            .iter()
            .for_each(|name| println!("{name}")),
    }
    Ok(Exit::Done)
}

impl Args {
    /// The command; none to list them.
    fn command(&self) -> Result<Option<CheckpointCommand>, UsageError> {
        let (Some(command), Some(name)) = (&self.command, &self.name) else {
            return Ok(None);
        };
        let faults = if self.faults { " faults=yes" } else { "" };
        let parsed = format!("{command} {name}{faults}").parse();
        parsed.map(Some).map_err(|error| match error {
            BadCheckpoint::Words(_) if self.faults => {
                UsageError("--faults belongs to save".to_owned())
            }
            error => UsageError(error.to_string()),
        })
    }
}
