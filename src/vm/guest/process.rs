//! Processes in the guest: starting, waiting, signalling.

use std::time::{Duration, Instant};

use super::command::{Command, Exit, RunResult};
use super::exec;
use crate::vm::machine::Machine;
use crate::vm::snapshot::Moment;
use crate::vm::{Vm, VmError};

/// How long a killed process may take to be gone.
const KILLED: Duration = Duration::from_secs(5);
/// The longest pause between two looks at a process.
const TICK: Duration = Duration::from_millis(20);
/// The first one.
const FIRST_TICK: Duration = Duration::from_millis(1);
/// The exit code of our script when the guest does not know the signal.
const NO_SIGNAL: i64 = 64;

/// A process in the guest, by its number there.
#[derive(Debug)]
pub struct Process {
    pid: i64,
    result: Option<RunResult>,
    started: Moment,
    /// When its result was known.
    ended: Moment,
}

impl Process {
    /// Its number in the guest.
    pub fn pid(&self) -> i64 {
        self.pid
    }
}

impl Vm {
    /// Runs a command in the guest to its end.
    pub fn run(&mut self, command: &Command) -> Result<RunResult, VmError> {
        self.with_machine(|machine| machine.run(command))
    }

    /// Starts a command in the guest.
    pub fn start(&mut self, command: &Command) -> Result<Process, VmError> {
        let process = self.with_machine(|machine| machine.start(command))?;
        let started = self.past.now();
        Ok(Process { started, ..process })
    }

    /// Waits for a process in the guest; kills it at its time-out.
    pub fn wait(
        &mut self,
        process: &mut Process,
        timeout: Option<Duration>,
    ) -> Result<RunResult, VmError> {
        self.with_process(process, |machine, process| machine.wait(process, timeout))
    }

    /// The result of a process in the guest, if it has ended.
    pub fn poll(&mut self, process: &mut Process) -> Result<Option<RunResult>, VmError> {
        self.with_process(process, |machine, process| {
            machine.wait_until(process, Some(Instant::now()))
        })
    }

    /// Sends a signal to a process in the guest, and to all that it started, if it has not ended. The signal
    /// is a number, or a name with or without SIG.
    pub fn kill(&mut self, process: &mut Process, signal: &str) -> Result<(), VmError> {
        self.with_process(process, |machine, process| machine.kill(process, signal))
    }

    /// Does `action` with a process that the guest knows, which may have gone back to a snapshot since.
    fn with_process<T>(
        &mut self,
        process: &mut Process,
        action: impl FnOnce(&mut Machine, &mut Process) -> Result<T, VmError>,
    ) -> Result<T, VmError> {
        if !self.past.has(process.started) {
            return Err(VmError::AfterSnapshot {
                pid: process.pid,
                vm: self.name.clone(),
            });
        }
        if !self.past.has(process.ended) {
            process.result = None;
        }
        let had_result = process.result.is_some();
        let done = self.with_machine(|machine| action(machine, process));
        if !had_result {
            process.ended = self.past.now();
        }
        done
    }
}

impl Machine {
    /// Runs `command` to its end.
    pub(in crate::vm) fn run(&mut self, command: &Command) -> Result<RunResult, VmError> {
        let asked = Instant::now();
        let mut process = self.start(command)?;
        // It hardly ends sooner than it took the guest to start it, and asking would slow it down.
        self.health.pause(asked.elapsed().min(TICK));
        self.wait(&mut process, command.timeout)
    }

    fn start(&mut self, command: &Command) -> Result<Process, VmError> {
        self.health.check()?;
        let pid = self.agent(|agent, check| exec::start(agent, command, check))?;
        Ok(Process {
            pid,
            result: None,
            started: 0,
            ended: 0,
        })
    }

    /// Waits for the end of `process`; one that takes longer than `timeout` is killed. Its output is lost when
    /// it does not end even then: it waits for a disk, say.
    fn wait(
        &mut self,
        process: &mut Process,
        timeout: Option<Duration>,
    ) -> Result<RunResult, VmError> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        if let Some(result) = self.wait_until(process, deadline)? {
            return Ok(result);
        }
        self.kill(process, "KILL")?;
        let killed = self.wait_until(process, Some(Instant::now() + KILLED))?;
        let killed = killed.unwrap_or_else(RunResult::timed_out);
        let result = RunResult {
            exit: Exit::TimedOut,
            ..killed
        };
        process.result = Some(result.clone());
        Ok(result)
    }

    /// Waits for the end of `process`, until `deadline`.
    fn wait_until(
        &mut self,
        process: &mut Process,
        deadline: Option<Instant>,
    ) -> Result<Option<RunResult>, VmError> {
        // Most commands are quick; the others need not be asked after often.
        let mut pause = FIRST_TICK;
        while process.result.is_none() {
            let pid = process.pid;
            process.result = self.agent(|agent, check| exec::result(agent, pid, check))?;
            let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if process.result.is_some() || late {
                break;
            }
            self.health.check()?;
            self.health.pause(pause);
            pause = (pause * 2).min(TICK);
        }
        Ok(process.result.clone())
    }

    /// See [`Vm::kill`]. All that the process started gets the signal too: the agent reports the end of a process
    /// when nobody holds its output open any more, its children included.
    fn kill(&mut self, process: &mut Process, signal: &str) -> Result<(), VmError> {
        // A failed `kill` means that the process is gone, or that the signal does not exist. A child of our own
        // is not gone, so that a second try tells these apart.
        const KILL_TREE: &str = r#"
            tree() {
                echo "$1"
                for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do tree "$child"; done
            }
            kill -s "$1" $(tree "$2") 2>/dev/null && exit
            sleep 9 &
            status=0
            kill -s "$1" "$!" 2>/dev/null || status=64
            kill -s KILL "$!" 2>/dev/null
            exit "$status""#;
        if process.result.is_some() {
            return Ok(());
        }
        let signal = signal.to_uppercase();
        let signal = signal.strip_prefix("SIG").unwrap_or(&signal);
        let pid = process.pid.to_string();
        let kill = Command {
            args: ["-c", KILL_TREE, "sh", signal, &pid]
                .map(str::to_owned)
                .into(),
            ..Command::shell("")
        };
        let mut kill = self.start(&kill)?;
        let killed = self.wait_until(&mut kill, Some(Instant::now() + KILLED))?;
        match killed.map(|killed| killed.exit) {
            Some(Exit::Exited(NO_SIGNAL)) => Err(VmError::NoSignal(signal.to_owned())),
            _ => Ok(()),
        }
    }
}
