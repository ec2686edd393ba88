//! `provium bench`: how fast this machine reads an image by each way that QEMU has to it.

mod report;
mod ways;

use std::path::PathBuf;

use anyhow::Context;

use self::report::Report;
use self::ways::{Measurer, Way, Workload};
use super::Exit;
use super::exit::UsageError;
use super::number::whole;
use super::private_mount::PrivateMount;
use crate::os::run_folder;
use crate::protocol::DiskSpec;
use crate::protocol::disk_options::DiskOptions;
use crate::units::size::show_size;

/// The disk of the mount that is measured.
const ID: &str = "vda";
/// A smaller image says nothing: all of it is in the processor's cache.
const SMALLEST: u64 = 1 << 20;

/// Measure how fast this machine reads an image: as a file, and through a mount
///
/// QEMU has several ways to a file (`aio=`). This reads IMAGE by each of them, in turn, by `qemu-img bench`: the file
/// itself, and the file in a mount of its own. Nothing is written. It takes about half a minute, and ends with what to
/// choose.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium bench disk.img
  provium bench disk.img --rounds 9 --json > bench.json

The medians of the rounds are shown. Ratios say more than figures, which differ from hour to hour. The file is read past the
page cache (`cache=none`); a mount keeps its image in the page cache of the host.")]
pub(super) struct Args {
    /// A raw image that no other program writes to
    image: PathBuf,
    /// How often each way is measured
    #[arg(long, default_value_t = 3, value_parser = whole(1..=99_u64))]
    rounds: u64,
    /// Print JSON: an array with a member for each way and workload
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let name = || args.image.display().to_string();
    let size = std::fs::metadata(&args.image).with_context(name)?.len();
    if size < SMALLEST {
        let (size, least) = (show_size(size), show_size(SMALLEST));
        let what = format!(
            "{} has {size}: an image to measure has at least {least}",
            name()
        );
        return Err(UsageError(what).into());
    }
    ways::check_tool()?;
    let _ = run_folder::remove_leftovers();
    let mount = PrivateMount::start(&[DiskSpec {
        id: ID.to_owned(),
        image: args.image.clone(),
        options: DiskOptions::READ_ONLY,
    }])?;
    let measurer = Measurer {
        image: &args.image,
        served: &mount.point().join(ID),
    };
    let mut report = Report::start(args.rounds);
    let measured = measure(&measurer, args.rounds, &mut report);
    mount.end();
    measured?;
    match args.json {
        true => println!("{}", report.json()),
        false => report.print(),
    }
    Ok(Exit::Done)
}

/// Measures every way in each round.
fn measure(measurer: &Measurer<'_>, rounds: u64, report: &mut Report) -> anyhow::Result<()> {
    for _ in 0..rounds {
        for workload in Workload::ALL {
            for way in Way::all() {
                report.measured(way, workload, measurer.rate(way, workload)?);
            }
        }
    }
    Ok(())
}
