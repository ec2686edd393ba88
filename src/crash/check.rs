//! Asking a command about a state.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::judge::Examiner;
use super::verdict::{Failure, Verdict};
use crate::os::shell::ShellCommand;
use crate::units::text;

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
        let mark = self
            .takes_mark()
            .then(|| (MARK, mark.unwrap_or_default().into()));
        let command = ShellCommand {
            text: &self.command.replace("{}", &place),
            variables: mark.as_slice(),
            timeout: self.timeout,
            stop: &self.stop,
        };
        let ended = command.run()?;
        let Some(how) = ended.failure(self.timeout) else {
            return Ok(Verdict::Good);
        };
        Ok(Verdict::Bad(Failure {
            code: ended.status.and_then(|status| status.code()),
            how,
            output: text::message(&ended.output).replace(&place, "{}"),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::shell::LONGEST_OUTPUT;
    use std::time::Instant;

    /// Longer than any command takes that ends.
    const AMPLE: Duration = Duration::from_secs(60);

    fn checked(command: &str) -> Verdict {
        checked_after(command, None)
    }

    fn checked_after(command: &str, mark: Option<&str>) -> Verdict {
        checked_within(AMPLE, command, mark)
    }

    fn checked_within(timeout: Duration, command: &str, mark: Option<&str>) -> Verdict {
        let checker = Checker {
            command: command.to_owned(),
            timeout,
            stop: Arc::default(),
        };
        checker.examine(Path::new("/dev/null"), mark).unwrap()
    }

    fn failure(verdict: Verdict) -> (Option<i32>, String, String) {
        match verdict {
            Verdict::Bad(failure) => (failure.code, failure.how, failure.output),
            Verdict::Good => panic!("it was good"),
        }
    }

    #[test]
    fn verdict_is_the_exit_code_and_a_signal_is_bad() {
        assert_eq!(checked("test -e {}"), Verdict::Good);
        let failed = failure(checked("echo {} is bad; exit 3"));
        assert_eq!(
            failed,
            (Some(3), "exit code 3".into(), "{} is bad\n".into())
        );
        assert_eq!(failure(checked("kill -9 $$")).1, "signal 9");
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
        let failed = |command| {
            let verdict = checked_within(Duration::from_millis(500), command, None);
            failure(verdict)
        };
        assert_eq!(failed("sleep 617 & sleep 617").1, "no answer within 500ms");
        assert!(failed("yes").2.len() <= LONGEST_OUTPUT);
        assert!(checked("sleep 617 &").is_good());
        assert!(begun.elapsed() < Duration::from_secs(600));
    }
}
