//! The guest agent: commands in the guest.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use qapi::qga::{GuestShutdownMode, guest_exec, guest_exec_status, guest_shutdown};
use qapi::{ExecuteError, Qga, Stream};
use serde::Deserialize;

use super::files::read_file;
use crate::vm::qemu::channel::{Channel, is_gone};
use crate::vm::qemu::raw::Raw;
use crate::vm::{Command, RunResult, VmError};

/// An agent that takes longer for an answer is stuck.
const ANSWER: Duration = Duration::from_secs(20);
/// How long to wait for the answer to one synchronisation.
const SYNC_AGAIN: Duration = Duration::from_millis(500);
/// How often to look after the guest while its agent is silent.
const TICK: Duration = Duration::from_millis(50);
/// What the agent sends before the answer to a `guest-sync-delimited`.
const SENTINEL: u8 = 0xff;

/// The answer to a `guest-sync-delimited`.
#[derive(Deserialize)]
struct Synced {
    #[serde(rename = "return")]
    id: u64,
}

/// Says whether to wait any longer; asked before each command, and now and then while the agent is
/// silent.
pub(in crate::vm) type Well<'a> = &'a mut dyn FnMut() -> Result<(), VmError>;

/// A session with the agent.
pub(in crate::vm) struct Agent {
    channel: Channel,
    protocol: Qga<Stream<BufReader<Channel>, Channel>>,
    /// Tells the answer to this synchronisation from those to earlier ones.
    syncs: u64,
    /// An answer may still come that nobody waits for any more.
    owes_an_answer: bool,
}

impl Agent {
    pub(in crate::vm) fn new(socket: UnixStream) -> Self {
        let channel = Channel::new(socket);
        Self {
            protocol: Qga::from_stream(channel.clone()),
            channel,
            syncs: 0,
            owes_an_answer: false,
        }
    }

    /// Drops whatever is on its way and makes sure that the agent answers, until `deadline`.
    pub(in crate::vm) fn sync(&mut self, deadline: Instant) -> Result<(), VmError> {
        loop {
            // What was sent before the agent was ready may be lost: ask again now and then.
            let patience = deadline.min(Instant::now() + SYNC_AGAIN);
            match self.sync_once(patience) {
                Err(error) if error.kind() == ErrorKind::TimedOut && patience < deadline => {}
                result => {
                    self.owes_an_answer = result.is_err();
                    return result.map_err(|error| no_answer(&error));
                }
            }
        }
    }

