//! Limits at random on a clock of its own, against a model that is as simple as the page.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::*;
use crate::fault::{Limit, Random};

const SECOND: i128 = 1_000_000_000;

/// What a request waits for: until a moment, or for one of so many lanes of the rule with this number.
enum Wanted {
    Time(Duration),
    Lane(usize, u64),
}

/// What limits are asked about a request, by its number.
trait Limits {
    fn wanted(&mut self, request: usize, now: Duration) -> Option<Wanted>;
    fn has_lane(&mut self, request: usize, rule: usize);
    fn is_dropped(&mut self, request: usize);
}

#[derive(Clone, Copy)]
struct Request {
    range: IoRange,
    comes: Duration,
    /// How late the timer is.
    late: Duration,
    /// How long it takes after the limits.
    service: Duration,
    /// When it is dropped, if it waits then.
    dropped: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Drop,
    Look,
    Answer,
}

/// When each request passes all limits; None for one that is dropped before.
struct Run<'a, L> {
    limits: L,
    requests: &'a [Request],
    events: BTreeSet<(Duration, usize, Event)>,
    passed: Vec<Option<Duration>>,
    over: BTreeSet<usize>,
    /// Who has a lane of a rule, and who waits for one.
    lanes: BTreeMap<usize, (BTreeSet<usize>, VecDeque<usize>)>,
}

impl<L: Limits> Run<'_, L> {
    fn of(limits: L, requests: &[Request]) -> Vec<Option<Duration>> {
        let comes = requests.iter().enumerate();
        let comes = comes.map(|(number, request)| (request.comes, number, Event::Look));
        let dropped = requests.iter().enumerate();
        let dropped = dropped.filter_map(|(number, it)| Some((it.dropped?, number, Event::Drop)));
        let mut run = Run {
            limits,
            requests,
            events: comes.chain(dropped).collect(),
            passed: vec![None; requests.len()],
            over: BTreeSet::new(),
            lanes: BTreeMap::new(),
        };
        while let Some((now, number, event)) = run.events.pop_first() {
            match event {
                Event::Look => run.look(number, now),
                Event::Answer => run.end(number, now),
                Event::Drop if run.passed[number].is_none() && !run.over.contains(&number) => {
                    run.limits.is_dropped(number);
                    run.end(number, now);
                }
                Event::Drop => {}
            }
        }
        run.passed
    }

    fn look(&mut self, number: usize, now: Duration) {
        if self.over.contains(&number) {
            return;
        }
        let request = self.requests[number];
        match self.limits.wanted(number, now) {
            None => {
                self.passed[number] = Some(now);
                let end = now + request.service;
                self.events.insert((end, number, Event::Answer));
            }
            Some(Wanted::Time(until)) => {
                let due = until + request.late;
                self.events.insert((due, number, Event::Look));
            }
            Some(Wanted::Lane(rule, all)) => {
                let (has, waits) = self.lanes.entry(rule).or_default();
                waits.push_back(number);
                if (has.len() as u64) < all && waits.len() == 1 {
                    self.next(rule, now);
                }
            }
        }
    }

    /// The longest waiting request gets a lane.
    fn next(&mut self, rule: usize, now: Duration) {
        let (has, waits) = self.lanes.entry(rule).or_default();
        if let Some(next) = waits.pop_front() {
            has.insert(next);
            self.limits.has_lane(next, rule);
            self.look(next, now);
        }
    }

    fn end(&mut self, number: usize, now: Duration) {
        self.over.insert(number);
        let rules: Vec<_> = self.lanes.keys().copied().collect();
        for rule in rules {
            let (has, waits) = self.lanes.entry(rule).or_default();
            waits.retain(|other| *other != number);
            if has.remove(&number) {
                self.next(rule, now);
            }
        }
    }
}

/// The rules themselves.
struct Real<'a> {
    set: FaultSet,
    requests: &'a [Request],
    hits: Vec<RuleHits>,
}

