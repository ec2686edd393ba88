//! The open handles of a disk.

use std::collections::{HashMap, HashSet};

use crate::protocol::Errno;
use crate::storage::Image;

/// The open handles of a disk, each with the number of errors that were injected through it.
#[derive(Default)]
pub(super) struct Clients {
    injected: HashMap<u64, u64>,
    /// Those whose requests are a test's own.
    tests: HashSet<u64>,
    last: u64,
    is_detached: bool,
    /// The image was left to others, until a client opens the disk again.
    is_unlocked: bool,
}

impl Clients {
    /// Locks the image again if it was left to others. EBUSY when another server has it.
    pub(super) fn claim(&mut self, image: &dyn Image) -> Result<(), Errno> {
        if self.is_unlocked && !image.lock().map_err(|error| Errno::of(&error))? {
            return Err(Errno(libc::EBUSY));
        }
        self.is_unlocked = false;
        Ok(())
    }

    /// A new client. ENOENT when the disk has been detached; EBUSY as [`claim`](Self::claim).
    pub(super) fn open(&mut self, image: &dyn Image) -> Result<u64, Errno> {
        if self.is_detached {
            return Err(Errno(libc::ENOENT));
        }
        self.claim(image)?;
        self.last += 1;
        self.injected.insert(self.last, 0);
        Ok(self.last)
    }

    pub(super) fn close(&mut self, client: u64) {
        self.injected.remove(&client);
        self.tests.remove(&client);
    }

    /// Leaves the image to others. EBUSY while there is a client.
    pub(super) fn unlock(&mut self, image: &dyn Image) -> Result<(), Errno> {
        if self.count() > 0 {
            return Err(Errno(libc::EBUSY));
        }
        image.unlock().map_err(|error| Errno::of(&error))?;
        self.is_unlocked = true;
        Ok(())
    }

    /// Bars new clients; false, and nothing changes, while there are some, or they are barred already.
    pub(super) fn detach(&mut self) -> bool {
        let is_barred = self.is_detached;
        self.is_detached |= self.count() == 0;
        self.is_detached && !is_barred
    }

    /// Lets new clients in again.
    pub(super) fn readmit(&mut self) {
        self.is_detached = false;
    }

    pub(super) fn count(&self) -> usize {
        self.injected.len()
    }

    pub(super) fn set_test(&mut self, client: u64) {
        self.tests.insert(client);
    }

    pub(super) fn is_test(&self, client: u64) -> bool {
        self.tests.contains(&client)
    }

    pub(super) fn injected(&self, client: u64) -> u64 {
        self.injected.get(&client).copied().unwrap_or(0)
    }

    /// Counts an error that was injected into a request of `client`, which may be closed by now.
    pub(super) fn count_injected(&mut self, client: u64) {
        if let Some(injected) = self.injected.get_mut(&client) {
            *injected += 1;
        }
    }
}
