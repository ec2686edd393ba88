//! Paths of one NVMe disk: controllers with one serial number, which Linux takes for those of one subsystem.
//!
//! Linux rejects a second controller of a subsystem with the same number (`cntlid`). QEMU (7.2) counts the controllers of each
//! `nvme-subsys`, and a namespace of such a one has one drive, whatever the path. So each path has an `nvme-subsys` of its own,
//! all with one name; before its controller come others, which take the lower numbers. These are functions of a slot
//! that has no function 0: no guest looks for them.

use serde_json::{Value, json};

use super::ports::LAST_ROOT_PORT;

/// The slot with the first of the controllers that no guest finds, and how many of them one slot takes. Those of QEMU's own
/// choice are taken from below.
const HIDDEN_SLOT: usize = 0x1e;
const IN_A_SLOT: usize = 7;
/// How many there is room for: the slots down to those of the root ports.
pub(in crate::vm) const MOST_HIDDEN: usize = (HIDDEN_SLOT - LAST_ROOT_PORT) * IN_A_SLOT;
/// How many paths of one disk these are enough for.
pub(in crate::vm) const MOST_PATHS: usize = 13;

/// One of several paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::vm) struct NvmePath {
    /// The number of its controller: how many paths come before it.
    pub(in crate::vm) number: usize,
    /// How many hidden controllers these have.
    pub(in crate::vm) hidden_before: usize,
}

impl NvmePath {
    /// What comes before the controller of disk `id`.
    pub(super) fn before(&self, id: &str, serial: &str) -> Vec<Value> {
        let own = json!({ "driver": "nvme-subsys", "id": subsystem(id), "nqn": serial });
        let hidden = (0..self.number).map(|number| {
            let place = self.hidden_before + number;
            let (slot, function) = (HIDDEN_SLOT - place / IN_A_SLOT, place % IN_A_SLOT + 1);
            json!({
                "driver": "nvme",
                "id": format!("hidden{number}-{id}"),
                "serial": serial,
                "subsys": subsystem(id),
                "addr": format!("{slot:x}.{function}"),
            })
        });
        std::iter::once(own).chain(hidden).collect()
    }
}

/// The name of the subsystem that is the path's own.
pub(super) fn subsystem(id: &str) -> String {
    format!("subsystem-{id}")
}
