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
