//! A socket to QEMU whose every wait ends: with data, at a deadline, or when QEMU is gone.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::os::poll;

/// One end of a socket pair. Clones share all of it.
///
/// The end of the stream is an error here: no reader expects it.
#[derive(Clone, Debug)]
pub(in crate::vm) struct Channel(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    socket: UnixStream,
    deadline: Cell<Instant>,
    /// Bytes that may still come before the deadline is set anew.
    left: Cell<usize>,
    /// And of these, bytes that may begin a value.
    values_left: Cell<usize>,
    /// Sent with the next flush: a writer of JSON writes many small pieces.
    unsent: RefCell<Vec<u8>>,
}

/// Most bytes that one answer may have. The output of a command comes in one answer, in base64. More would only
/// fill our memory.
const LONGEST_ANSWER: usize = 64 << 20;
/// Most values that one answer may have: a number of one byte takes 32 when it is read.
const MOST_VALUES: usize = 1 << 20;
/// Bytes that one call sends. The time-out of a socket holds for each part that the kernel sends, not for the
/// call.
const STRETCH: usize = 16 << 10;

impl Channel {
    pub(in crate::vm) fn new(socket: UnixStream) -> Self {
        Self(Rc::new(Shared {
            socket,
            deadline: Cell::new(Instant::now()),
            left: Cell::new(LONGEST_ANSWER),
            values_left: Cell::new(MOST_VALUES),
            unsent: RefCell::default(),
        }))
    }

    /// Every read and flush from now on fails with TimedOut at `deadline`. What was not sent by now
    /// never is.
    pub(in crate::vm) fn until(&self, deadline: Instant) {
        self.0.deadline.set(deadline);
        self.0.left.set(LONGEST_ANSWER);
        self.0.values_left.set(MOST_VALUES);
        self.0.unsent.borrow_mut().clear();
    }

    /// Sends a duplicate of `file`, with a space, which means nothing to either protocol.
    pub(in crate::vm) fn send_file(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let files = [file];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&files));
        let space = [IoSlice::new(b" ")];
        self.0.socket.set_write_timeout(Some(self.time_left()?))?;
        sendmsg(&self.0.socket, &space, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Whether a read would find something, waiting up to `timeout` for it.
    pub(in crate::vm) fn has_data(&self, timeout: Duration) -> io::Result<bool> {
        poll::wait_readable(&self.0.socket, timeout)
    }

    /// How long until the deadline, if it has not come.
    fn time_left(&self) -> io::Result<Duration> {
        let left = self.0.deadline.get().checked_duration_since(Instant::now());
        let left = left.filter(|left| !left.is_zero());
        left.ok_or_else(|| io::ErrorKind::TimedOut.into())
    }
}

/// Takes `n` from the rest that an answer may have.
fn spend(left: &Cell<usize>, n: usize, too_much: &str) -> io::Result<()> {
    let rest = left.get().checked_sub(n);
    left.set(rest.ok_or_else(|| io::Error::other(too_much))?);
    Ok(())
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // What has come by the deadline is in time.
        if !self.has_data(self.time_left().unwrap_or_default())? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match (&self.0.socket).read(buffer)? {
            0 if !buffer.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                let values = buffer[..n].iter().filter(|byte| b",[{".contains(byte));
                spend(&self.0.left, n, "an answer of more than 64 MiB")?;
                spend(
                    &self.0.values_left,
                    values.count(),
                    "an answer of more than a million values",
                )?;
                Ok(n)
            }
        }
    }
}

impl Write for Channel {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.unsent.borrow_mut().extend_from_slice(data);
        Ok(data.len())
    }

    /// Ends at the deadline even when the peer does not read, or reads byte by byte.
    fn flush(&mut self) -> io::Result<()> {
        let unsent = self.0.unsent.take();
        let mut rest = &unsent[..];
        while !rest.is_empty() {
            self.0.socket.set_write_timeout(Some(self.time_left()?))?;
            let stretch = &rest[..rest.len().min(STRETCH)];
            match (&self.0.socket).write(stretch) {
                Ok(sent) => rest = &rest[sent..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether `error` means that the other end is gone. JSON that ends too soon has the same kind as a
/// stream that does, but carries what was wrong with it.
pub(in crate::vm) fn is_gone(error: &io::Error) -> bool {
    let is_end = matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    );
    is_end && error.get_ref().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(patience: Duration) -> (Channel, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let channel = Channel::new(ours);
        channel.until(Instant::now() + patience);
        (channel, theirs)
    }

    #[test]
    fn read_from_a_silent_peer_ends_at_the_deadline() {
        let start = Instant::now();
        let (mut channel, _theirs) = channel(Duration::from_millis(30));
        let error = channel.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= Duration::from_millis(30));
    }

    #[test]
    fn flush_to_a_peer_that_reads_slowly_ends_at_the_deadline() {
        let (mut channel, mut theirs) = channel(Duration::from_millis(200));
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while theirs.read(&mut buffer).is_ok_and(|n| n > 0) {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let start = Instant::now();
        channel.write_all(&vec![0; 64 << 20]).unwrap();
        let error = channel.flush().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let all = (64 << 20) / 4096 * Duration::from_millis(5);
        assert!(start.elapsed() < all / 2, "{:?}", start.elapsed());
        drop(channel);
        reader.join().unwrap();
    }

    #[test]
    fn unsent_bytes_of_one_command_are_not_sent_with_the_next() {
        let (mut channel, mut theirs) = channel(Duration::from_secs(60));
        channel.write_all(b"half a comm").unwrap();
        channel.until(Instant::now() + Duration::from_secs(60));
        channel.write_all(b"whole").unwrap();
        channel.flush().unwrap();
        drop(channel);
        let mut sent = String::new();
        theirs.read_to_string(&mut sent).unwrap();
        assert_eq!(sent, "whole");
    }
}
