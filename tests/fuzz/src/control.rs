//! Any bytes written to any control file: taken, or refused with a sentence and nothing changed.

use std::sync::Arc;

use provium::control::Control;
use provium::disk::Disks;
use provium::protocol::disk_options::DiskOptions;
use provium::protocol::{ControlFile, DiskFile};

use super::errno;

struct Bench {
    disks: Arc<Disks>,
    control: Control,
    _image: tempfile::NamedTempFile,
}

impl Bench {
    fn new() -> Self {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(1 << 20).unwrap();
        let disks = Arc::new(Disks::start().unwrap());
        disks
            .attach("vda", image.path(), DiskOptions::default())
            .unwrap();
        Self {
            control: Control::new(Arc::clone(&disks)),
            disks,
            _image: image,
        }
    }
}

thread_local! {
    static BENCH: Bench = Bench::new();
}

/// The first byte says which file, and whether it is opened with `>`.
pub fn run(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    BENCH.with(|bench| write(bench, choice, data));
}

fn write(bench: &Bench, choice: u8, data: &[u8]) {
    let Bench { disks, control, .. } = bench;
    let file = DiskFile::ALL[usize::from(choice) % DiskFile::ALL.len()];
    let Some((_, disk)) = disks.find("vda") else {
        panic!("the disk is gone");
    };
    let before = control.read_disk(&disk, DiskFile::Faults).unwrap().whole();
    let replace = choice & 0x80 != 0;
    if control.write_disk(&disk, file, data, replace).is_err() {
        let after = control.read_disk(&disk, DiskFile::Faults).unwrap().whole();
        assert_eq!(before, after, "a refused write changed the set");
    }
    for number in errno::any(data) {
        let release = format!("all {number}");
        let released = control.write_disk(&disk, DiskFile::Release, release.as_bytes(), false);
        assert_eq!(released.is_ok(), errno::is_carried(number), "{release}");
    }
    for file in DiskFile::ALL {
        let _ = control.read_disk(&disk, file).map(|text| text.whole());
    }
    disk.clear();
    // What `detach` takes away and `attach` brings is for the target of that name.
    let file = ControlFile::ALL[usize::from(choice) % ControlFile::ALL.len()];
    if !matches!(file, ControlFile::Attach | ControlFile::Detach) {
        let _ = control.write(file, data);
    }
    assert!(
        control
            .read(ControlFile::Error)
            .unwrap()
            .whole()
            .lines()
            .count()
            <= 1
    );
}
