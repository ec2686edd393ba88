//! What both sides of a mount agree on: the names in it, and the ioctls.

/// The control folder, at the top of the mount.
pub const CTL: &str = "ctl";

/// Bytes in a sector, everywhere.
pub const SECTOR: u64 = 512;

/// The version line of this build, as `ctl/version` has it.
pub const VERSION: &str = concat!("provium ", env!("CARGO_PKG_VERSION"));

/// Whether `line` is what `ctl/version` reads as, of this build or another one.
pub fn is_version(line: &str) -> bool {
    line.starts_with("provium ")
}

/// The type under which the kernel lists our mounts.
pub const FS_TYPE: &str = "fuse.provium";

/// Whether `id` may name a disk: `[A-Za-z][A-Za-z0-9._-]{0,62}`, and not `ctl`.
pub fn valid_id(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let starts_well = id.starts_with(|c: char| c.is_ascii_alphabetic());
    starts_well && id.len() <= 63 && id.bytes().all(allowed) && id != CTL
}

/// What is wrong with the disk ID that it holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "bad disk ID `{0}`: an ID starts with a letter, has up to 63 letters, digits, `.`, `_` or `-`, and is not `ctl`"
)]
pub struct BadId(pub String);

/// Most bytes that one write to a control file may have.
pub const LONGEST_CONTROL_WRITE: usize = 64 * 1024;

/// An ioctl on an open data file, `_IOR('P', 1, u64)`: how many errors were injected into requests
/// of this open file. It tells an injected EIO from one of the host.
pub const IOCTL_INJECTED_ERRORS: u32 = 0x8008_5001;

/// An ioctl on an open data file, `_IOR('P', 2, u64)`: from now on requests of this open file are a
/// test's own, and rules with `from=guest` pass them by. It answers 1.
pub const IOCTL_OWN_CALLS: u32 = 0x8008_5002;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_letters_first_then_letters_digits_and_three_signs() {
        let longest = "a".repeat(63);
        for good in ["vda", "V", "a.b_c-1", "attached-v", &longest] {
            assert!(valid_id(good), "{good}");
        }
        let too_long = "a".repeat(64);
        for bad in [
            "", "1a", "-a", "a/b", "a b", "ctl", "ä", "a\n", "..", &too_long,
        ] {
            assert!(!valid_id(bad), "{bad:?}");
        }
    }
}
