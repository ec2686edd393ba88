//! `provium:vm`, and the VM with its console, clock and processes.

use std::cell::RefCell;
use std::sync::Once;
use std::time::Duration;

use mlua::{IntoLua, Table, UserData, UserDataMethods, Value, Variadic};

use super::arguments::Options;
use super::bind::{Methods, look_up, native};
use super::context::{Context, SharedVm};
use super::disk::Disk;
use super::duration::LuaDuration;
use super::signature::wrong_argument;
use super::vm_options::{attach_options, boot_options};
use crate::runner::Event;
use crate::sys;
use crate::vm::{self, BootOptions, Exit, RunResult, State, VmError};

pub(super) const VM: &str = "vm";
const PROCESS: &str = "process";
const CONSOLE: &str = "console";
const CLOCK: &str = "clock";

/// How long `console:expect` waits unless told.
const EXPECT: Duration = Duration::from_secs(30);

/// What sector calls may use without waiting for the kernel to fault it in: a read of 8 MiB is a
/// buffer and a Lua string, beside what the collector has not taken yet.
const DISK_MEMORY: usize = 48 << 20;

pub(super) struct Vm(pub(super) SharedVm);
struct Process {
    vm: SharedVm,
    process: RefCell<vm::Process>,
}
struct Console(SharedVm);
struct Clock(SharedVm);

impl UserData for Vm {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        look_up(methods, VM);
    }
}
impl UserData for Process {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        look_up(methods, PROCESS);
    }
}
impl UserData for Console {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        look_up(methods, CONSOLE);
    }
}
impl UserData for Clock {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        look_up(methods, CLOCK);
    }
}

/// The native of `provium:boot()`: boots all VMs of the scope that are not booted.
pub(super) fn provium_boot(context: &Context) -> mlua::Result<mlua::Function> {
    let shared = context.clone();
    native(context.lua(), "provium:boot", move |_, _: Value| {
        for vm in shared.scope() {
            let state = vm.borrow_mut().state();
            if matches!(state, State::Created | State::Shutdown) {
                boot(&shared, &vm, BootOptions::default())?;
            }
        }
        Ok::<_, VmError>(())
    })
}

/// Boots `vm`; what it notes on the way goes into the log.
fn boot(context: &Context, vm: &SharedVm, options: BootOptions) -> Result<(), VmError> {
    let booted = vm.borrow_mut().boot(options);
    for text in vm.borrow_mut().take_notes() {
        context.emit(Event::Log { text });
    }
    booted
}

/// The native of `provium:shutdown()`: shuts all VMs of the scope down that are booted.
pub(super) fn provium_shutdown(context: &Context) -> mlua::Result<mlua::Function> {
    let shared = context.clone();
    native(context.lua(), "provium:shutdown", move |_, _: Value| {
        for vm in shared.scope() {
            let state = vm.borrow_mut().state();
            if state == State::Booted {
                vm.borrow_mut().shutdown()?;
            }
        }
        Ok::<_, VmError>(())
    })
}

/// The native of `provium:vm(name)` and `provium:vm(name, profile, opts?)`. The options are those of
/// `vm:boot`, which may say otherwise.
pub(super) fn provium_vm(context: &Context) -> mlua::Result<mlua::Function> {
    let shared = context.clone();
    native(
        context.lua(),
        "provium:vm",
        move |_, args: (Value, String, Option<String>, Options)| {
            let (_provium, name, profile, options) = args;
            match (shared.find_vm(&name), profile) {
                (Some(vm), None) => Ok(Vm(vm)),
                (Some(_), Some(_)) => Err(format!("there is a vm `{name}` already")),
                (None, None) => Err(format!(
                    "no vm `{name}`: create it with provium:vm(name, profile)"
                )),
                (None, Some(profile)) => {
                    let options = boot_options(&options)?;
                    create(&shared, &name, &profile, options).map_err(|e| e.to_string())
                }
            }
        },
    )
}

fn create(
    context: &Context,
    name: &str,
    profile_name: &str,
    options: BootOptions,
) -> Result<Vm, VmError> {
    let mut profile = context.config().profile(profile_name)?;
    profile.cold |= context.is_cold();
    let limit = context.limit().clone();
    let vm = vm::Vm::create(name, profile_name, profile, options, limit)?;
    Ok(Vm(context.add_vm(vm)))
}

/// Adds the methods of a VM and of what belongs to it.
pub(super) fn register(context: &Context) -> mlua::Result<()> {
    register_vm(context)?;
    register_running(context)?;
    register_console(context)?;
    register_clock(context)
}

