//! One test file in a process of its own, watched until it ends.

use std::fs::File;
use std::io::{self, PipeReader, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::leave::{Folders, Left};
use super::options::RunOptions;
use super::stop::Stop;
use super::story::{Story, Verdict};
use crate::events::{Event, Order, TestInfo};
use crate::evidence;
use crate::os::capped_log::{self, Trimmer};
use crate::os::process::{self, Process};
use crate::os::{poll, proc, run_folder, sys};
use crate::units::text;

/// How long the mount servers of a killed process may take to clean up.
const CLEAN_UP: Duration = Duration::from_secs(5);
/// How long a process may take to end after TERM.
const TERM: Duration = Duration::from_secs(5);
/// How much a pipe holds (pipe(7)): one read takes all that is in it.
const MOST_IN_A_PIPE: usize = 64 << 10;
/// Bytes that a report shows of the beginning of a file's output, and of its end.
const OUTPUT: u64 = 128 << 10;
/// The signal that tells the process of a stuck test to outlive the run.
pub const KEEP: i32 = libc::SIGUSR1;
/// How often to look whether the run was stopped.
const TICK: Duration = Duration::from_millis(100);

/// Why a file may fail here that works in a run.
const STAND_INS: &str = "(this file was read only for the names of its tests: `provium` then takes \
                         every call and starts nothing. Move code that needs a guest into a test.)";

/// The result of a file's process.
pub(super) struct Done {
    /// The output of the file; empty when nothing failed.
    pub(super) output: String,
    /// The tests that another process has to run, since this one keeps its VMs.
    pub(super) rest: Option<Vec<String>>,
}

/// Runs the test file at `path` and passes on every event; the stream is made whole: every
/// planned test has an end, whatever happens to the process.
pub(super) fn run_file(
    path: &Path,
    order: &Order,
    options: &RunOptions,
    stop: &Stop,
    emit: &mut dyn FnMut(Event),
) -> io::Result<Done> {
    let mut worker = Worker::start(path, order, options)?;
    let folders = Folders::new(path, &order.evidence);
    let mut story = Story::new(options, folders, Instant::now());
    let verdict = worker.watch(&mut story, stop, emit)?;
    let left = match &verdict {
        Verdict::TimedOut(_) => story.left(),
        Verdict::Ended => story.salvaged(),
        Verdict::Stopped(_) | Verdict::Kept => Left::default(),
    };
    match &verdict {
        Verdict::Kept => return worker.kept(&story),
        Verdict::TimedOut(why) if order.keep && worker.outlives_us(&story) => {
            story.keep(worker.child.id(), why, &left, emit);
            return worker.kept(&story);
        }
        Verdict::Ended | Verdict::Stopped(_) | Verdict::TimedOut(_) => {}
    }
    let status = worker.end(&verdict, &left.consoles, &story.mounts(), emit)?;
    story.complete(&verdict, status, &left, emit);
    let output = match story.failed {
        true => worker.output()?,
        false => String::new(),
    };
    Ok(Done { output, rest: None })
}

/// The tests that the file at `path` declares, or why it does not load.
pub(super) fn list_file(path: &Path, options: &RunOptions) -> Result<Vec<TestInfo>, String> {
    let order = Order {
        list: true,
        ..options.order(None)
    };
    let mut found = Err("its process ended without a list".into());
    let mut note = |event| match event {
        Event::Planned { tests } => found = Ok(tests),
        // Once there is a list, it is normal that none of the tests has an end.
        Event::FileFailed { message, .. } if found.is_err() => {
            found = Err(format!("{message}\n{STAND_INS}"));
        }
        _ => {}
    };
    run_file(path, &order, options, &Stop::default(), &mut note)
        .map_err(|error| format!("cannot run the file: {error}"))?;
    found
}

struct Worker {
    child: Child,
    events: PipeReader,
    output: File,
}

impl Worker {
    /// Starts the process of a file, which reads its order from one descriptor and writes events to another.
    fn start(path: &Path, order: &Order, options: &RunOptions) -> io::Result<Self> {
        let (events, write_end) = io::pipe()?;
        let output = tempfile::tempfile()?;
        let mut order_file = tempfile::tempfile()?;
        order_file.write_all(&serde_json::to_vec(order)?)?;
        order_file.rewind()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["test-file", "--events-fd"]);
        command.arg(write_end.as_raw_fd().to_string());
        command.arg("--order-fd");
        command.arg(order_file.as_raw_fd().to_string());
        if let Some(config) = &options.config {
            command.arg("--config").arg(config);
        }
        command.arg("--").arg(path);
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?);
        sys::inherit(&mut command, write_end.as_fd());
        sys::inherit(&mut command, order_file.as_fd());
        // A session of its own: all that it starts can be ended with it, and Ctrl-C at a terminal
        // reaches only this process, which ends the other.
        sys::new_session(&mut command);
        sys::die_with_starter(&mut command, libc::SIGTERM);
        let child = command.spawn()?;
        Ok(Self {
            child,
            events,
            output,
        })
    }

    /// Passes events on until the stream ends, the time is up or the run is stopped.
    fn watch(
        &mut self,
        story: &mut Story,
        stop: &Stop,
        emit: &mut dyn FnMut(Event),
    ) -> io::Result<Verdict> {
        let mut lines = Lines::default();
        let mut buffer = vec![0; MOST_IN_A_PIPE];
        let mut trimmer = Trimmer::default();
        loop {
            // A file that prints without end does not fail for it.
            let _ = trimmer.look(&self.output);
            let now = Instant::now();
            let stopped = stop.reason();
            let wait = match stopped.is_some() || story.overdue(now).is_some() {
                true => Duration::ZERO,
                false => story.next_look().saturating_duration_since(now).min(TICK),
            };
            // What the process has said until now comes first: a busy machine may have kept us from reading it.
            if poll::wait_readable(&self.events, wait)? {
                let n = self.events.read(&mut buffer)?;
                if n == 0 {
                    return Ok(end_of_stream(story, stop));
                }
                lines.add(&buffer[..n], &mut |event| {
                    story.note(&event, Instant::now());
                    emit(event);
                });
            }
            if let Some(why) = stopped {
                return Ok(Verdict::Stopped(why));
            }
            if let Some(why) = story.overdue(now) {
                return Ok(Verdict::TimedOut(why));
            }
            if let Some(warning) = story.slow(Instant::now()) {
                emit(warning);
            }
        }
    }

    /// Tells the process of a test that is stuck that it outlives the run; whether it does.
    fn outlives_us(&self, story: &Story) -> bool {
        let id = self.child.id();
        let is_told = story.runs_a_guest() && sys::signal_main_thread(id, KEEP).is_ok();
        // Until it has taken the signal, our end is its end.
        let deadline = Instant::now() + TERM;
        while is_told && proc::is_signalled(id) == Some(true) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        is_told
    }

    /// What is left when the process goes on with the VMs of a failed test.
    fn kept(&self, story: &Story) -> io::Result<Done> {
        Ok(Done {
            output: self.output()?,
            rest: Some(story.rest()),
        })
    }

    /// Ends the process, first with TERM, and all that it has started; waits until nothing of it is
    /// left.
    fn end(
        &mut self,
        verdict: &Verdict,
        consoles: &str,
        mounts: &[(String, PathBuf)],
        emit: &mut dyn FnMut(Event),
    ) -> io::Result<ExitStatus> {
        let process = Process::open(self.child.id())?;
        if !matches!(verdict, Verdict::Ended) {
            let mut signal = |name: &str| {
                if matches!(verdict, Verdict::TimedOut(_)) {
                    emit(Event::Signalled {
                        signal: name.into(),
                        consoles: consoles.into(),
                    });
                }
            };
            signal("TERM");
            let _ = process.signal(libc::SIGTERM);
            if !process.wait(TERM)? {
                // Not even KILL ends a thread that waits for a request that a rule holds.
                evidence::clear_mounts(mounts.to_vec());
                signal("KILL");
                let _ = process.signal(libc::SIGKILL);
            }
        }
        while !process.wait(TERM)? {}
        process::kill_group(self.child.id());
        let status = self.child.wait()?;
        if !status.success() {
            run_folder::await_clean_up(CLEAN_UP);
        }
        Ok(status)
    }

    /// The output of the file: only its beginning and its end, if it is long.
    fn output(&self) -> io::Result<String> {
        let bytes = capped_log::read_parts(self.output.try_clone()?, OUTPUT, OUTPUT)?;
        Ok(text::escaped(&bytes))
    }
}

