//! Rules that cut the power, and cuts of all disks: where they fire, and what is answered after that.

use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

const THIRD_FLUSH: &str = "cut op=flush skip=2 times=1";

/// Waits until clients have written so often to `disk`.
fn wait_for_writes(mount: &Mount, disk: &str, most: u64) {
    let written = || stat_in(&mount.read(&format!("{disk}/stats")), "write_answered");
    eventually("clients write", || written() >= most);
}

/// Verdicts of the flushes in a trace.
fn flushes(trace: &mut std::fs::File) -> Vec<String> {
    let lines = lines(trace).into_iter();
    let flushes = lines.filter(|line| line.split(' ').nth(2) == Some("flush"));
    flushes
        .map(|line| line.split(' ').nth(5).unwrap().to_owned())
        .collect()
}

#[test]
fn exactly_two_flushes_are_answered_before_a_cut_at_the_third_whatever_threads_flush() {
    for round in 0..20 {
        let mount = cached(MIB);
        let mut trace = stream(&mount, "vda/trace");
        mount.arm(THIRD_FLUSH);
        let answered = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8_u64 {
                let (mount, answered) = (&mount, &answered);
                scope.spawn(move || {
                    let file = open(mount, "vda");
                    let write = |n| file.write_all_at(&[1; 512], (thread * 8 + n) * 512);
                    for n in 0..8 {
                        if write(n).and_then(|()| file.sync_data()).is_err() {
                            return;
                        }
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(answered.into_inner(), 2, "round {round}");
        assert_eq!(mount.stat("flushes_answered"), 2, "round {round}");
        let traced = flushes(&mut trace);
        assert_eq!(traced.iter().filter(|verdict| *verdict == "ok").count(), 2);
        assert!(mount.read("vda/power").starts_with("off "));
    }
}

#[test]
fn exactly_two_flushes_are_answered_to_a_client_that_has_32_under_way() {
    if !has("python3") {
        return;
    }
    for _ in 0..3 {
        let mount = cached(MIB);
        mount.arm(THIRD_FLUSH);
        let output = run(&mut aio(&mount, "vda", &["flush", "32"]));
        assert_ok(&output);
        assert_eq!(stdout(&output), "2 answered, 30 failed\n");
        assert_eq!(mount.stat("flushes_answered"), 2);
    }
}

#[test]
fn cut_before_a_flush_loses_what_it_would_cover_and_one_after_it_does_not() {
    for (point, survives) in [("before", false), ("after", true)] {
        let mount = cached(MIB);
        mount.arm(&format!("cut op=flush times=1 point={point}"));
        let file = open(&mount, "vda");
        file.write_all_at(&[1; 512], 0).unwrap();
        let flushed = file.sync_all().is_ok();
        assert_eq!(flushed, survives);
        eventually("the power is off", || {
            mount.read("vda/power").starts_with("off ")
        });
        assert_eq!(image(&mount)[..512] == [1; 512], survives, "{point}");
        assert_eq!(errno(file.write_all_at(&[2; 512], 0)), libc::EIO);
        assert_eq!(mount.stat("flush_cut"), 1);
    }
}

#[test]
fn cut_at_a_write_drops_that_write_and_keeps_what_its_rule_says() {
    for (keep, expected) in [
        ("none", [0, 0, 0]),
        ("all", [1, 2, 0]),
        ("first=1", [1, 0, 0]),
    ] {
        let mount = cached(MIB);
        mount.arm(&format!("cut op=write at=2+1 keep={keep}"));
        let file = open(&mount, "vda");
        let write = |n: u64| file.write_all_at(&[n as u8 + 1; 512], n * 512);
        write(0).unwrap();
        write(1).unwrap();
        assert_eq!(errno(write(2)), libc::EIO);
        let image = image(&mount);
        let found = [0, 1, 2].map(|sector| image[sector * 512]);
        assert_eq!(
            found, expected,
            "{keep}: a request that its rule cuts off is not done"
        );
    }
}

#[test]
fn no_request_of_the_other_disk_is_answered_after_a_cut_of_the_mount() {
    for options in [",cache=volatile", ""] {
        let mount = two_disks(options);
        let (mut first, mut second) = (stream(&mount, "vda/trace"), stream(&mount, "vdb/trace"));
        mount.arm(&format!("{THIRD_FLUSH} keep=all"));
        let (is_off, late) = (AtomicBool::new(false), AtomicU64::new(0));
        let stamp = std::thread::scope(|scope| {
            let hammers: Vec<_> = (0..4)
                .map(|thread| {
                    let (mount, is_off, late) = (&mount, &is_off, &late);
                    scope.spawn(move || {
                        let file = open(mount, "vdb");
                        let mut stamp = 0_u64;
                        loop {
                            let was_off = is_off.load(Ordering::SeqCst);
                            let data = (stamp + 1).to_le_bytes();
                            if file.write_all_at(&data.repeat(64), thread * 512).is_err() {
                                return stamp;
                            }
                            late.fetch_add(u64::from(was_off), Ordering::SeqCst);
                            stamp += 1;
                        }
                    })
                })
                .collect();
            let file = open(&mount, "vda");
            for flush in 0..3 {
                wait_for_writes(&mount, "vdb", 20 * (flush + 1));
                assert_eq!(file.sync_all().is_ok(), flush < 2);
            }
            is_off.store(true, Ordering::SeqCst);
            let stamps = hammers.into_iter().map(|hammer| hammer.join().unwrap());
            stamps.collect::<Vec<_>>()
        });
        assert_eq!(
            late.into_inner(),
            0,
            "after the flush had failed, none was answered"
        );
        assert_eq!(flushes(&mut first), ["ok", "ok", "cut+power:EIO"]);
        must_end_at_the_cut(&lines(&mut second));
        let image = image_of(&mount, "vdb");
        for (stamp, sector) in stamp.into_iter().zip(image.chunks(512)) {
            let found = u64::from_le_bytes(sector[..8].try_into().unwrap());
            // One that was not answered may survive too.
            assert!(found == stamp || found == stamp + 1, "{found} {stamp}");
        }
    }
}

/// Nothing is answered well after the line of the cut, by order and by time.
fn must_end_at_the_cut(trace: &[String]) {
    let words: Vec<Vec<_>> = trace.iter().map(|line| line.split(' ').collect()).collect();
    let words: Vec<_> = words.into_iter().filter(|words| words[0] != "#").collect();
    let is_cut = |words: &Vec<&str>| words[2..4] == ["disk", "cut"];
    let at = words.iter().position(is_cut).unwrap();
    let is_ok = |words: &Vec<&str>| words.get(5) == Some(&"ok");
    assert!(words[..at].iter().any(is_ok), "it was hammered");
    assert!(!words[at..].iter().any(is_ok), "{trace:?}");
    let numbers: Vec<u64> = words
        .iter()
        .map(|words| words[0].parse().unwrap())
        .collect();
    assert!(numbers.is_sorted());
}

#[test]
fn cut_of_all_disks_is_at_one_instant() {
    for (options, how) in [("", "cut"), (",cache=volatile", "cut keep=all")] {
        for _ in 0..10 {
            let mount = two_disks(options);
            let count = |image: &[u8]| u64::from_le_bytes(image[..8].try_into().unwrap());
            let answered = std::thread::scope(|scope| {
                let writer = scope.spawn(|| {
                    let files = [open(&mount, "vda"), open(&mount, "vdb")];
                    for n in 1_u64.. {
                        for file in &files {
                            if file.write_all_at(&n.to_le_bytes(), 0).is_err() {
                                return n - 1;
                            }
                        }
                    }
                    0
                });
                wait_for_writes(&mount, "vdb", 10);
                mount.append("power", how).unwrap();
                writer.join().unwrap()
            });
            let [a, b] = ["vda", "vdb"].map(|disk| count(&image_of(&mount, disk)));
            assert!(
                b >= answered && (a == b || a == b + 1),
                "{a} {b} {answered}"
            );
        }
    }
}

#[test]
fn nothing_reaches_an_image_whatever_clients_do_while_the_power_is_off() {
    for options in [",cache=volatile", ""] {
        let mount = two_disks(options);
        let files: Vec<_> = (0..4).map(|_| open(&mount, "vda")).collect();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for (n, file) in files.iter().enumerate() {
                let is_over = &is_over;
                scope.spawn(move || {
                    for at in 0.. {
                        if is_over.load(Ordering::SeqCst) {
                            return;
                        }
                        let _ = file.write_at(&[n as u8 + 1; 700], at * 300 % MIB);
                        let _ = file.sync_data();
                        let _ = file.set_len(2 * MIB + at);
                    }
                });
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
            mount.append("vda/power", "cut").unwrap();
            let after = image_of(&mount, "vda");
            std::thread::sleep(std::time::Duration::from_millis(200));
            eventually("requests fail", || mount.stat("power_off_errors") > 0);
            assert!(image_of(&mount, "vda") == after);
            is_over.store(true, Ordering::SeqCst);
        });
    }
}
