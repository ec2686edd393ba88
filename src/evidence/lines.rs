//! Lines of reports and files.

use crate::units::text::printable;

/// Characters of a line that a report shows.
const LONGEST: usize = 200;

/// A text in one line of bounded length.
pub(super) fn cut(text: &str) -> String {
    let line = printable(text.trim_end());
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// Lines as a file has them.
pub(super) fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}
