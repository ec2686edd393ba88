//! Readers of a cached disk: holes, the kernel's page cache, several clients, a disk that is read-only.

use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use provium::os::sys::{fallocate, seek_data, seek_hole};
use rustix::fs::sendfile;

use super::*;

/// The content of a sector, as sendfile reads it.
fn sent(file: &std::fs::File, sector: u64) -> std::io::Result<Vec<u8>> {
    let to = tempfile::tempfile()?;
    let n = sendfile(&to, file, Some(&mut (sector * 512)), 512)?;
    let mut sector = vec![0; n];
    to.read_exact_at(&mut sector, 0)?;
    Ok(sector)
}

#[test]
fn sendfile_sees_pending_data_and_after_a_cut_what_is_left() {
    let mount = cached(MIB);
    let file = open(&mount, "vda");
    assert_eq!(sent(&file, 0).unwrap(), [0; 512]);
    file.write_all_at(&[1; 512], 0).unwrap();
    file.write_all_at(&[2; 512], 512).unwrap();
    assert_eq!(sent(&file, 0).unwrap(), [1; 512]);
    assert_eq!(sent(&file, 1).unwrap(), [2; 512]);
    cut(&mount, "cut keep=only=2");
    assert!(
        sent(&file, 0).is_err(),
        "nothing is served from the page cache without power"
    );
    power_on(&mount);
    assert_eq!(sent(&file, 0).unwrap(), [0; 512]);
    assert_eq!(sent(&file, 1).unwrap(), [2; 512]);
}

#[test]
fn mapping_shows_what_is_left_after_a_cut() {
    if !has("python3") {
        return;
    }
    let mount = cached(MIB);
    let program = "import mmap, os, sys\n\
                   file = os.open(sys.argv[1], os.O_RDONLY)\n\
                   memory = mmap.mmap(file, 1 << 20, mmap.MAP_PRIVATE, mmap.PROT_READ)\n\
                   for _ in sys.stdin: print(memory[0], memory[4096], flush=True)\n";
    let mut python = Command::new("python3");
    python.args(["-c", program]).arg(mount.vda());
    let mut python = python
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    let mut output = std::io::BufReader::new(python.stdout.take().unwrap());
    let mut shown = || {
        use std::io::{BufRead, Write};
        writeln!(input).unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line
    };
    let file = open(&mount, "vda");
    assert_eq!(shown(), "0 0\n");
    file.write_all_at(&[1; 512], 0).unwrap();
    file.sync_all().unwrap();
    file.write_all_at(&[2; 512], 4096).unwrap();
    assert_eq!(shown(), "1 2\n");
    cut(&mount, "cut");
    power_on(&mount);
    assert_eq!(shown(), "1 0\n");
    drop(input);
    python.wait().unwrap();
}

#[test]
fn holes_end_where_pending_data_begin() {
    let mount = cached(MIB);
    let file = open(&mount, "vda");
    assert_eq!(errno(seek_data(&file, 0)), libc::ENXIO);
    assert_eq!(seek_hole(&file, 0).unwrap(), 0);
    file.write_all_at(&[1; 8192], 65536).unwrap();
    file.write_all_at(&[1; 8192], 65536 + 8192).unwrap();
    assert_eq!(seek_data(&file, 0).unwrap(), 65536);
    assert_eq!(seek_data(&file, 70_000).unwrap(), 70_000);
    assert_eq!(seek_hole(&file, 65536).unwrap(), 65536 + 16384);
    assert_eq!(errno(seek_data(&file, 65536 + 16384)), libc::ENXIO);
    let copied = mount.folder().join("copy");
    let mut copy = Command::new("cp");
    assert_ok(&run(copy
        .arg("--sparse=auto")
        .args([mount.vda(), copied.clone()])));
    assert!(std::fs::read(copied).unwrap() == std::fs::read(mount.vda()).unwrap());
    // Data that are stored, behind a pending hole: a hole or data, but zeros.
    file.sync_all().unwrap();
    let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    fallocate(&file, punch, 65536, 16384).unwrap();
    assert!(
        std::fs::read(mount.vda())
            .unwrap()
            .iter()
            .all(|byte| *byte == 0)
    );
    file.write_all_at(&[2; 100], 2 * MIB).unwrap();
    assert_eq!(seek_data(&file, MIB).unwrap(), 2 * MIB);
    assert_eq!(seek_hole(&file, 2 * MIB).unwrap(), 2 * MIB + 100);
    cut(&mount, "cut");
    power_on(&mount);
    assert_eq!(seek_data(&file, 0).unwrap(), 65536);
    assert_eq!(errno(seek_data(&file, MIB)), libc::ENXIO);
}

