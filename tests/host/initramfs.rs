//! An initial RAM disk that a test makes: files in the format of cpio, which the kernel unpacks one after the other.

/// A file: its path, its mode with its type, and what is in it.
pub type Entry<'a> = (&'a str, u32, &'a [u8]);

pub const FOLDER: u32 = 0o40755;
pub const PROGRAM: u32 = 0o100755;

/// The archive with these files (cpio, the "new" format).
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut archive = Vec::new();
    let end = [("TRAILER!!!", 0, &b""[..])];
    for (at, (name, mode, content)) in entries.iter().chain(&end).enumerate() {
        let (ino, mode, size) = (at as u32 + 1, *mode, content.len() as u32);
        let name_size = name.len() as u32 + 1;
        let fields = [ino, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        archive.extend(b"070701");
        archive.extend(fields.map(|field| format!("{field:08x}")).concat().bytes());
        archive.extend(name.bytes().chain([0]));
        pad(&mut archive);
        archive.extend(*content);
        pad(&mut archive);
    }
    archive
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}
