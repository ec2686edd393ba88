//! The keys of `stats`, and its lines.

use std::fmt;
use std::str::FromStr;

use super::effect::Effect;
use super::line::BadLine;
use super::op::Op;
use crate::units::listed;

/// A key of `stats`. Prints as `OP_COUNTER`, or as the name of a value of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatKey {
    /// Counted for each kind of request.
    Op(Op, OpCounter),
    /// One value for each disk.
    Disk(DiskGauge),
}

/// What is counted for each kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpCounter {
    /// Requests that have arrived.
    Requests,
    /// Their bytes.
    Bytes,
    /// Requests that rules had this effect on.
    Effect(Effect),
    /// Requests that a rule failed.
    ErrorsInjected,
    /// Requests that the host failed.
    ErrorsHost,
    /// Requests that were answered.
    Answered,
    /// A figure of the time from arrival to answer, in nanoseconds.
    Latency(LatencyFigure),
}

listed! {
    /// A figure of many latencies.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum LatencyFigure {
        /// The median.
        P50,
        /// The 90th percentile.
        P90,
        /// The 99th percentile.
        P99,
        /// The 99.9th percentile.
        P999,
        /// The longest.
        Max,
        /// All together.
        Sum,
    }
}

listed! {
    /// A value that each disk has once.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum DiskGauge {
        /// Requests that have arrived and are not answered.
        InFlight,
        /// How many files are open.
        OpenFiles,
        /// Bytes that wait in the memory of the server, for all its disks.
        HeldBytesOfAllDisks,
        /// The most that `HeldBytesOfAllDisks` may be.
        HeldBytesLimit,
        /// Requests that were answered and are not durable.
        PendingRequests,
        /// Their bytes.
        PendingBytes,
        /// Flushes that were answered without an error.
        FlushesAnswered,
        /// Writes that had to be durable when they were answered.
        FuaRequests,
        /// Pending requests that became durable early, for want of memory.
        EvictedRequests,
        /// Their bytes.
        EvictedBytes,
        /// Requests that failed because the power was off.
        PowerOffErrors,
        /// How many checkpoints there are.
        Checkpoints,
        /// Bytes that the layers above the image take in the run-time folder.
        LayerBytes,
    }
}

impl OpCounter {
    /// All of them, in the order of `stats`.
    pub fn all() -> impl Iterator<Item = Self> {
        let before = [Self::Requests, Self::Bytes].into_iter();
        let after = [Self::ErrorsInjected, Self::ErrorsHost, Self::Answered];
        before
            .chain(Effect::ALL.map(Self::Effect))
            .chain(after)
            .chain(LatencyFigure::ALL.map(Self::Latency))
    }

    /// Its name, after the kind of request and `_`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Bytes => "bytes",
            Self::Effect(effect) => effect.name(),
            Self::ErrorsInjected => "errors_injected",
            Self::ErrorsHost => "errors_host",
            Self::Answered => "answered",
            Self::Latency(LatencyFigure::P50) => "latency_ns_p50",
            Self::Latency(LatencyFigure::P90) => "latency_ns_p90",
            Self::Latency(LatencyFigure::P99) => "latency_ns_p99",
            Self::Latency(LatencyFigure::P999) => "latency_ns_p999",
            Self::Latency(LatencyFigure::Max) => "latency_ns_max",
            Self::Latency(LatencyFigure::Sum) => "latency_ns_sum",
        }
    }
}

impl DiskGauge {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::OpenFiles => "open_files",
            Self::HeldBytesOfAllDisks => "held_bytes_of_all_disks",
            Self::HeldBytesLimit => "held_bytes_limit",
            Self::PendingRequests => "pending_requests",
            Self::PendingBytes => "pending_bytes",
            Self::FlushesAnswered => "flushes_answered",
            Self::FuaRequests => "fua_requests",
            Self::EvictedRequests => "evicted_requests",
            Self::EvictedBytes => "evicted_bytes",
            Self::PowerOffErrors => "power_off_errors",
            Self::Checkpoints => "checkpoints",
            Self::LayerBytes => "layer_bytes",
        }
    }
}

impl StatKey {
    /// All of them, in the order of `stats`.
    pub fn all() -> impl Iterator<Item = Self> {
        let of_op = |op| OpCounter::all().map(move |counter| Self::Op(op, counter));
        let ops = Op::ALL.into_iter().flat_map(of_op);
        ops.chain(DiskGauge::ALL.map(Self::Disk))
    }
}

impl fmt::Display for StatKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Op(op, counter) => write!(f, "{op}_{}", counter.name()),
            Self::Disk(gauge) => f.write_str(gauge.name()),
        }
    }
}

impl FromStr for StatKey {
    type Err = BadLine;

    fn from_str(text: &str) -> Result<Self, BadLine> {
        let mut gauges = DiskGauge::ALL.into_iter();
        let of_disk = gauges.find(|gauge| gauge.name() == text);
        let of_op = || {
            let (op, counter) = text.split_once('_')?;
            let counter = OpCounter::all().find(|known| known.name() == counter)?;
            Some(Self::Op(Op::named(op)?, counter))
        };
        let key = of_disk.map(Self::Disk).or_else(of_op);
        key.ok_or_else(|| BadLine::new("a key of `stats`", text))
    }
}

/// A line of `stats`. Prints as `KEY VALUE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatLine {
    /// What is counted.
    pub key: StatKey,
    /// How much.
    pub value: u64,
}

impl fmt::Display for StatLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.value)
    }
}

impl FromStr for StatLine {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        let bad = || BadLine::new("a line of `stats`", line);
        let (key, value) = line.split_once(' ').ok_or_else(bad)?;
        Ok(Self {
            key: key.parse()?,
            value: value.parse().map_err(|_| bad())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_line_is_parsed_as_it_is_printed() {
        for (key, value) in StatKey::all().zip(0..) {
            let line = StatLine { key, value };
            assert_eq!(line.to_string().parse(), Ok(line));
        }
        for bad in [
            "",
            "read_requests",
            "read_requests x",
            "erase_requests 1",
            "read_bogus 1",
        ] {
            assert!(bad.parse::<StatLine>().is_err(), "{bad}");
        }
    }

    #[test]
    fn stats_keys_have_the_order_of_the_documents() {
        let keys: Vec<_> = StatKey::all().map(|key| key.to_string()).collect();
        let first = "read_requests read_bytes read_delayed read_held read_lost read_torn read_misdirected \
                     read_corrupted read_stale read_cut read_errors_injected read_errors_host read_answered \
                     read_latency_ns_p50 read_latency_ns_p90 read_latency_ns_p99 read_latency_ns_p999 \
                     read_latency_ns_max read_latency_ns_sum write_requests";
        assert_eq!(keys[..20].join(" "), first);
        let last = "in_flight open_files held_bytes_of_all_disks held_bytes_limit pending_requests pending_bytes \
                    flushes_answered fua_requests evicted_requests evicted_bytes power_off_errors \
                    checkpoints layer_bytes";
        assert_eq!(keys[keys.len() - 13..].join(" "), last);
    }
}
