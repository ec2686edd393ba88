//! The four templates of Amazon EBS as fio measures them through a mount: the share of requests that each phase delays,
//! and how long they take. Runs where `PROVIUM_PROFILE_SCALE` says by what to multiply the times of phases.

use std::collections::HashMap;
use std::process::Command;
use std::time::{Duration, SystemTime};

use provium::fault::{Action, Op, Rule, parse_rule};

use super::rules;
use crate::harness::*;

/// A request, in the log of fio.
struct Logged {
    /// When it was submitted, since the profile was armed.
    at: Duration,
    took: Duration,
    op: Op,
}

/// How many clients fio is. Each has one request at a time: with many in one queue, fio notices their ends late.
const CLIENTS: u32 = 400;

#[test]
fn fio_finds_the_latency_and_the_share_of_each_phase() {
    let Ok(scale) = std::env::var("PROVIUM_PROFILE_SCALE") else {
        println!("skipped: PROVIUM_PROFILE_SCALE is not set");
        return;
    };
    if !has("fio") {
        return;
    }
    let mut wrong = Vec::new();
    for name in ["sustained", "increasing", "intermittent", "decreasing"] {
        let name = format!("ebs-{name}-latency");
        let words = [name.as_str(), &format!("scale={scale}"), "seed=42"];
        let rules: Vec<Rule> = rules(&words)
            .iter()
            .map(|rule| parse_rule(rule, 1).unwrap())
            .collect();
        let end = rules
            .iter()
            .map(|rule| rule.after + rule.lasts.unwrap())
            .max()
            .unwrap();
        // Of few requests that wait, many are needed to see some.
        let rate = if name.contains("intermittent") { 20 } else { 2 };
        let mount = Mount::of_size(64 * MIB);
        let logged = run_fio(&mount, &rules, end, rate);
        let counters = mount.read("vda/rules");
        for (rule, counted) in rules.iter().zip(counters.lines()) {
            wrong.extend(phase(&name, rule, counted, &logged));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Runs fio until the last phase is over, each client with `rate` reads and as many writes a second, and arms `rules` when its first requests have come.
fn run_fio(mount: &Mount, rules: &[Rule], end: Duration, rate: u32) -> Vec<Logged> {
    let log = mount.folder().join("fio");
    let seconds = end.as_secs() + 4;
    let mut fio = Command::new("fio");
    fio.args([
        "--name=m",
        "--rw=randrw",
        "--bs=4k",
        "--direct=1",
        "--ioengine=psync",
    ])
    .args([
        "--thread",
        "--per_job_logs=0",
        "--group_reporting",
        "--time_based",
    ])
    .args([
        "--norandommap",
        "--randrepeat=1",
        "--log_unix_epoch=1",
        "--clocksource=clock_gettime",
    ])
    .arg(format!("--numjobs={CLIENTS}"))
    .arg(format!("--rate_iops={rate},{rate}"))
    .arg(format!("--runtime={seconds}"))
    .arg(format!("--write_lat_log={}", log.display()))
    .arg(format!("--filename={}", mount.vda().display()))
    .arg("--size=64m")
    .current_dir(mount.folder());
    let fio = std::thread::scope(|scope| {
        let fio = scope.spawn(|| run(&mut fio));
        eventually("fio has begun", || mount.stat("write_requests") > 100);
        let texts: Vec<_> = rules.iter().map(Rule::to_string).collect();
        mount.arm(&texts.join("\n"));
        let armed = SystemTime::now();
        (fio.join().unwrap(), armed)
    });
    assert_ok(&fio.0);
    let armed = fio.1.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let text = std::fs::read_to_string(mount.folder().join("fio_clat.log")).unwrap();
    text.lines()
        .filter_map(|line| parsed(line, armed))
        .collect()
}

/// A line of the log: when the request ended in milliseconds, how long it took in nanoseconds, 0 for a read.
fn parsed(line: &str, armed: Duration) -> Option<Logged> {
    let words: Vec<u64> = line
        .split(',')
        .map_while(|word| word.trim().parse().ok())
        .collect();
    let took = Duration::from_nanos(words[1]);
    let at = Duration::from_millis(words[0])
        .checked_sub(took)?
        .checked_sub(armed)?;
    let op = if words[2] == 0 { Op::Read } else { Op::Write };
    Some(Logged { at, took, op })
}

/// Prints what was found of the phase of `rule`, and names it if it is another one than was declared.
fn phase(name: &str, rule: &Rule, counted: &str, logged: &[Logged]) -> Option<String> {
    let Action::Delay(by) = &rule.action else {
        return None;
    };
    let declared = by.always()?;
    // The log rounds to milliseconds, and what came at an end of the phase may be of either side.
    let margin = Duration::from_millis(20);
    let phase = rule.after + margin..(rule.after + rule.lasts.unwrap()).saturating_sub(margin);
    let of_phase = |it: &&Logged| rule.ops.contains(it.op) && phase.contains(&it.at);
    let all: Vec<&Logged> = logged.iter().filter(of_phase).collect();
    let mut delayed: Vec<Duration> = all
        .iter()
        .map(|it| it.took)
        .filter(|took| *took >= declared)
        .collect();
    delayed.sort();
    let expected = rule.probability.map_or(1.0, |p| p.get());
    let share = delayed.len() as f64 / all.len().max(1) as f64;
    let middle = delayed.get(delayed.len() / 2).copied().unwrap_or_default();
    let counts = counts(counted);
    let by_counters = counts["fired"] as f64 / counts["matched"].max(1) as f64;
    let off = |found: f64, expected: f64| (found / expected - 1.0) * 100.0;
    let latency = off(middle.as_secs_f64(), declared.as_secs_f64());
    println!(
        "{name} {} from {:?}: {} requests, {:.4} % delayed (declared {} %, {:+.2} %; by the counters {:.4} %), median {middle:?} (declared {declared:?}, {latency:+.2} %), longest {:?}",
        rule.ops,
        rule.after,
        all.len(),
        share * 100.0,
        expected * 100.0,
        off(share, expected),
        by_counters * 100.0,
        delayed.last().copied().unwrap_or_default(),
    );
    // Of few requests, the share of those that fire is off by chance: four standard deviations. A busy machine answers
    // late, and some requests that no rule delays too; the numbers above are for people.
    let matched = counts["matched"].max(1) as f64;
    let chance = 400.0 * ((1.0 - expected) / (expected * matched)).sqrt();
    let is_late = middle > 2 * declared + Duration::from_secs(1);
    let bad = off(by_counters, expected).abs() > chance.max(5.0) || middle < declared || is_late;
    bad.then(|| format!("{name}: {rule}"))
}

fn counts(line: &str) -> HashMap<String, u64> {
    let pairs = line.split(' ').filter_map(|word| word.split_once('='));
    let numbers = pairs.filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?)));
    numbers.collect()
}
