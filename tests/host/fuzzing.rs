//! Garbage as input: the inputs that the fuzzers have kept, and writes of any bytes at any offset to the control
//! files.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use provium::control::Control;
use provium::disk::Disks;
use provium::protocol::DiskFile;
use provium::protocol::disk_options::DiskOptions;

use crate::harness::*;

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

/// The inputs in a folder of tests/fuzz, with their names.
fn inputs(folder: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let Ok(entries) = std::fs::read_dir(root.join(folder).join(target)) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn kept_inputs_of_every_target_end_well() {
    for (target, run) in fuzz::TARGETS {
        let all = [inputs("seeds", target), inputs("corpus", target)];
        assert!(all.iter().all(|inputs| !inputs.is_empty()), "{target}");
        for (path, input) in all.iter().flatten() {
            let result = std::panic::catch_unwind(|| run(input));
            assert!(result.is_ok(), "mnt-helpers/dev/fuzz 0 {target} {path}");
        }
    }
}

#[test]
fn fuzz_targets_have_a_program_and_are_built() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for (target, _) in fuzz::TARGETS {
        let path = format!("targets/{target}.rs");
        let program = std::fs::read_to_string(root.join(&path)).unwrap();
        assert!(program.contains(&format!("provium_fuzz::{target}::run")));
        assert!(manifest.contains(&format!("path = \"{path}\"")), "{target}");
    }
    let programs = std::fs::read_dir(root.join("targets")).unwrap().count();
    assert_eq!(programs, fuzz::TARGETS.len());
}

/// A write, as a program makes it.
#[derive(Clone, Debug)]
struct Garbage {
    file: DiskFile,
    data: Vec<u8>,
    offset: u64,
    truncate: bool,
}

/// Never empty: the kernel answers an empty write itself.
fn garbage() -> impl Strategy<Value = Garbage> {
    let words = [
        "eio_read",
        "slow",
        "!slow",
        "error op=read errno=EIO tag=t",
        "hang max=1s",
        "corrupt how=flip bits=1 p=0.5",
        "all",
        "t EIO",
        "17",
        "bogus",
    ];
    let line = prop_oneof![
        4 => proptest::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 1..40),
        1 => "[a-z!=0-9+. ]{1,40}".prop_map(String::into_bytes),
    ];
    let lines = proptest::collection::vec(line, 1..4).prop_map(|lines| lines.join(&b'\n'));
    let data = prop_oneof![
        20 => lines,
        1 => (1..200_000_usize).prop_map(|size| vec![b'\n'; size]),
    ];
    let files = [DiskFile::Faults, DiskFile::Release, DiskFile::Seed];
    let offset = prop_oneof![Just(0), 0..10_000_u64, any::<u64>().prop_map(|at| at >> 2)];
    let file = proptest::sample::select(files.to_vec());
    (file, data, offset, any::<bool>()).prop_map(|(file, data, offset, truncate)| Garbage {
        file,
        data,
        offset,
        truncate,
    })
}

/// The rules and the seed of a `vda` without a mount.
fn shown(control: &Control, disks: &Disks) -> [String; 2] {
    let (_, disk) = disks.find("vda").unwrap();
    [DiskFile::Faults, DiskFile::Seed].map(|file| control.read_disk(&disk, file).unwrap().whole())
}

/// A mount takes exactly the writes that the library's control files take, and a refused write changes
/// nothing.
#[test]
fn control_writes_of_any_bytes_are_taken_or_refused_whole() {
    let mount = Mount::new();
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(MIB).unwrap();
    let disks = Arc::new(Disks::start().unwrap());
    disks
        .attach("vda", image.path(), DiskOptions::default())
        .unwrap();
    let model = Control::new(Arc::clone(&disks));
    mount.append("vda/seed", "1").unwrap();
    let (_, disk) = disks.find("vda").unwrap();
    model
        .write_disk(&disk, DiskFile::Seed, b"1", false)
        .unwrap();

    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&garbage(), |write| {
        let path = mount.ctl(&format!("vda/{}", write.file.name()));
        let mut options = std::fs::OpenOptions::new();
        let file = options
            .write(true)
            .truncate(write.truncate)
            .open(path)
            .unwrap();
        let before = shown(&model, &disks);
        let taken = file.write_at(&write.data, write.offset);
        let expected = model.write_disk(&disk, write.file, &write.data, write.truncate);
        prop_assert_eq!(
            taken.is_ok(),
            expected.is_ok(),
            "{:?}, {:?}",
            taken,
            expected
        );
        let now = [mount.read("vda/faults"), mount.read("vda/seed")];
        prop_assert_eq!(&now, &shown(&model, &disks));
        if taken.is_err() {
            prop_assert_eq!(&now, &before);
        }
        Ok(())
    });
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    assert_eq!(mount.read("error").lines().count(), 1);
}
