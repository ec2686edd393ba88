//! `provium sweep`: fails each request of a command once.
//!
//! What the user starts waits for a process of its own that does the work. So whatever ends the first one, the second
//! one is told to end, and leaves the disk as it was.

mod front;
mod host;
mod options;
mod origin;
mod report;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::Exit;
use super::exit::UsageError;
use crate::os::sys;
use crate::sweep::{SweepError, sweep};
pub(super) use front::run;
use host::Host;
pub(super) use options::Args;
use options::Plan;
use report::Report;

/// The signals that end a sweep. Only the second process is told by the kernel when the first one dies: by SIGTERM.
const STOPS: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// The name of the second process, as a command: none that people type.
const WORKER: &str = "run-sweep";

/// Does the work.
pub(super) fn run_worker(args: &Args) -> anyhow::Result<Exit> {
    let plan = Plan::of(args)?;
    let stop = Arc::<AtomicBool>::default();
    for signal in STOPS.into_iter().filter(|signal| !sys::is_ignored(*signal)) {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let mut host = Host::start(&plan, &stop)?;
    let mut report = Report::start(&plan);
    let swept = sweep(&mut host, &plan.order, |point, done, of| {
        report.point(point, done, of);
    });
    let ended = host.end();
    let swept = match swept {
        Ok(swept) => swept,
        Err(SweepError::Nothing(why)) => anyhow::bail!("{why}"),
        Err(SweepError::Wrong(why)) => return Err(UsageError(why).into()),
        Err(SweepError::Subject(_)) if stop.load(Ordering::Relaxed) => {
            report.interrupted();
            ended.context("cannot leave the disk as it was")?;
            return Ok(Exit::Failed);
        }
        Err(SweepError::Subject(error)) => return Err(error),
    };
    report.end(&swept);
    ended.context("cannot leave the disk as it was")?;
    Ok(match swept.failed().is_empty() {
        true => Exit::Done,
        false => Exit::Failed,
    })
}
