//! A sweep: a function or a command runs once for each request that it makes, and each time another one fails.
//!
//! Pure: what runs, where it goes back to and who watches the disk is the [`Subject`]'s own. Lua and the command line
//! have one each.

mod engine;
mod fault;
mod observed;
mod point;
mod report;
#[cfg(test)]
mod tests;
mod thinning;

pub use engine::{Judgement, Order, Subject, SweepError, Watched, sweep};
pub use fault::{SweptFault, TAG};
pub use observed::Observed;
pub use point::{Point, Request, StatesFound};
pub use report::{Swept, headline, numbers};
pub use thinning::Thinning;
