//! Formats of disk images that are not raw: such a file is served as it is, which is seldom meant.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::units::text::shown;

/// How much of a file's beginning tells its format.
const BEGINNING: usize = 512;

/// Tells that an image is not raw, if it is not. For clients: a server never looks into an image.
pub fn format_warning(image: &Path) -> Option<String> {
    let format = format_of(image)?;
    let image = shown(image);
    if PACKED.contains(&format) {
        return Some(format!(
            "image {image} is a {format} file, and is served as it is: a guest sees the {format} file and not what is \
             packed in it: unpack it first"
        ));
    }
    Some(format!(
        "image {image} is a {format} file, and is served as it is: a guest sees the {format} file and not the disk in it, \
         unless QEMU is told driver={format}, if it knows that; `qemu-img convert -O raw {image} raw.img` makes a raw image"
    ))
}

/// What the file at `path` is by its first bytes, where that is a format of its own: a word as in
/// `qcow2`. Not for pipes and devices, which are not opened.
pub fn format_of(path: &Path) -> Option<&'static str> {
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut beginning = [0; BEGINNING];
    let read = File::open(path).ok()?.read_at(&mut beginning, 0).ok()?;
    format_by(&beginning[..read])
}

/// The formats in which anything may be packed.
pub const PACKED: [&str; 5] = ["gzip", "xz", "zstd", "bzip2", "zip"];

/// Each format with where its mark stands.
const MARKS: [(&str, usize, &[u8]); 17] = [
    ("qcow2", 0, b"QFI\xfb"),
    ("qed", 0, b"QED\0"),
    ("vmdk", 0, b"KDMV"),
    ("vmdk", 0, b"COWD"),
    ("vmdk", 0, b"# Disk DescriptorFile"),
    ("vhdx", 0, b"vhdxfile"),
    ("vhd", 0, b"conectix"),
    ("vdi", 0x40, b"\x7f\x10\xda\xbe"),
    ("parallels", 0, b"WithoutFreeSpace"),
    ("parallels", 0, b"WithouFreSpacExt"),
    ("bochs", 0, b"Bochs Virtual HD Image"),
    ("luks", 0, b"LUKS\xba\xbe"),
    ("gzip", 0, b"\x1f\x8b\x08"),
    ("xz", 0, b"\xfd7zXZ\0"),
    ("zstd", 0, b"\x28\xb5\x2f\xfd"),
    ("bzip2", 0, b"BZh"),
    ("zip", 0, b"PK\x03\x04"),
];

fn format_by(beginning: &[u8]) -> Option<&'static str> {
    let has = |at: usize, mark: &[u8]| beginning.get(at..at + mark.len()) == Some(mark);
    let found = MARKS.iter().find(|(_, at, mark)| has(*at, mark))?;
    Some(found.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_is_known_by_its_mark_and_raw_data_have_none() {
        for (format, at, mark) in MARKS {
            let mut beginning = vec![0; at];
            beginning.extend(mark);
            assert_eq!(format_by(&beginning), Some(format));
            beginning.pop();
            assert_eq!(format_by(&beginning), None, "{format} cut short");
        }
        assert_eq!(format_by(&[0; BEGINNING]), None);
        assert_eq!(format_by(b"\xeb\x63\x90 a boot sector"), None);
    }
}
