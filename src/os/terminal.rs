//! The terminal on standard input, for programs that read single keys.

use std::io::stdin;

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
