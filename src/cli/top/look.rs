//! What the disks of a mount have done so far, and what they did between two looks.

use std::time::{Duration, Instant};

use crate::cli::durability;
use crate::client::{DiskControl, MountClient, Stats};
use crate::protocol::{CacheMode, DiskGauge, LatencyFigure, Op, OpCounter, PowerState};

/// One look at all disks.
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) disks: Vec<DiskLook>,
}

impl Look {
    /// The disk as it was here; as it is, if it was not there yet.
    pub(super) fn disk<'a>(&'a self, now: &'a DiskLook) -> &'a DiskLook {
        let mut disks = self.disks.iter();
        disks.find(|old| old.id == now.id).unwrap_or(now)
    }
}

/// One look at a disk.
pub(super) struct DiskLook {
    pub(super) id: String,
    pub(super) stats: Stats,
    pub(super) faults: Vec<String>,
    pub(super) cache: CacheMode,
    pub(super) is_off: bool,
}

impl DiskLook {
    /// None if the disk is detached meanwhile.
    fn at(disk: &DiskControl) -> Option<Self> {
        Some(Self {
            id: disk.id().to_owned(),
            stats: disk.stats().ok()?,
            faults: disk.faults().ok()?,
            // A server of an older version has neither file.
            cache: disk.cache().unwrap_or_default(),
            is_off: matches!(disk.power(), Ok(PowerState::Off(_))),
        })
    }

    /// The cell of the column LAYERS: what its changes take in the run-time folder; nothing without layers.
    pub(super) fn layers(&self) -> String {
        let [checkpoints, bytes] =
            [DiskGauge::Checkpoints, DiskGauge::LayerBytes].map(|gauge| self.stats.gauge(gauge));
        match (checkpoints, bytes) {
            (0, 0) => String::new(),
            (_, bytes) => indicatif::BinaryBytes(bytes).to_string(),
        }
    }

    pub(super) fn pending(&self) -> String {
        let bytes = self.stats.gauge(DiskGauge::PendingBytes);
        durability::cell(self.is_off, self.cache, bytes)
    }
}

pub(super) fn look(mount: &MountClient) -> anyhow::Result<Look> {
    let disks = mount.all()?;
    let disks = disks.iter().filter_map(DiskLook::at).collect();
    let at = Instant::now();
    Ok(Look { at, disks })
}

/// What one kind of request did between two looks.
pub(super) struct Grown {
    pub(super) requests: u64,
    pub(super) bytes: u64,
    /// The mean of those that were answered.
    pub(super) latency: Option<Duration>,
}

impl Grown {
    pub(super) fn between(op: Op, old: &Stats, new: &Stats) -> Self {
        let grown = |counter| {
            new.counter(op, counter)
                .saturating_sub(old.counter(op, counter))
        };
        let nanos = grown(OpCounter::Latency(LatencyFigure::Sum));
        let latency = nanos.checked_div(grown(OpCounter::Answered));
        Self {
            requests: grown(OpCounter::Requests),
            bytes: grown(OpCounter::Bytes),
            latency: latency.map(Duration::from_nanos),
        }
    }
}
