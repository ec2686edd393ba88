//! Random requests under random rules against a model that is as simple as can be.

use super::*;
use crate::fault::{Action, Edit, How, Op, Random, Rule, Then, parse_rule};
use crate::protocol::names::SECTOR;

/// Sectors of the model's disk.
const SECTORS: u64 = 64;

/// A disk and its rules, as simple as can be.
#[derive(Clone)]
struct Model {
    bytes: Vec<u8>,
    rules: Vec<ModelRule>,
}

#[derive(Clone)]
struct ModelRule {
    rule: Rule,
    matched: u64,
    fired: u64,
    /// The disk when the rule was armed.
    old: Vec<u8>,
}

impl ModelRule {
    fn fires(&mut self, op: Op, sector: u64, count: u64) -> bool {
        let rule = &self.rule;
        let overlaps = rule
            .at
            .iter()
            .filter_map(|at| at.fixed())
            .any(|at| at.start < sector + count && sector < at.start + at.count);
        let fits = rule
            .size
            .is_none_or(|size| (size.min..=size.max).contains(&(count * SECTOR)));
        if !rule.ops.contains(op) || !(rule.at.is_empty() || overlaps) || !fits {
            return false;
        }
        self.matched += 1;
        let taken =
            self.matched > rule.skip && (self.matched - rule.skip).is_multiple_of(rule.every);
        let fires = taken && rule.times.is_none_or(|times| self.fired < times);
        self.fired += u64::from(fires);
        fires
    }

    /// The sectors of a request that the rule is for.
    fn sectors(&self, sector: u64, count: u64) -> Vec<u64> {
        let is_in = |n: &u64| {
            let mut ranges = self.rule.at.iter().filter_map(|at| at.fixed());
            self.rule.at.is_empty() || ranges.any(|at| (at.start..at.start + at.count).contains(n))
        };
        (sector..sector + count).filter(is_in).collect()
    }
}

impl Model {
    /// Knows every action but `cut`, after which all requests fail.
    fn request(&mut self, op: Op, sector: u64, count: u64, data: &[u8]) -> Result {
        let mut keep = count;
        let mut afterwards = Ok(());
        let mut decided = false;
        for rule in &mut self.rules {
            let decides = matches!(
                rule.rule.action,
                Action::Error(_) | Action::Lose | Action::Tear(..)
            );
            if decided || !decides || !rule.fires(op, sector, count) {
                continue;
            }
            decided = true;
            match rule.rule.action {
                Action::Error(errno) => return Err(errno),
                Action::Lose => return Ok(Vec::new()),
                Action::Tear(sectors, then) => {
                    keep = sectors.min(count);
                    if let Then::Error(errno) = then {
                        afterwards = Err(errno);
                    }
                }
                _ => {}
            }
        }
        let mut acting = Vec::new();
        for (at, rule) in self.rules.iter_mut().enumerate() {
            let changes = matches!(
                rule.rule.action,
                Action::Corrupt(_) | Action::Misdirect(_) | Action::Stale
            );
            if changes && rule.fires(op, sector, count) {
                acting.push(at);
            }
        }
        let acting: Vec<_> = acting.into_iter().map(|at| &self.rules[at]).collect();
        let shifts = acting.iter().map(|rule| match rule.rule.action {
            Action::Misdirect(by) => by,
            _ => 0,
        });
        let shift: i64 = shifts.sum();
        let Some(place) = sector
            .checked_add_signed(shift)
            .filter(|place| place + count <= SECTORS)
        else {
            return Err(Errno::EIO);
        };
        let range = (place * SECTOR) as usize..((place + count) * SECTOR) as usize;
        let mut data = match op {
            Op::Read => self.bytes[range.clone()].to_vec(),
            _ => data.to_vec(),
        };
        for rule in acting {
            for n in rule.sectors(sector, count) {
                let piece = ((n - sector) * SECTOR) as usize..((n - sector + 1) * SECTOR) as usize;
                match rule.rule.action {
                    Action::Corrupt(How::Fill(byte)) => data[piece].fill(byte),
                    Action::Corrupt(_) => data[piece].fill(0),
                    Action::Stale => {
                        let old = ((place + n - sector) * SECTOR) as usize;
                        data[piece].copy_from_slice(&rule.old[old..old + 512]);
                    }
                    _ => {}
                }
            }
        }
        match op {
            Op::Read => Ok(data),
            _ => {
                let kept = (keep * SECTOR) as usize;
                self.bytes[range.start..range.start + kept].copy_from_slice(&data[..kept]);
                afterwards.map(|()| Vec::new())
            }
        }
    }
}

