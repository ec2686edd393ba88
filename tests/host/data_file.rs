//! Where the data file differs from an ordinary file: its end, its flags, its holes.

use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::Command;

use provium::os::sys::{seek_data, seek_hole};
use rustix::io::{ReadWriteFlags, pwritev2};

use crate::docs::{help_says, page_says};
use crate::harness::*;

const PAGE: &str = "docs/control-files.md";

fn open(mount: &Mount, flags: i32) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(flags);
    options.open(mount.vda()).unwrap()
}

/// A trace from now on, read without waiting.
fn trace(mount: &Mount) -> File {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    options.open(mount.ctl("vda/trace")).unwrap()
}

/// Operation, sector, count and verdict of the requests since the previous call.
fn traced(trace: &mut File) -> Vec<String> {
    let mut text = vec![0; 65536];
    let n = trace.read(&mut text).unwrap_or(0);
    let text = String::from_utf8_lossy(&text[..n]).into_owned();
    let lines = text.lines().map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        words[2..6].join(" ")
    });
    lines.collect()
}

fn image(mount: &Mount) -> Vec<u8> {
    std::fs::read(mount.image()).unwrap()
}

#[test]
fn synchronous_write_is_flushed_before_its_answer_and_others_are_not() {
    page_says(
        PAGE,
        "A write with `O_SYNC`, `O_DSYNC` or `RWF_DSYNC` is a write followed by a flush",
    );
    let mount = Mount::new();
    let mut trace = trace(&mount);
    let write = |file: &File, flags| {
        pwritev2(file, &[IoSlice::new(&[7; 512])], 512, flags).unwrap();
        traced(&mut trace)
    };
    let mut write = write;
    let none = ReadWriteFlags::empty();
    let both = ["write 1 1 ok", "flush 0 0 ok"];
    assert_eq!(write(&open(&mount, 0), none), ["write 1 1 ok"]);
    assert_eq!(write(&open(&mount, libc::O_SYNC), none), both);
    assert_eq!(write(&open(&mount, libc::O_DSYNC), none), both);
    let plain = open(&mount, 0);
    assert_eq!(write(&plain, ReadWriteFlags::DSYNC), both);
    assert_eq!(write(&plain, ReadWriteFlags::SYNC), both);
    assert_eq!(mount.stat("flush_answered"), 4);
}

#[test]
fn synchronous_write_fails_and_waits_as_its_flush_does() {
    let mount = Mount::new();
    let file = open(&mount, libc::O_DSYNC);
    mount.arm("error op=flush errno=ENOSPC times=1");
    assert_eq!(errno(file.write_at(&[7; 512], 0)), libc::ENOSPC);
    assert_eq!(image(&mount)[..512], [7; 512], "the write itself was done");
    assert_eq!(file.write_at(&[8; 512], 0).unwrap(), 512);
    assert_eq!(mount.stat("flush_errors_injected"), 1);
    mount.arm("hang op=flush tag=stuck");
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| file.write_at(&[9; 512], 0).unwrap());
        eventually("its flush is held", || {
            mount.read("vda/inflight").starts_with("flush 0 0")
        });
        assert!(!writer.is_finished());
        mount.append("vda/release", "stuck").unwrap();
        assert_eq!(writer.join().unwrap(), 512);
    });
    mount.clear();
    mount.arm("error op=write errno=EIO");
    let flushes = mount.stat("flush_requests");
    assert_eq!(errno(file.write_at(&[7; 512], 0)), libc::EIO);
    let now = mount.stat("flush_requests");
    assert_eq!(now, flushes, "nothing was written, so nothing is flushed");
}

