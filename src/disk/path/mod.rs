//! The way of a request through a disk, from its arrival to its answer.
//!
//! `submit` takes it in, `admit` checks it, `wait` keeps it where rules or slow storage say so, `storage`
//! does its I/O as rules have it (`apply`, `plan`), and `answer` ends it. Most reads go through `plain_read` alone.

mod admit;
mod answer;
mod apply;
mod cached;
mod context;
mod corrupt;
pub(super) mod delays;
pub(super) mod held;
mod lane;
mod lanes;
mod lead;
mod logged;
mod note_damage;
pub(super) mod own_time;
mod plain_read;
mod plan;
mod power;
mod request;
pub(super) mod reservation;
pub(super) mod settling;
pub(super) mod snapshots;
mod storage;
pub(super) mod strain;
mod submit;
mod wait;

pub use delays::Delays;
pub use request::{Answer, Fua, LARGEST_REQUEST, NOBODY, Origin, Reply, Request};
pub use reservation::MOST_HELD;
