//! Commands in the guest and their results.

use std::time::Duration;

use qapi::qga::GuestExecStatus;

/// A command for the guest.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// The program; looked up in the guest's PATH.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Added to its environment, as `KEY=VALUE`.
    pub env: Vec<String>,
    /// Its working folder.
    pub cwd: Option<String>,
    /// Its standard input.
    pub stdin: Option<Vec<u8>>,
    /// Killed after this long.
    pub timeout: Option<Duration>,
}

impl Command {
    /// What `sh -c TEXT` runs.
    pub fn shell(text: &str) -> Self {
        Self {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), text.to_owned()],
            ..Self::default()
        }
    }

    /// Program and arguments as the agent starts them: it has no working folder and no process
    /// groups, so a shell in between sees to both and is replaced by the program.
    pub(super) fn words(&self) -> (String, Vec<String>) {
        const ENTER: &str = r#"cd "$1" && shift && exec "$@""#;
        let Some(cwd) = &self.cwd else {
            return (self.program.clone(), self.args.clone());
        };
        let mut args: Vec<String> = ["-c", ENTER, "sh", cwd, &self.program]
            .map(str::to_owned)
            .into();
        args.extend(self.args.iter().cloned());
        ("/bin/sh".into(), args)
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Exited(i64),
    /// By this signal.
    Signalled(i64),
    /// It was killed because its time was up.
    TimedOut,
}

/// How a command ended, and what it printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunResult {
    /// How it ended.
    pub exit: Exit,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Whether it printed more than the guest's agent keeps (16 MiB of each).
    pub truncated: bool,
}

impl RunResult {
    pub(super) fn of(status: GuestExecStatus) -> Self {
        let exit = match (status.signal, status.exitcode) {
            (Some(signal), _) => Exit::Signalled(signal),
            (None, code) => Exit::Exited(code.unwrap_or(0)),
        };
        let cut = |truncated: Option<bool>| truncated.unwrap_or(false);
        Self {
            exit,
            truncated: cut(status.out_truncated) || cut(status.err_truncated),
            stdout: status.out_data.unwrap_or_default(),
            stderr: status.err_data.unwrap_or_default(),
        }
    }

    /// The exit code; -1 for a signal, -2 for a time-out.
    pub fn exit_code(&self) -> i64 {
        match self.exit {
            Exit::Exited(code) => code,
            Exit::Signalled(_) => -1,
            Exit::TimedOut => -2,
        }
    }

    /// `exited`, `signaled` or `timed_out`.
    pub fn status(&self) -> &'static str {
        match self.exit {
            Exit::Exited(_) => "exited",
            Exit::Signalled(_) => "signaled",
            Exit::TimedOut => "timed_out",
        }
    }
}
