//! Names, limits and ioctls of a mount.

/// The control folder, at the top of the mount.
pub const CTL: &str = "ctl";

/// Bytes in a sector, everywhere.
pub const SECTOR: u64 = 512;

/// The line of `ctl/version`, of this build.
pub const VERSION: &str = concat!("provium ", env!("CARGO_PKG_VERSION"));

/// Whether `line` is what `ctl/version` reads as, of this build or another one.
pub fn is_version(line: &str) -> bool {
    line.starts_with("provium ")
}

/// The type of our mounts in the kernel's list.
pub const FS_TYPE: &str = "fuse.provium";

/// Whether `id` may name a disk: `[A-Za-z][A-Za-z0-9._-]{0,62}`, and not `ctl`.
pub fn valid_id(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let starts_well = id.starts_with(|c: char| c.is_ascii_alphabetic());
    starts_well && id.len() <= 63 && id.bytes().all(allowed) && id != CTL
}

/// A disk ID that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "bad disk ID `{0}`: an ID starts with a letter, has up to 63 letters, digits, `.`, `_` or `-`, and is not `ctl`"
)]
pub struct BadId(pub String);

/// Most bytes that one write to a control file may have.
pub const LONGEST_CONTROL_WRITE: usize = 64 * 1024;

/// Most bytes of the rules between `begin` and `commit`, which may come in any number of writes.
pub const LONGEST_TRANSACTION: usize = 64 * 1024 * 1024;

/// Most bytes of the text of a mark.
pub const LONGEST_MARK: usize = 400;

/// An ioctl on an open data file, `_IOR('P', 1, u64)`: the number of errors that were injected into requests of this
/// open file. A client tells an injected EIO from one of the host by it.
pub const IOCTL_INJECTED_ERRORS: u32 = 0x8008_5001;

/// An ioctl on an open data file, `_IOR('P', 2, u64)`: from now on the requests of this open file are those of
/// the host: rules with `client=host` are for them, those with `client=guest` are not. It answers 1.
pub const IOCTL_OWN_CALLS: u32 = 0x8008_5002;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_id_is_a_letter_then_letters_digits_and_three_signs() {
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
