//! What a running test has left so far, in a file: of a process that is killed, nothing else is left.
//!
//! The file grows to [`PART`], and then is the old one, which replaces the one before: so the end of a long test is
//! there. A line is an [`Entry`] in JSON; the last one may be half.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::calls::Calls;
use super::disk::{DiskEvidence, disk_name};
use super::kept::Kept;
use super::limits::Limits;
use super::{ConsoleEvidence, Evidence};

/// Bytes of a file.
const PART: u64 = 4 << 20;

/// What has happened in a test.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// The trace of a disk, or the list of its decisions, has these lines more.
    Disk {
        vm: Option<String>,
        id: String,
        are_decisions: bool,
        lines: Vec<String>,
    },
    /// A console has these lines more.
    Console { vm: String, lines: Vec<String> },
    /// What a console has shown is a boot's.
    Booted { vm: String },
    /// A call has begun.
    Called { began: f64, text: String },
    /// The call that began last has ended: its line.
    Returned { line: String },
}

/// The file of a test, which goes when this is dropped.
pub(super) struct Spool {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Spool {
    /// That of the test with this folder.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let path = new_file(folder);
        let file = File::create(&path)?;
        Ok(Self { path, file, len: 0 })
    }

    /// Adds an entry. An error costs the rest of what is kept for the case that this process is killed.
    pub(super) fn add(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        if self.len + line.len() as u64 > PART {
            fs::rename(&self.path, old_file(&self.path))?;
            self.file = File::create(&self.path)?;
            self.len = 0;
        }
        self.len += line.len() as u64;
        self.file.write_all(&line)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(old_file(&self.path));
    }
}

fn new_file(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".spool");
    name.into()
}

fn old_file(path: &Path) -> PathBuf {
    path.with_extension("spool-old")
}

/// What the killed process of the test with this folder has left.
pub fn salvage(folder: &Path, limits: Limits) -> Evidence {
    let path = new_file(folder);
    let files = [old_file(&path), path];
    let texts = files.map(|file| fs::read(file).unwrap_or_default());
    let lines = texts
        .iter()
        .flat_map(|text| text.split(|byte| *byte == b'\n'));
    let mut found = Found::new(limits);
    lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .for_each(|entry| found.add(entry));
    found.evidence()
}

/// The entries, put together.
struct Found {
    limits: Limits,
    disks: Vec<FoundDisk>,
    consoles: Vec<(String, Kept)>,
    calls: Calls,
}

struct FoundDisk {
    vm: Option<String>,
    id: String,
    trace: Kept,
    decisions: Kept,
}

