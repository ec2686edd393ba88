//! Open control files: the text that a reader pages through, and whether a `>` still has to take effect.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::control::{Collected, Text};
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
    /// The text as of its latest read from offset 0; None before the first read.
    text: Option<Arc<Mutex<Text>>>,
    /// It was opened with `>`, and no write has replaced the content yet.
    replaces: bool,
    /// A write was tried, so that closing it no longer empties the file.
    written: bool,
    /// What was written to it after `begin`.
    collected: Option<Collected>,
    /// The stream that it reads, if it does.
    stream: Option<Arc<Listener>>,
}

impl Handles {
    /// A new handle; `truncate` when it was opened with `>`.
    pub(super) fn open(&self, truncate: bool) -> u64 {
        let mut table = self.0.lock();
        table.last += 1;
        let number = table.last;
        let handle = Handle {
            replaces: truncate,
            ..Handle::default()
        };
        table.open.insert(number, handle);
        number
    }

    /// A new handle that reads a stream.
    pub(super) fn open_stream(&self, stream: Arc<Listener>) -> u64 {
        let number = self.open(false);
        if let Some(handle) = self.0.lock().open.get_mut(&number) {
            handle.stream = Some(stream);
        }
        number
    }

    /// The stream that the handle reads; None for other files.
    pub(super) fn stream(&self, number: u64) -> Option<Arc<Listener>> {
        self.0.lock().open.get(&number)?.stream.clone()
    }

    /// Forgets the handle. Returns what was written to it after `begin` and never committed.
    pub(super) fn close(&self, number: u64) -> Option<Collected> {
        self.0.lock().open.remove(&number)?.collected
    }

    /// Takes out what was written to it after `begin`. Writes through one handle come one after the other.
    pub(super) fn take_collected(&self, number: u64) -> Option<Collected> {
        self.0.lock().open.get_mut(&number)?.collected.take()
    }

    /// Keeps what was written to it after `begin`.
    pub(super) fn keep_collected(&self, number: u64, collected: Option<Collected>) {
        if let Some(handle) = self.0.lock().open.get_mut(&number) {
            handle.collected = collected;
        }
    }

    /// Keeps `text` for later reads of the handle.
    pub(super) fn store(&self, number: u64, text: Arc<Mutex<Text>>) {
        if let Some(handle) = self.0.lock().open.get_mut(&number) {
            handle.text = Some(text);
        }
    }

    /// The text that was stored latest.
    pub(super) fn text(&self, number: u64) -> Option<Arc<Mutex<Text>>> {
        self.0.lock().open.get(&number)?.text.clone()
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

    /// A write took effect: later ones append to it.
    pub(super) fn replaced(&self, number: u64) {
        if let Some(handle) = self.0.lock().open.get_mut(&number) {
            handle.replaces = false;
        }
    }

    /// Whether the handle was opened with `>` and no write was ever tried through it.
    pub(super) fn is_untouched_truncation(&self, number: u64) -> bool {
        let table = self.0.lock();
        let handle = table.open.get(&number);
        handle.is_some_and(|handle| handle.replaces && !handle.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_good_write_after_a_truncation_replaces_and_later_ones_append() {
        let handles = Handles::default();
        let handle = handles.open(true);
        assert!(handles.begin_write(handle), "and it may fail");
        assert!(handles.begin_write(handle));
        handles.replaced(handle);
        assert!(!handles.begin_write(handle));
    }

    #[test]
    fn truncation_without_any_write_is_untouched() {
        let handles = Handles::default();
        let (truncated, appended) = (handles.open(true), handles.open(false));
        assert!(handles.is_untouched_truncation(truncated));
        assert!(!handles.is_untouched_truncation(appended));
        handles.begin_write(truncated);
        assert!(!handles.is_untouched_truncation(truncated));
    }
}
