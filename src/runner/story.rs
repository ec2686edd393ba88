//! The state of a test file while its process runs, and the verdict on tests that it leaves without an end.

use std::cmp::Reverse;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::leave::{Folders, Left, cause, how};
use super::options::RunOptions;
use crate::events::{Event, KeptVm, Outcome, TestInfo};
use crate::evidence::{self, FILE_TEST};
use crate::vm;

/// How long a process may take beyond a test's own time, to end by itself and close its VMs.
const GRACE: Duration = Duration::from_secs(10);

/// How many VMs' consoles a warning shows.
const MOST_CONSOLES: usize = 4;

/// Why the events have ended.
pub(super) enum Verdict {
    /// The process closed the stream.
    Ended,
    /// It took too long; the text says which limit passed.
    TimedOut(String),
    /// The run was stopped, for this reason.
    Stopped(String),
    /// It keeps the VMs of a failed test; the rest of the file needs another process.
    Kept,
}

/// The state of a file, from its first event on.
pub(super) struct Story {
    folders: Folders,
    own_timeout: Duration,
    slow_after: Duration,
    /// When the process has to be ended, and why.
    deadline: (Instant, String),
    /// When the whole file has to be over, and why.
    file_deadline: Option<(Instant, String)>,
    /// None until the file has been read.
    planned: Option<Vec<TestInfo>>,
    running: Option<Running>,
    consoles: Vec<(String, PathBuf)>,
    pub(super) failed: bool,
    pub(super) kept: bool,
}

struct Running {
    test: String,
    since: Instant,
    slow_at: Instant,
}

impl Story {
    pub(super) fn new(options: &RunOptions, folders: Folders, now: Instant) -> Self {
        let file_deadline = options.file_timeout.map(|limit| {
            let why = format!("the file's time ({}s) was up", limit.as_secs_f64());
            (now + limit, why)
        });
        let mut story = Self {
            folders,
            own_timeout: options.timeout,
            slow_after: options.slow_after,
            deadline: (now, String::new()),
            file_deadline,
            planned: None,
            running: None,
            consoles: Vec::new(),
            failed: false,
            kept: false,
        };
        story.allow(now, options.timeout);
        story
    }

    fn allow(&mut self, now: Instant, limit: Duration) {
        self.deadline = (now + limit + GRACE, "its time was up".into());
    }