    fn sync_once(&mut self, deadline: Instant) -> std::io::Result<()> {
        self.syncs += 1;
        let id = (u64::from(std::process::id()) << 24) + self.syncs;
        let command = format!(r#"{{"execute":"guest-sync-delimited","arguments":{{"id":{id}}}}}"#);
        self.channel.until(deadline);
        let stream = self.protocol.inner_mut();
        // The leading sentinel makes the agent forget half a command that it may have.
        stream.write_all(&[&[SENTINEL], command.as_bytes(), b"\n"].concat())?;
        stream.flush()?;
        loop {
            let mut line = Vec::new();
            stream.read_until(SENTINEL, &mut Vec::new())?;
            stream.read_until(b'\n', &mut line)?;
            let answer: Option<Synced> = serde_json::from_slice(&line).ok();
            if answer.is_some_and(|answer| answer.id == id) {
                return Ok(());
            }
        }
    }

    /// Starts `command` and returns its process ID in the guest.
    pub(in crate::vm) fn start(
        &mut self,
        command: &Command,
        well: Well<'_>,
    ) -> Result<i64, VmError> {
        let env = self.environment(command, well)?;
        let direct = command.as_started();
        let refused = match self.spawn(&direct, env.clone(), well) {
            Err(VmError::Agent(text)) => text,
            started => return started,
        };
        // The program may be missing: what the shell makes of that is the same for all commands.
        let error = format!("cannot run `{}`: {refused}", command.program);
        match self.spawn(&command.through_shell(), env, well) {
            Err(VmError::Agent(_)) => Err(VmError::Agent(error)),
            started => started,
        }
    }

    fn spawn(
        &mut self,
        command: &Command,
        env: Option<Vec<String>>,
        well: Well<'_>,
    ) -> Result<i64, VmError> {
        let exec = guest_exec {
            path: command.program.clone(),
            arg: Some(command.args.clone()),
            env,
            input_data: command.stdin.clone(),
            capture_output: None,
        };
        let mut arguments = serde_json::to_value(&exec)
            .map_err(|error| VmError::Agent(format!("guest-exec: {error}")))?;
        // The generated type has a form that agents before QEMU 8 do not understand.
        arguments["capture-output"] = true.into();
        let started = self.execute(&Raw::<guest_exec>::new(arguments), well)?;
        Ok(started.pid)
    }

    /// The environment for `command`; None for the agent's own. One that is given replaces that.
    fn environment(
        &mut self,
        command: &Command,
        well: Well<'_>,
    ) -> Result<Option<Vec<String>>, VmError> {
        if command.env_clear {
            return Ok(Some(command.env.clone()));
        }
        if command.env.is_empty() {
            return Ok(None);
        }
        let own = match read_file(self, well, "/proc/self/environ") {
            Ok(own) => own,
            Err(VmError::Agent(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        let own = String::from_utf8_lossy(&own).into_owned();
        Ok(Some(with_added(&own, &command.env)))
    }

    /// The result of the process `pid`, once it has ended; the agent forgets it then.
    pub(in crate::vm) fn result(
        &mut self,
        pid: i64,
        well: Well<'_>,
    ) -> Result<Option<RunResult>, VmError> {
        let status = self.execute(&guest_exec_status { pid }, well)?;
        Ok(status.exited.then(|| RunResult::of(status)))
    }

    /// Asks the guest to power down. There is no answer.
    pub(in crate::vm) fn shut_down(&mut self) -> Result<(), VmError> {
        self.channel.until(Instant::now() + ANSWER);
        let mode = Some(GuestShutdownMode::Powerdown);
        let sent = self.protocol.write_command(&guest_shutdown { mode });
        sent.map_err(|error| no_answer(&error))
    }

    /// Executes `command`, for as long as `well` is content to wait.
    pub(in crate::vm) fn execute<C: qapi::Command>(
        &mut self,
        command: &C,
        well: Well<'_>,
    ) -> Result<C::Ok, VmError> {
        well()?;
        let deadline = Instant::now() + ANSWER;
        if self.owes_an_answer {
            self.sync(deadline)?;
        }
        self.owes_an_answer = true;
        self.channel.until(deadline);
        let sent = self.protocol.write_command(command);
        sent.map_err(|error| no_answer(&error))?;
        while !self
            .channel
            .has_data(TICK)
            .map_err(|error| no_answer(&error))?
            && Instant::now() < deadline
        {
            well()?;
        }
        let answer = self.protocol.read_response::<C>();
        self.owes_an_answer = matches!(answer, Err(ExecuteError::Io(_)));
        answer.map_err(|error| match error {
            ExecuteError::Io(error) => no_answer(&error),
            ExecuteError::Qapi(error) => VmError::Agent(error.desc),
        })
    }
}

/// The environment `own`, entries with a zero behind each, with `added` in place of those of the
/// same name. There is a PATH in any case.
fn with_added(own: &str, added: &[String]) -> Vec<String> {
    const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut all: BTreeMap<&str, &str> = PATH.split_once('=').into_iter().collect();
    let own = own.split('\0').filter_map(|entry| entry.split_once('='));
    all.extend(own);
    all.extend(added.iter().filter_map(|entry| entry.split_once('=')));
    let entries = all.iter().map(|(name, value)| format!("{name}={value}"));
    entries.collect()
}

fn no_answer(error: &std::io::Error) -> VmError {
    match error.kind() {
        _ if is_gone(error) => VmError::AgentGone,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => VmError::NoAnswer("does not answer".into()),
        _ => VmError::NoAnswer(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Shutdown;

    use proptest::prelude::*;
    use qapi::qga::guest_ping;

    /// What a ping finds when a hostile agent sends `bytes` again and again, until it hangs up.
    fn ping(bytes: Vec<u8>, times: usize) -> Result<(), VmError> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let sender = std::thread::spawn(move || {
            let _ = (0..times).try_for_each(|_| theirs.write_all(&bytes));
            let _ = theirs.shutdown(Shutdown::Write);
            theirs // Open for what it is asked, which may come later.
        });
        let mut agent = Agent::new(ours);
        let answer = agent.execute(&guest_ping {}, &mut || Ok(())).map(drop);
        drop(agent);
        sender.join().unwrap();
        answer
    }

    #[test]
    fn gigabytes_without_an_end_are_an_error_and_not_our_memory() {
        let endless = [
            (&b"x"[..], "more than 64 MiB"),
            (b"\"", "more than 64 MiB"),
            (b"0,", "more than a million values"),
            (b"[", "more than a million values"),
        ];
        for (piece, expected) in endless {
            let error = ping(piece.repeat(1 << 20), 4096).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn half_an_answer_is_no_sign_that_qemu_is_gone() {
        let error = ping(b"{\"return\":\n".to_vec(), 1).unwrap_err();
        assert!(matches!(error, VmError::NoAnswer(_)), "{error}");
        let error = ping(b"{\"return\":".to_vec(), 1).unwrap_err();
        assert!(matches!(error, VmError::AgentGone), "{error}");
    }

    #[test]
    fn an_agent_that_answers_for_ever_is_asked_only_while_it_makes_sense() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs
            .write_all(&b"{\"return\":{}}\n".repeat(1000))
            .unwrap();
        let mut agent = Agent::new(ours);
        let mut asked = 0;
        let mut well = || {
            asked += 1;
            (asked < 10).then_some(()).ok_or(VmError::TimeIsUp)
        };
        let error = std::iter::repeat_with(|| agent.execute(&guest_ping {}, &mut well))
            .find_map(Result::err);
        assert!(matches!(error, Some(VmError::TimeIsUp)), "{error:?}");
    }

    #[test]
    fn an_environment_is_added_to_and_has_a_path() {
        let added = ["A=new".to_owned(), "C=".to_owned()];
        let env = with_added("A=old\0B=b=b\0PATH=/mine\0", &added);
        assert_eq!(env, ["A=new", "B=b=b", "C=", "PATH=/mine"]);
        assert_eq!(with_added("", &added).len(), 3);
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_or_an_answer_and_nothing_worse(bytes: Vec<u8>) {
            let _ = ping(bytes, 1);
        }

        #[test]
        fn json_of_another_kind_is_an_error(text in "[\\[{]?\"?[a-z]{0,6}\"?:?[0-9]{0,30}[\\]}]?\n") {
            let _ = ping(text.into_bytes(), 1);
        }
    }
}