#[test]
fn disk_ends_where_it_ended_though_a_discard_reaches_further() {
    let mount = cached(MIB);
    let file = open(&mount, "vda");
    let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    fallocate(&file, punch, MIB - 512, 4096).unwrap();
    assert_eq!(file.read_at(&mut [7; 512], MIB).unwrap(), 0);
    assert_eq!(file.read_at(&mut [7; 1024], MIB - 512).unwrap(), 512);
    assert_eq!(std::fs::read(mount.vda()).unwrap().len() as u64, MIB);
}

#[test]
fn disk_is_as_long_as_its_image_which_the_host_has_cut() {
    let mount = cached(MIB);
    let file = open(&mount, "vda");
    file.set_len(2 * MIB).unwrap();
    file.sync_all().unwrap();
    let host = std::fs::File::options().write(true).open(mount.image());
    host.unwrap().set_len(MIB).unwrap();
    file.write_all_at(&[1; 512], 0).unwrap();
    eventually("the disk has the size of its image", || {
        mount.vda().metadata().unwrap().len() == MIB
    });
    assert_eq!(file.read_at(&mut [7; 512], MIB).unwrap(), 0);
}

#[test]
fn readers_side_by_side_see_a_write_as_soon_as_it_is_answered() {
    let mount = cached(MIB);
    let writer = open(&mount, "vda");
    let (buffered, direct) = (open(&mount, "vda"), open_direct(&mount.vda()));
    for n in 0..300_u64 {
        let at = n * 7 % 64 * 512;
        let data = [n as u8; 512];
        writer.write_all_at(&data, at).unwrap();
        if n % 50 == 49 {
            writer.sync_data().unwrap();
        }
        let mut sector = AlignedSector([0; 512]);
        direct.read_exact_at(&mut sector.0, at).unwrap();
        assert_eq!(sector.0, data);
        let mut found = [0; 512];
        buffered.read_exact_at(&mut found, at).unwrap();
        assert_eq!(found, data);
        assert_eq!(sent(&buffered, at / 512).unwrap(), data);
    }
}

#[test]
fn reads_during_flushes_never_see_older_data() {
    let mount = cached(MIB);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (file, mut last) = (open(&mount, "vda"), 0);
                while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
                    let mut found = [0; 8];
                    file.read_exact_at(&mut found, 0).unwrap();
                    let found = u64::from_le_bytes(found);
                    assert!(found >= last, "{found} after {last}");
                    last = found;
                }
            });
        }
        let file = open(&mount, "vda");
        let flusher = open(&mount, "vda");
        let flusher = scope.spawn(move || (0..200).for_each(|_| flusher.sync_data().unwrap()));
        let mut n = 0_u64;
        while !flusher.is_finished() {
            n += 1;
            file.write_all_at(&n.to_le_bytes(), 0).unwrap();
        }
        is_over.store(true, std::sync::atomic::Ordering::SeqCst);
    });
}

#[test]
fn read_only_disk_takes_a_cache_and_loses_its_power_like_any_other() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("vda.img");
    std::fs::write(&image, vec![7; 4096]).unwrap();
    let disk = format!("vda={},ro,cache=volatile", image.display());
    let mount = Mount::serve(folder, &["--disk", &disk]);
    assert_eq!(mount.read("vda/cache"), "volatile\n");
    let file = std::fs::File::open(mount.vda()).unwrap();
    let read = || file.read_at(&mut [0; 512], 0);
    read().unwrap();
    file.sync_all().unwrap();
    assert_eq!(cut(&mount, "cut keep=all").kept, 0);
    assert_eq!(errno(read()), libc::EIO);
    power_on(&mount);
    read().unwrap();
    for mode in ["off", "volatile", "off"] {
        mount.append("vda/cache", mode).unwrap();
    }
}
