//! What `provium status` and `provium top` show of a disk's power, write cache and write log.

use std::path::Path;

use serde::Serialize;

use super::power::PowerStatus;
use crate::client::{DiskControl, Stats};
use crate::protocol::{CacheMode, CutReport, DiskGauge, LogLine, PowerState};
use crate::units::counted;

/// What a power cut would take from a disk, or has taken, as JSON has it.
#[derive(Serialize)]
pub(super) struct Durability {
    #[serde(flatten)]
    power: PowerStatus,
    pending_requests: u64,
    pending_bytes: u64,
    evicted_requests: u64,
    evicted_bytes: u64,
    /// Their names, oldest first.
    checkpoints: Vec<String>,
    /// What the changes since them take in the run-time folder.
    layer_bytes: u64,
    log: Option<Log>,
}

/// A write log.
#[derive(Serialize)]
pub(super) struct Log {
    path: String,
    entries: u64,
    bytes: u64,
    /// Why it has ended by itself.
    stopped: Option<String>,
}

impl Durability {
    /// What `control` and its `stats` say. A server of an older version has none of these files.
    pub(super) fn of(control: &DiskControl, stats: &Stats) -> Self {
        Self {
            power: control.power().unwrap_or(PowerState::On).into(),
            pending_requests: stats.gauge(DiskGauge::PendingRequests),
            pending_bytes: stats.gauge(DiskGauge::PendingBytes),
            evicted_requests: stats.gauge(DiskGauge::EvictedRequests),
            evicted_bytes: stats.gauge(DiskGauge::EvictedBytes),
            checkpoints: control.checkpoints().unwrap_or_default(),
            layer_bytes: stats.gauge(DiskGauge::LayerBytes),
            log: control.log().ok().and_then(Log::of),
        }
    }

    /// The cell of the column PENDING.
    pub(super) fn cell(&self, cache: CacheMode) -> String {
        cell(self.power.cut.is_some(), cache, self.pending_bytes)
    }

    /// Sentences below the table, about the disk at `disk`.
    pub(super) fn notes(&self, disk: &Path) -> Vec<String> {
        let power = self.power.cut.as_ref().map(|cut| is_off(cut, disk));
        let evicted = (self.evicted_requests > 0).then(|| {
            let requests = counted(self.evicted_requests, "pending request");
            let bytes = indicatif::BinaryBytes(self.evicted_bytes);
            format!("{requests} ({bytes}) became durable early, for want of memory; mount with a larger -o memory=SIZE")
        });
        let checkpoints = (!self.checkpoints.is_empty()).then(|| {
            let (names, bytes) = (
                self.checkpoints.join(", "),
                indicatif::BinaryBytes(self.layer_bytes),
            );
            format!("it has checkpoints ({names}); changes take {bytes} in the run-time folder")
        });
        let log = self.log.as_ref().map(Log::note);
        [power, evicted, checkpoints, log]
            .into_iter()
            .flatten()
            .collect()
    }
}

impl Log {
    /// None while there is no log.
    pub(super) fn of(line: LogLine) -> Option<Self> {
        match line {
            LogLine::On {
                path,
                entries,
                bytes,
                stopped,
            } => Some(Self {
                path,
                entries,
                bytes,
                stopped,
            }),
            LogLine::Off => None,
        }
    }

    fn note(&self) -> String {
        let Self {
            path,
            entries,
            bytes,
            stopped,
        } = self;
        match stopped {
            Some(why) => {
                format!("its log {path} has ended by itself, after entries={entries}: {why}")
            }
            None => format!("its writes are logged to {path} (entries={entries} bytes={bytes})"),
        }
    }
}

fn is_off(cut: &CutReport, disk: &Path) -> String {
    let disk = disk.display();
    format!("the power is off ({cut}); return it with `provium power {disk} on`")
}

/// `off` without power, the pending bytes with a write cache, and nothing otherwise.
pub(super) fn cell(is_off: bool, cache: CacheMode, pending_bytes: u64) -> String {
    match (is_off, cache, pending_bytes) {
        (true, ..) => "off".into(),
        (false, CacheMode::Off, 0) => String::new(),
        (false, _, bytes) => indicatif::BinaryBytes(bytes).to_string(),
    }
}
