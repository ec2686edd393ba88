//! What rules did to the image: where a checksum error that comes later has its cause.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::fault::{Armed, Ask, Op};

/// More is counted, not listed.
const MOST: usize = 100_000;

/// Ranges of sectors that are not as they were written, in the order in which it happened. Prints as
/// `SECTOR COUNT WHAT RULE` lines.
#[derive(Debug, Default)]
pub struct DamageList(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    entries: Vec<Damage>,
    unlisted: u64,
}

#[derive(Debug)]
struct Damage {
    sector: u64,
    count: u64,
    what: &'static str,
    rule: Arc<Armed>,
}

impl DamageList {
    /// Notes what `rule` did to a range of bytes.
    pub(super) fn record(&self, offset: u64, len: u64, what: &'static str, rule: &Arc<Armed>) {
        if len == 0 {
            return;
        }
        let mut list = self.0.lock();
        if list.entries.len() >= MOST {
            list.unlisted += 1;
            return;
        }
        let op = Op::Write;
        let (sector, count) = Ask { op, offset, len }.sectors();
        list.entries.push(Damage {
            sector,
            count,
            what,
            rule: Arc::clone(rule),
        });
    }
}

impl fmt::Display for DamageList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.0.lock();
        for damage in &list.entries {
            let Damage {
                sector,
                count,
                what,
                rule,
            } = damage;
            writeln!(f, "{sector} {count} {what} {}", rule.rule)?;
        }
        match list.unlisted {
            0 => Ok(()),
            unlisted => writeln!(f, "# {unlisted} more are not listed"),
        }
    }
}
