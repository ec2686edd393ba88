//! Opening and closing a disk.

use std::sync::Arc;

use super::device::Disk;
use crate::fault::Client;
use crate::protocol::Errno;

impl Disk {
    /// A new client. Its number is never used again. ENOENT when the disk has been detached, EBUSY
    /// when its image was left to others and one of them has it.
    pub fn open(&self) -> Result<u64, Errno> {
        self.clients.lock().open(&*self.image)
    }

    /// Ends what [`open`](Self::open) began.
    pub fn close(&self, client: u64) {
        self.clients.lock().close(client);
    }

    /// Locks the image again if it was left to others; EBUSY when one of them has it.
    pub fn claim_image(&self) -> Result<(), Errno> {
        self.clients.lock().claim(&*self.image)
    }

    /// Leaves the image to others until a client opens the disk again; EBUSY while it is open, or has checkpoints.
    ///
    /// What is pending becomes durable first: others find all that was answered.
    pub fn unlock_image(self: &Arc<Self>) -> Result<(), Errno> {
        if self.has_more_than_its_image() {
            return Err(Errno(libc::EBUSY));
        }
        if self.open_count() == 0 && self.image.has_pending() {
            let settled = self.quietly(|| self.settle_pending());
            settled.map_err(|_| Errno::EIO)??;
        }
        self.clients.lock().unlock(&*self.image)
    }

    /// From now on the requests of `client` are a test's own: rules with `client=host` are for them, those with
    /// `client=guest` are not.
    pub fn set_test(&self, client: u64) {
        self.clients.lock().set_test(client);
    }

    pub(super) fn client_of(&self, client: u64) -> Client {
        match self.clients.lock().is_test(client) {
            true => Client::Host,
            false => Client::Guest,
        }
    }

    /// How many clients hold the disk open.
    pub fn open_count(&self) -> usize {
        self.clients.lock().count()
    }

    /// How many errors were injected into requests of `client`: what tells an injected EIO from
    /// one of the host.
    pub fn injected_errors(&self, client: u64) -> u64 {
        self.clients.lock().injected(client)
    }

    /// Lets new clients in again.
    pub(super) fn readmit(&self) {
        self.clients.lock().readmit();
    }

    /// Bars new clients; false, and nothing changes, while there are some.
    pub(super) fn try_detach(&self) -> bool {
        self.clients.lock().detach()
    }
}
