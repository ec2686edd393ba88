//! Making a disk larger or smaller: its image, and the disk that a running guest has.

use std::fs::File;
use std::time::{Duration, Instant};

use qapi::qmp;

use super::list::SharedDisk;
use super::record::DiskRecord;
use crate::config::DiskBus;
use crate::protocol::DiskGauge;
use crate::protocol::names::SECTOR;
use crate::vm::machine::Machine;
use crate::vm::qemu::drive::Drive;
use crate::vm::{Command, Exit, Vm, VmError};

/// How long a guest may take to notice.
const NOTICED: Duration = Duration::from_secs(30);
/// Between two looks.
const TICK: Duration = Duration::from_millis(50);

impl Vm {
    /// Makes the disk `size` bytes large: its image, and the disk of a guest that runs. Returns when the guest has
    /// noticed; nobody tells that of a guest without an agent, or of one that is paused.
    pub fn resize_disk(&mut self, record: &SharedDisk, size: u64) -> Result<(), VmError> {
        let drive = {
            let record = record.borrow();
            may_be_resized(&record, size)?;
            record.plugged_drive().cloned()
        };
        if let Some(drive) = &drive
            && drive.hardware.bus == DiskBus::Nvme
        {
            return Err(not_resized(
                &drive.id,
                "QEMU's nvme does not tell the guest of a new size: resize it before vm:boot, or take another `bus`",
            ));
        }
        record.borrow_mut().resize(size)?;
        let (Some(drive), Some(machine)) = (drive, self.machine.as_mut()) else {
            return Ok(());
        };
        let is_paused = self.state == crate::vm::State::Paused;
        let told = machine.tell_size(&drive, size, is_paused);
        self.judged(told)
    }
}

/// Fails where an image cannot be made `size` bytes large without a loss that was not asked for.
fn may_be_resized(record: &DiskRecord, size: u64) -> Result<(), VmError> {
    let (id, wrong) = (record.id(), |why: &str| Err(not_resized(record.id(), why)));
    if record.is_detached() {
        return wrong("it is detached");
    }
    if size == 0 || !size.is_multiple_of(SECTOR) {
        return wrong(&format!(
            "a size is a multiple of {SECTOR} bytes, and not {size}"
        ));
    }
    let Some(mounted) = record.mounted() else {
        return Ok(());
    };
    if let Some(sector) = mounted.drive.hardware.logical_block_size
        && !size.is_multiple_of(u64::from(sector))
    {
        let id = id.to_owned();
        return Err(VmError::OddSize { id, size, sector });
    }
    if mounted.drive.read_only {
        return wrong("it is read-only");
    }
    if mounted.is_scratch {
        return wrong("its template stays as it is: give `size` when the disk is attached");
    }
    let stats = mounted.control.stats()?;
    if stats.gauge(DiskGauge::Checkpoints) > 0 {
        return wrong("it has checkpoints, which are of the size that it has: drop them first");
    }
    if size < mounted.control.size()? && stats.gauge(DiskGauge::PendingRequests) > 0 {
        return wrong("what is pending may lie behind the new end: flush the disk first");
    }
    Ok(())
}

fn not_resized(id: &str, why: &str) -> VmError {
    VmError::NotResized {
        id: id.to_owned(),
        why: why.to_owned(),
    }
}

impl DiskRecord {
    /// Makes its image, or the modelled disk, `size` bytes large.
    fn resize(&mut self, size: u64) -> Result<(), VmError> {
        let Some(mounted) = self.mounted() else {
            self.set_modelled_size(size);
            return Ok(());
        };
        let image = &mounted.image;
        let failed = |cause| VmError::io(format!("image {}", image.display()))(cause);
        // The size of a disk is that of its image at any time.
        let file = File::options().write(true).open(image).map_err(failed)?;
        file.set_len(size).map_err(failed)
    }
}

impl Machine {
    /// Tells QEMU, and so the guest, that the disk has another size.
    fn tell_size(&mut self, drive: &Drive, size: u64, is_paused: bool) -> Result<(), VmError> {
        self.execute(&qmp::block_resize {
            device: None,
            node_name: Some(drive.node()),
            size: size as i64,
        })?;
        if is_paused || !self.has_agent() {
            return Ok(());
        }
        let deadline = Instant::now() + NOTICED;
        while !self.has_noticed(drive, size)? {
            self.health.check()?;
            if Instant::now() >= deadline {
                let why = format!(
                    "the image has the new size, and the guest has not noticed within {}s",
                    NOTICED.as_secs()
                );
                return Err(not_resized(&drive.id, &why));
            }
            self.health.pause(TICK);
        }
        Ok(())
    }

    /// Whether the guest shows the disk with this size. A SCSI disk of the guest has to be told to look.
    fn has_noticed(&mut self, drive: &Drive, size: u64) -> Result<bool, VmError> {
        const LOOK: &str = r#"
            disk=/sys/class/block/$(basename "$(readlink -f "$1")")
            [ "$(cat "$disk/size")" = "$2" ] && exit
            [ ! -e "$disk/device/rescan" ] || echo 1 >"$disk/device/rescan"
            [ "$(cat "$disk/size")" = "$2" ]"#;
        let sectors = (size / SECTOR).to_string();
        let args = ["-c", LOOK, "sh", &drive.link(), &sectors];
        let look = Command {
            args: args.map(str::to_owned).into(),
            timeout: Some(NOTICED),
            ..Command::shell("")
        };
        Ok(self.run(&look)?.exit == Exit::Exited(0))
    }
}
