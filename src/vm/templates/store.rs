//! The folder of templates. Any number of processes use it at once.
//!
//! `KEY.json` says what the image KEY consisted of, and which file `KEY-STAMP.raw` has the disk in it. It appears
//! when that file is whole. `KEY.lock` is there while a process makes a template.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::identity::{Identity, is_same_file};
use crate::os::folders;
use crate::units::fnv;
use crate::units::text::{deserialize_path, serialize_path};

/// Bytes that all templates together may take: the one that was not used for the longest time goes first. The one made
/// last stays in any case.
const LIMIT: u64 = 8 << 30;
/// A template that was used since then stays, too: a disk may be made of it just now.
const IN_USE: Duration = Duration::from_secs(10 * 60);

/// Raw templates of images that are not raw, of this user.
#[derive(Clone, Debug)]
pub struct TemplateStore {
    folder: PathBuf,
}

/// A template, as people see it.
#[derive(Clone, Debug)]
pub struct Template {
    /// The image that it was made of.
    pub image: PathBuf,
    /// The image's format.
    pub format: String,
    /// Bytes of the disk.
    pub size: u64,
    /// Bytes that it takes.
    pub taken: u64,
    /// When a disk was last made of it.
    pub used: SystemTime,
    /// Whether the image was changed or removed since: then the template is of no use.
    pub stale: bool,
    /// Its file.
    pub path: PathBuf,
}

/// What is known of a template.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct About {
    #[serde(
        serialize_with = "serialize_path",
        deserialize_with = "deserialize_path"
    )]
    pub(super) image: PathBuf,
    pub(super) format: String,
    pub(super) size: u64,
    pub(super) files: Vec<Identity>,
    /// The name of the file with the disk in it.
    pub(super) raw: String,
}

impl TemplateStore {
    /// The one in the cache.
    pub fn open() -> io::Result<Self> {
        Self::at(&folders::cache()?.join("templates"))
    }

    pub(super) fn at(folder: &Path) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(folder);
        made.map_err(|error| folders::named(folder, &error))?;
        let folder = folder.to_owned();
        Ok(Self { folder })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of the template of `image`, whose path is absolute, if there is one of what the image is now.
    pub(super) fn find(&self, image: &Path) -> Option<PathBuf> {
        let path = self.about_path(image);
        let about = read(&path)?;
        let is_ours = about.image == image && about.files.iter().all(Identity::holds);
        let raw = self.folder.join(&about.raw);
        if !is_ours || !raw.is_file() {
            return None;
        }
        // Only a note of its use.
        let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(raw)
    }

