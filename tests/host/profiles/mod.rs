//! `provium profile`: what it prints, and what its rules do to requests of a mount.

mod measure;

use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use provium::fault::{Arming, Edit, FaultSet, IoRange, Op, RuleHits};
use provium::profile::{Profile, Settings};

use crate::harness::*;

/// What `provium profile` prints for `words`, without its comments.
fn rules(words: &[&str]) -> Vec<String> {
    let output = provium(&[&["profile"], words].concat());
    assert_ok(&output);
    let text = stdout(&output);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[test]
fn profiles_are_listed_for_people_and_for_programs() {
    let listed = stdout(&provium(&["profile"]));
    assert_eq!(listed, stdout(&provium(&["profile", "list"])));
    let names: Vec<_> = listed
        .lines()
        .skip(1)
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let all = Profile::all();
    assert_eq!(names, all.iter().map(|it| it.name).collect::<Vec<_>>());
    let json = stdout(&provium(&["profile", "list", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for (profile, found) in all.iter().zip(json.as_array().unwrap()) {
        assert_eq!(found["name"], profile.name);
        assert_eq!(
            found["sources"].as_array().unwrap().len(),
            profile.sources.len()
        );
        assert_eq!(
            found["parameters"].as_array().unwrap().len(),
            profile.parameters.len()
        );
    }
}

#[test]
fn shown_profile_has_its_sources_its_settings_and_its_rules() {
    for profile in Profile::all() {
        let shown = stdout(&provium(&["profile", "show", profile.name]));
        for text in profile
            .sources
            .iter()
            .chain([&profile.title, &profile.models, &"scale=1"])
        {
            assert!(shown.contains(text), "{text} in {shown}");
        }
        for parameter in &profile.parameters {
            assert!(shown.contains(&format!("{}={}", parameter.name, parameter.default)));
        }
        for rule in rules(&[profile.name]) {
            assert!(shown.contains(&rule), "{rule} in {shown}");
        }
    }
}

#[test]
fn wrong_words_of_profile_are_explained() {
    for (words, text) in [
        (&["flaky-lnk"][..], "'flaky-link'"),
        (&["show"], "`show` expects the name of a profile"),
        (&["show", "flaky-lnk"], "did you mean `flaky-link`?"),
        (&["list", "flaky-link"], "`list` takes no more words"),
        (
            &["flaky-link", "--json"],
            "--json belongs to `provium profile list`",
        ),
        (
            &["flaky-link", "scale=fast"],
            "expects a number from 0.000001",
        ),
        (&["flaky-link", "at=8+1"], "(valid: up, down, seed, scale)"),
    ] {
        assert_fails(&provium(&[&["profile"], words].concat()), 2, &[text]);
    }
}

#[test]
fn each_profile_is_armed_as_it_is_printed_and_without_a_remark() {
    let mount = Mount::new();
    for profile in Profile::all() {
        mount.clear();
        let rules = rules(&[profile.name]);
        mount.arm(&rules.join("\n"));
        assert_eq!(mount.read("vda/faults").lines().collect::<Vec<_>>(), rules);
        let counted = mount.read("vda/rules");
        assert!(
            !counted.contains("never:") && !counted.contains("note:"),
            "{counted}"
        );
    }
}

#[test]
fn latent_sector_errors_are_found_by_reading_and_end_with_writing() {
    let mount = Mount::of_size(MIB);
    mount.arm(&rules(&["latent-sector-errors", "seed=9"]).join("\n"));
    let bad = || (0..2048).filter(|sector| read_sector(&mount, *sector).is_err());
    let found: Vec<u64> = bad().collect();
    assert_eq!(found.len(), 49);
    let near = found.windows(2).filter(|pair| pair[1] - pair[0] <= 100);
    assert!(near.count() > 20);
    let disk = std::fs::File::options()
        .write(true)
        .open(mount.vda())
        .unwrap();
    for sector in &found[1..] {
        disk.write_all_at(&[0; 512], sector * 512).unwrap();
    }
    assert_eq!(bad().collect::<Vec<_>>(), found[..1]);
}

/// As many requests as the seed says, whatever order they come in, and each of them for its whole time.
#[test]
fn requests_that_a_profile_delays_are_those_of_its_seed() {
    const READS: u64 = 64;
    let words = ["ebs-sustained-latency", "seed=11"];
    let mount = Mount::new();
    mount.arm(&rules(&words).join("\n"));
    let settings = Settings::parse(["seed=11"]).unwrap();
    let profile = Profile::named(words[0]).unwrap();
    let edits = profile.rules(&settings).unwrap().into_iter();
    let edits: Vec<_> = edits.map(Edit::Add).collect();
    let set = FaultSet::default()
        .edited(&edits, Arming::default())
        .unwrap();
    let read = IoRange {
        op: Op::Read,
        offset: 0,
        len: 512,
    };
    let waits = |_: &u64| {
        set.wait(read, Duration::ZERO, &mut RuleHits::default())
            .is_some()
    };
    let expected = (0..READS).filter(waits).count();
    assert!((20..44).contains(&expected), "{expected}");
    let disk = open_direct(&mount.vda());
    let times: Vec<Duration> = std::thread::scope(|scope| {
        let read = || {
            let start = Instant::now();
            let mut sector = AlignedSector([0; 512]);
            disk.read_exact_at(&mut sector.0, 0).unwrap();
            start.elapsed()
        };
        let threads: Vec<_> = (0..READS).map(|_| scope.spawn(read)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let long = times
        .iter()
        .filter(|time| **time >= Duration::from_millis(500))
        .count();
    assert!(long >= expected, "{long} of {expected}");
    let counted = mount.read("vda/rules");
    let counts = format!(" considered={READS} matched={READS} fired={expected} ");
    assert!(
        counted.lines().next().unwrap().contains(&counts),
        "{counted}"
    );
    assert_eq!(mount.stat("read_requests"), READS);
}

#[repr(align(512))]
struct AlignedSector([u8; 512]);
