//! What a test leaves when it ends: the explanation of its failure, and its folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::events::{EvidenceOrder, Outcome, TestInfo};
use crate::evidence::{
    self, Evidence, Seeds, TestOutcome, TestRecord, command_line, folder_name, keep_faults,
    write_test,
};
use crate::os::sys;
use crate::script::context::Context;

/// One try of a test, from its beginning.
pub(super) struct Leaving<'a> {
    context: &'a Context,
    order: &'a EvidenceOrder,
    test: TestInfo,
    started: Instant,
    /// In seconds of the clock of dmesg.
    began: f64,
}

impl<'a> Leaving<'a> {
    /// A test begins; or a file, with the test [`evidence::FILE_TEST`].
    pub(super) fn begin(context: &'a Context, order: &'a EvidenceOrder, test: TestInfo) -> Self {
        let leaving = Self {
            context,
            order,
            test,
            started: Instant::now(),
            began: sys::monotonic().as_secs_f64(),
        };
        if let (Some(watcher), Some(scratch)) = (context.watcher(), &order.scratch) {
            watcher.begin_test(scratch.join(leaving.folder_name()));
        }
        leaving
    }

    /// The test has ended so, or it has failed with an error. Its VMs are still there. Returns how it ended, with an
    /// explanation if it failed, and the folder that it leaves.
    pub(super) fn end(self, outcome: Result<Outcome, String>) -> (Outcome, Option<PathBuf>) {
        let watcher = self.context.watcher();
        if let Some(watcher) = watcher {
            watcher.end_test();
        }
        let wanted = outcome.is_err() || self.order.all;
        let found = watcher.filter(|_| wanted).map(|watcher| watcher.evidence());
        let found = found.unwrap_or_default();
        let ended = sys::monotonic().as_secs_f64();
        let all = self.order.scratch.as_ref().filter(|_| self.order.all);
        match outcome {
            Ok(outcome) => {
                let record = self.record(&found, &outcome, "", ended);
                let folder = all.and_then(|folder| self.write(folder, &found, &record, None));
                (outcome, folder)
            }
            Err(message) => {
                let reason = evidence::reason(&message, &found);
                let brief = evidence::brief(&found, ended);
                let message = [reason.as_str(), &brief].join("\n").trim_end().to_owned();
                let folder = self.order.artifacts.as_ref().or(all);
                let outcome = Outcome::Failed { message };
                let record = self.record(&found, &outcome, &reason, ended);
                let error = outcome.message();
                let folder = folder.and_then(|folder| self.write(folder, &found, &record, error));
                let faults = self.order.faults.as_ref();
                let faults = faults.map(|parent| keep_faults(parent, &record, &found));
                let outcome = self
                    .order
                    .named(outcome, folder.as_deref(), faults.as_deref());
                (outcome, folder)
            }
        }
    }

    fn folder_name(&self) -> String {
        let EvidenceOrder { round, attempt, .. } = *self.order;
        folder_name(&self.context.file(), &self.test.name, round, attempt)
    }

    /// Writes the folder of the test; None, and a message, if that fails.
    fn write(
        &self,
        parent: &Path,
        found: &Evidence,
        record: &TestRecord,
        error: Option<&str>,
    ) -> Option<PathBuf> {
        let folder = parent.join(self.folder_name());
        if let Err(error) = write_test(&folder, record, found, error) {
            eprintln!("provium: cannot write {}: {error}", folder.display());
            return None;
        }
        Some(folder)
    }

    fn record(&self, found: &Evidence, outcome: &Outcome, reason: &str, ended: f64) -> TestRecord {
        let (kind, message) = match outcome {
            Outcome::Passed => (TestOutcome::Passed, ""),
            Outcome::Failed { .. } => (TestOutcome::Failed, reason),
            Outcome::Skipped { reason } => (TestOutcome::Skipped, reason.as_str()),
            Outcome::NotRun { reason } => (TestOutcome::NotRun, reason.as_str()),
        };
        let file = self.context.file();
        TestRecord {
            line: self.test.line,
            name: self.test.name.clone(),
            tags: self.test.tags.clone(),
            round: self.order.round,
            attempt: self.order.attempt,
            outcome: kind,
            seconds: self.started.elapsed().as_secs_f64(),
            began: self.began,
            ended,
            message: message.to_owned(),
            versions: self.versions(),
            seeds: Seeds {
                rules: found.seeds(),
                shuffle: self.order.shuffle,
            },
            command: command_line(&self.order.command, &file, Some(&self.test.name)),
            file,
        }
    }

    fn versions(&self) -> BTreeMap<String, String> {
        let ours = ("provium".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let mut versions = BTreeMap::from([ours]);
        for vm in self.context.scope() {
            if let Ok(vm) = vm.try_borrow() {
                versions.extend(vm.versions());
            }
        }
        versions
    }
}
