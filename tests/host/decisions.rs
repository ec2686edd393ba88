//! `ctl/ID/decisions` and `provium decisions`: what fired, and rules that make the same faults again.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use provium::client::{DiskControl, MountClient};
use provium::fault::replay_at_once;
use provium::protocol::{DecisionLine, DecisionsLine, Op};
use serde_json::Value;

use crate::harness::*;

/// A `provium decisions` that has begun.
struct Reader {
    child: Child,
    lines: BufReader<ChildStdout>,
    said: BufReader<std::process::ChildStderr>,
}

impl Reader {
    fn start(mount: &Mount, words: &[&str]) -> Self {
        let mut command = Command::new(PROVIUM);
        command.arg("decisions").arg(mount.vda()).args(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut reader = Self { child, lines, said };
        let mut head = String::new();
        match words.contains(&"--rules") {
            true => reader.said.read_line(&mut head).unwrap(),
            false => reader.lines.read_line(&mut head).unwrap(),
        };
        reader
    }

    fn next(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The exit code, the rest of the output, and what it says.
    fn end(mut self) -> (i32, String, String) {
        let (mut rest, mut said) = (String::new(), String::new());
        self.lines.read_to_string(&mut rest).unwrap();
        self.said.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code().unwrap(), rest, said)
    }

    fn stop(self) -> (i32, String, String) {
        send(self.child.id(), libc::SIGINT);
        self.end()
    }
}

#[test]
fn decisions_say_what_fired_and_the_rule_that_does_it_again() {
    let mount = Mount::new();
    let mut reader = Reader::start(&mount, &[]);
    mount.arm("slow at=99+1\nerror op=read at=8+1 every=2 tag=bad");
    for _ in 0..4 {
        let _ = read_sector(&mount, 8);
    }
    let without_time = |line: String| {
        line.split(' ')
            .enumerate()
            .filter(|(at, _)| *at != 1)
            .map(|(_, word)| word)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let rule = "error op=read errno=EIO at=8+1 every=2 tag=bad";
    for (number, touch, skip) in [(1, 2, "skip=1"), (2, 4, "skip=3")] {
        let line = without_time(reader.next());
        let replay = format!("error op=read errno=EIO at=8+1 {skip} times=1 tag=bad");
        assert_eq!(
            line,
            format!("{number} read 8 1 touch={touch} rule=1 since=0 {rule} -> {replay}")
        );
    }
    assert_eq!(reader.stop().0, 0);
}

#[test]
fn decisions_as_json_have_the_same_fields() {
    let mount = Mount::new();
    let mut reader = Reader::start(&mount, &["--json", "--count", "1"]);
    mount.arm("error op=read");
    read_sector(&mount, 3).unwrap_err();
    let line: Value = serde_json::from_str(&reader.next()).unwrap();
    assert_eq!(line["type"], "decision");
    assert_eq!(
        (&line["op"], &line["sector"], &line["touch"]),
        (&"read".into(), &3.into(), &1.into())
    );
    assert_eq!(line["replay"], "error op=read errno=EIO at=3+1 times=1");
    assert_eq!(reader.end().0, 0);
}

#[test]
fn decisions_as_rules_fail_the_same_requests_again() {
    let mount = Mount::new();
    let reader = Reader::start(&mount, &["--rules"]);
    mount.arm("error op=read p=0.3 seed=3");
    let failed = |mount: &Mount| {
        (0..100)
            .filter(|n| read_sector(mount, n % 10).is_err())
            .collect::<Vec<_>>()
    };
    let first = failed(&mount);
    let (code, rules, said) = reader.stop();
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(rules.lines().count(), first.len());
    assert!(first.len() > 10, "{first:?}");
    std::fs::write(mount.ctl("vda/faults"), &rules).unwrap();
    assert_eq!(failed(&mount), first);
    assert_ne!(failed(&mount), first, "each fault is made once");
}

#[test]
fn decisions_end_with_the_disk_and_say_so() {
    let mut mount = Mount::new();
    let reader = Reader::start(&mount, &[]);
    mount.signal(libc::SIGTERM);
    mount.wait_for_end();
    let (code, _, said) = reader.end();
    assert_eq!(code, 1);
    assert!(said.contains("its decisions end here"), "{said}");
}

/// The requests of a client: each sector several times, read and written, in an order of its own.
fn requests(seed: u64) -> Vec<(Op, u64)> {
    let sectors = (0..32).flat_map(|sector| [(Op::Read, sector); 4]);
    let mut requests: Vec<_> = sectors
        .chain((0..32).flat_map(|sector| [(Op::Write, sector); 3]))
        .collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut requests);
    requests
}

/// What fired while four clients sent their requests at once, in orders that `seed` decides.
fn fired(
    disk: &DiskControl,
    mount: &Mount,
    rules: &[String],
    seed: u64,
) -> Vec<DecisionLine<'static>> {
    let mut decisions = disk.decisions().unwrap();
    disk.set_faults(rules).unwrap();
    std::thread::scope(|scope| {
        for client in 0..4 {
            scope.spawn(move || {
                let file = open_direct(&mount.vda());
                for (op, sector) in requests(seed * 4 + client) {
                    let mut sector_of = AlignedSector([client as u8; 512]);
                    let _ = match op {
                        Op::Read => file.read_at(&mut sector_of.0, sector * 512),
                        _ => file.write_at(&sector_of.0, sector * 512),
                    };
                }
            });
        }
    });
    let lines = decisions.so_far().unwrap().into_iter();
    let fired = lines.map(|line| match line {
        DecisionsLine::Fired(decision) => decision,
        DecisionsLine::Remark(text) => panic!("{text}"),
    });
    fired.collect()
}

fn keys(decisions: &[DecisionLine<'_>]) -> BTreeMap<(Op, u64, u64, Option<u64>), u64> {
    let mut keys = BTreeMap::new();
    for DecisionLine {
        op,
        sector,
        count,
        touch,
        ..
    } in decisions
    {
        *keys.entry((*op, *sector, *count, *touch)).or_default() += 1;
    }
    keys
}

#[test]
fn replays_fail_the_same_set_20_of_20_times_with_clients_in_any_order() {
    let mount = Mount::new();
    let disk = MountClient::open(&mount.point())
        .unwrap()
        .disk("vda")
        .unwrap();
    let random = [
        "error op=read p=0.1",
        "error op=write errno=ENOSPC p=0.1",
        "corrupt op=read how=flip p=0.1",
    ];
    let recorded = fired(&disk, &mount, &random.map(str::to_owned), 1);
    let rules = replay_at_once(&recorded);
    assert_eq!(rules.len(), recorded.len());
    assert!(rules.len() > 50, "{}", rules.len());
    for seed in 2..22 {
        let again = fired(&disk, &mount, &rules, seed);
        assert_eq!(keys(&again), keys(&recorded), "order {seed}");
    }
    let fewer = fired(&disk, &mount, &rules[1..], 22);
    assert_ne!(
        keys(&fewer),
        keys(&recorded),
        "a fault that is not armed is missing"
    );
}
