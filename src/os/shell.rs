//! A command of a user, for `sh -c`: with a time limit, and with an end for all that it has started.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::process::{Process, kill_group};
use super::sys;

/// Bytes of the output that are kept.
pub const LONGEST_OUTPUT: usize = 16 << 10;

/// Between two looks whether to stop.
const TICK: Duration = Duration::from_millis(100);

/// A command.
#[derive(Debug)]
pub struct ShellCommand<'a> {
    /// For `sh -c`.
    pub text: &'a str,
    /// Variables that it gets beside those of this process.
    pub variables: &'a [(&'a str, OsString)],
    /// How long it may take.
    pub timeout: Duration,
    /// Once this is set, it is killed and fails as interrupted.
    pub stop: &'a AtomicBool,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// What it ended with; None if its time was up.
    pub status: Option<ExitStatus>,
    /// The beginning of what it printed on both outputs.
    pub output: Vec<u8>,
}

impl ShellCommand<'_> {
    /// Runs it without input, in a session of its own. Processes that it leaves behind are killed.
    pub fn run(&self) -> io::Result<Ended> {
        let (output, input) = io::pipe()?;
        let mut command = Command::new("sh");
        command
            .args(["-c", self.text])
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(input.try_clone()?)
            .stderr(input);
        sys::new_session(&mut command);
        sys::die_with_starter(&mut command, libc::SIGKILL);
        let child = command.spawn()?;
        // It holds the writing end of the pipe.
        drop(command);
        let reader = std::thread::spawn(move || beginning(output));
        let status = self.wait(child)?;
        let output = reader.join().unwrap_or_default();
        Ok(Ended { status, output })
    }

    /// Waits for its end, and kills it when its time is up; then what it has started.
    fn wait(&self, mut child: Child) -> io::Result<Option<ExitStatus>> {
        let in_time = Process::open(child.id()).and_then(|process| self.wait_in_time(&process));
        kill_group(child.id());
        let status = child.wait()?;
        Ok(in_time?.then_some(status))
    }

    fn wait_in_time(&self, process: &Process) -> io::Result<bool> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if process.wait(left.min(TICK))? {
                return Ok(true);
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if left.is_zero() {
                return Ok(false);
            }
        }
    }
}

impl Ended {
    /// How it failed, if it has; it was allowed `timeout`.
    pub fn failure(&self, timeout: Duration) -> Option<String> {
        match self.status.map(|status| (status.code(), status.signal())) {
            None => Some(format!("no answer within {timeout:?}")),
            Some((Some(0), _)) => None,
            Some((Some(code), _)) => Some(format!("exit code {code}")),
            Some((None, signal)) => Some(format!("signal {}", signal.unwrap_or_default())),
        }
    }
}

/// The first bytes that come out of `pipe`, which is read to its end.
fn beginning(mut pipe: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let _ = pipe
        .by_ref()
        .take(LONGEST_OUTPUT as u64)
        .read_to_end(&mut kept);
    let _ = io::copy(&mut pipe, &mut io::sink());
    kept
}
