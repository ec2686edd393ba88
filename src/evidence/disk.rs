//! A disk as evidence: what its control files say, and the end of its trace.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, io};

use super::decision_lines::decisions;
use super::lines::joined;
use super::{ATTACHED_AGAIN, DISK_FILE, DiskRecord, REPLAY_FILE};
use crate::client::{DiskControl, MountClient};
use crate::fault::replay_at_once;
use crate::protocol::DiskFile;

/// The control files that are kept as they read.
const TEXTS: [DiskFile; 5] = [
    DiskFile::Rules,
    DiskFile::Stats,
    DiskFile::Damage,
    DiskFile::Pending,
    DiskFile::Inflight,
];
/// How long a mount may take to answer for all disks together. It answers whatever hangs, unless its server is stopped.
const PATIENCE: Duration = Duration::from_secs(3);

/// A disk of a test: what is known about it at the end of the test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskEvidence {
    /// What identifies it.
    pub record: DiskRecord,
    /// What its control files said, with their names; empty once it was detached.
    pub(super) texts: Vec<(&'static str, String)>,
    /// The lines of its trace that are kept.
    pub trace: Vec<String>,
    /// The lines of its decisions, where they were recorded.
    pub decisions: Vec<String>,
}

/// The name of the folder of a disk, and of the disk in reports.
pub fn disk_name(vm: Option<&str>, id: &str) -> String {
    vm.map_or_else(|| id.to_owned(), |vm| format!("{vm}.{id}"))
}

impl DiskEvidence {
    /// What is known about a disk that cannot be asked.
    pub(super) fn without_answers(vm: Option<&str>, id: &str) -> Self {
        let record = DiskRecord {
            id: id.to_owned(),
            vm: vm.map(str::to_owned),
            ..DiskRecord::default()
        };
        Self {
            record,
            ..Self::default()
        }
    }

    /// Asks the control files of a disk.
    fn ask(vm: Option<&str>, control: &DiskControl) -> Self {
        let mut found = Self::without_answers(vm, control.id());
        let line = |file| {
            let text = control.read(file).unwrap_or_default();
            text.lines().next().unwrap_or_default().to_owned()
        };
        found.record.size = line(DiskFile::Size).parse().unwrap_or_default();
        found.record.seed = line(DiskFile::Seed).parse().unwrap_or_default();
        found.record.image = line(DiskFile::Image);
        found.record.cache = line(DiskFile::Cache);
        let texts = TEXTS.into_iter();
        found.texts = texts
            .filter_map(|file| Some((file.name(), control.read(file).ok()?)))
            .collect();
        found
    }

    /// Its name in reports.
    pub fn name(&self) -> String {
        disk_name(self.record.vm.as_deref(), &self.record.id)
    }

    /// What its control file said; empty if it is not known.
    pub(super) fn text(&self, file: DiskFile) -> &str {
        let mut texts = self.texts.iter();
        let text = texts.find(|(name, _)| *name == file.name());
        text.map_or("", |(_, text)| text)
    }

    /// Takes over what another look at the same disk has found.
    pub(super) fn add(&mut self, other: Self) {
        if !other.texts.is_empty() {
            self.texts = other.texts;
            self.record = other.record;
        }
        if !other.trace.is_empty() {
            self.trace = other.trace;
        }
        if !other.decisions.is_empty() {
            self.decisions = other.decisions;
        }
    }

    /// Takes the place of an earlier disk of the same name, of which the decisions are kept.
    pub(super) fn replace_by(&mut self, next: Self) {
        let mut decisions = std::mem::take(&mut self.decisions);
        decisions.push(ATTACHED_AGAIN.to_owned());
        decisions.extend(next.decisions);
        *self = Self { decisions, ..next };
    }

