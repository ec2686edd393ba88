//! Power cuts by rules. A thread reads what happens to the disks of a VM, and ends the VM's QEMU when a rule cuts their
//! power.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::VmError;
use super::power_loss::RuleCut;
use crate::client::{Events, MountClient};
use crate::os::process::Process;
use crate::os::sys;
use crate::protocol::{CutReport, DiskEvent, PowerState};

/// How long the event of a cut may take to be read.
const EVENT: Duration = Duration::from_secs(2);

/// Watches the power of a VM's disks. Clones share it. Its thread ends with the VM's mount.
#[derive(Clone, Default)]
pub(super) struct PowerWatch(Arc<Watched>);

#[derive(Default)]
struct Watched {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The thread reads.
    is_read: bool,
    qemu: Option<Target>,
    /// The rule for which QEMU was ended.
    cut: Option<RuleCut>,
    /// The number of each disk's latest cut that was read.
    read: HashMap<String, u64>,
}

/// The QEMU to end.
struct Target {
    process: Process,
    /// When it was started, by the clock of the events. A cut before that was of an earlier run.
    started: Duration,
}

/// While this lives, a rule that cuts the power ends the QEMU.
pub(super) struct Armed(PowerWatch);

impl PowerWatch {
    /// Forgets the cut of an earlier run. Starts the thread, unless it reads already.
    pub(super) fn start(&self, mount: &MountClient) -> Result<(), VmError> {
        let mut state = self.0.state.lock();
        state.cut = None;
        if state.is_read {
            return Ok(());
        }
        let events = mount.events()?;
        let watched = Arc::clone(&self.0);
        let thread = std::thread::Builder::new().name("power".into());
        let started = thread.spawn(move || watched.read(events));
        started.map_err(VmError::io("the thread that watches the power"))?;
        state.is_read = true;
        Ok(())
    }

    /// Ends the QEMU with the number `pid` when a rule cuts the power from now on.
    pub(super) fn arm(&self, pid: u32) -> io::Result<Armed> {
        let target = Target {
            process: Process::open(pid)?,
            started: sys::monotonic(),
        };
        self.0.state.lock().qemu = Some(target);
        Ok(Armed(self.clone()))
    }

    /// The rule that has ended QEMU.
    pub(super) fn cut(&self) -> Option<RuleCut> {
        self.0.state.lock().cut.clone()
    }

    /// Waits until the events of the cuts in `power` have been read. What a rule cuts is seen in `power` first.
    pub(super) fn catch_up(&self, power: &[(String, PowerState)]) {
        let deadline = Instant::now() + EVENT;
        let mut state = self.0.state.lock();
        while power.iter().any(|(id, power)| state.misses(id, power)) {
            if self.0.changed.wait_until(&mut state, deadline).timed_out() {
                return;
            }
        }
    }

    /// Waits for the next event, up to `limit`.
    pub(super) fn wait(&self, limit: Duration) {
        let mut state = self.0.state.lock();
        if state.cut.is_none() {
            self.0.changed.wait_for(&mut state, limit);
        }
    }
}

impl Armed {
    /// The rule that has ended QEMU.
    pub(super) fn cut(&self) -> Option<RuleCut> {
        self.0.cut()
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        self.0.0.state.lock().qemu = None;
    }
}

impl Watched {
    /// Reads to the end of the mount.
    fn read(&self, events: Events) {
        for event in events {
            if let DiskEvent::Cut(report, rule) = event.what {
                let cut = rule.map(RuleCut);
                self.state.lock().note(event.id, report, cut, event.time);
                self.changed.notify_all();
            }
        }
        self.state.lock().is_read = false;
        self.changed.notify_all();
    }
}

impl State {
    /// Notes a cut at `time`, and ends QEMU if a rule has made it. The cut is noted before QEMU can be seen to be
    /// gone.
    fn note(&mut self, id: String, report: CutReport, cut: Option<RuleCut>, time: Duration) {
        self.read.insert(id, report.cut);
        let Some(cut) = cut else {
            return;
        };
        let target = self.qemu.as_ref();
        if let Some(target) = target.filter(|target| time >= target.started) {
            self.cut.get_or_insert(cut);
            // It fails only where QEMU has ended.
            let _ = target.process.signal(libc::SIGKILL);
        }
    }

    /// Whether the event of the cut in `power` will come and has not been read.
    fn misses(&self, id: &str, power: &PowerState) -> bool {
        match power {
            PowerState::On => false,
            PowerState::Off(report) => {
                let read = self.read.get(id).copied().unwrap_or(0);
                self.is_read && read < report.cut
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn report(cut: u64) -> CutReport {
        CutReport {
            kept: 0,
            lost: 0,
            seed: 0,
            cut,
        }
    }

    fn rule_cut() -> Option<RuleCut> {
        Some(RuleCut("cut".into()))
    }

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    #[test]
    fn rule_that_cuts_the_power_ends_qemu_and_no_other_cut_does() {
        let watch = PowerWatch::default();
        let mut qemu = sleeper();
        let armed = watch.arm(qemu.id()).unwrap();
        let note = |cut, rule, time| {
            watch
                .0
                .state
                .lock()
                .note("vda".into(), report(cut), rule, time)
        };
        note(1, None, sys::monotonic());
        note(2, rule_cut(), Duration::ZERO);
        assert!(qemu.try_wait().unwrap().is_none(), "by hand, and too early");
        assert_eq!(armed.cut(), None);
        note(3, rule_cut(), sys::monotonic());
        assert!(!qemu.wait().unwrap().success());
        assert_eq!(armed.cut(), rule_cut());
        drop(armed);
        assert_eq!(watch.cut(), rule_cut(), "for whoever asks after it");
    }

    #[test]
    fn cut_that_is_not_read_yet_is_waited_for() {
        let watch = PowerWatch::default();
        let off = |cut| PowerState::Off(report(cut));
        let mut state = watch.0.state.lock();
        assert!(!state.misses("vda", &off(1)), "nobody reads");
        state.is_read = true;
        assert!(state.misses("vda", &off(1)));
        assert!(!state.misses("vda", &PowerState::On));
        state.note("vda".into(), report(1), None, Duration::ZERO);
        assert!(!state.misses("vda", &off(1)));
        assert!(state.misses("vda", &off(2)));
    }
}
