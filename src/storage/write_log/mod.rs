//! A log of the writes, flushes and discards of a disk, in the format of Linux's dm-log-writes.

mod format;
mod places;
mod reader;
mod record;
#[cfg(test)]
mod tests;
mod writer;

pub use format::{Entry, Flags, FormatError, LONGEST_MARK, Order, Superblock};
pub use reader::{LogEntry, LogError, WriteLog};
pub use record::{LONGEST_DISCARD, Record, Sectors};
pub use writer::{END_MARK, LogWriter, Place};
