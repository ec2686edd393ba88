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
    /// Knows every action but `cut`, after which all requests fail. Goes sector by sector.
    fn request(&mut self, op: Op, sector: u64, count: u64, data: &[u8]) -> Result {
        let mut keep = count;
        let mut end: Result = Ok(Vec::new());
        let mut decided = false;
        let mut lost = vec![false; count as usize];
        for rule in &mut self.rules {
            let decides = matches!(
                rule.rule.action,
                Action::Error(_) | Action::Lose | Action::Tear(..)
            );
            if decided || !decides || !rule.fires(op, sector, count) {
                continue;
            }
            match rule.rule.action {
                Action::Error(errno) => return Err(errno),
                Action::Lose => {
                    for n in rule.sectors(sector, count) {
                        lost[(n - sector) as usize] = true;
                    }
                    if lost.iter().all(|lost| *lost) {
                        return Ok(Vec::new());
                    }
                    continue;
                }
                Action::Tear(sectors, then) => {
                    keep = sectors.min(count);
                    if let Then::Error(errno) = then {
                        end = Err(errno);
                    }
                }
                _ => {}
            }
            decided = true;
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
        let mut found = Vec::new();
        for n in 0..count {
            if lost[n as usize] {
                continue;
            }
            let at = sector + n;
            let acting = acting.iter().map(|at| &self.rules[*at]);
            let acting: Vec<_> = acting
                .filter(|rule| rule.sectors(sector, count).contains(&at))
                .collect();
            let shifts = acting.iter().map(|rule| match rule.rule.action {
                Action::Misdirect(by) => by,
                _ => 0,
            });
            let place = at as i64 + shifts.sum::<i64>();
            if !(0..SECTORS as i64).contains(&place) {
                end = EIO;
                continue;
            }
            let range = place as usize * 512..(place as usize + 1) * 512;
            let mut bytes = match op {
                Op::Read => self.bytes[range.clone()].to_vec(),
                _ => data[n as usize * 512..][..512].to_vec(),
            };
            for rule in acting {
                match rule.rule.action {
                    Action::Corrupt(How::Fill(byte)) => bytes.fill(byte),
                    Action::Corrupt(_) => bytes.fill(0),
                    Action::Stale => bytes.copy_from_slice(&rule.old[range.clone()]),
                    _ => {}
                }
            }
            match op {
                Op::Read => found.extend(bytes),
                _ if n < keep => self.bytes[range].copy_from_slice(&bytes),
                _ => {}
            }
        }
        end.map(|_| found)
    }
}

fn random_rule(random: &mut Random) -> String {
    let mut one = |of: &[&str]| of[random.below(of.len() as u64) as usize].to_owned();
    let action = one(&[
        "error errno=EIO",
        "error errno=ENOSPC op=write",
        "eio_read",
        "lose op=write,zero",
        "lose op=write",
        "tear keep=1",
        "tear keep=2 then=EIO",
        "corrupt how=zero",
        "corrupt how=fill byte=7 op=read",
        "misdirect by=+3",
        "misdirect by=-5 op=read",
        "misdirect by=+70",
        "misdirect by=-9 op=write,zero",
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
