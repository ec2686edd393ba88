//! Commands in the guest: `vm:run`, its results, processes and workers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use mlua::{IntoLua, Lua, LuaString, Table, UserData, UserDataMethods, Value};

use super::arguments::{GUEST_TEXT, GuestText, Options, guest_texts};
use super::bind::{Methods, look_up};
use super::context::{Context, SharedProcess, SharedVm};
use super::duration::LuaDuration;
use super::signature::wrong_argument;
use super::vm::Vm;
use crate::events::Event;
use crate::vm::{Command, Exit, RunResult, VmError};

const PROCESS: &str = "process";
const WORKER: &str = "worker";

/// A command that was started and not waited for.
struct Process {
    vm: SharedVm,
    process: SharedProcess,
}

/// Commands that are ended together.
struct Worker {
    vm: SharedVm,
    started: RefCell<Vec<SharedProcess>>,
    is_closed: Cell<bool>,
}

impl UserData for Process {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        look_up(methods, PROCESS);
    }
}
impl UserData for Worker {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        look_up(methods, WORKER);
    }
}

/// Adds those of a VM.
pub(super) fn add(methods: &Methods<'_>, context: &Context) -> mlua::Result<()> {
    let shared = context.clone();
    methods.add("vm:run", move |_, vm: &Vm, args| {
        run(&shared, &vm.0, "vm:run", args)
    })?;
    let shared = context.clone();
    methods.add("vm:run_async", move |_, vm: &Vm, args| {
        start(&shared, &vm.0, "vm:run_async", args)
    })?;
    methods.add("vm:spawn_worker", |_, vm: &Vm, ()| {
        Ok::<_, VmError>(Worker {
            vm: vm.0.clone(),
            started: RefCell::default(),
            is_closed: Cell::default(),
        })
    })
}

/// Adds the methods of processes and workers.
pub(super) fn register(context: &Context) -> mlua::Result<()> {
    register_process(context)?;
    register_worker(context)
}

fn register_process(context: &Context) -> mlua::Result<()> {
    let methods = Methods::of(context, PROCESS)?;
    let shared = context.clone();
    methods.add("process:wait", move |_, this: &Process, timeout| {
        wait(&shared, &this.vm, &this.process, timeout)
    })?;
    methods.add("process:kill", |_, this: &Process, signal| {
        kill(&this.vm, &this.process, signal)
    })?;
    methods.add("process:signal", |_, this: &Process, signal| {
        kill(&this.vm, &this.process, signal)
    })?;
    methods.add("process:status", |_, this: &Process, ()| {
        let mut vm = this.vm.borrow_mut();
        let result = vm.poll(&mut this.process.borrow_mut())?;
        Ok::<_, VmError>(result.map_or("running", |result| result.status()))
    })?;
    methods.add("process:close", |_, this: &Process, ()| {
        kill(&this.vm, &this.process, Some("KILL".into()))
    })?;
    methods.add("process:pid", |_, this: &Process, ()| {
        Ok::<_, VmError>(this.process.borrow().pid())
    })?;
    methods.register()
}

fn register_worker(context: &Context) -> mlua::Result<()> {
    let methods = Methods::of(context, WORKER)?;
    let shared = context.clone();
    methods.add("worker:run", move |_, worker: &Worker, args| {
        worker.check_open()?;
        run(&shared, &worker.vm, "worker:run", args)
    })?;
    let shared = context.clone();
    methods.add("worker:run_async", move |_, worker: &Worker, args| {
        worker.check_open()?;
        let process = start(&shared, &worker.vm, "worker:run_async", args)?;
        worker
            .started
            .borrow_mut()
            .push(Rc::clone(&process.process));
        Ok::<_, String>(process)
    })?;
    methods.add(
        "worker:kill",
        |_, worker: &Worker, signal: Option<String>| worker.kill(signal.as_deref()),
    )?;
    let shared = context.clone();
    methods.add(
        "worker:join",
        move |_, worker: &Worker, timeout: Option<LuaDuration>| {
            let started = worker.started.borrow();
            let results = started
                .iter()
                .map(|process| wait(&shared, &worker.vm, process, timeout));
            results.collect::<Result<Vec<_>, _>>()
        },
    )?;
    methods.add("worker:close", |_, worker: &Worker, ()| {
        worker.is_closed.set(true);
        let killed = worker.kill(Some("KILL"));
        worker.started.borrow_mut().clear();
        killed
    })?;
    methods.register()
}

impl Worker {
    fn check_open(&self) -> Result<(), String> {
        match self.is_closed.get() {
            true => Err("the worker is closed".into()),
            false => Ok(()),
        }
    }

    fn kill(&self, signal: Option<&str>) -> Result<(), VmError> {
        let started = self.started.borrow();
        let mut started = started.iter();
        started.try_for_each(|process| kill(&self.vm, process, signal.map(str::to_owned)))
    }
}

fn run(
    context: &Context,
    vm: &SharedVm,
    call: &str,
    args: (Value, Value),
) -> Result<Value, String> {
    let command = command(call, args)?;
    let result = vm.borrow_mut().run(&command);
    run_result(context, &result.map_err(|error| error.to_string())?)
}

