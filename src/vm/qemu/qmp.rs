//! QEMU's control channel.

use std::io::BufReader;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use qapi::qmp::{self, Event};
use qapi::{Command, ExecuteError, Qmp as Protocol, Stream};

use super::channel::{Channel, is_gone};
use crate::vm::VmError;

/// QEMU answers at once or is stuck.
const ANSWER: Duration = Duration::from_secs(20);

/// A QMP session.
pub(in crate::vm) struct Qmp {
    channel: Channel,
    protocol: Protocol<Stream<BufReader<Channel>, Channel>>,
    version: String,
    /// Events that were looked at, and that nobody has taken.
    seen: Vec<Event>,
}

/// Why a command has no answer.
#[derive(Debug)]
pub(in crate::vm) enum QmpError {
    /// QEMU is gone; its exit status tells more.
    Gone,
    /// QEMU said no, or nothing.
    Failed(VmError),
}

impl Qmp {
    /// Greets QEMU, which may take until `deadline` to start.
    pub(in crate::vm) fn connect(socket: UnixStream, deadline: Instant) -> Result<Self, QmpError> {
        let channel = Channel::new(socket);
        channel.until(deadline);
        let mut protocol = Protocol::from_stream(channel.clone());
        let greeting = protocol
            .handshake()
            .map_err(|error| explain("qmp_capabilities", error))?;
        let version = &greeting.version.qemu;
        Ok(Self {
            channel,
            protocol,
            version: format!("{}.{}.{}", version.major, version.minor, version.micro),
            seen: Vec::new(),
        })
    }

    /// The version of QEMU, as it said in its greeting.
    pub(in crate::vm) fn version(&self) -> &str {
        &self.version
    }

    /// Executes `command`.
    pub(in crate::vm) fn execute<C: Command>(&mut self, command: &C) -> Result<C::Ok, QmpError> {
        self.channel.until(Instant::now() + ANSWER);
        self.protocol
            .execute(command)
            .map_err(|error| explain(C::NAME, error))
    }

    /// Executes `command`, which takes a duplicate of `file`.
    pub(in crate::vm) fn give<C: Command>(
        &mut self,
        file: BorrowedFd<'_>,
        command: &C,
    ) -> Result<C::Ok, QmpError> {
        self.channel.until(Instant::now() + ANSWER);
        let sent = self.channel.send_file(file);
        sent.map_err(|error| explain(C::NAME, error.into()))?;
        self.execute(command)
    }

    /// The events that have come, waiting up to `timeout` for the first.
    pub(in crate::vm) fn events(&mut self, timeout: Duration) -> Result<Vec<Event>, QmpError> {
        if !self.seen.is_empty() {
            self.look()?;
            return Ok(std::mem::take(&mut self.seen));
        }
        self.new_events(timeout)
    }

    /// The events that have come. They stay for whoever takes them.
    pub(in crate::vm) fn look(&mut self) -> Result<&[Event], QmpError> {
        let new = self.new_events(Duration::ZERO)?;
        self.seen.extend(new);
        Ok(&self.seen)
    }

    fn new_events(&mut self, timeout: Duration) -> Result<Vec<Event>, QmpError> {
        let queued: Vec<_> = self.protocol.events().collect();
        let failed = |error: std::io::Error| explain("events", error.into());
        // An event that came together with the last answer is buffered already.
        let buffered = !self.protocol.inner().get_ref_read().buffer().is_empty();
        let has_more = buffered || self.channel.has_data(timeout).map_err(failed)?;
        if !queued.is_empty() || !has_more {
            return Ok(queued);
        }
        // The protocol reads events while it waits for an answer.
        self.execute(&qmp::query_version {})?;
        Ok(self.protocol.events().collect())
    }
}

fn explain(command: &str, error: ExecuteError) -> QmpError {
    match error {
        ExecuteError::Io(error) if is_gone(&error) => QmpError::Gone,
        ExecuteError::Io(error) => QmpError::Failed(VmError::Refused {
            command: command.to_owned(),
            text: match error.kind() {
                std::io::ErrorKind::TimedOut => "QEMU does not answer".to_owned(),
                _ => error.to_string(),
            },
        }),
        ExecuteError::Qapi(error) => QmpError::Failed(VmError::Refused {
            command: command.to_owned(),
            text: error.desc,
        }),
    }
}
