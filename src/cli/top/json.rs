//! A table of `provium top` as JSON.

use serde::Serialize;

use super::look::{DiskLook, Grown, Look};
use crate::protocol::{DiskGauge, Op, OpCounter};

/// What the disks did between two looks.
#[derive(Serialize)]
pub(super) struct Activity<'a> {
    /// The time between the looks.
    interval_seconds: f64,
    disks: Vec<DiskActivity<'a>>,
}

#[derive(Serialize)]
struct DiskActivity<'a> {
    id: &'a str,
    read: OpActivity,
    write: OpActivity,
    flush: OpActivity,
    discard: OpActivity,
    zero: OpActivity,
    errors_injected_per_second: f64,
    errors_host_per_second: f64,
    in_flight: u64,
    pending_bytes: u64,
    checkpoints: u64,
    layer_bytes: u64,
    /// `on` or `off`.
    power: &'static str,
    faults: &'a [String],
}

#[derive(Serialize)]
struct OpActivity {
    requests_per_second: f64,
    bytes_per_second: f64,
    /// From arrival to answer, of the requests that were answered; none without any.
    latency_mean_seconds: Option<f64>,
}

impl<'a> Activity<'a> {
    pub(super) fn between(before: &Look, now: &'a Look) -> Self {
        let seconds = (now.at - before.at).as_secs_f64();
        let disks = now.disks.iter();
        let disks = disks.map(|disk| DiskActivity::of(disk, before.disk(disk), seconds));
        Self {
            interval_seconds: seconds,
            disks: disks.collect(),
        }
    }
}

impl<'a> DiskActivity<'a> {
    fn of(disk: &'a DiskLook, old: &DiskLook, seconds: f64) -> Self {
        let op = |op| OpActivity::of(Grown::between(op, &old.stats, &disk.stats), seconds);
        let errors = |counter| {
            let errors = disk
                .stats
                .sum(counter)
                .saturating_sub(old.stats.sum(counter));
            errors as f64 / seconds
        };
        Self {
            id: &disk.id,
            read: op(Op::Read),
            write: op(Op::Write),
            flush: op(Op::Flush),
            discard: op(Op::Discard),
            zero: op(Op::Zero),
            errors_injected_per_second: errors(OpCounter::ErrorsInjected),
            errors_host_per_second: errors(OpCounter::ErrorsHost),
            in_flight: disk.stats.gauge(DiskGauge::InFlight),
            pending_bytes: disk.stats.gauge(DiskGauge::PendingBytes),
            checkpoints: disk.stats.gauge(DiskGauge::Checkpoints),
            layer_bytes: disk.stats.gauge(DiskGauge::LayerBytes),
            power: if disk.is_off { "off" } else { "on" },
            faults: &disk.faults,
        }
    }
}

impl OpActivity {
    fn of(grown: Grown, seconds: f64) -> Self {
        Self {
            requests_per_second: grown.requests as f64 / seconds,
            bytes_per_second: grown.bytes as f64 / seconds,
            latency_mean_seconds: grown.latency.map(|time| time.as_secs_f64()),
        }
    }
}
