//! The engine: rounds of files, side by side; their events to a reporter, and the sum.

use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use crossbeam_channel::{Receiver, bounded, unbounded};

use super::file_runner::FileRunner;
use super::memory::MemoryGate;
use super::options::{Job, RunOptions};
use super::report::{Report, Reporter, Stopped, Summary};
use super::stop::Stop;

/// How many reports wait to be drawn before the files wait for that.
const REPORTS_WAITING: usize = 1000;

/// The rounds of a run.
pub struct Rounds<'a> {
    /// How many rounds there are, one after the other.
    pub count: u32,
    /// The files of a round; the first round is 1.
    pub jobs: &'a dyn Fn(u32) -> Vec<Job>,
    /// The seed of the order, if it is shuffled.
    pub seed: Option<u64>,
}

/// Runs all rounds and tells `reporter`, until all is done or `stop` says so. A round that has not begun
/// by then is not reported.
pub fn run(
    rounds: &Rounds<'_>,
    options: &RunOptions,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Summary {
    let started = Instant::now();
    let mut audience = Audience {
        reporter,
        stop,
        summary: Summary::default(),
    };
    let mut jobs = (rounds.jobs)(1);
    audience.tell(&Report::Began {
        files: jobs.len().saturating_mul(rounds.count as usize),
        rounds: rounds.count,
        seed: rounds.seed,
    });
    let gate = MemoryGate::new(options.memory);
    let failures = AtomicUsize::new(0);
    let mut round = 1;
    loop {
        let (tx, reports) = bounded(REPORTS_WAITING);
        let runner = FileRunner {
            options,
            stop,
            gate: &gate,
            failures: &failures,
            reports: tx,
        };
        run_round(jobs, runner, &reports, &mut |report| audience.tell(report));
        if round == rounds.count || stop.reason().is_some() {
            break;
        }
        round += 1;
        jobs = (rounds.jobs)(round);
    }
    let mut summary = audience.summary.clone();
    summary.took = started.elapsed();
    summary.stopped = stopped(&summary, round, rounds.count, stop);
    audience.tell(&Report::Ended(summary.clone()));
    summary
}

/// Why the run was stopped before its end, if it was.
fn stopped(summary: &Summary, round: u32, rounds: u32, stop: &Stop) -> Option<Stopped> {
    let is_whole = round == rounds && summary.not_run + summary.files_not_run == 0;
    let reason = stop.reason().filter(|_| !is_whole)?;
    let round = (rounds > 1).then_some((round, rounds));
    Some(Stopped { reason, round })
}

/// What hears of a run: its reporter and its sum.
struct Audience<'a> {
    reporter: &'a mut dyn Reporter,
    stop: &'a Stop,
    summary: Summary,
}

impl Audience<'_> {
    /// Counts and shows a report. One that cannot be shown stops the run.
    fn tell(&mut self, report: &Report) {
        if let Report::Event(file, _, event) = report {
            self.summary.count(file, event);
        }
        if let Err(error) = self.reporter.report(report) {
            self.stop.stop(format!("stopped: {error}"));
        }
    }
}

/// Runs `jobs` side by side, as many as the options allow, and passes on what is reported.
fn run_round(
    jobs: Vec<Job>,
    runner: FileRunner<'_>,
    reports: &Receiver<Report>,
    pass_on: &mut dyn FnMut(&Report),
) {
    let threads = runner.options.jobs.clamp(1, jobs.len().max(1));
    let (queue, waiting) = unbounded();
    for job in jobs {
        let _ = queue.send(job);
    }
    drop(queue);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (runner, waiting) = (runner.clone(), waiting.clone());
            // The thread outlives the processes that it starts: they die with it.
            scope.spawn(move || runner.run_all(&waiting));
        }
        drop(runner);
        for report in reports {
            pass_on(&report);
        }
    });
}
