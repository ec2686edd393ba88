//! A running machine: QEMU with its channels. It ends when this is dropped.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use qapi::qga::{guest_file_close, guest_file_open, guest_get_time, guest_set_time};
use qapi::qmp::{self, Event};

use super::disks::held::{Held, Quiet, drop_held, dropping_held, held};
use super::folder::Folder;
use super::guest::agent::Agent;
use super::guest::console::Console;
use super::guest::terminal::Terminal;
use super::qemu::arguments::{
    DriveSpec, MachineSpec, Sockets, blockdev, device, device_id, node, serial,
};
use super::qemu::process::{Channels, Qemu};
use super::qemu::qmp::{Qmp, QmpError};
use super::qemu::raw::Raw;
use super::{Command, Exit, Limit, RunResult, VmError};
use crate::client::MountClient;

/// How long the guest may take to let go of a disk.
const UNPLUG: Duration = Duration::from_secs(5);
/// How long a guest may take to power down before it is switched off.
const POWER_DOWN: Duration = Duration::from_secs(20);
/// How long it may take while rules have its requests wait, and how long one of these may have waited.
const POWER_DOWN_HELD: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(1));
/// How long a pause waits for requests that a rule delays.
const DELAYED: Duration = Duration::from_millis(200);
/// How long a killed process may take to be gone.
const KILLED: Duration = Duration::from_secs(5);
/// How long a guest may take for the link to a new disk before it is looked for in other ways.
const LINKED: Duration = Duration::from_millis(500);
/// How long a guest to which a disk was plugged in may take to show it, while no rule has it wait.
const SHOWN: Duration = Duration::from_secs(5);
/// Between two looks for the link, at least.
const LOOK_AGAIN: Duration = Duration::from_millis(3);
/// How much longer than it takes to look for the link the guest is left alone: under emulation it has
/// its hands full with the new disk.
const LEFT_ALONE: u32 = 8;
/// Between two looks at a guest from which nothing comes by itself.
const TICK: Duration = Duration::from_millis(20);

/// A running machine.
pub(super) struct Machine {
    qmp: Qmp,
    mount: MountClient,
    agent: Agent,
    terminal: Terminal,
    pub(super) health: Health,
}

/// Whether it makes sense to wait for the guest any longer.
pub(super) struct Health {
    qemu: Qemu,
    console: Console,
    pub(super) limit: Limit,
}

impl Health {
    /// Fails when QEMU is gone, the kernel has panicked, or the test's time is up.
    pub(super) fn check(&mut self) -> Result<(), VmError> {
        if self.qemu.exited().is_some() {
            return Err(self.exit_error());
        }
        if let Some(line) = self.console.new_panic() {
            return Err(VmError::Panicked {
                line,
                console: self.console.end(),
            });
        }
        self.limit.check()
    }

    fn exit_error(&mut self) -> VmError {
        self.qemu.exit_error("while the guest ran")
    }
}

/// A process in the guest, by its number there.
#[derive(Debug)]
pub struct Process {
    pid: i64,
    result: Option<RunResult>,
}

impl Process {
    /// Its number in the guest.
    pub fn pid(&self) -> i64 {
        self.pid
    }
}

