//! What is said of states, while they are judged and at the end.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::options::Plan;
use crate::cli::output;
use crate::crash::{Group, Judged, Piece, Summary, Verdict};

/// What is shown while the data of the log are read.
pub(super) fn reading(requests: usize) -> ProgressBar {
    let progress = ProgressBar::with_draw_target(Some(requests as u64), output::progress_target());
    styled(
        &progress,
        "reading the log: entry {pos} of {len}, {eta} left",
    );
    progress
}

fn styled(progress: &ProgressBar, template: &str) {
    let style = ProgressStyle::with_template(template);
    progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    progress.enable_steady_tick(Duration::from_millis(200));
}

/// Prints as it goes.
pub(super) struct Report<'a> {
    plan: &'a Plan,
    progress: ProgressBar,
}

impl<'a> Report<'a> {
    pub(super) fn start(plan: &'a Plan) -> Self {
        let entries = plan.walk.to - plan.walk.from;
        let progress =
            ProgressBar::with_draw_target(Some(entries as u64), output::progress_target());
        styled(&progress, "{msg}, {eta} left");
        Self { plan, progress }
    }

    /// A state has been judged.
    pub(super) fn state(&mut self, judged: &Judged, so_far: &Summary) {
        let entry = judged.id.point;
        self.progress
            .set_position((entry - self.plan.walk.from) as u64);
        self.progress.set_message(self.place(entry, so_far));
        if self.plan.json {
            print(&of_state(judged).to_string());
        } else if self.plan.list {
            print(&judged.id.to_string());
        }
    }

    fn place(&self, entry: usize, so_far: &Summary) -> String {
        let states = so_far.distinct();
        let rate = states as f64 / self.progress.elapsed().as_secs_f64().max(0.001);
        let (bad, last) = (so_far.bad(), self.plan.walk.to);
        format!("{states} states, {rate:.0}/s, {bad} bad, entry {entry} of {last}")
    }

    /// All have been judged.
    pub(super) fn end(self, summary: &Summary, states: u64, checks: u64) {
        self.progress.finish_and_clear();
        if self.plan.json {
            let groups: Vec<_> = summary.groups.iter().map(of_group).collect();
            let summary = json!({"summary": {
                "states": states, "distinct": summary.distinct(), "good": summary.good,
                "bad": summary.bad(), "unchecked": summary.unchecked, "checks": checks,
                "seed": self.plan.walk.seed, "groups": groups,
            }});
            return print(&summary.to_string());
        }
        if !self.plan.list {
            self.print(summary, states, checks);
        }
    }

    fn print(&self, summary: &Summary, states: u64, checks: u64) {
        let text = summary.text(&self.plan.source, self.plan.walk.tear);
        text.lines().for_each(print);
        let (distinct, seed) = (summary.distinct(), self.plan.walk.seed);
        print(&format!(
            "{states} states, {distinct} distinct (seed {seed})"
        ));
        if summary.unchecked > 0 {
            return print("none was checked: no --check was given");
        }
        let spared = distinct.saturating_sub(checks);
        print(&format!(
            "{} good, {} bad; {checks} checks, {spared} states spared",
            summary.good,
            summary.bad()
        ));
    }
}

fn of_state(judged: &Judged) -> Value {
    let verdict = match &judged.verdict {
        None => "unchecked",
        Some(Verdict::Good) => "good",
        Some(Verdict::Bad(_)) => "bad",
    };
    json!({
        "id": judged.id.to_string(), "point": judged.id.point,
        "lost": judged.id.subset.lost().collect::<Vec<_>>(), "verdict": verdict,
        "code": judged.verdict.as_ref().and_then(Verdict::code),
    })
}

fn of_group(group: &Group) -> Value {
    json!({
        "how": group.failure.how, "code": group.failure.code, "output": group.failure.output,
        "states": group.states, "example": group.example.to_string(),
        "lost": group.lost.iter().map(Piece::to_string).collect::<Vec<_>>(),
    })
}

/// Prints a line. The reader of standard output may be gone.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
