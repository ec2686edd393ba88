//! The examples in Python on the pages and in the README of the package are tests that pass.

use super::examples::{blocks, pages};
use crate::harness::*;
use crate::python::{folder, pytest};

#[test]
fn python_examples_pass() {
    let place = TempDir::new().unwrap();
    let readme = folder("mnt-helpers/python/README.md");
    let mut examples = 0;
    for page in pages().into_iter().chain([readme]) {
        let name = page
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .replace('-', "_");
        for (at, example) in blocks(&page, "python").into_iter().enumerate() {
            let file = place.path().join(format!("test_{name}_{at}.py"));
            std::fs::write(file, example).unwrap();
            examples += 1;
        }
    }
    assert!(examples >= 6, "{examples}");
    let Some(mut pytest) = pytest(place.path()) else {
        return;
    };
    let output = run(pytest
        .args(["--import-mode=importlib", "--rootdir"])
        .arg(place.path()));
    assert_ok(&output);
    assert!(!stdout(&output).contains("skipped"), "{}", stdout(&output));
}
