//! The folder of saved states. Any number of processes use it at once: a state appears under its
//! name when it is whole, and an open one stays readable when its name goes.

use std::fs::{DirBuilder, DirEntry, File, Metadata, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::digest::Digests;
use super::key::{Key, Part};
use super::pages;
use super::state::{self, About, Saved};
use crate::os::folders;

/// Bytes that all states together may take: the one that was not used for the longest time goes
/// first. The one saved last stays in any case.
const LIMIT: u64 = 2 << 30;

const STATE: &str = "state";
/// A state that is being written. Its writer holds a lock on it: without one it is a leftover.
const NEW: &str = "new";

/// The saved states of this user.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// The result of a search for a key.
#[derive(Debug)]
pub(in crate::vm) enum Found {
    /// A state to go on from.
    State(Box<Saved>),
    /// The guest cannot be resumed, for this reason.
    Refused(String),
    /// Nothing.
    Nothing,
    /// A file that was of no use, for this reason; it is removed.
    Damaged(String),
}

/// A saved state, as people see it.
#[derive(Clone, Debug)]
pub struct SavedState {
    /// The profile that it was first saved for.
    pub profile: String,
    /// As QEMU takes it.
    pub memory: String,
    /// Virtual processors.
    pub cpus: u32,
    /// In bytes.
    pub size: u64,
    /// When a boot last went on from it.
    pub used: SystemTime,
    /// Why there is none: such a guest boots cold.
    pub refused: Option<String>,
    /// Its file.
    pub path: PathBuf,
}

impl Store {
    /// The one in the cache.
    pub fn open() -> io::Result<Self> {
        Self::at(&folders::cache()?.join("warm"))
    }

    fn at(folder: &Path) -> io::Result<Self> {
        // A guest's memory may hold secrets.
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(folder);
        made.map_err(|error| folders::named(folder, &error))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    fn digests(&self) -> Digests {
        Digests::at(self.folder.join("digests"))
    }

    /// The digests of `files`, as parts of a machine.
    pub(in crate::vm) fn parts(&self, files: &[&Path]) -> io::Result<Vec<Part>> {
        let digests = self.digests();
        let part = |file: &&Path| Ok((file.to_string_lossy().into_owned(), digests.of(file)?));
        files.iter().map(part).collect()
    }

    fn path(&self, key: &Key, kind: &str) -> PathBuf {
        self.folder.join(format!("{}.{kind}", key.name()))
    }

    /// Looks for the state of `key`, and notes its use.
    pub(in crate::vm) fn find(&self, key: &Key) -> Found {
        let found = match Saved::open(&self.path(key, STATE)) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Nothing,
            Err(error) => {
                self.discard(key);
                return Found::Damaged(error.to_string());
            }
        };
        if !found.is_of(key) {
            self.discard(key);
            return Found::Damaged("it is of another machine".into());
        }
        found.touch();
        match &found.about().refused {
            Some(reason) => Found::Refused(reason.clone()),
            None => Found::State(Box::new(found)),
        }
    }

    /// Removes the state of `key`.
    pub(in crate::vm) fn discard(&self, key: &Key) {
        let _ = std::fs::remove_file(self.path(key, STATE));
    }

    /// A place for a new state of `key`; None while another process saves one.
    pub(in crate::vm) fn reserve(&self, key: &Key) -> io::Result<Option<Slot>> {
        let path = self.path(key, NEW);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)?;
        // Between opening and locking it may have become a state, or have been swept away.
        if !is_locked(&file)? || !is_at(&file, &path) {
            return Ok(None);
        }
        file.set_len(0)?;
        Ok(Some(Slot {
            store: self.clone(),
            key: key.clone(),
            path,
            file,
            memory: 0,
        }))
    }

    /// Notes that there will be no state of `key`, unless another process saves one just now.
    pub(in crate::vm) fn refuse(&self, key: &Key, reason: &str, about: About) -> io::Result<()> {
        match self.reserve(key)? {
            Some(slot) => slot.refuse(reason, about),
            None => Ok(()),
        }
    }

    /// All states, the one used last first.
    pub fn list(&self) -> io::Result<Vec<SavedState>> {
        let mut all: Vec<_> = self.files(STATE)?.iter().filter_map(describe).collect();
        all.sort_by_key(|state| std::cmp::Reverse(state.used));
        Ok(all)
    }

    /// Removes all states; returns how many bytes they took.
    pub fn clean(&self) -> io::Result<u64> {
        self.sweep()?;
        let mut freed = 0;
        for file in self.files(STATE)? {
            freed += file.metadata().map_or(0, |meta| size(&meta));
            std::fs::remove_file(file.path())?;
        }
        Ok(freed)
    }

    /// Removes the unfinished states of processes that were killed.
    pub fn sweep(&self) -> io::Result<()> {
        for entry in self.files(NEW)? {
            if let Ok(file) = File::open(entry.path())
                && is_locked(&file)?
                && is_at(&file, &entry.path())
            {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes the states from which no machine will go on.
    fn remove_dead(&self) -> io::Result<()> {
        let digests = self.digests();
        for entry in self.files(STATE)? {
            let is_dead = match Saved::open(&entry.path()) {
                Ok(saved) => saved.is_dead(&digests),
                Err(error) => error.kind() == io::ErrorKind::InvalidData,
            };
            if is_dead {
                // Another process may have removed it meanwhile.
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// Removes states until the rest takes no more than `limit` bytes; never the one at `keep`.
    fn evict(&self, limit: u64, keep: &Path) -> io::Result<()> {
        let mut taken = 0;
        for entry in self.list()? {
            taken += entry.size;
            if taken > limit && entry.path != keep {
                std::fs::remove_file(&entry.path)?;
            }
        }
        Ok(())
    }

    fn files(&self, kind: &str) -> io::Result<Vec<DirEntry>> {
        let all: Vec<_> = self.folder.read_dir()?.collect::<io::Result<_>>()?;
        let of_kind = |entry: &DirEntry| entry.path().extension().is_some_and(|end| end == kind);
        Ok(all.into_iter().filter(of_kind).collect())
    }
}

/// Bytes that a file takes, without its holes.
fn size(meta: &Metadata) -> u64 {
    meta.blocks() * 512
}

fn describe(entry: &DirEntry) -> Option<SavedState> {
    let meta = entry.metadata().ok()?;
    let about = Saved::open(&entry.path()).map(|saved| saved.about().clone());
    let about = about.unwrap_or_else(|error| About {
        refused: Some(error.to_string()),
        ..About::default()
    });
    Some(SavedState {
        profile: about.profile,
        memory: about.memory,
        cpus: about.cpus,
        refused: about.refused,
        size: size(&meta),
        used: meta.modified().ok()?,
        path: entry.path(),
    })
}

/// Whether we got the lock on `file`; it goes with the file.
fn is_locked(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether `path` still names `file`.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), path.metadata()) else {
        return false;
    };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

/// A place for one state, ours alone until this is dropped. What was not finished goes with it.
#[derive(Debug)]
pub(in crate::vm) struct Slot {
    store: Store,
    key: Key,
    path: PathBuf,
    file: File,
    /// Bytes of the guest's memory in the file.
    memory: u64,
}

impl Slot {
    /// Copies the guest's `memory` into the file. Returns the file, standing at the end, for QEMU to write to.
    pub(in crate::vm) fn output(&mut self, memory: &File) -> io::Result<File> {
        self.memory = memory.metadata()?.len();
        pages::copy(memory, &self.file, self.memory)?;
        let mut output = File::options().write(true).open(&self.path)?;
        output.seek(SeekFrom::End(0))?;
        Ok(output)
    }

    /// Finishes the state, and gives it the name under which boots find it.
    pub(in crate::vm) fn finish(self, console: &[u8], about: About) -> io::Result<()> {
        state::finish(&self.file, self.memory, console, &self.key, about)?;
        let path = self.store.path(&self.key, STATE);
        std::fs::rename(&self.path, &path)?;
        self.store.sweep()?;
        self.store.remove_dead()?;
        self.store.evict(LIMIT, &path)
    }

    /// Notes that there will never be a state.
    pub(in crate::vm) fn refuse(mut self, reason: &str, about: About) -> io::Result<()> {
        self.file.set_len(0)?;
        self.memory = 0;
        let about = About {
            refused: Some(reason.to_owned()),
            ..about
        };
        self.finish(&[], about)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if is_at(&self.file, &self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;

    fn key(text: &str) -> Key {
        Key::new(&[text.to_owned()], Vec::new(), "")
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(&folder.path().join("warm")).unwrap();
        (folder, store)
    }

    fn save(store: &Store, text: &str, len: usize) {
        let mut slot = store.reserve(&key(text)).unwrap().unwrap();
        let mut memory = tempfile::tempfile().unwrap();
        memory.write_all(&vec![1; len]).unwrap();
        slot.output(&memory).unwrap();
        slot.finish(b"", About::default()).unwrap();
    }

    #[test]
    fn state_is_found_by_its_key_once_it_is_finished() {
        let (_folder, store) = store();
        let slot = store.reserve(&key("a")).unwrap().unwrap();
        assert!(matches!(store.find(&key("a")), Found::Nothing));
        slot.finish(b"", About::default()).unwrap();
        assert!(matches!(store.find(&key("a")), Found::State(_)));
        assert!(matches!(store.find(&key("b")), Found::Nothing));
        assert!(store.files(NEW).unwrap().is_empty());
    }

    #[test]
    fn slot_is_for_one_process_at_a_time_and_goes_when_it_is_given_up() {
        let (_folder, store) = store();
        let slot = store.reserve(&key("a")).unwrap().unwrap();
        assert!(store.reserve(&key("a")).unwrap().is_none());
        store.sweep().unwrap();
        assert_eq!(store.files(NEW).unwrap().len(), 1, "it is being written");
        drop(slot);
        assert!(store.files(NEW).unwrap().is_empty());
        assert!(store.reserve(&key("a")).unwrap().is_some());
    }

    #[test]
    fn unfinished_state_of_a_killed_process_is_taken_over_or_swept_away() {
        let (_folder, store) = store();
        std::fs::write(store.path(&key("a"), NEW), "half").unwrap();
        std::fs::write(store.path(&key("b"), NEW), "half").unwrap();
        save(&store, "a", 0);
        assert!(store.files(NEW).unwrap().is_empty());
    }

    #[test]
    fn state_of_another_machine_is_dropped() {
        let (_folder, store) = store();
        save(&store, "a", 0);
        std::fs::rename(store.path(&key("a"), STATE), store.path(&key("b"), STATE)).unwrap();
        assert!(matches!(store.find(&key("b")), Found::Damaged(_)));
        assert!(matches!(store.find(&key("b")), Found::Nothing));
    }

    #[test]
    fn state_that_was_not_used_for_the_longest_time_is_evicted_first() {
        let (_folder, store) = store();
        for (age, name) in ["a", "b", "c"].iter().enumerate() {
            save(&store, name, 1 << 20);
            let file = File::open(store.path(&key(name), STATE)).unwrap();
            let used = SystemTime::now() - Duration::from_secs(1000 * (3 - age as u64));
            file.set_modified(used).unwrap();
        }
        assert!(matches!(store.find(&key("a")), Found::State(_)));
        store.evict(5 << 19, Path::new("")).unwrap();
        let left = |name: &str| store.path(&key(name), STATE).exists();
        assert!(left("a") && !left("b") && left("c"));
    }

    #[test]
    fn saving_a_state_removes_the_dead_ones() {
        let (folder, store) = store();
        let kernel = folder.path().join("vmlinuz");
        std::fs::write(&kernel, "old").unwrap();
        let gone = folder.path().join("gone");
        let save = |path: &Path, name: &str| {
            let digest = store.parts(&[&kernel]).unwrap()[0].1;
            let parts = vec![(path.to_string_lossy().into_owned(), digest)];
            let key = Key::new(&[name.to_owned()], parts, "");
            let slot = store.reserve(&key).unwrap().unwrap();
            slot.finish(b"", About::default()).unwrap();
            store.path(&key, STATE)
        };
        let rebuilt_since = save(&kernel, "a");
        let moved_as_a_cache_is = save(&gone, "b");
        let of_another_format = store.path(&key("c"), STATE);
        std::fs::write(&of_another_format, "what is this").unwrap();
        std::fs::write(&kernel, "new").unwrap();
        let of_today = save(&kernel, "d");
        assert!(!rebuilt_since.exists() && !of_another_format.exists());
        assert!(moved_as_a_cache_is.exists() && of_today.exists());
    }

    #[test]
    fn refusal_is_remembered_and_cleaned() {
        let (_folder, store) = store();
        let slot = store.reserve(&key("a")).unwrap().unwrap();
        slot.refuse("no such thing", About::default()).unwrap();
        let Found::Refused(reason) = store.find(&key("a")) else {
            panic!("it is forgotten");
        };
        assert_eq!(reason, "no such thing");
        store.clean().unwrap();
        assert!(store.list().unwrap().is_empty());
    }
}