    /// Takes the right to make the template of `image`; None while another process has it.
    pub(super) fn lock(&self, image: &Path) -> io::Result<Option<Lock>> {
        let path = self.path(&key(image), "lock");
        let file = File::create(&path)?;
        Ok(match file.try_lock() {
            // Between opening and locking, its last owner may have removed it.
            Ok(()) if is_at(&file, &path) => Some(Lock { path, _file: file }),
            Ok(()) | Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(error)) => return Err(error),
        })
    }

    /// Where the file of a template of `files` goes.
    pub(super) fn raw_path(&self, image: &Path, files: &[Identity]) -> PathBuf {
        let stamp = fnv(format!("{files:?}").as_bytes());
        self.folder.join(format!("{}-{stamp:016x}.raw", key(image)))
    }

    /// Makes the template of `image` known, whose file is there. Removes those that are of no use.
    pub(super) fn publish(&self, about: &About) -> io::Result<()> {
        let path = self.about_path(&about.image);
        let new = path.with_extension("json-new");
        std::fs::write(&new, serde_json::to_vec(about)?)?;
        std::fs::rename(&new, &path)?;
        self.sweep(Some(&key(&about.image)))?;
        self.evict(LIMIT, &path)
    }

    /// Removes templates until the rest takes no more than `limit` bytes; never that of `keep`, nor one that is in use.
    fn evict(&self, limit: u64, keep: &Path) -> io::Result<()> {
        let mut taken = 0;
        let mut evicts = false;
        for template in self.list()? {
            taken += template.taken;
            let is_in_use = template.used.elapsed().is_ok_and(|age| age < IN_USE);
            let about = self.about_path(&template.image);
            if taken > limit && about != keep && !is_in_use {
                let _ = std::fs::remove_file(about);
                evicts = true;
            }
        }
        // Their files are of no template now.
        if evicts { self.sweep(None) } else { Ok(()) }
    }

    /// All templates, the one used last first.
    pub fn list(&self) -> io::Result<Vec<Template>> {
        let described = |path: &PathBuf| self.describe(path);
        let mut all: Vec<_> = self.files("json")?.iter().filter_map(described).collect();
        all.sort_by_key(|template| std::cmp::Reverse(template.used));
        Ok(all)
    }

    fn describe(&self, path: &Path) -> Option<Template> {
        let about = read(path)?;
        let raw = self.folder.join(&about.raw);
        Some(Template {
            stale: !about.files.iter().all(Identity::holds),
            taken: raw.metadata().map_or(0, |found| found.blocks() * 512),
            used: path.metadata().and_then(|found| found.modified()).ok()?,
            image: about.image,
            format: about.format,
            size: about.size,
            path: raw,
        })
    }

    /// Removes all templates; returns how many bytes they took. Disks that were made of them stay.
    pub fn clean(&self) -> io::Result<u64> {
        for path in self.files("json")? {
            std::fs::remove_file(path)?;
        }
        let freed = self.files("raw")?;
        let freed = freed.iter().filter_map(|path| path.metadata().ok());
        let freed = freed.map(|found| found.blocks() * 512).sum();
        self.sweep(None)?;
        Ok(freed)
    }

    /// Removes what is of no use: templates of images that are gone or changed, and files of no template. What another
    /// process makes stays; `ours` is the key of what this one makes, and is whole.
    fn sweep(&self, ours: Option<&str>) -> io::Result<()> {
        let mut keep = Vec::new();
        for path in self.files("json")? {
            match read(&path).filter(|about| about.files.iter().all(Identity::holds)) {
                Some(about) => keep.push(self.folder.join(about.raw)),
                None => drop(std::fs::remove_file(&path)),
            }
        }
        for path in self.files("lock")? {
            if !is_left(&path) {
                keep.push(path);
            }
        }
        for path in ["raw", "new", "json-new", "lock"].map(|kind| self.files(kind)) {
            for path in path?.into_iter().filter(|path| !keep.contains(path)) {
                let is_being_made = || keep.contains(&self.path(key_in(&path), "lock"));
                if ours == Some(key_in(&path)) || !is_being_made() {
                    let _ = std::fs::remove_file(path);
                }
            }
        }
        Ok(())
    }

    fn about_path(&self, image: &Path) -> PathBuf {
        self.path(&key(image), "json")
    }

    fn path(&self, key: &str, kind: &str) -> PathBuf {
        self.folder.join(format!("{key}.{kind}"))
    }

    fn files(&self, kind: &str) -> io::Result<Vec<PathBuf>> {
        let entries = self.folder.read_dir()?.collect::<io::Result<Vec<_>>>()?;
        let paths = entries.into_iter().map(|entry| entry.path());
        let of_kind = paths.filter(|path| path.extension().is_some_and(|end| end == kind));
        Ok(of_kind.collect())
    }
}

fn key(image: &Path) -> String {
    format!("{:016x}", fnv(image.as_os_str().as_encoded_bytes()))
}

fn read(path: &Path) -> Option<About> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// The key in the name of a file of the folder.
fn key_in(path: &Path) -> &str {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.unwrap_or_default();
    name.split(['-', '.']).next().unwrap_or_default()
}

/// Whether the lock at `path` is one of a process that was killed.
fn is_left(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock().is_ok() && is_at(&file, path))
}

/// Whether `path` still names `file`.
fn is_at(file: &File, path: &Path) -> bool {
    let found = file
        .metadata()
        .and_then(|ours| Ok((ours, path.metadata()?)));
    found.is_ok_and(|(ours, there)| is_same_file(&ours, &there))
}

