//! The log of the guest's console: its new text, and the kernel's panic.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use memchr::memmem;

use crate::os::capped_log;
use crate::units::text;

/// The kernel prints this, after the time, when it panics.
const PANIC: &str = "Kernel panic - not syncing";
/// Lines of the console that a message shows.
const END_LINES: usize = 20;
/// Characters of each that it shows.
const END_LINE: usize = 400;
/// Bytes in which these lines are looked for.
const END_BYTES: u64 = 64 << 10;
/// Characters at the beginning of a line that say whether it is a panic. The kernel's are shorter.
const LONGEST_LINE: usize = 4096;
/// Most bytes that are searched at a time: of a guest that prints faster, the last ones.
const MOST_SEARCHED: u64 = 16 << 20;

/// The console log of one VM, over all its boots.
#[derive(Debug)]
pub(in crate::vm) struct Console {
    path: PathBuf,
    /// Up to here it was searched for a panic.
    searched: u64,
    /// The piece of a line that was not finished when it was searched.
    unfinished: String,
    /// The end of the furthest text that `expect` has found.
    expected: u64,
    /// The ranges before it that were passed over. `expect` may find each text there once.
    passed: Vec<Range<u64>>,
}

/// What `expect` may find of what a guest has printed so far: each text once.
#[derive(Clone, Debug)]
pub(in crate::vm) struct Expecting(Vec<Range<u64>>);

impl Console {
    /// The log at `path`. Its present content is of an earlier boot: it can be read, but is not new.
    pub(in crate::vm) fn new(path: &Path) -> Self {
        let old = path.metadata().map_or(0, |log| log.len());
        Self {
            path: path.to_owned(),
            searched: old,
            unfinished: String::new(),
            expected: old,
            passed: Vec::new(),
        }
    }

    /// All that the guest has printed so far, as far as the log has it. Bytes that are not UTF-8 are replaced.
    pub(in crate::vm) fn all(&self) -> String {
        String::from_utf8_lossy(&capped_log::read(&self.path)).into_owned()
    }

    /// All after the furthest text that was found.
    pub(in crate::vm) fn news(&self) -> Vec<u8> {
        let news = capped_log::read_from(&self.path, self.expected);
        news.map_or_else(|_| Vec::new(), |(_, news)| news)
    }

    /// The last lines, for a message.
    pub(in crate::vm) fn end(&self) -> String {
        end_of(&self.path)
    }

    /// Whether `text` stands ahead, or else in a range that was passed over. It is not found a second time.
    /// `searched` is 0 at the first look for a text, and then the place at which the next look goes on.
    pub(in crate::vm) fn consume(&mut self, text: &str, searched: &mut u64) -> bool {
        let from = self.expected.max(*searched);
        let Ok((start, news)) = capped_log::read_from(&self.path, from) else {
            return false;
        };
        let Some(at) = memmem::find(&news, text.as_bytes()) else {
            let is_first = *searched == 0;
            // Its beginning may be there already.
            let rest = text.len().saturating_sub(1);
            *searched = start + news.len().saturating_sub(rest) as u64;
            return is_first && self.consume_passed(text);
        };
        let found = start + at as u64;
        self.passed.push(self.expected..found);
        self.expected = found + text.len() as u64;
        true
    }

    /// What can be expected of the output so far.
    pub(in crate::vm) fn expecting(&self) -> Expecting {
        let mut ahead = self.passed.clone();
        ahead.push(self.expected..self.len());
        Expecting(ahead)
    }

    /// The same can be expected as then, and all output from now on: the guest has gone back.
    pub(in crate::vm) fn expect_again(&mut self, then: &Expecting) {
        self.passed.clone_from(&then.0);
        self.expected = self.len();
        self.searched = self.expected;
        self.unfinished.clear();
    }

    fn len(&self) -> u64 {
        self.path.metadata().map_or(0, |log| log.len())
    }

