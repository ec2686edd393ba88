//! A socket to QEMU whose every wait ends: with data, at a deadline, or when QEMU is gone.

use std::cell::Cell;
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::sys;

/// One end of a socket pair. Clones share the socket and the deadline.
///
/// The end of the stream is an error here: nobody who reads from QEMU expects it.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    socket: Rc<UnixStream>,
    deadline: Rc<Cell<Instant>>,
    /// Bytes that may still come before the deadline is set anew.
    left: Rc<Cell<usize>>,
}

/// Most bytes that one answer may have: what a command printed comes whole, in base64. A guest that
/// sends more is out to fill our memory.
const LONGEST_ANSWER: usize = 64 << 20;

impl Channel {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self {
            socket: Rc::new(socket),
            deadline: Rc::new(Cell::new(Instant::now())),
            left: Rc::new(Cell::new(LONGEST_ANSWER)),
        }
    }

    /// Every read from now on fails with TimedOut at `deadline`.
    pub(super) fn until(&self, deadline: Instant) {
        self.deadline.set(deadline);
        self.left.set(LONGEST_ANSWER);
        // A peer that does not read must not hold us for ever either.
        let left = deadline.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        let _ = self.socket.set_write_timeout(Some(left));
    }

    /// Sends a duplicate of `file`, with a space, which means nothing to either protocol.
    pub(super) fn send_file(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let files = [file];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&files));
        let space = [IoSlice::new(b" ")];
        sendmsg(&*self.socket, &space, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Whether a read would find something, waiting up to `timeout` for it.
    pub(super) fn has_data(&self, timeout: Duration) -> io::Result<bool> {
        sys::wait_readable(&*self.socket, timeout)
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self
            .deadline
            .get()
            .saturating_duration_since(Instant::now());
        if !self.has_data(left)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match (&*self.socket).read(buffer)? {
            0 if !buffer.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            n => match self.left.get().checked_sub(n) {
                Some(left) => {
                    self.left.set(left);
                    Ok(n)
                }
                None => Err(io::Error::other("an answer of more than 64 MiB")),
            },
        }
    }
}

impl Write for Channel {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&*self.socket).write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether `error` means that the other end is gone.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}