#[test]
fn append_writes_at_the_end_of_the_image_whatever_the_kernel_believes() {
    page_says(PAGE, "`O_APPEND` writes at the present end of the image");
    let mount = Mount::of_size(4096);
    let file = OpenOptions::new().append(true).open(mount.vda()).unwrap();
    for (size, byte) in [(8192, 7), (1024, 8)] {
        let host = File::options().write(true).open(mount.image()).unwrap();
        host.set_len(size).unwrap();
        (&file).write_all(&[byte; 512]).unwrap();
        let image = image(&mount);
        assert_eq!(image.len() as u64, size + 512);
        assert_eq!(image[size as usize..], [byte; 512]);
        (&file).write_all(&[byte + 10; 512]).unwrap();
        let image = self::image(&mount);
        assert_eq!(image[size as usize + 512..], [byte + 10; 512]);
    }
    let mut sync = OpenOptions::new();
    let sync = sync.append(true).custom_flags(libc::O_DSYNC);
    (&sync.open(mount.vda()).unwrap()).write_all(b"x").unwrap();
    assert_eq!(mount.stat("flush_requests"), 1);
}

/// A mount of a disk of 8 sectors that does not grow.
fn fixed() -> Mount {
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("vda.img"), 4096);
    Mount::serve(
        folder,
        &["--disk", &format!("vda={},fixed", image.display())],
    )
}

#[test]
fn mount_option_fixes_the_size_of_all_disks() {
    help_says("mount", "ro, fixed, disk=ID=IMAGE");
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("vda.img"), 4096);
    let options = format!("fixed,disk=vda={}", image.display());
    let mount = Mount::serve(folder, &["-o", &options]);
    let written = open(&mount, 0).write_at(&[7; 512], 4096);
    assert_eq!(errno(written), libc::ENOSPC);
}

#[test]
fn fixed_disk_ends_as_a_block_device_does() {
    page_says(
        PAGE,
        "A write across the end is short; a write at or past the end fails with ENOSPC",
    );
    let mount = fixed();
    let file = open_direct(&mount.vda());
    let data = AlignedPage([7; 4096]);
    assert_eq!(file.write_at(&data.0, 2048).unwrap(), 2048);
    assert_eq!(errno(file.write_at(&data.0[..512], 4096)), libc::ENOSPC);
    assert_eq!(errno(file.write_at(&data.0[..512], 8192)), libc::ENOSPC);
    assert_eq!(errno(file.set_len(8192)), libc::ENOSPC);
    for mode in [0, libc::FALLOC_FL_ZERO_RANGE] {
        let past = provium::os::sys::fallocate(&file, mode, 2048, 4096);
        assert_eq!(errno(past), libc::ENOSPC);
    }
    assert_eq!(file.write_at(&data.0[..512], 3584).unwrap(), 512);
    provium::os::sys::fallocate(&file, libc::FALLOC_FL_ZERO_RANGE, 0, 2048).unwrap();
    let expected = [vec![0; 2048], vec![7; 2048]].concat();
    assert!(image(&mount) == expected, "nothing else was written");
    assert_eq!(mount.stat("write_errors_host"), 2);
    assert_eq!(mount.stat("write_bytes"), 2048 + 512 + 512 + 512);
    let host = File::options().write(true).open(mount.image()).unwrap();
    host.set_len(8192).unwrap();
    assert_eq!(file.write_at(&data.0[..512], 4096).unwrap(), 512);
}

#[repr(align(512))]
struct AlignedPage([u8; 4096]);

#[test]
fn disk_that_is_not_fixed_grows_as_a_file_does() {
    page_says(PAGE, "A write past the end makes the image grow");
    let mount = Mount::of_size(4096);
    let file = open(&mount, 0);
    file.write_all_at(&[7; 4096], 2048).unwrap();
    assert_eq!(image(&mount).len(), 6144);
    file.write_all_at(&[8; 512], 8192).unwrap();
    assert_eq!(image(&mount).len(), 8704);
}

