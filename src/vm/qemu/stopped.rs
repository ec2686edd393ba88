//! QEMU's event that it has paused the guest for a request that has failed.

use std::collections::VecDeque;

use qapi::qmp::{self, BlockErrorAction, Event, IoOperationType, RunState};

use super::qmp::Qmp;

/// Such a request.
#[derive(Debug)]
pub(in crate::vm) struct Stopped {
    /// The block node.
    pub(in crate::vm) node: String,
    /// `read` or `write`.
    pub(in crate::vm) op: &'static str,
    /// As `strerror(3)` has it.
    pub(in crate::vm) reason: String,
}

impl Stopped {
    /// What `event` tells, if it is that QEMU has paused the guest.
    pub(in crate::vm) fn of(event: &Event) -> Option<Self> {
        let Event::BLOCK_IO_ERROR { data, .. } = event else {
            return None;
        };
        (data.action == BlockErrorAction::stop).then(|| Self {
            node: data.node_name.clone().unwrap_or_default(),
            op: match data.operation {
                IoOperationType::read => "read",
                IoOperationType::write => "write",
            },
            reason: data.reason.clone(),
        })
    }
}

/// Whether QEMU has paused the guest for such a request. It is asked once an event has told of one: it comes before the
/// pause. Those in `known` were told before.
pub(in crate::vm) fn is_paused_by_error(qmp: &mut Qmp, known: &VecDeque<Stopped>) -> bool {
    let is_stopping = |events: &[Event]| events.iter().any(|event| Stopped::of(event).is_some());
    (!known.is_empty() || qmp.look().is_ok_and(is_stopping))
        && qmp
            .execute(&qmp::query_status {})
            .is_ok_and(|now| now.status == RunState::io_error)
}
