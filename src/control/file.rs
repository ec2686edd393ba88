//! The names of the control files.

/// A file in `ctl/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The contract of each is in docs/control-files.md.
pub enum ControlFile {
    Version,
    Disks,
    Attach,
    Detach,
    Clear,
    Error,
}

impl ControlFile {
    /// All of them, in the order of a listing.
    pub const ALL: [Self; 6] = [
        Self::Version,
        Self::Disks,
        Self::Attach,
        Self::Detach,
        Self::Clear,
        Self::Error,
    ];

    /// Its name in the folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Disks => "disks",
            Self::Attach => "attach",
            Self::Detach => "detach",
            Self::Clear => "clear",
            Self::Error => "error",
        }
    }

    /// The permissions of its owner.
    pub fn permissions(self) -> u16 {
        match self {
            Self::Version | Self::Disks | Self::Error => 0o400,
            Self::Attach | Self::Detach | Self::Clear => 0o200,
        }
    }
}

/// A file in `ctl/ID/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The contract of each is in docs/control-files.md.
pub enum DiskFile {
    Faults,
    Rules,
    Stats,
    Inflight,
    Release,
    Damage,
    Trace,
    Size,
    Image,
    Mode,
    Seed,
}

impl DiskFile {
    /// All of them, in the order of a listing.
    pub const ALL: [Self; 11] = [
        Self::Faults,
        Self::Rules,
        Self::Stats,
        Self::Inflight,
        Self::Release,
        Self::Damage,
        Self::Trace,
        Self::Size,
        Self::Image,
        Self::Mode,
        Self::Seed,
    ];

    /// Its name in the folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Faults => "faults",
            Self::Rules => "rules",
            Self::Release => "release",
            Self::Damage => "damage",
            Self::Trace => "trace",
            Self::Seed => "seed",
            Self::Stats => "stats",
            Self::Inflight => "inflight",
            Self::Size => "size",
            Self::Image => "image",
            Self::Mode => "mode",
        }
    }

    /// The permissions of its owner.
    pub fn permissions(self) -> u16 {
        match self {
            Self::Faults | Self::Seed | Self::Rules | Self::Image => 0o600,
            Self::Release => 0o200,
            _ => 0o400,
        }
    }
}
