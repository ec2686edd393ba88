//! `provium fault`: shows and edits the faults of a disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Exit;
use super::exit::UsageError;
use super::target;
use crate::client::DiskControl;
use crate::fault::{ActionKind, Armed, FaultSet, IoRange, Mode, Op};
use crate::protocol::names::SECTOR;

/// Show or arm the faults of a disk
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium fault /tmp/m/vda                    show the armed rules
  provium fault /tmp/m/vda slow eio_read      arm both, or neither
  provium fault /tmp/m/vda --set eio_write    exactly this one
  provium fault /tmp/m/vda --remove slow
  provium fault /tmp/m/vda \"error op=read errno=EIO at=2048+8 times=3\"
  provium fault /tmp/m/vda --rules            the rules with their counters
  provium fault /tmp/m/vda --explain \"read 2048+8\"
  provium fault /tmp/m/vda --release all      release held requests
  provium fault /tmp/m/vda --clear")]
pub(super) struct Args {
    /// The data file of the disk
    #[arg(value_name = "MNT/ID")]
    disk: PathBuf,
    /// Rules to arm, beside those that are armed
    #[arg(value_name = "RULE", help = rules_help())]
    given: Vec<String>,
    /// Add the rules to the armed ones (the default)
    #[arg(long, requires = "given", conflicts_with_all = ["set", "remove", "clear"])]
    add: bool,
    /// Replace the armed rules by these
    #[arg(long, requires = "given", conflicts_with_all = ["remove", "clear"])]
    set: bool,
    /// Remove these rules
    #[arg(long, requires = "given", conflicts_with = "clear")]
    remove: bool,
    /// Remove all rules
    #[arg(long, conflicts_with = "given")]
    clear: bool,
    /// Release the requests that a hang holds: `all`, or those of a tag
    #[arg(long, value_name = "TAG", conflicts_with_all = ["given", "clear"])]
    release: Option<String>,
    /// Fail the released requests with this error; without it they are served
    #[arg(long, value_name = "ERRNO", requires = "release")]
    errno: Option<String>,
    /// Show the rules with their counters
    #[arg(long, conflicts_with_all = ["given", "clear", "release", "explain"])]
    rules: bool,
    /// Show which rules would act on a request, and why the others would not
    #[arg(long, value_name = "OP SECTOR+COUNT", conflicts_with_all = ["given", "clear", "release"])]
    explain: Option<String>,
}

fn rules_help() -> String {
    format!(
        "Faults to arm: {}, or {} with key=value words",
        Mode::list(),
        ActionKind::list()
    )
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let disk = target::disk(&args.disk)?;
    if args.clear {
        disk.clear_faults()?;
    } else if let Some(tag) = &args.release {
        disk.release(tag, args.errno.as_deref())?;
    } else if let Some(request) = &args.explain {
        explain(&disk, request)?;
    } else if args.rules {
        for state in disk.rules()? {
            println!("{state}");
        }
    } else if args.given.is_empty() {
        for rule in disk.faults()? {
            println!("{rule}");
        }
    } else if args.remove {
        disk.remove_faults(&args.given)?;
    } else {
        match args.set {
            true => disk.set_faults(&args.given)?,
            false => disk.add_faults(&args.given)?,
        }
        for warning in disk.warnings(&args.given)? {
            eprintln!("provium: warning: {warning}");
        }
    }
    Ok(Exit::Done)
}

/// Prints for each rule whether it would act on the next such request, now. Counts nothing.
fn explain(disk: &DiskControl, request: &str) -> anyhow::Result<()> {
    let ask = parse_request(request).ok_or_else(|| {
        let valid = "read, write, flush, discard or zero, and SECTOR+COUNT, as in `read 2048+8`";
        UsageError(format!("`{request}` is not a request (valid: {valid})"))
    })?;
    // Any moment that is later than the age of each rule.
    let now = Duration::from_secs(1 << 40);
    let are_off = disk.are_rules_off()?;
    let states = disk.rules()?.into_iter().zip(1..);
    let armed = states.filter_map(|(state, id)| Armed::of_line(&state, id, now).map(Arc::new));
    for (armed, answer) in FaultSet::of(armed.collect()).explain(ask, now) {
        match answer {
            Ok(()) if are_off => println!("no    {}: all rules are off", armed.rule),
            Ok(()) => println!("acts  {}", armed.rule),
            Err(why) => println!("no    {}: {why}", armed.rule),
        }
    }
    Ok(())
}

/// `OP SECTOR+COUNT`, or `flush`.
fn parse_request(text: &str) -> Option<IoRange> {
    let (op, range) = text.trim().split_once(' ').unwrap_or((text.trim(), "0+0"));
    let (op, (sector, count)) = (Op::named(op)?, range.trim().split_once('+')?);
    Some(IoRange {
        op,
        offset: sector.parse::<u64>().ok()?.checked_mul(SECTOR)?,
        len: count.parse::<u64>().ok()?.checked_mul(SECTOR)?,
    })
}
