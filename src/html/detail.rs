//! The evidence folder of a test.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::disk::{Disk, damaged, lines};
use super::lines::{Timed, plain_line, plain_text};
use crate::evidence::{CALLS_FILE, CONSOLE_PREFIX, DISKS_FOLDER, TEST_FILE, TestRecord};
use crate::units::text;

/// All that the page shows of one try of a test.
#[derive(Serialize)]
pub(super) struct Detail {
    pub(super) record: TestRecord,
    calls: Timed,
    consoles: Vec<Console>,
    disks: Vec<Disk>,
    /// What is missing or damaged.
    remarks: Vec<String>,
}

/// The console of a VM.
#[derive(Serialize)]
struct Console {
    vm: String,
    lines: Timed,
}

impl Detail {
    /// Reads the folder of a test.
    pub(super) fn read(folder: &Path) -> Self {
        let mut remarks = Vec::new();
        let record = TestRecord::read(folder).unwrap_or_else(|error| {
            remarks.push(format!("{TEST_FILE}: {error}"));
            TestRecord {
                name: format!("{} (its {TEST_FILE} cannot be read)", text::path(folder)),
                ..TestRecord::default()
            }
        });
        let calls = lines(&folder.join(CALLS_FILE), CALLS_FILE, &mut remarks);
        let (calls, bad) = Timed::spans(&calls);
        damaged(CALLS_FILE, bad, &mut remarks);
        let consoles = entries(folder).into_iter().filter_map(|path| {
            let name = file_name(&path);
            let vm = name.strip_prefix(CONSOLE_PREFIX)?.to_owned();
            let lines = Timed::moments(&lines(&path, &name, &mut remarks));
            Some(Console { vm, lines })
        });
        let consoles = consoles.collect();
        let disks = entries(&folder.join(DISKS_FOLDER)).into_iter();
        let disks = disks.filter(|path| path.is_dir());
        let disks = disks
            .map(|path| Disk::read(&path, file_name(&path), &mut remarks))
            .collect();
        Self {
            record: plain(record),
            calls,
            consoles,
            disks,
            remarks,
        }
    }
}

/// `record` with texts that control no terminal, and numbers that JSON has.
fn plain(record: TestRecord) -> TestRecord {
    let number = |seconds: f64| if seconds.is_finite() { seconds } else { 0.0 };
    TestRecord {
        file: plain_line(&record.file),
        name: plain_line(&record.name),
        tags: record.tags.iter().map(|tag| plain_line(tag)).collect(),
        message: plain_text(&record.message),
        command: plain_line(&record.command),
        seconds: number(record.seconds),
        began: number(record.began),
        ended: number(record.ended),
        ..record
    }
}

/// What a folder has, sorted; nothing if it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> String {
    text::shown(path.file_name().unwrap_or_default())
}
