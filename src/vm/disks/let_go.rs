//! Whether a guest has let go of a disk: nothing has it open, and its kernel caches nothing of it.

use std::time::Duration;

use qapi::qga::guest_file_read;

use super::list::SharedDisk;
use crate::client::DiskControl;
use crate::protocol::{Op, OpCounter};
use crate::vm::guest::agent::{LivenessCheck, is_missing};
use crate::vm::guest::file_content::with_file;
use crate::vm::machine::Machine;
use crate::vm::{Vm, VmError};

/// The pauses between looks. A process that has been told to end may need a moment.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(80),
];
/// The first bytes of a disk, which are read. A disk has a sector at least.
const BYTES: i64 = 512;
/// What is there where udev may open a disk at any time, to look what it holds.
const UDEV: &str = "/run/udev/.";

impl Vm {
    /// Whether the guest has let go of the disk. False too where nobody can tell. Where the disk is in use, a note
    /// says so.
    pub fn has_let_go(&mut self, record: &SharedDisk) -> Result<bool, VmError> {
        let (id, plugged) = {
            let record = record.borrow();
            let link = record.plugged_drive().map(|drive| drive.link());
            (record.id().to_owned(), link.zip(record.control().cloned()))
        };
        let Some((link, control)) = plugged else {
            return Ok(false);
        };
        let found = self.with_machine(|machine| machine.use_of(&link, &control))?;
        if found == Use::Open {
            self.note(format!(
                "disk `{id}` is still mounted or open in the guest; it is unplugged all the same"
            ));
        }
        Ok(found == Use::None)
    }
}

/// How a guest uses a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    None,
    /// Something has it open: a mount, a process, another device.
    Open,
    Unknown,
}

impl Machine {
    fn use_of(&mut self, link: &str, control: &DiskControl) -> Result<Use, VmError> {
        if !self.has_agent() || self.has_udev()? {
            return Ok(Use::Unknown);
        }
        for pause in PAUSES {
            match self.is_cached(link, control)? {
                Some(true) => self.health.pause(pause),
                Some(false) => return Ok(Use::None),
                None => return Ok(Use::Unknown),
            }
        }
        Ok(Use::Open)
    }

    /// Whether the guest keeps what was read of the disk after it was closed. The kernel drops all of it when the last
    /// one who has the disk open closes it. None if the guest cannot read it.
    fn is_cached(&mut self, link: &str, control: &DiskControl) -> Result<Option<bool>, VmError> {
        if !self.reads(link)? {
            return Ok(None);
        }
        let before = answered(control)?;
        let reads = self.reads(link)?;
        let asked = answered(control)? > before;
        Ok(reads.then_some(!asked))
    }

    /// Reads the beginning of the disk in the guest; false if that fails.
    fn reads(&mut self, link: &str) -> Result<bool, VmError> {
        let read = self.agent(|agent, check| {
            with_file(agent, check, link, "r", |agent, handle, check| {
                let count = Some(BYTES);
                agent.execute(&guest_file_read { handle, count }, check)
            })
        });
        match read {
            Ok(read) => Ok(!read.buf_b64.is_empty()),
            Err(VmError::Agent(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn has_udev(&mut self) -> Result<bool, VmError> {
        let open = |agent: &mut _, check: LivenessCheck<'_>| {
            with_file(agent, check, UDEV, "r", |_, _, _| Ok(()))
        };
        match self.agent(open) {
            Err(VmError::Agent(text)) => Ok(!is_missing(&text)),
            opened => opened.map(|()| true),
        }
    }
}

/// The reads of the disk that were answered so far.
fn answered(control: &DiskControl) -> Result<u64, VmError> {
    Ok(control.stats()?.counter(Op::Read, OpCounter::Answered))
}
