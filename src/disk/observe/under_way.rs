//! Requests that are not answered yet: the list of them, and what follows where one is stuck.

use tracing::info;

use crate::disk::device::Disk;
use crate::disk::observe::in_flight::InFlight;
use crate::disk::path::strain::STUCK;
use crate::protocol::names::SECTOR;

impl Disk {
    /// How many requests have arrived and are not answered.
    pub fn in_flight_count(&self) -> usize {
        self.outwait_looks();
        self.deferred.count() + self.serving.list().len()
    }

    /// Every request that has arrived and is not answered, longest waiting first.
    pub fn in_flight(&self) -> Vec<InFlight> {
        self.outwait_looks();
        let mut all = self.deferred.list();
        all.extend(self.serving.list());
        all.sort_by_key(|request| std::cmp::Reverse(request.age));
        all
    }

    /// Waits until each request has begun to wait that rules have chosen to wait, and counted, before this call.
    pub(in crate::disk) fn outwait_looks(&self) {
        drop(self.looking.write());
    }

    /// Has loop threads leave its requests to the pool if one of them is stuck.
    pub fn look_for_stuck(&self) {
        for request in self.serving.in_io() {
            let range = request.range;
            if request.age >= STUCK && self.strain.of(range.op).begin() {
                let sectors = (range.offset / SECTOR, range.len.div_ceil(SECTOR));
                info!(
                    "{}: storage is slow: {} {}+{} has taken {:?} so far",
                    self.id(),
                    range.op,
                    sectors.0,
                    sectors.1,
                    request.age
                );
            }
        }
    }

    /// How many bytes wait in memory, of all disks of the server.
    pub fn held_bytes(&self) -> u64 {
        self.delays.memory().bytes()
    }

    /// The most that these may be. Pending data may exceed it for a moment.
    pub fn held_bytes_limit(&self) -> u64 {
        self.delays.memory().limit()
    }

    /// A file whose last close clears the set was closed, perhaps for the last time.
    pub fn expect_clear(&self) {
        self.settling.expect();
    }

    /// It was the last close: the set is about to be cleared.
    pub fn begin_clear(&self) {
        self.settling.begin();
    }

    /// What follows from the closes so far has been done.
    pub fn settled(&self) {
        self.settling.settled();
    }

    /// Whether [`settle`](Self::settle) would wait.
    pub fn is_settling(&self) -> bool {
        self.settling.is_expected()
    }

    /// Waits until what follows from the closes so far has been done.
    pub fn settle(&self) {
        self.settling.wait();
    }
}
