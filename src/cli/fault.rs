//! `provium fault`: shows and edits the faults of a disk.

use std::path::{Path, PathBuf};

use super::Exit;
use super::exit::UsageError;
use crate::client::{DiskControl, MountClient};
use crate::fault::{Action, Mode};

/// Show or arm the faults of a disk
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium fault /tmp/m/vda                    show what is armed
  provium fault /tmp/m/vda slow eio_read      arm both, or neither
  provium fault /tmp/m/vda --set eio_write    exactly this one
  provium fault /tmp/m/vda --remove slow
  provium fault /tmp/m/vda \"error op=read errno=EIO at=2048+8 times=3\"
  provium fault /tmp/m/vda --rules            with what they have done so far
  provium fault /tmp/m/vda --release all      let go what a hang holds
  provium fault /tmp/m/vda --clear")]
pub(super) struct Args {
    /// The data file of the disk
    #[arg(value_name = "MNT/ID")]
    disk: PathBuf,
    /// Rules to arm, beside those that are armed
    #[arg(value_name = "RULE", help = rules_help())]
    rules: Vec<String>,
    /// Arm the rules beside those that are armed (the default)
    #[arg(long, requires = "rules", conflicts_with_all = ["set", "remove", "clear"])]
    add: bool,
    /// Arm the rules instead of those that are armed
    #[arg(long, requires = "rules", conflicts_with_all = ["remove", "clear"])]
    set: bool,
    /// Take the rules away
    #[arg(long, requires = "rules", conflicts_with = "clear")]
    remove: bool,
    /// Take all rules away
    #[arg(long, conflicts_with = "rules")]
    clear: bool,
    /// Let go what a hang holds: `all`, or a tag
    #[arg(long, value_name = "TAG", conflicts_with_all = ["rules", "clear"])]
    release: Option<String>,
    /// How what is released fails; it goes on well without
    #[arg(long, value_name = "ERRNO", requires = "release")]
    errno: Option<String>,
    /// Show what the rules have done
    #[arg(long = "rules", conflicts_with_all = ["rules", "clear", "release"])]
    states: bool,
}

fn rules_help() -> String {
    let actions = Action::NAMES.join(", ");
    format!(
        "Faults to arm: {}, or {actions} with key=value words",
        Mode::list()
    )
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let disk = open(&args.disk)?;
    if args.clear {
        disk.clear_faults()?;
    } else if let Some(tag) = &args.release {
        disk.release(tag, args.errno.as_deref())?;
    } else if args.states {
        for state in disk.rules()? {
            println!("{state}");
        }
    } else if args.rules.is_empty() {
        for rule in disk.faults()? {
            println!("{rule}");
        }
    } else if args.set {
        disk.set_faults(&args.rules)?;
    } else if args.remove {
        disk.remove_faults(&args.rules)?;
    } else {
        disk.add_faults(&args.rules)?;
    }
    Ok(Exit::Done)
}

fn open(path: &Path) -> anyhow::Result<DiskControl> {
    let path = std::path::absolute(path)?;
    let parts = path
        .parent()
        .zip(path.file_name().and_then(|id| id.to_str()));
    let Some((mount, id)) = parts else {
        return Err(UsageError(format!("`{}` is not MNT/ID", path.display())).into());
    };
    Ok(MountClient::open(mount)?.disk(id)?)
}
