//! A session with the guest agent: synchronisation, commands and answers.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use qapi::qga::{GuestShutdownMode, guest_shutdown};
use qapi::{ExecuteError, Qga, Stream};
use serde::Deserialize;

use crate::vm::VmError;
use crate::vm::qemu::channel::{Channel, is_gone};

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

/// Fails when the guest is over, or the test's time is up. It is asked before each command, and now and then
/// while the agent is silent.
pub(in crate::vm) type LivenessCheck<'a> = &'a mut dyn FnMut() -> Result<(), VmError>;

/// A session with the agent.
pub(in crate::vm) struct Agent {
    channel: Channel,
    protocol: Qga<Stream<BufReader<Channel>, Channel>>,
    /// Tells the answer to this synchronisation from those to earlier ones.
    syncs: u64,
    /// The answer to an earlier command may still come.
    owes_an_answer: bool,
    /// When the command was sent that it has not answered.
    silent_since: Option<Instant>,
    /// How long an answer may take.
    patience: Duration,
}

impl Agent {
    pub(in crate::vm) fn new(socket: UnixStream) -> Self {
        let channel = Channel::new(socket);
        Self {
            protocol: Qga::from_stream(channel.clone()),
            channel,
            syncs: 0,
            owes_an_answer: false,
            silent_since: None,
            patience: ANSWER,
        }
    }

    /// Drops all answers that are on their way, and makes sure that the agent answers by `deadline`.
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

    /// How long it has owed an answer.
    pub(in crate::vm) fn silence(&self) -> Duration {
        self.silent_since
            .map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Asks the guest to power down. There is no answer.
    pub(in crate::vm) fn shut_down(&mut self) -> Result<(), VmError> {
        self.channel.until(Instant::now() + self.patience);
        let mode = Some(GuestShutdownMode::Powerdown);
        let sent = self.protocol.write_command(&guest_shutdown { mode });
        sent.map_err(|error| no_answer(&error))
    }

    /// Executes `command`. Waits for the answer until `check` fails, or the agent is stuck.
    pub(in crate::vm) fn execute<C: qapi::Command>(
        &mut self,
        command: &C,
        check: LivenessCheck<'_>,
    ) -> Result<C::Ok, VmError> {
        check()?;
        let deadline = Instant::now() + self.patience;
        if self.owes_an_answer {
            self.sync(deadline)?;
        }
        self.owes_an_answer = true;
        self.silent_since = Some(Instant::now());
        self.channel.until(deadline);
        let sent = self.protocol.write_command(command);
        sent.map_err(|error| no_answer(&error))?;
        while !self
            .channel
            .has_data(TICK)
            .map_err(|error| no_answer(&error))?
            && Instant::now() < deadline
        {
            check()?;
        }
        let answer = self.protocol.read_response::<C>();
        self.owes_an_answer = matches!(answer, Err(ExecuteError::Io(_)));
        self.silent_since = self.silent_since.filter(|_| self.owes_an_answer);
        answer.map_err(|error| match error {
            ExecuteError::Io(error) => no_answer(&error),
            ExecuteError::Qapi(error) => VmError::Agent(error.desc),
        })
    }
}

/// Whether the agent's error `text` says that a path to be opened leads through something that is not a
/// folder.
///
/// The agent gives nothing but a text: the class of the error is `GenericError` for all that can go wrong with
/// a file. `guest-file-open` makes it by `error_setg_errno` (QEMU, qga/commands-posix.c, `safe_open_or_create`),
/// which ends the text with what `strerror(errno)` says (util/error.c). No other code looks at such a text.
pub(in crate::vm) fn is_not_a_folder(text: &str) -> bool {
    // ENOTDIR in the language of the C locale, in glibc and in musl.
    text.ends_with(": Not a directory")
}

/// Whether it says that there is nothing at the path.
pub(in crate::vm) fn is_missing(text: &str) -> bool {
    // ENOENT.
    text.ends_with(": No such file or directory")
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
        // A busy machine takes long for 64 MiB.
        agent.patience = Duration::from_secs(600);
        let answer = agent.execute(&guest_ping {}, &mut || Ok(())).map(drop);
        drop(agent);
        sender.join().unwrap();
        answer
    }

    #[test]
    fn answer_without_an_end_is_an_error_and_takes_no_memory() {
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
    fn half_an_answer_does_not_mean_that_qemu_is_gone() {
        let error = ping(b"{\"return\":\n".to_vec(), 1).unwrap_err();
        assert!(matches!(error, VmError::NoAnswer(_)), "{error}");
        let error = ping(b"{\"return\":".to_vec(), 1).unwrap_err();
        assert!(matches!(error, VmError::AgentGone), "{error}");
    }

    #[test]
    fn agent_that_answers_for_ever_is_asked_until_the_check_fails() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs
            .write_all(&b"{\"return\":{}}\n".repeat(1000))
            .unwrap();
        let mut agent = Agent::new(ours);
        let mut asked = 0;
        let mut check = || {
            asked += 1;
            (asked < 10).then_some(()).ok_or(VmError::TimeIsUp)
        };
        let error = std::iter::repeat_with(|| agent.execute(&guest_ping {}, &mut check))
            .find_map(Result::err);
        assert!(matches!(error, Some(VmError::TimeIsUp)), "{error:?}");
    }

    #[test]
    fn error_of_opening_tells_what_is_not_a_folder_by_its_errno() {
        let text =
            |why| format!("failed to open file '/a/Not a directory/.' (mode: '(null)'): {why}");
        assert!(is_not_a_folder(&text("Not a directory")));
        assert!(!is_not_a_folder(&text("No such file or directory")));
        assert!(is_missing(&text("No such file or directory")));
        assert!(!is_missing(&text("Not a directory")));
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_or_an_answer(bytes: Vec<u8>) {
            let _ = ping(bytes, 1);
        }

        #[test]
        fn json_of_another_kind_is_an_error(text in "[\\[{]?\"?[a-z]{0,6}\"?:?[0-9]{0,30}[\\]}]?\n") {
            let _ = ping(text.into_bytes(), 1);
        }
    }
}