fn random_rule(random: &mut Random) -> String {
    let mut one = |of: &[&str]| of[random.below(of.len() as u64) as usize].to_owned();
    let action = one(&[
        "error errno=EIO",
        "error errno=ENOSPC op=write",
        "eio_read",
        "lose op=write,zero",
        "tear keep=1",
        "tear keep=2 then=EIO",
        "corrupt how=zero",
        "corrupt how=fill byte=7 op=read",
        "misdirect by=+3",
        "misdirect by=-5 op=read",
        "stale",
    ]);
    let counting = one(&[
        "",
        " skip=2",
        " every=3",
        " times=2",
        " skip=1 every=2 times=3",
    ]);
    let size = one(&["", "", "", " size=1K..2K"]);
    let at = match random.below(3) {
        0 => String::new(),
        _ => format!(" at={}+{}", random.below(SECTORS), 1 + random.below(12)),
    };
    format!("{action}{at}{size}{counting}")
}

/// A checkpoint of the model, and whether its rules belong to it.
struct Saved {
    model: Model,
    faults: bool,
}

/// Saves the disk, goes back to where it was saved, or drops that.
fn travel(bench: &Bench, model: &mut Model, saved: &mut Option<Saved>, random: &mut Random) {
    let command = match (&*saved, random.below(4)) {
        (None, _) => {
            let faults = random.below(2) == 0;
            let model = model.clone();
            *saved = Some(Saved { model, faults });
            format!("save a faults={}", if faults { "yes" } else { "no" })
        }
        (Some(_), 0) => {
            *saved = None;
            "drop a".to_owned()
        }
        (Some(then), _) => {
            match then.faults {
                true => model.clone_from(&then.model),
                // Rules go on, and show the old data that they did.
                false => model.bytes.clone_from(&then.model.bytes),
            }
            "restore a".to_owned()
        }
    };
    bench.disk.checkpoint(&command.parse().unwrap()).unwrap();
}

#[test]
fn requests_at_random_end_as_a_simple_model_says() {
    let seed = match std::env::var("PROVIUM_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => fastrand::u64(..),
    };
    println!("PROVIUM_TEST_SEED={seed} runs this again");
    let mut random = Random::at(seed, 0);
    let bench = Bench::of_size((SECTORS * SECTOR) as usize);
    let mut model = Model {
        bytes: vec![0; (SECTORS * SECTOR) as usize],
        rules: Vec::new(),
    };
    let mut saved: Option<Saved> = None;
    for step in 0..100_000 {
        if random.below(50) == 0 {
            travel(&bench, &mut model, &mut saved, &mut random);
        }
        if random.below(60) == 0 {
            let rules = (0..random.below(7)).map(|_| parse_rule(&random_rule(&mut random), 1));
            let rules: Vec<_> = rules.map(std::result::Result::unwrap).collect();
            let edits: Vec<_> = rules.iter().cloned().map(Edit::Add).collect();
            bench.disk.arm(&edits, true).unwrap();
            model.rules.clear();
            for rule in rules {
                if model.rules.iter().all(|other| other.rule != rule) {
                    let (matched, fired, old) = (0, 0, model.bytes.clone());
                    model.rules.push(ModelRule {
                        rule,
                        matched,
                        fired,
                        old,
                    });
                }
            }
        }
        let count = 1 + random.below(6);
        let sector = random.below(SECTORS - count + 1);
        let (offset, len) = (sector * SECTOR, count * SECTOR);
        let mut data = vec![0; len as usize];
        let (op, request) = match random.below(5) {
            0..2 => (
                Op::Read,
                Request::Read {
                    offset,
                    len: len as u32,
                },
            ),
            2..4 => {
                data.fill_with(|| random.draw() as u8);
                (
                    Op::Write,
                    Request::Write {
                        offset,
                        data: data.as_slice().into(),
                        fua: None,
                    },
                )
            }
            _ => (
                Op::Zero,
                Request::Zero {
                    offset,
                    len,
                    keep_size: true,
                },
            ),
        };
        let expected = model.request(op, sector, count, &data);
        let found = answer(&bench.submit(request));
        let rules = || {
            bench
                .disk
                .faults()
                .rules()
                .map(Rule::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert!(
            found == expected,
            "seed {seed}, step {step}: {op} {sector}+{count}\n{}",
            rules()
        );
        if step % 100 == 0 && saved.is_none() {
            let same = bench.image_sectors(0, SECTORS) == model.bytes;
            assert!(same, "seed {seed}, step {step}: the image");
        }
        let faults = bench.disk.faults();
        let counters = faults
            .armed()
            .iter()
            .map(|armed| (armed.matched(), armed.fired()));
        let expected = model.rules.iter().map(|rule| (rule.matched, rule.fired));
        assert!(
            counters.eq(expected),
            "seed {seed}, step {step}: counters\n{}",
            rules()
        );
    }
}
