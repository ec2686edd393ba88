//! Any bytes written to any control file: taken, or refused with a sentence and nothing changed.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use provium::control::{Control, ControlFile, DiskFile};
use provium::disk::Disks;

struct Bench {
    disks: Arc<Disks>,
    control: Control,
    _image: tempfile::NamedTempFile,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(1 << 20).unwrap();
    let disks = Arc::new(Disks::start().unwrap());
    disks.attach("vda", image.path(), false).unwrap();
    Bench {
        control: Control::new(Arc::clone(&disks), Path::new("/mnt/own")),
        disks,
        _image: image,
    }
});

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    let Bench { disks, control, .. } = &*BENCH;
    let file = DiskFile::ALL[usize::from(choice) % DiskFile::ALL.len()];
    let Some((_, disk)) = disks.find("vda") else {
        panic!("the disk is gone");
    };
    let before = control.read_disk(&disk, DiskFile::Faults).unwrap();
    let replace = choice & 0x80 != 0;
    if control.write_disk(&disk, file, data, replace).is_err() {
        let after = control.read_disk(&disk, DiskFile::Faults).unwrap();
        assert_eq!(before, after, "a refused write changed the set");
    }
    for file in DiskFile::ALL {
        let _ = control.read_disk(&disk, file);
    }
    disk.clear();
    // `detach` and `attach` may take it away and bring others: that is what they are for.
    let file = ControlFile::ALL[usize::from(choice) % ControlFile::ALL.len()];
    if file != ControlFile::Detach || !data.windows(3).any(|word| word == b"vda") {
        let _ = control.write(file, data);
    }
    assert!(control.read(ControlFile::Error).unwrap().lines().count() <= 1);
});
