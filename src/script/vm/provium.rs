//! The calls of `provium`: creating and finding VMs, and all VMs of a scope.

use mlua::{Table, Value};

use super::handle::Vm;
use super::lifecycle::{boot_vm, shut_down_vm};
use super::options::boot_options;
use crate::script::bind::{CallResult, Options, native};
use crate::script::context::Context;
use crate::vm::{self, BootOptions, State, VmError};

/// Adds the natives of `provium` to the table that the prelude gets.
pub(in crate::script) fn add_natives(context: &Context, natives: &Table) -> mlua::Result<()> {
    natives.set("provium_vm", native(context, "provium:vm", provium_vm)?)?;
    natives.set("provium_boot", native(context, "provium:boot", boot_all)?)?;
    let shutdown = native(context, "provium:shutdown", shut_down_all)?;
    natives.set("provium_shutdown", shutdown)?;
    natives.set("provium_claim", native(context, "provium:claim", claim)?)?;
    let lua = context.lua();
    let shared = context.clone();
    let find = lua.create_function(move |_, name| Ok(find_vm(&shared, &name)))?;
    natives.set("find_vm", find)?;
    let is_name = lua.create_function(|_, (text, object)| Ok(is_name_of(&text, &object)))?;
    natives.set("is_name_of", is_name)
}

/// `provium:vm(name)` finds a VM, `provium:vm(name, profile, options?)` creates one. The options are
/// the defaults of its boots.
fn provium_vm(
    context: &Context,
    (_provium, name, profile, options): (Value, String, Option<String>, Options),
) -> CallResult<Vm> {
    match (context.find_vm(&name), profile) {
        (Some(vm), None) => Ok(Vm::new(vm)),
        (Some(_), Some(_)) => Err(format!("there is a vm `{name}` already").into()),
        (None, None) => {
            let text = format!("no vm `{name}`: create it with provium:vm(name, profile)");
            Err(text.into())
        }
        (None, Some(profile)) => {
            let options = boot_options(context, &options)?;
            Ok(create_vm(context, &name, &profile, options)?)
        }
    }
}

/// Creates a VM in the current scope. `options` are the defaults of its boots.
pub(in crate::script) fn create_vm(
    context: &Context,
    name: &str,
    profile_name: &str,
    options: BootOptions,
) -> Result<Vm, VmError> {
    let mut profile = context.config().profile(profile_name)?;
    profile.cold |= context.is_cold();
    let limit = context.limit().clone();
    let vm = vm::Vm::create(name, profile_name, profile, options, limit)?;
    Ok(Vm::new(context.add_vm(vm)))
}

/// Boots all VMs of the scope that were never booted.
fn boot_all(context: &Context, _: Value) -> CallResult<()> {
    for vm in context.scope().into_iter().map(Vm::new) {
        let state = vm.get().state();
        if state == State::Created {
            boot_vm(context, &vm, BootOptions::default())?;
        }
    }
    Ok(())
}

/// Shuts down all VMs of the scope that run or are paused.
fn shut_down_all(context: &Context, _: Value) -> CallResult<()> {
    for vm in context.scope().into_iter().map(Vm::new) {
        let state = vm.get().state();
        if matches!(state, State::Booted | State::Paused) {
            shut_down_vm(context, &vm);
        }
    }
    Ok(())
}

/// Reserves nothing: other runners plan with what a file claims, this one does not.
fn claim(_: &Context, _: (Value, Value)) -> CallResult<()> {
    Ok(())
}

/// The VM of that name; nil without one.
fn find_vm(context: &Context, name: &Value) -> Option<Vm> {
    let name = name.as_string()?.to_string_lossy();
    context.find_vm(&name).map(Vm::new)
}

/// Whether `text` is the name of the VM `object`, or of its profile.
fn is_name_of(text: &Value, object: &Value) -> bool {
    let vm = object.as_userdata().and_then(|it| it.borrow::<Vm>().ok());
    let (Some(text), Some(vm)) = (text.as_string(), vm) else {
        return false;
    };
    let vm = vm.get();
    *text == vm.name() || *text == vm.profile()
}
