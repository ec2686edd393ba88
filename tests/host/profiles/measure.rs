//! The four templates of Amazon EBS as fio measures them through a mount: the share of requests that each phase delays,
//! and how long they take. Runs where `PROVIUM_PROFILE_SCALE` says by what to multiply the times of phases.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use provium::fault::{Action, Arming, Edit, FaultSet, IoRange, Op, Rule, RuleHits, parse_rule};

use super::rules;
use crate::harness::*;

/// A request, in the log of fio.
struct Logged {
    /// When it was submitted, since the profile was armed.
    at: Duration,
    took: Duration,
    op: Op,
}

/// What fio is.
#[derive(Clone, Copy)]
enum Load {
    /// Clients with one request at a time, each with so many reads and as many writes a second: with many in one queue,
    /// fio notices their ends late.
    Timed(u32),
    /// Two clients with many at a time, as fast as they can: of few requests, the share of those that wait is off by
    /// chance.
    Many,
}

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
        // Of few requests that wait, many are needed to see some.
        let rate = if name.contains("intermittent") { 20 } else { 2 };
        let mount = Mount::of_size(64 * MIB);
        let armed = run_fio(&mount, &rules, Load::Timed(rate));
        let logged = logged(&mount, armed);
        wrong.extend(
            rules
                .iter()
                .filter_map(|rule| latency(&name, rule, &logged)),
        );
        let mount = Mount::of_size(MIB << 20);
        run_fio(&mount, &rules, Load::Many);
        let counters = mount.read("vda/rules");
        let counted = rules.iter().zip(counters.lines());
        wrong.extend(counted.filter_map(|(rule, line)| share(&name, rule, line)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Arms `rules`, and runs fio until the last phase is over. When they were armed, since 1970.
fn run_fio(mount: &Mount, rules: &[Rule], load: Load) -> Duration {
    let ends = rules.iter().map(|rule| rule.after + rule.lasts.unwrap());
    let seconds = ends.max().unwrap().as_secs() + 4;
    let mut fio = Command::new("fio");
    fio.args(["--name=m", "--rw=randrw", "--bs=4k", "--direct=1"])
        .args(["--thread", "--time_based"])
        .args(["--norandommap", "--randrepeat=1", "--group_reporting"])
        .arg(format!("--filename={}", mount.vda().display()))
        .arg(format!("--runtime={seconds}"));
    match load {
        Load::Timed(rate) => fio
            .args(["--ioengine=psync", "--numjobs=400", "--size=64m"])
            .args(["--per_job_logs=0", "--log_unix_epoch=1"])
            .args(["--clocksource=clock_gettime", "--rate_process=poisson"])
            .arg(format!("--rate_iops={rate},{rate}"))
            .arg(format!("--write_lat_log={}", log(mount).display())),
        // After as many bytes as the size it would wait for all requests, delayed ones too.
        Load::Many => fio
            .args(["--ioengine=libaio", "--numjobs=2", "--iodepth=12288"])
            .args(["--size=1t", "--random_distribution=zoned_abs:100/64m"]),
    };
    let arm = || {
        let texts: Vec<_> = rules.iter().map(Rule::to_string).collect();
        mount.arm(&texts.join("\n"));
        SystemTime::now()
    };
    // Behind so many requests in the queue of the kernel the rules would come late.
    let early = matches!(load, Load::Many).then(arm);
    let armed = std::thread::scope(|scope| {
        let fio = scope.spawn(|| run(&mut fio));
        let armed = early.unwrap_or_else(|| {
            eventually("fio has begun", || mount.stat("write_requests") > 100);
            arm()
        });
        assert_ok(&fio.join().unwrap());
        armed
    });
    armed.duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

fn log(mount: &Mount) -> PathBuf {
    mount.folder().join("fio")
}

/// The requests that fio has logged since the rules were armed.
fn logged(mount: &Mount, armed: Duration) -> Vec<Logged> {
    let text = std::fs::read_to_string(log(mount).with_file_name("fio_clat.log")).unwrap();
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

/// Prints how long fio's requests took in the phase of `rule`, and names it if they were not those that it declares.
fn latency(name: &str, rule: &Rule, logged: &[Logged]) -> Option<String> {
    let Action::Delay(by) = &rule.action else {
        return None;
    };
    let declared = by.always()?;
    // The log rounds to milliseconds, and what came at an end of the phase may be of either side.
    let margin = Duration::from_millis(20);
    let phase = rule.after + margin..(rule.after + rule.lasts.unwrap()).saturating_sub(margin);
    let of_phase = |it: &&Logged| rule.ops.contains(it.op) && phase.contains(&it.at);
    let all: Vec<&Logged> = logged.iter().filter(of_phase).collect();
    let took = all.iter().map(|it| it.took);
    let mut delayed: Vec<Duration> = took.filter(|took| *took >= declared).collect();
    delayed.sort();
    let middle = delayed.get(delayed.len() / 2).copied().unwrap_or_default();
    println!(
        "{name} {} from {:?}: {} of {} requests waited (declared {} %); median {middle:?} (declared {declared:?}, {:+.2} %), longest {:?}",
        rule.ops,
        rule.after,
        delayed.len(),
        all.len(),
        declared_share(rule) * 100.0,
        off(middle.as_secs_f64(), declared.as_secs_f64()),
        delayed.last().copied().unwrap_or_default(),
    );
    // A busy machine answers late.
    let is_late = middle > 2 * declared + Duration::from_secs(1);
    let bad = middle < declared || is_late;
    bad.then(|| format!("{name}: {rule}"))
}

/// Prints how many requests the rule has delayed, and names it if these are not those of its seed, or not the share that
/// it declares.
fn share(name: &str, rule: &Rule, counted: &str) -> Option<String> {
    let counts = counts(counted);
    let (matched, fired) = (counts["matched"], counts["fired"]);
    let declared = declared_share(rule);
    let off_by = |fired: u64, matched: u64| off(fired as f64 / matched.max(1) as f64, declared);
    // Four standard deviations.
    let chance = 400.0 * ((1.0 - declared) / (declared * matched.max(1) as f64)).sqrt();
    // Of so many requests, these are 5 %. No fio has as many in a phase where one in a thousand waits.
    let enough = (6400.0 * (1.0 - declared) / declared).ceil().max(1.0) as u64;
    let of_enough = delayed_by_seed(rule, enough);
    println!(
        "{name} {} from {:?}: {fired} of {matched} requests waited (declared {} %, {:+.2} %; by chance up to {chance:.2} %); its seed delays {of_enough} of {enough} ({:+.2} %)",
        rule.ops,
        rule.after,
        declared * 100.0,
        off_by(fired, matched),
        off_by(of_enough, enough),
    );
    let bad = fired != delayed_by_seed(rule, matched)
        || off_by(fired, matched).abs() > chance.max(5.0)
        || off_by(of_enough, enough).abs() > 5.0;
    bad.then(|| format!("{name}: {rule}"))
}

fn declared_share(rule: &Rule) -> f64 {
    rule.probability.map_or(1.0, |p| p.get())
}

/// By how many percent `found` is off.
fn off(found: f64, declared: f64) -> f64 {
    (found / declared - 1.0) * 100.0
}

/// How many of `requests` the rule delays: its seed says which.
fn delayed_by_seed(rule: &Rule, requests: u64) -> u64 {
    let set = FaultSet::default().edited(&[Edit::Add(rule.clone())], Arming::default());
    let set = set.unwrap();
    let range = IoRange {
        op: rule.ops.iter().next().unwrap(),
        offset: 0,
        len: 4096,
    };
    let wait = |_: &u64| set.wait(range, rule.after, &mut RuleHits::default());
    let waits = |number: &u64| wait(number).is_some();
    (0..requests).filter(waits).count() as u64
}

fn counts(line: &str) -> HashMap<String, u64> {
    let pairs = line.split(' ').filter_map(|word| word.split_once('='));
    let numbers = pairs.filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?)));
    numbers.collect()
}
