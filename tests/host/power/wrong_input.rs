//! Wrong words for `cache`, `power` and `mark`: an error number, a sentence in `ctl/error`, and nothing else.

use std::os::unix::fs::FileExt;

use super::*;

/// A cached disk with a request that is pending.
fn with_pending() -> Mount {
    let mount = cached(MIB);
    open(&mount, "vda").write_all_at(&[1; 512], 0).unwrap();
    mount
}

/// A write to `file` fails with `number`, `ctl/error` has `sentence`, and nothing has changed.
fn is_rejected(mount: &Mount, file: &str, text: &str, number: i32, sentence: &str) {
    let state = || {
        let files = ["vda/power", "vda/cache", "vda/damage"].map(|file| mount.read(file));
        (files, pending(mount), image(mount))
    };
    let before = state();
    assert_eq!(errno(mount.append(file, text)), number, "{file}: {text}");
    let error = mount.read("error");
    assert!(error.contains(&format!(" {file}: ")), "{error}");
    assert!(error.contains(sentence), "{text}: {error}");
    assert!(state() == before, "{file}: {text}");
}

#[test]
fn wrong_words_for_a_cache_and_the_power_change_nothing() {
    let mount = with_pending();
    let long = format!("cut keep=only={}1", "1,".repeat(40_000));
    for text in [
        "on",
        "volatil",
        "volatile off",
        "VOLATILE",
        "volatile\noff",
        "\0",
        "1",
    ] {
        is_rejected(
            &mount,
            "vda/cache",
            text,
            libc::EINVAL,
            "cache expects `off` or `volatile`",
        );
    }
    for file in ["vda/power", "power"] {
        for (text, sentence) in [
            ("off", "power expects `cut`"),
            ("cut now", "`now` is not key=value"),
            ("cut keep=some", "`keep=some` expects none, all, first=N"),
            ("cut keep=first=", "first=N"),
            ("cut keep=first=-1", "first=N"),
            ("cut keep=only=", "only=N"),
            ("cut keep=random p=1.5", "a probability from 0 to 1"),
            ("cut p=0.5", "`p` belongs to keep=random"),
            ("cut tear=0", "a number of sectors"),
            ("cut garbage=x", "a probability from 0 to 1"),
            ("cut seed=-1", "a whole number"),
            ("cut keep=all keep=none", "`keep` is given twice"),
            ("cut speed=1", "unknown key `speed`"),
            ("cut\0", "power expects `cut`"),
            ("CUT", "power expects `cut`"),
        ] {
            is_rejected(&mount, file, text, libc::EINVAL, sentence);
        }
        is_rejected(&mount, file, &long, libc::EINVAL, "65536");
    }
    for text in ["x".repeat(401), "a\nb".into(), "\u{1b}[2J".into()] {
        is_rejected(
            &mount,
            "vda/mark",
            &text,
            libc::EINVAL,
            "mark expects one line",
        );
    }
}

#[test]
fn cut_that_keeps_a_number_which_is_not_pending_is_not_done() {
    let mount = with_pending();
    for file in ["vda/power", "power"] {
        let sentence = "no request with the number 2 is pending";
        is_rejected(&mount, file, "cut keep=only=1,2", libc::EINVAL, sentence);
    }
    let file = open(&mount, "vda");
    file.write_all_at(&[2; 512], 512).unwrap();
    file.sync_all().unwrap();
    let sentence = "no request with the number 1 is pending";
    is_rejected(
        &mount,
        "vda/power",
        "cut keep=only=1",
        libc::EINVAL,
        sentence,
    );
    assert_eq!(image(&mount)[..1024], [[1; 512], [2; 512]].concat());
}

#[test]
fn power_that_is_on_or_off_already_is_said() {
    let mount = with_pending();
    let on = "the power of `vda` is on already";
    is_rejected(&mount, "vda/power", "on", libc::EALREADY, on);
    is_rejected(
        &mount,
        "power",
        "on",
        libc::EALREADY,
        "the power of all disks is on already",
    );
    cut(&mount, "cut");
    for how in ["cut", "cut keep=all", "cut seed=5"] {
        let off = "the power of `vda` is off already";
        is_rejected(&mount, "vda/power", how, libc::EALREADY, off);
        is_rejected(
            &mount,
            "power",
            how,
            libc::EALREADY,
            "the power of all disks is off already",
        );
    }
    assert!(mount.read("vda/power").ends_with(" cut=1\n"));
    power_on(&mount);
    let file = open(&mount, "vda");
    file.write_all_at(&[3; 512], 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!(image(&mount)[..512], [3; 512]);
}

#[test]
fn cut_of_all_disks_cuts_those_that_have_power_and_on_returns_it_to_those_without() {
    let mount = two_disks(",cache=volatile");
    mount.append("vda/power", "cut seed=1").unwrap();
    mount.append("power", "cut seed=2").unwrap();
    let all = "vda off kept=0 lost=0 seed=1 cut=1\nvdb off kept=0 lost=0 seed=2 cut=1\n";
    assert_eq!(mount.read("power"), all);
    mount.append("vda/power", "on").unwrap();
    mount.append("power", "on").unwrap();
    assert_eq!(mount.read("power"), "vda on\nvdb on\n");
}

#[test]
fn pending_takes_no_write_and_a_mount_without_disks_has_no_power() {
    let mount = with_pending();
    assert_eq!(errno(mount.append("vda/pending", "x")), libc::EACCES);
    assert_eq!(errno(mount.append("events", "x")), libc::EACCES);
    mount.append("detach", "vda").unwrap();
    for word in ["cut", "on"] {
        assert_eq!(errno(mount.append("power", word)), libc::ENODEV);
        assert!(mount.read("error").contains("no disk is attached"));
    }
    assert_eq!(mount.read("power"), "");
}

#[test]
fn cache_takes_its_present_word_and_spaces_around_it() {
    let mount = with_pending();
    for text in ["volatile", "volatile\n", " volatile \n"] {
        mount.append("vda/cache", text).unwrap();
        assert_eq!(pending(&mount), ["1 write 0 1"]);
    }
    std::fs::write(mount.ctl("vda/cache"), "off\n").unwrap();
    assert_eq!(image(&mount)[..512], [1; 512]);
    std::fs::write(mount.ctl("vda/cache"), "volatile\n").unwrap();
    std::fs::write(mount.ctl("vda/power"), "cut\n").unwrap();
    std::fs::write(mount.ctl("vda/power"), "on\n").unwrap();
}
