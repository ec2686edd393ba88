//! The control files as a client writes and reads them.

use std::sync::Arc;

use tempfile::NamedTempFile;

use super::{Control, Text};
use crate::disk::{Disk, Disks};
use crate::protocol::disk_options::DiskOptions;
use crate::protocol::names::LONGEST_CONTROL_WRITE;
use crate::protocol::{ControlFile, DiskFile, Errno};

fn control() -> (NamedTempFile, Control) {
    let image = NamedTempFile::new().unwrap();
    image.as_file().set_len(1 << 20).unwrap();
    let disks = Arc::new(Disks::start().unwrap());
    disks
        .attach("vda", image.path(), DiskOptions::default())
        .unwrap();
    (image, Control::new(disks))
}

fn vda(control: &Control) -> Arc<Disk> {
    control.disks.find("vda").unwrap().1
}

fn faults(control: &Control) -> String {
    control
        .read_disk(&vda(control), DiskFile::Faults)
        .unwrap()
        .whole()
}

fn disks(control: &Control) -> String {
    control.read(ControlFile::Disks).unwrap().whole()
}

fn write_faults(control: &Control, text: &str, replace: bool) -> Result<(), Errno> {
    control.write_disk(&vda(control), DiskFile::Faults, text.as_bytes(), replace)
}

#[test]
fn faults_file_reads_as_it_was_armed() {
    let (_image, control) = control();
    assert_eq!(faults(&control), "");
    write_faults(&control, "slow\neio_read\n", false).unwrap();
    write_faults(&control, "eio_write", false).unwrap();
    assert_eq!(faults(&control), "slow\neio_read\neio_write\n");
    write_faults(&control, "!slow", false).unwrap();
    assert_eq!(faults(&control), "eio_read\neio_write\n");
    write_faults(&control, "slow", true).unwrap();
    assert_eq!(faults(&control), "slow\n");
    write_faults(&control, "\n", true).unwrap();
    assert_eq!(faults(&control), "");
}

#[test]
fn write_rejected_leaves_the_set_unchanged_and_says_why() {
    let (_image, control) = control();
    write_faults(&control, "slow", false).unwrap();
    for replace in [false, true] {
        let result = write_faults(&control, "eio_read\nbogus\n", replace);
        assert_eq!(result, Err(Errno(libc::EINVAL)));
        assert_eq!(faults(&control), "slow\n");
    }
    assert_eq!(
        control.read(ControlFile::Error).unwrap().whole(),
        "2 vda/faults: line 2, column 1: unknown mode `bogus` (valid: eio_read, eio_write, slow, \
         error, delay, hang, corrupt, lose, tear, misdirect, stale, cut, limit)\n"
    );
}

#[test]
fn disk_file_has_the_length_of_its_text() {
    let (_image, control) = control();
    let vda = vda(&control);
    let rules = "slow times=3 tag=a\neio_read when=a\nerror op=read sectors=4 heal=write\nslow";
    for (file, text) in [
        (DiskFile::Seed, "7"),
        (DiskFile::Faults, ""),
        (DiskFile::Faults, rules),
        (DiskFile::Faults, "!slow\neio_read at=99999+8"),
        (DiskFile::Rules, "off"),
        (DiskFile::Faults, "!a"),
    ] {
        let written = write_vda(&control, file, text);
        assert_eq!(
            written,
            Ok(()),
            "{text}: {}",
            control.read(ControlFile::Error).unwrap().whole()
        );
        for file in DiskFile::ALL {
            let is_right = || {
                let text = control.read_disk(&vda, file).map(Text::whole);
                control.disk_len(&vda, file) == text.map(|text| text.len() as u64)
            };
            // The age of a rule is sometimes shorter as a text, by chance.
            assert!((0..100).any(|_| is_right()), "{file:?} {text}");
        }
    }
}

#[test]
fn removal_that_would_replace_the_set_is_rejected() {
    let (_image, control) = control();
    write_faults(&control, "slow\neio_read", false).unwrap();
    write_faults(&control, "!slow", true).unwrap_err();
    assert_eq!(faults(&control), "slow\neio_read\n");
}

#[test]
fn rejection_is_one_line_for_any_write() {
    let (_image, control) = control();
    control
        .write(ControlFile::Detach, b"'two\nlines\x1b'")
        .unwrap_err();
    assert_eq!(
        control.read(ControlFile::Error).unwrap().whole(),
        "1 detach: no disk `two\\nlines\\u{1b}` (attached: vda)\n"
    );
}

fn write_vda(control: &Control, file: DiskFile, text: &str) -> Result<(), Errno> {
    control.write_disk(&vda(control), file, text.as_bytes(), false)
}

