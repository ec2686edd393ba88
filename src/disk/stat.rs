//! The size of a disk.

use std::io;
use std::sync::Arc;

use super::device::Disk;
use super::sizes::{ImageStat, Question};
use crate::protocol::Errno;
use crate::storage::Image;

impl Disk {
    /// The size now, in bytes. Asks the host, and takes as long as that takes.
    pub fn size(&self) -> io::Result<u64> {
        let size = self.image.size()?;
        self.sizes.learn(size);
        Ok(size)
    }

    /// Size and blocks now. Asks the host, and takes as long as that takes.
    pub fn stat(&self) -> io::Result<ImageStat> {
        let stat = ImageStat::of(&*self.image)?;
        self.sizes.learn(stat.size);
        Ok(stat)
    }

    /// The size as it was known last, in bytes.
    #[inline]
    pub fn known_size(&self) -> u64 {
        self.sizes.known()
    }

    /// Size and blocks, now; as they were known last where the storage does not answer soon. Not for
    /// a loop thread: it waits.
    pub fn stat_soon(self: &Arc<Self>) -> Result<ImageStat, Errno> {
        self.wait_for(&self.ask())
    }

    /// Begins a question, for [`wait_for`](Self::wait_for).
    pub(super) fn ask(self: &Arc<Self>) -> Question {
        let (question, is_first) = self.sizes.ask();
        if is_first {
            let disk = Arc::clone(self);
            let pool = self.delays.pool();
            pool.run(self.owner, move || disk.put_questions());
        }
        question
    }

    pub(super) fn wait_for(&self, question: &Question) -> Result<ImageStat, Errno> {
        self.sizes.wait(question)
    }

    /// Asks the host until no caller has asked since.
    fn put_questions(&self) {
        let ask = || self.stat().map_err(|error| Errno::of(&error));
        while self.sizes.answer(ask()) {}
    }
}
