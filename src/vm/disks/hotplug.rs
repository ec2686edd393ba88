//! Plugging disks into a running machine, and waiting until its guest has them.

use std::time::{Duration, Instant};

use qapi::qga::{guest_file_close, guest_file_open};
use qapi::qmp::{self, Event};

use super::held::{Held, KeptBy, Quiet, held};
use crate::vm::guest::agent::is_not_a_folder;
use crate::vm::machine::Machine;
use crate::vm::qemu::drive::Drive;
use crate::vm::qemu::raw::Raw;
use crate::vm::{Command, Exit, VmError};

/// How long the guest may take to let go of a disk.
const UNPLUG: Duration = Duration::from_secs(5);
/// How long a guest may take for the link to a new disk before it is looked for in other ways.
const LINKED: Duration = Duration::from_millis(500);
/// How long a guest to which a disk was plugged in may take to show it, while no rule has it wait.
const SHOWN: Duration = Duration::from_secs(20);
/// Between two looks for the link, at least.
const LOOK_AGAIN: Duration = Duration::from_millis(3);
/// How much longer than it takes to look for the link the guest is left alone: under emulation it has
/// its hands full with the new disk.
const LEFT_ALONE: u32 = 8;
/// Between two looks at a guest from which nothing comes by itself.
const TICK: Duration = Duration::from_millis(20);
/// How long the guest's own program may look for a disk.
const LOOK: Duration = Duration::from_secs(30);

impl Machine {
    /// Plugs a disk in, and waits until the guest has it, or something keeps it from that: see
    /// [`wait_for_disk`](Self::wait_for_disk). Nobody tells when a guest without an agent has it.
    pub(in crate::vm) fn plug(
        &mut self,
        drive: &Drive,
        deadline: Instant,
    ) -> Result<Option<KeptBy>, VmError> {
        self.insert(drive)?;
        if !self.has_agent() {
            return Ok(None);
        }
        let seen = self.wait_for_disk(drive, deadline, SHOWN);
        if seen.is_err() {
            // As far as the guest lets go of it: the disk is not attached.
            let _ = self.unplug(drive);
        }
        seen
    }

    /// Plugs a disk in; the guest finds it when it runs. QEMU's own probes meet no rule.
    pub(in crate::vm) fn insert(&mut self, drive: &Drive) -> Result<(), VmError> {
        if !self.bus().hot_plugs() {
            return Err(VmError::NoHotPlug);
        }
        let bus = drive.hardware.bus;
        if !bus.hot_plugs() {
            return Err(VmError::BusWithoutHotPlug {
                id: drive.id.clone(),
                bus: bus.name(),
            });
        }
        let quiet = Quiet::of(self.mount.disk(&drive.id));
        self.execute(&Raw::<qmp::blockdev_add>::new(drive.blockdev()))?;
        drop(quiet);
        let mut inserted = Ok(());
        for device in drive.devices(self.bus()) {
            inserted = inserted
                .and_then(|()| self.execute(&Raw::<qmp::device_add>::new(device)).map(drop));
        }
        if inserted.is_err() {
            let id = drive.outer_device(self.bus());
            let _ = self.execute(&qmp::device_del { id });
            let _ = self.remove_node(drive);
        }
        inserted
    }

    /// Unplugs a disk: asks the guest, waits until it has let go, and closes the file.
    pub(in crate::vm) fn unplug(&mut self, drive: &Drive) -> Result<(), VmError> {
        if !drive.hot_plugs() {
            let id = drive.id.clone();
            return Err(VmError::BusWithoutHotPlug {
                id,
                bus: drive.bus_name(),
            });
        }
        let device = drive.outer_device(self.bus());
        self.remove_device(drive, &device)?;
        self.remove_node(drive)
    }

    pub(super) fn remove_device(&mut self, drive: &Drive, device: &str) -> Result<(), VmError> {
        self.events(Duration::ZERO)?;
        self.execute(&qmp::device_del {
            id: device.to_owned(),
        })?;
        let deadline = Instant::now() + UNPLUG;
        let gone = |event: &Event| matches!(event, Event::DEVICE_DELETED { data, .. } if data.device.as_deref() == Some(device));
        while !self.events(TICK)?.iter().any(gone) {
            self.health.check()?;
            if Instant::now() >= deadline {
                return Err(VmError::Refused {
                    command: "device_del".into(),
                    text: format!("the guest does not let go of disk `{}`", drive.id),
                });
            }
        }
        Ok(())
    }

    fn remove_node(&mut self, drive: &Drive) -> Result<(), VmError> {
        let node_name = drive.node();
        self.execute(&qmp::blockdev_del { node_name }).map(drop)
    }

