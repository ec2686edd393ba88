//! The tests that failed in the last run of a project, for the next run. Of the projects with such tests, those that
//! ran last are remembered.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::select::TestId;
use crate::os::folders;
use crate::units::fnv;

/// How many projects are remembered. Many are folders that were made for one run, and no run of them follows.
const PROJECTS: usize = 100;

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
    new.persist(file).map_err(|error| error.error)?;
    // Another run may do the same now.
    let _ = forget_oldest(folder, file);
    Ok(())
}

/// Removes the oldest files of `folder`, of which [`PROJECTS`] stay; `latest` is one of these.
fn forget_oldest(folder: &Path, latest: &Path) -> io::Result<()> {
    let mut others = Vec::new();
    for entry in folder.read_dir()?.flatten() {
        if entry.path() != latest {
            others.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    others.sort_unstable_by(|a, b| b.cmp(a));
    for (_, path) in others.iter().skip(PROJECTS - 1) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    #[test]
    fn projects_that_ran_longest_ago_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = |number: usize| folder.path().join(format!("{number:03}.json"));
        let failed = BTreeSet::from([TestId {
            file: "a.test.lua".to_owned(),
            test: None,
        }]);
        // The first ones are the newest.
        for number in 0..PROJECTS + 20 {
            let age = Duration::from_secs(60 * number as u64);
            let new = File::create(file(number)).unwrap();
            new.set_modified(SystemTime::now() - age).unwrap();
        }
        let there = || (0..PROJECTS + 21).filter(|number| file(*number).exists());
        // One without failed tests takes no place.
        write(&file(1), &BTreeSet::new()).unwrap();
        assert_eq!(there().count(), PROJECTS + 19);
        write(&file(PROJECTS + 20), &failed).unwrap();
        let kept = std::iter::once(0).chain(2..=PROJECTS - 1);
        assert!(there().eq(kept.chain([PROJECTS + 20])));
        // The one that has just run stays, whatever its time.
        write(&file(1), &failed).unwrap();
        assert!(file(1).exists());
        assert_eq!(there().count(), PROJECTS);
    }
}
