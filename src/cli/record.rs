//! `provium record`: begins, ends and shows the write log of a disk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Exit;
use super::durability::Log;
use super::exit::UsageError;
use super::target;
use crate::client::DiskControl;
use crate::protocol::names::SECTOR;
use crate::protocol::{LogBase, LogLine};
use crate::storage::write_log::Superblock;

/// Keep a log of the writes of a disk, for `provium states`
///
/// Returns when the log has begun. `--stop` ends it. Shows the log without PATH and `--stop`. The format is that of Linux's
/// dm-log-writes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium record /tmp/m/vda run.log          begin; run.log.base keeps what the disk holds now
  provium mark /tmp/m/vda before the rename
  provium record /tmp/m/vda                  show how long the log is
  provium record /tmp/m/vda --stop
  provium states run.log --check 'CMD {}'")]
pub(super) struct Args {
    /// The data file of the disk
    #[arg(value_name = "MNT/ID")]
    disk: PathBuf,
    /// Begin a log in this file, which is new or empty
    path: Option<PathBuf>,
    /// Where to keep what the disk holds now (default: PATH.base); `none` keeps nothing
    #[arg(long, value_name = "BASE|none", requires = "path")]
    base: Option<PathBuf>,
    /// End the log, and print how long it is
    #[arg(long, conflicts_with = "path")]
    stop: bool,
    /// Print JSON: the log, or null without one
    #[arg(long, conflicts_with_all = ["path", "stop"])]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let disk = target::disk(&args.disk)?;
    match &args.path {
        Some(path) => start(&disk, path, args.base.as_deref())?,
        None if args.stop => stop(&disk)?,
        None if args.json => {
            println!("{}", serde_json::to_string_pretty(&Log::of(disk.log()?))?);
        }
        None => println!("{}", disk.log()?),
    }
    Ok(Exit::Done)
}

fn start(disk: &DiskControl, path: &Path, base: Option<&Path>) -> anyhow::Result<()> {
    let base = match base {
        None => LogBase::Beside,
        Some(base) if base == Path::new("none") => LogBase::None,
        Some(base) => LogBase::At(absolute(base)?),
    };
    Ok(disk.start_log(Path::new(&absolute(path)?), base)?)
}

/// The server works from another folder, and takes paths as text.
fn absolute(path: &Path) -> anyhow::Result<String> {
    let absolute = std::path::absolute(path)?;
    let text = absolute.into_os_string().into_string();
    let text = text.map_err(|_| UsageError(format!("{} is not UTF-8", path.display())))?;
    Ok(text)
}

fn stop(disk: &DiskControl) -> anyhow::Result<()> {
    let before = disk.log()?;
    disk.stop_log()?;
    if let LogLine::On {
        path,
        stopped: Some(why),
        ..
    } = &before
    {
        anyhow::bail!("the log {path} had ended by itself: {why}");
    }
    println!("{}", ended(&before).unwrap_or(before));
    Ok(())
}

/// The log as it is at its end, with the mark that is its last entry. None where this process cannot read it.
fn ended(before: &LogLine) -> Option<LogLine> {
    let LogLine::On { path, .. } = before else {
        return None;
    };
    let file = File::open(path).ok()?;
    let mut sector = [0; SECTOR as usize];
    file.read_exact_at(&mut sector, 0).ok()?;
    Some(LogLine::On {
        path: path.clone(),
        entries: Superblock::decode(&sector).ok()?.entries,
        bytes: file.metadata().ok()?.len(),
        stopped: None,
    })
}
