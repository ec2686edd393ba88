//! The numbers, defaults, limits and error texts of docs/faults.md, docs/control-files.md and the help, each beside
//! its proof, unless another test has it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use provium::os::sys::ioctl_read_u64;
use provium::protocol::names::{IOCTL_INJECTED_ERRORS, IOCTL_OWN_CALLS};

use crate::docs::{help_says, page_says};
use crate::harness::*;

const FAULTS: &str = "docs/faults.md";
const FILES: &str = "docs/control-files.md";

/// The text of an armed rule.
fn shown(mount: &Mount, rule: &str) -> String {
    std::fs::write(mount.ctl("vda/faults"), format!("{rule}\n")).unwrap();
    mount.read("vda/faults").trim_end().to_owned()
}

#[test]
fn mode_is_short_for_its_rule() {
    page_says(FAULTS, "| `eio_read` | `error op=read errno=EIO` |");
    page_says(FAULTS, "| `eio_write` | `error op=write,zero errno=EIO` |");
    page_says(FAULTS, "| `slow` | `delay op=read,write,zero by=50ms` |");
    let mount = Mount::new();
    for (mode, rule) in [
        ("eio_read", "error op=read errno=EIO"),
        ("eio_write", "error op=write,zero errno=EIO"),
        ("slow", "delay op=read,write,zero by=50ms"),
    ] {
        assert_eq!(shown(&mount, rule), mode);
        mount.arm(mode);
        assert_eq!(
            mount.read("vda/faults"),
            format!("{mode}\n"),
            "they are equal"
        );
    }
}

#[test]
fn rule_has_the_defaults_of_the_page() {
    page_says(FAULTS, "until `max=` (60 s) has passed");
    page_says(FAULTS, "fails with `then=ERRNO` (EIO)");
    page_says(FAULTS, "flips `bits=` (1)");
    page_says(FAULTS, "succeeds with `then=ok` (the default)");
    page_says(FAULTS, "| `point=` | `before` (the default)");
    page_says(FAULTS, "| `scope=` | `mount` (the default)");
    page_says(FAULTS, "| `keep=` | `none` (the default)");
    page_says(FAULTS, "with the probability `p=` (0.5)");
    let mount = Mount::new();
    for (rule, expected) in [
        ("hang", "hang op=all max=1m then=EIO"),
        ("corrupt how=flip", "corrupt op=read,write how=flip bits=1"),
        ("tear keep=1", "tear op=write keep=1 then=ok"),
        ("cut", "cut op=all point=before scope=mount keep=none"),
        (
            "cut keep=random",
            "cut op=all point=before scope=mount keep=random p=0.5",
        ),
    ] {
        assert_eq!(shown(&mount, rule), expected);
    }
}

#[test]
fn action_has_the_operations_of_the_page() {
    for row in [
        "| the request fails | `errno=` (EIO), [`heal=`, `tries=` (1), `spares=`](#sectors-that-heal) | any |",
        "| the request waits first | `by=` | any |",
        "| `max=` (60 s), `then=` (EIO) | any |",
        "| `how=`, `bits=` (1), `byte=` | `read`, `write` |",
        "but not done | | `write`, `flush`, `discard`, `zero` |",
        "| `keep=`, `then=` (ok) | `write` |",
        "| the sectors are served elsewhere | `by=` | `read`, `write`, `discard`, `zero` |",
        "| reads return old data | | `read` |",
        "| `point=` (before), `scope=` (mount), `keep=` (none), `p=` (0.5), `seed=`, `tear=`, `garbage=` | any |",
    ] {
        page_says(FAULTS, row);
    }
    page_says(
        FAULTS,
        "Sectors that would land outside the disk are not done. The others of the request are, and then it fails with EIO",
    );
    page_says(FAULTS, "Default: all operations of the action");
    let mount = Mount::new();
    for (rule, ops) in [
        ("error errno=EIO", "all"),
        ("delay by=1ms", "all"),
        ("hang", "all"),
        ("corrupt how=zero", "read,write"),
        ("lose", "write,flush,discard,zero"),
        ("tear keep=1", "write"),
        ("misdirect by=+1", "read,write,discard,zero"),
        ("stale", "read"),
        ("cut", "all"),
    ] {
        let shown = shown(&mount, rule);
        assert_eq!(shown.split(' ').nth(1).unwrap(), format!("op={ops}"));
    }
    for rule in ["lose op=read", "tear keep=1 op=read", "stale op=write"] {
        assert_eq!(errno(mount.append("vda/faults", rule)), libc::EINVAL);
    }
    mount.clear();
    mount.arm("misdirect by=-1");
    let file = open_direct(&mount.vda());
    assert_eq!(
        errno(file.read_at(&mut AlignedSector([0; 512]).0, 0)),
        libc::EIO
    );
}

