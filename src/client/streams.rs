//! The streams of a disk, seen from outside: its trace, and its decisions.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Lines, Read};
use std::os::unix::fs::OpenOptionsExt;

use super::mount::parsed;
use super::{ClientError, DiskControl};
use crate::protocol::{ControlPath, DecisionsLine, DiskFile, TraceLine};

/// Bytes of decisions that are read at a time.
const PIECE: usize = 64 << 10;

impl DiskControl {
    /// Its requests from now on, each when it is answered.
    pub fn trace(&self) -> Result<Trace, ClientError> {
        let file = self.stream(DiskFile::Trace, 0)?;
        Ok(Trace(BufReader::new(file).lines()))
    }

    /// The rules that act on its requests from now on. While somebody reads them, the requests are counted.
    pub fn decisions(&self) -> Result<Decisions, ClientError> {
        let file = self.stream(DiskFile::Decisions, libc::O_NONBLOCK)?;
        Ok(Decisions {
            file,
            unread: Vec::new(),
            is_over: false,
        })
    }

    fn stream(&self, file: DiskFile, flags: i32) -> Result<File, ClientError> {
        let path = ControlPath::Disk(self.id().to_owned(), file);
        let path = self.mount().path_of(&path);
        let open = File::options().read(true).custom_flags(flags).open(&path);
        open.map_err(|cause| match cause.raw_os_error() {
            Some(libc::EMFILE) => ClientError::Rejected(format!(
                "{} has 16 readers, the most that it can have: end one of them",
                path.display()
            )),
            _ => ClientError::Io { path, cause },
        })
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

/// The decisions of a disk. Those of a request are there before it is answered.
#[derive(Debug)]
pub struct Decisions {
    file: File,
    /// The beginning of a line.
    unread: Vec<u8>,
    is_over: bool,
}

impl Decisions {
    /// The lines that have come since the last call; waits for none.
    pub fn so_far(&mut self) -> io::Result<Vec<DecisionsLine<'static>>> {
        let mut piece = vec![0; PIECE];
        while !self.is_over {
            match self.file.read(&mut piece) {
                Ok(0) => self.is_over = true,
                Ok(n) => self.unread.extend_from_slice(&piece[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let end = self.unread.iter().rposition(|byte| *byte == b'\n');
        let rest = self.unread.split_off(end.map_or(0, |newline| newline + 1));
        let text = std::mem::replace(&mut self.unread, rest);
        // A line that cannot be parsed is of a newer server.
        Ok(parsed(&String::from_utf8_lossy(&text)).collect())
    }

    /// Whether the disk, or its server, has ended: there will be no more lines.
    pub fn is_over(&self) -> bool {
        self.is_over
    }
}