/// Starts a command that ends with the test.
fn start(
    context: &Context,
    vm: &SharedVm,
    call: &str,
    args: (Value, Value),
) -> Result<Process, String> {
    let command = command(call, args)?;
    if command.timeout.is_some() {
        let text = "`timeout` is not honoured here; pass it to `proc:wait(timeout)` instead";
        return Err(text.into());
    }
    let process = vm.borrow_mut().start(&command);
    let process = process.map_err(|error| error.to_string())?;
    let process = SharedProcess::new(process.into());
    context.add_process(vm, &process);
    Ok(Process {
        vm: Rc::clone(vm),
        process,
    })
}

fn wait(
    context: &Context,
    vm: &SharedVm,
    process: &SharedProcess,
    timeout: Option<LuaDuration>,
) -> Result<Value, String> {
    let timeout = timeout.map(|timeout| timeout.0);
    let waited = vm.borrow_mut().wait(&mut process.borrow_mut(), timeout);
    run_result(context, &waited.map_err(|error| error.to_string())?)
}

fn kill(vm: &SharedVm, process: &SharedProcess, signal: Option<String>) -> Result<(), VmError> {
    let signal = signal.unwrap_or_else(|| "TERM".into());
    vm.borrow_mut().kill(&mut process.borrow_mut(), &signal)
}

/// `(text)`, `(text, {env=, ...})`, `(program, {arg...})`, `(program, {args=, env=, ...})`, and
/// `(program, {arg..., env=, ...})`.
fn command(call: &str, (first, options): (Value, Value)) -> Result<Command, String> {
    let Value::String(first) = first else {
        return Err("first argument must be a string".into());
    };
    let first = GuestText::of(&Value::String(first));
    let GuestText(first) = first.ok_or_else(|| format!("the command is no {GUEST_TEXT}"))?;
    let options = match options {
        Value::Nil => return Ok(Command::shell(&first)),
        Value::Table(table) => &mut Options::from(table),
        other => {
            let expected = "table of arguments or options";
            return Err(wrong_argument(call, 2, expected, &other));
        }
    };
    let items = options.take_items()?;
    options.only(&[
        "args",
        "env",
        "env_clear",
        "cwd",
        "stdin",
        "timeout",
        "timeout_ms",
    ])?;
    let command = match (options.guest_texts("args")?, items.is_empty()) {
        (None, true) => Command::shell(&first),
        (Some(args), true) => Command::new(&first, args),
        (None, false) => {
            let args = guest_texts(&items);
            let args = args.ok_or_else(|| format!("each argument is a {GUEST_TEXT}"))?;
            Command::new(&first, args)
        }
        (Some(_), false) => {
            return Err("arguments stand in `args` or in the table itself, not in both".into());
        }
    };
    with_options(command, options)
}

fn with_options(command: Command, options: &Options) -> Result<Command, String> {
    let stdin: Option<LuaString> = options.get("stdin", "a string")?;
    let cwd: Option<GuestText> = options.get("cwd", "a path in the guest")?;
    Ok(Command {
        cwd: cwd.map(|cwd| cwd.0),
        stdin: stdin.map(|stdin| stdin.as_bytes().to_vec()),
        timeout: timeout(options)?,
        env: environment(options)?,
        env_clear: options.flag("env_clear")?,
        ..command
    })
}

fn timeout(options: &Options) -> Result<Option<Duration>, String> {
    const MILLISECONDS: &str = "a whole number of milliseconds, 0 or more";
    let millis = options.read("timeout_ms", MILLISECONDS, |value| {
        u64::try_from(value.as_integer()?).ok()
    })?;
    match (options.duration("timeout")?, millis) {
        (Some(_), Some(_)) => Err("give either `timeout` or `timeout_ms`".into()),
        (timeout, millis) => Ok(timeout.or(millis.map(Duration::from_millis))),
    }
}

fn environment(options: &Options) -> Result<Vec<String>, String> {
    const WANTED: &str = "`env` wants strings for names and values";
    let env: Option<Table> = options.get("env", "a table of strings")?;
    let pairs = env.iter().flat_map(Table::pairs::<Value, Value>);
    let mut words = Vec::new();
    for pair in pairs {
        let (name, value) = pair.map_err(|error| error.to_string())?;
        let name = GuestText::of(&name).filter(|_| name.is_string());
        let name = name.filter(|name| !name.0.is_empty() && !name.0.contains('='));
        let (name, value) = name.zip(GuestText::of(&value)).ok_or(WANTED)?;
        words.push(format!("{}={}", name.0, value.0));
    }
    words.sort();
    Ok(words)
}

fn run_result(context: &Context, result: &RunResult) -> Result<Value, String> {
    if result.truncated {
        let text = "a command in the guest printed more than 16 MiB; the rest is lost";
        context.emit(Event::Log { text: text.into() });
    }
    let fields = result_table(&context.lua(), result);
    let result = fields.and_then(|fields| context.prelude::<Table>("new_result", fields));
    let result = result.and_then(|result| result.into_lua(&context.lua()));
    result.map_err(|error| error.to_string())
}

fn result_table(lua: &Lua, result: &RunResult) -> mlua::Result<Table> {
    let fields = lua.create_table()?;
    fields.set("exit_code", result.exit_code())?;
    fields.set("stdout", lua.create_string(&result.stdout)?)?;
    fields.set("stderr", lua.create_string(&result.stderr)?)?;
    fields.set("status", result.status())?;
    fields.set("timed_out", result.exit == Exit::TimedOut)?;
    fields.set("truncated", result.truncated)?;
    if let Exit::Signalled(signal) = result.exit {
        fields.set("signal", signal)?;
    }
    Ok(fields)
}
