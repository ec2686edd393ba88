//! Finding test files.

use std::io;
use std::path::{Path, PathBuf};

use crate::units::text;

/// How the name of a test file ends.
const SUFFIX: &str = ".test.lua";

/// Why the files cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// A path that was asked for is not there.
    #[error("{} does not exist: give test files (*.test.lua) or folders with some", text::path(.0))]
    Missing(PathBuf),
    /// A folder cannot be read.
    #[error("{}: {cause}", text::path(path))]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// The test files among `paths`: files as they are, folders with all that is below them, sorted.
pub fn discover(paths: &[PathBuf]) -> Result<Vec<PathBuf>, DiscoverError> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let first = found.len();
            walk(path, &mut found)?;
            found[first..].sort();
        } else if path.exists() {
            found.push(path.clone());
        } else {
            return Err(DiscoverError::Missing(path.clone()));
        }
    }
    for path in &mut found {
        if let Ok(rest) = path.strip_prefix(".") {
            *path = rest.to_owned();
        }
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|path| seen.insert(path.clone()));
    Ok(found)
}

/// Whether the name of a file is that of a test file.
pub fn is_test_file(path: &Path) -> bool {
    let name = path.as_os_str().as_encoded_bytes();
    name.ends_with(SUFFIX.as_bytes())
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), DiscoverError> {
    let failed = |cause| DiscoverError::Io {
        path: folder.to_owned(),
        cause,
    };
    for entry in folder.read_dir().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        // A link to a folder is not followed: it could lead back up.
        if entry.file_type().map_err(failed)?.is_dir() {
            walk(&path, found)?;
        } else if is_test_file(&path) {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discover_sorts_the_test_files_of_a_folder_and_keeps_files_as_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("sub")).unwrap();
        for name in ["b.test.lua", "a.test.lua", "sub/c.test.lua", "helper.lua"] {
            std::fs::write(path(name), "").unwrap();
        }
        let found = discover(&[path("helper.lua"), folder.path().to_owned()]).unwrap();
        let expected = ["helper.lua", "a.test.lua", "b.test.lua", "sub/c.test.lua"].map(path);
        assert_eq!(found, expected);
    }

    #[test]
    fn discover_names_a_path_that_is_missing() {
        let error = discover(&["/no/such.test.lua".into()]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("/no/such.test.lua does not exist")
        );
    }
}
