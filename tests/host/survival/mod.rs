//! Processes are killed, storage hangs, resources run out around a mount: no process gets stuck, no stale mount
//! stays, no flushed data is lost.
//!
//! Each scenario prints its steps, their times and its findings; `mnt-helpers/dev/survival` shows them. At its end
//! the [`Scene`](scene::Scene) checks that nothing is left.

mod clients;
mod cycles;
mod guests;
pub mod host;
mod limits;
mod mount_ends;
mod namespaces;
mod qemu;
mod scene;
mod server;
mod stopped;
mod storage;
mod unmounting;
