//! Asking a command about a state.

use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::judge::Examiner;
use super::verdict::{Failure, Verdict};
use crate::os::process::{Process, kill_group};
use crate::os::sys;
use crate::units::text;

/// Bytes of a checker's output that are kept.
const LONGEST_OUTPUT: usize = 16 << 10;

/// Between two looks whether to stop.
const TICK: Duration = Duration::from_millis(100);

/// The variable that holds the last mark before a state, for commands that name it.
const MARK: &str = "PROVIUM_MARK";

/// A command that looks at a state: exit code 0 is good, anything else bad.
#[derive(Clone, Debug)]
pub struct Checker {
    /// For `sh -c`; each `{}` is the path of the state, which may be written to.
    pub command: String,
    /// How long it may take.
    pub timeout: Duration,
    /// Once this is set, checkers are killed and fail as interrupted.
    pub stop: Arc<AtomicBool>,
}

impl Examiner for Checker {
    /// Whether it names the variable.
    fn takes_mark(&self) -> bool {
        self.command.contains(MARK)
    }

    /// Runs it on the state at `path`. Processes that it leaves behind are killed.
    fn examine(&self, path: &Path, mark: Option<&str>) -> io::Result<Verdict> {
        let place = path.display().to_string();
        let (output, input) = io::pipe()?;
        let mut command = Command::new("sh");
        command
            .args(["-c", &self.command.replace("{}", &place)])
            .stdin(Stdio::null())
            .stdout(input.try_clone()?)
            .stderr(input);
        if self.takes_mark() {
            command.env(MARK, mark.unwrap_or_default());
        }
        sys::new_session(&mut command);
        sys::die_with_starter(&mut command, libc::SIGKILL);
        let child = command.spawn()?;
        // It holds the writing end of the pipe.
        drop(command);
        let reader = std::thread::spawn(move || beginning(output));
        let (status, in_time) = self.wait(child)?;
        let output = reader.join().unwrap_or_default();
        let output = text::message(&output).replace(&place, "{}");
        Ok(self.verdict(status, in_time, output))
    }
}

impl Checker {
    /// Waits for the checker's end, and kills it when its time is up; then what it has started.
    fn wait(&self, mut child: Child) -> io::Result<(ExitStatus, bool)> {
        let in_time = Process::open(child.id()).and_then(|process| self.wait_in_time(&process));
        kill_group(child.id());
        let status = child.wait()?;
        Ok((status, in_time?))
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

    fn verdict(&self, status: ExitStatus, in_time: bool, output: String) -> Verdict {
        let how = match (status.code(), status.signal()) {
            _ if !in_time => format!("no answer within {:?}", self.timeout),
            (Some(0), _) => return Verdict::Good,
            (Some(code), _) => format!("exit code {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        };
        let code = status.code().filter(|_| in_time);
        Verdict::Bad(Failure { code, how, output })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(command: &str) -> Verdict {
        checked_after(command, None)
    }

    fn checked_after(command: &str, mark: Option<&str>) -> Verdict {
        let checker = Checker {
            command: command.to_owned(),
            timeout: Duration::from_millis(500),
            stop: Arc::default(),
        };
        checker.examine(Path::new("/dev/null"), mark).unwrap()
    }

    fn failure(command: &str) -> (Option<i32>, String, String) {
        match checked(command) {
            Verdict::Bad(failure) => (failure.code, failure.how, failure.output),
            Verdict::Good => panic!("{command} was good"),
        }
    }

    #[test]
    fn verdict_is_the_exit_code_and_a_signal_is_bad() {
        assert_eq!(checked("test -e {}"), Verdict::Good);
        let failed = failure("echo {} is bad; exit 3");
        assert_eq!(
            failed,
            (Some(3), "exit code 3".into(), "{} is bad\n".into())
        );
        assert_eq!(failure("kill -9 $$").1, "signal 9");
    }

    #[test]
    fn checker_that_names_the_mark_is_given_it_to_the_letter() {
        let mark = Some("it's $HOME");
        let is_mark = "test \"$PROVIUM_MARK\" = 'it'\\''s $HOME'";
        assert_eq!(checked_after(is_mark, mark), Verdict::Good);
        let is_empty = "test \"${PROVIUM_MARK-unset}\" = ''";
        assert_eq!(checked_after(is_empty, None), Verdict::Good);
    }

    #[test]
    fn checker_that_hangs_or_floods_ends_and_leaves_nothing_behind() {
        let begun = Instant::now();
        assert_eq!(
            failure("sleep 61.7 & sleep 61.7").1,
            "no answer within 500ms"
        );
        assert!(failure("yes").2.len() <= LONGEST_OUTPUT);
        assert!(checked("sleep 61.7 &").is_good());
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
