//! What a sweep has found, as people read it.

use super::point::Point;

/// Points that a message shows.
const SHOWN: usize = 20;

/// What a sweep has found.
#[derive(Clone, Debug)]
pub struct Swept {
    /// The fault, without its place.
    pub fault: String,
    /// How many requests the run without a fault made that match it.
    pub requests: u64,
    /// How many of them had a turn planned.
    pub planned: u64,
    /// The turns, in order.
    pub points: Vec<Point>,
    /// Why the sweep ended before the last one.
    pub ended: Option<String>,
    /// What a reader of the verdicts should know.
    pub notes: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

impl Swept {
    /// The turns that failed.
    pub fn failed(&self) -> Vec<u64> {
        let failed = self.points.iter().filter(|point| !point.passed);
        failed.map(|point| point.k).collect()
    }

    /// One line: how many failed, and which.
    pub fn headline(&self) -> String {
        headline(
            &self.fault,
            self.requests,
            self.points.len() as u64,
            &self.failed(),
        )
    }

    /// The turns that failed, the notes, and how to run one of them again: `again` makes that of its number.
    pub fn text(&self, again: impl Fn(u64) -> String) -> String {
        let failed: Vec<_> = self.points.iter().filter(|point| !point.passed).collect();
        let width = width(failed.iter().copied());
        let mut lines = vec![self.headline()];
        lines.extend(failed.iter().take(SHOWN).map(|point| point.line(width)));
        if let Some(more @ 1..) = failed.len().checked_sub(SHOWN) {
            lines.push(format!("   ... and {more} more"));
        }
        lines.extend(self.rest(again));
        lines.join("\n")
    }

    /// The lines below a table of all turns.
    pub fn conclusion(&self, again: impl Fn(u64) -> String) -> Vec<String> {
        let headline = [self.headline()].into_iter();
        headline.chain(self.rest(again)).collect()
    }

    fn rest(&self, again: impl Fn(u64) -> String) -> Vec<String> {
        let notes = self.notes.iter().map(|note| format!("note: {note}"));
        let mut lines: Vec<_> = notes.collect();
        if let Some(first) = self.points.iter().find(|point| !point.passed) {
            lines.push(format!("again: {}", again(first.k)));
        }
        // Whoever asks for one run wants to know all of it.
        if let ([point], Some(whole)) = (&self.points[..], self.whole()) {
            lines.push(format!("k={}: {whole}", point.k));
        }
        lines
    }

    fn whole(&self) -> Option<&str> {
        let whole = self.points.first()?.whole.as_deref();
        whole.filter(|whole| whole.lines().count() > 1)
    }
}

/// One line: how many of the `points` of a sweep failed, and which.
pub fn headline(fault: &str, requests: u64, points: u64, failed: &[u64]) -> String {
    let what = match failed {
        [] => format!("{points} of {points} points passed"),
        failed => format!(
            "{} of {points} points failed: k={}",
            failed.len(),
            numbers(failed)
        ),
    };
    format!("{what} (`{fault}`, {requests} requests)")
}

/// The width of the column of requests.
pub(super) fn width<'a>(points: impl Iterator<Item = &'a Point>) -> usize {
    let widths = points.map(|point| point.request().len());
    widths.max().unwrap_or_default()
}

/// `1-3,7`: numbers in order, with runs of them as ranges.
pub fn numbers(numbers: &[u64]) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let text = |(first, last): &(u64, u64)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}
