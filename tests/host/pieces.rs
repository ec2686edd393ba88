//! Rules that act on the sectors of their range alone, however long the request is: on a plain disk, on one with a
//! volatile cache, and on one with a write log.

use std::fs::File;
use std::os::unix::fs::FileExt;

use provium::os::sys::fallocate;

use crate::harness::*;
use crate::write_log::raw::{assert_same, replay};
use crate::write_log::{base_of, log_of, mount_with, start_log, stop_log};

const SIZE: u64 = 64 * MIB;
const PUNCH: i32 = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
const ZERO: i32 = libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE;

/// A disk, its file, and whether it has a log.
struct Scene {
    mount: Mount,
    file: File,
    has_log: bool,
}

impl Scene {
    fn all() -> impl Iterator<Item = Self> {
        let kinds = [
            ("off", false),
            ("volatile", false),
            ("off", true),
            ("volatile", true),
        ];
        kinds.into_iter().map(|(cache, has_log)| {
            println!("cache {cache}, log {has_log}");
            let mount = mount_with(cache, SIZE);
            if has_log {
                start_log(&mount, "");
            }
            let file = File::options().read(true).write(true).open(mount.vda());
            let file = file.unwrap();
            Self {
                mount,
                file,
                has_log,
            }
        })
    }

    fn write(&self, sector: u64, count: u64, byte: u8) -> std::io::Result<()> {
        let len = (count * 512) as usize;
        let data = vec![byte; len + 4096];
        // On a page, so that 1 MiB is one request.
        let start = data.as_ptr().align_offset(4096);
        let direct = open_direct(&self.mount.vda());
        direct.write_all_at(&data[start..start + len], sector * 512)
    }

    /// The first byte of each of these sectors, as a client reads them.
    fn seen(&self, sector: u64, count: u64) -> Vec<u8> {
        first_bytes(&self.file, sector, count)
    }

    fn damage(&self) -> String {
        self.mount.read("vda/damage")
    }

    /// Makes all durable, and compares the log with the image. Returns the image.
    fn end(self) -> File {
        self.mount.clear();
        self.file.sync_all().unwrap();
        if self.has_log {
            stop_log(&self.mount);
            let log = log_of(&self.mount);
            replay(&log, &base_of(&log));
            assert_same(&base_of(&log), &self.mount.image());
        }
        File::open(self.mount.image()).unwrap()
    }
}

fn first_bytes(file: &File, sector: u64, count: u64) -> Vec<u8> {
    let mut bytes = vec![0; (count * 512) as usize];
    file.read_exact_at(&mut bytes, sector * 512).unwrap();
    for sector in bytes.chunks(512) {
        assert!(sector.iter().all(|byte| *byte == sector[0]));
    }
    bytes.chunks(512).map(|sector| sector[0]).collect()
}

/// Runs of equal bytes, as (byte, length).
fn runs(bytes: &[u8]) -> Vec<(u8, usize)> {
    let chunks = bytes.chunk_by(|a, b| a == b);
    chunks.map(|run| (run[0], run.len())).collect()
}

#[test]
fn lost_sectors_of_a_large_write_are_lost_alone() {
    for scene in Scene::all() {
        scene.write(0, 2048, 1).unwrap();
        scene.mount.arm("lose op=write at=1000+8,1500+1,4000+1");
        scene.write(0, 2048, 2).unwrap();
        let rule = "lose op=write at=1000+8,1500+1,4000+1";
        assert_eq!(
            scene.damage(),
            format!("1000 8 lost {rule}\n1500 1 lost {rule}\n")
        );
        assert_eq!(scene.mount.stat("write_lost"), 1);
        let expected = [(2, 1000), (1, 8), (2, 492), (1, 1), (2, 547)];
        assert_eq!(runs(&scene.seen(0, 2048)), expected);
        assert_eq!(runs(&first_bytes(&scene.end(), 0, 2048)), expected);
    }
}

#[test]
fn error_fails_all_of_a_request_of_which_a_part_was_lost() {
    for scene in Scene::all() {
        scene.write(0, 16, 1).unwrap();
        scene
            .mount
            .arm("lose op=write at=4+2\nerror op=write errno=ENOSPC at=15+1");
        assert_eq!(errno(scene.write(0, 16, 2)), libc::ENOSPC);
        assert_eq!(scene.damage(), "");
        assert_eq!(scene.mount.stat("write_lost"), 0);
        let rules = scene.mount.read("vda/rules");
        assert_eq!(rules.matches("fired=1").count(), 2, "{rules}");
        // Nothing is left for the error to decide about.
        scene.write(4, 2, 3).unwrap();
        assert_eq!(runs(&first_bytes(&scene.end(), 0, 16)), [(1, 16)]);
    }
}

