//! `provium states`: every state that a power cut may have left, and what a checker says of each.

mod options;
mod report;
mod server;

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::Exit;
use super::exit::UsageError;
use crate::crash::{
    At, Content, Deltas, Judge, Sectors, Shelf, Source, StateImage, Subset, Summary, Walk,
};
use crate::os::run_folder;
use crate::server::{StateMount, StateServer};
use crate::storage::Image;
pub(super) use options::Args;
use options::{Plan, Target};
use report::Report;
pub(super) use server::{Args as ServerArgs, run as run_server};

/// Bytes that are copied at once.
const CHUNK: usize = 1 << 20;

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let plan = Plan::of(args)?;
    let source = &plan.source;
    let progress = report::reading(source.history.requests.len());
    let deltas = Deltas::of(&source.history, &source.log, &source.base, |number| {
        progress.set_position(number as u64);
    });
    progress.finish_and_clear();
    let deltas = Arc::new(deltas.context("cannot read the data of the log")?);
    match &plan.target {
        Target::One { id, out } => {
            let content = content_of(source, &deltas, &plan.walk, id)?;
            write_out(source, &content, out).map(|()| Exit::Done)
        }
        Target::Serve(mount_point) => serve(&plan, &deltas, mount_point),
        Target::Judge => judge(&plan, &deltas),
    }
}

/// A shelf for states that no checker looks at.
struct NoShelf;

impl Shelf for NoShelf {
    fn serve(&self, _name: &str, _content: &Content) -> io::Result<PathBuf> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn withdraw(&self, _path: &Path) -> io::Result<Sectors> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn judge(plan: &Plan, deltas: &Arc<Deltas>) -> anyhow::Result<Exit> {
    // Before the server is started: a signal must not end this process without it.
    let stop = stop_at_signal(&plan.stop)?;
    let shelf: Arc<dyn Shelf> = match plan.checker.is_some() {
        true => {
            run_folder::remove_leftovers()?;
            Arc::new(StateMount::start(&plan.source)?)
        }
        false => Arc::new(NoShelf),
    };
    let judge = Judge::new(&plan.source, deltas, &shelf, plan.prune);
    let mut report = Report::start(plan);
    let mut summary = Summary::default();
    let mut failed = Ok(());
    let checker = plan.checker.as_ref();
    let states = judge.walk(&plan.walk, checker, plan.jobs, |judged| {
        summary.note(&judged);
        report.state(&judged, &summary);
        let verdict = judged.verdict.as_ref();
        let is_bad = verdict.is_some_and(|verdict| !verdict.is_good());
        if let (true, Some(folder)) = (is_bad, &plan.keep_bad) {
            let path = folder.join(format!("{}.img", judged.id.file_name()));
            failed = write_out(&plan.source, &judged.content, &path);
        }
        let enough = plan.stop_after.is_some_and(|most| summary.bad() >= most);
        match enough || failed.is_err() || stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    let states = states.context("cannot check a state")?;
    failed?;
    let checks = judge.checks();
    if let Some(checker) = checker {
        let is_over = || stop.load(Ordering::Relaxed);
        let shrunk = summary.shrink(&judge, checker, &plan.walk, is_over);
        shrunk.context("cannot check a state")?;
    }
    report.end(&summary, states, checks);
    Ok(match summary.bad() {
        0 => Exit::Done,
        _ => Exit::Failed,
    })
}

/// Sets `stop` at the first signal that asks this process to end.
fn stop_at_signal(stop: &Arc<AtomicBool>) -> anyhow::Result<Arc<AtomicBool>> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register_conditional_default(signal, Arc::clone(stop))?;
        signal_hook::flag::register(signal, Arc::clone(stop))?;
    }
    Ok(Arc::clone(stop))
}

/// The content of the state called `id`.
fn content_of(
    source: &Source,
    deltas: &Deltas,
    walk: &Walk,
    id: &str,
) -> Result<Content, UsageError> {
    let no_such = || UsageError(format!("there is no state `{id}` in this log"));
    let (point, subset) = id.split_once('.').ok_or_else(no_such)?;
    let point = point.parse().map_err(|_| no_such())?;
    let at_point = Walk {
        from: point,
        to: point,
        at: At::Entry,
        ..walk.clone()
    };
    let mut content = None;
    let _ = at_point.points(&source.history, deltas, |_, space, durable| {
        let subset = Subset::parse(subset, space.pieces().len());
        content = subset.map(|subset| space.content(durable, &subset));
        ControlFlow::Break(())
    });
    content.ok_or_else(no_such)
}

/// Writes a state to a new file, with holes for zeros.
fn write_out(source: &Arc<Source>, content: &Content, path: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let file = File::create_new(path).with_context(cannot)?;
    let image = StateImage::new(source, content.clone());
    let size = image.size()?;
    file.set_len(size).with_context(cannot)?;
    let mut buffer = vec![0; CHUNK];
    for offset in (0..size).step_by(CHUNK) {
        let n = image.read_at(&mut buffer, offset)?;
        if buffer[..n].iter().any(|byte| *byte != 0) {
            file.write_all_at(&buffer[..n], offset)
                .with_context(cannot)?;
        }
    }
    Ok(())
}

/// Serves all states as files, until the mount is unmounted or a signal comes.
fn serve(plan: &Plan, deltas: &Deltas, mount_point: &Path) -> anyhow::Result<Exit> {
    let mount_point = crate::server::mount_point::check_mount_point(mount_point)?;
    let stop = stop_at_signal(&plan.stop)?;
    let mount = StateServer::start(&mount_point, Arc::clone(&plan.source))?;
    let mut failed = Ok(());
    let source = &plan.source;
    let mut served = 0;
    plan.walk.for_each(&source.history, deltas, |found| {
        let content = found.space.content(found.durable, &found.id.subset);
        failed = mount.serve(&found.id.file_name(), &content).map(drop);
        served += 1;
        match failed.is_err() || stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    if failed.is_ok() {
        eprintln!(
            "{served} states are served; `provium umount {}` ends it",
            mount_point.display()
        );
    }
    while failed.is_ok() && !stop.load(Ordering::Relaxed) {
        let timeout = std::time::Duration::from_millis(100);
        if mount.unmounted().recv_timeout(timeout)
            == Err(crossbeam_channel::RecvTimeoutError::Disconnected)
        {
            break;
        }
    }
    mount.end();
    failed.context("cannot serve a state")?;
    Ok(Exit::Done)
}
