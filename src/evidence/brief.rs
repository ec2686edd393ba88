//! The short report of a failure, for a terminal: a reader should not have to scroll.

use super::Evidence;
use super::console_lines::{console_lines, reboot};
use super::disk::DiskEvidence;
use super::io_lines::io_lines;
use super::lines::cut;
use super::traceback::without_short_traceback;
use crate::client::Stats;
use crate::protocol::{DamageLine, DiskFile, DiskGauge, InFlightLine, Remark, RuleLine, RulesLine};
use crate::units::ordinal;

/// Lines of each kind that are shown of a disk.
const MOST_LINES: usize = 4;
/// Disks, and consoles, that are shown.
const MOST: usize = 4;
/// A call that was made more often in a row is shown even if it has not failed.
const REPEATED: u64 = 2;
/// What stands before the lines of a console in an error.
const CONSOLE_IN_ERROR: &str = "the guest's console ends with:";
/// Parts of the errors that say that something took too long.
const TIME_OUTS: [&str; 5] = [
    "time is up",
    "time was up",
    "timed out",
    "timed_out",
    " within ",
];

/// The request that has been held for longest, in a sentence that says how to let it go.
pub fn held(disks: &[DiskEvidence]) -> Option<String> {
    let held = disks.iter().flat_map(|disk| {
        let lines = waiting(disk).into_iter();
        lines.map(move |line| (line, disk))
    });
    let held = held.filter(|(line, _)| line.rules.starts_with("hang"));
    let (line, disk) = held.max_by_key(|(line, _)| line.age)?;
    let rule = cut(&line.rules);
    let shorter = if line.rules.contains("max=") {
        "a shorter "
    } else {
        ""
    };
    let seconds = line.age.as_secs_f64();
    Some(format!(
        "{} of sector {} of disk {} has been held for {seconds:.1} s by rule `{rule}`: release it, or give the rule \
         {shorter}max=",
        line.op, line.sector, disk.record.id
    ))
}

/// The error `message` of a test as its report shows it: with the request that it waited for, if it took too long, and
/// without what the report shows anyway.
pub fn reason(message: &str, evidence: &Evidence) -> String {
    let has_console = evidence
        .consoles
        .iter()
        .any(|console| !console.lines.is_empty());
    let mut lines: Vec<&str> = message.lines().collect();
    if has_console {
        lines.retain(|line| !line.starts_with("  | ") && !line.ends_with(CONSOLE_IN_ERROR));
    }
    let message = without_short_traceback(&lines).join("\n");
    let message = message.trim_end().to_owned();
    let took_too_long = TIME_OUTS.iter().any(|text| message.contains(text));
    let held = held(&evidence.disks).filter(|_| took_too_long);
    // A guest that boots has not rebooted.
    let boots = evidence
        .calls
        .last()
        .is_some_and(|call| call.contains(":boot("));
    let first = held.or_else(|| reboot(&evidence.consoles).filter(|_| !boots));
    match first {
        Some(first) => format!("{first}\n{message}"),
        None => message,
    }
}

/// What is known about a failed test besides its error; empty if that is nothing. `ended` is when it ended, in seconds of
/// the clock of dmesg.
pub fn brief(evidence: &Evidence, ended: f64) -> String {
    let mut lines: Vec<String> = call(evidence).into_iter().collect();
    let (telling, silent): (Vec<_>, Vec<_>) =
        evidence.disks.iter().partition(|disk| has_to_tell(disk));
    let shown = telling.iter().take(MOST);
    lines.extend(shown.flat_map(|disk| disk_lines(disk, ended)));
    let others = telling.len().saturating_sub(MOST);
    lines
        .extend((others > 0).then(|| format!("and {others} more disks with rules or failed I/Os")));
    lines.extend(silent.iter().take(MOST).map(|disk| silent_line(disk)));
    let consoles = evidence.consoles.iter();
    let consoles = consoles.filter(|console| !console.lines.is_empty());
    lines.extend(consoles.take(MOST).flat_map(console_lines));
    lines.join("\n")
}

/// The call that failed, or is under way, if that is the latest one.
fn call(evidence: &Evidence) -> Option<String> {
    let line = evidence.calls.last()?;
    let mut words = line.splitn(3, ' ');
    let millis: f64 = words.nth(1)?.parse().ok()?;
    let text = words.next()?;
    let seconds = millis / 1000.0;
    let (call, how) = match (text.strip_suffix(" ..."), text.rsplit_once(" -> ")) {
        (Some(call), _) => (call, "for"),
        (None, Some((call, _))) => (call, "after"),
        (None, None) => (text, ""),
    };
    let before = evidence.calls.iter().rev().skip(1);
    let same = before.take_while(|line| line.splitn(3, ' ').nth(2) == Some(call));
    let same = same.count() as u64;
    let times = match same {
        0 => String::new(),
        same => format!(", the {} such call in a row", ordinal(same + 1)),
    };
    match how {
        // A call that is repeated is one that waits.
        "" if same < REPEATED => None,
        "" => Some(format!("the latest call: {call}, {seconds:.1} s{times}")),
        how => Some(format!("in {call}, {how} {seconds:.1} s{times}")),
    }
}

