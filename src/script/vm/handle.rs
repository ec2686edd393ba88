//! A handle on a VM, and the calls that concern the handle itself.

use std::cell::RefMut;

use mlua::{IntoLua, Lua, MetaMethod, UserData, UserDataMethods, Value};

use crate::script::bind::{CallResult, Methods, method};
use crate::script::context::{Context, SharedVm};
use crate::vm;

pub(super) const CLASS: &str = "vm";

/// A handle on a VM, which several handles share.
#[derive(Clone)]
pub(in crate::script) struct Vm(SharedVm);

impl UserData for Vm {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, vm, ()| {
            let mut vm = vm.get();
            let state = vm.state().name();
            Ok(format!("vm `{}`, {state}", vm.name()))
        });
        methods.add_meta_method(MetaMethod::Index, |lua, vm, key: Value| vm.field(lua, key));
    }
}

impl Vm {
    /// A handle on `vm`.
    pub(in crate::script) fn new(vm: SharedVm) -> Self {
        Self(vm)
    }

    /// The VM, for one call.
    pub(super) fn get(&self) -> RefMut<'_, vm::Vm> {
        self.0.borrow_mut()
    }

    /// The VM, for an object that belongs to it.
    pub(super) fn shared(&self) -> &SharedVm {
        &self.0
    }

    /// Its name, for the list of calls.
    pub(in crate::script) fn title(&self) -> Option<String> {
        let vm = self.0.try_borrow().ok()?;
        Some(vm.name().to_owned())
    }

    /// What never changes is a field as well as a method: the prelude lets its text be called.
    fn field(&self, lua: &Lua, key: Value) -> mlua::Result<Value> {
        let name = key.as_string().map(|key| key.to_string_lossy());
        match name.as_deref() {
            Some("name") => self.get().name().into_lua(lua),
            Some("profile") => self.get().profile().into_lua(lua),
            _ => method(lua, CLASS, key),
        }
    }
}

/// Adds the calls that concern the handle itself.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("name", name)?;
    methods.add("profile", profile)?;
    methods.add("state", state)
}

fn name(_: &Context, vm: &Vm, (): ()) -> CallResult<String> {
    Ok(vm.get().name().to_owned())
}

fn profile(_: &Context, vm: &Vm, (): ()) -> CallResult<String> {
    Ok(vm.get().profile().to_owned())
}

fn state(_: &Context, vm: &Vm, (): ()) -> CallResult<&'static str> {
    Ok(vm.get().state().name())
}