    /// Writes its folder into `folder`.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let folder = folder.join(self.name());
        fs::create_dir_all(&folder)?;
        self.record.write(&folder)?;
        for (name, text) in &self.texts {
            fs::write(folder.join(name), text)?;
        }
        fs::write(folder.join(DiskFile::Trace.name()), joined(&self.trace))?;
        self.write_decisions(&folder)
    }

    /// Writes the part of its folder that says what fired.
    pub(super) fn write_faults(&self, folder: &Path) -> io::Result<()> {
        let folder = folder.join(self.name());
        fs::create_dir_all(&folder)?;
        self.record.write(&folder)?;
        self.write_decisions(&folder)
    }

    /// How many faults were recorded.
    pub(super) fn fired(&self) -> usize {
        decisions(&self.decisions).len()
    }

    fn write_decisions(&self, folder: &Path) -> io::Result<()> {
        if self.decisions.is_empty() {
            return Ok(());
        }
        let replay = replay_at_once(&decisions(&self.decisions));
        fs::write(folder.join(REPLAY_FILE), joined(&replay))?;
        fs::write(
            folder.join(DiskFile::Decisions.name()),
            joined(&self.decisions),
        )
    }

    /// Reads it from its folder.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        let text = |file: DiskFile| fs::read_to_string(folder.join(file.name()));
        let lines = |file| {
            let text = text(file).unwrap_or_default();
            text.lines().map(str::to_owned).collect()
        };
        Ok(Self {
            record: serde_json::from_slice(&fs::read(folder.join(DISK_FILE))?)?,
            texts: TEXTS
                .into_iter()
                .filter_map(|file| Some((file.name(), text(file).ok()?)))
                .collect(),
            trace: lines(DiskFile::Trace),
            decisions: lines(DiskFile::Decisions),
        })
    }
}

/// A disk to ask, with the VM that has it.
type Asked = (Option<String>, DiskControl);

/// Asks the control files of disks, each with the VM that has it. Disks of a mount that does not answer in time are
/// left out.
pub(super) fn ask_disks(disks: Vec<Asked>) -> Vec<DiskEvidence> {
    ask(move || disks.into_iter())
}

/// Asks the control files of all disks of mounts, each with the VM that has it.
pub fn ask_mounts(mounts: Vec<(String, PathBuf)>) -> Vec<DiskEvidence> {
    let disks_of = |(vm, point): (String, PathBuf)| {
        let mount = MountClient::open(&point).ok();
        let disks = mount.and_then(|mount| mount.all().ok()).unwrap_or_default();
        disks.into_iter().map(move |disk| (Some(vm.clone()), disk))
    };
    ask(move || mounts.into_iter().flat_map(disks_of))
}

/// Disarms all rules of mounts, which lets go what they hold. Leaves out a mount that does not answer in time.
pub fn clear_mounts(mounts: Vec<(String, PathBuf)>) {
    within_patience(move |tx| {
        for (_, point) in mounts {
            let cleared = MountClient::open(&point).and_then(|mount| mount.clear());
            let _ = tx.send(cleared);
        }
    });
}

/// Asks the disks that `find` finds.
fn ask<I: Iterator<Item = Asked>>(find: impl FnOnce() -> I + Send + 'static) -> Vec<DiskEvidence> {
    within_patience(|tx| {
        for (vm, disk) in find() {
            let disk = DiskEvidence::ask(vm.as_deref(), &disk);
            if tx.send(disk).is_err() {
                return;
            }
        }
    })
}

/// What `work` sends until it ends or takes too long. It runs on a thread: one that is stuck with a stopped server is
/// left behind.
fn within_patience<T: Send + 'static>(
    work: impl FnOnce(mpsc::Sender<T>) + Send + 'static,
) -> Vec<T> {
    let (tx, rx) = mpsc::channel();
    let thread = std::thread::Builder::new().name("evidence".into());
    let spawned = thread.spawn(move || work(tx));
    let deadline = Instant::now() + PATIENCE;
    let left = || deadline.saturating_duration_since(Instant::now());
    let answers = std::iter::from_fn(|| rx.recv_timeout(left()).ok());
    spawned.map_or_else(|_| Vec::new(), |_| answers.collect())
}
