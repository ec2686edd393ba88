//! A disk as its user sees it: counters, latencies, the trace, requests in flight, damage.

pub(super) mod counters;
mod damage;
mod durability;
mod host_errors;
pub(super) mod in_flight;
mod latency;
pub(in crate::disk) mod thread_slot;
pub(super) mod trace;
mod under_way;

pub use counters::{Counters, OpCounters};
pub use damage::DamageList;
pub(in crate::disk) use durability::DurabilityCounters;
pub(in crate::disk) use host_errors::HostErrors;
pub use in_flight::InFlight;
pub use trace::{Listener, Trace, Wake};
