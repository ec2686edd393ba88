//! The text of a control file: lines of a snapshot, made page by page as they are read.

use std::fmt::{self, Display, Write};

/// Adds the line at a place to a text, without its line end; false after the last. It makes the same line each time.
type Lines = Box<dyn Fn(usize, &mut String) -> bool + Send>;

/// A text of which a page and a line are in memory.
pub struct Text {
    lines: Lines,
    /// The number of the line that is made next.
    next: usize,
    /// Text that was made and not read yet, and its offset in the whole text.
    made: Vec<u8>,
    start: u64,
}

impl Text {
    /// A text of these lines.
    pub(super) fn new(lines: impl Fn(usize, &mut String) -> bool + Send + 'static) -> Self {
        Self {
            lines: Box::new(lines),
            next: 0,
            made: Vec::new(),
            start: 0,
        }
    }

    /// A text with a line for each item.
    pub(super) fn of<T: Display + Send + 'static>(items: Vec<T>) -> Self {
        // A write to memory does not fail.
        Self::new(move |at, line| match items.get(at) {
            Some(item) => write!(line, "{item}").is_ok(),
            None => false,
        })
    }

    /// A text of one line.
    pub(super) fn line(line: impl Display) -> Self {
        Self::of(vec![line.to_string()])
    }

    /// All of it at once.
    pub fn whole(mut self) -> String {
        String::from_utf8_lossy(&self.page(0, usize::MAX)).into_owned()
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        let mut line = String::new();
        let lens = (0..).map_while(|at| {
            line.clear();
            (self.lines)(at, &mut line).then_some(line.len() as u64 + 1)
        });
        lens.sum()
    }

    /// Whether it has no lines.
    pub fn is_empty(&self) -> bool {
        !(self.lines)(0, &mut String::new())
    }

    /// Up to `size` bytes from `offset`; fewer only at the end. Reads in order make each line once.
    pub fn page(&mut self, offset: u64, size: usize) -> Vec<u8> {
        if offset < self.start {
            (self.next, self.start) = (0, 0);
            self.made.clear();
        }
        let mut line = String::new();
        loop {
            let passed = (offset - self.start).min(self.made.len() as u64);
            self.made.drain(..passed as usize);
            self.start += passed;
            if self.start == offset && self.made.len() >= size {
                break;
            }
            line.clear();
            if !(self.lines)(self.next, &mut line) {
                break;
            }
            self.next += 1;
            self.made.extend_from_slice(line.as_bytes());
            self.made.push(b'\n');
        }
        match self.start == offset {
            true => self.made[..self.made.len().min(size)].to_vec(),
            false => Vec::new(),
        }
    }
}

/// The length of a text whose lines come one by one.
#[derive(Default)]
pub(super) struct Length(u64);

impl Length {
    pub(super) fn add(&mut self, line: &impl Display) {
        // It takes all that is written to it.
        let _ = writeln!(self, "{line}");
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0
    }
}

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn text_is_the_same_in_any_pieces_and_order() {
        let mut text = Text::of((0..100).collect());
        let whole = String::from_utf8(text.page(0, 1 << 20)).unwrap();
        assert_eq!(whole.lines().count(), 100);
        assert_eq!((text.len(), text.is_empty()), (whole.len() as u64, false));
        for (offset, size) in [
            (0, 1),
            (1, 7),
            (100, 50),
            (3, 200),
            (280, 100),
            (290, 1),
            (400, 9),
        ] {
            let (from, to) = (whole.len().min(offset), whole.len().min(offset + size));
            let page = text.page(offset as u64, size);
            assert_eq!(page, &whole.as_bytes()[from..to], "{offset} {size}");
        }
    }

    #[test]
    fn text_read_in_order_makes_each_line_once_and_a_page_at_a_time() {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let mut text = Text::new(move |at, line| {
            counted.fetch_add(1, Ordering::SeqCst);
            line.push_str(&"x".repeat(99));
            at < 1000
        });
        assert_eq!(text.page(0, 400).len(), 400);
        assert_eq!(made.load(Ordering::SeqCst), 4);
        let mut offset = 400;
        while !text.page(offset, 4096).is_empty() {
            offset += 4096;
            assert!(text.made.len() <= 4096 + 100);
        }
        assert!(made.load(Ordering::SeqCst) <= 1003);
    }
}
