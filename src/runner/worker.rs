//! One test file in a process of its own, watched until it ends.

use std::fs::File;
use std::io::{self, PipeReader, Read, Seek};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{Event, Outcome, RunOptions};
use crate::{sys, vm};

/// What a process may take beyond a test's own time, to end by itself and close its VMs.
const GRACE: Duration = Duration::from_secs(10);
/// How long the mount servers of a killed process may take to clean up.
const CLEAN_UP: Duration = Duration::from_secs(5);

/// Runs the test file at `path` and passes on every event; the stream is made whole: every
/// planned test has an end, whatever happens to the process.
pub(super) fn run_file(
    path: &Path,
    options: &RunOptions,
    emit: &mut dyn FnMut(Event),
) -> io::Result<Output> {
    let mut worker = Worker::start(path, options)?;
    let mut story = Story::new(options.timeout);
    let verdict = worker.watch(&mut story, emit)?;
    let status = worker.end(&verdict)?;
    story.complete(&verdict, status, emit);
    worker.output(story.failed)
}

/// What the file printed; empty when nothing failed.
pub(super) type Output = String;

/// Why no more events come.
enum Verdict {
    /// The process closed the stream.
    Ended,
    /// It took too long; the ends of its guests' consoles.
    TimedOut(String),
}

struct Worker {
    child: Child,
    events: PipeReader,
    output: File,
}

impl Worker {
    fn start(path: &Path, options: &RunOptions) -> io::Result<Self> {
        let (events, write_end) = io::pipe()?;
        let output = tempfile::tempfile()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args([
            "test-file",
            "--events-fd",
            &write_end.as_raw_fd().to_string(),
        ]);
        command.args(["--timeout", &options.timeout.as_secs_f64().to_string()]);
        if let Some(config) = &options.config {
            command.arg("--config").arg(config);
        }
        command.arg("--").arg(path);
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?);
        sys::inherit(&mut command, write_end.as_fd());
        sys::die_with_starter(&mut command, libc::SIGKILL);
        let child = command.spawn()?;
        Ok(Self {
            child,
            events,
            output,
        })
    }

    /// Passes events on until the stream ends or the time is up.
    fn watch(&mut self, story: &mut Story, emit: &mut dyn FnMut(Event)) -> io::Result<Verdict> {
        let mut pending = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let left = story.deadline.saturating_duration_since(Instant::now());
            if !sys::wait_readable(&self.events, left)? {
                return Ok(Verdict::TimedOut(story.console_ends()));
            }
            let n = self.events.read(&mut buffer)?;
            if n == 0 {
                return Ok(Verdict::Ended);
            }
            pending.extend_from_slice(&buffer[..n]);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                if let Ok(event) = serde_json::from_slice::<Event>(&line) {
                    story.note(&event);
                    emit(event);
                }
            }
        }
    }

    /// Ends the process and waits until nothing of it is left.
    fn end(&mut self, verdict: &Verdict) -> io::Result<ExitStatus> {
        if matches!(verdict, Verdict::TimedOut(_)) {
            self.child.kill()?;
        }
        let status = self.child.wait()?;
        if !status.success() {
            vm::await_clean_up(self.child.id(), CLEAN_UP);
        }
        Ok(status)
    }

    fn output(&mut self, wanted: bool) -> io::Result<Output> {
        let mut bytes = Vec::new();
        if wanted {
            self.output.rewind()?;
            self.output.read_to_end(&mut bytes)?;
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// What is known of a file while it runs.
struct Story {
    file_timeout: Duration,
    deadline: Instant,
    planned: Option<Vec<String>>,
    running: Option<(String, Instant)>,
    consoles: Vec<(String, PathBuf)>,
    failed: bool,
}

impl Story {
    fn new(file_timeout: Duration) -> Self {
        Self {
            file_timeout,
            deadline: Instant::now() + file_timeout + GRACE,
            planned: None,
            running: None,
            consoles: Vec::new(),
            failed: false,
        }
    }

    fn note(&mut self, event: &Event) {
        let now = Instant::now();
        match event {
            Event::Planned { tests } => {
                self.planned = Some(tests.clone());
                self.deadline = now + GRACE;
            }
            Event::Started { test, timeout } => {
                self.running = Some((test.clone(), now));
                let timeout = Duration::try_from_secs_f64(*timeout).unwrap_or(self.file_timeout);
                self.deadline = now + timeout + GRACE;
            }
            Event::Finished { test, outcome, .. } => {
                self.running = None;
                self.failed |= matches!(outcome, Outcome::Failed { .. });
                if let Some(planned) = &mut self.planned {
                    planned.retain(|other| other != test);
                }
                self.deadline = now + GRACE;
            }
            Event::FileFailed { .. } => {
                self.failed = true;
                self.planned = Some(Vec::new());
            }
            Event::Vm { name, console } => self.consoles.push((name.clone(), console.clone())),
            Event::Log { .. } => {}
        }
    }

    fn console_ends(&self) -> String {
        let logs = self.consoles.iter().filter(|(_, console)| console.exists());
        let ends = logs.map(|(name, log)| format!("\nvm `{name}`: {}", vm::console_end(log)));
        ends.collect()
    }

    /// Ends every test that the process left without an end.
    fn complete(&mut self, verdict: &Verdict, status: ExitStatus, emit: &mut dyn FnMut(Event)) {
        let (why, consoles) = match verdict {
            Verdict::TimedOut(consoles) => {
                ("was stopped: its time was up".to_owned(), consoles.as_str())
            }
            Verdict::Ended => (format!("ended {}", how(status)), ""),
        };
        let Some(planned) = self.planned.take() else {
            self.failed = true;
            let message = format!("the file's process {why}{consoles}");
            return emit(Event::FileFailed { message });
        };
        let running = self.running.take();
        for test in planned {
            self.failed = true;
            let started = running.as_ref().filter(|(name, _)| *name == test);
            let message = match started {
                Some(_) => format!("the test's process {why}{consoles}"),
                None => format!("not run: the file's process {why} in an earlier test"),
            };
            emit(Event::Finished {
                test,
                outcome: Outcome::Failed { message },
                seconds: started.map_or(0.0, |(_, since)| since.elapsed().as_secs_f64()),
            });
        }
    }
}

fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("by signal {signal}"),
        (None, code) => format!("with exit code {}", code.unwrap_or(0)),
    }
}
