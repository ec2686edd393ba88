//! A disk as its user sees it: counters, latencies, the trace, requests in flight, damage.

pub(super) mod counters;
mod damage;
mod decided;
mod decisions;
mod deferred;
mod durability;
mod host_errors;
pub(super) mod in_flight;
mod latency;
mod line;
mod listener;
mod ranges_seen;
pub(in crate::disk) mod thread_slot;
mod touches;
pub(super) mod trace;
mod under_way;

pub use counters::{Counters, OpCounters};
pub use damage::DamageList;
pub use decisions::Decisions;
pub(in crate::disk) use decisions::Recorder;
pub(in crate::disk) use deferred::{Deferred, Ticket, Waiting};
pub(in crate::disk) use durability::DurabilityCounters;
pub(in crate::disk) use host_errors::HostErrors;
pub use in_flight::InFlight;
pub use listener::{Due, Listener, Wake};
pub(in crate::disk) use touches::Entered;
pub use trace::Trace;
