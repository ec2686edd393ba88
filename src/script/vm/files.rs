//! Files in the guest.

use mlua::{Lua, LuaString, Table};

use super::handle::Vm;
use super::options::file_mode;
use crate::script::bind::{CallResult, GuestText, Methods, Options};
use crate::script::context::Context;
use crate::script::host_path::beside_caller;
use crate::vm::FileStat;

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// Adds the file calls to the methods of a VM.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("read_file", read_file)?;
    methods.add("write_file", write_file)?;
    methods.add("push_file", push_file)?;
    methods.add("stat", stat)?;
    methods.add("extents", extents)?;
    methods.add("listdir", listdir)?;
    methods.add("mkdir", mkdir)?;
    methods.add("unlink", unlink)?;
    methods.add("rename", rename)
}

fn read_file(context: &Context, vm: &Vm, path: GuestText) -> CallResult<LuaString> {
    let content = vm.get().read_file(&path.0)?;
    Ok(context.lua().create_string(content)?)
}

fn write_file(_: &Context, vm: &Vm, (path, data): (GuestText, LuaString)) -> CallResult<()> {
    Ok(vm.get().write_file(&path.0, &data.as_bytes())?)
}

fn push_file(context: &Context, vm: &Vm, (host, guest): (String, GuestText)) -> CallResult<()> {
    let host = beside_caller(context, &host);
    let content = std::fs::read(&host);
    let content = content.map_err(|error| format!("{}: {error}", host.display()))?;
    Ok(vm.get().write_file(&guest.0, &content)?)
}

fn stat(context: &Context, vm: &Vm, path: GuestText) -> CallResult<Table> {
    let stat = vm.get().stat(&path.0)?;
    Ok(stat_table(&context.lua(), &stat)?)
}

fn extents(_: &Context, vm: &Vm, path: GuestText) -> CallResult<(String, String)> {
    Ok(vm.get().extents(&path.0)?)
}

fn stat_table(lua: &Lua, stat: &FileStat) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("size", stat.size)?;
    table.set("mode", stat.mode)?;
    table.set("perm", stat.mode)?;
    table.set("entry_type", stat.entry_type)?;
    table.set("kind", kind(stat.entry_type))?;
    table.set("mtime", stat.mtime_ns.div_euclid(SECOND))?;
    table.set("mtime_ns", stat.mtime_ns)?;
    table.set("uid", stat.uid)?;
    table.set("gid", stat.gid)?;
    Ok(table)
}

/// The shorter word for a type of file.
fn kind(entry_type: &str) -> &str {
    match entry_type {
        "file" => "file",
        "directory" => "dir",
        "symlink" => "link",
        _ => "other",
    }
}

fn listdir(context: &Context, vm: &Vm, path: GuestText) -> CallResult<Vec<Table>> {
    let entries = vm.get().listdir(&path.0)?;
    let lua = context.lua();
    let tables = entries.iter().map(|entry| {
        let table = lua.create_table()?;
        table.set("name", lua.create_string(&entry.name)?)?;
        table.set("entry_type", entry.entry_type.as_str())?;
        Ok(table)
    });
    Ok(tables.collect::<mlua::Result<_>>()?)
}

fn mkdir(_: &Context, vm: &Vm, (path, options): (GuestText, Options)) -> CallResult<()> {
    options.only(&["parents", "perm"])?;
    let parents = options.flag("parents")?;
    let perm = file_mode(&options, "perm")?;
    Ok(vm.get().mkdir(&path.0, parents, perm)?)
}

fn unlink(_: &Context, vm: &Vm, path: GuestText) -> CallResult<()> {
    Ok(vm.get().unlink(&path.0)?)
}

fn rename(_: &Context, vm: &Vm, (from, to): (GuestText, GuestText)) -> CallResult<()> {
    Ok(vm.get().rename(&from.0, &to.0)?)
}
