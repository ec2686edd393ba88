//! A run as one HTML file, from the evidence folders of its tests.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::evidence::TestRecord;

/// A run that has ended.
#[derive(Clone, Debug)]
pub struct Run {
    /// The evidence folders of its tests, one for each try, in the order in which they ended.
    pub tests: Vec<PathBuf>,
    /// When it began.
    pub began: SystemTime,
    /// The same moment in seconds of the clock of dmesg.
    pub monotonic_began: f64,
    /// How long it took.
    pub seconds: f64,
    /// The command line that runs it again.
    pub command: String,
}

/// Writes the page of `run` to the file `to`.
pub fn write(run: &Run, to: &Path) -> io::Result<()> {
    let mut page = std::fs::File::create(to)?;
    writeln!(
        page,
        "<!doctype html><meta charset=utf-8><title>provium</title><ul>"
    )?;
    for folder in &run.tests {
        let test = TestRecord::read(folder)?;
        let name = format!("{}:{}: {}", test.file, test.line, test.name);
        let name = name.replace('&', "&amp;").replace('<', "&lt;");
        writeln!(page, "<li>{:?} {name}", test.outcome)?;
    }
    writeln!(page, "</ul>")
}
