//! QEMU's event that it has paused the guest for a request that has failed.

use qapi::qmp::{BlockErrorAction, Event, IoOperationType};

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