fn register_vm(context: &Context) -> mlua::Result<()> {
    let methods = Methods::of(context, VM)?;
    let shared = context.clone();
    methods.add("vm:boot", move |_, vm: &Vm, options: Options| {
        let options = boot_options(&options)?;
        said(boot(&shared, &vm.0, options))?;
        Ok::<_, String>(Vm(vm.0.clone()))
    })?;
    methods.add("vm:shutdown", |_, vm: &Vm, ()| vm.0.borrow_mut().shutdown())?;
    methods.add("vm:reset", |_, vm: &Vm, ()| vm.0.borrow_mut().reset())?;
    methods.add("vm:pause", |_, vm: &Vm, ()| vm.0.borrow_mut().pause())?;
    methods.add("vm:resume", |_, vm: &Vm, ()| vm.0.borrow_mut().resume())?;
    methods.add("vm:power_button", |_, vm: &Vm, ()| {
        vm.0.borrow_mut().power_button()
    })?;
    methods.add("vm:close", |_, vm: &Vm, ()| {
        vm.0.borrow_mut().close();
        Ok::<_, VmError>(())
    })?;
    methods.add("vm:name", |_, vm: &Vm, ()| {
        Ok::<_, VmError>(vm.0.borrow().name().to_owned())
    })?;
    methods.add("vm:profile", |_, vm: &Vm, ()| {
        Ok::<_, VmError>(vm.0.borrow().profile().to_owned())
    })?;
    methods.add("vm:state", |_, vm: &Vm, ()| {
        Ok::<_, VmError>(vm.0.borrow_mut().state().name())
    })?;
    methods.add("vm:attach_disk", |_, vm: &Vm, options: Options| {
        static WARM_UP: Once = Once::new();
        WARM_UP.call_once(|| sys::warm_heap(DISK_MEMORY));
        let options = attach_options(&options)?;
        let record = said(vm.0.borrow_mut().attach_disk(options))?;
        Ok::<_, String>(Disk {
            vm: vm.0.clone(),
            record,
        })
    })?;
    methods.add("vm:disk", |_, vm: &Vm, id: String| {
        let found = vm.0.borrow().disk(&id);
        let name = vm.0.borrow().name().to_owned();
        let record = found.ok_or_else(|| format!("no disk `{id}` attached to vm `{name}`"))?;
        Ok::<_, String>(Disk {
            vm: vm.0.clone(),
            record,
        })
    })?;
    super::files::add(&methods)?;
    let shared = context.clone();
    methods.add("vm:spawn_worker", move |_, vm: &Vm, ()| {
        shared.prelude::<Table>("new_worker", Vm(vm.0.clone()))
    })?;
    methods.add("vm:console", |_, vm: &Vm, ()| {
        Ok::<_, VmError>(Console(vm.0.clone()))
    })?;
    methods.add("vm:clock", |_, vm: &Vm, ()| {
        Ok::<_, VmError>(Clock(vm.0.clone()))
    })?;
    let shared = context.clone();
    methods.add("vm:run", move |_, vm: &Vm, args: Variadic<Value>| {
        let command = command("vm:run", &args)?;
        let result = said(vm.0.borrow_mut().run(&command))?;
        run_result(&shared, &result)
    })?;
    methods.add("vm:run_async", |_, vm: &Vm, args: Variadic<Value>| {
        let command = command("vm:run_async", &args)?;
        if command.timeout.is_some() {
            return Err(
                "`timeout` is not honoured here; pass it to `proc:wait(timeout)` instead".into(),
            );
        }
        let process = said(vm.0.borrow_mut().start(&command))?;
        Ok::<_, String>(Process {
            vm: vm.0.clone(),
            process: process.into(),
        })
    })?;
    methods.register()
}

fn register_running(context: &Context) -> mlua::Result<()> {
    let methods = Methods::of(context, PROCESS)?;
    let shared = context.clone();
    methods.add(
        "process:wait",
        move |_, this: &Process, timeout: Option<LuaDuration>| {
            let timeout = timeout.map(|timeout| timeout.0);
            let waited = this
                .vm
                .borrow_mut()
                .wait(&mut this.process.borrow_mut(), timeout);
            let result = said(waited)?;
            run_result(&shared, &result)
        },
    )?;
    methods.add(
        "process:kill",
        |_, this: &Process, signal: Option<String>| {
            let signal = signal.unwrap_or_else(|| "TERM".into());
            this.vm
                .borrow_mut()
                .kill(&mut this.process.borrow_mut(), &signal)
        },
    )?;
    methods.add("process:status", |_, this: &Process, ()| {
        let mut vm = this.vm.borrow_mut();
        let result = vm.poll(&mut this.process.borrow_mut())?;
        Ok::<_, VmError>(result.map_or("running", |result| result.status()))
    })?;
    methods.add("process:close", |_, this: &Process, ()| {
        this.vm
            .borrow_mut()
            .kill(&mut this.process.borrow_mut(), "KILL")
    })?;
    methods.add("process:pid", |_, this: &Process, ()| {
        Ok::<_, VmError>(this.process.borrow().pid())
    })?;
    methods.register()
}

