//! The file of a saved state: the guest's memory, the rest of QEMU's stream, the console up to there, and a label.
//!
//! ```text
//! MEMORY STREAM CONSOLE LABEL(JSON) LENGTH-OF-LABEL(8 bytes) MAGIC(8 bytes)
//! ```
//!
//! The memory stands at the beginning, with holes for zeros. A finished file is never written to.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::digest::Digests;
use super::key::{Key, Part};
use super::pages;

/// Tells the format, and a file that was finished.
const MAGIC: &[u8; 8] = b"PROVWRM2";

/// The description of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::vm) struct About {
    pub(in crate::vm) profile: String,
    /// As QEMU takes it.
    pub(in crate::vm) memory: String,
    pub(in crate::vm) cpus: u32,
    /// Where the program lies that wakes the guest up.
    pub(in crate::vm) wake: String,
    /// Why there is no state: such a guest boots cold.
    pub(in crate::vm) refused: Option<String>,
}

/// What stands at the end of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Label {
    /// The text of the key.
    machine: String,
    /// What that was made of, and where it lay.
    made_of: Vec<Part>,
    about: About,
    /// Bytes of the guest's memory.
    memory: u64,
    /// Bytes of QEMU's stream.
    stream: u64,
    /// Bytes of the console.
    console: u64,
    /// CRC-32 of all three.
    checksum: u32,
}

/// A saved state, open: it stays as it is, whatever becomes of its file's name.
#[derive(Debug)]
pub(in crate::vm) struct Saved {
    file: File,
    label: Label,
}

impl Saved {
    /// Opens the state at `path`; an error of the kind `InvalidData` says what is wrong with it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let label = read_label(&file)?;
        Ok(Self { file, label })
    }

    pub(in crate::vm) fn about(&self) -> &About {
        &self.label.about
    }

    pub(super) fn is_of(&self, key: &Key) -> bool {
        self.label.machine == key.text()
    }

    /// Whether no machine will go on from it: it is of another version of Provium, or a file that it was made of
    /// has another content by now.
    pub(super) fn is_dead(&self, digests: &Digests) -> bool {
        let has_changed = |(path, digest): &Part| {
            let now = digests.of(Path::new(path));
            now.is_ok_and(|now| now != *digest)
        };
        let of_ours = self.label.machine.starts_with(&Key::first_line());
        !of_ours || self.label.made_of.iter().any(has_changed)
    }

    /// Notes that it was used just now.
    pub(super) fn touch(&self) {
        let _ = self.file.set_modified(SystemTime::now());
    }

    /// Bytes of the guest's memory.
    pub(in crate::vm) fn memory_len(&self) -> u64 {
        self.label.memory
    }

    /// The file, standing at QEMU's stream. Only one may read it.
    pub(in crate::vm) fn stream(&self) -> io::Result<&File> {
        (&self.file).seek(SeekFrom::Start(self.label.memory))?;
        Ok(&self.file)
    }

    /// Reads all of it, and copies the memory to the empty file `to`. An error of the kind `InvalidData` says that the
    /// state is damaged.
    pub(in crate::vm) fn unpack(&self, to: &File) -> io::Result<()> {
        let label = &self.label;
        let content = label.memory + label.stream + label.console;
        match pages::copy_and_check(&self.file, content, to, label.memory)? == label.checksum {
            true => Ok(()),
            false => Err(damaged("its checksum is wrong")),
        }
    }

    /// What the guest's console showed until the state was saved.
    pub(in crate::vm) fn console(&self) -> io::Result<Vec<u8>> {
        let mut console = vec![0; self.label.console as usize];
        let at = self.label.memory + self.label.stream;
        self.file.read_exact_at(&mut console, at)?;
        Ok(console)
    }
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn read_label(file: &File) -> io::Result<Label> {
    let size = file.metadata()?.len();
    let mut end = [0; 16];
    let end_at = size
        .checked_sub(16)
        .ok_or_else(|| damaged("it is too short"))?;
    file.read_exact_at(&mut end, end_at)?;
    let (len, magic) = end.split_at(8);
    if magic != MAGIC {
        return Err(damaged("it is cut off, or of another version"));
    }
    let len = len.try_into().map_or(u64::MAX, u64::from_le_bytes);
    let at = end_at
        .checked_sub(len)
        .ok_or_else(|| damaged("it is too short"))?;
    let mut json = vec![0; len as usize];
    file.read_exact_at(&mut json, at)?;
    let label: Label =
        serde_json::from_slice(&json).map_err(|error| damaged(&error.to_string()))?;
    let parts = [label.memory, label.stream, label.console];
    match parts.into_iter().try_fold(0, u64::checked_add) == Some(at) {
        true => Ok(label),
        false => Err(damaged("it is too short")),
    }
}

/// Finishes `file`, in which QEMU has written its stream after `memory` bytes: the state of the
/// machine `key`.
pub(super) fn finish(
    file: &File,
    memory: u64,
    console: &[u8],
    key: &Key,
    about: About,
) -> io::Result<()> {
    let console_at = file.metadata()?.len();
    file.write_all_at(console, console_at)?;
    let end = console_at + console.len() as u64;
    let label = Label {
        machine: key.text().to_owned(),
        made_of: key.parts().to_owned(),
        about,
        memory,
        stream: console_at.saturating_sub(memory),
        console: console.len() as u64,
        checksum: pages::checksum(file, end)?,
    };
    let mut json = serde_json::to_vec(&label)?;
    let len = json.len() as u64;
    json.extend(len.to_le_bytes());
    json.extend(MAGIC);
    file.write_all_at(&json, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new(&["m".into()], Vec::new(), "")
    }

    fn saved(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("state");
        std::fs::write(&path, vec![7; 3 << 20]).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        finish(&file, 2 << 20, b"booting\n", &key(), About::default()).unwrap();
        path
    }

    #[test]
    fn state_that_was_finished_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let state = Saved::open(&saved(folder.path())).unwrap();
        let memory = tempfile::tempfile().unwrap();
        state.unpack(&memory).unwrap();
        assert_eq!(memory.metadata().unwrap().len(), 2 << 20);
        assert_eq!(state.stream().unwrap().stream_position().unwrap(), 2 << 20);
        assert_eq!(state.console().unwrap(), b"booting\n");
        assert!(state.is_of(&key()));
    }

    #[test]
    fn state_with_a_changed_byte_anywhere_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = saved(folder.path());
        let whole = std::fs::read(&path).unwrap();
        let step = whole.len() / 50;
        for at in (0..whole.len())
            .step_by(step)
            .chain(whole.len() - 40..whole.len())
        {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            let good = Saved::open(&path).and_then(|state| {
                state.unpack(&tempfile::tempfile()?)?;
                Ok(state.is_of(&key()) && state.about().refused.is_none())
            });
            // What stands in JSON beside its lengths is not worth a checksum.
            let in_json = at >= (3 << 20) + 8 && at < whole.len() - 16;
            assert!(in_json || !good.unwrap_or(false), "byte {at}");
        }
    }

    #[test]
    fn state_that_is_cut_short_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = saved(folder.path());
        let whole = std::fs::read(&path).unwrap();
        for len in [0, 1, 15, 16, 1 << 20, whole.len() - 1] {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert!(Saved::open(&path).is_err(), "{len} bytes");
        }
    }
}
