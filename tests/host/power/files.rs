//! What the control files say of a cache, of a cut, and while the power is off.

use std::os::unix::fs::FileExt;

use super::*;

#[test]
fn events_have_a_line_for_each_cut_and_for_each_return_of_power() {
    let mount = two_disks(",cache=volatile");
    let mut events = stream(&mount, "events");
    let file = open(&mount, "vda");
    file.write_all_at(&[1; 512], 0).unwrap();
    cut(&mount, "cut seed=7");
    power_on(&mount);
    file.write_all_at(&[1; 512], 0).unwrap();
    mount.append("power", "cut keep=all seed=8").unwrap();
    mount.append("power", "on").unwrap();
    mount.arm("cut op=read seed=9 scope=disk");
    file.read_at(&mut [0; 512], 0).unwrap_err();
    let mut expected = [
        "vda cut kept=0 lost=1 seed=7 cut=1",
        "vda on",
        "vda cut kept=1 lost=0 seed=8 cut=2",
        "vdb cut kept=0 lost=0 seed=8 cut=1",
        "vda on",
        "vdb on",
        "vda cut kept=0 lost=0 seed=9 cut=3 by cut op=read point=before scope=disk keep=none seed=9",
    ];
    let mut found: Vec<_> = lines(&mut events)
        .into_iter()
        .map(|line| {
            let (seconds, event) = line.split_once(' ').unwrap();
            assert!(seconds.parse::<f64>().unwrap() > 0.0);
            event.to_owned()
        })
        .collect();
    // Disks that are cut at one instant are in no order.
    found[2..4].sort();
    found[4..6].sort();
    expected[2..4].sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn read_of_events_waits_for_the_next_one() {
    let mount = cached(MIB);
    let mut events = std::fs::File::open(mount.ctl("events")).unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = [0; 100];
        let n = events.read(&mut text).unwrap();
        String::from_utf8_lossy(&text[..n]).into_owned()
    });
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(!reader.is_finished());
    cut(&mount, "cut");
    assert!(reader.join().unwrap().contains(" vda cut kept=0 lost=0 "));
}

#[test]
fn damage_lists_what_a_cut_has_lost_and_what_it_has_made_of_it() {
    let mount = cached(MIB);
    let file = open(&mount, "vda");
    let write = |sector: u64, count: usize| {
        file.write_all_at(&vec![1; count * 512], sector * 512)
            .unwrap();
    };
    write(3, 2);
    write(8, 1);
    write(20, 4);
    cut(&mount, "cut keep=only=2");
    assert_eq!(
        mount.read("vda/damage"),
        "3 2 lost power\n20 4 lost power\n"
    );
    power_on(&mount);
    write(30, 2);
    let report = cut(&mount, "cut garbage=1 seed=3");
    assert_eq!((report.kept, report.lost, report.cut), (0, 1, 2));
    let damage = mount.read("vda/damage");
    assert_eq!(damage.lines().last(), Some("30 2 garbage power"));
    let image = image(&mount);
    let garbage = &image[30 * 512..32 * 512];
    assert!(garbage != [0; 1024] && garbage != [1; 1024]);
    assert!(garbage[..512] != garbage[512..]);
}

#[test]
fn every_request_fails_and_every_file_answers_while_the_power_is_off() {
    let mount = cached(MIB);
    let file = open(&mount, "vda");
    file.write_all_at(&[1; 512], 0).unwrap();
    mount.arm("hang op=read at=8+1");
    std::thread::scope(|scope| {
        let held = scope.spawn(|| file.read_at(&mut [0; 512], 4096));
        eventually("it is held", || mount.stat("in_flight") == 2 - 1);
        cut(&mount, "cut");
        assert_eq!(errno(held.join().unwrap()), libc::EIO);
    });
    assert_eq!(errno(file.read_at(&mut [0; 512], 0)), libc::EIO);
    assert_eq!(errno(file.write_at(&[1; 512], 0)), libc::EIO);
    assert_eq!(errno(file.sync_all()), libc::EIO);
    assert_eq!(errno(file.set_len(2 * MIB)), libc::EIO);
    let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    let punched = provium::os::sys::fallocate(&file, punch, 0, 512);
    assert_eq!(errno(punched), libc::EIO);
    assert_eq!(mount.stat("power_off_errors"), 6);
    assert_eq!(file.metadata().unwrap().len(), MIB);
    assert_eq!(mount.read("vda/size"), format!("{MIB}\n"));
    for name in [
        "faults", "stats", "inflight", "rules", "damage", "seed", "image", "mode", "cache",
        "pending", "power", "log",
    ] {
        mount.read(&format!("vda/{name}"));
    }
    assert!(mount.read("disks").starts_with("vda 1048576 rw "));
    assert!(
        mount
            .read("power")
            .starts_with("vda off kept=0 lost=1 seed=")
    );
    assert!(pending(&mount).is_empty());
    assert_eq!(
        mount.stat("pending_requests") + mount.stat("pending_bytes"),
        0
    );
    let other = open(&mount, "vda");
    assert_eq!(errno(other.read_at(&mut [0; 512], 0)), libc::EIO);
    mount.clear();
    power_on(&mount);
    assert_eq!(other.read_at(&mut [1; 512], 0).unwrap(), 512);
    assert_eq!(mount.read("vda/power"), "on\n");
}