impl Limits for Real<'_> {
    fn wanted(&mut self, request: usize, now: Duration) -> Option<Wanted> {
        let range = self.requests[request].range;
        let wait = self.set.wait(range, now, &mut self.hits[request])?;
        let is_first = |armed: &Arc<Armed>| armed.id == wait.rules[0].id;
        let rule = self.set.armed().iter().position(is_first).unwrap();
        Some(match wait.lanes {
            Some(all) => Wanted::Lane(rule, all),
            None => Wanted::Time(now + wait.time),
        })
    }

    fn has_lane(&mut self, request: usize, rule: usize) {
        let id = self.set.armed()[rule].id;
        self.hits[request].take_lane(id);
    }

    fn is_dropped(&mut self, request: usize) {
        self.hits[request].leave_limits();
    }
}

/// What the page says.
struct Model<'a> {
    requests: &'a [Request],
    rules: Vec<ModelRule>,
}

struct ModelRule {
    ops: Ops,
    limit: Limit,
    /// What has come to it: when at the earliest, and how many bytes. Without a time they are given back.
    came: Vec<(Option<(i128, i128)>, i128)>,
    /// When the latest request has passed.
    passed: Option<Duration>,
    at: BTreeMap<usize, AtRule>,
}

#[derive(Default)]
struct AtRule {
    start: Duration,
    passed: bool,
    has_lane: bool,
}

impl ModelRule {
    /// When all that has come is paid for, in nanoseconds times what is paid for in a second.
    fn paid(&self, each: i128, of: impl Fn(&(i128, i128), i128) -> (i128, i128)) -> i128 {
        self.came.iter().fold(0, |end, (came, len)| match came {
            Some(times) => {
                let (came, amount) = of(times, *len);
                end.max(came * each) + amount * SECOND
            }
            None => (end - of(&(0, 0), *len).1 * SECOND).max(0),
        })
    }

    /// From when on a request may pass that comes now.
    fn start(&mut self, now: Duration, len: u64) -> Duration {
        let nanos = now.as_nanos() as i128;
        let is_busy = |passed| now - passed <= Duration::from_millis(100);
        let slack = if self.passed.is_some_and(is_busy) {
            SECOND / 10
        } else {
            0
        };
        let rate = self.limit.rate.map(i128::from);
        let burst = i128::from(self.limit.burst) * SECOND / rate.unwrap_or(1);
        let (for_bytes, for_one) = ((nanos - slack - burst).max(0), (nanos - slack).max(0));
        self.came
            .push((Some((for_bytes, for_one)), i128::from(len)));
        // It is paid for when it has passed: it may begin so much before.
        let ceil = |end: i128, each: i128| (end + each - 1) / each;
        let bytes = rate.map(|each| {
            let end = self.paid(each, |(came, _), len| (*came, len));
            ceil(end - i128::from(len) * SECOND, each)
        });
        let ones = self.limit.iops.map(|each| {
            let each = i128::from(each);
            let end = self.paid(each, |(_, came), _| (*came, 1));
            ceil(end - SECOND, each)
        });
        bytes
            .max(ones)
            .map_or(now, |start| Duration::from_nanos(start as u64))
    }
}

impl Limits for Model<'_> {
    fn wanted(&mut self, request: usize, now: Duration) -> Option<Wanted> {
        let range = self.requests[request].range;
        for (number, rule) in self.rules.iter_mut().enumerate() {
            if !rule.ops.contains(range.op) {
                continue;
            }
            if !rule.at.contains_key(&request) {
                let start = rule.start(now, range.len);
                let at = AtRule {
                    start,
                    ..AtRule::default()
                };
                rule.at.insert(request, at);
            }
            let at = rule.at.get_mut(&request).unwrap();
            if now < at.start {
                return Some(Wanted::Time(at.start));
            }
            if !at.passed {
                at.passed = true;
                rule.passed = Some(now);
            }
            if let Some(all) = rule.limit.lanes
                && !at.has_lane
            {
                return Some(Wanted::Lane(number, all));
            }
        }
        None
    }

    fn has_lane(&mut self, request: usize, rule: usize) {
        self.rules[rule].at.get_mut(&request).unwrap().has_lane = true;
    }

    fn is_dropped(&mut self, request: usize) {
        let len = i128::from(self.requests[request].range.len);
        for rule in &mut self.rules {
            if rule.at.get(&request).is_some_and(|at| !at.passed) {
                rule.came.push((None, len));
            }
        }
    }
}

