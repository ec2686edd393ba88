//! `provium sweep`: what it runs, what it finds, what it leaves, and what it says of bad input.

mod ends;
mod in_tests;
mod runs;
mod words;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::*;

/// A program of ours that writes three blocks under a lock, and forgets to unlock if the second write fails.
const SAVE: &str = r#"
put() { head -c 4k /dev/zero | tr '\0' "$2" | dd of="$PROVIUM_DISK" bs=4k seek="$1" iflag=fullblock conv=notrunc status=none; }
touch lock
put 0 a || { rm lock; exit 1; }
put 2 b || exit 1
put 4 c || { rm lock; exit 1; }
rm lock
"#;

/// Runs it, and fails if it leaves its lock.
const RUN_SAVE: &str = "rm -f lock; sh save; test ! -e lock";

/// A mount, and a folder in which commands run.
struct Scene {
    mount: Mount,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            mount: Mount::new(),
        };
        scene.write("save", SAVE);
        scene
    }

    fn folder(&self) -> &Path {
        self.mount.folder()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder().join(name)).unwrap_or_default()
    }

    fn vda(&self) -> PathBuf {
        self.mount.vda()
    }

    /// `provium sweep MNT/vda ARGS`, ready to run.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROVIUM);
        command.arg("sweep").arg(self.vda()).args(args);
        command.current_dir(self.folder());
        command
    }

    fn sweep(&self, args: &[&str]) -> Output {
        run(&mut self.command(args))
    }

    /// Nothing of a sweep is left on the disk.
    fn assert_clean(&self) {
        assert_eq!(self.mount.read("vda/faults"), "");
        assert_eq!(self.mount.read("vda/checkpoint"), "");
    }
}
