//! A disk: one image, its faults, and every request between arrival and answer.
//!
//! Order of a request: look at the faults; wait, if they say so; look again; do the I/O; look once
//! more; answer. The fault set is swapped whole, so each look sees one state of it.

mod cache;
mod checkpoint;
mod client_table;
mod clients;
mod device;
mod durability;
mod end;
mod extents;
mod log;
mod logging;
mod observe;
mod path;
mod pool;
mod power;
mod range_lock;
mod rule_sets;
mod rules;
mod sizes;
mod stat;
mod table;
mod table_error;
#[cfg(test)]
mod tests;

pub use cache::Amount;
pub use checkpoint::CheckpointError;
pub use device::Disk;
pub use durability::CacheError;
pub use end::Unsaved;
pub use log::LogError;
pub use observe::{
    Counters, DamageList, Decisions, Due, InFlight, Listener, OpCounters, Trace, Wake,
};
pub use path::{Answer, Delays, Fua, LARGEST_REQUEST, MOST_HELD, NOBODY, Origin, Reply, Request};
pub use pool::{Owner, Pool};
pub use power::PowerError;
pub use sizes::ImageStat;
pub use table::{DiskRef, Disks};
pub use table_error::{AttachError, DetachError};