fn one<T: Copy>(random: &mut Random, of: &[T]) -> T {
    of[random.below(of.len() as u64) as usize]
}

fn random_limit(random: &mut Random, number: usize) -> String {
    let op = one(random, &["read", "write", "read,write"]);
    let rate = one(
        random,
        &["", " rate=1M", " rate=50M", " rate=7", " rate=100001"],
    );
    let iops = one(random, &["", " iops=200", " iops=3", " iops=12345"]);
    let burst = one(random, &["", "", " burst=64K", " burst=3M"]);
    let burst = if rate.is_empty() { "" } else { burst };
    let none = rate.is_empty() && iops.is_empty();
    let lanes = one(random, &["", " lanes=1", " lanes=2", " lanes=5"]);
    let lanes = if none { " lanes=2" } else { lanes };
    format!("limit op={op}{rate}{iops}{burst}{lanes} tag=t{number}")
}

fn random_requests(random: &mut Random) -> Vec<Request> {
    let us = Duration::from_micros;
    let mut comes = NOW;
    let request = |_| {
        let most = one(random, &[0, 0, 30, 4_000, 90_000, 400_000]);
        comes += us(random.below(most + 1));
        let late = one(random, &[0, 0, 0, 60, 3_000, 150_000]);
        let service = one(random, &[0, 0, 80, 10_000, 200_000]);
        let dropped = comes + us(random.below(3_000_000));
        Request {
            range: IoRange {
                op: one(random, &[Op::Read, Op::Write]),
                offset: 0,
                len: one(random, &[512, 4096, 65_536, 1 << 20]),
            },
            comes,
            late: us(random.below(late + 1)),
            service: us(random.below(service + 1)),
            dropped: (random.below(4) == 0).then_some(dropped),
        }
    };
    (0..40).map(request).collect()
}

#[test]
fn requests_pass_random_limits_at_the_moments_of_the_model() {
    let (mut waited, mut dropped) = (0, 0);
    for seed in 0..3000 {
        let mut random = Random::at(seed, 0);
        let lines: Vec<_> = (0..1 + random.below(3) as usize)
            .map(|number| random_limit(&mut random, number))
            .collect();
        let requests = random_requests(&mut random);
        let texts: Vec<_> = lines.iter().map(String::as_str).collect();
        let set = set(&texts);
        let rules = set.rules().map(|rule| match &rule.action {
            Action::Limit(limit) => ModelRule {
                ops: rule.ops,
                limit: *limit,
                came: Vec::new(),
                passed: None,
                at: BTreeMap::new(),
            },
            other => panic!("{other:?}"),
        });
        let model = Model {
            rules: rules.collect(),
            requests: &requests,
        };
        let hits = requests.iter().map(|_| RuleHits::default()).collect();
        let expected = Run::of(model, &requests);
        let real = Real {
            set,
            requests: &requests,
            hits,
        };
        assert_eq!(
            Run::of(real, &requests),
            expected,
            "seed {seed}: {lines:#?}"
        );
        let passed = expected.iter().zip(&requests);
        waited += passed
            .filter(|(passed, it)| passed.is_some_and(|at| at > it.comes))
            .count();
        dropped += expected.iter().filter(|passed| passed.is_none()).count();
    }
    // Of 120,000.
    assert!(waited > 20_000 && dropped > 5_000, "{waited} {dropped}");
}
