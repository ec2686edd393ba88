//! The folder of a disk.

use std::path::Path;

use serde::Serialize;

use super::lines::{Lines, plain_line};
use super::trace::{InFlight, Trace};
use crate::evidence::{DISK_FILE, DiskRecord};
use crate::protocol::{Counts, Remark, RulesLine, StatLine};

/// Of longer lists of lines this many are shown.
const MOST_LINES: usize = 1000;

/// A disk, as the page takes it.
#[derive(Serialize)]
pub(super) struct Disk {
    /// The name of its folder.
    name: String,
    record: DiskRecord,
    trace: Trace,
    in_flight: InFlight,
    rules: Vec<Rule>,
    stats: Vec<(String, u64)>,
    damage: Vec<String>,
    pending: Vec<String>,
}

/// A line of `rules`.
#[derive(Serialize)]
struct Rule {
    text: String,
    fired: Option<u64>,
    matched: Option<u64>,
    considered: Option<u64>,
    left: Option<u64>,
    /// Why it never acts, or what else a user should know.
    remark: String,
}

impl Disk {
    /// Reads the folder of a disk. What is wrong with it is added to `remarks`.
    pub(super) fn read(folder: &Path, name: String, remarks: &mut Vec<String>) -> Self {
        let record = DiskRecord::read(folder).unwrap_or_else(|error| {
            remarks.push(format!("{name}/{DISK_FILE}: {error}"));
            DiskRecord::default()
        });
        let mut reader = Reader {
            folder,
            name: &name,
            remarks,
        };
        let trace = Trace::of(&reader.lines("trace"));
        reader.damaged("trace", trace.bad);
        let (in_flight, bad) = InFlight::of(&reader.lines("inflight"));
        reader.damaged("inflight", bad);
        let rules = reader.lines("rules");
        let (stats, bad) = stats(&reader.lines("stats"));
        reader.damaged("stats", bad);
        let (damage, pending) = (reader.shown("damage"), reader.shown("pending"));
        Self {
            record: DiskRecord {
                image: plain_line(&record.image),
                cache: plain_line(record.cache.trim()),
                ..record
            },
            trace,
            in_flight,
            rules: rules.iter().take(MOST_LINES).map(rule).collect(),
            stats,
            damage,
            pending,
            name,
        }
    }
}

/// Reads files of a folder, and remembers what is wrong with them.
struct Reader<'a> {
    folder: &'a Path,
    name: &'a str,
    remarks: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn lines(&mut self, file: &str) -> Lines {
        let name = format!("{}/{file}", self.name);
        lines(&self.folder.join(file), &name, self.remarks)
    }

    fn damaged(&mut self, file: &str, bad: usize) {
        damaged(&format!("{}/{file}", self.name), bad, self.remarks);
    }

    /// The lines of a file, as they are.
    fn shown(&mut self, file: &str) -> Vec<String> {
        let lines = self.lines(file);
        let mut shown: Vec<_> = lines.iter().take(MOST_LINES).map(plain_line).collect();
        let more = lines.iter().count() - shown.len();
        if more > 0 {
            shown.push(format!("... and {more} more"));
        }
        shown
    }
}

/// The lines of a file. What is wrong with it is added to `remarks`.
pub(super) fn lines(path: &Path, name: &str, remarks: &mut Vec<String>) -> Lines {
    let lines = Lines::read(path).unwrap_or_else(|error| {
        remarks.push(format!("{name}: {error}"));
        Lines::default()
    });
    if lines.skipped > 0 {
        let skipped = lines.skipped;
        remarks.push(format!(
            "{name} is long: its first {skipped} bytes are left out"
        ));
    }
    lines
}

/// Adds to `remarks` how many lines of a file could not be read, if any.
pub(super) fn damaged(name: &str, bad: usize, remarks: &mut Vec<String>) {
    match bad {
        0 => {}
        1 => remarks.push(format!("{name}: a damaged line is left out")),
        _ => remarks.push(format!("{name}: {bad} damaged lines are left out")),
    }
}

/// A line that cannot be read is shown as it is.
fn rule(line: &str) -> Rule {
    let unknown = Rule {
        text: plain_line(line),
        fired: None,
        matched: None,
        considered: None,
        left: None,
        remark: String::new(),
    };
    let Ok(line) = line.parse() else {
        return unknown;
    };
    match line {
        RulesLine::Off => Rule {
            remark: "all rules are switched off".into(),
            ..unknown
        },
        RulesLine::Rule(line) => {
            let Counts {
                considered,
                matched,
                fired,
            } = line.counts;
            Rule {
                text: plain_line(&line.rule),
                fired: Some(fired),
                matched: Some(matched),
                considered: Some(considered),
                left: line.left,
                remark: match &line.remark {
                    Some(Remark::Never(why)) => format!("never acts: {}", plain_line(why)),
                    Some(Remark::Note(note)) => plain_line(note),
                    None => String::new(),
                },
            }
        }
    }
}

/// The counters of `stats` that are not 0, and how many lines are something else.
fn stats(lines: &Lines) -> (Vec<(String, u64)>, usize) {
    let (mut stats, mut bad) = (Vec::new(), 0);
    for line in lines.iter().filter(|line| !line.is_empty()) {
        match line.parse::<StatLine>() {
            Ok(StatLine { value: 0, .. }) => {}
            Ok(StatLine { key, value }) => stats.push((key.to_string(), value)),
            Err(_) => bad += 1,
        }
    }
    (stats, bad)
}
