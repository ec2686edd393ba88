//! The version of a kernel, as its file says it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where the header of Linux for x86 has its signature, and the place of the version.
/// Source: Documentation/arch/x86/boot.rst of Linux.
const SIGNATURE_AT: u64 = 0x202;
const SIGNATURE: &[u8] = b"HdrS";
const VERSION_AT: u64 = 0x20e;
/// The place is counted from here.
const BASE: u64 = 0x200;

/// The version of the kernel in `file`, as `6.1.0-13-amd64`; None if its file does not say so.
pub(in crate::vm) fn kernel_version(file: &Path) -> Option<String> {
    let file = File::open(file).ok()?;
    let mut signature = [0; 4];
    file.read_exact_at(&mut signature, SIGNATURE_AT).ok()?;
    if signature != SIGNATURE {
        return None;
    }
    let mut place = [0; 2];
    file.read_exact_at(&mut place, VERSION_AT).ok()?;
    let mut text = [0; 64];
    let place = BASE + u64::from(u16::from_le_bytes(place));
    let n = file.read_at(&mut text, place).ok()?;
    let text = String::from_utf8_lossy(&text[..n]);
    let word = text.split([' ', '\0']).next()?;
    (!word.is_empty()).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_version_is_what_the_header_points_at() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut image = vec![0; 0x1000];
        image[0x202..0x206].copy_from_slice(SIGNATURE);
        image[0x20e..0x210].copy_from_slice(&0x400_u16.to_le_bytes());
        image[0x600..0x618].copy_from_slice(b"6.1.0-13-amd64 (debian)\0");
        std::fs::write(file.path(), &image).unwrap();
        assert_eq!(
            kernel_version(file.path()).as_deref(),
            Some("6.1.0-13-amd64")
        );
        image[0x202] = 0;
        std::fs::write(file.path(), &image).unwrap();
        assert_eq!(kernel_version(file.path()), None);
    }
}
