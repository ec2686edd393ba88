//! `provium fault`: shows and edits the faults of a disk, or of all disks of a mount.

mod explain;
mod file;
mod sectors;
mod show;
mod words;

use std::path::PathBuf;

use super::exit::UsageError;
use super::target::Target;
use super::{Exit, output};
use crate::client::{ClientError, DiskControl};
use crate::fault::{ActionKind, Mode, parse_rule};
use crate::units::text::shown;

/// Show or arm the faults of a disk, or of all disks of a mount
///
/// A rule may be quoted as one word, or not: words that are `key=value` belong to the rule before them.
/// `provium help rules` explains rules by examples.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium fault /tmp/m/vda                    show the armed rules
  provium fault /tmp/m/vda slow eio_read      arm both, or neither
  provium fault /tmp/m/vda error op=read at=2048+8 times=3
  provium fault /tmp/m/vda --set eio_write    exactly this one
  provium fault /tmp/m/vda --set --file bad-sectors.rules
  provium fault /tmp/m/vda --remove slow
  provium fault /tmp/m/vda --rules            the rules with their counters
  provium fault /tmp/m/vda --show-sectors     which sectors are bad, for a script
  provium fault /tmp/m/vda --json             the same, for a program
  provium fault /tmp/m/vda --explain \"read 2048+8\"
  provium fault /tmp/m/vda --explain \"eio_read times=3\"
  provium fault /tmp/m/vda --release all      release held requests
  provium fault /tmp/m/vda --clear
  provium fault /tmp/m --clear                of all disks

For a mount, each command is for all of its disks, one after the other. `--remove` and `--release` pass
over the disks that have no such rule.")]
pub(super) struct Args {
    /// The data file of the disk, or a mount
    #[arg(value_name = "MNT[/ID]")]
    target: PathBuf,
    /// Rules to arm, beside those that are armed
    #[arg(value_name = "RULE", help = rules_help(), group = "rules_to_arm")]
    given: Vec<String>,
    /// Arm the rules of this file, one a line, all or none; `-` is standard input. Lines that begin with # are comments
    #[arg(long, value_name = "RULES", group = "rules_to_arm", conflicts_with_all = ["given", "remove", "clear", "release", "rules", "explain", "json"])]
    file: Option<PathBuf>,
    /// Add the rules to the armed ones (the default)
    #[arg(long, requires = "rules_to_arm", conflicts_with_all = ["set", "remove", "clear"])]
    add: bool,
    /// Replace the armed rules by these
    #[arg(long, requires = "rules_to_arm", conflicts_with_all = ["remove", "clear"])]
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
    /// Show which rules would act on a request, and why the others would not; or what a rule means
    #[arg(long, value_name = "OP SECTOR+COUNT|RULE", conflicts_with_all = ["given", "clear", "release"])]
    explain: Option<String>,
    /// Show the sectors of each rule that has at=, sectors= or heal=, one `START COUNT` a line: what is left bad of them
    #[arg(long, conflicts_with_all = ["given", "clear", "release", "explain", "rules", "file"])]
    show_sectors: bool,
    /// Print JSON: an array of disks with their rules
    #[arg(long, conflicts_with_all = ["given", "clear", "release"])]
    json: bool,
}

fn rules_help() -> String {
    format!(
        "Faults to arm: {}, or {} with key=value words",
        Mode::list(),
        ActionKind::list()
    )
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let target = Target::open(&args.target)?;
    if args.clear {
        clear(&target)?;
    } else if let Some(tag) = &args.release {
        where_it_is(&target, |disk| disk.release(tag, args.errno.as_deref()))?;
    } else if let Some(text) = &args.explain {
        explain::explain(&target, text, args.json)?;
    } else if let Some(path) = &args.file {
        let rules = file::Rules::read(path)?;
        arm(
            &target,
            |disk| disk.arm_text(&rules.text, args.set),
            |disk| disk.warnings_of(&rules.added),
        )
        .map_err(|error| rules.name_in(error))?;
    } else if args.show_sectors {
        sectors::show(&target, args.json)?;
    } else if args.given.is_empty() {
        show::show(&target, args.rules, args.json)?;
    } else {
        edit(&target, args)?;
    }
    Ok(Exit::Done)
}

fn clear(target: &Target) -> Result<(), ClientError> {
    match target {
        // Works whatever else hangs.
        Target::Mount(mount) => mount.clear(),
        Target::Disk(disk) => disk.clear_faults(),
    }
}

fn edit(target: &Target, args: &Args) -> anyhow::Result<()> {
    let rules = words::rules(&args.given)?;
    if args.remove {
        return Ok(where_it_is(target, |disk| disk.remove_faults(&rules))?);
    }
    words::must_not_be_options(&rules)?;
    must_not_be_a_disk(target, &rules)?;
    let change = |disk: &DiskControl| match args.set {
        true => disk.set_faults(&rules),
        false => disk.add_faults(&rules),
    };
    arm(target, change, |disk| disk.warnings(&rules))
}

/// Does `change`, which arms rules, to each disk, and prints what is to be said of the rules.
fn arm(
    target: &Target,
    change: impl Fn(&DiskControl) -> Result<(), ClientError>,
    warnings: impl Fn(&DiskControl) -> Result<Vec<String>, ClientError>,
) -> anyhow::Result<()> {
    let disks = target.disks_for_rules()?;
    for (at, disk) in disks.iter().enumerate() {
        change(disk).map_err(|error| half_done(error, &disks[..at], disk))?;
        for warning in warnings(disk)? {
            let name = target.name_before(disk);
            output::warn(format_args!("{name}{warning}"));
        }
    }
    Ok(())
}

/// A usage error if the first rule is the name of a disk of a mount: `MNT ID` in place of `MNT/ID`.
fn must_not_be_a_disk(target: &Target, rules: &[String]) -> anyhow::Result<()> {
    let (Target::Mount(mount), Some(first)) = (target, rules.first()) else {
        return Ok(());
    };
    let is_disk = |disk: &DiskControl| disk.id() == first;
    match mount.all()?.iter().any(is_disk) && parse_rule(first, 1).is_err() {
        true => {
            let path = shown(mount.point().join(first));
            let text = format!("`{first}` is a disk of this mount: name it as {path}");
            Err(UsageError(text).into())
        }
        false => Ok(()),
    }
}

/// Does `change` to each disk. Fails if it fails for all of them: a rule or tag may be one disk's alone.
fn where_it_is(
    target: &Target,
    change: impl Fn(&DiskControl) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    let results: Vec<_> = target.disks()?.iter().map(change).collect();
    match results.iter().any(Result::is_ok) {
        true => Ok(()),
        false => results.into_iter().collect(),
    }
}

/// An error at `disk`, after the disks of `done`: they are not one transaction.
fn half_done(error: ClientError, done: &[DiskControl], disk: &DiskControl) -> anyhow::Error {
    if done.is_empty() {
        return error.into();
    }
    let names: Vec<_> = done.iter().map(DiskControl::id).collect();
    let armed = names.join(", ");
    anyhow::anyhow!(
        "{error} (of `{}`; the rules are armed on {armed})",
        disk.id()
    )
}
