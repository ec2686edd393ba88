//! CONTRIBUTING.md: the files and tests that it names are there.

use std::path::Path;

const PAGE: &str = include_str!("../../../CONTRIBUTING.md");
const FOLDERS: [&str; 6] = [
    "src/",
    "lua/",
    "docs/",
    "tests/",
    "mnt-helpers/",
    "examples/",
];

#[test]
fn contributing_names_files_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let words = PAGE.split(|c: char| c.is_whitespace() || "`()[]|,;:".contains(c));
    let is_file = |word: &&str| FOLDERS.iter().any(|folder| word.starts_with(folder));
    let files: Vec<_> = words.filter(is_file).collect();
    assert!(files.len() > 40, "{}", files.len());
    for file in files {
        let file = file.trim_end_matches('.');
        assert!(root.join(file).exists(), "CONTRIBUTING.md names {file}");
    }
}

/// Its examples of `cargo test --test host FILTER` run some test.
#[test]
fn contributing_names_host_tests_that_are_there() {
    let list = std::process::Command::new(std::env::current_exe().unwrap())
        .arg("--list")
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let filters = PAGE.split("cargo test --test host ").skip(1);
    let filters: Vec<_> = filters
        .map(|rest| rest.split('`').next().unwrap())
        .collect();
    assert!(filters.len() >= 4, "{filters:?}");
    for filter in filters {
        let found = list.lines().filter(|line| line.contains(filter)).count();
        assert!(found > 0, "CONTRIBUTING.md runs {filter}");
    }
}
