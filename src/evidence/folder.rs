//! The evidence of a test, and its folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::disk::DiskEvidence;
use super::lines::joined;
use super::{CALLS_FILE, CONSOLE_PREFIX, DISKS_FOLDER, ERROR_FILE, TestRecord, quoted};
use crate::units::text;
use crate::units::{counted, fnv};

/// What the name of a file beside the folder of a test ends with by which the runner demands its evidence, since the
/// process of the test is stuck. No signal: the kernel may give it to the thread that is stuck.
const DEMAND: &str = ".demand";
/// A file that appears once all others of a stuck test are written.
const COMPLETE: &str = "complete";
/// Characters of the name of a folder that are of the file, and of the test.
const LONGEST: usize = 60;

/// What a test leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Its disks, in the order in which they were attached.
    pub disks: Vec<DiskEvidence>,
    /// The consoles of its VMs.
    pub consoles: Vec<ConsoleEvidence>,
    /// Its calls, as lines of their file.
    pub calls: Vec<String>,
}

/// The console of a VM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsoleEvidence {
    /// The name of the VM.
    pub vm: String,
    /// The lines of the test's own, as `SECONDS TEXT`.
    pub lines: Vec<String>,
}

impl Evidence {
    /// Adds what is known about a disk.
    pub fn add_disk(&mut self, disk: DiskEvidence) {
        let name = disk.name();
        match self.disks.iter_mut().find(|other| other.name() == name) {
            Some(known) => known.add(disk),
            None => self.disks.push(disk),
        }
    }

    /// The seeds of its disks, by their names.
    pub fn seeds(&self) -> BTreeMap<String, u64> {
        let disks = self.disks.iter();
        disks.map(|disk| (disk.name(), disk.record.seed)).collect()
    }

    /// Writes it into the folder of a test.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let disks = folder.join(DISKS_FOLDER);
        fs::create_dir_all(&disks)?;
        fs::write(folder.join(CALLS_FILE), joined(&self.calls))?;
        for console in &self.consoles {
            let name = format!("{CONSOLE_PREFIX}{}", safe(&console.vm));
            fs::write(folder.join(name), joined(&console.lines))?;
        }
        self.disks.iter().try_for_each(|disk| disk.write(&disks))
    }

    /// Writes all of it, and then says so to [`is_complete`](Self::is_complete).
    pub(super) fn write_complete(&self, folder: &Path) -> io::Result<()> {
        self.write(folder)?;
        fs::write(folder.join(COMPLETE), "")
    }

    /// Demands it from the process of a test that is stuck; it goes to `folder`.
    pub fn demand(folder: &Path) -> io::Result<()> {
        fs::write(demand_file(folder), "")
    }

    /// Whether it was demanded.
    pub(super) fn is_demanded(folder: &Path) -> bool {
        demand_file(folder).exists()
    }

    /// Whether another process has written all of it; then it is read from the folder.
    pub fn is_complete(folder: &Path) -> bool {
        folder.join(COMPLETE).exists()
    }

    /// Reads the folder of a test, as far as it can be read.
    pub fn read(folder: &Path) -> Self {
        let _ = fs::remove_file(folder.join(COMPLETE));
        let lines = |path: PathBuf| {
            let text = fs::read_to_string(path).unwrap_or_default();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let console = |path: PathBuf| {
            let name = path.file_name()?.to_str()?;
            Some(ConsoleEvidence {
                vm: name.strip_prefix(CONSOLE_PREFIX)?.to_owned(),
                lines: lines(path.clone()),
            })
        };
        let disks = entries(&folder.join(DISKS_FOLDER)).into_iter();
        Self {
            disks: disks
                .filter_map(|disk| DiskEvidence::read(&disk).ok())
                .collect(),
            consoles: entries(folder).into_iter().filter_map(console).collect(),
            calls: lines(folder.join(CALLS_FILE)),
        }
    }
}

