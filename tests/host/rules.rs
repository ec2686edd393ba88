//! Rules through a mount: exact counts and ranges, seeds, holds and releases, the list of damage.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::docs::page_says;
use crate::harness::*;

/// Reads one sector `reads` times; the numbers, from 1, of the reads that fail with EIO.
fn failing(mount: &Mount, reads: u64) -> Vec<u64> {
    let file = open_direct(&mount.vda());
    let mut sector = AlignedSector([0; 512]);
    let fails = |_: &u64| match file.read_at(&mut sector.0, 0) {
        Ok(n) => {
            assert_eq!(n, 512);
            false
        }
        Err(error) => {
            assert_eq!(error.raw_os_error(), Some(libc::EIO));
            true
        }
    };
    (1..=reads).filter(fails).collect()
}

#[test]
fn skip_every_and_times_fail_exactly_the_reads_that_they_say() {
    for row in [
        "| `skip=` | matching requests after the first N |",
        "| `every=` | of the remaining requests, the Nth, 2Nth, 3Nth and so on |",
        "| `times=` | at most N requests in all",
    ] {
        page_says("docs/faults.md", row);
    }
    let mount = Mount::new();
    mount.arm("error op=read errno=EIO skip=100 every=7 times=50 tag=exact");
    let expected: Vec<u64> = (1..=50).map(|n| 100 + 7 * n).collect();
    assert_eq!(failing(&mount, 10_000), expected);
    let rules = mount.read("vda/rules");
    assert!(rules.contains(" matched=10000 fired=50 left=0 "), "{rules}");
    assert_eq!(mount.stat("read_errors_injected"), 50);
}

#[test]
fn probability_fails_the_same_reads_in_a_fresh_server() {
    let rule = "error op=read errno=EIO p=0.1 seed=42";
    let once = || {
        let mount = Mount::new();
        mount.arm(rule);
        failing(&mount, 10_000)
    };
    let first = once();
    assert_eq!(first, once());
    assert!((900..=1100).contains(&first.len()), "{}", first.len());
}

#[test]
fn seed_of_a_disk_is_the_default_for_its_rules() {
    let with_seed = |seed: &str| {
        let mount = Mount::new();
        std::fs::write(mount.ctl("vda/seed"), seed).unwrap();
        assert_eq!(mount.read("vda/seed"), format!("{seed}\n"));
        mount.arm("eio_read p=0.5");
        failing(&mount, 200)
    };
    assert_eq!(with_seed("7"), with_seed("7"));
    assert_ne!(with_seed("7"), with_seed("8"));
    let mount = Mount::new();
    assert_eq!(errno(mount.append("vda/seed", "many")), libc::EINVAL);
    assert!(
        mount
            .read("error")
            .contains("vda/seed: seed expects a whole number")
    );
}

#[test]
fn range_begins_and_ends_at_its_sectors_for_qemu_io() {
    if !has("qemu-io") {
        return;
    }
    let mount = Mount::new();
    mount.arm("error op=read errno=EIO at=2048+8");
    let reads = |sector: u64, count: u64| {
        let read = format!("read {} {}", sector * 512, count * 512);
        let mut qemu_io = Command::new("qemu-io");
        qemu_io.args(["-t", "none", "-n", "-f", "raw", "-c", &read]);
        let output = run(qemu_io.arg(mount.vda()));
        !stdout(&output).contains("Input/output error") && output.status.success()
    };
    assert!(reads(2047, 1) && reads(2056, 1));
    assert!(!reads(2048, 1) && !reads(2055, 1));
    assert!(!reads(2047, 2) && !reads(2041, 8));
    assert!(reads(2040, 8));
}

