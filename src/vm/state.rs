//! Where a VM is in its life, and where a call expects it to be.

use std::fmt;

/// Where a VM is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not booted yet.
    Created,
    /// It runs.
    Booted,
    /// Its processors are stopped.
    Paused,
    /// It was shut down, or its guest powered itself off: it may boot again. Or it was closed.
    Shutdown,
    /// It did not boot, it panicked, or QEMU ended.
    Dead,
}

impl State {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Booted => "booted",
            Self::Paused => "paused",
            Self::Shutdown => "shutdown",
            Self::Dead => "dead",
        }
    }
}

/// The states that a call can be used in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The guest runs.
    Booted,
    /// The guest is paused.
    Paused,
    /// The guest runs, or is paused.
    Running,
    /// The VM may boot.
    Bootable,
    /// The VM may get a disk.
    Attachable,
    /// The VM has its mount.
    Open,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Booted => "booted",
            Self::Paused => "paused",
            Self::Running => "booted or paused",
            Self::Bootable => "created or shutdown",
            Self::Attachable => "created, booted, paused or shutdown",
            Self::Open => "not closed",
        })
    }
}