#[test]
fn durations_have_a_unit() {
    page_says(FAULTS, "Times have a unit: `200us`, `50ms`, `1.5s`, `2m`");
    let mount = Mount::new();
    for (time, expected) in [
        ("200us", "200us"),
        ("50ms", "50ms"),
        ("1.5s", "1500ms"),
        ("2m", "2m"),
    ] {
        let rule = shown(&mount, &format!("delay op=flush by={time}"));
        assert_eq!(rule, format!("delay op=flush by={expected}"));
    }
    let bare = mount.append("vda/faults", "delay by=50");
    assert_eq!(errno(bare), libc::EINVAL);
}

#[test]
fn counts_sectors_and_durations_have_limits() {
    page_says(FAULTS, "N of these three keys is at most 10^15");
    page_says(FAULTS, "The longest time is a year");
    page_says(FAULTS, "Sector numbers are below 2^54");
    let mount = Mount::new();
    for (most, more) in [
        ("times=1000000000000000", "times=1000000000000001"),
        ("skip=1000000000000000", "skip=18446744073709551615"),
        ("every=1000000000000000", "every=1000000000000001"),
        ("at=18014398509481983+1", "at=18014398509481983+2"),
        ("after=525600m", "after=525601m"),
    ] {
        let rule = shown(&mount, &format!("error op=flush errno=EIO {most}"));
        assert_eq!(rule.split(' ').count(), 4, "{rule}");
        let refused = mount.append("vda/faults", &format!("error {more}"));
        assert_eq!(errno(refused), libc::EINVAL, "{more}");
        let value = format!("`{more}` expects ");
        assert!(
            mount.read("error").contains(&value),
            "{}",
            mount.read("error")
        );
    }
}

#[test]
fn probability_with_times_goes_on_until_that_many_have_failed() {
    page_says(
        FAULTS,
        "`p=0.5 times=5` goes on until 5 requests have failed",
    );
    let mount = Mount::new();
    mount.arm("eio_read p=0.5 times=5 seed=1");
    let file = open_direct(&mount.vda());
    let mut sector = AlignedSector([0; 512]);
    let failed = (0..100).filter(|_| file.read_at(&mut sector.0, 0).is_err());
    assert_eq!(failed.count(), 5);
}

#[test]
fn control_write_has_at_most_65536_bytes() {
    page_says(FILES, "A write has at most 65536 bytes");
    let mount = Mount::new();
    let longest = format!("slow{}", "\n".repeat(65536 - 4));
    mount.append("vda/faults", &longest).unwrap();
    assert_eq!(mount.read("vda/faults"), "slow\n");
    let longer = mount.append("vda/faults", &format!("{longest}\n"));
    assert_eq!(errno(longer), libc::EINVAL);
    let expected = "a write of rules has at most 65536 bytes, this one has 65537";
    assert!(mount.read("error").contains(expected));
}

#[test]
fn remove_within_a_replacement_is_refused_and_changes_nothing() {
    page_says(FILES, "`!` together with `>` is rejected");
    let mount = Mount::new();
    mount.arm("slow");
    let replaced = std::fs::write(mount.ctl("vda/faults"), "!slow\n");
    assert_eq!(errno(replaced), libc::EINVAL);
    assert_eq!(mount.read("vda/faults"), "slow\n");
    assert!(mount.read("error").contains("append with `>>`"));
}

