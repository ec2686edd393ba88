//! What a flush in the log covers: what was answered before it arrived, and no more.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::*;

/// The IDs of the states after the mark `end`.
fn states_at_end(mount: &Mount) -> Vec<String> {
    let log = log_of(mount);
    let args = ["states", log.to_str().unwrap(), "--list", "--from", "end"];
    let list = provium(&args);
    assert_ok(&list);
    stdout(&list).lines().map(str::to_owned).collect()
}

fn write(disk: &File, sector: u64) {
    disk.write_all_at(&[7; 512], sector * 512).unwrap();
}

fn end_log(mount: &Mount) {
    mount.append("vda/mark", "end").unwrap();
    stop_log(mount);
}

#[test]
fn flush_covers_the_writes_that_were_answered_before_it_arrived() {
    for cache in ["off", "volatile"] {
        let mount = mount_with(cache, 16 * MIB);
        let disk = File::options().write(true).open(mount.vda()).unwrap();
        start_log(&mount, "");
        write(&disk, 1);
        write(&disk, 2);
        disk.sync_all().unwrap();
        end_log(&mount);
        assert_eq!(states_at_end(&mount).len(), 1, "{cache}");
    }
}

#[test]
fn synchronous_write_is_durable_alone() {
    use std::os::unix::fs::OpenOptionsExt;
    for cache in ["off", "volatile"] {
        let mount = mount_with(cache, 16 * MIB);
        let disk = File::options().write(true).open(mount.vda()).unwrap();
        let mut options = File::options();
        let synchronous = options.write(true).custom_flags(libc::O_DSYNC);
        let synchronous = synchronous.open(mount.vda()).unwrap();
        start_log(&mount, "");
        write(&disk, 1);
        write(&synchronous, 2);
        end_log(&mount);
        // Without a cache such a write is followed by a flush, which covers the other one.
        let states = states_at_end(&mount).len();
        assert_eq!(states, if cache == "off" { 1 } else { 2 }, "{cache}");
    }
}
