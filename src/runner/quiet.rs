//! What `-q` leaves of a report: what did not pass.

use std::io;

use super::report::{Report, Reporter};
use crate::events::{Event, Outcome};

/// Passes on to a reporter what did not pass, and the end of a run in which something did not.
pub struct QuietReporter<R>(pub R);

impl<R: Reporter> Reporter for QuietReporter<R> {
    fn report(&mut self, report: &Report) -> io::Result<()> {
        match is_said(report) {
            true => self.0.report(report),
            false => Ok(()),
        }
    }
}

fn is_said(report: &Report) -> bool {
    match report {
        Report::Began { .. } => true,
        Report::Event(_, _, event) => match event {
            Event::Finished { outcome, .. } => match outcome {
                Outcome::Failed { .. } | Outcome::NotRun { .. } => true,
                Outcome::Passed | Outcome::Skipped { .. } => false,
            },
            Event::FileFailed { .. } | Event::FileNotRun { .. } | Event::Kept { .. } => true,
            _ => false,
        },
        Report::Output(..) => true,
        Report::Ended(summary) => !summary.unfinished.is_empty() || summary.stopped.is_some(),
    }
}