#[test]
fn trace_has_at_most_16_readers() {
    page_says(
        FILES,
        "At most 16 readers may have it open at a time (EMFILE)",
    );
    let mount = Mount::new();
    let open = || File::open(mount.ctl("vda/trace"));
    let mut readers: Vec<_> = (0..16).map(|_| open().unwrap()).collect();
    assert_eq!(errno(open()), libc::EMFILE);
    readers.pop();
    eventually("one has gone", || open().is_ok());
}

#[test]
fn stats_have_each_key_that_the_page_names() {
    let keys = [
        "requests",
        "bytes",
        "delayed",
        "held",
        "lost",
        "torn",
        "misdirected",
        "corrupted",
        "stale",
        "cut",
        "errors_injected",
        "errors_host",
        "answered",
        "latency_ns_p50",
    ];
    let mount = Mount::new();
    let stats = mount.read("vda/stats");
    for key in keys {
        page_says(FILES, &format!("`OP_{key}`"));
        for op in ["read", "write", "flush", "discard", "zero"] {
            assert_eq!(stat_in(&stats, &format!("{op}_{key}")), 0);
        }
    }
    page_says(
        FILES,
        "`_p90`, `_p99`, `_p999` (accurate to 1/16), `_max` and `_sum`",
    );
    for end in ["p90", "p99", "p999", "max", "sum"] {
        assert_eq!(stat_in(&stats, &format!("read_latency_ns_{end}")), 0);
    }
    page_says(
        FILES,
        "| `held_bytes_limit` | 1 GiB unless `-o memory=SIZE` says otherwise",
    );
    assert_eq!(stat_in(&stats, "held_bytes_limit"), 1 << 30);
    assert_eq!(stat_in(&stats, "in_flight"), 0);
    assert_eq!(stat_in(&stats, "open_files"), 0);
}

#[test]
fn kernel_cuts_calls_into_requests_of_at_most_a_mebibyte() {
    page_says(FILES, "requests of at most 1 MiB");
    let mount = Mount::new();
    let file = open_direct(&mount.vda());
    let mut buffer = vec![0; 4 * MIB as usize + 4096];
    let start = buffer.as_ptr().align_offset(4096);
    file.read_exact_at(&mut buffer[start..][..4 * MIB as usize], 0)
        .unwrap();
    assert_eq!(mount.stat("read_requests"), 4);
    mount.arm("eio_read size=1048577..");
    file.read_exact_at(&mut buffer[start..][..4 * MIB as usize], 0)
        .unwrap();
}

#[test]
fn attach_and_detach_fail_with_the_errno_of_the_table() {
    for row in [
        "| EINVAL | a bad line or ID; a relative path |",
        "| EINVAL | an image that lies in this mount itself",
        "| EEXIST | the ID is taken |",
        "| ENOENT | no such image, no such disk |",
        "| EISDIR, EACCES, EROFS | the image cannot be opened |",
        "| EBUSY | the image is served already; the disk is in use |",
        "An ID is a letter, then up to 62 letters, digits, `.`, `_` or `-`; `ctl` is reserved",
        "one disk at a time may write an image, or any number may read it",
    ] {
        page_says(FILES, row);
    }
    let mount = Mount::new();
    let spare = new_image(&mount.folder().join("spare.img"), 512);
    let spare = spare.display().to_string();
    let folder = mount.folder().display().to_string();
    let served = mount.image().display().to_string();
    let attach = |line: String| match mount.append("attach", &line) {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().unwrap(),
    };
    let (longest, too_long) = ("a".repeat(63), "a".repeat(64));
    for (line, expected) in [
        (format!("{too_long} {spare}"), libc::EINVAL),
        (format!("1 {spare}"), libc::EINVAL),
        (format!("ctl {spare}"), libc::EINVAL),
        ("vdb".to_owned(), libc::EINVAL),
        ("vdb spare.img".to_owned(), libc::EINVAL),
        (format!("vdb {}", mount.vda().display()), libc::EINVAL),
        (format!("vda {spare}"), libc::EEXIST),
        (format!("vdb {folder}/none.img"), libc::ENOENT),
        (format!("vdb {folder}"), libc::EISDIR),
        (format!("vdb {served}"), libc::EBUSY),
        (format!("vdb {served} ro"), libc::EBUSY),
        (format!("{longest} {spare} ro"), 0),
        (format!("vdb {spare} ro"), 0),
        (format!("vdc {spare}"), libc::EBUSY),
    ] {
        assert_eq!(attach(line.clone()), expected, "{line}");
    }
    assert_eq!(errno(mount.append("detach", "vdz")), libc::ENOENT);
    let open = File::open(mount.vda()).unwrap();
    assert_eq!(errno(mount.append("detach", "vda")), libc::EBUSY);
    drop(open);
}

