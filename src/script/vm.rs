//! `provium:vm`, and the VM with its console and clock.

use std::sync::Once;
use std::time::Duration;

use mlua::{Function, IntoLua, Lua, MetaMethod, UserData, UserDataMethods, Value};

use super::arguments::Options;
use super::bind::{Methods, look_up, method, native};
use super::context::{Context, SharedVm};
use super::disk::Disk;
use super::duration::LuaDuration;
use super::run;
use super::vm_options::{attach_options, boot_options};
use crate::events::Event;
use crate::os::sys;
use crate::vm::{self, BootOptions, State, VmError};

pub(super) const VM: &str = "vm";
const CONSOLE: &str = "console";
const CLOCK: &str = "clock";

/// How long `console:expect` waits unless told.
const EXPECT: Duration = Duration::from_secs(30);

/// What sector calls may use without waiting for the kernel to fault it in: a read of 8 MiB is a
/// buffer and a Lua string, beside what the collector has not taken yet.
const DISK_MEMORY: usize = 48 << 20;

pub(super) struct Vm(pub(super) SharedVm);
struct Console(SharedVm);
struct Clock(SharedVm);

impl UserData for Vm {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, vm, ()| {
            let mut vm = vm.0.borrow_mut();
            let state = vm.state().name();
            Ok(format!("vm `{}`, {state}", vm.name()))
        });
        // What never changes is a field as well as a method: the prelude lets its text be called.
        methods.add_meta_method(MetaMethod::Index, |lua, vm, key: Value| {
            let vm = vm.0.borrow();
            match key.as_string().map(|key| key.to_string_lossy()).as_deref() {
                Some("name") => vm.name().into_lua(lua),
                Some("profile") => vm.profile().into_lua(lua),
                _ => method(lua, VM, key),
            }
        });
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

/// The native of `provium:boot()`: boots all VMs of the scope that were never booted.
pub(super) fn provium_boot(context: &Context) -> mlua::Result<Function> {
    let shared = context.clone();
    native(&context.lua(), "provium:boot", move |_, _: Value| {
        for vm in shared.scope() {
            let state = vm.borrow_mut().state();
            if state == State::Created {
                boot(&shared, &vm, BootOptions::default())?;
            }
        }
        Ok::<_, VmError>(())
    })
}

/// Boots `vm`; what it notes on the way goes into the log.
fn boot(context: &Context, vm: &SharedVm, options: BootOptions) -> Result<(), VmError> {
    let booted = vm.borrow_mut().boot(options);
    log_notes(context, vm);
    booted
}

fn shutdown(context: &Context, vm: &SharedVm) {
    vm.borrow_mut().shutdown();
    log_notes(context, vm);
}

/// Puts what a VM has to say into the log.
fn log_notes(context: &Context, vm: &SharedVm) {
    for text in vm.borrow_mut().take_notes() {
        context.emit(Event::Log { text });
    }
}

/// The native of `provium:shutdown()`: shuts all VMs of the scope down that run, or are paused.
pub(super) fn provium_shutdown(context: &Context) -> mlua::Result<Function> {
    let shared = context.clone();
    native(&context.lua(), "provium:shutdown", move |_, _: Value| {
        for vm in shared.scope() {
            let state = vm.borrow_mut().state();
            if matches!(state, State::Booted | State::Paused) {
                shutdown(&shared, &vm);
            }
        }
        Ok::<_, VmError>(())
    })
}

/// The native of `provium:claim(resources)`, with which other runners plan: nothing is reserved.
pub(super) fn provium_claim(context: &Context) -> mlua::Result<Function> {
    native(&context.lua(), "provium:claim", |_, _: (Value, Value)| {
        Ok::<_, VmError>(())
    })
}

/// A function that finds the VM of a name; nil without one.
pub(super) fn find_vm(context: &Context) -> mlua::Result<Function> {
    let shared = context.clone();
    let find = move |_: &Lua, name: Value| {
        let name = name.as_string().map(|name| name.to_string_lossy());
        Ok(name.and_then(|name| shared.find_vm(&name)).map(Vm))
    };
    context.lua().create_function(find)
}

/// A function that tells whether a text is the name of an object, or of its profile.
pub(super) fn is_name_of(context: &Context) -> mlua::Result<Function> {
    let is_name = |_: &Lua, (text, object): (Value, Value)| {
        let object = object.as_userdata().and_then(|it| it.borrow::<Vm>().ok());
        let is_name = object.is_some_and(|vm| {
            let vm = vm.0.borrow();
            text.as_string()
                .is_some_and(|text| *text == vm.name() || *text == vm.profile())
        });
        Ok(is_name)
    };
    context.lua().create_function(is_name)
}

/// The native of `provium:vm(name)` and `provium:vm(name, profile, opts?)`. The options are those of
/// `vm:boot`, which may say otherwise.
pub(super) fn provium_vm(context: &Context) -> mlua::Result<Function> {
    let shared = context.clone();
    native(
        &context.lua(),
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
    run::register(context)?;
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
    let shared = context.clone();
    methods.add("vm:shutdown", move |_, vm: &Vm, ()| {
        shutdown(&shared, &vm.0);
        Ok::<_, VmError>(())
    })?;
    let shared = context.clone();
    methods.add("vm:reset", move |_, vm: &Vm, ()| {
        let reset = vm.0.borrow_mut().reset();
        log_notes(&shared, &vm.0);
        reset
    })?;
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
    let shared = context.clone();
    methods.add("vm:attach_disk", move |_, vm: &Vm, options: Options| {
        static WARM_UP: Once = Once::new();
        WARM_UP.call_once(|| sys::warm_heap(DISK_MEMORY));
        let options = attach_options(&options)?;
        let attached = vm.0.borrow_mut().attach_disk(options);
        log_notes(&shared, &vm.0);
        let record = said(attached)?;
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
    methods.add("vm:console", |_, vm: &Vm, ()| {
        Ok::<_, VmError>(Console(vm.0.clone()))
    })?;
    methods.add("vm:clock", |_, vm: &Vm, ()| {
        Ok::<_, VmError>(Clock(vm.0.clone()))
    })?;
    run::add(&methods, context)?;
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
    // It stays open as long as its VM.
    methods.add("console:close", |_, _: &Console, ()| Ok::<_, VmError>(()))?;
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
    methods.add("clock:set_ns", |_, clock: &Clock, nanoseconds: i64| {
        clock.0.borrow_mut().set_time("clock:set_ns", nanoseconds)
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
