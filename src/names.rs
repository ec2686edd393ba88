//! What both sides of a mount agree on: the names in it, and one ioctl.

/// The control folder, at the top of the mount.
pub const CTL: &str = "ctl";

/// The version line of this build, as `ctl/version` has it.
pub const VERSION: &str = concat!("provium ", env!("CARGO_PKG_VERSION"));

/// The type under which the kernel lists our mounts.
pub const FS_TYPE: &str = "fuse.provium";

/// Most bytes that one write to a control file may have.
pub const LONGEST_CONTROL_WRITE: usize = 64 * 1024;

/// An ioctl on an open data file, `_IOR('P', 1, u64)`: how many errors were injected into requests
/// of this open file. It tells an injected EIO from one of the host.
pub const IOCTL_INJECTED_ERRORS: u32 = 0x8008_5001;
