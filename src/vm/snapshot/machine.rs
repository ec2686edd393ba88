//! A machine's part of a snapshot: saving its memory and its devices, and putting them back.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use qapi::Command;
use qapi::qmp::{self, JobStatus};
use serde_json::{Value, json};

use super::devices::Processors;
use super::image;
use super::memory::Memory;
use crate::os::memory_file::memory_file;
use crate::vm::VmError;
use crate::vm::machine::Machine;
use crate::vm::qemu::raw::Raw;

/// How long QEMU may take to save or load a state.
const LONGEST: Duration = Duration::from_secs(60);
/// Between two looks at it.
const TICK: Duration = Duration::from_millis(1);
/// The block node and the job of a load.
const NODE: &str = "snapshot";
/// Where the guest's memory ends to be where it is in the file: the lowest place of a gap for devices.
const BELOW_GAP: u64 = 2 << 30;
/// Memory that the guest sees only at times.
const SHADOWED: Range<u64> = 0xa_0000..0x10_0000;

/// A machine as it was, without its disks.
pub(super) struct Saved {
    pub(super) memory: Memory,
    /// QEMU's stream.
    stream: Vec<u8>,
    /// The part that makes QEMU forget the code that it has translated, if it can do without.
    forgets: Option<Range<usize>>,
}

impl Machine {
    /// The state of the devices of a machine that stands still, and what it says of the processors.
    pub(super) fn devices(&mut self) -> Result<(Vec<u8>, Processors), VmError> {
        let file = self.with_image(&image::empty(), |node| {
            Raw::<qmp::snapshot_save>::new(job(node))
        })?;
        let stream = read_all(&file).and_then(|image| {
            let nothing = || io::Error::other("QEMU has saved nothing");
            image::state_in(&image).ok_or_else(nothing)
        });
        let stream = stream.map_err(devices_failed())?;
        let processors = Processors::of(&stream);
        Ok((stream, processors))
    }

    /// The rest of a machine that stands still, with the state of its devices.
    pub(super) fn saved(&self, stream: Vec<u8>, processors: Processors) -> Result<Saved, VmError> {
        let forgets = match processors {
            Processors::Quiet(section) if self.keeps_code => Some(section),
            _ => None,
        };
        Ok(Saved {
            memory: Memory::of(self.guest_memory()?)?,
            stream,
            forgets,
        })
    }

    fn guest_memory(&self) -> Result<&File, VmError> {
        let brought = || io::Error::other("`qemu_args` says where it lies, so it cannot be copied");
        let memory = self.memory.as_ref().ok_or_else(brought);
        memory.map_err(VmError::io("the guest's memory"))
    }

    /// Makes a machine that stands still what it was. Its disks are those that it had.
    pub(super) fn go_back(&mut self, saved: &Saved) -> Result<(), VmError> {
        let failed = || VmError::io("the guest's memory");
        let guest = self.guest_memory()?;
        let changed = saved.memory.changed(guest).map_err(failed())?;
        let keeps_code = saved.forgets.is_some() && changed.iter().all(is_in_place);
        if keeps_code {
            let cleared = self.qtest.clear(&changed);
            cleared.map_err(VmError::io(
                "QEMU does not take changes of the guest's memory",
            ))?;
        }
        let guest = self.guest_memory()?;
        saved.memory.put_back(guest, &changed).map_err(failed())?;
        self.load_devices(saved, keeps_code)
    }

    /// Loads the state of the devices. The memory is as it was by now.
    pub(super) fn load_devices(&mut self, saved: &Saved, keeps_code: bool) -> Result<(), VmError> {
        let stream = match &saved.forgets {
            Some(part) if keeps_code => {
                [&saved.stream[..part.start], &saved.stream[part.end..]].concat()
            }
            _ => saved.stream.clone(),
        };
        let image = image::with_state(&stream);
        self.with_image(&image, |node| Raw::<qmp::snapshot_load>::new(job(node)))
            .map(drop)
    }

    /// Executes a job with an image that consists of these bytes, and returns the file of the image.
    fn with_image<C: Command>(
        &mut self,
        bytes: &[u8],
        command: impl FnOnce(&str) -> C,
    ) -> Result<File, VmError> {
        let file = memory_file("device state", 0).and_then(|file| {
            file.write_all_at(bytes, 0)?;
            Ok(file)
        });
        let file = file.map_err(devices_failed())?;
        // The memory is ours, and neither saved nor loaded.
        self.leave_out_memory()?;
        let add = qmp::add_fd {
            fdset_id: None,
            opaque: None,
        };
        let fdset_id = self.give(file.as_fd(), &add)?.fdset_id;
        let done = self.with_node(fdset_id, command);
        self.unused.push(fdset_id);
        done.map(|()| file)
    }

    fn with_node<C: Command>(
        &mut self,
        fdset: i64,
        command: impl FnOnce(&str) -> C,
    ) -> Result<(), VmError> {
        let cache = json!({ "direct": false, "no-flush": true });
        let node = json!({
            "driver": "qcow2",
            "node-name": NODE,
            "cache": cache,
            "file": {
                "driver": "file",
                "filename": format!("/dev/fdset/{fdset}"),
                "cache": cache,
                "locking": "off",
            },
        });
        self.execute(&Raw::<qmp::blockdev_add>::new(node))?;
        let started = self.execute(&command(NODE));
        let done = started.and_then(|_| self.finish_job(C::NAME));
        let node_name = NODE.to_owned();
        let removed = self.execute(&qmp::blockdev_del { node_name });
        done.and(removed.map(drop))
    }

    fn finish_job(&mut self, command: &str) -> Result<(), VmError> {
        let deadline = Instant::now() + LONGEST;
        let refused = |text: String| VmError::Refused {
            command: command.to_owned(),
            text,
        };
        loop {
            let jobs = self.execute(&qmp::query_jobs {})?;
            let Some(job) = jobs.into_iter().find(|job| job.id == NODE) else {
                return Err(refused("its job is gone".to_owned()));
            };
            if job.status == JobStatus::concluded {
                self.execute(&qmp::job_dismiss { id: job.id })?;
                return job.error.map_or(Ok(()), |error| Err(refused(error)));
            }
            self.health.check()?;
            if Instant::now() >= deadline {
                let text = format!("it is {:?} after {}s", job.status, LONGEST.as_secs());
                return Err(refused(text));
            }
            std::thread::sleep(TICK);
        }
    }
}

/// The arguments of a job that saves a state in the image at `node`, or loads it from there.
fn job(node: &str) -> Value {
    json!({ "job-id": NODE, "tag": image::NAME, "vmstate": node, "devices": [node] })
}

fn devices_failed() -> impl FnOnce(io::Error) -> VmError {
    VmError::io("the state of QEMU's devices")
}

fn read_all(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.metadata()?.len() as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Whether QEMU can be told of a change of this part of the memory: it lies in the guest where it lies in the file, and
/// can be written to.
fn is_in_place(range: &Range<u64>) -> bool {
    let is_shadowed = range.start < SHADOWED.end && range.end > SHADOWED.start;
    range.end <= BELOW_GAP && !is_shadowed
}
