//! One file: its processes, one after the other, until each of its tests has an end.

use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender};

use super::memory::MemoryGate;
use super::options::{Job, RunOptions, Tests};
use super::report::Report;
use super::stop::Stop;
use super::tries::Tries;
use super::worker::run_file;
use crate::events::{Event, Order, Outcome};

/// One of the threads that run files.
#[derive(Clone)]
pub(super) struct FileRunner<'a> {
    pub(super) options: &'a RunOptions,
    pub(super) stop: &'a Stop,
    pub(super) gate: &'a MemoryGate,
    /// How many failures there are in the run by now.
    pub(super) failures: &'a AtomicUsize,
    pub(super) reports: Sender<Report>,
}

impl FileRunner<'_> {
    /// Runs the files that wait, until none is left or the run stops.
    pub(super) fn run_all(&self, waiting: &Receiver<Job>) {
        for job in waiting {
            let _running = self.gate.enter(self.stop);
            match self.stop.reason() {
                Some(reason) => self.leave_out(&job, job.tests.names(), &reason),
                None => self.run(&job),
            }
        }
    }

    /// Passes an event on. The last failure that is allowed stops the run at once: before the next
    /// file is looked at.
    fn emit(&self, job: &Job, event: Event) {
        if is_failure(&event) {
            let failures = self.failures.fetch_add(1, Ordering::SeqCst) + 1;
            if self.options.max_fail.is_some_and(|most| failures >= most) {
                let word = if failures == 1 { "failure" } else { "failures" };
                self.stop.stop(format!("stopped after {failures} {word}"));
            }
        }
        let report = Report::Event(job.file.clone(), job.round, event);
        let _ = self.reports.send(report);
    }

    /// Reports these tests of the file as not run; the file itself, if its tests are not known.
    fn leave_out(&self, job: &Job, tests: Option<&[String]>, reason: &str) {
        let Some(tests) = tests else {
            let reason = reason.to_owned();
            return self.emit(job, Event::FileNotRun { reason });
        };
        for test in tests {
            let reason = reason.to_owned();
            self.emit(
                job,
                Event::Finished {
                    test: test.clone(),
                    outcome: Outcome::NotRun { reason },
                    seconds: 0.0,
                    attempts: 0,
                    evidence: None,
                },
            );
        }
    }

    /// Runs the file, and what failed of it again, each time in a new process.
    fn run(&self, job: &Job) {
        if let Tests::Broken(message) = &job.tests {
            let message = message.clone();
            let evidence = None;
            return self.emit(job, Event::FileFailed { message, evidence });
        }
        let mut tries = Tries::default();
        let mut only = job.tests.names().map(<[String]>::to_vec);
        for retry in 0..=self.options.retries {
            self.try_once(job, only, retry + 1, &mut tries);
            let again = tries.again();
            if again.is_empty() {
                return;
            }
            if self.stop.reason().is_some() {
                break;
            }
            only = Some(again);
        }
        // The run was stopped before the next try, or that did not reach them.
        for event in tries.ends() {
            self.emit(job, event);
        }
    }

    /// Runs some of the file's tests; notes those that have to be tried again. A process that keeps
    /// its VMs leaves the rest of the tests to another one.
    fn try_once(&self, job: &Job, mut only: Option<Vec<String>>, attempt: u32, tries: &mut Tries) {
        let is_last = attempt > self.options.retries;
        loop {
            let mut order = self.order(only.take(), is_last);
            order.evidence.round = job.round;
            order.evidence.attempt = attempt;
            let mut emit = |event| self.note(job, &order, event, is_last, tries);
            let done = run_file(&job.file, &order, self.options, self.stop, &mut emit);
            let done = match done {
                Ok(done) => done,
                Err(error) => {
                    let message = format!("cannot run the file: {error}");
                    let evidence = None;
                    return emit(Event::FileFailed { message, evidence });
                }
            };
            if !done.output.is_empty() {
                let output = Report::Output(job.file.clone(), job.round, done.output);
                let _ = self.reports.send(output);
            }
            match done.rest {
                Some(rest) if !rest.is_empty() => only = Some(rest),
                _ => return,
            }
        }
    }

    /// The order for a process.
    fn order(&self, only: Option<Vec<String>>, is_last: bool) -> Order {
        let mut order = self.options.order(only);
        order.keep &= is_last;
        let failures = self.failures.load(Ordering::SeqCst);
        let max_fail = self.options.max_fail;
        let left = max_fail.map(|most| most.saturating_sub(failures).max(1));
        // A failure that is tried again does not count yet.
        order.stop_after = left.filter(|_| is_last);
        order
    }

    /// Passes on the event that an event of a process means for its file.
    fn note(&self, job: &Job, order: &Order, event: Event, is_last: bool, tries: &mut Tries) {
        if let Event::FileNotRun { reason } = &event {
            // The tests that are tried again have failed.
            if tries.again().is_empty() {
                self.leave_out(job, order.only.as_deref(), reason);
            }
            return;
        }
        if let Some(event) = tries.note(event, is_last) {
            self.emit(job, event);
        }
    }
}

fn is_failure(event: &Event) -> bool {
    matches!(
        event,
        Event::FileFailed { .. }
            | Event::Finished {
                outcome: Outcome::Failed { .. },
                ..
            }
    )
}