    pub(super) fn note(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Planned { tests } => {
                self.planned = Some(tests.clone());
                self.allow(now, Duration::ZERO);
            }
            Event::Started { test, timeout } => {
                self.running = Some(Running {
                    test: test.clone(),
                    since: now,
                    slow_at: now + self.slow_after,
                });
                let timeout = Duration::try_from_secs_f64(*timeout).unwrap_or(self.own_timeout);
                self.allow(now, timeout);
            }
            Event::Finished { test, outcome, .. } => {
                self.running = None;
                self.failed |= matches!(outcome, Outcome::Failed { .. });
                self.forget(test);
                self.allow(now, Duration::ZERO);
            }
            Event::FileFailed { .. } => {
                self.failed = true;
                self.planned = Some(Vec::new());
            }
            Event::Vm { name, console } => self.consoles.push((name.clone(), console.clone())),
            Event::Preparing { passed, .. } => self.stand_still(*passed),
            Event::Kept { .. } => self.kept = true,
            _ => {}
        }
    }

    /// Moves the limits of the test and of the file, and the next warning, by a time that does not count.
    fn stand_still(&mut self, passed: f64) {
        let passed = Duration::try_from_secs_f64(passed).unwrap_or_default();
        let file = self.file_deadline.iter_mut().map(|(at, _)| at);
        let slow = self.running.iter_mut().map(|running| &mut running.slow_at);
        let moments = file.chain(slow).chain([&mut self.deadline.0]);
        moments.for_each(|moment| *moment += passed);
    }

    /// When to look again, at the latest.
    pub(super) fn next_look(&self) -> Instant {
        let slow = self.running.as_ref().map(|running| running.slow_at);
        let file = self.file_deadline.as_ref().map(|(at, _)| *at);
        let moments = [Some(self.deadline.0), slow, file];
        let first = moments.into_iter().flatten().min();
        first.unwrap_or(self.deadline.0)
    }

    /// Why the process has to end, if a deadline has passed.
    pub(super) fn overdue(&self, now: Instant) -> Option<String> {
        let mut deadlines = self.file_deadline.iter().chain([&self.deadline]);
        let passed = deadlines.find(|(at, _)| *at <= now);
        passed.map(|(_, why)| why.clone())
    }

    /// A warning, if one is due.
    pub(super) fn slow(&mut self, now: Instant) -> Option<Event> {
        let slow_after = self.slow_after;
        let running = self
            .running
            .as_mut()
            .filter(|running| running.slow_at <= now)?;
        running.slow_at = now + slow_after;
        let (test, seconds) = (running.test.clone(), (now - running.since).as_secs_f64());
        Some(Event::Slow {
            test,
            seconds,
            held: evidence::held(&evidence::ask_mounts(self.mounts())),
            consoles: self.console_ends(),
        })
    }

    /// The ends of the consoles, of the VMs that printed most recently.
    pub(super) fn console_ends(&self) -> String {
        let shown = |log: &PathBuf| log.metadata().and_then(|log| log.modified()).ok();
        let logs = self.consoles.iter();
        let mut logs: Vec<_> = logs
            .filter_map(|(name, log)| Some((shown(log)?, name, log)))
            .collect();
        logs.sort_by_key(|(shown, ..)| Reverse(*shown));
        let others = logs.len().saturating_sub(MOST_CONSOLES);
        let others = (others > 0).then(|| format!("and {others} more, silent for longer"));
        let ends = logs.iter().take(MOST_CONSOLES);
        let ends = ends.map(|(_, name, log)| format!("vm `{name}`: {}", vm::console_end(log)));
        ends.chain(others).collect::<Vec<_>>().join("\n")
    }

    /// Whether the file has been read and no test runs.
    pub(super) fn is_between_tests(&self) -> bool {
        self.planned.is_some() && self.running.is_none()
    }

    /// The tests that have no end yet.
    pub(super) fn rest(&self) -> Vec<String> {
        let planned = self.planned.iter().flatten();
        planned.map(|test| test.name.clone()).collect()
    }

    /// Whether a test runs and it, or its file, has a VM.
    pub(super) fn runs_a_guest(&self) -> bool {
        self.running.is_some() && !self.kept_vms().is_empty()
    }

    /// The VMs of the file whose folders exist.
    fn kept_vms(&self) -> Vec<KeptVm> {
        let vm = |(name, console): &(String, PathBuf)| {
            let folder = console.parent().filter(|folder| folder.exists());
            folder.map(|folder| KeptVm {
                name: name.clone(),
                folder: folder.to_owned(),
            })
        };
        self.consoles.iter().filter_map(vm).collect()
    }

    /// Fails the test that does not end; its process stays as it is.
    pub(super) fn keep(
        &mut self,
        process: u32,
        why: &str,
        left: &Left,
        emit: &mut dyn FnMut(Event),
    ) {
        self.failed = true;
        if let Some(running) = self.running.take() {
            let message = format!("the test does not end: {why}");
            self.fail(&running, &message, left, emit);
        }
        let vms = self.kept_vms();
        emit(Event::Kept { process, vms });
    }

    fn forget(&mut self, test: &str) {
        if let Some(planned) = &mut self.planned {
            planned.retain(|other| other.name != test);
        }
    }

    /// Ends every test that the process left without an end.
    pub(super) fn complete(
        &mut self,
        verdict: &Verdict,
        status: ExitStatus,
        left: &Left,
        emit: &mut dyn FnMut(Event),
    ) {
        let (why, cause) = match verdict {
            Verdict::Kept => return,
            Verdict::Stopped(reason) => return self.leave_out_rest(reason, emit),
            Verdict::Ended => (format!("ended {}", how(status)), cause(status)),
            Verdict::TimedOut(why) => (format!("was stopped: {why}"), ""),
        };
        let is_incomplete = self.planned.as_ref().is_none_or(|rest| !rest.is_empty());
        let has_crashed = matches!(verdict, Verdict::Ended) && !status.success();
        self.failed |= is_incomplete || has_crashed;
        match self.running.take() {
            Some(running) => {
                let message = format!("the test's process {why}{cause}");
                self.fail(&running, &message, left, emit);
                let reason = format!("the file's process {why} in an earlier test");
                self.leave_out_rest(&reason, emit);
            }
            None if is_incomplete => {
                let message = format!("the file's process {why}{cause}");
                self.fail_file(&message, left, emit);
                let reason = format!("the file's process {why} between two tests");
                self.planned.get_or_insert_default();
                self.leave_out_rest(&reason, emit);
            }
            // Even if all tests have passed: the rest of the file's work has not been done.
            None if has_crashed => {
                let message = format!("the file's process {why} after its last test");
                self.fail_file(&message, left, emit);
            }
            None => {}
        }
    }

    /// Fails the test that ran.
    fn fail(&mut self, running: &Running, message: &str, left: &Left, emit: &mut dyn FnMut(Event)) {
        let seconds = running.since.elapsed().as_secs_f64();
        let mut planned = self.planned.iter().flatten();
        let test = planned.find(|test| test.name == running.test);
        let (message, evidence) = self.folders.failed(test, message, left, seconds);
        emit(Event::Finished {
            test: running.test.clone(),
            outcome: Outcome::Failed { message },
            seconds,
            attempts: 1,
            evidence,
        });
        self.forget(&running.test);
    }

    fn fail_file(&self, message: &str, left: &Left, emit: &mut dyn FnMut(Event)) {
        let (message, evidence) = self.folders.failed(None, message, left, 0.0);
        emit(Event::FileFailed { message, evidence });
    }

    /// The test that runs, or what stands for the file.
    fn at(&self) -> &str {
        let running = self.running.as_ref();
        running.map_or(FILE_TEST, |running| &running.test)
    }

    /// What is known about the test that the process is stuck in.
    pub(super) fn left(&self) -> Left {
        Left {
            evidence: self.folders.ask(self.at(), self.mounts()),
            consoles: self.console_ends(),
        }
    }

    /// What is known about the test in which the process has ended.
    pub(super) fn salvaged(&self) -> Left {
        self.folders.salvage(self.at())
    }

    /// The mounts of the VMs that exist, with the names of these.
    pub(super) fn mounts(&self) -> Vec<(String, PathBuf)> {
        let vms = self.kept_vms().into_iter();
        vms.map(|vm| (vm.name, vm.folder.join("mnt"))).collect()
    }

    /// Reports the tests that have no end yet as not run.
    fn leave_out_rest(&mut self, reason: &str, emit: &mut dyn FnMut(Event)) {
        let running = self.running.take();
        let Some(rest) = self.planned.take() else {
            let reason = reason.to_owned();
            return emit(Event::FileNotRun { reason });
        };
        for test in rest {
            let started = running.as_ref().filter(|running| running.test == test.name);
            emit(Event::Finished {
                outcome: Outcome::NotRun {
                    reason: reason.to_owned(),
                },
                seconds: started.map_or(0.0, |running| running.since.elapsed().as_secs_f64()),
                attempts: started.map_or(0, |_| 1),
                evidence: None,
                test: test.name,
            });
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::events::EvidenceOrder;
    use crate::runner::leave::KILLED;
    use std::fs::File;
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;
    use std::time::SystemTime;

    pub(in crate::runner) fn story() -> Story {
        let options = RunOptions {
            config: None,
            timeout: Duration::from_secs(60),
            file_timeout: None,
            slow_after: Duration::from_secs(15),
            jobs: 1,
            memory: 0,
            max_fail: None,
            retries: 0,
            include_slow: false,
            keep: false,
            cold: false,
            evidence: EvidenceOrder::default(),
        };
        let folders = Folders::new(Path::new("a.test.lua"), &options.evidence);
        Story::new(&options, folders, Instant::now())
    }

    #[test]
    fn console_ends_are_those_of_the_vms_that_showed_something_last() {
        let folder = tempfile::tempdir().unwrap();
        let mut story = story();
        for (age, name) in (1..).zip(["a", "b", "c", "d", "e", "f"]) {
            let console = folder.path().join(name);
            let log = File::create(&console).unwrap();
            log.set_modified(SystemTime::now() - Duration::from_secs(age))
                .unwrap();
            let name = name.to_owned();
            story.note(&Event::Vm { name, console }, Instant::now());
        }
        std::fs::remove_file(folder.path().join("b")).unwrap();
        let ends = story.console_ends();
        let told = |name: &str| ends.contains(&format!("vm `{name}`"));
        assert_eq!(
            ["a", "b", "c", "d", "e", "f"].map(told),
            [true, false, true, true, true, false]
        );
        assert!(ends.ends_with("and 1 more, silent for longer"), "{ends}");
    }

    /// What becomes of the tests `a` and `b` when the process is killed after these events.
    fn ends(events: &[Event]) -> Vec<String> {
        ends_with(ExitStatus::from_raw(libc::SIGKILL), events)
    }

    fn ends_with(status: ExitStatus, events: &[Event]) -> Vec<String> {
        let mut story = story();
        let tests = ["a", "b"].map(|name| TestInfo {
            name: name.into(),
            ..TestInfo::default()
        });
        let planned = Event::Planned {
            tests: tests.into(),
        };
        for event in [planned].iter().chain(events) {
            story.note(event, Instant::now());
        }
        let mut told = Vec::new();
        story.complete(&Verdict::Ended, status, &Left::default(), &mut |event| {
            told.push(match event {
                Event::Finished {
                    test,
                    outcome,
                    attempts,
                    ..
                } => format!("{test}: {outcome:?} {attempts}"),
                Event::FileFailed { message, .. } => {
                    format!("FileFailed {{ message: {message:?} }}")
                }
                other => format!("{other:?}"),
            });
        });
        told
    }

    fn started(test: &str) -> Event {
        let test = test.into();
        Event::Started { test, timeout: 1.0 }
    }

    #[test]
    fn story_of_a_killed_process_fails_the_test_that_ran_and_leaves_out_the_rest() {
        let message = format!("the test's process ended by signal 9{KILLED}");
        let failed = format!("a: Failed {{ message: {message:?} }} 1");
        let not_run =
            r#"b: NotRun { reason: "the file's process ended by signal 9 in an earlier test" } 0"#;
        assert_eq!(ends(&[started("a")]), [failed.as_str(), not_run]);
    }

    #[test]
    fn story_of_a_process_killed_outside_of_its_tests_fails_its_file() {
        let passed = |test: &str| Event::Finished {
            test: test.into(),
            outcome: Outcome::Passed,
            seconds: 0.0,
            attempts: 1,
            evidence: None,
        };
        let message = format!("the file's process ended by signal 9{KILLED}");
        let failed = format!("FileFailed {{ message: {message:?} }}");
        let not_run =
            r#"b: NotRun { reason: "the file's process ended by signal 9 between two tests" } 0"#;
        let told = ends(&[started("a"), passed("a")]);
        assert_eq!(told, [failed.as_str(), not_run]);
        let all = [started("a"), passed("a"), started("b"), passed("b")];
        let crashed =
            r#"FileFailed { message: "the file's process ended by signal 9 after its last test" }"#;
        assert_eq!(ends(&all), [crashed]);
        assert!(ends_with(ExitStatus::default(), &all).is_empty());
    }
}