impl Found {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            disks: Vec::new(),
            consoles: Vec::new(),
            calls: Calls::new(limits),
        }
    }

    fn kept(&self) -> Kept {
        Kept::new(self.limits.first, self.limits.last)
    }

    fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Disk {
                vm,
                id,
                are_decisions,
                lines,
            } => {
                let disk = self.disk(vm, id);
                let kept = match are_decisions {
                    true => &mut disk.decisions,
                    false => &mut disk.trace,
                };
                lines.into_iter().for_each(|line| kept.push(line));
            }
            Entry::Console { vm, lines } => {
                let kept = self.console_of(vm);
                lines.into_iter().for_each(|line| kept.push(line));
            }
            Entry::Booted { vm } => self.console_of(vm).clear(),
            Entry::Called { began, text } => self.calls.begin_at(began, text),
            Entry::Returned { line } => self.calls.end_as(line),
        }
    }

    fn disk(&mut self, vm: Option<String>, id: String) -> &mut FoundDisk {
        let is_it = |disk: &FoundDisk| disk.vm == vm && disk.id == id;
        let at = self.disks.iter().position(is_it).unwrap_or_else(|| {
            self.disks.push(FoundDisk {
                vm,
                id,
                trace: self.kept(),
                decisions: Kept::new(Limits::LONG.first, Limits::LONG.last),
            });
            self.disks.len() - 1
        });
        &mut self.disks[at]
    }

    fn console_of(&mut self, vm: String) -> &mut Kept {
        let at = self.consoles.iter().position(|console| console.0 == vm);
        let at = at.unwrap_or_else(|| {
            let kept = self.kept();
            self.consoles.push((vm, kept));
            self.consoles.len() - 1
        });
        &mut self.consoles[at].1
    }

    fn evidence(self) -> Evidence {
        let disks = self.disks.into_iter();
        let mut disks: Vec<_> = disks
            .map(|disk| DiskEvidence {
                trace: disk.trace.lines(),
                decisions: disk.decisions.lines(),
                ..DiskEvidence::without_answers(disk.vm.as_deref(), &disk.id)
            })
            .collect();
        disks.sort_by_key(|disk| disk_name(disk.record.vm.as_deref(), &disk.record.id));
        let consoles = self.consoles.into_iter();
        Evidence {
            disks,
            consoles: consoles
                .map(|(vm, lines)| ConsoleEvidence {
                    vm,
                    lines: lines.lines(),
                })
                .collect(),
            calls: self.calls.lines(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { first: 0, last: 3 };

    fn trace(n: usize, len: usize) -> Entry {
        Entry::Disk {
            vm: Some("a b".into()),
            id: "vda".into(),
            are_decisions: false,
            lines: vec![format!("{n} {}", "x".repeat(len))],
        }
    }

    /// Leaves the files as a process does that is killed.
    fn kill(spool: Spool) {
        std::mem::forget(spool);
    }

    #[test]
    fn spool_is_read_as_it_was_written_and_the_call_under_way_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let test = folder.path().join("a.test.lua-x");
        let mut spool = Spool::create(&test).unwrap();
        let console = |line: &str| Entry::Console {
            vm: "a b".into(),
            lines: vec![line.to_owned()],
        };
        let called = |text: &str| Entry::Called {
            began: 1.0,
            text: text.into(),
        };
        for entry in [
            console("1.0 of the boot"),
            Entry::Booted { vm: "a b".into() },
            called("vm a b:run(\"true\")"),
            Entry::Returned {
                line: "1.000000 2.000 vm a b:run(\"true\")".into(),
            },
            trace(1, 1),
            trace(2, 1),
            console("2.0 its own"),
            called("vm a b:run(\"kill\")"),
        ] {
            spool.add(&entry).unwrap();
        }
        spool.file.write_all(b"{\"trace\": ha").unwrap();
        kill(spool);
        let found = salvage(&test, LIMITS);
        assert_eq!(found.disks[0].name(), "a b.vda");
        assert_eq!(found.disks[0].trace, ["1 x", "2 x"]);
        assert_eq!(found.consoles[0].lines, ["2.0 its own"]);
        assert_eq!(found.calls[0], "1.000000 2.000 vm a b:run(\"true\")");
        assert!(
            found.calls[1].ends_with("vm a b:run(\"kill\") ..."),
            "{:?}",
            found.calls
        );
    }

    #[test]
    fn spool_of_a_long_test_keeps_its_end_and_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let test = folder.path().join("x");
        let mut spool = Spool::create(&test).unwrap();
        let lines = 100;
        (0..lines).for_each(|n| spool.add(&trace(n, PART as usize / 10)).unwrap());
        let size = |path: PathBuf| path.metadata().unwrap().len();
        let files = [new_file(&test), old_file(&new_file(&test))];
        assert!(files.clone().map(size).iter().all(|size| *size <= PART));
        let found = salvage(&test, LIMITS).disks.remove(0).trace;
        assert!(
            found[0].starts_with("# ") && found[0].ends_with(" lines were lost"),
            "{}",
            found[0]
        );
        let last = found
            .iter()
            .skip(1)
            .map(|line| line.split(' ').next().unwrap());
        assert_eq!(last.collect::<Vec<_>>(), ["97", "98", "99"]);
        drop(spool);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        assert_eq!(salvage(&test, LIMITS), Evidence::default());
    }
}
