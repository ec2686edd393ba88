//! A log of the writes, flushes and discards of a disk, in the format of Linux's dm-log-writes.

mod format;
mod reader;

pub use format::{Entry, Flags, FormatError, LONGEST_MARK, Order, Superblock};
pub use reader::{LogEntry, LogError, WriteLog};