/// Whether anything happened to the disk that reads and writes alone do not do.
fn has_to_tell(disk: &DiskEvidence) -> bool {
    let texts = [DiskFile::Rules, DiskFile::Damage];
    let has_text = texts.iter().any(|file| !disk.text(*file).trim().is_empty());
    has_text || !waiting(disk).is_empty() || io_lines(&disk.trace, 0.0).has_faults
}

fn silent_line(disk: &DiskEvidence) -> String {
    let count = io_lines(&disk.trace, 0.0).count;
    let are = match count {
        0 => "no I/O".to_owned(),
        1 => "1 I/O, done".to_owned(),
        count => format!("{count} I/Os, all done"),
    };
    format!("disk {}: {are}; no rule is armed", disk.name())
}

fn disk_lines(disk: &DiskEvidence, ended: f64) -> Vec<String> {
    let mut lines = vec![format!("disk {}:", disk.name())];
    let parts = [rules(disk), in_flight(disk), damage(disk)];
    for part in parts {
        let others = part.len().saturating_sub(MOST_LINES);
        lines.extend(
            part.into_iter()
                .take(MOST_LINES)
                .map(|line| format!("  {line}")),
        );
        lines.extend((others > 0).then(|| format!("  and {others} more")));
    }
    let stats = Stats::parse(disk.text(DiskFile::Stats));
    let pending = stats.gauge(DiskGauge::PendingRequests);
    if pending > 0 {
        lines.push(format!(
            "  {pending} requests are answered and not durable: they are in the write cache alone"
        ));
    }
    let ios = io_lines(&disk.trace, ended);
    if ios.count > 0 {
        lines.push(match ios.count {
            1 => "  its only I/O, in seconds before the end:".to_owned(),
            count => format!("  of its {count} I/Os, in seconds before the end:"),
        });
        lines.extend(ios.shown.iter().map(|line| format!("    {line}")));
    }
    lines
}

/// The armed rules with their counters.
fn rules(disk: &DiskEvidence) -> Vec<String> {
    let lines = disk.text(DiskFile::Rules).lines();
    let line = |line: &str| match line.parse() {
        Ok(RulesLine::Off) => "all rules are switched off".to_owned(),
        Ok(RulesLine::Rule(rule)) => rule_line(&rule),
        Err(_) => cut(line),
    };
    lines.map(line).collect()
}

fn rule_line(line: &RuleLine) -> String {
    let counts = line.counts;
    let rule = cut(&line.rule);
    let fired = match (counts.fired, counts.matched, counts.considered) {
        (0, _, 0) => "has not fired: no request of its kind and place came".to_owned(),
        (0, 0, considered) => {
            format!("has not fired: none of {considered} requests of its kind matched")
        }
        (0, matched, _) => {
            format!("has not fired: {matched} requests matched, and were passed over")
        }
        (fired, matched, _) => format!("fired {fired}x ({matched} matched)"),
    };
    match &line.remark {
        Some(Remark::Never(why)) => format!("rule `{rule}` can never act: {why}"),
        Some(Remark::Note(note)) => format!("rule `{rule}` {fired} ({note})"),
        None => format!("rule `{rule}` {fired}"),
    }
}

/// The requests that wait for a rule, longest waiting first.
fn waiting(disk: &DiskEvidence) -> Vec<InFlightLine<'static>> {
    let lines = disk.text(DiskFile::Inflight).lines();
    let lines = lines.filter_map(|line| line.parse::<InFlightLine<'_>>().ok());
    lines.filter(|line| line.waits_for().is_some()).collect()
}

fn in_flight(disk: &DiskEvidence) -> Vec<String> {
    let line = |line: InFlightLine<'static>| {
        let InFlightLine {
            op, sector, count, ..
        } = line;
        let (age, rules) = (line.age.as_secs_f64(), cut(&line.rules));
        format!("in flight for {age:.1} s: {op} {sector}+{count}, by `{rules}`")
    };
    waiting(disk).into_iter().map(line).collect()
}

fn damage(disk: &DiskEvidence) -> Vec<String> {
    let lines = disk.text(DiskFile::Damage).lines();
    let line = |line: &str| match line.parse() {
        Ok(DamageLine::Sectors {
            sector,
            count,
            what,
            rule,
        }) => format!("damaged: {sector}+{count} {what}, by `{}`", cut(&rule)),
        _ => cut(line),
    };
    lines.map(line).collect()
}
