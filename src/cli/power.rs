//! `provium power`: cuts, returns and shows the power of disks.

use std::path::PathBuf;

use serde::Serialize;

use super::Exit;
use super::exit::UsageError;
use super::target::Target;
use crate::client::ClientError;
use crate::protocol::{BadPower, CutReport, PowerCommand, PowerState};

/// Cut or return the power of a disk, or of all disks of a mount at one instant
///
/// While the power is off, every request fails with EIO and nothing reaches the image. Shows the power without a command, and
/// after a cut.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium power /tmp/m                                 show the power of all disks
  provium power /tmp/m cut                             nothing that is pending survives
  provium power /tmp/m/vda cut keep=all                this disk alone, as if a process had crashed
  provium power /tmp/m cut keep=random p=0.5 seed=7
  provium power /tmp/m cut keep=first=3 tear=8
  provium power /tmp/m on

Keys of a cut:
  keep=none       no pending request survives (the default)
  keep=all        all survive
  keep=first=N    the N oldest survive
  keep=only=N,N   those with these numbers of ctl/ID/pending survive
  keep=random     each survives with the probability p= (default: 0.5)
  seed=N          decides what is random; drawn and shown without it
  tear=N          pieces of N sectors survive or not, instead of whole requests
  garbage=P       a lost piece holds neither old nor new data with this probability")]
pub(super) struct Args {
    /// A mount, or the data file of a disk
    #[arg(value_name = "MNT[/ID]")]
    target: PathBuf,
    /// What to do; show the power without it
    #[arg(value_name = "cut|on", value_parser = ["cut", "on"], hide_possible_values = true)]
    command: Option<String>,
    /// For a cut: what survives; see below
    #[arg(value_name = "KEY=VALUE")]
    words: Vec<String>,
    /// Print JSON: an array of disks
    #[arg(long)]
    json: bool,
}

/// A disk, as JSON has it.
#[derive(Debug, Serialize)]
struct Line<'a> {
    id: &'a str,
    #[serde(flatten)]
    status: PowerStatus,
}

/// The power of a disk, as JSON has it.
#[derive(Debug, Serialize)]
pub(super) struct PowerStatus {
    /// `on` or `off`.
    power: &'static str,
    /// The cut since which it is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cut: Option<CutReport>,
}

impl From<PowerState> for PowerStatus {
    fn from(state: PowerState) -> Self {
        match state {
            PowerState::On => Self {
                power: "on",
                cut: None,
            },
            PowerState::Off(report) => Self {
                power: "off",
                cut: Some(report),
            },
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let command = args.command()?;
    let target = Target::open(&args.target)?;
    if let Some(command) = &command {
        match &target {
            Target::Mount(mount) => mount.switch_power(command)?,
            Target::Disk(disk) => disk.switch_power(command)?,
        }
    }
    match command {
        Some(PowerCommand::On) if !args.json => {}
        _ => show(&states(&target)?, args.json)?,
    }
    Ok(Exit::Done)
}

impl Args {
    /// The command; none to show the power.
    fn command(&self) -> Result<Option<PowerCommand>, UsageError> {
        let Some(command) = &self.command else {
            return Ok(None);
        };
        let line = [std::slice::from_ref(command), &self.words].concat();
        let parsed = line.join(" ").parse();
        parsed
            .map(Some)
            .map_err(|error: BadPower| UsageError(error.to_string()))
    }
}

fn states(target: &Target) -> Result<Vec<(String, PowerState)>, ClientError> {
    match target {
        Target::Mount(mount) => mount.power(),
        Target::Disk(disk) => Ok(vec![(disk.id().to_owned(), disk.power()?)]),
    }
}

fn show(states: &[(String, PowerState)], json: bool) -> anyhow::Result<()> {
    if json {
        let lines = states.iter().map(|(id, state)| Line {
            id,
            status: (*state).into(),
        });
        let lines: Vec<_> = lines.collect();
        println!("{}", serde_json::to_string_pretty(&lines)?);
        return Ok(());
    }
    for (id, state) in states {
        println!("{id} {state}");
    }
    Ok(())
}
