//! Open control files: the text that a reader pages through, and what a `>` still has to do.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::Listener;

/// The open control files of a mount.
#[derive(Default)]
pub(super) struct Handles(Mutex<Table>);

#[derive(Default)]
struct Table {
    open: HashMap<u64, Handle>,
    last: u64,
}

#[derive(Default)]
struct Handle {
    /// What it read as when it was last read from its start; None before the first read.
    text: Option<String>,
    /// It was opened with `>`, and nothing has replaced the content yet.
    replaces: bool,
    /// The process that opened it.
    opener: u32,
    /// A write was tried, so closing it no longer means "empty".
    written: bool,
    /// What it reads, where that is a stream.
    stream: Option<Arc<Listener>>,
}

impl Handles {
    /// A new handle of the process `opener`; `truncate` when it was opened with `>`.
    pub(super) fn open(&self, opener: u32, truncate: bool) -> u64 {
        let mut table = self.0.lock();
        table.last += 1;
        let number = table.last;
        let handle = Handle {
            replaces: truncate,
            opener,
            ..Handle::default()
        };
        table.open.insert(number, handle);
        number
    }

    /// A new handle that reads a stream.
    pub(super) fn open_stream(&self, stream: Arc<Listener>) -> u64 {
        let number = self.open(0, false);
        if let Some(handle) = self.0.lock().open.get_mut(&number) {
            handle.stream = Some(stream);
        }
        number
    }

    /// What the handle reads, where that is a stream.
    pub(super) fn stream(&self, number: u64) -> Option<Arc<Listener>> {
        self.0.lock().open.get(&number)?.stream.clone()
    }

    /// Forgets the handle.
    pub(super) fn close(&self, number: u64) {
        self.0.lock().open.remove(&number);
    }

    /// Keeps `text` for later reads of the handle.
    pub(super) fn store(&self, number: u64, text: String) {
        if let Some(handle) = self.0.lock().open.get_mut(&number) {
            handle.text = Some(text);
        }
    }

    /// Whether there is a text for later reads of the handle.
    pub(super) fn has_text(&self, number: u64) -> bool {
        let table = self.0.lock();
        table
            .open
            .get(&number)
            .is_some_and(|handle| handle.text.is_some())
    }

    /// Up to `size` bytes from `offset` of the text that was stored last.
    pub(super) fn page(&self, number: u64, offset: u64, size: u32) -> Vec<u8> {
        let table = self.0.lock();
        let text = table
            .open
            .get(&number)
            .and_then(|handle| handle.text.as_deref())
            .unwrap_or_default()
            .as_bytes();
        let from = text.len().min(offset as usize);
        let to = text.len().min(from + size as usize);
        text[from..to].to_vec()
    }

    /// Whether a write through the handle replaces the content.
    pub(super) fn begin_write(&self, number: u64) -> bool {
        match self.0.lock().open.get_mut(&number) {
            Some(handle) => {
                handle.written = true;
                handle.replaces
            }
            None => false,
        }
    }

    /// A write took effect: later ones add to it.
    pub(super) fn replaced(&self, number: u64) {
        if let Some(handle) = self.0.lock().open.get_mut(&number) {
            handle.replaces = false;
        }
    }

    /// Who opened the handle, if that was with `>` and nothing was ever written through it.
    pub(super) fn untouched_truncation_by(&self, number: u64) -> Option<u32> {
        let table = self.0.lock();
        let handle = table.open.get(&number)?;
        (handle.replaces && !handle.written).then_some(handle.opener)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_good_write_after_a_truncation_replaces_and_the_next_ones_add() {
        let handles = Handles::default();
        let handle = handles.open(7, true);
        assert!(handles.begin_write(handle), "and it may fail");
        assert!(handles.begin_write(handle));
        handles.replaced(handle);
        assert!(!handles.begin_write(handle));
    }

    #[test]
    fn only_a_truncation_without_any_write_empties() {
        let handles = Handles::default();
        let (truncated, appended) = (handles.open(7, true), handles.open(7, false));
        assert_eq!(handles.untouched_truncation_by(truncated), Some(7));
        assert_eq!(handles.untouched_truncation_by(appended), None);
        handles.begin_write(truncated);
        assert_eq!(handles.untouched_truncation_by(truncated), None);
    }

    #[test]
    fn a_reader_pages_through_what_was_stored() {
        let handles = Handles::default();
        let handle = handles.open(7, false);
        handles.store(handle, "0123456789".into());
        assert_eq!(handles.page(handle, 4, 3), b"456");
        assert_eq!(handles.page(handle, 8, 100), b"89");
        assert_eq!(handles.page(handle, 100, 1), b"");
    }
}
