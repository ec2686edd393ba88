//! The write log of a disk.

use std::path::{Path, PathBuf};

use super::list::SharedDisk;
use super::record::DiskRecord;
use crate::protocol::{LogBase, LogLine};
use crate::vm::{Vm, VmError};

impl Vm {
    /// Begins a log of what `disk` is asked to write: at `path`, or in the VM's folder. Returns its path.
    pub fn start_log(
        &mut self,
        disk: &SharedDisk,
        path: Option<&Path>,
    ) -> Result<PathBuf, VmError> {
        let mut disk = disk.borrow_mut();
        let path = match path {
            Some(path) => std::path::absolute(path).map_err(VmError::io("the path of the log"))?,
            None => self.folder.log_path(disk.id()),
        };
        disk.start_log(path)
    }
}

impl DiskRecord {
    fn start_log(&mut self, path: PathBuf) -> Result<PathBuf, VmError> {
        if let Some(control) = self.control() {
            control.start_log(&path, LogBase::Beside)?;
        }
        self.latest_log = Some(path.clone());
        Ok(path)
    }

    /// Ends the log if one is being written. Returns the path of the latest one, whoever began it.
    pub fn end_log(&mut self) -> Result<Option<PathBuf>, VmError> {
        if let Some(control) = self.control()
            && let LogLine::On { path, .. } = control.log()?
        {
            control.stop_log()?;
            self.latest_log = Some(path.into());
        }
        Ok(self.latest_log.clone())
    }
}
