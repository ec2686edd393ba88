//! The tests that failed in the last run of a project, for the next run.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::select::TestId;
use crate::os::folders;
use crate::units::fnv;

fn file(root: &Path) -> io::Result<PathBuf> {
    let name = format!("{:016x}.json", fnv(root.as_os_str().as_encoded_bytes()));
    Ok(folders::cache()?.join("last-run").join(name))
}

/// The tests that failed in the last run of the project at `root`; empty without a last run.
pub fn last_failed(root: &Path) -> io::Result<BTreeSet<TestId>> {
    let file = file(root)?;
    match std::fs::read(&file) {
        Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(folders::named(&file, &error)),
    }
}

/// Remembers the tests that failed.
pub fn remember_failed(root: &Path, failed: &BTreeSet<TestId>) -> io::Result<()> {
    let file = file(root)?;
    write(&file, failed).map_err(|error| folders::named(&file, &error))
}

fn write(file: &Path, failed: &BTreeSet<TestId>) -> io::Result<()> {
    if failed.is_empty() {
        return match std::fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Atomically: of two runs at once, the list of one is left whole.
    let text = serde_json::to_vec(failed)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut new, &text)?;
    new.persist(file).map(drop).map_err(|error| error.error)
}
