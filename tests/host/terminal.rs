//! A terminal of tmux's, for what is shown on one.

use std::path::{Path, PathBuf};
use std::process::Command;

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

    /// What it shows once that contains `text`, with its colours.
    pub fn until(&self, text: &str) -> String {
        let mut shown = String::new();
        eventually(text, || {
            shown = self.tmux(&["capture-pane", "-p", "-e"]);
            shown.contains(text)
        });
        shown
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
