//! Files without a name that lie in memory: they end with those who have them open, however these end.

use std::fs::File;
use std::io;

use rustix::fs::{MemfdFlags, memfd_create};

/// A new one with `len` zeros; `what` shows in /proc.
pub fn memory_file(what: &str, len: u64) -> io::Result<File> {
    let file = File::from(memfd_create(what, MemfdFlags::CLOEXEC)?);
    file.set_len(len)?;
    Ok(file)
}
