//! The terminal on standard input, for programs that read single keys; a line of progress on standard error.

use std::io::{IsTerminal, Write, stderr, stdin};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// The terminal on standard input in raw mode: byte by byte, without echo, lines or signals from keys.
/// Dropping this restores the mode that the terminal had.
pub struct RawTerminal(Termios);

impl RawTerminal {
    /// Enters raw mode; None if standard input is not a terminal.
    pub fn enter() -> Option<Self> {
        let old = tcgetattr(stdin()).ok()?;
        let mut raw = old.clone();
        raw.make_raw();
        let _ = tcsetattr(stdin(), OptionalActions::Now, &raw);
        Some(Self(old))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

/// Shows on standard error how much of `what` is done, in percent, in one line that changes. Where that is no terminal,
/// one line says that it has begun.
pub fn show_progress(what: &str, percent: Option<f64>, is_first: bool) {
    let done = percent.map_or(String::new(), |percent| format!(": {percent:.0} %"));
    let text = match (stderr().is_terminal(), is_first) {
        (true, _) => {
            let end = if percent == Some(100.0) { "\n" } else { "" };
            format!("\rprovium: {what}{done}\x1b[K{end}")
        }
        (false, true) => format!("provium: {what}\n"),
        (false, false) => return,
    };
    // Nobody is there to be told that it cannot be shown.
    let _ = stderr().write_all(text.as_bytes());
}
