//! The layers of docs/architecture.md: who may name what.

use std::path::{Path, PathBuf};

use crate::docs::page_says;

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            all.push((path, text));
        }
    }
    all
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Asserts that `text` stands only in files below `src/MODULE`.
fn only_in(module: &str, text: &str) {
    for (path, source) in sources(&source_folder()) {
        let place = path.strip_prefix(source_folder()).unwrap();
        let allowed = place.starts_with(module);
        assert!(
            allowed || !source.contains(text),
            "{text} stands in {}",
            place.display()
        );
    }
}

#[test]
fn each_large_dependency_has_one_home() {
    only_in("fuse", "fuser::");
    only_in("script", "mlua::");
    only_in("vm", "qapi::");
    only_in("cli", "clap::");
}

#[test]
fn the_pure_layers_know_nothing_of_those_above() {
    let forbidden = [
        (
            "fault",
            &[
                "crate::disk",
                "crate::storage",
                "std::fs",
                "std::thread",
                "Instant",
            ][..],
        ),
        ("storage", &["crate::fault", "crate::disk", "crate::fuse"]),
        ("disk", &["crate::fuse", "crate::control"]),
        ("control", &["crate::fuse"]),
        (
            "client",
            &["crate::disk::", "crate::control::", "crate::fuse::"],
        ),
        ("vm", &["crate::script", "crate::runner", "crate::fuse"]),
    ];
    for (module, names) in forbidden {
        for (path, source) in sources(&source_folder().join(module)) {
            for name in names {
                assert!(
                    !source.contains(name),
                    "{name} stands in {}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn unsafe_code_is_in_two_files_and_each_use_says_why() {
    page_says(
        "docs/security.md",
        "`unsafe` code is in `src/os/sys.rs` and one line of `src/script/state.rs`",
    );
    for (path, source) in sources(&source_folder()) {
        let allowed = path.ends_with("src/os/sys.rs") || path.ends_with("script/state.rs");
        let uses = source.matches("unsafe {").count();
        assert!(allowed || uses == 0, "{}", path.display());
        assert!(
            source.matches("// SAFETY:").count() >= uses,
            "{}",
            path.display()
        );
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, source) in sources(&source_folder()) {
        assert!(source.starts_with("//!"), "{}", path.display());
    }
}
