//! The power of a VM, and marks in the logs of its disks.

use std::rc::Rc;
use std::time::Duration;

use mlua::{Table, Value};

use super::handle::Vm;
use super::lifecycle::log_notes;
use crate::script::bind::{CallResult, LuaDuration, Methods, Options, found, items};
use crate::script::context::Context;
use crate::script::disk::{CUT_OPTIONS, Disk, SharedDisk, cut_of, report_table};
use crate::vm::CutReports;

/// How long `vm:wait_power_cut` and `vm:wait_io_error` wait unless told otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Adds the calls to the methods of a VM.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("power_cut", power_cut)?;
    methods.add("wait_power_cut", wait_power_cut)?;
    methods.add("wait_io_error", wait_io_error)?;
    methods.add("mark", mark)
}

fn power_cut(context: &Context, vm: &Vm, options: Options) -> CallResult<Table> {
    options.only(&[&CUT_OPTIONS[..], &["disks"]].concat())?;
    let cut = cut_of(&options)?;
    let disks: Option<Table> = options.get("disks", "a list of disks or their IDs")?;
    let disks = disks.map(|list| disks_of(vm, &list)).transpose()?;
    let reports = vm.get().power_cut(&cut, disks.as_deref());
    log_notes(context, vm);
    reports_table(context, reports?)
}

fn wait_power_cut(context: &Context, vm: &Vm, timeout: Option<LuaDuration>) -> CallResult<Table> {
    let timeout = timeout.map_or(DEFAULT_TIMEOUT, |timeout| timeout.0);
    let reports = vm.get().wait_power_cut(timeout);
    log_notes(context, vm);
    reports_table(context, reports?)
}

fn wait_io_error(context: &Context, vm: &Vm, timeout: Option<LuaDuration>) -> CallResult<Table> {
    let timeout = timeout.map_or(DEFAULT_TIMEOUT, |timeout| timeout.0);
    let error = vm.get().wait_io_error(timeout)?;
    let table = context.lua().create_table()?;
    table.set("disk", error.disk)?;
    table.set("op", error.op)?;
    table.set("error", error.error)?;
    Ok(table)
}

fn mark(_: &Context, vm: &Vm, text: String) -> CallResult<()> {
    Ok(vm.get().mark(&text)?)
}

/// The disks of `vm` that are in the list, as handles or by their IDs.
fn disks_of(vm: &Vm, list: &Table) -> CallResult<Vec<SharedDisk>> {
    let (items, has_others) = items(list)?;
    if has_others {
        return Err("`disks` expects a list, and nothing but its items in it".into());
    }
    items.iter().map(|item| disk_of(vm, item)).collect()
}

fn disk_of(vm: &Vm, item: &Value) -> CallResult<SharedDisk> {
    let handle = item
        .as_userdata()
        .and_then(|item| item.borrow::<Disk>().ok());
    let handle = handle.map(|disk| Rc::clone(disk.shared()));
    let id = match (&handle, item) {
        (Some(disk), _) => disk.borrow().id().to_owned(),
        (None, Value::String(id)) => id.to_string_lossy(),
        (None, other) => {
            let found = found(other);
            return Err(format!("`disks` expects disks or their IDs, not {found}").into());
        }
    };
    let attached = vm.get().disk(&id);
    let attached = attached.filter(|disk| handle.is_none_or(|handle| Rc::ptr_eq(disk, &handle)));
    let name = vm.get().name().to_owned();
    let disk = attached.ok_or_else(|| format!("no disk `{id}` attached to vm `{name}`"))?;
    if !disk.borrow().has_image() {
        return Err(format!("disk `{id}` has no image: there is nothing to cut").into());
    }
    Ok(disk)
}

/// What a cut has done, by the disks' IDs.
fn reports_table(context: &Context, reports: CutReports) -> CallResult<Table> {
    let lua = context.lua();
    let table = lua.create_table()?;
    for (id, report) in reports {
        table.set(id, report_table(&lua, &report)?)?;
    }
    Ok(table)
}