/// What the end of the events means.
fn end_of_stream(story: &Story, stop: &Stop) -> Verdict {
    match stop.reason().filter(|_| story.is_between_tests()) {
        Some(why) => Verdict::Stopped(why),
        None if story.kept => Verdict::Kept,
        None => Verdict::Ended,
    }
}

/// Puts events together from the pieces in which they are read.
#[derive(Default)]
struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Adds `bytes`; tells `found` each event that is complete. A line that is not an event is ignored.
    fn add(&mut self, bytes: &[u8], found: &mut dyn FnMut(Event)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(piece);
            if !piece.ends_with(b"\n") {
                continue;
            }
            if let Ok(event) = serde_json::from_slice(&self.pending) {
                found(event);
            }
            self.pending.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Outcome;
    use crate::runner::story::tests::story;
    use std::io::PipeWriter;

    /// A process that has said this, and may say more.
    fn process(said: &[Event]) -> (Worker, PipeWriter) {
        let (events, mut writer) = io::pipe().unwrap();
        for event in said {
            let line = serde_json::to_string(event).unwrap() + "\n";
            writer.write_all(line.as_bytes()).unwrap();
        }
        let worker = Worker {
            child: Command::new("true").spawn().unwrap(),
            events,
            output: tempfile::tempfile().unwrap(),
        };
        (worker, writer)
    }

    fn started() -> Event {
        let test = "a".into();
        Event::Started { test, timeout: 1.0 }
    }

    #[test]
    fn what_a_process_has_said_before_its_run_is_stopped_is_passed_on() {
        let stop = Stop::default();
        stop.stop("interrupted");
        let (mut worker, _writer) = process(&[started()]);
        let mut passed_on = Vec::new();
        let verdict = worker.watch(&mut story(), &stop, &mut |event| passed_on.push(event));
        assert!(matches!(verdict.unwrap(), Verdict::Stopped(_)));
        assert_eq!(passed_on, [started()]);
        worker.child.wait().unwrap();
    }

    #[test]
    fn test_that_has_ended_is_not_overdue_when_the_runner_looks_later() {
        let mut story = story();
        let long_ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        story.note(&started(), long_ago);
        assert!(story.overdue(Instant::now()).is_some());
        let (mut worker, writer) = process(&[Event::Finished {
            test: "a".into(),
            outcome: Outcome::Passed,
            seconds: 0.0,
            attempts: 1,
            evidence: None,
        }]);
        drop(writer);
        let verdict = worker.watch(&mut story, &Stop::default(), &mut |_| ());
        assert!(matches!(verdict.unwrap(), Verdict::Ended));
        worker.child.wait().unwrap();
    }
}
