//! The trace of a disk, seen from outside.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Lines};

use super::{ClientError, DiskControl};
use crate::protocol::{ControlPath, DiskFile, TraceLine};

impl DiskControl {
    /// Its requests from now on, each when it is answered.
    pub fn trace(&self) -> Result<Trace, ClientError> {
        let path = ControlPath::Disk(self.id().to_owned(), DiskFile::Trace);
        let path = self.mount().path_of(&path);
        let file = File::open(&path).map_err(|cause| match cause.raw_os_error() {
            Some(libc::EMFILE) => ClientError::Rejected(format!(
                "{} has 16 readers, the most that it can have: end one of them",
                path.display()
            )),
            _ => ClientError::Io { path, cause },
        })?;
        Ok(Trace(BufReader::new(file).lines()))
    }
}

/// The lines of a trace. The next one is waited for; the end of the disk, or of its server, is the end.
#[derive(Debug)]
pub struct Trace(Lines<BufReader<File>>);

impl Iterator for Trace {
    type Item = io::Result<TraceLine<'static>>;

    fn next(&mut self) -> Option<Self::Item> {
        // A line that cannot be parsed is of a newer server.
        self.0.by_ref().find_map(|line| match line {
            Ok(line) => line.parse().ok().map(Ok),
            Err(error) => Some(Err(error)),
        })
    }
}
