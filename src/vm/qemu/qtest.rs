//! Telling QEMU that the guest's memory has changed: under TCG it keeps the code that it has translated, and notices
//! only changes that are made through it. QEMU's own tests have a protocol for that.

use std::io::{self, BufRead, BufReader, Write};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::channel::Channel;

/// QEMU answers at once or is stuck.
const ANSWER: Duration = Duration::from_secs(20);
/// Commands that are sent before the first answer is read: QEMU waits while its answers are not read.
const MOST_UNANSWERED: usize = 64;

/// A session of the protocol.
pub(in crate::vm) struct Qtest {
    channel: Channel,
    reader: BufReader<Channel>,
}

impl Qtest {
    pub(in crate::vm) fn new(socket: UnixStream) -> Self {
        let channel = Channel::new(socket);
        Self {
            reader: BufReader::new(channel.clone()),
            channel,
        }
    }

    /// Clears these ranges of the guest's physical memory, and drops the code that was translated from them.
    pub(in crate::vm) fn clear(&mut self, ranges: &[Range<u64>]) -> io::Result<()> {
        self.channel.until(Instant::now() + ANSWER);
        for ranges in ranges.chunks(MOST_UNANSWERED) {
            for Range { start, end } in ranges {
                writeln!(self.channel, "memset {start:#x} {:#x} 0x0", end - start)?;
            }
            self.channel.flush()?;
            for _ in ranges {
                let mut answer = String::new();
                self.reader.read_line(&mut answer)?;
                if answer.trim_end() != "OK" {
                    return Err(io::Error::other(format!("QEMU answers `{answer}`")));
                }
            }
        }
        Ok(())
    }
}