#[test]
fn cache_is_switched_while_clients_write_and_nothing_is_lost() {
    let mount = two_disks("");
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4_u64)
            .map(|thread| {
                let file = open(&mount, "vda");
                scope.spawn(move || {
                    for n in 0..300_u64 {
                        let data = (n + 1).to_le_bytes().repeat(64);
                        file.write_all_at(&data, (thread * 300 + n) * 512).unwrap();
                    }
                })
            })
            .collect();
        while !writers
            .iter()
            .all(std::thread::ScopedJoinHandle::is_finished)
        {
            for mode in ["volatile", "off"] {
                mount.append("vda/cache", mode).unwrap();
                assert_eq!(mount.read("vda/cache"), format!("{mode}\n"));
            }
        }
    });
    mount.append("vda/cache", "off").unwrap();
    let image = image_of(&mount, "vda");
    for (sector, found) in image.chunks(512).take(1200).enumerate() {
        let expected = (sector as u64 % 300 + 1).to_le_bytes().repeat(64);
        assert!(found == expected, "sector {sector}");
    }
}

#[test]
fn disk_that_is_attached_later_has_the_cache_that_it_asks_for() {
    let mount = two_disks(",cache=volatile");
    let image = new_image(&mount.folder().join("vdc.img"), MIB);
    let attach = format!("vdc {} cache=volatile", image.display());
    mount.append("attach", &attach).unwrap();
    assert_eq!(mount.read("vdc/cache"), "volatile\n");
    let file = open(&mount, "vdc");
    file.write_all_at(&[1; 512], 0).unwrap();
    assert_eq!(pending_of(&mount, "vdc"), ["1 write 0 1"]);
    mount.append("power", "cut keep=none").unwrap();
    assert_eq!(mount.read("power").lines().count(), 3);
    assert!(
        mount
            .read("power")
            .lines()
            .all(|line| line.contains(" off kept=0 "))
    );
    assert!(image_of(&mount, "vdc").iter().all(|byte| *byte == 0));
}

#[test]
fn disk_without_a_cache_loses_at_most_what_was_not_answered() {
    for (keep, survives) in [("none", false), ("all", true), ("only=", false)] {
        let mount = two_disks("");
        let file = open(&mount, "vda");
        file.write_all_at(&[1; 512], 0).unwrap();
        mount.arm("hang op=write");
        std::thread::scope(|scope| {
            for sector in [0, 5] {
                let file = &file;
                scope.spawn(move || file.write_all_at(&[2; 512], sector * 512).unwrap_err());
            }
            eventually("both are held", || mount.stat("in_flight") == 2);
            let wrong = keep == "only=";
            let how = if wrong {
                "cut keep=only=1"
            } else {
                &format!("cut keep={keep}")
            };
            assert_eq!(mount.append("vda/power", how).is_err(), wrong);
            if wrong {
                // What was not answered has no number; the power is on, and they still wait.
                assert_eq!(
                    (mount.read("vda/power").as_str(), mount.stat("in_flight")),
                    ("on\n", 2)
                );
                mount.append("vda/power", "cut").unwrap();
            }
        });
        let report = mount.read("vda/power");
        let counts = if survives {
            "off kept=2 lost=0 "
        } else {
            "off kept=0 lost=2 "
        };
        assert!(report.starts_with(counts), "{report}");
        let image = image_of(&mount, "vda");
        let byte = if survives { 2 } else { 1 };
        assert_eq!((image[0], image[5 * 512] == 2), (byte, survives), "{keep}");
    }
}

#[test]
fn disk_without_power_ends_with_what_the_cut_has_left() {
    let mut mount = two_disks(",cache=volatile");
    for disk in ["vda", "vdb"] {
        let file = open(&mount, disk);
        file.write_all_at(&[1; 512], 0).unwrap();
        file.sync_all().unwrap();
        file.write_all_at(&[2; 512], 0).unwrap();
    }
    mount.append("power", "cut").unwrap();
    mount.append("detach", "vda").unwrap();
    let line = format!(
        "vda {} cache=volatile",
        mount.folder().join("vda.img").display()
    );
    mount.append("attach", &line).unwrap();
    assert_eq!(mount.read("vda/power"), "on\n");
    assert!(mount.read("vdb/power").starts_with("off "));
    assert_eq!(errno(mount.append("vdb/cache", "off")), libc::EIO);
    assert!(mount.read("error").contains("the power of `vdb` is off"));
    let mut found = [0; 512];
    open(&mount, "vda").read_exact_at(&mut found, 0).unwrap();
    assert_eq!(found, [1; 512]);
    mount.signal(libc::SIGTERM);
    assert!(mount.wait_for_end().success());
    for disk in ["vda", "vdb"] {
        assert_eq!(image_of(&mount, disk)[..512], [1; 512], "{disk}");
    }
}
