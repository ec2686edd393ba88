//! Sweeps, as reports show them: a line for each point, and how far a sweep has come.

use std::time::{Duration, Instant};

use crate::events::Event;
use crate::units::text::printable;

/// For how long nothing is shown of a sweep's progress.
const SILENT: Duration = Duration::from_secs(1);

/// The line of an event of a sweep; None for other events.
pub(super) fn line(event: &Event) -> Option<String> {
    match event {
        Event::SweepPoint {
            disk, of, point, ..
        } => {
            let (k, request) = (point.k, point.request());
            let verdict = match (point.passed, &point.error) {
                (true, _) => "pass".to_owned(),
                (false, error) => format!("FAIL {}", error.as_deref().unwrap_or_default()),
            };
            let line = format!("sweep {disk}: k={k} of {of}: {request}: {verdict}");
            Some(printable(&line))
        }
        Event::Swept { disk, .. } => Some(format!("sweep {disk}: {}", headline(event)?)),
        _ => None,
    }
}

/// What a sweep has found, in one line.
pub(super) fn headline(event: &Event) -> Option<String> {
    let Event::Swept {
        fault,
        requests,
        points,
        failed,
        ..
    } = event
    else {
        return None;
    };
    let headline = crate::sweep::headline(fault, *requests, *points, failed);
    Some(printable(&headline))
}

/// How far a sweep has come.
#[derive(Default)]
pub(super) struct Progress(Option<Going>);

struct Going {
    since: Instant,
    failed: u64,
}

impl Progress {
    /// Notes an event at `now`. Returns what is to be shown of a sweep that takes longer.
    pub(super) fn note(&mut self, event: &Event, now: Instant) -> Option<String> {
        let Event::SweepPoint {
            disk,
            done,
            of,
            point,
            ..
        } = event
        else {
            if matches!(event, Event::Swept { .. } | Event::Finished { .. }) {
                self.0 = None;
            }
            return None;
        };
        let took = Duration::try_from_secs_f64(point.seconds).unwrap_or_default();
        let since = now.checked_sub(took).unwrap_or(now);
        let going = self.0.get_or_insert(Going { since, failed: 0 });
        going.failed += u64::from(!point.passed);
        let elapsed = now.saturating_duration_since(going.since);
        if elapsed < SILENT {
            return None;
        }
        let rate = *done as f64 / elapsed.as_secs_f64();
        let left = (of.saturating_sub(*done)) as f64 / rate;
        Some(format!(
            "sweep {}: {done} of {of}, {} failed, {rate:.1}/s, {left:.0}s left",
            printable(disk),
            going.failed
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::{Point, Request};

    fn point(k: u64, passed: bool) -> Event {
        Event::SweepPoint {
            disk: "vda".into(),
            fault: "error op=write errno=EIO".into(),
            done: k,
            of: 10,
            point: Point {
                k,
                request: Some(Request {
                    op: "write".into(),
                    sector: 8,
                    count: 1,
                }),
                passed,
                error: (!passed).then(|| "left a lock".into()),
                whole: None,
                requests: 10,
                seconds: 0.5,
                states: None,
                note: None,
            },
        }
    }

    fn swept(failed: &[u64]) -> Event {
        Event::Swept {
            disk: "vda".into(),
            fault: "error op=write errno=EIO".into(),
            requests: 10,
            points: 10,
            failed: failed.to_vec(),
            notes: Vec::new(),
            seconds: 5.0,
        }
    }

    #[test]
    fn point_and_sweep_have_a_line_each() {
        assert_eq!(
            line(&point(3, false)).unwrap(),
            "sweep vda: k=3 of 10: write 8+1: FAIL left a lock"
        );
        assert_eq!(
            line(&point(3, true)).unwrap(),
            "sweep vda: k=3 of 10: write 8+1: pass"
        );
        assert_eq!(
            line(&swept(&[3])).unwrap(),
            "sweep vda: 1 of 10 points failed: k=3 (`error op=write errno=EIO`, 10 requests)"
        );
        assert_eq!(line(&Event::Log { text: "x".into() }), None);
    }

    #[test]
    fn progress_is_shown_after_a_second_with_rate_and_time_left() {
        let mut progress = Progress::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs_f64(seconds);
        assert_eq!(progress.note(&point(1, false), at(0.5)), None);
        assert_eq!(
            progress.note(&point(2, true), at(1.0)).unwrap(),
            "sweep vda: 2 of 10, 1 failed, 2.0/s, 4s left"
        );
        assert_eq!(progress.note(&swept(&[]), at(2.0)), None);
        assert_eq!(progress.note(&point(1, true), at(2.5)), None, "a new one");
    }
}