#[test]
fn ioctl_counts_the_errors_injected_through_one_file() {
    page_says(FILES, "`_IOR('P', 1, uint64_t)`");
    assert_eq!(
        IOCTL_INJECTED_ERRORS,
        2 << 30 | 8 << 16 | u32::from(b'P') << 8 | 1
    );
    let mount = Mount::new();
    let (one, other) = (open_direct(&mount.vda()), open_direct(&mount.vda()));
    mount.arm("eio_read times=2");
    for _ in 0..3 {
        let _ = one.read_at(&mut AlignedSector([0; 512]).0, 0);
    }
    let count = |file| ioctl_read_u64(file, u64::from(IOCTL_INJECTED_ERRORS)).unwrap();
    assert_eq!((count(&one), count(&other)), (2, 0));
}

#[test]
fn rules_for_a_client_tell_a_file_marked_as_the_hosts_own_from_others() {
    page_says(FILES, "`_IOR('P', 2, uint64_t)`");
    page_says(FAULTS, "`client=`");
    assert_eq!(
        IOCTL_OWN_CALLS,
        2 << 30 | 8 << 16 | u32::from(b'P') << 8 | 2
    );
    let mount = Mount::new();
    let (own, other) = (open_direct(&mount.vda()), open_direct(&mount.vda()));
    mount.arm("eio_read client=guest");
    let read = |file: &File| file.read_at(&mut AlignedSector([0; 512]).0, 0).is_ok();
    assert_eq!((read(&own), read(&other)), (false, false));
    ioctl_read_u64(&own, u64::from(IOCTL_OWN_CALLS)).unwrap();
    assert_eq!((read(&own), read(&other)), (true, false));
    mount.arm("!eio_read client=guest");
    mount.arm("eio_read client=host");
    assert_eq!((read(&own), read(&other)), (false, true));
    mount.arm("!eio_read client=host");
    mount.arm("eio_read client=guest");
    drop(own);
    assert!(
        !read(&open_direct(&mount.vda())),
        "it was for that file alone"
    );
}

#[test]
fn slow_waits_50_milliseconds() {
    page_says(FILES, "wait 50 ms first");
    let mount = Mount::new();
    let file = open_direct(&mount.vda());
    mount.arm("slow");
    let began = Instant::now();
    file.read_at(&mut AlignedSector([0; 512]).0, 0).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(50));
    assert_eq!(mount.stat("read_delayed"), 1);
}

#[test]
fn help_states_exit_codes_and_defaults() {
    help_says(
        "",
        "Exit codes: 0 done, 1 failed, 2 wrong usage, configuration, rule or ID, 4 no tests matched.",
    );
    let missing = provium(&["umount", "/no/such/mount"]);
    assert_eq!(missing.status.code(), Some(1));
    let usage = provium(&["umount", "--no-such-option"]);
    assert_eq!(usage.status.code(), Some(2));
    let folder = TempDir::new().unwrap();
    let test = provium(&["test", folder.path().to_str().unwrap()]);
    assert_eq!(test.status.code(), Some(4), "{}", stderr(&test));
    help_says("fault", "Add the rules to the armed ones (the default)");
    let mount = Mount::new();
    let vda = mount.vda().display().to_string();
    assert_ok(&provium(&["fault", &vda, "slow"]));
    assert_ok(&provium(&["fault", &vda, "eio_read"]));
    assert_eq!(mount.read("vda/faults"), "slow\neio_read\n");
    help_says("top", "[default: 1s]");
}
