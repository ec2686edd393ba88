//! The exit codes, in one place.

use std::process::ExitCode;

use crate::client::ClientError;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The command succeeded; all tests passed.
    Done = 0,
    /// A test or the command failed. docs/running-tests.md has the table.
    Failed = 1,
    /// The command line, the configuration, a rule, an ID or a line for a control file is wrong. clap uses
    /// the same code.
    Usage = 2,
    /// No test matched.
    NoTests = 4,
}

/// What each code means, for the manual pages. docs/running-tests.md has the table.
pub(super) const MEANINGS: [(u8, &str); 4] = [
    (
        Exit::Done as u8,
        "success; of `provium test`: all tests passed",
    ),
    (
        Exit::Failed as u8,
        "the operation failed; of `provium test`: a test failed or was not run",
    ),
    (
        Exit::Usage as u8,
        "the command line, the configuration, a rule, an ID or a line for a control file is invalid",
    ),
    (Exit::NoTests as u8, "no test matched"),
];

/// The code of `provium run` when provium itself has failed. Otherwise it ends with that of its command. The codes are
/// those of env(1) and timeout(1).
pub(super) const RUN_FAILED: u8 = 125;
/// The code of `provium run` for a command that cannot be run.
pub(super) const RUN_CANNOT: u8 = 126;
/// The code of `provium run` for a command that is not there.
pub(super) const RUN_NOT_FOUND: u8 = 127;
/// What `provium run` adds to the number of the signal that has ended its command.
pub(super) const RUN_SIGNAL: i32 = 128;

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A mistake in the command line or the configuration: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UsageError(pub(super) String);

/// The exit code for an error.
pub(super) fn of(error: &anyhow::Error) -> Exit {
    let is_wrong = matches!(error.downcast_ref(), Some(ClientError::Wrong(_)));
    let is_usage = error.is::<UsageError>() || error.is::<crate::config::ConfigError>();
    if is_usage || is_wrong {
        Exit::Usage
    } else {
        Exit::Failed
    }
}