fn register_console(context: &Context) -> mlua::Result<()> {
    let methods = Methods::of(context, CONSOLE)?;
    methods.add("console:read_log", |_, console: &Console, ()| {
        Ok::<_, VmError>(console.0.borrow().console_log())
    })?;
    methods.add(
        "console:write",
        |_, console: &Console, text: mlua::LuaString| {
            console.0.borrow_mut().type_in(&text.as_bytes())
        },
    )?;
    type Expect = (String, Option<LuaDuration>);
    methods.add(
        "console:expect",
        |_, console: &Console, (text, patience): Expect| {
            let patience = patience.map_or(EXPECT, |patience| patience.0);
            console.0.borrow_mut().expect(&text, patience)?;
            Ok::<_, VmError>(text)
        },
    )?;
    methods.register()
}

fn register_clock(context: &Context) -> mlua::Result<()> {
    let methods = Methods::of(context, CLOCK)?;
    let shared = context.clone();
    methods.add("clock:sleep", move |_, _: &Clock, duration: LuaDuration| {
        shared.sleep(duration.0)
    })?;
    methods.add("clock:get_ns", |_, clock: &Clock, ()| {
        clock.0.borrow_mut().time("clock:get_ns")
    })?;
    methods.add("clock:get", |_, clock: &Clock, ()| {
        let time = clock.0.borrow_mut().time("clock:get")?;
        Ok::<_, VmError>(time as f64 / 1e9)
    })?;
    methods.add("clock:set", |_, clock: &Clock, seconds: f64| {
        let time = (seconds * 1e9) as i64;
        clock.0.borrow_mut().set_time("clock:set", time)
    })?;
    methods.add("clock:advance", |_, clock: &Clock, by: LuaDuration| {
        let mut vm = clock.0.borrow_mut();
        let time = vm.time("clock:advance")?;
        vm.set_time("clock:advance", time.saturating_add(by.0.as_nanos() as i64))
    })?;
    methods.register()
}

fn said<T>(result: Result<T, VmError>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// `(text)`, `(program, {args...})` or `(program, {args=, env=, cwd=, stdin=, timeout=})`.
fn command(call: &str, args: &[Value]) -> Result<vm::Command, String> {
    let Some(Value::String(first)) = args.first() else {
        return Err("first argument must be a string".into());
    };
    let first = first.to_string_lossy();
    let options = match args.get(1) {
        None | Some(Value::Nil) => return Ok(vm::Command::shell(&first)),
        Some(Value::Table(table)) => table.clone(),
        Some(other) => {
            let expected = "table of arguments or options";
            return Err(wrong_argument(call, 2, expected, other));
        }
    };
    let mut command = vm::Command {
        program: first,
        ..vm::Command::default()
    };
    if options.raw_len() > 0 {
        command.args = options
            .sequence_values()
            .collect::<mlua::Result<_>>()
            .map_err(|_| format!("{call} wants arguments that are strings"))?;
        return Ok(command);
    }
    read_command_options(&mut command, &options.into())?;
    Ok(command)
}

fn read_command_options(command: &mut vm::Command, options: &Options) -> Result<(), String> {
    options.only(&["args", "env", "cwd", "stdin", "timeout"])?;
    command.args = options
        .get("args", "a list of strings")?
        .unwrap_or_default();
    command.cwd = options.get("cwd", "a path in the guest")?;
    let stdin: Option<mlua::LuaString> = options.get("stdin", "a string")?;
    command.stdin = stdin.map(|stdin| stdin.as_bytes().to_vec());
    command.timeout = options.duration("timeout")?;
    let env: Option<Table> = options.get("env", "a table of strings")?;
    for pair in env.iter().flat_map(Table::pairs::<String, String>) {
        let (key, value) = pair.map_err(|_| "`env` wants strings for names and values")?;
        command.env.push(format!("{key}={value}"));
    }
    Ok(())
}

fn run_result(context: &Context, result: &RunResult) -> Result<Value, String> {
    let fields = || {
        let lua = context.lua();
        let fields = lua.create_table()?;
        fields.set("exit_code", result.exit_code())?;
        fields.set("stdout", lua.create_string(&result.stdout)?)?;
        fields.set("stderr", lua.create_string(&result.stderr)?)?;
        fields.set("status", result.status())?;
        fields.set("timed_out", result.exit == Exit::TimedOut)?;
        fields.set("truncated", result.truncated)?;
        if result.truncated {
            let text = "a command in the guest printed more than 16 MiB; the rest is lost";
            context.emit(Event::Log { text: text.into() });
        }
        if let Exit::Signalled(signal) = result.exit {
            fields.set("signal", signal)?;
        }
        let result: Table = context.prelude("new_result", fields)?;
        result.into_lua(lua)
    };
    fields().map_err(|error: mlua::Error| error.to_string())
}
