//! The file methods of a VM.

use std::path::{Path, PathBuf};

use mlua::{Lua, LuaString};

use super::arguments::{GuestText, Options};
use super::bind::Methods;
use super::vm::Vm;
use super::vm_options::file_mode;

/// Adds them to the methods of a VM.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("vm:read_file", |lua: &Lua, vm: &Vm, path: GuestText| {
        let content = vm.0.borrow_mut().read_file(&path.0);
        let content = content.map_err(|error| error.to_string())?;
        lua.create_string(content)
            .map_err(|error| error.to_string())
    })?;
    methods.add(
        "vm:write_file",
        |_, vm: &Vm, (path, data): (GuestText, LuaString)| {
            vm.0.borrow_mut().write_file(&path.0, &data.as_bytes())
        },
    )?;
    methods.add(
        "vm:push_file",
        |lua: &Lua, vm: &Vm, (host, guest): (String, GuestText)| {
            let host = beside_caller(lua, &host);
            let content = std::fs::read(&host);
            let content = content.map_err(|error| format!("{}: {error}", host.display()))?;
            let pushed = vm.0.borrow_mut().write_file(&guest.0, &content);
            pushed.map_err(|error| error.to_string())
        },
    )?;
    methods.add("vm:stat", |lua: &Lua, vm: &Vm, path: GuestText| {
        let stat =
            vm.0.borrow_mut()
                .stat(&path.0)
                .map_err(|error| error.to_string())?;
        let fields = || {
            let table = lua.create_table()?;
            table.set("size", stat.size)?;
            table.set("mode", stat.mode)?;
            table.set("perm", stat.mode)?;
            table.set("entry_type", stat.entry_type)?;
            table.set("kind", kind(stat.entry_type))?;
            table.set("mtime", stat.mtime_ns.div_euclid(1_000_000_000))?;
            table.set("mtime_ns", stat.mtime_ns)?;
            table.set("uid", stat.uid)?;
            table.set("gid", stat.gid)?;
            Ok(table)
        };
        fields().map_err(|error: mlua::Error| error.to_string())
    })?;
    methods.add("vm:listdir", |lua: &Lua, vm: &Vm, path: GuestText| {
        let entries = vm.0.borrow_mut().listdir(&path.0);
        let entries = entries.map_err(|error| error.to_string())?;
        let tables = entries.iter().map(|entry| {
            let table = lua.create_table()?;
            table.set("name", lua.create_string(&entry.name)?)?;
            table.set("entry_type", entry.entry_type.as_str())?;
            Ok(table)
        });
        let tables: mlua::Result<Vec<_>> = tables.collect();
        tables.map_err(|error| error.to_string())
    })?;
    methods.add(
        "vm:mkdir",
        |_, vm: &Vm, (path, options): (GuestText, Options)| {
            options.only(&["parents", "perm"])?;
            let parents = options.flag("parents")?;
            let perm = file_mode(&options, "perm")?;
            let made = vm.0.borrow_mut().mkdir(&path.0, parents, perm);
            made.map_err(|error| error.to_string())
        },
    )?;
    methods.add("vm:unlink", |_, vm: &Vm, path: GuestText| {
        vm.0.borrow_mut().unlink(&path.0)
    })?;
    methods.add(
        "vm:rename",
        |_, vm: &Vm, (from, to): (GuestText, GuestText)| vm.0.borrow_mut().rename(&from.0, &to.0),
    )
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

/// A relative path of the host starts at the folder of the file that makes the call.
fn beside_caller(lua: &Lua, path: &str) -> PathBuf {
    // Level 0 is this function; the prelude's wrapper is a tail call and leaves no level.
    let file = (1..4).find_map(|level| {
        lua.inspect_stack(level, |debug| {
            let source = debug.source().source?;
            Some(PathBuf::from(source.strip_prefix('@')?))
        })?
    });
    let folder = file
        .as_deref()
        .and_then(Path::parent)
        .unwrap_or(Path::new(""));
    folder.join(path)
}
