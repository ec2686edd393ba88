//! The digest of a file's content, so that a copy elsewhere counts as the same. Reading some 50 MB for it takes
//! longer than all else that precedes a boot. So digests are kept, by the file's identity.

use std::fs::{File, Metadata};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;
/// Most bytes of the list; a longer one begins anew.
const LONGEST_LIST: u64 = 64 << 10;
/// A file that was changed more recently may change again without a sign of it.
const SETTLED: Duration = Duration::from_secs(2);

/// The digests that were found, a line each: the file's identity, then the digest. It is only ever
/// added to, a line at a time, by any number of processes.
#[derive(Debug)]
pub(super) struct Digests {
    list: PathBuf,
}

impl Digests {
    pub(super) fn at(list: PathBuf) -> Self {
        Self { list }
    }

    /// The digest of `file`.
    pub(super) fn of(&self, file: &Path) -> io::Result<u64> {
        let mut open = File::open(file)?;
        let meta = open.metadata()?;
        let identity = identity(&meta);
        if let Some(known) = self.known(&identity) {
            return Ok(known);
        }
        let digest = digest(&mut open)?;
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(meta.ctime().max(0) as u64);
        let is_settled = changed.elapsed().is_ok_and(|age| age >= SETTLED);
        if is_settled && self::identity(&open.metadata()?) == identity {
            // Without a list it is only found anew.
            let _ = self.keep(&identity, digest);
        }
        Ok(digest)
    }

    fn known(&self, identity: &str) -> Option<u64> {
        let list = std::fs::read_to_string(&self.list).ok()?;
        let of_file = |line: &str| line.strip_prefix(identity)?.parse().ok();
        list.lines().find_map(of_file)
    }

    fn keep(&self, identity: &str, digest: u64) -> io::Result<()> {
        if self
            .list
            .metadata()
            .is_ok_and(|list| list.len() > LONGEST_LIST)
        {
            std::fs::remove_file(&self.list)?;
        }
        let list = File::options().create(true).append(true).open(&self.list);
        list?.write_all(format!("{identity}{digest}\n").as_bytes())
    }
}

/// A text that changes when the file is replaced or written to.
fn identity(meta: &Metadata) -> String {
    let numbers = [
        meta.dev() as i64,
        meta.ino() as i64,
        meta.len() as i64,
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec(),
    ];
    numbers.map(|number| format!("{number} ")).concat()
}

fn digest(file: &mut File) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    let mut buffer = vec![0; PIECE];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            n => hasher.write(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn digest_of_a_copy_is_the_same_and_that_of_a_changed_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let digests = Digests::at(folder.path().join("digests"));
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let one = digests.of(&file("one", "content")).unwrap();
        assert_eq!(digests.of(&file("copy", "content")).unwrap(), one);
        assert_ne!(digests.of(&file("one", "Content")).unwrap(), one);
        assert!(digests.of(Path::new("/no/such/file")).is_err());
    }

    #[test]
    fn digest_is_kept_for_a_file_that_has_settled() {
        let folder = tempfile::tempdir().unwrap();
        let digests = Digests::at(folder.path().join("digests"));
        let fresh = folder.path().join("fresh");
        // Until it is in time: the age of a file is known to the second.
        loop {
            let begun = Instant::now();
            std::fs::write(&fresh, "content").unwrap();
            digests.of(&fresh).unwrap();
            if begun.elapsed() < SETTLED - Duration::from_secs(1) {
                break;
            }
            let _ = std::fs::remove_file(&digests.list);
        }
        assert!(!digests.list.exists());
        let settled = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let found = digests.of(&settled).unwrap();
        let identity = identity(&settled.metadata().unwrap());
        assert_eq!(digests.known(&identity), Some(found));
        std::fs::write(&digests.list, format!("{identity}7\n")).unwrap();
        assert_eq!(digests.of(&settled).unwrap(), 7);
    }
}
