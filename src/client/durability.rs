//! What survives a power cut, seen from outside: the write cache, the power switch, the write log, and the events
//! that tell of them.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;

use super::mount::parsed;
use super::{ClientError, DiskControl, MountClient};
use crate::protocol::{
    CacheMode, CheckpointCommand, ControlFile, ControlPath, DiskFile, EventLine, LogBase,
    LogCommand, LogLine, PendingLine, PowerCommand, PowerState,
};

impl DiskControl {
    /// Whether it has a volatile write cache.
    pub fn cache(&self) -> Result<CacheMode, ClientError> {
        self.value(DiskFile::Cache)
    }

    /// Gives it a volatile write cache, or takes it away once everything in it is durable.
    pub fn set_cache(&self, mode: CacheMode) -> Result<(), ClientError> {
        self.command(DiskFile::Cache, &format!("{mode}\n"))
    }

    /// The requests that were answered and are not durable, oldest first.
    pub fn pending(&self) -> Result<Vec<PendingLine>, ClientError> {
        Ok(parsed(&self.read(DiskFile::Pending)?).collect())
    }

    /// The state of its power.
    pub fn power(&self) -> Result<PowerState, ClientError> {
        self.value(DiskFile::Power)
    }

    /// Cuts or returns its power.
    pub fn switch_power(&self, command: &PowerCommand) -> Result<(), ClientError> {
        self.command(DiskFile::Power, &format!("{command}\n"))
    }

    /// The state of its write log.
    pub fn log(&self) -> Result<LogLine, ClientError> {
        self.value(DiskFile::Log)
    }

    /// Begins a write log at `path`, which is absolute; nothing or an empty file is there. What the disk holds now
    /// is kept at `base`.
    pub fn start_log(&self, path: &Path, base: LogBase) -> Result<(), ClientError> {
        let path = path.to_string_lossy().into_owned();
        let start = LogCommand::Start { path, base };
        self.command(DiskFile::Log, &format!("{start}\n"))
    }

    /// Ends its write log.
    pub fn stop_log(&self) -> Result<(), ClientError> {
        self.command(DiskFile::Log, &format!("{}\n", LogCommand::Stop))
    }

    /// Saves, returns to, or drops a checkpoint.
    pub fn checkpoint(&self, command: &CheckpointCommand) -> Result<(), ClientError> {
        self.command(DiskFile::Checkpoint, &format!("{command}\n"))
    }

    /// The names of its checkpoints, oldest first.
    pub fn checkpoints(&self) -> Result<Vec<String>, ClientError> {
        let text = self.read(DiskFile::Checkpoint)?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Sets a mark of 1 to 400 bytes in its trace and its write log.
    pub fn mark(&self, text: &str) -> Result<(), ClientError> {
        self.command(DiskFile::Mark, &format!("{text}\n"))
    }
}

impl MountClient {
    /// The state of the power of each disk, in the order in which they were attached.
    pub fn power(&self) -> Result<Vec<(String, PowerState)>, ClientError> {
        let text = self.read(&ControlPath::Mount(ControlFile::Power))?;
        let state = |line: &str| {
            let (id, state) = line.split_once(' ')?;
            Some((id.to_owned(), state.parse().ok()?))
        };
        Ok(text.lines().filter_map(state).collect())
    }

    /// Cuts or returns the power of all disks at one instant.
    pub fn switch_power(&self, command: &PowerCommand) -> Result<(), ClientError> {
        self.command(ControlFile::Power, &format!("{command}\n"))
    }

    /// Sets a mark of 1 to 400 bytes in the traces and the write logs of all disks.
    pub fn mark(&self, text: &str) -> Result<(), ClientError> {
        self.command(ControlFile::Mark, &format!("{text}\n"))
    }

    /// What happens to its disks from now on.
    pub fn events(&self) -> Result<Events, ClientError> {
        let path = self.path_of(&ControlPath::Mount(ControlFile::Events));
        let file = File::open(&path).map_err(ClientError::io(path))?;
        Ok(Events(BufReader::new(file).lines()))
    }
}

/// What happens to the disks of a mount. The next event is waited for; the end of the mount, or of its server, is the
/// end.
#[derive(Debug)]
pub struct Events(Lines<BufReader<File>>);

impl Iterator for Events {
    type Item = EventLine;

    fn next(&mut self) -> Option<EventLine> {
        // A line that cannot be parsed is of a newer server, or counts lines that were lost.
        self.0
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.parse().ok())
    }
}
