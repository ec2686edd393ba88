//! `provium states`: every state that a power cut may have left, and what a checker says of each.

mod options;
mod report;

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::Exit;
use super::exit::UsageError;
use crate::crash::{At, Content, Deltas, Judge, Shelf, Source, StateImage, Subset, Summary, Walk};
use crate::os::folders;
use crate::server::StateMount;
use crate::storage::Image;
pub(super) use options::Args;
use options::{Plan, Target};
use report::{Report, SHRUNK};

/// Bytes that are copied at once.
const CHUNK: usize = 1 << 20;

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let plan = Plan::of(args)?;
    let source = &plan.source;
    let deltas = Deltas::of(&source.history, &source.log, &source.base);
    let deltas = deltas.context("cannot read the data of the log")?;
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
    fn serve(&self, _name: &str, _image: &Arc<StateImage>) -> io::Result<std::path::PathBuf> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn withdraw(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }
}

fn judge(plan: &Plan, deltas: &Deltas) -> anyhow::Result<Exit> {
    if plan.checker.is_none() {
        return judge_on(plan, deltas, &NoShelf);
    }
    let scratch = tempfile::Builder::new()
        .prefix("states-")
        .tempdir_in(folders::runtime()?)?;
    let mount = StateMount::start(scratch.path())?;
    let result = judge_on(plan, deltas, &mount);
    mount.end();
    result
}

fn judge_on(plan: &Plan, deltas: &Deltas, shelf: &dyn Shelf) -> anyhow::Result<Exit> {
    let stop = stop_at_signal(&plan.stop)?;
    let checker = plan.checker.as_ref();
    let judge = Judge::new(&plan.source, deltas, checker, shelf, plan.prune);
    let mut report = Report::start(plan);
    let mut summary = Summary::default();
    let mut failed = Ok(());
    let states = judge.walk(&plan.walk, plan.jobs, |judged| {
        summary.note(&judged);
        report.state(&judged, &summary);
        let is_bad = judged
            .verdict
            .as_ref()
            .is_some_and(|verdict| !verdict.is_good());
        if let (true, Some(folder)) = (is_bad, &plan.keep_bad) {
            let path = folder.join(format!("{}.img", judged.id));
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
    for group in summary.groups.iter_mut().take(SHRUNK) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let shrunk = group.shrink(&judge, &plan.walk, &plan.source.history, deltas);
        shrunk.context("cannot check a state")?;
    }
    report.end(&summary, states, checks);
    Ok(if summary.bad() > 0 {
        Exit::Failed
    } else {
        Exit::Done
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
    let mount = StateMount::start(&mount_point)?;
    let mut failed = Ok(());
    let source = &plan.source;
    let mut served = 0;
    plan.walk.for_each(&source.history, deltas, |found| {
        let content = found.space.content(found.durable, &found.id.subset);
        let image = Arc::new(StateImage::new(source, content));
        failed = mount.serve(&found.id.to_string(), &image).map(drop);
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
