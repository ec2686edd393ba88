//! The request for which QEMU has paused a guest.

use std::fmt;

/// A request for which QEMU has paused the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoError {
    /// The disk's name.
    pub disk: String,
    /// `read` or `write`. A flush, a discard and a write of zeroes are a `write` to QEMU.
    pub op: &'static str,
    /// The error, by its name, as `EIO`; QEMU's text where it has none.
    pub error: String,
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { disk, op, error } = self;
        write!(f, "a {op} of disk `{disk}` has failed with {error}")
    }
}
