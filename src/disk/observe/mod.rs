//! What a disk shows of its requests: counters, latencies, the trace, what is in flight, damage.

pub(super) mod counters;
mod damage;
pub(super) mod in_flight;
mod latency;
mod thread_slot;
pub(super) mod trace;
mod under_way;

pub use counters::{Counters, OpCounters};
pub use damage::DamageList;
pub use in_flight::InFlight;
pub use trace::{Listener, Trace, Wake};
