//! One test file from its first line to the end of its last VM.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mlua::{HookTriggers, Lua, LuaString, Table, Value, Variadic, VmState};

use super::arguments::{Options, items};
use super::bind::native;
use super::context::{Context, Declared};
use super::duration::LuaDuration;
use super::raised::{self, clean};
use super::{disk, globals, keep, settings, state, vm};
use crate::config::Config;
use crate::events::Event;
use crate::events::Order;
use crate::events::Outcome;
use crate::events::TestInfo;
use crate::units::text;
use crate::vm::Limit;

/// How often Lua looks at the clock: every so many of its instructions.
const LOOK_EVERY: u32 = 100_000;
/// Most bytes of a test's name.
const LONGEST_NAME: usize = 1000;

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
    let context = Context::new(&lua, config, emit);
    context.set_cold(order.cold);
    let timeout = Duration::try_from_secs_f64(order.timeout).unwrap_or(Duration::MAX);
    let ready = set_up(&context, order.list).map_err(|error| clean(&error));
    if let Err(message) = ready.and_then(|()| load(&context, path, timeout)) {
        let message = with_consoles(&context, &message);
        context.emit(Event::FileFailed { message });
        if order.keep {
            keep::keep_vms(&context);
        }
    } else {
        run_tests(&context, &order, timeout);
    }
    context.limit().set(None);
    context.close_vms_since(0);
}

