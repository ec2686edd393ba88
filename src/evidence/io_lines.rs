//! The I/Os of a disk that a short report shows: the last ones, and the last ones that a rule or an error touched.

use crate::protocol::{Answered, Completion, NO_RULES, Note, Noted, TraceLine};
use crate::units::text::printable;

/// Of each kind, how many are shown.
const MOST: usize = 4;

/// What a trace has to tell.
#[derive(Debug, Default)]
pub(super) struct IoLines {
    /// How many I/Os there were.
    pub(super) count: u64,
    /// Whether a rule or an error touched one of them, or the disk itself.
    pub(super) has_faults: bool,
    /// The lines to show; `...` stands for I/Os between them.
    pub(super) shown: Vec<String>,
}

/// What the lines of a trace have to tell. `ended` is the moment that times are counted back from.
pub(super) fn io_lines(trace: &[String], ended: f64) -> IoLines {
    let lines: Vec<TraceLine<'_>> = trace.iter().filter_map(|line| line.parse().ok()).collect();
    let count = |line: &TraceLine<'_>| match line {
        TraceLine::Answered(_) => 1,
        TraceLine::Lost(number) => *number,
        TraceLine::Noted(_) => 0,
    };
    let touched = |at: &usize| is_touched(&lines[*at]);
    let mut chosen: Vec<usize> = (0..lines.len()).rev().filter(touched).take(MOST).collect();
    let has_faults = !chosen.is_empty();
    chosen.extend((0..lines.len()).rev().take(MOST));
    chosen.sort_unstable();
    chosen.dedup();
    let mut shown = Vec::new();
    let mut next = None;
    for at in chosen {
        if next.is_some_and(|next| next != at) {
            shown.push("...".to_owned());
        }
        next = Some(at + 1);
        shown.push(line(&lines[at], ended));
    }
    IoLines {
        count: lines.iter().map(count).sum(),
        has_faults,
        shown,
    }
}

/// Whether a rule, an error or a loss of power had to do with it.
fn is_touched(line: &TraceLine<'_>) -> bool {
    match line {
        TraceLine::Answered(answered) => {
            answered.verdict.completion != Completion::Done || answered.rules != NO_RULES
        }
        TraceLine::Noted(noted) => matches!(noted.note, Note::Disk(_)),
        TraceLine::Lost(_) => false,
    }
}

fn line(line: &TraceLine<'_>, ended: f64) -> String {
    match line {
        TraceLine::Answered(answered) => io_line(answered, ended),
        TraceLine::Noted(Noted { time, note, .. }) => {
            let note = printable(&note.to_string());
            format!("{:8.3}  {note}", time.as_secs_f64() - ended)
        }
        TraceLine::Lost(_) => "...".to_owned(),
    }
}

fn io_line(answered: &Answered<'_>, ended: f64) -> String {
    let Answered {
        op,
        sector,
        count,
        verdict,
        rules,
        ..
    } = answered;
    let before = answered.time.as_secs_f64() - ended;
    let millis = answered.latency.as_secs_f64() * 1000.0;
    let place = format!("{sector}+{count}");
    let by = match &**rules {
        NO_RULES => String::new(),
        rules => format!(", by `{}`", printable(rules)),
    };
    format!("{before:8.3}  {op} {place}: {verdict} after {millis:.1} ms{by}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_lines_are_the_last_ones_and_the_last_that_a_rule_touched() {
        let mut trace = vec!["# 7 lines were lost".to_owned()];
        for n in 1..=50 {
            trace.push(match n {
                10 => format!("{n} 10.000000 read 8 1 EIO 0.100ms error op=read errno=EIO"),
                _ => format!("{n} {n}.000000 read {n} 1 ok 0.100ms -"),
            });
        }
        let found = io_lines(&trace, 51.0);
        assert_eq!(found.count, 57);
        assert!(found.has_faults);
        assert_eq!(
            found.shown,
            [
                " -41.000  read 8+1: EIO after 0.1 ms, by `error op=read errno=EIO`",
                "...",
                "  -4.000  read 47+1: ok after 0.1 ms",
                "  -3.000  read 48+1: ok after 0.1 ms",
                "  -2.000  read 49+1: ok after 0.1 ms",
                "  -1.000  read 50+1: ok after 0.1 ms",
            ]
        );
        assert!(!io_lines(&trace[..9], 51.0).has_faults);
    }
}
