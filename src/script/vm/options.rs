//! The option tables of `vm:boot` and `vm:attach_disk`.

use mlua::{LuaString, Value};

use crate::config::{
    CACHE, CPUS, DiskKeys, HardwareKeys, MEMORY, SIZE, VmDisk, cpus, memory, memory_of,
};
use crate::fault::Rule;
use crate::script::bind::{GuestText, Options, bytes, found, items};
use crate::script::context::Context;
use crate::script::disk::rule_of;
use crate::script::host_path::host_path;
use crate::vm::{BootFile, BootOptions};

pub(super) fn boot_options(context: &Context, options: &Options) -> Result<BootOptions, String> {
    options.only(&[
        "memory",
        "cpus",
        "kernel_cmdline",
        "kernel_cmdline_append",
        "files",
        "disks",
        "agent_timeout",
        "cold",
    ])?;
    let size = |value: &Value| match value {
        Value::Integer(bytes) => memory_of(*bytes),
        value => memory(&value.as_string()?.to_string_lossy()),
    };
    Ok(BootOptions {
        memory: options.read("memory", MEMORY, size)?,
        cpus: options.read("cpus", CPUS, |value| cpus(value.as_integer()?))?,
        kernel_cmdline: kernel_cmdline(options)?,
        agent_timeout: options.duration("agent_timeout")?,
        files: options.list("files", boot_file)?,
        disks: options.list("disks", |disk| disk_options(context, disk)?.for_boot())?,
        cold: options.get("cold", "true or false")?,
    })
}

/// The words to add to the kernel's command line; the option has two names.
fn kernel_cmdline(options: &Options) -> Result<Option<String>, String> {
    let mut words = Vec::new();
    for key in ["kernel_cmdline", "kernel_cmdline_append"] {
        let added: Option<String> = options.get(key, "a string")?;
        words.extend(added);
    }
    Ok((!words.is_empty()).then(|| words.join(" ")))
}

fn boot_file(file: &Options) -> Result<BootFile, String> {
    file.only(&["path", "content", "mode"])?;
    let path: Option<GuestText> = file.get("path", "a path in the guest")?;
    let content: Option<LuaString> = file.get("content", "a string")?;
    Ok(BootFile {
        path: path.ok_or("`path` is missing: a path in the guest")?.0,
        content: content.map_or(Vec::new(), |content| content.as_bytes().to_vec()),
        mode: file_mode(file, "mode")?,
    })
}

/// The permission bits at `key`: a number, or an octal string as the shell has it.
pub(super) fn file_mode(options: &Options, key: &str) -> Result<Option<u32>, String> {
    const EXPECTED: &str = "permission bits: a number, or an octal string such as \"0755\"";
    options.read(key, EXPECTED, |value| {
        let bits = match value {
            Value::Integer(bits) => u32::try_from(*bits).ok(),
            Value::String(text) => u32::from_str_radix(&text.to_string_lossy(), 8).ok(),
            _ => None,
        };
        bits.filter(|bits| *bits <= 0o7777)
    })
}

/// The keys of a disk, which are the same in `vm:boot` and in `vm:attach_disk`.
pub(super) fn disk_options(context: &Context, disk: &Options) -> Result<VmDisk, String> {
    disk.only(&DiskKeys::names())?;
    let path = |key| -> Result<_, String> {
        let path: Option<String> = disk.get(key, "the path of an image")?;
        Ok(path.map(|path| host_path(context, path)))
    };
    let size = |key| disk.read(key, SIZE, bytes);
    let flag = |key| disk.read(key, "true or false", Value::as_boolean);
    let cache = disk.read("cache", CACHE, |value| {
        value.as_string()?.to_string_lossy().parse().ok()
    })?;
    DiskKeys {
        path: path("path")?,
        image: path("image")?,
        template: path("template")?,
        scratch: size("scratch")?,
        size: size("size")?,
        id: disk.get("id", "a string")?,
        readonly: disk.flag("readonly")?,
        fixed: flag("fixed")?,
        cache,
        mediated: flag("mediated")?,
        faults: faults(disk)?,
        share: disk.flag("share")?,
        hardware: hardware_keys(disk)?,
    }
    .checked()
}

/// How the guest sees the disk.
fn hardware_keys(disk: &Options) -> Result<HardwareKeys, String> {
    let text = |key| disk.get(key, "a string");
    let size = |key| disk.read(key, SIZE, bytes);
    Ok(HardwareKeys {
        bus: text("bus")?,
        logical_block_size: size("logical_block_size")?,
        physical_block_size: size("physical_block_size")?,
        serial: text("serial")?,
        queues: disk.read("queues", "a number of queues", |value| {
            u64::try_from(value.as_integer()?).ok()
        })?,
        rerror: text("rerror")?,
        werror: text("werror")?,
        cache_type: text("cache_type")?,
    })
}

/// The rules that a disk begins with, each as `disk:fault_inject` takes it.
fn faults(disk: &Options) -> Result<Vec<Rule>, String> {
    const EXPECTED: &str = "a list of rules, each a text or a table";
    let rules = disk.read("faults", EXPECTED, |list| {
        let (items, has_others) = items(list.as_table()?).ok()?;
        (!has_others).then_some(items)
    })?;
    let rules = rules.into_iter().flatten().zip(1..);
    let read = |(rule, place): (Value, usize)| {
        let rule = match rule {
            Value::String(_) | Value::Table(_) => rule_of(&rule, None),
            other => Err(format!("a rule is a text or a table, not {}", found(&other)).into()),
        };
        rule.map_err(|error| error.message(&format!("faults[{place}]")))
    };
    rules.map(read).collect()
}
