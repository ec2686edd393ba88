//! Whatever is killed, hangs or runs out around a mount: no stuck process, no stale mount, nothing flushed
//! that is lost.
//!
//! Each scenario tells what it did when and what it found; `mnt-helpers/dev/survival` prints it. At its end
//! its [`Scene`](scene::Scene) looks for what it has left.

mod clients;
mod cycles;
mod guests;
mod host;
mod limits;
mod mount_ends;
mod namespaces;
mod qemu;
mod scene;
mod server;
mod stopped;
mod storage;
mod unmounting;
