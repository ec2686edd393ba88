//! Logs of other programs, which may write without end: the beginning and the end stay, and the middle
//! becomes a hole. Offsets do not change.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::os::sys;

/// Bytes that stay of the beginning.
pub const FIRST: u64 = 1 << 20;
/// Bytes that stay of the end.
pub const LAST: u64 = 16 << 20;
/// A log is trimmed each time it has grown by this many bytes.
const STEP: u64 = 4 << 20;

/// Keeps a growing log small.
#[derive(Debug, Default)]
pub struct Trimmer {
    trimmed_at: u64,
}

impl Trimmer {
    /// Call it now and then while `log` grows.
    pub fn look(&mut self, log: &File) -> io::Result<()> {
        let len = log.metadata()?.len();
        if len <= FIRST + LAST || len - self.trimmed_at < STEP {
            return Ok(());
        }
        self.trimmed_at = len;
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        sys::fallocate(log, mode, FIRST, len - LAST - FIRST)
    }
}

/// The beginning and the end of the log at `path`, with a line in place of the middle; empty for a log that
/// cannot be read.
pub fn read(path: &Path) -> Vec<u8> {
    File::open(path)
        .and_then(|log| read_parts(log, FIRST, LAST))
        .unwrap_or_default()
}

/// The `first` bytes of `log` and the `last` ones, with a line in place of the bytes between.
pub fn read_parts(mut log: File, first: u64, last: u64) -> io::Result<Vec<u8>> {
    let len = log.metadata()?.len();
    let mut text = Vec::new();
    log.rewind()?;
    if len > first + last {
        log.by_ref().take(first).read_to_end(&mut text)?;
        let between = len - first - last;
        text.extend(format!("\n... ({between} bytes left out) ...\n").bytes());
        log.seek(SeekFrom::Start(len - last))?;
    }
    log.take(len).read_to_end(&mut text)?;
    Ok(text)
}

/// The text of the log at `path` from `offset` on, and the offset where that text begins. Of more than
/// [`LAST`] bytes, the last ones.
pub fn read_from(path: &Path, offset: u64) -> io::Result<(u64, Vec<u8>)> {
    let mut log = File::open(path)?;
    let start = log.metadata()?.len().saturating_sub(LAST).max(offset);
    let mut text = Vec::new();
    log.seek(SeekFrom::Start(start))?;
    log.read_to_end(&mut text)?;
    Ok((start, text))
}

/// The last `most` bytes of the log at `path`; empty for a log that cannot be read.
pub fn end(path: &Path, most: u64) -> Vec<u8> {
    let read = || {
        let mut log = File::open(path)?;
        let start = log.metadata()?.len().saturating_sub(most);
        let mut text = Vec::new();
        log.seek(SeekFrom::Start(start))?;
        log.take(most).read_to_end(&mut text)?;
        Ok::<_, io::Error>(text)
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn flood_keeps_its_beginning_and_end_in_bounded_space() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        let mut trimmer = Trimmer::default();
        log.write_all(b"first").unwrap();
        for _ in 0..64 {
            log.write_all(&[b'x'; 1 << 20]).unwrap();
            trimmer.look(log.as_file()).unwrap();
        }
        log.write_all(b"last").unwrap();
        let space = log.as_file().metadata().unwrap().blocks() * 512;
        assert!(space <= FIRST + LAST + STEP + (64 << 10), "{space}");
        let text = read(log.path());
        let left_out = (64 << 20) + 9 - FIRST - LAST;
        let said = format!("\n... ({left_out} bytes left out) ...\n");
        assert_eq!(text.len() as u64, FIRST + LAST + said.len() as u64);
        assert!(text.starts_with(b"firstx") && text.ends_with(b"xlast"));
        assert!(!text.contains(&0));
        let (start, news) = read_from(log.path(), 7).unwrap();
        assert_eq!(start + news.len() as u64, (64 << 20) + 9);
        assert_eq!(end(log.path(), 5), b"xlast");
    }

    #[test]
    fn short_log_is_read_whole() {
        let log = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(log.path(), "all of it").unwrap();
        Trimmer::default().look(log.as_file()).unwrap();
        assert_eq!(read(log.path()), b"all of it");
        assert_eq!(read_from(log.path(), 4).unwrap(), (4, b"of it".to_vec()));
        assert_eq!(read_from(log.path(), 99).unwrap(), (99, Vec::new()));
        assert_eq!(end(log.path(), 99), b"all of it");
        assert_eq!(read(Path::new("/no/such")), b"");
    }
}
