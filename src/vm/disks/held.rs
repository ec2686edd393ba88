//! Requests that rules hold while something is done to a machine. QEMU's own probes meet no rule, and no call waits
//! for a request that a rule holds.

use std::fmt;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};

use crate::client::{DiskControl, MountClient, Waiting};
use crate::vm::IoError;

/// Between two looks for requests that wait.
const TICK: Duration = Duration::from_millis(20);

/// A request that was delayed for as long as this is as good as held.
const LONG: Duration = Duration::from_secs(10);

/// A request that waits for a rule, with the disk that it is for.
#[derive(Clone, Debug)]
pub(in crate::vm) struct Held {
    pub(in crate::vm) disk: String,
    pub(in crate::vm) request: Waiting,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { disk, request } = self;
        write!(
            f,
            "`{}` of disk `{disk}` waits for `{}`",
            request.request, request.rules
        )
    }
}

/// Why nobody waits until a guest has a disk.
#[derive(Clone, Debug)]
pub(in crate::vm) enum KeptBy {
    /// A rule has this request wait.
    Rule(Held),
    /// QEMU has paused the guest for a failed request. The disk is its block node.
    Error(IoError),
}

impl Held {
    /// Whether waiting for its end makes no sense.
    pub(in crate::vm) fn is_long(&self) -> bool {
        self.request.is_hang() || self.request.age >= LONG
    }
}

/// All that waits for rules, of all disks of the mount. Nothing where the mount is gone.
pub(in crate::vm) fn held(mount: &MountClient) -> Vec<Held> {
    let of_disk = |disk: DiskControl| {
        let waiting = disk.waiting().unwrap_or_default();
        let id = disk.id().to_owned();
        let with_disk = move |request| Held {
            disk: id.clone(),
            request,
        };
        waiting.into_iter().map(with_disk)
    };
    let disks = mount.all().unwrap_or_default();
    disks.into_iter().flat_map(of_disk).collect()
}

/// Drops all that waits, undone.
pub(in crate::vm) fn drop_held(mount: &MountClient) {
    for disk in mount.all().unwrap_or_default() {
        let _ = disk.drop_waiting();
    }
}

/// Does `work`, and drops all that waits while it takes.
pub(in crate::vm) fn dropping_held<T>(mount: &MountClient, work: impl FnOnce() -> T) -> T {
    let (done, is_done) = bounded::<()>(0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while is_done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                drop_held(mount);
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// While this lives, rules let everything pass and count nothing.
pub(in crate::vm) struct Quiet(Vec<DiskControl>);

impl Quiet {
    /// For all disks of the mount.
    pub(in crate::vm) fn all(mount: &MountClient) -> Self {
        Self::of(mount.all().unwrap_or_default())
    }

    /// For these disks.
    pub(in crate::vm) fn of(disks: impl IntoIterator<Item = DiskControl>) -> Self {
        let switched = |disk: &DiskControl| disk.switch_rules(false).is_ok();
        Self(disks.into_iter().filter(switched).collect())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        for disk in &self.0 {
            // It fails only where the disk is gone.
            let _ = disk.switch_rules(true);
        }
    }
}
