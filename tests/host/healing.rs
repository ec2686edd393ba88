//! Bad sectors that heal, and sectors that are drawn, through a mount.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::process::Command;

use crate::harness::*;

/// One step of a dm-dust session and of ours.
struct Step {
    /// What the documentation of dm-dust does.
    dust: &'static str,
    /// The shell command, in the folder of the disk under `ctl/`.
    ours: &'static str,
    /// What both say, in our words.
    says: &'static str,
}

const fn step(dust: &'static str, ours: &'static str, says: &'static str) -> Step {
    Step { dust, ours, says }
}

const READ: &str = "dd if=../../vda of=/dev/null bs=512 count=1 iflag=direct status=none 2> /dev/null && echo ok || echo EIO";

/// The session of the kernel's Documentation/admin-guide/device-mapper/dm-dust.rst, with its blocks of 512 bytes.
const SESSION: &[Step] = &[
    step(
        "addbadblock 60, disabled",
        "echo off > rules; echo 'eio_read at=60+1 heal=write tag=b60' >> faults",
        "",
    ),
    step(
        "addbadblock 67",
        "echo 'eio_read at=67+1 heal=write tag=b67' >> faults",
        "",
    ),
    step(
        "addbadblock 72",
        "echo 'eio_read at=72+1 heal=write tag=b72' >> faults",
        "",
    ),
    step("bypass: a read succeeds", "READ skip=67", "ok"),
    step(
        "bypass: a write heals nothing",
        "WRITE seek=60; grep -c 'bad=[0-9]' rules",
        "ok\n3",
    ),
    step(
        "countbadblocks",
        "echo on > rules; grep -c 'bad=[0-9]' rules",
        "3",
    ),
    step(
        "queryblock 72",
        "grep -q 'tag=b72 .*bad=72+1' rules && echo found || echo not found",
        "found",
    ),
    step(
        "queryblock 73",
        "grep -q 'tag=b73 .*bad=73+1' rules && echo found || echo not found",
        "not found",
    ),
    step(
        "listbadblocks",
        "PROVIUM fault ../../vda --show-sectors",
        "60 1\n67 1\n72 1",
    ),
    step("enabled: a read fails", "READ skip=67", "EIO"),
    step("its neighbour does not", "READ skip=68", "ok"),
    step(
        "removebadblock 72",
        "echo '!b72' >> faults; READ skip=72",
        "ok",
    ),
    step(
        "removebadblock 72 again: invalid",
        "(echo '!b72' >> faults) 2> /dev/null || echo invalid",
        "invalid",
    ),
    step(
        "a write of 128 blocks heals",
        "dd if=/dev/zero of=../../vda bs=512 count=128 oflag=direct conv=notrunc status=none; \
        READ skip=60; READ skip=67; PROVIUM fault ../../vda --show-sectors",
        "ok\nok",
    ),
    step(
        "countbadblocks after it",
        "grep -c 'bad=[0-9]' rules || true",
        "0",
    ),
    step(
        "addbadblock 87 2: two writes fail",
        "echo 'eio_read at=87+1 heal=write tries=3 tag=b87' >> faults; \
        WRITE seek=87; READ skip=87; WRITE seek=87; WRITE seek=87; READ skip=87",
        "EIO\nEIO\nEIO\nok\nok",
    ),
    step(
        "disable, enable",
        "echo 'eio_read at=88+1 heal=write tag=b88' >> faults; echo off > rules; READ skip=88; \
        echo on > rules; READ skip=88",
        "ok\nEIO",
    ),
    step(
        "clearbadblocks",
        ": > faults; READ skip=88; cat faults",
        "ok",
    ),
];

#[test]
fn session_of_dm_dust_has_the_documented_outcomes() {
    let mount = Mount::new();
    let write = READ
        .replace("if=../../vda of=/dev/null", "if=/dev/zero of=../../vda")
        .replace("iflag=direct", "oflag=direct conv=notrunc");
    for Step { dust, ours, says } in SESSION {
        // The arguments of dd stand behind the word.
        let with = |text: &str, word: &str, command: &str| {
            let mut parts = text.split(word);
            let mut all = parts.next().unwrap().to_owned();
            for part in parts {
                let end = part.find(';').unwrap_or(part.len());
                let (argument, rest) = part.split_at(end);
                all += &format!(
                    "{}{rest}",
                    command.replace("status=none", &format!("status=none {argument}"))
                );
            }
            all
        };
        let script = with(&with(ours, "READ", READ), "WRITE", &write).replace("PROVIUM", PROVIUM);
        let output = run(Command::new("sh")
            .args(["-c", &script])
            .current_dir(mount.ctl("vda")));
        assert_eq!(
            stdout(&output).trim_end(),
            *says,
            "{dust}: {script}: {}",
            stderr(&output)
        );
    }
}

fn sectors_shown(mount: &Mount) -> Vec<u64> {
    let shown = on(mount, "fault", "vda", &["--show-sectors"]);
    assert_ok(&shown);
    let text = stdout(&shown);
    let numbers = |line: &str| {
        let (start, count) = line.split_once(' ').unwrap();
        let start: u64 = start.parse().unwrap();
        start..start + count.parse::<u64>().unwrap()
    };
    text.lines().flat_map(numbers).collect()
}

