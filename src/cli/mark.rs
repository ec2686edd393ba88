//! `provium mark`: a mark in the trace and the write log of disks.

use std::path::PathBuf;

use super::Exit;
use super::target::Target;

/// Set a mark in the trace and the write log of a disk, or of all disks of a mount
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium mark /tmp/m/vda before the rename
  provium mark /tmp/m \"all files are written\"     the same mark for all disks

`provium states --from MARK --to MARK` looks at the part of a log between two marks.")]
pub(super) struct Args {
    /// A mount, or the data file of a disk
    #[arg(value_name = "MNT[/ID]")]
    target: PathBuf,
    /// What the mark says, in 1 to 400 bytes
    #[arg(required = true)]
    text: Vec<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let text = args.text.join(" ");
    match Target::open(&args.target)? {
        Target::Mount(mount) => mount.mark(&text)?,
        Target::Disk(disk) => disk.mark(&text)?,
    }
    Ok(Exit::Done)
}
