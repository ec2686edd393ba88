//! The counters of a disk, as of one moment.

use std::collections::BTreeMap;

use super::mount::parsed;
use crate::protocol::{DiskGauge, Op, OpCounter, StatKey, StatLine};

/// Counters by their keys in `stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats(BTreeMap<StatKey, u64>);

impl Stats {
    /// Reads the text of `stats`.
    pub fn parse(text: &str) -> Self {
        let lines = parsed(text);
        Self(lines.map(|line: StatLine| (line.key, line.value)).collect())
    }

    /// A value of the disk.
    pub fn gauge(&self, gauge: DiskGauge) -> u64 {
        self.of(StatKey::Disk(gauge))
    }

    /// A counter of one kind of request.
    pub fn counter(&self, op: Op, counter: OpCounter) -> u64 {
        self.of(StatKey::Op(op, counter))
    }

    /// A counter, of all kinds of request together.
    pub fn sum(&self, counter: OpCounter) -> u64 {
        Op::ALL.map(|op| self.counter(op, counter)).iter().sum()
    }

    fn of(&self, key: StatKey) -> u64 {
        self.0.get(&key).copied().unwrap_or(0)
    }

    /// Keys and values, as `stats` has them.
    pub fn texts(&self) -> impl Iterator<Item = (String, u64)> {
        self.0.iter().map(|(key, value)| (key.to_string(), *value))
    }
}
