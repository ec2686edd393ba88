//! What the packages contain: the crate of `cargo package`, and the .deb. mnt-helpers/dev/package builds and tries them
//! in a clean root; these tests are its quick part.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::harness::*;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of the crate, as cargo lists them.
fn crate_files() -> BTreeSet<String> {
    let output = run(Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline"])
        .current_dir(root()));
    assert_ok(&output);
    stdout(&output).lines().map(str::to_owned).collect()
}

/// The files below `folder`.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files
}

/// A path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

/// The files that the sources include, relative to the root of the project.
fn included_files() -> BTreeSet<String> {
    let mut included = BTreeSet::new();
    for source in files_below(&root().join("src")) {
        let text = std::fs::read_to_string(&source).unwrap_or_default();
        for macro_name in ["include_str!(", "include_bytes!("] {
            for rest in text.split(macro_name).skip(1) {
                let Some(path) = rest
                    .trim_start()
                    .strip_prefix('"')
                    .and_then(|rest| rest.split('"').next())
                else {
                    continue; // The builder of guests, whose own test lists its files.
                };
                let path = normal(&source.parent().unwrap().join(path));
                let path = path.strip_prefix(root()).unwrap();
                included.insert(path.to_str().unwrap().to_owned());
            }
        }
    }
    included
}

#[test]
fn crate_has_all_that_its_sources_include_and_no_tests() {
    let files = crate_files();
    let included = included_files();
    assert!(included.len() >= 8, "{included:?}");
    for file in &included {
        assert!(files.contains(file), "the crate lacks {file}");
    }
    for file in [
        "Cargo.lock",
        "LICENSE",
        "README.md",
        "mnt-helpers/build-guest",
        "mnt-helpers/guest/init",
        "mnt-helpers/guest-from/host.sh",
    ] {
        assert!(files.contains(file), "the crate lacks {file}");
    }
    for folder in ["tests/", "target/", ".ci/", "mnt-helpers/dev/", "examples/"] {
        let found = files.iter().find(|file| file.starts_with(folder));
        assert!(found.is_none(), "the crate has {found:?}");
    }
}

/// The .deb of the binary under test, in `folder`.
fn make_deb(folder: &Path) -> PathBuf {
    let output = run(Command::new(root().join("mnt-helpers/dev/make-deb"))
        .args([Path::new(PROVIUM), folder])
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .env("PROVIUM_DEB_COMPRESSION", "none"));
    assert_ok(&output);
    PathBuf::from(stdout(&output).trim())
}

fn dpkg_deb(option: &str, package: &Path) -> String {
    let output = run(Command::new("dpkg-deb").arg(option).arg(package));
    assert_ok(&output);
    stdout(&output)
}

#[test]
fn deb_has_binary_pages_completions_unit_and_mount_helper() {
    if !has("dpkg-deb") || !has("readelf") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let package = make_deb(folder.path());
    let version = env!("CARGO_PKG_VERSION");
    let name = package.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with(&format!("provium_{version}_")), "{name}");

    let list = dpkg_deb("-c", &package);
    for (mode, file) in [
        ("-rwxr-xr-x", "usr/bin/provium"),
        ("-rwxr-xr-x", "usr/sbin/mount.provium"),
        ("-rw-r--r--", "usr/lib/systemd/system/provium@.service"),
        ("-rw-r--r--", "usr/share/man/man1/provium.1.gz"),
        ("-rw-r--r--", "usr/share/man/man1/provium-test.1.gz"),
        ("-rw-r--r--", "usr/share/man/man8/mount.provium.8.gz"),
        (
            "-rw-r--r--",
            "usr/share/bash-completion/completions/provium",
        ),
        ("-rw-r--r--", "usr/share/zsh/vendor-completions/_provium"),
        (
            "-rw-r--r--",
            "usr/share/fish/vendor_completions.d/provium.fish",
        ),
        ("-rw-r--r--", "usr/share/doc/provium/copyright"),
        ("-rw-r--r--", "usr/share/doc/provium/licences-of-crates.gz"),
    ] {
        let line = list
            .lines()
            .find(|line| line.ends_with(&format!(" ./{file}")));
        let line = line.unwrap_or_else(|| panic!("the .deb lacks {file}:\n{list}"));
        assert!(line.starts_with(&format!("{mode} root/root")), "{line}");
    }
    for hidden in ["test-file", "state-server"] {
        assert!(!list.contains(hidden), "{list}");
    }

    let control = dpkg_deb("-I", &package);
    for text in ["Package: provium", "fuse3", "Recommends: qemu-system-x86"] {
        assert!(control.contains(text), "{control}");
    }
    assert_unit_runs_the_installed_binary(&package, folder.path());
}

fn assert_unit_runs_the_installed_binary(package: &Path, folder: &Path) {
    let unpacked = folder.join("unpacked");
    assert_ok(&run(Command::new("dpkg-deb")
        .arg("-x")
        .args([package, unpacked.as_path()])));
    let unit = unpacked.join("usr/lib/systemd/system/provium@.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    assert!(unit.contains("ExecStart=/usr/bin/provium mount"), "{unit}");
    assert!(!unit.contains("/usr/local/"), "{unit}");
    let binary = unpacked.join("usr/bin/provium");
    let version = run(Command::new(binary).arg("--version"));
    assert!(stdout(&version).contains(env!("CARGO_PKG_VERSION")));
}
