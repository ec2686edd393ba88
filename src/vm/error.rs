//! The errors of a VM.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::state::{Expected, State};
use crate::client::ClientError;
use crate::config::ConfigError;
use crate::protocol::names::BadId;
use crate::server::launch::LaunchError;
use crate::units::duration::show_duration;

/// Why something with a VM failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The texts say it.
pub enum VmError {
    #[error("QEMU is not installed: there is no `{program}` (run `provium doctor`)")]
    NoQemu { program: String },
    #[error("the default guest is not built: run `provium guest build` ({} is missing)", .0.display())]
    NoGuest(PathBuf),
    #[error("{what} {} of profile `{profile}` does not exist", path.display())]
    NoBootFile {
        what: &'static str,
        profile: String,
        path: PathBuf,
    },
    #[error("QEMU exited {status} {when}\n{log}")]
    Exited {
        status: String,
        when: String,
        log: String,
    },
    #[error("the guest's kernel panicked: {line}\n{console}")]
    Panicked { line: String, console: String },
    #[error("{what} within {}s\n{console}", after.as_secs_f64())]
    Deadline {
        what: String,
        after: Duration,
        console: String,
    },
    #[error("the test's time is up")]
    TimeIsUp,
    #[error("interrupted")]
    Interrupted,
    #[error("vm `{vm}` is {}: the call expects one that is {expected}{hint}", state.name())]
    WrongState {
        vm: String,
        state: State,
        expected: Expected,
        /// A remark about the state; begins with a space.
        hint: String,
    },
    #[error("the power was cut by {rule}")]
    PowerCut { rule: String },
    #[error("no rule has cut the power within {}", show_duration(*.0))]
    NoPowerCut(Duration),
    #[error("the guest powered itself off\n{console}")]
    PoweredOff { console: String },
    /// The request that a rule holds.
    #[error("{0}: release it first; the guest runs on")]
    Held(String),
    #[error("image {} of disk `{id}` is in use: somebody else has it since vm `{vm}` was shut down", image.display())]
    ImageTaken {
        id: String,
        image: PathBuf,
        vm: String,
    },
    #[error(transparent)]
    BadId(#[from] BadId),
    #[error("disk `{id}` is already attached to vm `{vm}`")]
    DuplicateDisk { id: String, vm: String },
    #[error("vm `{vm}` has {most} disks with an image, and a machine has room for no more")]
    TooManyDisks { vm: String, most: usize },
    #[error("a running guest takes {0} disks, and has as many")]
    NoFreePort(u32),
    #[error("image {} does not exist: Provium does not create images", .0.display())]
    NoImage(PathBuf),
    #[error("{command}: {text}")]
    Refused { command: String, text: String },
    #[error("the guest has no disk `{id}` within {:.1}s\n{console}", after.as_secs_f64())]
    NotSeen {
        id: String,
        after: Duration,
        console: String,
    },
    /// The error that the agent answered.
    #[error("the guest agent: {0}")]
    Agent(String),
    /// Why it has not answered, or with something that is not an answer.
    #[error("the guest agent: {0}")]
    NoAnswer(String),
    #[error(
        "there is no signal `{0}` (a name with or without SIG, as TERM or SIGINT, or a number)"
    )]
    NoSignal(String),
    #[error("timed out waiting for `{text}`\n{console}")]
    NotExpected { text: String, console: String },
    /// The error of a tool of the guest.
    #[error("{0}")]
    Guest(String),
    #[error("QEMU closed its channel to the guest agent")]
    AgentGone,
    #[error("{0}")]
    Mount(#[from] LaunchError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{context}: {cause}")]
    Io { context: String, cause: io::Error },
}

impl VmError {
    pub(super) fn io(context: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let context = context.into();
        move |cause| Self::Io { context, cause }
    }
}
