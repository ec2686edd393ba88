//! The names of the tests of many files.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::options::RunOptions;
use super::worker::list_file;
use crate::events::TestInfo;

/// The tests of each file, or why a file does not load.
pub fn list(
    files: &[PathBuf],
    options: &RunOptions,
) -> Vec<(PathBuf, Result<Vec<TestInfo>, String>)> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, files.len().max(1)) {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tests = list_file(file, options);
                    found.lock().push((file.clone(), tests));
                }
            });
        }
    });
    let mut found = found.into_inner();
    let place = |file: &PathBuf| files.iter().position(|other| other == file);
    found.sort_by_key(|(file, _)| place(file));
    found
}
