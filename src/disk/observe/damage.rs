//! The damage that rules did to the image: the cause of checksum errors that come later.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::fault::{Armed, IoRange, Op};
use crate::protocol::DamageLine;

/// What stands in place of a rule where a power cut did the damage.
const POWER: &str = "power";
/// More is counted, not listed.
const MOST: usize = 100_000;

/// Ranges of sectors that are not as they were written, in the order in which it happened.
#[derive(Debug, Default)]
pub struct DamageList(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    entries: Vec<Damage>,
    unlisted: u64,
}

#[derive(Clone, Debug)]
struct Damage {
    sector: u64,
    count: u64,
    what: &'static str,
    /// None where a power cut did it.
    rule: Option<Arc<Armed>>,
}

impl DamageList {
    /// Notes what `rule` did to a range of bytes.
    pub(in crate::disk) fn record(
        &self,
        offset: u64,
        len: u64,
        what: &'static str,
        rule: &Arc<Armed>,
    ) {
        self.add(offset, len, what, Some(rule));
    }

    /// Notes what a power cut did to a range of bytes.
    pub(in crate::disk) fn record_cut(&self, offset: u64, len: u64, what: &'static str) {
        self.add(offset, len, what, None);
    }

    fn add(&self, offset: u64, len: u64, what: &'static str, rule: Option<&Arc<Armed>>) {
        if len == 0 {
            return;
        }
        let mut list = self.0.lock();
        if list.entries.len() >= MOST {
            list.unlisted += 1;
            return;
        }
        let op = Op::Write;
        let (sector, count) = IoRange { op, offset, len }.sectors();
        list.entries.push(Damage {
            sector,
            count,
            what,
            rule: rule.cloned(),
        });
    }
}

impl DamageList {
    /// How many lines it has now.
    pub fn len(&self) -> usize {
        let list = self.0.lock();
        list.entries.len() + usize::from(list.unlisted > 0)
    }

    /// Whether nothing was damaged.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The line at that place; None behind the last. Lines that are there stay as they are.
    pub fn line(&self, at: usize) -> Option<String> {
        // The lock is not held while the text is made.
        let damage = {
            let list = self.0.lock();
            match list.entries.get(at) {
                Some(damage) => damage.clone(),
                None if at > list.entries.len() || list.unlisted == 0 => return None,
                None => return Some(DamageLine::Unlisted(list.unlisted).to_string()),
            }
        };
        let line = DamageLine::Sectors {
            sector: damage.sector,
            count: damage.count,
            what: damage.what.into(),
            rule: match &damage.rule {
                Some(rule) => rule.short_text(),
                None => POWER.into(),
            },
        };
        Some(line.to_string())
    }
}
