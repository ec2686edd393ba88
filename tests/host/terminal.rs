//! A terminal, made by tmux, for tests of what one shows.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::*;

/// A terminal in which one command runs; it ends with this.
pub struct Terminal(PathBuf);

impl Terminal {
    /// Starts `command`, a line for a shell. The terminal's socket lies in `folder`.
    pub fn start(folder: &Path, columns: u32, rows: u32, command: &str) -> Self {
        let terminal = Self(folder.join("tmux"));
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let size = ["-x", &columns, "-y", &rows];
        let session = ["-f", "/dev/null", "new-session", "-d"];
        terminal.tmux(&[&session[..], &size, &[command]].concat());
        terminal
    }

    fn tmux(&self, args: &[&str]) -> String {
        stdout(&run(Command::new("tmux").arg("-S").arg(&self.0).args(args)))
    }

    /// Its screen, with colours.
    pub fn shown(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Its screen, once that contains `text`. A guest may have to boot first.
    pub fn until(&self, text: &str) -> String {
        let deadline = Instant::now() + 3 * PATIENCE;
        loop {
            let shown = self.shown();
            if shown.contains(text) {
                return shown;
            }
            assert!(Instant::now() < deadline, "{text} is not in: {shown}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Types these lines, without waiting for a response.
    pub fn enter(&self, lines: &[&str]) {
        let typed: String = lines.iter().map(|line| format!("{line}\r")).collect();
        self.tmux(&["send-keys", "-l", &typed]);
    }

    /// Presses `keys`, by their names in tmux.
    pub fn press(&self, keys: &str) {
        self.tmux(&["send-keys", keys]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
