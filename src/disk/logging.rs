//! What users do with the write log of a disk.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tracing::info;

use super::device::Disk;
use super::log::LogError;
use crate::protocol::{LogBase, LogLine, Note};
use crate::storage::write_log::{LogWriter, Record};

impl Disk {
    /// The state of its log.
    pub fn log_line(&self) -> LogLine {
        self.log.line()
    }

    /// Begins a log at `path`, and copies what the disk holds to where `base` says. What is pending becomes durable
    /// first. Requests wait meanwhile.
    pub fn start_log(self: &Arc<Self>, path: &Path, base: &LogBase) -> Result<(), LogError> {
        // First of all: a path that is rejected changes nothing.
        let files = self.log.prepare(path, base)?;
        self.quietly(|| {
            self.settle_pending().map_err(LogError::Pending)?;
            self.log.start(files, &*self.image, self.log_helper())?;
            info!("{}: write log begun: {}", self.id(), self.log.line());
            Ok(())
        })?
    }

    /// Has a thread of the pool write what a log of this disk has collected.
    fn log_helper(
        self: &Arc<Self>,
    ) -> impl Fn(Arc<LogWriter>) -> io::Result<()> + Send + Sync + 'static {
        let disk = Arc::downgrade(self);
        move |log| {
            if let Some(disk) = disk.upgrade() {
                let told = Arc::clone(&disk);
                let help = move || {
                    if let Err(cause) = log.help() {
                        told.log.tell(&cause);
                    }
                };
                disk.delays.pool().run(disk.owner(), help);
            }
            Ok(())
        }
    }

    /// Ends the log.
    pub fn stop_log(self: &Arc<Self>) -> Result<(), LogError> {
        // Without power nothing is under way either.
        let before = self.log.line();
        let stopped = self.quietly(|| self.log.stop());
        stopped.unwrap_or_else(|_| self.log.stop())?;
        info!("{}: write log stopped: {before}", self.id());
        Ok(())
    }

    /// Ends the log, if there is one, as the disk ends. Who listens to events is told of an error.
    pub(super) fn end_log(&self) {
        if let Err(LogError::Storage { cause, .. }) = self.log.stop() {
            self.log.tell(&cause);
        }
    }

    /// Sets a mark in the trace and the log.
    pub fn mark(&self, text: &str) {
        self.trace.note(Note::Mark(text.to_owned()));
        if self.log.is_on() {
            self.log.record(Record::Mark(text.into()), &[]);
        }
    }
}
