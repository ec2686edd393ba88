//! What tests leave whose process cannot say so itself: it is stuck, or it has ended before them.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::events::{EvidenceOrder, Outcome, TestInfo};
use crate::evidence::{
    self, Evidence, FILE_TEST, Limits, Seeds, TestOutcome, TestRecord, command_line, folder_name,
    keep_faults, write_test,
};
use crate::os::sys;
use crate::units::text;

/// How long the process of a stuck test may take to write what it knows: longer only if it is stopped, or its disk is.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known about a test whose process does not end.
#[derive(Default)]
pub(super) struct Left {
    pub(super) evidence: Evidence,
    /// The ends of the consoles, for reports.
    pub(super) consoles: String,
}

/// The folders that the tests of a file leave.
pub(super) struct Folders {
    file: String,
    order: EvidenceOrder,
}

impl Folders {
    pub(super) fn new(file: &Path, order: &EvidenceOrder) -> Self {
        Self {
            file: text::path(file),
            order: order.clone(),
        }
    }

    fn name(&self, test: &str) -> String {
        let EvidenceOrder { round, attempt, .. } = self.order;
        folder_name(&self.file, test, round, attempt)
    }

    /// What the stuck process knows about its test, which has VMs with these mounts.
    pub(super) fn ask(&self, test: &str, mounts: Vec<(String, PathBuf)>) -> Evidence {
        let mut found = self.demand(test).unwrap_or_default();
        let disks = evidence::ask_mounts(mounts).into_iter();
        disks.for_each(|disk| found.add_disk(disk));
        found
    }

    /// What the process of a test has left that was killed, or has crashed.
    pub(super) fn salvage(&self, test: &str) -> Left {
        let limits = Limits::of(self.order.all || self.order.artifacts.is_some());
        let scratch = self.order.scratch.as_ref();
        let found =
            scratch.map(|scratch| evidence::salvage(&scratch.join(self.name(test)), limits));
        Left {
            evidence: found.unwrap_or_default(),
            consoles: String::new(),
        }
    }

    /// Has the process write what it knows; None if it does not.
    fn demand(&self, test: &str) -> Option<Evidence> {
        let folder = self.order.scratch.as_ref()?.join(self.name(test));
        Evidence::demand(&folder).ok()?;
        let deadline = Instant::now() + PATIENCE;
        while !Evidence::is_complete(&folder) {
            if Instant::now() >= deadline {
                return None;
            }
            sleep(Duration::from_millis(10));
        }
        Some(Evidence::read(&folder))
    }

    /// The message of a failed test, or of a file that failed without one, and the folder that it leaves.
    pub(super) fn failed(
        &self,
        test: Option<&TestInfo>,
        message: &str,
        left: &Left,
        seconds: f64,
    ) -> (String, Option<PathBuf>) {
        let ended = sys::monotonic().as_secs_f64();
        let reason = evidence::reason(message, &left.evidence);
        let has_consoles = left.evidence.consoles.iter().any(|it| !it.lines.is_empty());
        let consoles = if has_consoles { "" } else { &left.consoles };
        let brief = evidence::brief(&left.evidence, ended);
        let parts = [reason.as_str(), &brief, consoles];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let message = parts.join("\n");
        let whole_file = TestInfo {
            name: FILE_TEST.to_owned(),
            ..TestInfo::default()
        };
        let test = test.unwrap_or(&whole_file);
        let record = self.record(test, &reason, left, (ended - seconds, ended));
        let folder = self.write(&record, left, &message);
        let faults = self.order.faults.as_ref();
        let faults = faults.map(|parent| keep_faults(parent, &record, &left.evidence));
        let outcome = Outcome::Failed { message };
        match self
            .order
            .named(outcome, folder.as_deref(), faults.as_deref())
        {
            Outcome::Failed { message } => (message, folder),
            _ => (reason, folder),
        }
    }

    fn record(
        &self,
        test: &TestInfo,
        reason: &str,
        left: &Left,
        (began, ended): (f64, f64),
    ) -> TestRecord {
        let ours = ("provium".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        TestRecord {
            file: self.file.clone(),
            line: test.line,
            name: test.name.clone(),
            tags: test.tags.clone(),
            round: self.order.round,
            attempt: self.order.attempt,
            outcome: TestOutcome::Failed,
            seconds: ended - began,
            began,
            ended,
            message: reason.to_owned(),
            versions: [ours].into(),
            seeds: Seeds {
                rules: left.evidence.seeds(),
                shuffle: self.order.shuffle,
            },
            command: command_line(&self.order.command, &self.file, Some(&test.name)),
        }
    }

    fn write(&self, record: &TestRecord, left: &Left, message: &str) -> Option<PathBuf> {
        let all = self.order.scratch.as_ref().filter(|_| self.order.all);
        let parent = self.order.artifacts.as_ref().or(all)?;
        let folder = parent.join(self.name(&record.name));
        let written = write_test(&folder, record, &left.evidence, Some(message));
        if let Err(error) = &written {
            eprintln!("provium: cannot write {}: {error}", folder.display());
        }
        written.is_ok().then_some(folder)
    }
}

/// How a process has ended, behind "ended".
pub(super) fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("by signal {signal}"),
        (None, code) => format!("with exit code {}", code.unwrap_or(0)),
    }
}

/// What the report of a test says whose process got SIGKILL.
pub(super) const KILLED: &str =
    "\nsignal 9 is SIGKILL: if nobody sent it, the host ran out of memory, and its dmesg says so";

/// What may have ended a process so; empty if its end says it.
pub(super) fn cause(status: ExitStatus) -> &'static str {
    match status.signal() {
        Some(libc::SIGKILL) => KILLED,
        _ => "",
    }
}
