//! The helpers in mnt-helpers/.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::*;

/// The programs in a folder; mount(8) calls mount.provium, which has no help.
fn programs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_program = |path: &PathBuf| {
        let mode = path.metadata().unwrap().permissions().mode();
        path.is_file() && mode & 0o100 != 0 && !path.ends_with("mount.provium")
    };
    paths.filter(is_program).collect()
}

#[test]
fn helpers_print_their_usage_from_any_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mnt-helpers");
    let programs = [programs(&folder), programs(&folder.join("dev"))].concat();
    assert!(programs.len() >= 9, "{programs:?}");
    for program in programs {
        let name = program.file_name().unwrap().to_str().unwrap();
        let output = run(Command::new(&program).arg("--help").current_dir("/"));
        assert_ok(&output);
        let usage = format!("Usage: {name}");
        assert!(stdout(&output).contains(&usage), "{}", program.display());
    }
}