#[test]
fn map_of_ddrescue_has_the_sectors_that_were_drawn() {
    if !has("ddrescue") {
        return;
    }
    let mount = Mount::of_size(32 << 20);
    mount.arm("eio_read sectors=3000 seed=9");
    let drawn = sectors_shown(&mount);
    assert_eq!(drawn.len(), 3000);
    let map = mount.folder().join("map");
    let copy = mount.folder().join("copy");
    let mut ddrescue = Command::new("ddrescue");
    let output = run(ddrescue
        .args(["-d", "-q", "-b", "512"])
        .args([&mount.vda(), &copy, &map]));
    assert_ok(&output);
    let map = std::fs::read_to_string(map).unwrap();
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    let mut bad = Vec::new();
    for line in map.lines().filter(|line| line.ends_with(" -")) {
        let words: Vec<_> = line.split_whitespace().collect();
        let (start, len) = (number(words[0]), number(words[1]));
        assert!((start | len).is_multiple_of(512), "{line}");
        bad.extend(start / 512..(start + len) / 512);
    }
    assert_eq!(bad, drawn);
}

#[test]
fn sectors_heal_by_writes_with_a_cache_and_a_log_and_stay_bad_in_a_checkpoint() {
    for options in ["", ",cache=volatile"] {
        let folder = tempfile::tempdir().unwrap();
        let image = new_image(&folder.path().join("disk.img"), 1 << 20);
        let disk = format!("vda={}{options}", image.display());
        let mount = Mount::serve(folder, &["--disk", &disk]);
        mount.arm("eio_read at=8+8 heal=write");
        mount.append("vda/checkpoint", "save a faults=yes").unwrap();
        let log = mount.folder().join("log");
        let start = format!("start {} base=none", log.display());
        mount.append("vda/log", &start).unwrap();
        let file = OpenOptions::new().write(true).open(mount.vda()).unwrap();
        file.write_all_at(&[1; 1024], 9 * 512).unwrap();
        assert_eq!(sectors_shown(&mount), [8, 11, 12, 13, 14, 15], "{options}");
        assert!(read_sector(&mount, 9).is_ok() && read_sector(&mount, 8).is_err());
        run(Command::new("fallocate")
            .args(["-z", "-o", "6144", "-l", "1024"])
            .arg(mount.vda()));
        assert_eq!(sectors_shown(&mount), [8, 11, 14, 15], "{options}");
        run(Command::new("fallocate")
            .args(["-p", "-o", "4096", "-l", "512"])
            .arg(mount.vda()));
        assert_eq!(
            sectors_shown(&mount),
            [8, 11, 14, 15],
            "discarding heals nothing"
        );
        drop(file);
        mount.append("vda/log", "stop").unwrap();
        mount.append("vda/checkpoint", "restore a").unwrap();
        assert_eq!(
            sectors_shown(&mount),
            [8, 9, 10, 11, 12, 13, 14, 15],
            "{options}"
        );
    }
}

#[test]
fn misdirected_and_torn_writes_heal_where_they_land() {
    let mount = Mount::new();
    mount.arm("tear keep=1 times=1\nmisdirect op=write by=+8\neio_read at=8+16 heal=write");
    let file = open_direct_to_write(&mount);
    file.write_all_at(&AlignedPage([1; 4096]).0[..1024], 8 * 512)
        .unwrap();
    assert_eq!(sectors_shown(&mount).len(), 15, "sector 16 alone");
    assert!(read_sector(&mount, 16).is_ok() && read_sector(&mount, 8).is_err());
    file.write_all_at(&AlignedPage([1; 4096]).0[..1024], 9 * 512)
        .unwrap();
    assert!(read_sector(&mount, 17).is_ok() && read_sector(&mount, 18).is_ok());
    assert_eq!(sectors_shown(&mount).len(), 13);
    // One that touches none of the bad sectors itself.
    file.write_all_at(&AlignedPage([1; 4096]).0[..512], 7 * 512)
        .unwrap();
    assert!(read_sector(&mount, 15).is_ok() && read_sector(&mount, 14).is_err());
    assert_eq!(sectors_shown(&mount).len(), 12);
}

fn open_direct_to_write(mount: &Mount) -> std::fs::File {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_DIRECT);
    options.open(mount.vda()).unwrap()
}

#[test]
fn writes_that_fail_by_tries_and_spares_are_injected_errors() {
    let mount = Mount::new();
    mount.arm("error op=read errno=ENODATA at=0+4 heal=write tries=2 spares=2 tag=s");
    let file = open_direct_to_write(&mount);
    let write = |sector: u64, count: usize| {
        let result = file.write_all_at(&AlignedPage([1; 4096]).0[..count * 512], sector * 512);
        result.map_err(|error| error.raw_os_error().unwrap())
    };
    assert_eq!(write(0, 1), Err(libc::ENODATA));
    assert_eq!(write(0, 1), Ok(()));
    assert_eq!(write(1, 2), Err(libc::ENODATA));
    assert_eq!(write(1, 2), Err(libc::ENODATA), "one spare is left");
    assert_eq!(write(1, 1), Ok(()));
    assert_eq!(mount.stat("write_errors_injected"), 3);
    let rules = mount.read("vda/rules");
    assert!(rules.contains("matched=0 fired=0"), "{rules}");
    assert!(rules.ends_with("bad=2+2 healed=2 refused=3\n"), "{rules}");
    assert_eq!(mount.read("vda/damage"), "");
}
