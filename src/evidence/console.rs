//! A guest's console as evidence: its lines, each with the time at which it was seen.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::kept::Kept;
use super::limits::Limits;
use crate::os::sys;
use crate::units::text;

/// Bytes of a console that are looked at at a time: of a guest that prints faster, the last ones.
const MOST: u64 = 1 << 20;
/// Bytes of one line that are kept.
const LONGEST_LINE: usize = 1000;

/// The console of a VM.
pub(super) struct Console {
    vm: String,
    log: PathBuf,
    /// Up to here it was read.
    offset: u64,
    unfinished: Vec<u8>,
    lines: Kept,
}

impl Console {
    pub(super) fn new(vm: &str, log: &Path, limits: Limits) -> Self {
        Self {
            vm: vm.to_owned(),
            log: log.to_owned(),
            offset: 0,
            unfinished: Vec::new(),
            lines: Kept::new(limits.first, limits.last),
        }
    }

    pub(super) fn vm(&self) -> &str {
        &self.vm
    }

    /// Whether its VM is open.
    pub(super) fn exists(&self) -> bool {
        self.log.exists()
    }

    /// Forgets what it has shown so far.
    pub(super) fn clear(&mut self) {
        self.lines.clear();
        self.unfinished.clear();
    }

    /// Its lines, each as `SECONDS TEXT`; the one that is not finished too.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = self.lines.lines();
        lines.extend(stamped(&self.unfinished));
        lines
    }

    /// Reads what is new, and returns the lines of it.
    pub(super) fn look(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let Ok(mut log) = File::open(&self.log) else {
            return lines;
        };
        let len = log.metadata().map_or(0, |log| log.len());
        if len <= self.offset {
            return lines;
        }
        if len - self.offset > MOST {
            let between = len - MOST - self.offset;
            let seconds = sys::monotonic().as_secs_f64();
            lines.push(format!("{seconds:.6} ... ({between} bytes left out) ..."));
            self.offset = len - MOST;
            self.unfinished.clear();
        }
        let mut new = Vec::new();
        if log.seek(SeekFrom::Start(self.offset)).is_err() {
            return lines;
        }
        self.offset += log.take(MOST).read_to_end(&mut new).unwrap_or(0) as u64;
        for piece in new.split_inclusive(|byte| *byte == b'\n') {
            self.unfinished.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                lines.extend(stamped(&self.unfinished));
                self.unfinished.clear();
            }
        }
        lines.iter().for_each(|line| self.lines.push(line.clone()));
        lines
    }
}

/// A line with the time; None without text.
fn stamped(line: &[u8]) -> Option<String> {
    let line = &line[..line.len().min(LONGEST_LINE)];
    let text = text::plain(&text::escaped(line));
    let seconds = sys::monotonic().as_secs_f64();
    (!text.is_empty()).then(|| format!("{seconds:.6} {text}"))
}