#[test]
fn action_and_selector_are_shown_as_they_were_armed() {
    let mount = Mount::new();
    let rules = "error op=flush errno=ENOSPC times=3 after=1s for=2m\n\
                 delay op=read by=20ms..80ms p=0.5 seed=1\n\
                 hang op=write max=5s then=ok tag=stuck\n\
                 corrupt op=read how=flip bits=3 at=0+1,8+2\n\
                 lose op=flush when=stuck\n\
                 tear op=write keep=2 then=EIO size=4096..\n\
                 misdirect op=write by=-8 skip=1 every=2\n\
                 stale op=read up=1s down=2s\n\
                 cut op=flush point=after scope=disk keep=only=3,5 tear=8 skip=2 times=1\n";
    mount.arm(rules);
    assert_eq!(mount.read("vda/faults"), rules);
    assert_eq!(mount.read("vda/rules").lines().count(), 9);
    mount.append("vda/faults", "!stuck").unwrap();
    assert_eq!(mount.read("vda/faults").lines().count(), 8);
    assert_eq!(errno(mount.append("vda/faults", "!stuck")), libc::EINVAL);
    assert!(
        mount
            .read("error")
            .contains("no rule has the tag `stuck`, and it is not a mode")
    );
}

/// A dd that reads the disk's first sector.
fn reader(mount: &Mount) -> std::process::Child {
    let mut dd = Command::new("dd");
    dd.arg(format!("if={}", mount.vda().display()));
    dd.args(["of=/dev/null", "bs=512", "count=1", "iflag=direct"]);
    dd.stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn held_read_is_listed_and_released_with_the_error_asked_for() {
    let mount = Mount::new();
    mount.arm("hang op=read tag=stuck");
    let mut dd = reader(&mount);
    eventually("it is held", || {
        mount.read("vda/inflight").starts_with("read 0 1 ")
    });
    assert!(dd.try_wait().unwrap().is_none());
    mount.append("vda/release", "stuck EIO").unwrap();
    assert!(!dd.wait().unwrap().success());
    let mut dd = reader(&mount);
    eventually("it is held", || !mount.read("vda/inflight").is_empty());
    mount.append("vda/release", "all").unwrap();
    assert!(dd.wait().unwrap().success());
    assert_eq!(mount.stat("read_held"), 2);
    for bad in ["\n", "other", "stuck EIX", "all EIO now"] {
        assert_eq!(
            errno(mount.append("vda/release", bad)),
            libc::EINVAL,
            "{bad}"
        );
    }
}

#[test]
fn hang_ends_with_its_max_with_clear_with_its_rule_and_with_the_mount() {
    let mut mount = Mount::new();
    mount.arm("hang op=read max=100ms then=ok");
    let started = Instant::now();
    assert!(reader(&mount).wait().unwrap().success());
    assert!(started.elapsed() >= Duration::from_millis(100));
    let held = |mount: &Mount| {
        let dd = reader(mount);
        eventually("it is held", || !mount.read("vda/inflight").is_empty());
        dd
    };
    mount.clear();
    mount.arm("hang op=read");
    let mut dd = held(&mount);
    mount.clear();
    assert!(dd.wait().unwrap().success());
    mount.arm("hang op=read");
    let mut dd = held(&mount);
    std::fs::write(mount.ctl("vda/faults"), "slow\n").unwrap();
    assert!(dd.wait().unwrap().success());
    std::fs::write(mount.ctl("vda/faults"), "hang op=read\n").unwrap();
    let mut dd = held(&mount);
    let started = Instant::now();
    mount.signal(libc::SIGTERM);
    dd.wait().unwrap();
    mount.wait_for_end();
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn held_requests_delay_no_other_when_they_are_10000() {
    if !has("fio") {
        return;
    }
    let most = most_held();
    let mut mount = Mount::of_size(64 * MIB);
    mount.arm("hang op=read tag=all-of-them");
    let fio = || {
        let mut fio = Command::new("fio");
        fio.args([
            "--name=held",
            "--rw=randread",
            "--bs=4k",
            "--direct=1",
            "--ioengine=libaio",
        ]);
        fio.args(["--numjobs=8", "--thread", "--io_size=10m", "--size=64m"]);
        fio.args([
            "--group_reporting",
            "--allow_file_create=0",
            "--time_based=0",
        ]);
        fio.arg(format!("--iodepth={}", most / 8));
        fio.arg(format!("--filename={}", mount.vda().display()));
        fio.stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let in_flight = |mount: &Mount| stat_in(&mount.read("vda/stats"), "in_flight");
    let mut clients = fio();
    eventually("all are held", || in_flight(&mount) == most);
    let started = Instant::now();
    for file in ["vda/faults", "vda/rules", "vda/stats", "disks", "version"] {
        let limit = Duration::from_millis(50);
        let took = quickest(limit, || drop(mount.read(file)));
        assert!(took < limit, "{file}: {took:?}");
    }
    let (threads, memory) = (mount.server_status("Threads"), mount.server_status("VmRSS"));
    assert!(
        threads < 64 && memory < 200 * 1024,
        "{threads} threads, {memory} KiB"
    );
    println!("answered within {:?}", started.elapsed());
    mount.clear();
    mount.append("vda/faults", "slow").unwrap();
    mount.clear();
    assert!(clients.wait().unwrap().success());
    // Held requests end with the mount.
    mount.arm("hang op=read");
    let mut clients = fio();
    eventually("all are held again", || in_flight(&mount) == most);
    let started = Instant::now();
    mount.signal(libc::SIGTERM);
    mount.wait_for_end();
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    let _ = clients.wait();
}

/// How many asynchronous requests the kernel passes on at once, in eights. For an ordinary user's mount it may be
/// fewer than 10,000.
fn most_held() -> u64 {
    let limit = std::fs::read_to_string("/sys/module/fuse/parameters/max_user_bgreq");
    let limit = limit.ok().and_then(|text| text.trim().parse::<u64>().ok());
    match limit {
        Some(limit) if provium::os::sys::uid() != 0 && limit < 10_000 => {
            eprintln!("an ordinary user: {limit} requests, not 10,000");
            limit / 8 * 8
        }
        _ => 10_000,
    }
}

#[test]
fn damage_lists_what_rules_did_to_the_image_and_nothing_else_changed() {
    let mount = Mount::new();
    mount.arm("corrupt op=write how=fill byte=0xee at=9+1");
    let file = std::fs::File::options()
        .write(true)
        .open(mount.vda())
        .unwrap();
    file.write_all_at(&[1; 4 * 512], 8 * 512).unwrap();
    let image = std::fs::read(mount.image()).unwrap();
    let mut expected = vec![0; image.len()];
    expected[8 * 512..12 * 512].fill(1);
    expected[9 * 512..10 * 512].fill(0xee);
    assert!(image == expected);
    let rule = "corrupt op=write how=fill byte=238 at=9+1";
    assert_eq!(mount.read("vda/damage"), format!("9 1 corrupted {rule}\n"));
}

#[test]
fn rules_swapped_concurrently_under_fio_leave_nothing() {
    if !has("fio") {
        return;
    }
    let mount = Mount::of_size(32 * MIB);
    let faults = mount.ctl("vda/faults").display().to_string();
    // Delays only: fio stops at an error, and has to verify everything that it writes.
    let script = format!(
        "set -e; while [ -e {go} ]; do
           (for n in $(seq 100); do echo \"delay by=${{n}}us at=$n+1\"; done) | dd bs=64k iflag=fullblock of={faults} conv=notrunc oflag=append status=none
           echo 'delay by=1ms p=0.01' > {faults}
           : > {faults}
         done",
        go = mount.folder().join("go").display(),
    );
    std::fs::write(mount.folder().join("go"), "").unwrap();
    let shell = |_| {
        Command::new("bash")
            .args(["-c", &script])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let shells: Vec<_> = (0..4).map(shell).collect();
    let mut fio = Command::new("fio");
    fio.args([
        "--name=v",
        "--rw=randrw",
        "--bs=4k",
        "--direct=1",
        "--ioengine=libaio",
        "--iodepth=16",
    ]);
    fio.args([
        "--size=16m",
        "--verify=crc32c",
        "--verify_fatal=1",
        "--verify_state_save=0",
    ]);
    let output = run(fio.arg(format!("--filename={}", mount.vda().display())));
    std::fs::remove_file(mount.folder().join("go")).unwrap();
    for shell in shells {
        let shell = shell.wait_with_output().unwrap();
        assert_ok(&shell);
    }
    assert_ok(&output);
    mount.clear();
    assert_eq!(mount.read("vda/faults"), "");
    assert_eq!(mount.read("vda/damage"), "");
}

#[test]
fn explain_names_the_rules_that_would_act_and_why_the_rest_would_not() {
    let mount = Mount::new();
    mount.arm(
        "error op=read errno=EIO at=8+1 times=1\nerror op=read errno=ENOSPC skip=5\n\
         lose op=write\neio_read after=1m\nslow",
    );
    let disk = mount.vda().display().to_string();
    let explain = |request: &str| stdout(&provium(&["fault", &disk, "--explain", request]));
    let lines = |text: String| -> Vec<String> {
        let line = |line: &str| match line.split_once(": it begins ") {
            Some((rule, _)) => rule.to_owned(),
            None => line.to_owned(),
        };
        text.lines().map(line).collect()
    };
    let expected = [
        "acts  error op=read errno=EIO at=8+1 times=1",
        "no    error op=read errno=ENOSPC skip=5: it passes over 5 more requests",
        "no    lose op=write: it is for write alone",
        "no    eio_read after=1m",
        "acts  slow",
    ];
    assert_eq!(lines(explain("read 8+1")), expected);
    let file = open_direct(&mount.vda());
    let mut sector = AlignedSector([0; 512]);
    assert_eq!(errno(file.read_at(&mut sector.0, 8 * 512)), libc::EIO);
    let after = lines(explain("read 8+1"));
    assert_eq!(
        after[0],
        "no    error op=read errno=EIO at=8+1 times=1: it has fired as often as it may"
    );
    assert_eq!(
        after[1], expected[1],
        "what an earlier rule decided was not counted"
    );
    mount.append("vda/rules", "off").unwrap();
    assert_eq!(
        lines(explain("read 9+1")).last().unwrap(),
        "no    slow: all rules are off"
    );
    assert_fails(
        &provium(&["fault", &disk, "--explain", "raed 1"]),
        2,
        &["`raed 1` is not a request"],
    );
}

/// The median latency in nanoseconds of reads at a steady rate, each of which is delayed by 50 ms.
fn median_of_delayed_reads() -> u64 {
    let mount = Mount::new();
    mount.arm("slow");
    let mut fio = Command::new("fio");
    fio.args(["--name=steady", "--rw=randread", "--bs=4k", "--direct=1"]);
    fio.args(["--ioengine=libaio", "--iodepth=128", "--rate_iops=400"]);
    fio.args(["--size=16m", "--time_based", "--runtime=1"]);
    assert_ok(&run(
        fio.arg(format!("--filename={}", mount.vda().display()))
    ));
    assert_eq!(mount.stat("read_delayed"), mount.stat("read_requests"));
    mount.stat("read_latency_ns_p50")
}

#[test]
fn delay_is_alike_for_requests_at_a_steady_rate() {
    if !has("fio") {
        return;
    }
    // A busy machine is late with most of them in one second, but not in each of a minute.
    let begun = Instant::now();
    while !(50_000_000..75_000_000).contains(&median_of_delayed_reads()) {
        assert!(begun.elapsed() < PATIENCE, "most delays are far longer");
    }
}

#[test]
fn median_of_a_distribution_is_what_a_client_measures() {
    let mount = Mount::new();
    mount.arm("delay op=read by=p50:4ms");
    let disk = File::open(mount.vda()).unwrap();
    let median = || {
        let mut times = [(); 21].map(|()| {
            let begun = Instant::now();
            disk.read_exact_at(&mut [0; 4096], 0).unwrap();
            begun.elapsed()
        });
        times.sort_unstable();
        times[times.len() / 2]
    };
    // Within 5 %. A busy machine is late with most of them in one try, but not in each of a minute.
    let expected = Duration::from_micros(3800)..=Duration::from_micros(4200);
    let begun = Instant::now();
    while !expected.contains(&median()) {
        assert!(begun.elapsed() < PATIENCE, "the median is another");
    }
}
