//! A listener of a stream: the lines that it has not read yet, and when a read of them is due.
//!
//! To wake a reader costs more than to serve a request. So a reader that waits gets the first line at once, and then
//! rests, for longer the more lines it got. What comes meanwhile it gets together, unless that is much.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::line::Line;
use crate::protocol::TraceLine;

/// Lines that wait for a listener; later ones are lost to it.
pub(super) const MOST_LINES: usize = 1 << 14;
/// How long a reader rests for each line that it got.
const REST: Duration = Duration::from_micros(500);
/// How long a reader rests at most.
pub(super) const LONGEST_REST: Duration = Duration::from_millis(10);
/// Bytes of a short line.
const SHORT_LINE: usize = 40;
/// So many lines end a rest whatever a read may take.
const MANY_LINES: usize = MOST_LINES / 4;

/// Called when a listener has something to read.
pub type Wake = Box<dyn FnOnce() + Send>;

/// When a read is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It finds something, or the end.
    Now,
    /// At this moment, or once its `wake` is called.
    At(Instant),
    /// Once its `wake` is called.
    Woken,
}

/// A listener. The lock on its reader is taken around the one on its lines: requests never wait for a line that is made
/// text.
pub struct Listener {
    reader: Mutex<Reader>,
    unread: Mutex<Unread>,
}

/// What a read has begun.
#[derive(Default)]
struct Reader {
    lines: VecDeque<Line>,
    /// The line that is made text.
    line: String,
    text: Vec<u8>,
    /// The text begins within a line.
    is_within_a_line: bool,
    /// The number of the line after those that are in the text.
    next: u64,
    rests_until: Option<Instant>,
}

/// The lines that no read has begun.
#[derive(Default)]
struct Unread {
    lines: VecDeque<Line>,
    /// How many the reader has, which wait too.
    begun: usize,
    /// The number of the latest line, lost or not.
    newest: u64,
    ended: bool,
    /// Called when there are so many lines here.
    wake: Option<(usize, Wake)>,
}

impl Listener {
    /// A listener for what comes after the line with the number `newest`.
    pub(super) fn new(newest: u64, ended: bool) -> Self {
        let reader = Reader {
            next: newest + 1,
            ..Reader::default()
        };
        let unread = Unread {
            newest,
            ended,
            ..Unread::default()
        };
        Self {
            reader: Mutex::new(reader),
            unread: Mutex::new(unread),
        }
    }

    /// Adds a line, or loses it. Returns the wake-up call that is due.
    pub(super) fn push(&self, line: &Line) -> Option<Wake> {
        let mut unread = self.unread.lock();
        unread.newest = line.sequence;
        if unread.lines.len() + unread.begun < MOST_LINES {
            unread.lines.push_back(line.clone());
        }
        let lines = unread.lines.len();
        let wake = unread.wake.take_if(|(enough, _)| lines >= *enough);
        wake.map(|(_, wake)| wake)
    }

    /// The end comes after the lines that wait.
    pub(super) fn end(&self) {
        let mut unread = self.unread.lock();
        unread.ended = true;
        let wake = unread.wake.take();
        drop(unread);
        if let Some((_, wake)) = wake {
            wake();
        }
    }

    /// Up to `size` bytes of lines, cut between lines where there is one in reach; None when there is
    /// none yet, nothing at the end.
    pub fn read(&self, size: usize) -> Option<Vec<u8>> {
        let mut reader = self.reader.lock();
        let mut made = usize::from(!reader.text.is_empty());
        let mut ended = false;
        while reader.text.len() < size {
            if reader.lines.is_empty() {
                ended = self.begin_lines(&mut reader);
            }
            let Some(line) = reader.lines.pop_front() else {
                break;
            };
            reader.skip_to(line.sequence);
            reader.say(|text| line.write_to(text));
            reader.next += 1;
            made += 1;
        }
        self.unread.lock().begun = reader.lines.len();
        if reader.text.is_empty() && size > 0 && !ended {
            return None;
        }
        reader.rests_until = Some(Instant::now() + rest_after(made));
        Some(reader.take(size))
    }

    /// Hands the reader, which has no lines, those that wait. Returns whether the stream has ended with them.
    fn begin_lines(&self, reader: &mut Reader) -> bool {
        let mut unread = self.unread.lock();
        std::mem::swap(&mut reader.lines, &mut unread.lines);
        unread.begun = reader.lines.len();
        if reader.lines.is_empty() {
            reader.skip_to(unread.newest + 1);
        }
        unread.ended
    }

    /// When a read of `size` bytes is due that waits. Unless it is at `now`, `wake` is called once when it becomes due
    /// earlier than said.
    pub fn due(&self, size: usize, now: Instant, wake: Wake) -> Due {
        let reader = self.reader.lock();
        let mut unread = self.unread.lock();
        let enough = (size / SHORT_LINE).clamp(1, MANY_LINES);
        let begun = reader.lines.len() + usize::from(!reader.text.is_empty());
        let waiting = begun + unread.lines.len();
        if unread.ended || reader.is_within_a_line || waiting >= enough {
            return Due::Now;
        }
        match reader.rests_until.filter(|until| *until > now) {
            Some(until) => {
                unread.wake = Some((enough - begun, wake));
                Due::At(until)
            }
            None if waiting > 0 => Due::Now,
            None => {
                unread.wake = Some((1, wake));
                Due::Woken
            }
        }
    }
}

/// How long a reader rests that got so many lines.
fn rest_after(lines: usize) -> Duration {
    let lines = u32::try_from(lines).unwrap_or(u32::MAX);
    REST.saturating_mul(lines).min(LONGEST_REST)
}

impl Reader {
    /// Says how many lines are missing before the one with this number.
    fn skip_to(&mut self, number: u64) {
        if number > self.next {
            let lost = TraceLine::Lost(number - self.next);
            self.say(|text| write!(text, "{lost}"));
            self.next = number;
        }
    }

    /// Adds a line.
    fn say(&mut self, write: impl FnOnce(&mut String) -> fmt::Result) {
        self.line.clear();
        // A write to memory does not fail.
        let _ = write(&mut self.line);
        self.text.extend_from_slice(self.line.as_bytes());
        self.text.push(b'\n');
    }

    fn take(&mut self, size: usize) -> Vec<u8> {
        let mut end = self.text.len().min(size);
        if end < self.text.len() {
            let whole = self.text[..end].iter().rposition(|byte| *byte == b'\n');
            end = whole.map_or(end, |newline| newline + 1);
        }
        let rest = self.text.split_off(end);
        let taken = std::mem::replace(&mut self.text, rest);
        self.is_within_a_line = match taken.last() {
            Some(last) => *last != b'\n',
            None => self.is_within_a_line,
        };
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_longer_the_more_lines_there_were_up_to_a_bound() {
        assert_eq!(rest_after(1), REST);
        assert_eq!(rest_after(4), 4 * REST);
        assert_eq!(rest_after(1000), LONGEST_REST);
        assert_eq!(rest_after(usize::MAX), LONGEST_REST);
    }
}
