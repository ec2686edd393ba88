//! The calls of a test on its VMs and disks.

use super::kept::Kept;
use super::limits::Limits;
use crate::os::sys;

/// The calls of a test, and the one that is under way.
pub(super) struct Calls {
    done: Kept,
    /// Those under way, outermost first, with the seconds at which they began.
    open: Vec<(f64, String)>,
}

impl Calls {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            done: Kept::new(limits.first, limits.last),
            open: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.done.clear();
        self.open.clear();
    }

    /// A call begins. Returns when.
    pub(super) fn begin(&mut self, text: String) -> f64 {
        let began = now();
        self.begin_at(began, text);
        began
    }

    pub(super) fn begin_at(&mut self, began: f64, text: String) {
        self.open.push((began, text));
    }

    /// The call that began last has ended. Returns its line.
    pub(super) fn end(&mut self, failed: Option<&str>) -> Option<String> {
        let (began, text) = self.open.last()?;
        let failed = failed.map(|why| format!(" -> {}", why.lines().next().unwrap_or(why)));
        let line = line(
            *began,
            now(),
            &format!("{text}{}", failed.unwrap_or_default()),
        );
        self.end_as(line.clone());
        Some(line)
    }

    /// The call that began last has ended with this line.
    pub(super) fn end_as(&mut self, line: String) {
        self.open.pop();
        self.done.push(line);
    }

    /// A line for each, `SECONDS MILLISECONDS TEXT`, in the order in which they ended.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = self.done.lines();
        let open = self.open.iter();
        lines.extend(open.map(|(began, text)| line(*began, now(), &format!("{text} ..."))));
        lines
    }
}

fn line(began: f64, ended: f64, text: &str) -> String {
    format!("{began:.6} {:.3} {text}", (ended - began) * 1000.0)
}

fn now() -> f64 {
    sys::monotonic().as_secs_f64()
}
