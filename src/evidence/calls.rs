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

    pub(super) fn begin(&mut self, text: String) {
        self.open.push((now(), text));
    }

    pub(super) fn end(&mut self, failed: Option<&str>) {
        if let Some((began, text)) = self.open.pop() {
            let failed = failed.map(|why| format!(" -> {}", why.lines().next().unwrap_or(why)));
            let text = text + &failed.unwrap_or_default();
            self.done.push(line(began, now(), &text));
        }
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
