//! A machine's state: out to a file and in from one. QEMU calls both migration.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use qapi::qmp::{self, MigrationStatus};
use serde_json::json;

use super::wake::wake_input;
use crate::vm::machine::Machine;
use crate::vm::qemu::raw::Raw;
use crate::vm::{Command, Exit, VmError};

/// How long QEMU may take to write a state or to read one: some GiB from a slow disk.
const TRANSFER: Duration = Duration::from_secs(60);
/// How long a guest that goes on may take until its agent answers.
const WAKE: Duration = Duration::from_secs(10);
/// The name of the file for QEMU.
const FILE: &str = "state";
/// Between two looks at a transfer.
const TICK: Duration = Duration::from_millis(2);
/// Bytes a second, more than QEMU can write. Its default is some 100 MiB.
const BANDWIDTH: u64 = 1 << 40;

impl Machine {
    /// Writes the state to the file that `output` returns. `output` also copies the memory, which QEMU leaves out.
    /// The guest stands still meanwhile, and goes on in any case. Returns the console's output up to there.
    pub(in crate::vm) fn save(
        &mut self,
        output: impl FnOnce(&File) -> io::Result<File>,
    ) -> Result<Vec<u8>, VmError> {
        self.stop()?;
        let memory = self
            .memory
            .as_ref()
            .ok_or_else(|| io::Error::other("its memory is QEMU's own"));
        let output = memory
            .and_then(output)
            .map_err(VmError::io("the saved state"));
        let saved = output.and_then(|file| self.save_stopped(&file));
        let console = self.health.console.news();
        self.resume()?;
        saved.map(|()| console)
    }

    fn save_stopped(&mut self, file: &File) -> Result<(), VmError> {
        self.leave_out_memory()?;
        let unhurried = json!({ "max-bandwidth": BANDWIDTH });
        self.execute(&Raw::<qmp::migrate_set_parameters>::new(unhurried))?;
        self.give_state(file)?;
        let to = json!({ "uri": format!("fd:{FILE}") });
        self.execute(&Raw::<qmp::migrate>::new(to))?;
        let saved = self.transferred("migrate");
        if saved.is_err() {
            let _ = self.execute(&qmp::migrate_cancel {});
        }
        saved
    }

    /// Reads the state from where `file` stands. The guest stands still afterwards.
    pub(in crate::vm) fn load(&mut self, file: &File) -> Result<(), VmError> {
        self.leave_out_memory()?;
        self.give_state(file)?;
        let from = json!({ "uri": format!("fd:{FILE}") });
        self.execute(&Raw::<qmp::migrate_incoming>::new(from))?;
        self.transferred("migrate-incoming")
    }

    fn give_state(&mut self, file: &File) -> Result<(), VmError> {
        let fdname = FILE.to_owned();
        let given = self.give(file.as_fd(), &qmp::getfd { fdname });
        given.map(drop)
    }

    /// The memory is in a file, from which QEMU maps it.
    pub(in crate::vm) fn leave_out_memory(&mut self) -> Result<(), VmError> {
        let shared = json!({ "capability": "x-ignore-shared", "state": true });
        let without = json!({ "capabilities": [shared] });
        self.execute(&Raw::<qmp::migrate_set_capabilities>::new(without))
            .map(drop)
    }

    fn transferred(&mut self, command: &str) -> Result<(), VmError> {
        let refused = |text: String| VmError::Refused {
            command: command.to_owned(),
            text,
        };
        let deadline = Instant::now() + TRANSFER;
        loop {
            let info = self.execute(&qmp::query_migrate {})?;
            match info.status {
                Some(MigrationStatus::completed) => return Ok(()),
                Some(MigrationStatus::failed | MigrationStatus::cancelled) => {
                    return Err(refused(info.error_desc.unwrap_or("it failed".into())));
                }
                _ => {}
            }
            self.health.check()?;
            if Instant::now() >= deadline {
                return Err(refused(format!("not done after {}s", TRANSFER.as_secs())));
            }
            std::thread::sleep(TICK);
        }
    }

    /// Lets a guest whose state was loaded go on, and makes it a guest of its own: with the host's
    /// time and random numbers that no other guest has. The program for it lies at `wake`.
    pub(in crate::vm) fn awake(&mut self, wake: &str, deadline: Instant) -> Result<(), VmError> {
        self.resume()?;
        let deadline = deadline.min(Instant::now() + self.health.limit.cut(WAKE));
        self.agent(|agent, _| agent.sync(deadline))?;
        self.wake(wake)
    }

    /// Lets the guest finish its boot. Then puts the program that wakes a guest up to `place`, and tries it.
    /// Fails where the program does not run.
    pub(in crate::vm) fn teach_to_wake(
        &mut self,
        place: &str,
        program: &[u8],
    ) -> Result<(), VmError> {
        const SETTLE: &str = r#"
            if [ -x /sbin/provium-settle ]; then /sbin/provium-settle; fi
            chmod 700 "$1""#;
        self.write_file(place, program)?;
        self.run(&Command {
            args: ["-c", SETTLE, "sh", place].map(str::to_owned).into(),
            timeout: Some(WAKE),
            ..Command::shell("")
        })?;
        self.wake(place)
    }

    fn wake(&mut self, program: &str) -> Result<(), VmError> {
        let input = wake_input().map_err(VmError::io("the host's random numbers"))?;
        let result = self.run(&Command {
            stdin: Some(input),
            timeout: Some(WAKE),
            program: program.to_owned(),
            ..Command::default()
        })?;
        match result.exit {
            Exit::Exited(0) => Ok(()),
            _ => Err(VmError::Guest(format!(
                "the program that sets its clock and its random seed {}: {}",
                result.status(),
                String::from_utf8_lossy(&result.stderr).trim_end()
            ))),
        }
    }
}
