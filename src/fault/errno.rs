//! An error number, as the kernel counts them.

use std::fmt;
use std::io;

/// A Linux error number. Prints as its name where it has a common one, else as its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// Input/output error: what a disk reports when it cannot do what it was asked.
    pub const EIO: Self = Self(libc::EIO);

    /// The number that `error` carries; EIO when it carries none.
    pub fn of(error: &io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::EIO => f.write_str("EIO"),
            Self(number) => write!(f, "{number}"),
        }
    }
}