#[test]
fn fixed_disk_is_marked_after_its_image_everywhere() {
    page_says(
        PAGE,
        "`ID SIZE rw\\|ro IMAGE [fixed] [share] [cache=volatile] [scratch[=SIZE]]`",
    );
    help_says("mount", "ID=IMAGE[,ro][,fixed]");
    help_says("attach", "Never let the image grow");
    let mount = fixed();
    let vdb = new_image(&mount.folder().join("b.img"), 512);
    let vdc = new_image(&mount.folder().join("c.img"), 512);
    let attach = format!("vdb {} ro fixed", vdb.display());
    mount.append("attach", &attach).unwrap();
    let (point, image) = (mount.point(), vdc.display().to_string());
    let point = point.to_str().unwrap();
    assert_ok(&provium(&["attach", point, "vdc", &image, "--fixed"]));
    let path = |name: &str| mount.folder().join(name).display().to_string();
    let expected = format!(
        "vda 4096 rw {} fixed\nvdb 512 ro {} fixed\nvdc 512 rw {image} fixed\n",
        path("vda.img"),
        path("b.img")
    );
    assert_eq!(mount.read("disks"), expected);
    assert!(stdout(&provium(&["status", point])).contains("rw fixed"));
    let bad = mount.append("attach", "vdd /x fixed wrong");
    assert_eq!(errno(bad), libc::EINVAL);
}

#[test]
fn truncation_zeroes_the_end_and_never_shrinks_the_disk() {
    page_says(PAGE, "A client cannot shrink the disk");
    let mount = Mount::of_size(MIB);
    let fill = || std::fs::write(mount.image(), vec![5; MIB as usize]).unwrap();
    let mut trace = trace(&mount);
    for (script, kept, sectors) in [
        ("dd if=/dev/null of=$m/vda bs=512 seek=3", 1536, "3 2045"),
        ("dd if=/dev/null of=$m/vda bs=512", 0, "0 2048"),
        ("truncate -s 1000 $m/vda", 1000, "1 2047"),
        (": > $m/vda", 0, "0 2048"),
    ] {
        fill();
        assert_ok(&shell("sh", &mount, script));
        let expected = [vec![5; kept], vec![0; MIB as usize - kept]].concat();
        assert!(image(&mount) == expected, "{script}");
        assert_eq!(traced(&mut trace), [format!("zero {sectors} ok")]);
    }
    fill();
    assert_ok(&shell(
        "sh",
        &mount,
        "dd if=/dev/null of=$m/vda conv=notrunc",
    ));
    assert!(image(&mount) == vec![5; MIB as usize]);
    assert_ok(&shell("sh", &mount, "truncate -s 2M $m/vda"));
    assert_eq!(image(&mount).len() as u64, 2 * MIB);
}

#[test]
fn read_only_disk_is_not_truncated_by_its_path_either() {
    let folder = TempDir::new().unwrap();
    let path = new_image(&folder.path().join("vda.img"), 4096);
    std::fs::write(&path, [5; 4096]).unwrap();
    let mount = Mount::serve(folder, &["--disk", &format!("vda={},ro", path.display())]);
    for size in [0, 512, 8192] {
        let python = format!(
            "import os; os.truncate('{}', {size})",
            mount.vda().display()
        );
        let cut = run(Command::new("python3").args(["-c", &python]));
        assert!(!cut.status.success());
        let expected = if provium::os::sys::uid() == 0 {
            "Read-only file system"
        } else {
            "Permission denied"
        };
        assert!(stderr(&cut).contains(expected), "{}", stderr(&cut));
    }
    assert_eq!(image(&mount), [5; 4096]);
}

#[test]
fn truncation_that_a_rule_fails_is_counted_and_traced_as_a_zero_request() {
    page_says(
        PAGE,
        "Such a cut is a `zero` request for rules, counters and the trace",
    );
    let mount = Mount::of_size(MIB);
    std::fs::write(mount.image(), vec![5; MIB as usize]).unwrap();
    let mut trace = trace(&mount);
    mount.arm("error op=zero errno=ENOSPC times=2");
    assert_eq!(errno(File::create(mount.vda())), libc::ENOSPC);
    let file = open(&mount, 0);
    assert_eq!(errno(file.set_len(512)), libc::ENOSPC);
    assert_eq!(mount.stat("zero_errors_injected"), 2);
    assert_eq!(
        traced(&mut trace),
        ["zero 0 2048 ENOSPC", "zero 1 2047 ENOSPC"]
    );
    assert!(image(&mount) == vec![5; MIB as usize]);
    assert_eq!(mount.stat("open_files"), 1, "what was not opened is closed");
    mount.clear();
    mount.arm("lose op=zero");
    drop(File::create(mount.vda()).unwrap());
    assert!(image(&mount) == vec![5; MIB as usize]);
    assert!(mount.read("vda/damage").starts_with("0 2048 lost"));
    mount.clear();
    mount.arm("hang op=zero max=20ms then=EIO");
    assert_eq!(errno(File::create(mount.vda())), libc::EIO);
    assert_eq!(mount.stat("zero_held"), 1);
}