fn run_tests(context: &Context, order: &Order, timeout: Duration) {
    let mut tests = context.take_tests();
    let mut missing = Vec::new();
    if let Some(only) = &order.only {
        let mut chosen = Vec::new();
        for name in only {
            match tests.iter().position(|test| test.name == *name) {
                Some(at) => chosen.push(tests.swap_remove(at)),
                None => missing.push(name.clone()),
            }
        }
        tests = chosen;
    }
    let missing_infos = missing.iter().map(|name| TestInfo {
        name: name.clone(),
        tags: Vec::new(),
    });
    let infos = tests.iter().map(Declared::info).chain(missing_infos);
    let tests_planned = infos.collect();
    context.emit(Event::Planned {
        tests: tests_planned,
    });
    if order.list {
        return;
    }
    for name in missing {
        let reason = "the file does not declare this test any more".into();
        context.emit(never_started(name, Outcome::NotRun { reason }));
    }
    let mut failures = 0;
    for test in &tests {
        // The runner, which waits for our end, says of the rest that it was not run.
        if order.stop_after.is_some_and(|most| failures >= most) {
            return;
        }
        if run_test(context, test, order, timeout) {
            failures += 1;
        }
    }
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

/// Gives the Lua state what every test file finds. With `list` VMs are stand-ins.
pub(super) fn set_up(context: &Context, list: bool) -> mlua::Result<()> {
    let lua = &context.lua();
    let natives = lua.create_table()?;
    let shared = context.clone();
    let test = native(lua, "", move |_, args: Variadic<Value>| {
        declare(&shared, &args)
    })?;
    natives.set("test", test)?;
    natives.set("provium_vm", vm::provium_vm(context)?)?;
    natives.set("provium_boot", vm::provium_boot(context)?)?;
    natives.set("provium_shutdown", vm::provium_shutdown(context)?)?;
    natives.set("provium_claim", vm::provium_claim(context)?)?;
    natives.set("find_vm", vm::find_vm(context)?)?;
    natives.set("is_name_of", vm::is_name_of(context)?)?;
    let shared = context.clone();
    let set =
        move |lua: &Lua, (key, value): (Value, Value)| settings::set(&shared, lua, &key, value);
    natives.set("provium_set", native(lua, "provium", set)?)?;
    globals::add(context, &natives)?;
    let shared = context.clone();
    let log = lua.create_function(move |_, text: LuaString| {
        let text = text::message(&text.as_bytes());
        shared.emit(Event::Log { text });
        Ok(())
    })?;
    natives.set("log", log)?;
    let short = lua.create_function(|lua, value: LuaString| {
        lua.create_string(text::shortened(&value.as_bytes(), text::LONGEST_VALUE))
    })?;
    natives.set("short", short)?;
    natives.set("listing", list)?;
    let prelude = lua
        .load(include_str!("../../lua/prelude.lua"))
        .set_name("=provium");
    context.set_prelude(prelude.call(natives)?);
    vm::register(context)?;
    disk::register(context)?;
    watch_the_clock(lua, context.limit().clone(), LOOK_EVERY)
}

/// Makes Lua look at the clock every so many instructions. Once the time is up it does so at each,
/// so that a pcall that swallows the error does not get far.
fn watch_the_clock(lua: &Lua, limit: Limit, every: u32) -> mlua::Result<()> {
    let triggers = HookTriggers::new().every_nth_instruction(every);
    lua.set_global_hook(triggers, move |lua, debug| {
        let over = limit.check();
        let passed = over.is_err();
        if passed != (every == 1) {
            let next = if passed { 1 } else { LOOK_EVERY };
            watch_the_clock(lua, limit.clone(), next)?;
        }
        let Err(why) = over else {
            return Ok(VmState::Continue);
        };
        let source = debug.source();
        let place = source.short_src.unwrap_or_default();
        let line = debug.current_line().unwrap_or(0);
        Err(mlua::Error::runtime(format!("{place}:{line}: {why}")))
    })
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

/// `test(name, [meta,] fn)`.
fn declare(context: &Context, args: &[Value]) -> Result<(), String> {
    let (name, meta, run) = match args {
        [Value::String(name), Value::Function(run)] => (name, None, run),
        [
            Value::String(name),
            Value::Table(meta),
            Value::Function(run),
        ] => (name, Some(meta), run),
        _ => return Err("test(name, [meta,] fn): bad arguments".into()),
    };
    let own_name = name.clone();
    let name = text::escaped(&name.as_bytes());
    if name.len() > LONGEST_NAME {
        let len = name.len();
        return Err(format!(
            "test: a name has at most {LONGEST_NAME} bytes, this one has {len}"
        ));
    }
    if context.is_loaded() {
        return Err(format!(
            "test: `{name}` is declared while tests run; declare it at file level"
        ));
    }
    let empty = || {
        context
            .lua()
            .create_table()
            .map_err(|error| error.to_string())
    };
    let meta = meta.cloned().map_or_else(empty, Ok)?;
    check_meta(&meta).map_err(|error| format!("test: `{name}`: {error}"))?;
    let test = Declared {
        meta,
        run: run.clone(),
        name: name.clone(),
        own_name,
    };
    match context.declare(test) {
        true => Ok(()),
        false => Err(format!("test: duplicate name `{name}` in this file")),
    }
}

/// Whether the keys that mean something have a meaning; all others are the file's own.
fn check_meta(meta: &Table) -> Result<(), String> {
    let options = Options::from(meta.clone());
    options.duration("timeout")?;
    options.flag("slow")?;
    options.read("skip", "true or a reason", |value| {
        (value.is_boolean() || value.is_string()).then_some(())
    })?;
    options.read(
        "tags",
        "a list of names, or one name",
        |value| match value {
            Value::String(_) => Some(()),
            Value::Table(list) => {
                let (tags, has_others) = items(list).ok()?;
                let are_names = tags.iter().all(Value::is_string);
                (are_names && !has_others).then_some(())
            }
            _ => None,
        },
    )?;
    Ok(())
}

/// Runs a test; whether it failed.
fn run_test(context: &Context, test: &Declared, order: &Order, timeout: Duration) -> bool {
    if let Some(reason) = left_out(context, test, order.include_slow) {
        let outcome = Outcome::Skipped { reason };
        context.emit(never_started(test.name.clone(), outcome));
        return false;
    }
    let own: Option<LuaDuration> = test.meta.get("timeout").unwrap_or_default();
    let own = own.map(|own| own.0).or(context.test_timeout());
    let timeout = own.unwrap_or(timeout);
    context.emit(Event::Started {
        test: test.name.clone(),
        timeout: timeout.as_secs_f64(),
    });
    let started = Instant::now();
    context.limit().set(Some(started + timeout));
    let mark = context.vm_count();
    let outcome = outcome(context, test);
    // However a test swallows the error that says so: its time is up.
    let outcome = match context.limit().check().is_err() {
        true => outcome.and(Err(too_late(timeout))),
        false => outcome,
    };
    context.limit().set(None);
    // Nor may a guest be over that the test did not ask for anything since.
    let guests = context.check_guests().map_err(|error| error.to_string());
    let outcome = outcome.and_then(|outcome| guests.map(|()| outcome));
    let outcome = outcome.unwrap_or_else(|message| Outcome::Failed {
        message: with_consoles(context, &message),
    });
    let failed = matches!(outcome, Outcome::Failed { .. });
    let keep = order.keep && failed;
    if !keep {
        context.close_vms_since(mark);
        context.end_processes();
    }
    context.emit(Event::Finished {
        test: test.name.clone(),
        outcome,
        seconds: started.elapsed().as_secs_f64(),
        attempts: 1,
    });
    if keep {
        keep::keep_vms(context);
    }
    failed
}

fn too_late(timeout: Duration) -> String {
    let limit = timeout.as_secs_f64();
    format!("the test's time is up: it took longer than {limit}s, and a pcall caught the error")
}

/// Why a test does not even start, if it does not.
fn left_out(context: &Context, test: &Declared, include_slow: bool) -> Option<String> {
    let is_slow = || test.meta.get("slow").unwrap_or(false);
    match (context.todo(), test.meta.get("skip").unwrap_or(Value::Nil)) {
        (Some(reason), _) => Some(reason),
        (None, Value::String(reason)) => Some(text::message(&reason.as_bytes())),
        (None, Value::Boolean(true)) => Some("skip".into()),
        _ if is_slow() && !include_slow => Some("slow: run it with --include-slow".into()),
        _ => None,
    }
}

fn never_started(test: String, outcome: Outcome) -> Event {
    Event::Finished {
        test,
        outcome,
        seconds: 0.0,
        attempts: 0,
    }
}

/// Runs a test to its end; Err is why it failed.
fn outcome(context: &Context, test: &Declared) -> Result<Outcome, String> {
    let t: mlua::Result<Table> =
        context.prelude("new_t", (test.own_name.clone(), test.meta.clone()));
    let t = t.map_err(|error| clean(&error))?;
    let of_t = |field: &str| t.raw_get::<Option<LuaString>>(field).unwrap_or_default();
    let shared = t.clone();
    let skip = move || shared.raw_get("skip_error").unwrap_or_default();
    let raised = raised::call(context, &test.run, &t, skip).map_err(|error| clean(&error))?;
    if let Err(raised) = raised
        && !raised.has_mark
    {
        return Err(raised.text);
    }
    if let Some(failed) = of_t("failed") {
        let failed = text::message(&failed.as_bytes());
        return Err(format!(
            "{failed} (the error was caught by a pcall; the test fails all the same)"
        ));
    }
    Ok(match of_t("skipped") {
        Some(reason) => Outcome::Skipped {
            reason: text::message(&reason.as_bytes()),
        },
        None => Outcome::Passed,
    })
}

/// Adds the end of the console of every VM that is open.
fn with_consoles(context: &Context, message: &str) -> String {
    let mut message = message.to_owned();
    let consoles = context.consoles().into_iter();
    for (name, console) in consoles.filter(|(_, console)| console.exists()) {
        let end = crate::vm::console_end(&console);
        if !message.contains(&end) {
            message = format!("{message}\nvm `{name}`: {end}");
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn nothing_of_a_file_is_left_when_it_has_run() {
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