    fn consume_passed(&mut self, text: &str) -> bool {
        let first = self.passed.first().map_or(0, |passed| passed.start);
        let Ok((start, log)) = capped_log::read_from(&self.path, first) else {
            return false;
        };
        let find = |passed: &Range<u64>| {
            let from = passed.start.max(start);
            let range = from.checked_sub(start)? as usize..passed.end.checked_sub(start)? as usize;
            let at = memmem::find(log.get(range)?, text.as_bytes())?;
            Some(from + at as u64)
        };
        let mut all = self.passed.iter().enumerate();
        let Some((place, found)) = all.find_map(|(place, passed)| Some((place, find(passed)?)))
        else {
            return false;
        };
        let passed = self.passed[place].clone();
        let halves = [passed.start..found, found + text.len() as u64..passed.end];
        self.passed.splice(place..=place, halves);
        true
    }

    /// The line of a kernel panic, if one came since the last call.
    pub(in crate::vm) fn new_panic(&mut self) -> Option<String> {
        let mut file = File::open(&self.path).ok()?;
        let len = file.metadata().ok()?.len();
        if len <= self.searched {
            return None;
        }
        if len - self.searched > MOST_SEARCHED {
            self.searched = len - MOST_SEARCHED;
            self.unfinished.clear();
        }
        let mut new = Vec::new();
        file.seek(SeekFrom::Start(self.searched)).ok()?;
        self.searched += file.read_to_end(&mut new).ok()? as u64;
        let text = std::mem::take(&mut self.unfinished) + &String::from_utf8_lossy(&new);
        let (lines, rest) = text.rsplit_once('\n').unwrap_or(("", &text));
        self.unfinished = rest.chars().take(LONGEST_LINE).collect();
        let panic = lines.lines().find(|line| is_panic(line))?;
        Some(panic.trim().to_owned())
    }
}

