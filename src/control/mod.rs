//! The control files: what each reads as, and what it accepts.

mod collected;
mod error;
mod read;
#[cfg(test)]
mod tests;
mod text;
mod write;

use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::Disks;
use crate::protocol::Rejection;

pub use collected::Collected;
pub use text::Text;

/// The control files of one mount. Every method may be called from any thread.
pub struct Control {
    disks: Arc<Disks>,
    /// The latest rejected write.
    rejected: Mutex<Option<Rejection>>,
}

impl Control {
    /// The control files of a mount that serves `disks`.
    pub fn new(disks: Arc<Disks>) -> Self {
        Self {
            disks,
            rejected: Mutex::default(),
        }
    }
}
