//! The option tables of `vm:boot` and `vm:attach_disk`.

use std::path::PathBuf;

use mlua::{LuaString, Value};

use super::arguments::Options;
use super::disk_policy::NO_CACHE;
use crate::config::{CPUS, MEMORY, cpus, memory};
use crate::disk_options::DiskOptions;
use crate::size::parse_size;
use crate::vm::{AttachOptions, BootDisk, BootFile, BootImage, BootOptions};

pub(super) fn boot_options(options: &Options) -> Result<BootOptions, String> {
    options.only(&[
        "memory",
        "cpus",
        "kernel_cmdline",
        "files",
        "disks",
        "agent_timeout",
        "cold",
    ])?;
    let text = |value: &Value| value.as_string().map(LuaString::to_string_lossy);
    Ok(BootOptions {
        memory: options.read("memory", MEMORY, |value| memory(&text(value)?))?,
        cpus: options.read("cpus", CPUS, |value| cpus(value.as_integer()?))?,
        kernel_cmdline: options.get("kernel_cmdline", "a string")?,
        agent_timeout: options.duration("agent_timeout")?,
        files: options.list("files", boot_file)?,
        disks: options.list("disks", boot_disk)?,
        cold: options.get("cold", "true or false")?,
    })
}

fn boot_file(file: &Options) -> Result<BootFile, String> {
    file.only(&["path", "content", "mode"])?;
    let path: Option<String> = file.get("path", "a path in the guest")?;
    let content: Option<LuaString> = file.get("content", "a string")?;
    Ok(BootFile {
        path: path.ok_or("`path` is missing: a path in the guest")?,
        content: content.map_or(Vec::new(), |content| content.as_bytes().to_vec()),
        mode: file_mode(file, "mode")?,
    })
}

/// The permission bits at `key`: a number, or an octal string as the shell has it.
pub(super) fn file_mode(options: &Options, key: &str) -> Result<Option<u32>, String> {
    const WANTED: &str = "permission bits: a number, or an octal string such as \"0755\"";
    options.read(key, WANTED, |value| {
        let bits = match value {
            Value::Integer(bits) => u32::try_from(*bits).ok(),
            Value::String(text) => u32::from_str_radix(&text.to_string_lossy(), 8).ok(),
            _ => None,
        };
        bits.filter(|bits| *bits <= 0o7777)
    })
}

fn boot_disk(disk: &Options) -> Result<BootDisk, String> {
    disk.only(&["path", "scratch", "id", "readonly", "fixed"])?;
    let path: Option<String> = disk.get("path", "the path of an image")?;
    let scratch: Option<String> = disk.get("scratch", "a size such as \"256M\"")?;
    let image =
        match (path, scratch) {
            (Some(path), None) => BootImage::Path(PathBuf::from(path)),
            (None, Some(size)) => BootImage::Scratch(parse_size(&size).ok_or_else(|| {
                format!("`scratch` wants a size such as \"256M\", not \"{size}\"")
            })?),
            _ => return Err("a disk has either a `path` or a `scratch` size".into()),
        };
    Ok(BootDisk {
        id: disk.get("id", "a string")?,
        image,
        served: DiskOptions {
            read_only: disk.flag("readonly")?,
            fixed: fixed(disk)?,
        },
    })
}

/// `mediated = true` asks for what there is not yet.
fn refuse_mediated(options: &Options) -> Result<(), String> {
    match options.flag("mediated")? {
        true => Err(format!("`mediated`: {NO_CACHE}")),
        false => Ok(()),
    }
}

pub(super) fn attach_options(options: &Options) -> Result<AttachOptions, String> {
    options.only(&["id", "size", "image", "fixed", "mediated"])?;
    refuse_mediated(options)?;
    let image: Option<String> = options.get("image", "a path")?;
    Ok(AttachOptions {
        id: options.get("id", "a string")?,
        size: options.get("size", "a whole number of bytes, 0 or more")?,
        image: image.map(PathBuf::from),
        served: DiskOptions {
            read_only: false,
            fixed: fixed(options)?,
        },
    })
}

/// A real disk does not grow, and so none of a VM does unless the test says so.
fn fixed(disk: &Options) -> Result<bool, String> {
    let fixed = disk.read("fixed", "true or false", Value::as_boolean)?;
    Ok(fixed.unwrap_or(true))
}
