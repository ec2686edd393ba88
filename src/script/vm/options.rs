//! The option tables of `vm:boot` and `vm:attach_disk`.

use std::path::PathBuf;

use mlua::{LuaString, Value};

use crate::config::{
    BootDisk, BootImage, CACHE, CPUS, MEMORY, SCRATCH, cache_mode, cpus, memory, memory_of,
};
use crate::protocol::disk_options::DiskOptions;
use crate::script::bind::{GuestText, Options};
use crate::units::size::parse_size;
use crate::vm::{AttachOptions, BootFile, BootOptions};

pub(super) fn boot_options(options: &Options) -> Result<BootOptions, String> {
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
        disks: options.list("disks", boot_disk)?,
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

fn boot_disk(disk: &Options) -> Result<BootDisk, String> {
    disk.only(&[
        "path", "scratch", "template", "id", "readonly", "fixed", "cache", "mediated",
    ])?;
    let path: Option<String> = disk.get("path", "the path of an image")?;
    let template: Option<String> = disk.get("template", "the path of an image")?;
    let size = |value: &Value| match value {
        Value::Integer(bytes) => u64::try_from(*bytes).ok(),
        value => parse_size(&value.as_string()?.to_string_lossy()),
    };
    let scratch = disk.read("scratch", SCRATCH, size)?;
    Ok(BootDisk {
        id: disk.get("id", "a string")?,
        image: BootImage::one_of(
            path.map(PathBuf::from),
            scratch,
            template.map(PathBuf::from),
        )?,
        served: served(disk)?,
    })
}

pub(super) fn attach_options(options: &Options) -> Result<AttachOptions, String> {
    options.only(&[
        "id", "size", "image", "readonly", "fixed", "cache", "mediated",
    ])?;
    let image: Option<String> = options.get("image", "a path")?;
    Ok(AttachOptions {
        id: options.get("id", "a string")?,
        size: options.get("size", "a whole number of bytes, 0 or more")?,
        image: image.map(PathBuf::from),
        served: served(options)?,
    })
}

/// How a disk is served. A real disk does not grow, so a VM's disk grows only if the test says so.
fn served(disk: &Options) -> Result<DiskOptions, String> {
    let flag = |key| disk.read(key, "true or false", Value::as_boolean);
    let cache = disk.read("cache", CACHE, |value| {
        value.as_string()?.to_string_lossy().parse().ok()
    })?;
    Ok(DiskOptions {
        read_only: disk.flag("readonly")?,
        fixed: flag("fixed")?.unwrap_or(true),
        cache: cache_mode(cache, flag("mediated")?)?,
    })
}
