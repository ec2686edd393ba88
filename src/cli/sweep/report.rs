//! What is said of a sweep, while it goes on and at its end.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::options::Plan;
use crate::cli::output;
use crate::sweep::{Point, Swept};

/// The narrowest column of requests.
const WIDTH: usize = 22;

/// For how long nothing is shown of the progress.
const SILENT: Duration = Duration::from_secs(1);

/// Prints as it goes.
pub(super) struct Report<'a> {
    plan: &'a Plan,
    progress: ProgressBar,
    failed: u64,
    is_begun: bool,
}

impl<'a> Report<'a> {
    pub(super) fn start(plan: &'a Plan) -> Self {
        let progress = ProgressBar::with_draw_target(None, output::progress_target());
        if let Ok(style) = ProgressStyle::with_template("{msg}, {eta} left") {
            progress.set_style(style);
        }
        Self {
            plan,
            progress,
            failed: 0,
            is_begun: false,
        }
    }

    /// A run is over.
    pub(super) fn point(&mut self, point: &Point, done: u64, of: u64) {
        self.failed += u64::from(!point.passed);
        if self.plan.json {
            let line = serde_json::to_string(point).unwrap_or_default();
            self.print(&line);
        } else {
            if !self.is_begun {
                self.print(&format!("{:>6}  {:<WIDTH$}  verdict", "k", "request"));
            }
            self.print(&point.line(WIDTH));
        }
        self.is_begun = true;
        if self.progress.elapsed() >= SILENT {
            self.progress.set_length(of);
            let rate = done as f64 / self.progress.elapsed().as_secs_f64();
            let failed = self.failed;
            let text = format!("run {done} of {of}, {failed} failed, {rate:.1}/s");
            self.progress.set_message(text);
            self.progress.set_position(done);
        }
    }

    /// A signal has ended the sweep.
    pub(super) fn interrupted(&self) {
        self.progress.finish_and_clear();
        output::note("interrupted: the disk is as it was before the sweep");
    }

    /// All runs are over.
    pub(super) fn end(&self, swept: &Swept) {
        self.progress.finish_and_clear();
        if self.plan.json {
            let summary = json!({"summary": {
                "fault": swept.fault, "requests": swept.requests, "planned": swept.planned,
                "points": swept.points.len(), "failed": swept.failed(), "notes": swept.notes,
                "seconds": swept.seconds,
            }});
            return self.print(&summary.to_string());
        }
        self.print("");
        let again = |k| self.plan.again(k);
        swept
            .conclusion(again)
            .iter()
            .for_each(|line| self.print(line));
    }

    /// Prints a line. The reader of standard output may be gone.
    fn print(&self, line: &str) {
        self.progress.suspend(|| {
            let _ = writeln!(std::io::stdout(), "{line}");
        });
    }
}
