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
    /// Whether that is all of its environment.
    pub env_clear: bool,
    /// Its working folder.
    pub cwd: Option<String>,
    /// Its standard input.
    pub stdin: Option<Vec<u8>>,
    /// Killed after this long.
    pub timeout: Option<Duration>,
}

impl Command {
    /// Runs `program` with `args`.
    pub fn new(program: &str, args: Vec<String>) -> Self {
        Self {
            program: program.to_owned(),
            args,
            ..Self::default()
        }
    }

    /// Its text, as one would type it.
    pub fn text(&self) -> String {
        let words: Vec<_> = [&self.program].into_iter().chain(&self.args).collect();
        match words[..] {
            [program, flag, text] if program == "/bin/sh" && flag == "-c" => text.clone(),
            _ => {
                let quoted = words.iter().map(|word| {
                    shlex::try_quote(word)
                        .map_or_else(|_| (*word).clone(), |word| word.into_owned())
                });
                quoted.collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// Runs `sh -c TEXT`.
    pub fn shell(text: &str) -> Self {
        Self::new("/bin/sh", vec!["-c".into(), text.to_owned()])
    }

    /// The command for the agent, which has no working folder: a shell enters it.
    pub(in crate::vm) fn as_started(&self) -> Self {
        match self.cwd {
            Some(_) => self.through_shell(),
            None => self.clone(),
        }
    }

    /// The same, started by a shell, which the program replaces. When the program is missing, the shell's exit code
    /// is 127.
    pub(in crate::vm) fn through_shell(&self) -> Self {
        const ENTER: &str = r#"cd -- "$1" || exit 127; shift; exec "$@""#;
        const EXEC: &str = r#"exec "$@""#;
        let words = match &self.cwd {
            Some(cwd) => vec!["-c", ENTER, "sh", cwd, &self.program],
            None => vec!["-c", EXEC, "sh", &self.program],
        };
        let args = words.into_iter().map(str::to_owned);
        Self {
            program: "/bin/sh".into(),
            args: args.chain(self.args.iter().cloned()).collect(),
            ..self.clone()
        }
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

/// How a command ended, and its output.
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
    /// The result of a command whose time was up, without its output.
    pub(in crate::vm) fn timed_out() -> Self {
        Self {
            exit: Exit::TimedOut,
            stdout: Vec::new(),
            stderr: Vec::new(),
            truncated: false,
        }
    }

    pub(in crate::vm) fn of(status: GuestExecStatus) -> Self {
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

    /// `exited`, `signalled` or `timed_out`.
    pub fn status(&self) -> &'static str {
        match self.exit {
            Exit::Exited(_) => "exited",
            Exit::Signalled(_) => "signalled",
            Exit::TimedOut => "timed_out",
        }
    }
}