#[test]
fn size_changes_and_preallocation_are_zero_requests() {
    page_says(
        PAGE,
        "Growing the disk (`truncate -s`, QEMU's `block_resize`) and preallocation are `zero` requests too",
    );
    page_says("docs/faults.md", "`error op=zero` fails all of these");
    let mount = Mount::of_size(MIB);
    let mut trace = trace(&mount);
    let mut zeroes = || {
        // fallocate(1) also flushes.
        let mut all = traced(&mut trace);
        all.retain(|line| line.starts_with("zero"));
        all
    };
    let calls = [
        ("truncate -s 2M $m/vda", "2048 2048"),
        ("fallocate -l 64K $m/vda", "0 128"),
        ("fallocate -n -o 1M -l 4M $m/vda", "2048 8192"),
        ("fallocate -o 2M -l 4K $m/vda", "4096 8"),
        (": > $m/vda", "0 4104"),
    ];
    for (script, sectors) in calls {
        assert_ok(&shell("sh", &mount, script));
        assert_eq!(zeroes(), [format!("zero {sectors} ok")]);
    }
    assert_eq!(mount.stat("zero_requests"), calls.len() as u64);
    let size = image(&mount).len();
    assert_eq!(size as u64, 2 * MIB + 4096);
    mount.arm("error op=zero errno=ENOSPC");
    for (script, sectors) in [
        ("truncate -s 4M $m/vda", "4104 4088"),
        ("fallocate -l 8M $m/vda", "0 16384"),
        (": > $m/vda", "0 4104"),
    ] {
        assert!(!shell("sh", &mount, script).status.success(), "{script}");
        assert_eq!(zeroes(), [format!("zero {sectors} ENOSPC")]);
    }
    assert_eq!(image(&mount).len(), size);
}

#[test]
fn image_that_qemu_img_recreates_in_a_disk_has_nothing_of_the_old_one() {
    if !has("qemu-img") {
        return;
    }
    let mount = Mount::of_size(4 * MIB);
    std::fs::write(mount.image(), vec![5; 4 * MIB as usize]).unwrap();
    let source = new_image(&mount.folder().join("source.img"), 2 * MIB);
    let file = OpenOptions::new().write(true).open(&source).unwrap();
    file.write_all_at(&[7; 4096], MIB).unwrap();
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-f", "raw", "-O", "raw"]);
    assert_ok(&run(convert.arg(&source).arg(mount.vda())));
    let (source, image) = (std::fs::read(source).unwrap(), image(&mount));
    assert!(image[..source.len()] == source);
    assert_eq!(image.len() as u64, 4 * MIB, "a disk does not shrink");
    assert!(image[source.len()..].iter().all(|byte| *byte == 0));
}

