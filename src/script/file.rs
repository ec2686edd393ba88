//! One test file from its first line to the end of its last VM.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mlua::{Function, HookTriggers, IntoLua, Lua, Table, Value, Variadic, VmState};

use super::arguments::Options;
use super::bind::native;
use super::context::{Context, Declared};
use super::duration::LuaDuration;
use super::{disk, globals, keep, vm};
use crate::config::Config;
use crate::runner::{Event, Order, Outcome, TestInfo};
use crate::vm::Limit;

/// How often Lua looks at the clock: every so many of its instructions.
const LOOK_EVERY: u32 = 100_000;

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
    let context = Context::new(config, emit);
    context.set_cold(order.cold);
    let timeout = Duration::try_from_secs_f64(order.timeout).unwrap_or(Duration::MAX);
    let loaded = set_up(&context, order.list).and_then(|()| load(&context, path, timeout));
    if let Err(error) = loaded {
        let message = with_consoles(&context, &clean(&error));
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
        let message = "the file does not declare this test any more".into();
        context.emit(Event::Finished {
            test: name,
            outcome: Outcome::Failed { message },
            seconds: 0.0,
            attempts: 1,
        });
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
fn load(context: &Context, path: &Path, timeout: Duration) -> mlua::Result<()> {
    let lua = context.lua();
    extend_package_path(
        lua,
        &context.config().folder,
        &context.config().provium.roots,
    )?;
    let source = std::fs::read(path).map_err(mlua::Error::external)?;
    context.limit().set(Some(Instant::now() + timeout));
    lua.load(source)
        .set_name(format!("@{}", path.display()))
        .exec()
}

/// Gives the Lua state what every test file finds. With `list` VMs are stand-ins.
pub(super) fn set_up(context: &Context, list: bool) -> mlua::Result<()> {
    let lua = context.lua();
    let natives = lua.create_table()?;
    let shared = context.clone();
    let test = native(lua, "", move |_, args: Variadic<Value>| {
        declare(&shared, &args)
    })?;
    natives.set("test", test)?;
    natives.set("provium_vm", vm::provium_vm(context)?)?;
    natives.set("provium_boot", vm::provium_boot(context)?)?;
    natives.set("provium_shutdown", vm::provium_shutdown(context)?)?;
    globals::add(context, &natives)?;
    let shared = context.clone();
    let log = lua.create_function(move |_, text: mlua::LuaString| {
        let text = text.to_string_lossy();
        shared.emit(Event::Log { text });
        Ok(())
    })?;
    natives.set("log", log)?;
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
    let name = name.to_string_lossy();
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
                let mut tags = list.sequence_values::<Value>();
                tags.all(|tag| tag.is_ok_and(|tag| tag.is_string()))
                    .then_some(())
            }
            _ => None,
        },
    )?;
    Ok(())
}

/// Runs a test; whether it failed.
fn run_test(context: &Context, test: &Declared, order: &Order, timeout: Duration) -> bool {
    let own: Option<LuaDuration> = test.meta.get("timeout").unwrap_or_default();
    let timeout = own.map_or(timeout, |own| own.0);
    context.emit(Event::Started {
        test: test.name.clone(),
        timeout: timeout.as_secs_f64(),
    });
    let started = Instant::now();
    context.limit().set(Some(started + timeout));
    let mark = context.vm_count();
    let outcome = outcome(context, test, order.include_slow);
    let outcome = outcome.map_err(|error| clean(&error));
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

fn outcome(context: &Context, test: &Declared, include_slow: bool) -> mlua::Result<Outcome> {
    if let Some(reason) = context.todo() {
        return Ok(Outcome::Skipped { reason });
    }
    if test.meta.get::<bool>("slow")? && !include_slow {
        let reason = "slow: run it with --include-slow".into();
        return Ok(Outcome::Skipped { reason });
    }
    match test.meta.get("skip")? {
        Value::Nil | Value::Boolean(false) => {}
        Value::String(reason) => {
            let reason = reason.to_string_lossy();
            return Ok(Outcome::Skipped { reason });
        }
        _ => {
            return Ok(Outcome::Skipped {
                reason: "skip".into(),
            });
        }
    }
    let t: Table = context.prelude("new_t", (test.name.as_str(), test.meta.clone()))?;
    let error = call(context, &test.run, &t)?;
    let skipped: Option<String> = t.get("skipped")?;
    let skips = |error: &String| {
        let reason = skipped.as_ref();
        reason.is_some_and(|reason| error.contains(&format!("skipped: {reason}")))
    };
    if let Some(error) = error.filter(|error| !skips(error)) {
        return Err(mlua::Error::runtime(error));
    }
    if let Some(failed) = t.get::<Option<String>>("failed")? {
        return Err(mlua::Error::runtime(format!(
            "{failed} (the error was caught by a pcall; the test fails all the same)"
        )));
    }
    Ok(match skipped {
        Some(reason) => Outcome::Skipped { reason },
        None => Outcome::Passed,
    })
}

/// Calls a test's function; what it raises, with the traceback.
fn call(context: &Context, run: &Function, t: &Table) -> mlua::Result<Option<String>> {
    // Nothing in Lua may stand in between: it would not get far once the time is up.
    let traceback = context.of_prelude("traceback")?;
    let handler = context.lua().create_function(move |lua, error: Value| {
        let error = match error {
            // The traceback would end at a zero.
            Value::String(text) => lua
                .create_string(escape_zeros(&text.as_bytes()))?
                .into_lua(lua)?,
            error => error,
        };
        traceback.call::<Value>(error)
    })?;
    let (ok, error): (bool, Value) = context.prelude("xpcall", (run, handler, t))?;
    Ok(match error {
        _ if ok => None,
        Value::Error(error) => Some(clean(&error)),
        // What `error()` raises leaves but the traceback.
        Value::String(text) if text.as_bytes().starts_with(b"stack traceback:") => {
            Some(format!("nil\n{}", text.to_string_lossy()))
        }
        error => Some(error.to_string()?),
    })
}

/// The message and the traceback, without what is ours.
pub(super) fn clean(error: &mlua::Error) -> String {
    let text = match error {
        mlua::Error::RuntimeError(text) => text.clone(),
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        mlua::Error::CallbackError { cause, traceback } => format!("{cause}\n{traceback}"),
        other => other.to_string(),
    };
    let ours = |line: &&str| !line.starts_with("\t[C]") && !line.starts_with("\tprovium:");
    text.lines().filter(ours).collect::<Vec<_>>().join("\n")
}

fn escape_zeros(text: &[u8]) -> Vec<u8> {
    let pieces: Vec<_> = text.split(|byte| *byte == 0).collect();
    pieces.join(&b"\\0"[..])
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