/// Whether the line is the kernel's own. It then begins with `[TIME]`; a program that prints the words to the
/// console has no time before them.
fn is_panic(line: &str) -> bool {
    let mut rest = line.trim();
    let mut has_time = false;
    while let Some((_, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        has_time = true;
        rest = after.trim_start();
    }
    has_time && rest.starts_with(PANIC)
}

/// The last lines of the console log at `path`, for a message.
pub fn end_of(path: &Path) -> String {
    let text = text::escaped(&capped_log::end(path, END_BYTES));
    let lines: Vec<_> = text
        .lines()
        .map(text::plain)
        .filter(|line| !line.is_empty())
        .map(|line| cut(&line))
        .collect();
    if lines.is_empty() {
        return "the guest's console is empty".into();
    }
    let end = &lines[lines.len().saturating_sub(END_LINES)..];
    format!("the guest's console ends with:\n  | {}", end.join("\n  | "))
}

/// The end of a line that is too long for a message.
fn cut(line: &str) -> String {
    let length = line.chars().count();
    match length > END_LINE {
        true => format!(
            "... {}",
            line.chars().skip(length - END_LINE).collect::<String>()
        ),
        false => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn panic_is_found_once_even_when_its_line_comes_in_pieces() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        let mut console = Console::new(log.path());
        write!(log, "booting\n[1.0] Kernel pan").unwrap();
        assert_eq!(console.new_panic(), None);
        write!(log, "ic - not syncing: Attempted\r\nmore").unwrap();
        let panic = console.new_panic().unwrap();
        assert_eq!(panic, "[1.0] Kernel panic - not syncing: Attempted");
        assert_eq!(console.new_panic(), None);
    }

    #[test]
    fn panic_after_gigabytes_without_a_line_is_found_without_memory_for_them() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        let mut console = Console::new(log.path());
        for _ in 0..3 {
            log.write_all(&vec![b'x'; 1 << 20]).unwrap();
            assert_eq!(console.new_panic(), None);
            assert!(console.unfinished.len() <= LONGEST_LINE);
        }
        log.as_file().set_len(4 << 30).unwrap();
        log.seek(SeekFrom::End(0)).unwrap();
        write!(log, "\n[1.0] Kernel panic - not syncing: Attempted\n").unwrap();
        let panic = console.new_panic().unwrap();
        assert_eq!(panic, "[1.0] Kernel panic - not syncing: Attempted");
    }

    #[test]
    fn panic_is_only_a_line_of_the_kernel() {
        assert!(is_panic("[    2.718281] Kernel panic - not syncing: sysrq"));
        assert!(is_panic("[ 2.7][   T1] Kernel panic - not syncing: sysrq"));
        for line in [
            "Kernel panic - not syncing: a joke",
            "[ 2.7] audit: Kernel panic - not syncing",
            "[ 2.7] all is well",
        ] {
            assert!(!is_panic(line), "{line}");
        }
    }

    #[test]
    fn expected_text_is_consumed_and_not_found_again() {
        let log = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(log.path(), "two of an earlier boot").unwrap();
        let mut console = Console::new(log.path());
        std::fs::write(log.path(), "two of an earlier boot one two one").unwrap();
        assert!(console.consume("one", &mut 0));
        assert!(console.consume("one", &mut 0));
        assert!(!console.consume("one", &mut 0));
        assert!(console.consume("two", &mut 0), "it was passed over");
        assert!(!console.consume("two", &mut 0));
    }

    #[test]
    fn expected_text_in_pieces_is_found_without_a_second_search_of_the_log() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        let mut console = Console::new(log.path());
        let mut searched = 0;
        log.write_all(&vec![b'x'; 100_000]).unwrap();
        write!(log, "lo").unwrap();
        assert!(!console.consume("login:", &mut searched));
        assert_eq!(searched, 100_002 - 5);
        write!(log, "gin: ").unwrap();
        assert!(console.consume("login:", &mut searched));
        assert_eq!(console.news(), b" ");
    }

    #[test]
    fn expected_text_is_taken_ahead_first_and_once_from_what_was_passed_over() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        let mut console = Console::new(log.path());
        write!(log, "a1 b a2 c d").unwrap();
        for text in ["c", "a", "b", "1", "a"] {
            assert!(console.consume(text, &mut 0), "{text}");
        }
        for text in ["a", "b", "c", "1 b", "2 c"] {
            assert!(!console.consume(text, &mut 0), "{text}");
        }
        write!(log, " a2").unwrap();
        assert!(console.consume("2", &mut 0), "the one ahead");
        assert!(console.consume("2", &mut 0), "the one passed over");
        assert!(!console.consume("2", &mut 0));
        let mut searched = 0;
        assert!(!console.consume("e", &mut searched));
        write!(log, "e").unwrap();
        assert!(console.consume("e", &mut searched));
    }

    #[test]
    fn end_of_the_console_is_its_last_lines_that_are_not_empty() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        for n in 0..50 {
            writeln!(log, "line {n}\n").unwrap();
        }
        let end = Console::new(log.path()).end();
        assert!(
            end.contains("| line 30\n") && end.ends_with("| line 49"),
            "{end}"
        );
        assert!(!end.contains("line 29\n"));
    }

    #[test]
    fn end_of_the_console_has_neither_colours_nor_what_was_written_over() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        write!(
            log,
            "\x1bM\x1b[K[\x1b[0;31m*\x1b[0m] 1s\r[*] 2s\n\x1b[0m\r\n"
        )
        .unwrap();
        let end = Console::new(log.path()).end();
        assert_eq!(end, "the guest's console ends with:\n  | [*] 2s");
    }

    #[test]
    fn end_of_a_long_line_is_shown() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        log.write_all(&vec![b'x'; 6 << 20]).unwrap();
        log.write_all(b"\xff over").unwrap();
        let end = end_of(log.path());
        assert!(end.contains("\n  | ... xxx") && end.ends_with("xx\\xff over"));
        assert!(end.len() < 500, "{}", end.len());
    }
}
