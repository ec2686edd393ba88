//! A folder of test files for tests of the runner, with its own cache and without guests.

use std::path::Path;
use std::process::{Command, Output};

use crate::harness::*;

/// Test files that need no guest.
pub struct Suite(TempDir);

impl Suite {
    /// One with these files: name and content.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let suite = Self(TempDir::new().unwrap());
        suite.write("provium.toml", "[provium]\nroots = ['.']\n");
        for (name, lua) in files {
            suite.write(&format!("{name}.test.lua"), lua);
        }
        suite
    }

    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.0.path().join(name), content).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    /// `provium test ARGS`, ready to run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROVIUM);
        command
            .arg("test")
            .args(args)
            .current_dir(self.path())
            .env("XDG_CACHE_HOME", self.path().join("cache"))
            .env_remove("GITHUB_ACTIONS");
        command
    }

    pub fn test(&self, args: &[&str]) -> Output {
        run(&mut self.command(args))
    }

    /// The names that `--list` prints with these arguments, without their files and tags.
    pub fn listed(&self, args: &[&str]) -> Vec<String> {
        let output = self.test(&[args, &["--list"]].concat());
        let text = stdout(&output);
        let names = text.lines().map(|line| line.split(": ").nth(1).unwrap());
        let without_tags = names.map(|name| name.split(" [").next().unwrap());
        without_tags.map(str::to_owned).collect()
    }

    /// The lines of a run's report that begin with `word`, without their time and file.
    pub fn lines(output: &Output, word: &str) -> Vec<String> {
        let text = stdout(output);
        let lines = text.lines().filter_map(|line| line.strip_prefix(word));
        let names = lines.filter_map(|line| line.split(": ").nth(1));
        names
            .map(|name| name.split(" (").next().unwrap().to_owned())
            .collect()
    }
}

/// Asserts the exit code and that the report has all `texts`.
pub fn assert_report(output: &Output, code: i32, texts: &[&str]) {
    let report = stdout(output) + &stderr(output);
    assert_eq!(output.status.code(), Some(code), "{report}");
    for text in texts {
        assert!(report.contains(text), "{text:?} is not in: {report}");
    }
}
