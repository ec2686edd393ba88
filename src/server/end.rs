//! The end of a mount server, and the release of everything that waits.

use std::path::Path;
use std::time::{Duration, Instant};

use super::start::Server;
use crate::os::mounts;

/// How long the end waits for clients that are closing before it unmounts without them.
const CLOSING: Duration = Duration::from_millis(500);

impl Server {
    /// Releases everything that waits, and clears all faults. After a lazy unmount no user can do so any
    /// more, while files in the mount may still be open; these are served on.
    pub(super) fn release(&self) {
        self.disks.clear();
    }

    /// The one end. Releases everything that waits, unmounts (after a moment without the clients that
    /// still have files open), finishes the requests that have begun, and flushes the images.
    ///
    /// When it returns, all data that was ever acknowledged is in the host's storage: nothing is served
    /// after the flush. Clients that still have files open get errors from then on.
    /// Returns a sentence for each image that lacks something.
    pub(super) fn end(self) -> Vec<String> {
        drop(self.for_the_end);
        self.disks.end_traces();
        self.disks.clear();
        unmount(&self.mount_point);
        self.session.close();
        let lost = self.disks.end();
        drop(self.lock);
        lost
    }
}

fn unmount(mount_point: &Path) {
    let ours = || {
        let mount = mounts::find(mount_point).ok().flatten();
        mount.is_some_and(|mount| mount.is_own())
    };
    // Another mount may already lie at this point: unmount only our own.
    wait_until(CLOSING, || {
        !ours() || mounts::unmount(mount_point, false).is_ok()
    });
    if ours() {
        let _ = mounts::unmount(mount_point, true);
    }
}

fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}
