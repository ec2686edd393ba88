//! A mount server from start to end: launching it, its options and its sandbox.

pub mod launch;
pub mod options;
pub mod sandbox;