/// Writes the folder of a test: its record, its evidence and, if it failed, its error as the report shows it.
pub fn write_test(
    folder: &Path,
    record: &TestRecord,
    evidence: &Evidence,
    error: Option<&str>,
) -> io::Result<()> {
    remove(folder)?;
    evidence.write(folder)?;
    write_record(folder, record, error)
}

/// Keeps what fired on the disks of a failed test, in a folder in `parent`. Returns a sentence about it.
pub fn keep_faults(parent: &Path, record: &TestRecord, evidence: &Evidence) -> String {
    let fired: usize = evidence.disks.iter().map(DiskEvidence::fired).sum();
    if fired == 0 {
        return "no fault fired".to_owned();
    }
    let TestRecord {
        file,
        name,
        round,
        attempt,
        ..
    } = record;
    let folder = parent.join(folder_name(file, name, *round, *attempt));
    let shown = text::path(&folder);
    match write_faults(&folder, record, evidence) {
        Ok(()) => {
            let fired = counted(fired as u64, "fault");
            let again = format!("--shrink={shown}");
            let again = quoted(["provium", "test", &again].into_iter());
            format!("{fired} fired, kept in {shown}; which of them matter: {again}")
        }
        Err(error) => format!("cannot keep what fired in {shown}: {error}"),
    }
}

fn write_faults(folder: &Path, record: &TestRecord, evidence: &Evidence) -> io::Result<()> {
    remove(folder)?;
    let disks = folder.join(DISKS_FOLDER);
    fs::create_dir_all(&disks)?;
    for disk in &evidence.disks {
        disk.write_faults(&disks)?;
    }
    write_record(folder, record, Some(&record.message))
}

/// What an earlier run has left there is of another test.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write_record(folder: &Path, record: &TestRecord, error: Option<&str>) -> io::Result<()> {
    if let Some(error) = error {
        fs::write(folder.join(ERROR_FILE), format!("{error}\n"))?;
    }
    record.write(folder)
}

fn demand_file(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(DEMAND);
    name.into()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The name of the folder of a try of a test: of safe characters, and another one for each test, round and try.
pub fn folder_name(file: &str, test: &str, round: u32, attempt: u32) -> String {
    let hash = fnv(format!("{file}\0{test}").as_bytes()) as u32;
    let mut name = format!("{}-{}-{hash:08x}", safe(file), safe(test));
    if round > 1 {
        name += &format!("-round{round}");
    }
    if attempt > 1 {
        name += &format!("-try{attempt}");
    }
    name
}

/// A text as part of the name of a file: others than letters, digits, `.` and `_` become `-`.
fn safe(text: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
    let mut name = String::new();
    for c in text.trim_start_matches(['.', '/']).chars().take(LONGEST) {
        match is_safe(c) {
            true => name.push(c),
            false if name.ends_with('-') => {}
            false => name.push('-'),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_are_safe_and_differ_where_tests_do() {
        let name = folder_name("../a b/x.test.lua", "reads: \"ü\"/..\n", 1, 1);
        let is_safe = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        assert!(name.chars().all(is_safe), "{name}");
        assert!(name.starts_with("a-b-x.test.lua-reads-"), "{name}");
        let names = [
            folder_name("a", "x y", 1, 1),
            folder_name("a", "x-y", 1, 1),
            folder_name("a", "x y", 2, 1),
            folder_name("a", "x y", 1, 2),
        ];
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
    }

    #[test]
    fn evidence_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = DiskEvidence::without_answers(Some("a"), "vda");
        disk.trace = vec!["1 12.000345 read 1 8 ok 1.500ms -".into()];
        let evidence = Evidence {
            disks: vec![disk],
            consoles: vec![ConsoleEvidence {
                vm: "a".into(),
                lines: vec!["12.5 hello".into()],
            }],
            calls: vec!["12.0 500.0 vm a:run(\"true\")".into()],
        };
        assert!(!Evidence::is_complete(folder.path()));
        evidence.write_complete(folder.path()).unwrap();
        assert!(Evidence::is_complete(folder.path()));
        assert_eq!(Evidence::read(folder.path()), evidence);
    }
}
