//! One test file from its first line to the end of its last VM.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mlua::{Lua, Table};

use super::keep::keep_vms;
use super::leave::Leaving;
use super::one_test::{never_started, run_test};
use super::reset::Reset;
use crate::config::Config;
use crate::events::{Event, Order, Outcome, TestInfo};
use crate::evidence::{FILE_TEST, Limits, Watcher};
use crate::script::context::{Context, Declared};
use crate::script::raised::{self, clean};
use crate::script::replaying::Replaying;
use crate::script::setup::set_up;
use crate::script::state;
use crate::units::text;

/// How to run a file.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// Where profiles come from.
    pub config: Config,
    /// What to run, and how.
    pub order: Order,
}

/// Runs all tests of the file at `path` and tells `emit` how they went.
pub fn run_file(path: &Path, options: FileOptions, emit: Box<dyn Fn(Event)>) {
    let FileOptions { config, order } = options;
    let lua = state::new();
    let evidence = &order.evidence;
    let limits = Limits::of(evidence.all || evidence.artifacts.is_some());
    let watcher = (!order.list).then(|| Watcher::start(limits, evidence.records_faults()));
    let context = Context::new(&lua, config, watcher, emit);
    context.set_cold(order.cold);
    context.set_test_file(path.to_owned());
    if let Some(replay) = &order.replay {
        context.replay(Replaying::of(replay));
    }
    let timeout = Duration::try_from_secs_f64(order.timeout).unwrap_or(Duration::MAX);
    let ready = set_up(&context, order.list).map_err(|error| clean(&error));
    let leaving = Leaving::begin(&context, evidence, named(FILE_TEST.to_owned()));
    let loaded = ready.and_then(|()| load(&context, path, timeout));
    match loaded.and_then(|()| Reset::begin(&context)) {
        Ok(reset) => run_tests(&context, &order, timeout, &reset),
        Err(message) => {
            if let Some(reason) = context.take_lack() {
                leave_out(&context, &order, reason);
                return;
            }
            file_failed(&context, leaving, message);
            if order.keep {
                keep_vms(&context);
            }
        }
    }
    context.limit().set(None);
    context.close_vms_since(0);
}

fn file_failed(context: &Context, leaving: Leaving<'_>, message: String) {
    let (outcome, evidence) = leaving.end(Err(message));
    if let Outcome::Failed { message } = outcome {
        context.emit(Event::FileFailed { message, evidence });
    }
}

/// Reports the tests that the file has declared, and those that the order asks for, as skipped. Without any, the file.
fn leave_out(context: &Context, order: &Order, reason: String) {
    let (tests, missing) = chosen(context.take_tests(), order.only.as_deref());
    let missing = missing.into_iter().map(named);
    let mut infos: Vec<_> = tests.iter().map(Declared::info).chain(missing).collect();
    if infos.is_empty() {
        infos.push(named(FILE_TEST.to_owned()));
    }
    let names: Vec<_> = infos.iter().map(|info| info.name.clone()).collect();
    context.emit(Event::Planned { tests: infos });
    for name in names {
        let reason = reason.clone();
        context.emit(never_started(name, Outcome::Skipped { reason }, None));
    }
}

/// A test of which only the name is known.
fn named(name: String) -> TestInfo {
    TestInfo {
        name,
        ..TestInfo::default()
    }
}

/// Runs the tests that the order asks for, in its order.
fn run_tests(context: &Context, order: &Order, timeout: Duration, reset: &Reset) {
    let (tests, missing) = chosen(context.take_tests(), order.only.as_deref());
    let infos = tests.iter().map(Declared::info);
    let missing_infos = missing.iter().cloned().map(named);
    context.emit(Event::Planned {
        tests: infos.chain(missing_infos).collect(),
    });
    if order.list {
        return;
    }
    for name in missing {
        let reason = "the file does not declare this test any more".into();
        context.emit(never_started(name, Outcome::NotRun { reason }, None));
    }
    let mut failures = 0;
    for test in &tests {
        // The runner, which waits for the end of this process, reports the rest as not run.
        if order.stop_after.is_some_and(|most| failures >= most) {
            return;
        }
        if run_test(context, test, order, timeout, reset) {
            failures += 1;
        }
    }
}

/// The tests of these names, in that order, and the names without a test; all tests without names.
fn chosen(mut tests: Vec<Declared>, only: Option<&[String]>) -> (Vec<Declared>, Vec<String>) {
    let Some(only) = only else {
        return (tests, Vec::new());
    };
    let mut chosen = Vec::new();
    let mut missing = Vec::new();
    for name in only {
        match tests.iter().position(|test| test.name == *name) {
            Some(at) => chosen.push(tests.swap_remove(at)),
            None => missing.push(name.clone()),
        }
    }
    (chosen, missing)
}

/// Runs the file's own code, which declares the tests.
fn load(context: &Context, path: &Path, timeout: Duration) -> Result<(), String> {
    let lua = &context.lua();
    let read = || {
        let roots = &context.config().provium.roots;
        extend_package_path(lua, &context.config().folder, roots)?;
        let source = std::fs::read(path).map_err(mlua::Error::external)?;
        let file = lua.load(source).set_name(format!("@{}", text::path(path)));
        file.into_function()
    };
    let file = read().map_err(|error| clean(&error))?;
    context.limit().set(Some(Instant::now() + timeout));
    let raised = raised::call(context, &file, (), || None).map_err(|error| clean(&error))?;
    raised.map(drop).map_err(|raised| raised.text)
}

fn extend_package_path(lua: &Lua, folder: &Path, roots: &[PathBuf]) -> mlua::Result<()> {
    let package: Table = lua.globals().get("package")?;
    let mut path: String = package.get("path")?;
    for root in roots {
        // Without `.` in the middle: it shows in tracebacks.
        let root: PathBuf = folder.join(root).components().collect();
        path = format!("{}/?.lua;{path}", root.display());
    }
    package.set("path", path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn run_file_leaves_nothing_of_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "test('x', function(t) t:log(provium) end)").unwrap();
        let options = FileOptions {
            config: Config::default(),
            order: Order::default(),
        };
        let held = Rc::new(());
        let left = Rc::downgrade(&held);
        run_file(file.path(), options, Box::new(move |_| drop(held.clone())));
        assert!(left.upgrade().is_none());
    }
}