impl Machine {
    /// Starts QEMU, with its disks in `mount`, and greets it; the guest stands still. What the console
    /// shows is news from where `console_log` stands.
    pub(super) fn launch<'a>(
        spec: impl FnOnce(Sockets) -> MachineSpec<'a>,
        folder: &Folder,
        mount: &MountClient,
        console_log: Console,
        limit: &Limit,
        deadline: Instant,
    ) -> Result<Self, VmError> {
        let (mut qemu, channels) = Qemu::start(spec, &folder.qemu_log(), mount)?;
        let Channels {
            qmp,
            agent,
            console,
        } = channels;
        let terminal = Terminal::open(console, &folder.console());
        let terminal = terminal.map_err(VmError::io("the guest's console"))?;
        let qmp = Qmp::connect(qmp, deadline).map_err(|error| match error {
            QmpError::Gone => qemu.exit_error("while it started"),
            QmpError::Failed(error) => error,
        })?;
        Ok(Self {
            qmp,
            mount: mount.clone(),
            agent: Agent::new(agent),
            terminal,
            health: Health {
                qemu,
                console: console_log,
                limit: limit.clone(),
            },
        })
    }

    pub(super) fn console(&self) -> &Console {
        &self.health.console
    }

    /// Whether QEMU has ended as it does when its guest powers down.
    pub(super) fn has_powered_off(&mut self) -> bool {
        let status = self.health.qemu.exited();
        status.is_some_and(|status| status.success())
    }

    /// Presses the reset button and waits until the agent answers again. What rules hold is dropped:
    /// QEMU resets a disk when all of its requests are answered, while the guest stands still.
    pub(super) fn reset(&mut self, deadline: Instant, patience: Duration) -> Result<(), VmError> {
        self.events(Duration::ZERO)?; // What was before is no news.
        // It may answer only when it is done.
        dropping_held(&self.mount.clone(), || self.execute(&qmp::system_reset {}))?;
        let is_reset = |event: &Event| matches!(event, Event::RESET { .. });
        while !self.events(TICK)?.iter().any(is_reset) {
            self.must_be_well("the machine was not reset", deadline, patience)?;
            drop_held(&self.mount);
        }
        self.wait_for_agent(deadline, patience)
    }

    /// Fails when the guest is over, and at the deadline: with `what` has not come to pass.
    fn must_be_well(
        &mut self,
        what: &str,
        deadline: Instant,
        patience: Duration,
    ) -> Result<(), VmError> {
        self.health.check()?;
        if Instant::now() < deadline {
            return Ok(());
        }
        Err(VmError::Deadline {
            what: what.to_owned(),
            after: patience,
            console: self.health.console.end(),
        })
    }

    /// Waits until the agent of a booting guest answers.
    pub(super) fn wait_for_agent(
        &mut self,
        deadline: Instant,
        patience: Duration,
    ) -> Result<(), VmError> {
        let mut opened = false;
        while !opened {
            let what = "the guest did not boot: its agent did not answer";
            self.must_be_well(what, deadline, patience)?;
            let events = self.events(TICK)?;
            opened = events.iter().any(is_agent_opening);
        }
        self.agent.sync(deadline)
    }

    /// Gives QEMU a duplicate of `file`, to be used once as `fd:NAME`.
    pub(super) fn give(&mut self, name: &str, file: BorrowedFd<'_>) -> Result<(), VmError> {
        let given = self.qmp.give(name, file);
        given.map_err(|error| self.explain(error))
    }

    pub(super) fn execute<C: qapi::Command>(&mut self, command: &C) -> Result<C::Ok, VmError> {
        let done = self.qmp.execute(command);
        done.map_err(|error| self.explain(error))
    }

    fn events(&mut self, timeout: Duration) -> Result<Vec<Event>, VmError> {
        let events = self.qmp.events(timeout);
        events.map_err(|error| self.explain(error))
    }

    fn explain(&mut self, error: QmpError) -> VmError {
        match error {
            QmpError::Gone => self.health.exit_error(),
            QmpError::Failed(error) => error,
        }
    }

    /// Runs `command` to its end.
    pub(super) fn run(&mut self, command: &Command) -> Result<RunResult, VmError> {
        let asked = Instant::now();
        let mut process = self.start(command)?;
        // It hardly ends sooner than it took the guest to start it, and asking would slow it down.
        std::thread::sleep(self.health.limit.cut(asked.elapsed().min(TICK)));
        self.wait(&mut process, command.timeout)
    }

    /// Starts `command`.
    pub(super) fn start(&mut self, command: &Command) -> Result<Process, VmError> {
        self.health.check()?;
        let pid = self.agent(|agent, well| agent.start(command, well))?;
        Ok(Process { pid, result: None })
    }

    /// Waits for the end of `process`; one that takes longer than `timeout` is killed. What such a one
    /// has printed is lost where it does not end even then: it waits for a disk, say.
    pub(super) fn wait(
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

    /// The result of `process`, if it has ended.
    pub(super) fn poll(&mut self, process: &mut Process) -> Result<Option<RunResult>, VmError> {
        self.wait_until(process, Some(Instant::now()))
    }

    fn wait_until(
        &mut self,
        process: &mut Process,
        deadline: Option<Instant>,
    ) -> Result<Option<RunResult>, VmError> {
        // Most commands are quick; the others need not be asked after often.
        let mut pause = Duration::from_millis(1);
        while process.result.is_none() {
            let pid = process.pid;
            process.result = self.agent(|agent, well| agent.result(pid, well))?;
            let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if process.result.is_some() || late {
                break;
            }
            self.health.check()?;
            std::thread::sleep(self.health.limit.cut(pause));
            pause = (pause * 2).min(TICK);
        }
        Ok(process.result.clone())
    }

    /// Sends a signal to `process` and all that it started, if it has not ended. The agent reports
    /// the end of a process when nobody holds its output open any more, its children included.
    pub(super) fn kill(&mut self, process: &mut Process, signal: &str) -> Result<(), VmError> {
        const KILL_TREE: &str = r#"
            tree() {
                echo "$1"
                for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do tree "$child"; done
            }
            kill -s "$1" $(tree "$2")"#;
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
        let said = killed.map_or(Vec::new(), |killed| killed.stderr);
        let said = String::from_utf8_lossy(&said).into_owned();
        // A process that has ended meanwhile is no mistake; a signal that there is not is one.
        match said.to_lowercase().contains("signal") {
            true => Err(VmError::NoSignal(signal.to_owned())),
            false => Ok(()),
        }
    }

    /// Calls the agent, for as long as the guest is well; when the call fails because the guest is
    /// over, says so instead.
    pub(super) fn agent<T>(
        &mut self,
        call: impl FnOnce(&mut Agent, &mut dyn FnMut() -> Result<(), VmError>) -> Result<T, VmError>,
    ) -> Result<T, VmError> {
        let health = &mut self.health;
        let result = call(&mut self.agent, &mut || health.check());
        result.map_err(|error| match error {
            VmError::AgentGone => self.health.exit_error(),
            error => self.health.check().err().unwrap_or(error),
        })
    }

    /// Plugs a disk in, and waits until the guest has it, or a rule keeps it from that: see
    /// [`wait_for_disk`](Self::wait_for_disk).
    pub(super) fn plug(
        &mut self,
        drive: &DriveSpec<'_>,
        deadline: Instant,
    ) -> Result<Option<Held>, VmError> {
        self.insert(drive)?;
        let seen = self.wait_for_disk(drive.id, deadline, SHOWN);
        if seen.is_err() {
            // As far as the guest lets go of it: the disk is not attached.
            let _ = self.unplug(drive.id, drive.number);
        }
        seen
    }

    /// Plugs a disk in; the guest finds it when it runs. QEMU's own probes meet no rule.
    pub(super) fn insert(&mut self, drive: &DriveSpec<'_>) -> Result<(), VmError> {
        let quiet = Quiet::of(self.mount.disk(drive.id));
        self.execute(&Raw::<qmp::blockdev_add>::new(blockdev(drive)))?;
        drop(quiet);
        let inserted = self.execute(&Raw::<qmp::device_add>::new(device(drive)));
        if inserted.is_err() {
            let _ = self.remove_node(drive.number);
        }
        inserted.map(drop)
    }

    /// Waits until the guest's kernel shows the disk by its serial number, and its udev or mdev has
    /// a link to it: until `deadline`, and for no longer than `shown` while no rule has requests wait.
    /// A rule that holds a request may do so for ever: returns the request, as it does with one that
    /// was delayed for long, or still is at the deadline.
    pub(super) fn wait_for_disk(
        &mut self,
        id: &str,
        deadline: Instant,
        shown: Duration,
    ) -> Result<Option<Held>, VmError> {
        let start = Instant::now();
        let mut unheld_since = start;
        loop {
            let asked = Instant::now();
            let is_late = asked - start >= LINKED;
            if self.has_link(id)? || (is_late && self.shows_disk(id)?) {
                return Ok(None);
            }
            if is_late {
                let mut held = held(&self.mount);
                let is_over = asked >= deadline;
                if let Some(at) = held.iter().position(|held| held.is_long() || is_over) {
                    return Ok(Some(held.swap_remove(at)));
                }
                if !held.is_empty() {
                    unheld_since = asked;
                }
                if is_over || asked - unheld_since >= shown {
                    return Err(VmError::NotSeen {
                        id: id.to_owned(),
                        after: start.elapsed(),
                        console: self.health.console.end(),
                    });
                }
            }
            self.health.check()?;
            let pause = (asked.elapsed() * LEFT_ALONE).clamp(LOOK_AGAIN, TICK);
            std::thread::sleep(self.health.limit.cut(pause));
        }
    }

    /// Whether the guest has the link to the disk. Nothing is opened, and no process started, which
    /// would keep a slow guest from its work: below a disk there is nothing, and what the agent says
    /// about it tells a disk from none.
    fn has_link(&mut self, id: &str) -> Result<bool, VmError> {
        let below = guest_file_open {
            path: format!("/dev/disk/by-id/virtio-{}/.", serial(id)),
            mode: None,
        };
        match self.agent(|agent, well| agent.execute(&below, well)) {
            Err(VmError::Agent(text)) => Ok(text.contains("Not a directory")),
            Err(error) => Err(error),
            Ok(handle) => {
                let close = guest_file_close { handle };
                self.agent(|agent, well| agent.execute(&close, well))?;
                Ok(false)
            }
        }
    }

    /// Looks with a program of the guest, which may have no links, or an agent that speaks another
    /// language.
    fn shows_disk(&mut self, id: &str) -> Result<bool, VmError> {
        const LOOK: &str = r#"
            grep -qxF -- "$1" /sys/block/*/serial 2>/dev/null &&
                { [ ! -d /dev/disk/by-id ] || [ -e "/dev/disk/by-id/virtio-$1" ]; }"#;
        let look = Command {
            args: vec!["-c".into(), LOOK.into(), "sh".into(), serial(id)],
            timeout: Some(Duration::from_secs(30)),
            ..Command::shell("")
        };
        Ok(self.run(&look)?.exit == Exit::Exited(0))
    }

    /// Unplugs a disk: asks the guest, waits until it has let go, and closes the file.
    pub(super) fn unplug(&mut self, id: &str, number: u32) -> Result<(), VmError> {
        let device = device_id(id);
        self.events(Duration::ZERO)?;
        self.execute(&qmp::device_del { id: device.clone() })?;
        let deadline = Instant::now() + UNPLUG;
        let gone = |event: &Event| matches!(event, Event::DEVICE_DELETED { data, .. } if data.device.as_ref() == Some(&device));
        while !self.events(TICK)?.iter().any(gone) {
            self.health.check()?;
            if Instant::now() >= deadline {
                return Err(VmError::Refused {
                    command: "device_del".into(),
                    text: format!("the guest does not let go of disk `{id}`"),
                });
            }
        }
        self.remove_node(number)
    }

    fn remove_node(&mut self, number: u32) -> Result<(), VmError> {
        let node_name = node(number);
        self.execute(&qmp::blockdev_del { node_name }).map(drop)
    }

    /// Waits until the console shows `text`, and consumes it.
    pub(super) fn expect(&mut self, text: &str, patience: Duration) -> Result<(), VmError> {
        let deadline = Instant::now() + patience;
        let mut searched = 0;
        while !self.health.console.consume(text, &mut searched) {
            let well = self.health.check();
            if well.is_err() && self.health.console.consume(text, &mut searched) {
                return Ok(()); // Its last words.
            }
            well?;
            if Instant::now() >= deadline {
                return Err(VmError::NotExpected {
                    text: text.to_owned(),
                    console: self.health.console.end(),
                });
            }
            std::thread::sleep(self.health.limit.cut(TICK));
        }
        Ok(())
    }

    /// The guest's serial console, for whoever wants to type.
    pub(super) fn terminal(&self) -> &Terminal {
        &self.terminal
    }

    /// Types `text` into the console.
    pub(super) fn type_in(&mut self, text: &[u8]) -> Result<(), VmError> {
        self.health.check()?;
        let typed = self.terminal.write(text);
        typed.map_err(VmError::io("the guest's console"))
    }

    /// The guest's time: nanoseconds since 1970.
    pub(super) fn time(&mut self) -> Result<i64, VmError> {
        self.agent(|agent, well| agent.execute(&guest_get_time {}, well))
    }

    /// Sets the guest's time: nanoseconds since 1970.
    pub(super) fn set_time(&mut self, time: i64) -> Result<(), VmError> {
        let set = guest_set_time { time: Some(time) };
        self.agent(|agent, well| agent.execute(&set, well))
            .map(drop)
    }

    /// Stops the guest's processors, once all of its requests are answered: not while a rule holds
    /// one. The flush that QEMU adds meets no rule.
    pub(super) fn pause(&mut self) -> Result<(), VmError> {
        let _quiet = Quiet::all(&self.mount);
        let patience = Instant::now() + DELAYED;
        while let Some(held) = held(&self.mount).first() {
            if held.request.is_hang() || Instant::now() >= patience {
                return Err(VmError::Held(held.to_string()));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        self.stop()
    }

    /// Stops the guest's processors.
    pub(super) fn stop(&mut self) -> Result<(), VmError> {
        self.execute(&qmp::stop {}).map(drop)
    }

    /// Lets them go on.
    pub(super) fn resume(&mut self) -> Result<(), VmError> {
        self.execute(&qmp::cont {}).map(drop)
    }

    /// Presses the power button; what the guest makes of it is its own affair.
    pub(super) fn power_button(&mut self) -> Result<(), VmError> {
        self.execute(&qmp::system_powerdown {}).map(drop)
    }

    /// Powers the guest down; one that does not want to, or that waits for what a rule holds, is
    /// switched off.
    pub(super) fn shut_down(mut self) {
        if self.agent.shut_down().is_err() {
            return;
        }
        let start = Instant::now();
        let patience = self.health.limit.cut(POWER_DOWN);
        while self.health.qemu.wait(TICK).is_none() && start.elapsed() < patience {
            let (patience, longest) = POWER_DOWN_HELD;
            let held = held(&self.mount);
            let is_old = held.iter().any(|held| held.request.age >= longest);
            if is_old || (!held.is_empty() && start.elapsed() >= patience) {
                return;
            }
        }
    }
}

/// Whether the agent has opened its end of the only port that we watch.
fn is_agent_opening(event: &Event) -> bool {
    matches!(event, Event::VSERPORT_CHANGE { data, .. } if data.open)
}
