//! Flushes of QEMU's own. QEMU flushes all disks whenever it stops the guest, and so makes durable what is pending; and it
//! sends no flush for a guest that has written nothing since the last one. Neither may show in a snapshot.

use qapi::{Command, qmp};
use serde::{Deserialize, Serialize};

use crate::client::{ClientError, MountClient};
use crate::protocol::{CacheMode, Op, OpCounter};
use crate::vm::VmError;
use crate::vm::machine::Machine;
use crate::vm::qemu::drive::Drive;

/// What a guest has done to its disks so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changes {
    /// The requests that change a disk, as the mount counts them.
    changes: u64,
    /// The flushes, as QEMU counts them: its own are not among them.
    flushes: i64,
}

/// `query-blockstats`, of which this has what each QEMU answers.
#[derive(Debug, Serialize)]
struct QueryBlockstats {}

#[derive(Debug, Deserialize)]
struct DeviceStats {
    stats: Counted,
}

#[derive(Debug, Deserialize)]
struct Counted {
    flush_operations: i64,
}

impl Command for QueryBlockstats {
    type Ok = Vec<DeviceStats>;
    const NAME: &'static str = "query-blockstats";
    const ALLOW_OOB: bool = false;
}

/// Whether a disk of `mount` has a cache, so that a flush matters.
pub(super) fn matter(mount: &MountClient) -> Result<bool, ClientError> {
    for disk in mount.all()? {
        if disk.cache()? == CacheMode::Volatile {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Machine {
    /// What the guest has done to its disks so far.
    pub(super) fn changes(&mut self) -> Result<Changes, VmError> {
        let of_qemu = self.execute(&QueryBlockstats {})?;
        let flushes = of_qemu.iter().map(|disk| disk.stats.flush_operations).sum();
        let mut changes = 0;
        for disk in self.mount.all()? {
            let stats = disk.stats()?;
            let of_disk = |op| stats.counter(op, OpCounter::Requests);
            let ops = Op::ALL.into_iter().filter(|op| op.is_change());
            changes += ops.map(of_disk).sum::<u64>();
        }
        Ok(Changes { changes, flushes })
    }

    /// Has QEMU pass on the next flush of its guest in any case. A write without data, which QEMU sends nowhere, makes it
    /// believe that there is something to flush.
    pub(super) fn pass_on_flushes(&mut self, drives: &[Drive]) -> Result<(), VmError> {
        for drive in drives {
            let backend = drive.backend(self.bus());
            let command_line = format!("qemu-io -d {backend} \"write -q 0 0\"");
            let command = qmp::human_monitor_command {
                cpu_index: None,
                command_line,
            };
            let text = self.execute(&command)?;
            if !text.trim().is_empty() {
                let command = "qemu-io".to_owned();
                return Err(VmError::Refused { command, text });
            }
        }
        Ok(())
    }
}
