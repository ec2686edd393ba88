//! `provium trace`: the requests of a disk, or of all disks of a mount, each as it is answered.

mod filter;
mod merge;
mod print;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;

use self::filter::Filter;
pub(super) use self::filter::parse_time;
pub(super) use self::merge::stop_at_signals;
use self::merge::{End, Line, Merged};
use self::print::Printer;
use super::number::whole;
use super::target::Target;
use super::{Exit, output};
use crate::protocol::TraceLine;
use crate::units::counted;
use crate::units::text::shown;

/// Show the requests of a disk, or of all disks of a mount, as they are answered
///
/// Runs until you press Ctrl-C, which is no error. Nothing that happens after its first line is missed,
/// unless it says so: a reader that is too slow is told how many lines it has lost, and delays nobody.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium trace /tmp/m/vda
  provium trace /tmp/m                        all disks, in the order of time
  provium trace /tmp/m/vda --op write,flush --at 0+64
  provium trace /tmp/m --faults --count 1     wait for the first request that a rule acts on
  provium trace /tmp/m/vda --slower 10ms --for 1m
  provium trace /tmp/m --json | jq .verdict

TIME is in seconds, by the clock of dmesg. LATENCY is from arrival to answer, delays included. VERDICT is
`ok`, or what rules did to the request and its error, as in `delayed+EIO`; `host:EIO` is no fault of a rule.")]
pub(super) struct Args {
    /// A mount, or the data file of a disk
    #[arg(value_name = "MNT[/ID]")]
    target: PathBuf,
    #[command(flatten)]
    filter: Filter,
    /// End after this number of requests
    #[arg(long, value_name = "N", value_parser = whole(1..=u64::MAX))]
    count: Option<u64>,
    /// End after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_time)]
    lasts: Option<Duration>,
    /// Print JSON: one object a line
    #[arg(long)]
    json: bool,
}

const NOT_WRITTEN: &str = "cannot write to standard output";

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let target = Target::open(&args.target)?;
    let disks = target.disks()?;
    let mount = match &target {
        Target::Mount(mount) => Some(mount),
        Target::Disk(_) => None,
    };
    let until = args.lasts.map(|time| Instant::now() + time);
    let mut merged = Merged::start(&disks, mount, until)?;
    let mut shown = Shown {
        printer: Printer::new(args.json, &target),
        filter: &args.filter,
        left: args.count.unwrap_or(u64::MAX),
        lost: 0,
    };
    shown.printer.begin(&disks).context(NOT_WRITTEN)?;
    let end = loop {
        match merged.next() {
            Ok(lines) => {
                shown.show(&lines).context(NOT_WRITTEN)?;
                if shown.left == 0 {
                    break End::Over;
                }
            }
            Err(end) => break end,
        }
    };
    if shown.lost > 0 {
        let lost = counted(shown.lost, "line");
        output::warn(format_args!(
            "{lost} of the trace were lost, because this reader was too slow"
        ));
    }
    conclude(end, args)
}

/// The exit code, and the reason of an end that nobody asked for.
fn conclude(end: End, args: &Args) -> anyhow::Result<Exit> {
    let target = shown(&args.target);
    match end {
        End::Stopped | End::Over => Ok(Exit::Done),
        End::Detached => anyhow::bail!("{target} was detached: its trace ends here"),
        End::Unmounted => anyhow::bail!("the mount of {target} has ended, and its trace with it"),
    }
}

/// What is shown of the lines.
struct Shown<'a> {
    printer: Printer,
    filter: &'a Filter,
    /// How many requests may still be shown.
    left: u64,
    lost: u64,
}

impl Shown<'_> {
    fn show(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for line in lines {
            match &line.line {
                TraceLine::Answered(request) if !self.filter.passes(request) => continue,
                TraceLine::Answered(_) => self.left -= 1,
                TraceLine::Noted(_) => {}
                TraceLine::Lost(lines) => self.lost += lines,
            }
            writeln!(out, "{}", self.printer.line(line))?;
            if self.left == 0 {
                break;
            }
        }
        out.flush()
    }
}
