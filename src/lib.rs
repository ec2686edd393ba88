//! A fault-injection filesystem for virtual disks.

pub mod disk;
pub mod fault;
pub mod image;
pub mod sys;
