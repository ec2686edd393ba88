//! Recorded faults in the place of those of a test's rules: as the order says, or `provium:replay` in the file.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::events::{Replay, ReplayedRule};
use crate::evidence::disk_name;
use crate::fault::Replayed;
use crate::vm::Recorded;

/// The replay of a test.
#[derive(Debug, Default)]
pub(super) struct Replaying {
    /// The only test that runs; all of them without it.
    pub(super) test: Option<String>,
    /// By disk, as `VM.ID` or `VM.ID#N`.
    disks: BTreeMap<String, Recorded>,
    /// How often a disk of this name was attached.
    attached: RefCell<BTreeMap<String, u32>>,
}

impl Replaying {
    /// The one that an order asks for.
    pub(super) fn of(replay: &Replay) -> Self {
        let rule = |(number, ReplayedRule { rule, faults }): (&u64, &ReplayedRule)| {
            let (rule, faults) = (rule.clone(), faults.clone());
            (*number, Replayed { rule, faults })
        };
        let disks = replay.0.iter();
        let disks = disks.map(|(name, rules)| (name.clone(), rules.iter().map(rule).collect()));
        Self {
            disks: disks.collect(),
            ..Self::default()
        }
    }

    /// One for this test alone.
    pub(super) fn of_test(test: String) -> Self {
        Self {
            test: Some(test),
            ..Self::default()
        }
    }

    /// Adds the faults of a disk.
    pub(super) fn add(&mut self, disk: String, recorded: Recorded) {
        self.disks.insert(disk, recorded);
    }

    /// What a disk meets that is attached now. One without a recording meets no fault.
    pub(super) fn begin_disk(&self, vm: &str, id: &str) -> Recorded {
        let name = disk_name(Some(vm), id);
        let mut attached = self.attached.borrow_mut();
        let times = attached.entry(name.clone()).or_default();
        *times += 1;
        let name = match times {
            1 => name,
            n => format!("{name}#{n}"),
        };
        self.disks.get(&name).cloned().unwrap_or_default()
    }
}
