//! Logs that others write without an end: the beginning and the end stay, what lies between is given
//! back to the file system as a hole. Offsets stay as they are.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::os::sys;

/// Bytes that stay of the beginning.
pub const FIRST: u64 = 1 << 20;
/// Bytes that stay of the end.
pub const LAST: u64 = 16 << 20;
/// So often, in bytes written, a log is trimmed.
const STEP: u64 = 4 << 20;

/// Keeps a growing log small.
#[derive(Debug, Default)]
pub struct Trimmer {
    trimmed_at: u64,
}

impl Trimmer {
    /// To be called now and then while `log` grows.
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

/// All that stays of the log at `path`, and a line in the place of what does not; nothing of one that
/// cannot be read.
pub fn read(path: &Path) -> Vec<u8> {
    File::open(path)
        .and_then(|log| read_parts(log, FIRST, LAST))
        .unwrap_or_default()
}

/// The `first` bytes of `log` and the `last` ones, and a line in the place of what lies between.
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

/// What stands in the log at `path` from `offset` on, and where that begins: of more than [`LAST`] bytes
/// these.
pub fn read_from(path: &Path, offset: u64) -> io::Result<(u64, Vec<u8>)> {
    let mut log = File::open(path)?;
    let start = log.metadata()?.len().saturating_sub(LAST).max(offset);
    let mut text = Vec::new();
    log.seek(SeekFrom::Start(start))?;
    log.read_to_end(&mut text)?;
    Ok((start, text))
}

/// The last `most` bytes of the log at `path`; nothing of one that cannot be read.
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
    fn of_a_flood_the_beginning_and_the_end_stay_and_take_a_bounded_space() {
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
    fn a_log_that_is_no_flood_is_read_whole() {
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