#[test]
fn rules_switched_off_stay_armed_and_say_so() {
    let (_image, control) = control();
    write_faults(&control, "eio_read", false).unwrap();
    let rules = || {
        let text = control.read_disk(&vda(&control), DiskFile::Rules);
        text.unwrap().whole()
    };
    write_vda(&control, DiskFile::Rules, "off\n").unwrap();
    assert!(rules().starts_with("off\neio_read "), "{}", rules());
    assert_eq!(faults(&control), "eio_read\n");
    write_vda(&control, DiskFile::Rules, "on").unwrap();
    assert!(rules().starts_with("eio_read "), "{}", rules());
    let wrong = write_vda(&control, DiskFile::Rules, "of");
    assert_eq!(wrong, Err(Errno(libc::EINVAL)));
}

#[test]
fn image_is_unlocked_only_while_its_disk_is_not_open_and_locked_by_the_next_open() {
    let (image, control) = control();
    let disk = vda(&control);
    let open = || crate::storage::FileImage::open(image.path(), false);
    let client = disk.open().unwrap();
    let unlock = || write_vda(&control, DiskFile::Image, "unlock");
    assert_eq!(unlock(), Err(Errno(libc::EBUSY)));
    disk.close(client);
    assert!(open().is_err());
    unlock().unwrap();
    let other = open().unwrap();
    assert_eq!(disk.open(), Err(Errno(libc::EBUSY)));
    assert!(disk.claim_image().is_err());
    drop(other);
    disk.open().unwrap();
    assert!(open().is_err());
}

#[test]
fn writes_that_are_binary_or_too_long_are_rejected() {
    let (_image, control) = control();
    for data in [&b"\xff\xfe\0"[..], &[b'\n'; LONGEST_CONTROL_WRITE + 1]] {
        let vda = vda(&control);
        let result = control.write_disk(&vda, DiskFile::Faults, data, true);
        assert_eq!(result, Err(Errno(libc::EINVAL)));
        for file in [ControlFile::Attach, ControlFile::Detach] {
            assert_eq!(control.write(file, data), Err(Errno(libc::EINVAL)));
        }
    }
}

#[test]
fn attach_takes_shell_quoting_and_lists_the_disk() {
    let (_image, control) = control();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two words.img");
    std::fs::write(&path, [0; 1024]).unwrap();
    let line = format!("vdb '{}' ro\n", path.display());
    control.write(ControlFile::Attach, line.as_bytes()).unwrap();
    let disks_now = disks(&control);
    let last = disks_now.lines().last().unwrap();
    assert_eq!(last, format!("vdb 1024 ro '{}'", path.display()));
    control.write(ControlFile::Detach, b"vdb\n").unwrap();
    assert_eq!(disks(&control).lines().count(), 1);
}

#[test]
fn attach_and_detach_reject_bad_lines_with_their_errnos() {
    let (image, control) = control();
    let image = image.path().display();
    let attach = |line: String| control.write(ControlFile::Attach, line.as_bytes());
    assert_eq!(attach(String::new()), Err(Errno(libc::EINVAL)));
    assert_eq!(attach("vdb".into()), Err(Errno(libc::EINVAL)));
    assert_eq!(attach("vdb relative.img".into()), Err(Errno(libc::EINVAL)));
    assert_eq!(attach("vdb '/unclosed".into()), Err(Errno(libc::EINVAL)));
    assert_eq!(attach("vdb /proc/version".into()), Err(Errno(libc::EINVAL)));
    assert_eq!(attach("vdb /a /b /c".into()), Err(Errno(libc::EINVAL)));
    assert_eq!(attach(format!("1b {image}")), Err(Errno(libc::EINVAL)));
    assert_eq!(attach(format!("vda {image}")), Err(Errno(libc::EEXIST)));
    assert_eq!(attach(format!("vdb {image}")), Err(Errno(libc::EBUSY)));
    assert_eq!(attach("vdb /no/such.img".into()), Err(Errno(libc::ENOENT)));
    assert_eq!(attach("vdb /tmp".into()), Err(Errno(libc::EISDIR)));
    let detach = |line: &str| control.write(ControlFile::Detach, line.as_bytes());
    assert_eq!(detach("vdz"), Err(Errno(libc::ENOENT)));
    assert_eq!(detach(""), Err(Errno(libc::EINVAL)));
    assert_eq!(disks(&control).lines().count(), 1);
}

#[test]
fn control_files_read_and_take_what_their_permissions_say() {
    let (_image, control) = control();
    let vda = vda(&control);
    for file in ControlFile::ALL {
        let reads = control.read(file).is_ok() || control.listen(file).is_ok();
        assert_eq!(reads, file.permissions() & 0o400 != 0, "{file:?}");
        let writes = control.write(file, b"\0") != Err(Errno(libc::EACCES));
        assert_eq!(writes, file.permissions() & 0o200 != 0, "{file:?}");
    }
    for file in DiskFile::ALL {
        let reads =
            control.read_disk(&vda, file).is_ok() || control.listen_to_disk(&vda, file).is_ok();
        assert_eq!(reads, file.permissions() & 0o400 != 0, "{file:?}");
        let writes = control.write_disk(&vda, file, b"\0", false) != Err(Errno(libc::EACCES));
        assert_eq!(writes, file.permissions() & 0o200 != 0, "{file:?}");
    }
}
