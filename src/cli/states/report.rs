//! What is said of states, while they are judged and at the end.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::options::Plan;
use crate::crash::{Group, Judged, Piece, Summary, Verdict};

/// Groups of bad states whose smallest loss is looked for: those of a checker that prints something else
/// each time are as many as its states.
pub(super) const SHRUNK: usize = 8;

/// Prints as it goes.
pub(super) struct Report<'a> {
    plan: &'a Plan,
    progress: ProgressBar,
}

impl<'a> Report<'a> {
    pub(super) fn start(plan: &'a Plan) -> Self {
        let progress = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{pos} states, {per_sec}, {msg}");
        progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        progress.enable_steady_tick(Duration::from_millis(200));
        Self { plan, progress }
    }

    /// A state has been judged.
    pub(super) fn state(&mut self, judged: &Judged, so_far: &Summary) {
        self.progress.inc(1);
        self.progress
            .set_message(self.place(judged.id.point, so_far));
        if self.plan.json {
            print(&of_state(judged).to_string());
        } else if self.plan.list {
            print(&judged.id.to_string());
        }
    }

    fn place(&self, point: usize, so_far: &Summary) -> String {
        format!(
            "{} bad, entry {point} of {}",
            so_far.bad(),
            self.plan.walk.to
        )
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
        for group in summary.groups.iter().take(SHRUNK) {
            self.print_group(group);
        }
        if let Some(more) = summary
            .groups
            .len()
            .checked_sub(SHRUNK)
            .filter(|more| *more > 0)
        {
            print(&format!(
                "... and {more} more ways to fail (--json names them all)"
            ));
        }
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

    fn print_group(&self, group: &Group) {
        let failure = &group.failure;
        let states = if group.states == 1 { "state" } else { "states" };
        print(&format!("BAD: {} {states}: {}", group.states, failure.how));
        for line in failure.output.lines().take(20) {
            print(&format!("  | {line}"));
        }
        let history = &self.plan.source.history;
        let lost: Vec<_> = group.lost.iter().map(place).collect();
        let lost = if lost.is_empty() {
            "nothing".into()
        } else {
            lost.join(", ")
        };
        print(&format!("  smallest loss: {lost}"));
        if let Some(mark) = history.mark_before(group.example.point) {
            print(&format!("  after the mark: {mark}"));
        }
        let log = self.plan.log.display();
        let tear = self.plan.walk.tear;
        let tear = tear
            .map(|tear| format!(" --tear {tear}"))
            .unwrap_or_default();
        print(&format!(
            "  again: provium states {log}{tear} --only {} --out bad.img",
            group.example
        ));
    }
}

/// `SECTOR+COUNT`.
fn place(piece: &Piece) -> String {
    let sectors = &piece.sectors;
    format!("{}+{}", sectors.start, sectors.end - sectors.start)
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
        "lost": group.lost.iter().map(place).collect::<Vec<_>>(),
    })
}

/// Prints a line. The reader of standard output may be gone.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
