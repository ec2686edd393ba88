//! What a power cut leaves of software that nobody here wrote: file systems, habits of programs, SQLite.
//!
//! A script writes to an ext4 on a loop device, on a disk whose writes are recorded. `provium states` then makes
//! every state, and debugfs or the software itself looks at each. Counts move with timing, so verdicts are
//! compared by their kind.

mod ext4;
mod recording;
mod rename;
