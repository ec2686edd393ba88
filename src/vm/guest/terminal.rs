//! The guest's serial console as a terminal: its output as it comes, and a way to type.
//!
//! QEMU waits for the reader at the other end of the socket. So a thread reads all output, writes it to the log, and
//! gives it to the watcher, if there is one.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::os::capped_log::Trimmer;
use crate::os::poll;

/// QEMU writes byte after byte, and to wake us for each takes longer than the guest takes to print it:
/// after fewer bytes than these at once we leave the processor to it for a while.
const FEW: usize = 64;
/// For how long. Much longer, and QEMU finds the socket full.
const WHILE: Duration = Duration::from_micros(200);
/// Between two looks whether there is anything.
const LONG: Duration = Duration::from_secs(3600);
/// A guest that does not read typed text for longer is stuck.
const TYPING: Duration = Duration::from_secs(5);

/// Where the output goes; nowhere without one.
type Watcher = Arc<Mutex<Option<Box<dyn Write + Send>>>>;

/// Our end of a console. The thread ends with QEMU.
#[derive(Clone)]
pub struct Terminal {
    socket: Arc<UnixStream>,
    watcher: Watcher,
    end: Arc<End>,
    /// Held from reading output until it is in the log.
    reading: Arc<Mutex<()>>,
}

/// Whether all output is in the log, as QEMU has ended.
#[derive(Default)]
struct End {
    has_come: Mutex<bool>,
    comes: Condvar,
}

impl Terminal {
    /// What the guest prints is added to `log`.
    pub(in crate::vm) fn open(socket: UnixStream, log: &Path) -> io::Result<Self> {
        socket.set_write_timeout(Some(TYPING))?;
        let log = File::options().create(true).append(true).open(log)?;
        let terminal = Self {
            socket: Arc::new(socket),
            watcher: Watcher::default(),
            end: Arc::default(),
            reading: Arc::default(),
        };
        let (socket, watcher) = (Arc::clone(&terminal.socket), Arc::clone(&terminal.watcher));
        let (end, reading) = (Arc::clone(&terminal.end), Arc::clone(&terminal.reading));
        let thread = std::thread::Builder::new().name("console".into());
        thread.spawn(move || {
            drain(&socket, log, &watcher, &reading);
            *end.has_come.lock() = true;
            end.comes.notify_all();
        })?;
        Ok(terminal)
    }

    /// Waits until all output of a QEMU that has ended is in the log, up to `limit`.
    pub(in crate::vm) fn wait_for_end(&self, limit: Duration) {
        let mut has_come = self.end.has_come.lock();
        if !*has_come {
            self.end.comes.wait_for(&mut has_come, limit);
        }
    }

    /// Waits until the output so far of a guest that stands still is in the log, up to `limit`.
    pub(in crate::vm) fn settle(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            let reading = self.reading.lock();
            if !poll::is_readable(&*self.socket) || Instant::now() >= deadline {
                return;
            }
            drop(reading);
            std::thread::sleep(WHILE);
        }
    }

    /// Types `text`.
    pub fn write(&self, text: &[u8]) -> io::Result<()> {
        (&*self.socket).write_all(text)
    }

    /// Has `watcher` see all that the guest prints from now on, in place of an earlier one; until a
    /// write to it fails. It must not block for long: the guest waits for it.
    pub fn watch(&self, watcher: Box<dyn Write + Send>) {
        *self.watcher.lock() = Some(watcher);
    }
}

fn drain(mut socket: &UnixStream, mut log: File, watcher: &Watcher, reading: &Mutex<()>) {
    let mut buffer = [0; 4096];
    let mut trimmer = Trimmer::default();
    loop {
        let _ = poll::wait_readable(socket, LONG);
        let reading = reading.lock();
        match socket.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => {
                // A log that cannot be written must not stop the guest.
                let _ = log.write_all(&buffer[..n]);
                let _ = trimmer.look(&log);
                show(watcher, &buffer[..n]);
                drop(reading);
                if n < FEW {
                    std::thread::sleep(WHILE);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn show(watcher: &Watcher, text: &[u8]) {
    let mut watcher = watcher.lock();
    let shown = watcher
        .as_mut()
        .map(|w| w.write_all(text).and_then(|()| w.flush()));
    if matches!(shown, Some(Err(_))) {
        *watcher = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::capped_log;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn log_of_a_guest_that_prints_without_an_end_stays_small() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let (mut guest, ours) = UnixStream::pair().unwrap();
        let _terminal = Terminal::open(ours, log.path()).unwrap();
        let len = capped_log::FIRST + capped_log::LAST + (8 << 20);
        for _ in 0..len >> 16 {
            guest.write_all(&[b'x'; 1 << 16]).unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        while log.as_file().metadata().unwrap().len() < len && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        let log = log.as_file().metadata().unwrap();
        assert_eq!(log.len(), len);
        assert!(log.blocks() * 512 < len - (3 << 20), "{}", log.blocks());
    }
}