#[test]
fn sectors_under_a_rule_for_reads_are_data_and_not_a_hole() {
    page_says(PAGE, "Sectors of an armed rule for reads count as data");
    let mount = Mount::of_size(MIB);
    let file = open(&mount, 0);
    file.write_all_at(&[1; 4096], 524_288).unwrap();
    let end = MIB;
    let map = || {
        let (mut at, mut found) = (0, Vec::new());
        while let Ok(data) = seek_data(&file, at) {
            at = seek_hole(&file, data).unwrap();
            found.push((data, at));
        }
        found
    };
    let stored = (524_288, 528_384);
    assert_eq!(map(), [stored]);
    for rule in [
        "error op=write errno=EIO at=8+1",
        "lose op=write,flush",
        "corrupt op=write how=zero at=8+1",
    ] {
        mount.arm(rule);
        assert_eq!(map(), [stored], "{rule}");
    }
    for rule in [
        "error op=read errno=EIO at=8+1",
        "delay by=1ms at=8+1",
        "hang op=read,write at=8+1",
        "corrupt op=read how=flip at=8+1",
        "stale at=8+1",
        "misdirect op=read by=+9 at=8+1",
    ] {
        mount.clear();
        mount.arm(rule);
        assert_eq!(map(), [(4096, 4608), stored], "{rule}");
    }
    mount.clear();
    mount.arm("eio_read at=1031+2,8+1,1020+8,2040+100");
    mount.arm("eio_read at=9+1,0+1");
    let expected = [(0, 512), (4096, 5120), (522_240, 528_896), (1_044_480, end)];
    assert_eq!(map(), expected);
    mount.arm("slow");
    assert_eq!(map(), [(0, end)]);
    mount.clear();
    assert_eq!(map(), [stored]);
}

#[test]
fn large_call_is_cut_short_by_an_error_in_a_later_piece_and_fails_when_asynchronous() {
    page_says(
        PAGE,
        "An error in a later request cuts a synchronous call short",
    );
    page_says(
        PAGE,
        "An asynchronous call (AIO, io_uring) fails as a whole",
    );
    let mount = Mount::of_size(8 * MIB);
    let file = open(&mount, 0);
    mount.arm("eio_read at=5000+1 times=2");
    // In whole pages the pieces are of 1 MiB: sector 5000 is in the third.
    let mut buffer = vec![0; 4 * MIB as usize + 4096];
    let start = buffer.as_ptr().align_offset(4096);
    let buffer = &mut buffer[start..][..4 * MIB as usize];
    assert_eq!(file.read_at(buffer, 0).unwrap() as u64, 2 * MIB);
    let aio = |how| asynchronous_read(&mount, how, 0, 4 * MIB, "");
    assert_eq!(aio("direct"), -i64::from(libc::EIO));
    assert_eq!(aio("direct"), 4 * MIB as i64);
}

#[test]
fn asynchronous_read_uses_the_size_that_the_kernel_heard_last() {
    page_says(PAGE, "Past the old end of an image that the host has grown");
    let mount = Mount::of_size(MIB);
    let grow = format!("truncate -s {} {}", 2 * MIB, mount.image().display());
    for (after, expected) in [("", 0), ("stat", 4096)] {
        let host = File::options().write(true).open(mount.image()).unwrap();
        host.set_len(MIB).unwrap();
        let words = format!("run {after}");
        let mut aio = aio(&mount, "direct", MIB, 4096, &words);
        let output = run(aio.env("RUN", &grow));
        assert_eq!(result_of(&output), expected);
    }
}

fn asynchronous_read(mount: &Mount, how: &str, offset: u64, len: u64, words: &str) -> i64 {
    result_of(&run(&mut aio(mount, how, offset, len, words)))
}

/// tests/host/aio.py, which reads the data file.
fn aio(mount: &Mount, how: &str, offset: u64, len: u64, words: &str) -> Command {
    let mut python = Command::new("python3");
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/aio.py"));
    python.arg(how).arg(mount.vda());
    python.args([offset.to_string(), len.to_string()]);
    python.args(words.split_whitespace());
    python
}

fn result_of(aio: &std::process::Output) -> i64 {
    let text = stdout(aio);
    let result = text.lines().next().and_then(|line| line.parse().ok());
    result.unwrap_or_else(|| panic!("{text}{}", stderr(aio)))
}

#[test]
fn copy_meets_a_rule_on_a_hole() {
    let mount = Mount::of_size(MIB);
    let copy = |mount: &Mount| -> std::process::Output {
        let to: PathBuf = mount.folder().join("copy.img");
        run(Command::new("cp").arg(mount.vda()).arg(to))
    };
    assert_ok(&copy(&mount));
    mount.arm("eio_read at=2047+1");
    assert_fails(&copy(&mount), 1, &["Input/output error"]);
}