    /// Waits until the guest's kernel shows the disk by its serial number, and its udev or mdev has
    /// a link to it: until `deadline`, and for no longer than `shown` while no rule has requests wait.
    /// A rule that holds a request may do so for ever: returns the request, as it does with one that
    /// was delayed for long, or still is at the deadline. So it does with one for which QEMU has paused the guest.
    pub(in crate::vm) fn wait_for_disk(
        &mut self,
        drive: &Drive,
        deadline: Instant,
        shown: Duration,
    ) -> Result<Option<KeptBy>, VmError> {
        let start = Instant::now();
        let mut wait = Wait {
            deadline,
            shown,
            unheld_since: start,
        };
        loop {
            let asked = Instant::now();
            let is_late = asked - start >= LINKED;
            let is_looked_for = is_late || drive.twins > 0;
            let has_link = self.has_link(drive);
            let found = has_link
                .and_then(|has_link| Ok(has_link || is_looked_for && self.shows_disk(drive)?));
            if let Ok(true) = found {
                return Ok(None);
            }
            if let Some(error) = self.paused_by_error() {
                return Ok(Some(KeptBy::Error(error)));
            }
            found?;
            if is_late {
                match wait.look(held(&self.mount), asked) {
                    Waited::On => {}
                    Waited::ForHeld(held) => return Ok(Some(KeptBy::Rule(held))),
                    Waited::InVain => return Err(self.not_seen(drive, start.elapsed())),
                }
            }
            self.health.check()?;
            let pause = (asked.elapsed() * LEFT_ALONE).clamp(LOOK_AGAIN, TICK);
            self.health.pause(pause);
        }
    }

    fn not_seen(&self, drive: &Drive, after: Duration) -> VmError {
        VmError::NotSeen {
            id: drive.id.clone(),
            after,
            bus: drive.hardware.bus.name(),
            console: self.health.console.end(),
        }
    }

    /// Whether the guest has the link to the disk. Nothing is opened, and no process started, which
    /// would keep a slow guest from its work: below a disk there is nothing, and the agent's error
    /// tells a disk from no disk.
    fn has_link(&mut self, drive: &Drive) -> Result<bool, VmError> {
        if drive.twins > 0 {
            // The link may be that of another one.
            return Ok(false);
        }
        let below = guest_file_open {
            path: format!("{}/.", drive.link()),
            mode: None,
        };
        match self.agent(|agent, check| agent.execute(&below, check)) {
            Err(VmError::Agent(text)) => Ok(is_not_a_folder(&text)),
            Err(error) => Err(error),
            Ok(handle) => {
                let close = guest_file_close { handle };
                self.agent(|agent, check| agent.execute(&close, check))?;
                Ok(false)
            }
        }
    }

    /// Looks with a program of the guest, which may have no links, or an agent that speaks another
    /// language.
    fn shows_disk(&mut self, drive: &Drive) -> Result<bool, VmError> {
        // Where Linux shows the serial number, as of 6.1: virtio-blk; NVMe; SCSI and SATA; USB.
        const SHOWS: &str = r#"
            shown() {
                grep -lx -- "$1 *" /sys/block/*/serial /sys/block/*/device/serial
                for page in /sys/block/*/device/vpd_pg80; do
                    tail -c +5 "$page" | tr -d '\0 ' | grep -xF -- "$1"
                done
                for disk in /sys/block/sd*; do
                    grep -xF -- "$1" "$(readlink -f "$disk/device")"/../../../../serial
                done
            }
            [ "$(shown "$1" 2>/dev/null | wc -l)" -gt "$3" ] && { [ ! -d /dev/disk/by-id ] || [ -e "$2" ]; }"#;
        let twins = drive.twins.to_string();
        let args = ["-c", SHOWS, "sh", &drive.serial(), &drive.link(), &twins];
        let look = Command {
            args: args.map(str::to_owned).into(),
            timeout: Some(LOOK),
            ..Command::shell("")
        };
        Ok(self.run(&look)?.exit == Exit::Exited(0))
    }
}

/// How long to wait for a disk that the guest does not show yet.
struct Wait {
    deadline: Instant,
    /// The longest wait while no rule has requests wait.
    shown: Duration,
    /// When the latest of these waits began.
    unheld_since: Instant,
}

/// What became of waiting.
enum Waited {
    /// It makes sense to wait on.
    On,
    /// This request keeps the guest from the disk.
    ForHeld(Held),
    /// The guest should have shown the disk by now.
    InVain,
}

impl Wait {
    /// What becomes of waiting when rules have these requests wait at `now`.
    fn look(&mut self, mut held: Vec<Held>, now: Instant) -> Waited {
        let is_over = now >= self.deadline;
        if let Some(at) = held.iter().position(|held| held.is_long() || is_over) {
            return Waited::ForHeld(held.swap_remove(at));
        }
        if !held.is_empty() {
            self.unheld_since = now;
        }
        match is_over || now - self.unheld_since >= self.shown {
            true => Waited::InVain,
            false => Waited::On,
        }
    }
}