#[test]
fn tear_counts_lost_sectors_too() {
    for scene in Scene::all() {
        scene.write(0, 8, 1).unwrap();
        scene.mount.arm("lose op=write at=1+1,6+1\ntear keep=3");
        scene.write(0, 8, 2).unwrap();
        let (lose, tear) = ("lose op=write at=1+1,6+1", "tear op=write keep=3 then=ok");
        assert_eq!(
            scene.damage(),
            format!("3 3 torn {tear}\n7 1 torn {tear}\n1 1 lost {lose}\n6 1 lost {lose}\n")
        );
        let expected = [(2, 1), (1, 1), (2, 1), (1, 5)];
        assert_eq!(runs(&first_bytes(&scene.end(), 0, 8)), expected);
    }
}

#[test]
fn misdirected_sectors_of_a_write_go_elsewhere_and_the_others_stay() {
    for scene in Scene::all() {
        let rule = "misdirect op=read,write by=-32768 at=32768+32768";
        scene.mount.arm(rule);
        scene.write(32_764, 8, 7).unwrap();
        assert_eq!(
            scene.damage(),
            format!("32768 4 not-written {rule}\n0 4 overwritten {rule}\n")
        );
        assert_eq!(scene.seen(32_764, 8), [7; 8], "a read goes the same way");
        scene.mount.clear();
        let image = scene.end();
        assert_eq!(runs(&first_bytes(&image, 32_764, 8)), [(7, 4), (0, 4)]);
        assert_eq!(runs(&first_bytes(&image, 0, 8)), [(7, 4), (0, 4)]);
    }
}

#[test]
fn misdirected_sectors_that_leave_the_disk_fail_and_the_others_are_done() {
    for scene in Scene::all() {
        let rule = "misdirect op=read,write by=-6 at=4+4";
        scene.mount.arm(rule);
        assert_eq!(errno(scene.write(0, 10, 7)), libc::EIO);
        assert_eq!(scene.damage(), format!("0 2 overwritten {rule}\n"));
        let mut sector = [0; 5120];
        assert_eq!(errno(scene.file.read_at(&mut sector, 0)), libc::EIO);
        // All of it leaves the disk.
        assert_eq!(errno(scene.write(4, 2, 9)), libc::EIO);
        let image = scene.end();
        assert_eq!(
            runs(&first_bytes(&image, 0, 12)),
            [(7, 4), (0, 4), (7, 2), (0, 2)]
        );
    }
}

#[test]
fn distances_add_up_where_ranges_overlap() {
    for scene in Scene::all() {
        scene
            .mount
            .arm("misdirect op=write by=+100 at=0+4\nmisdirect op=write by=+1000 at=2+4");
        scene.write(0, 8, 5).unwrap();
        let image = scene.end();
        let at = |sector| first_bytes(&image, sector, 1)[0];
        let places = [
            0, 1, 2, 5, 6, 7, 100, 101, 102, 1002, 1003, 1004, 1102, 1103, 1104,
        ];
        let found: Vec<_> = places
            .into_iter()
            .filter(|sector| at(*sector) == 5)
            .collect();
        assert_eq!(found, [6, 7, 100, 101, 1004, 1102, 1103]);
    }
}

#[test]
fn discarded_and_zeroed_sectors_are_lost_and_misdirected_alone() {
    for (mode, op) in [(PUNCH, "discard"), (ZERO, "zero")] {
        for scene in Scene::all() {
            scene.write(0, 64, 1).unwrap();
            let (lose, move_on) = (
                format!("lose op={op} at=2+2"),
                format!("misdirect op={op} by=+20 at=8+2"),
            );
            scene.mount.arm(&format!("{lose}\n{move_on}"));
            fallocate(&scene.file, mode, 0, 16 * 512).unwrap();
            assert_eq!(
                scene.damage(),
                format!("8 2 not-written {move_on}\n28 2 overwritten {move_on}\n2 2 lost {lose}\n")
            );
            let expected = [
                (0, 2),
                (1, 2),
                (0, 4),
                (1, 2),
                (0, 6),
                (1, 12),
                (0, 2),
                (1, 34),
            ];
            assert_eq!(runs(&first_bytes(&scene.end(), 0, 64)), expected, "{op}");
        }
    }
}

#[test]
fn disk_grows_as_a_whole_and_not_for_what_is_lost_at_its_end() {
    let mount = Mount::of_size(8 * 512);
    let file = File::options().write(true).open(mount.vda()).unwrap();
    mount.arm("lose op=write,zero at=9+1,12+4");
    file.set_len(11 * 512).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 11 * 512);
    assert_eq!(mount.read("vda/damage"), "");
    file.write_all_at(&[1; 3 * 512], 10 * 512).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 12 * 512);
    fallocate(&file, 0, 0, 14 * 512).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 14 * 512);
    // All of it: nothing is done.
    fallocate(&file, 0, 14 * 512, 512).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 14 * 512);
}
