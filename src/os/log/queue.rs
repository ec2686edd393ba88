//! The way of a line from any thread to the one that writes it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::format::LineFormat;
use super::named_file::NamedFile;

/// Lines that may wait for storage that is slow to take them.
const LONGEST: usize = 1024;

/// What the lines are written to.
#[derive(Debug)]
pub(super) enum Sink {
    /// A file with a name.
    File(NamedFile),
    /// Standard error.
    StandardError,
}

enum Message {
    Lines(String),
    /// All before it is written once the sender is dropped.
    Flush(Sender<()>),
}

/// Where threads leave lines. None of them waits: a line for which there is no place is lost, and counted.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    tx: Sender<Message>,
    lost: Arc<AtomicU64>,
    format: LineFormat,
}

impl Queue {
    /// Starts the thread that writes to `sink`.
    pub(super) fn start(sink: Sink, format: LineFormat) -> io::Result<Self> {
        let (tx, rx) = bounded(LONGEST);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            sink,
            lost: Arc::clone(&lost),
            format,
        };
        let thread = std::thread::Builder::new().name("log".into());
        thread.spawn(move || writer.run(&rx))?;
        Ok(Self { tx, lost, format })
    }

    /// Waits until all lines so far are written, for `limit` at most: the storage of the log may hang.
    pub(super) fn flush(&self, limit: Duration) {
        let (tx, done) = bounded(0);
        if self.tx.send_timeout(Message::Flush(tx), limit).is_ok() {
            let _ = done.recv_timeout(limit);
        }
    }
}

/// The layer writes each event in one piece.
impl Write for Queue {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let lines = self.format.lines(&String::from_utf8_lossy(event));
        if self.tx.try_send(Message::Lines(lines)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Writer {
    sink: Sink,
    lost: Arc<AtomicU64>,
    format: LineFormat,
}

impl Writer {
    fn run(mut self, rx: &Receiver<Message>) {
        for message in rx {
            match message {
                Message::Lines(lines) => self.write(&lines),
                Message::Flush(tx) => drop(tx),
            }
        }
    }

    fn write(&mut self, lines: &str) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let said = match (lost, self.format) {
            (0, _) => String::new(),
            (_, LineFormat::File) => format!("... {lost} events could not be logged ...\n"),
            (_, LineFormat::Journal) => format!("<4>{lost} events could not be logged\n"),
        };
        // A full disk is no error of those who log.
        if self.put(format!("{said}{lines}").as_bytes()).is_err() {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.sink {
            Sink::File(file) => file.write(bytes),
            Sink::StandardError => io::stderr().write_all(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_find_no_place_are_counted_and_nobody_waits() {
        let (tx, rx) = bounded(1);
        let lost = Arc::new(AtomicU64::new(0));
        let format = LineFormat::File;
        let mut queue = Queue {
            tx,
            lost: Arc::clone(&lost),
            format,
        };
        for line in ["first", "second", "third"] {
            queue.write_all(line.as_bytes()).unwrap();
        }
        queue.flush(Duration::from_millis(10));
        assert_eq!(lost.load(Ordering::Relaxed), 2);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let sink = Sink::File(NamedFile::open(&path).unwrap());
        let writer = Writer { sink, lost, format };
        drop(queue);
        writer.run(&rx);
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, "... 2 events could not be logged ...\nfirst\n");
    }
}
