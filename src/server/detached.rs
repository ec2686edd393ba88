//! Noticing a lazy unmount (`umount -l`), of which the kernel tells the server nothing until the last file is
//! closed.

use std::io;

use crossbeam_channel::{Receiver, bounded, never};

use crate::os::mounts::{Mount, Table};

/// Disconnects once the table of this mount namespace no longer lists the mount that this process serves.
/// Clients may still have files open in it.
pub(super) fn await_detached() -> Receiver<()> {
    let (tx, detached) = bounded(0);
    let watch = move || {
        match wait_until_detached() {
            Ok(()) => drop(tx),
            // Nothing is known then, and a disconnected channel would release what rules hold.
            Err(_) => std::mem::forget(tx),
        }
    };
    let thread = std::thread::Builder::new().name("mounts".into());
    match thread.spawn(watch) {
        Ok(_) => detached,
        Err(_) => never(),
    }
}

fn wait_until_detached() -> io::Result<()> {
    let mut table = Table::open()?;
    while table.list()?.iter().any(Mount::is_own) {
        table.wait_changed()?;
    }
    Ok(())
}