/// The right to make a template. Its file goes with it.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before it is unlocked: whoever waits for it finds that it is at no path, and begins anew.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        folder: tempfile::TempDir,
        store: TemplateStore,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = TemplateStore::at(&folder.path().join("templates")).unwrap();
            Self { folder, store }
        }

        /// An image, and a template of it.
        fn make(&self, name: &str) -> (PathBuf, PathBuf) {
            self.make_of(name, name)
        }

        fn make_of(&self, name: &str, content: &str) -> (PathBuf, PathBuf) {
            let image = self.folder.path().join(name);
            std::fs::write(&image, content).unwrap();
            let files = vec![Identity::of(&image).unwrap()];
            let raw = self.store.raw_path(&image, &files);
            let lock = self.store.lock(&image).unwrap().unwrap();
            std::fs::write(&raw, "raw").unwrap();
            let about = About {
                image: image.clone(),
                format: "qcow2".into(),
                size: 3,
                files,
                raw: raw.file_name().unwrap().to_str().unwrap().into(),
            };
            self.store.publish(&about).unwrap();
            drop(lock);
            (image, raw)
        }
    }

    #[test]
    fn template_is_found_until_its_image_changes() {
        let bench = Bench::new();
        let (image, raw) = bench.make("a");
        assert_eq!(bench.store.find(&image), Some(raw.clone()));
        assert_eq!(bench.store.find(Path::new("/no/such")), None);
        std::fs::write(&image, "changed").unwrap();
        assert_eq!(bench.store.find(&image), None);
        assert!(bench.store.list().unwrap()[0].stale);
        // Of another size each time: the clock of files stands still for milliseconds.
        let (_, second) = bench.make_of("a", "changed again");
        assert!(!raw.exists(), "the old one is of no use");
        assert_eq!(bench.store.find(&image), Some(second));
    }

    #[test]
    fn template_of_an_image_that_is_gone_is_removed_with_the_next_one() {
        let bench = Bench::new();
        let (image, raw) = bench.make("a");
        std::fs::remove_file(image).unwrap();
        let (_, other) = bench.make("b");
        assert!(!raw.exists() && other.exists());
        assert_eq!(bench.store.list().unwrap().len(), 1);
    }

    #[test]
    fn template_that_was_not_used_for_the_longest_time_is_evicted_first() {
        let bench = Bench::new();
        let all = ["a", "b", "c", "d"].map(|name| bench.make(name));
        let size = all[0].1.metadata().unwrap().blocks() * 512;
        let used = |at: usize, minutes: u64| {
            let about = File::open(bench.store.about_path(&all[at].0)).unwrap();
            let when = SystemTime::now() - Duration::from_secs(60 * minutes);
            about.set_modified(when).unwrap();
        };
        let there = || [0, 1, 2, 3].map(|at: usize| all[at].1.exists());
        (0..4).for_each(|at| used(at, 40 - at as u64));
        assert!(bench.store.find(&all[0].0).is_some(), "it is used now");
        bench.store.evict(4 * size, Path::new("")).unwrap();
        assert_eq!(there(), [true; 4], "they fit");
        bench.store.evict(2 * size, Path::new("")).unwrap();
        assert_eq!(there(), [true, false, false, true]);
        assert_eq!(bench.store.list().unwrap().len(), 2);
        bench
            .store
            .evict(0, &bench.store.about_path(&all[3].0))
            .unwrap();
        assert_eq!(there(), [true, false, false, true], "in use, and made last");
        bench.store.evict(0, Path::new("")).unwrap();
        assert_eq!(there(), [true, false, false, false]);
    }

    #[test]
    fn one_process_at_a_time_makes_a_template() {
        let bench = Bench::new();
        let image = Path::new("/i");
        let lock = bench.store.lock(image).unwrap();
        assert!(lock.is_some());
        assert!(bench.store.lock(image).unwrap().is_none());
        assert!(bench.store.lock(Path::new("/other")).unwrap().is_some());
        drop(lock);
        assert!(bench.store.lock(image).unwrap().is_some());
        assert_eq!(bench.store.folder.read_dir().unwrap().count(), 0);
    }

    #[test]
    fn clean_removes_all_but_what_is_being_made() {
        let bench = Bench::new();
        bench.make("a");
        let (busy, raw) = bench.make("b");
        let _lock = bench.store.lock(&busy).unwrap().unwrap();
        let half = raw.with_extension("new");
        std::fs::write(&half, "half").unwrap();
        std::fs::write(bench.store.path("f00", "lock"), "").unwrap();
        std::fs::write(
            bench.store.path("f00", "new"),
            "of a process that was killed",
        )
        .unwrap();
        assert!(bench.store.clean().unwrap() > 0);
        assert!(bench.store.list().unwrap().is_empty());
        assert!(half.exists());
        let left = bench.store.folder.read_dir().unwrap().count();
        assert_eq!(
            left, 3,
            "the lock, the half, and the raw file of what is being made"
        );
    }
}
