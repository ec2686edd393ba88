//! What `provium bench` says: a table of medians, and which way to choose.

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::ways::{Aio, Place, Way, Workload};
use crate::cli::{output, table};

/// A way this near to the fastest one is as fast: figures differ so much from run to run.
const AS_FAST: f64 = 0.95;

/// What was measured of a way.
#[derive(Clone, Debug, Default)]
struct Cell {
    rates: Vec<f64>,
    /// Why there are none.
    reason: Option<String>,
}

/// A member of the JSON.
#[derive(Serialize)]
struct Member<'a> {
    #[serde(flatten)]
    way: Way,
    request_bytes: u64,
    depth: u64,
    /// Null where this machine has no such way.
    requests_per_second: Option<f64>,
    error: Option<&'a str>,
}

/// All that was measured, by way and workload.
pub(super) struct Report {
    cells: [[[Cell; Workload::ALL.len()]; Aio::ALL.len()]; Place::ALL.len()],
    progress: ProgressBar,
}

impl Report {
    pub(super) fn start(rounds: u64) -> Self {
        let steps = rounds * (Way::all().count() * Workload::ALL.len()) as u64;
        let progress = ProgressBar::with_draw_target(Some(steps), output::progress_target());
        if let Ok(style) = ProgressStyle::with_template("measuring {pos} of {len}, {eta} left") {
            progress.set_style(style);
        }
        Self {
            cells: Default::default(),
            progress,
        }
    }

    /// Notes the rate of a way, or why it has none.
    pub(super) fn measured(&mut self, way: Way, workload: Workload, rate: Result<f64, String>) {
        let cell = &mut self.cells[way.place as usize][way.aio as usize][workload as usize];
        match rate {
            Ok(rate) => cell.rates.push(rate),
            Err(reason) => cell.reason = Some(reason),
        }
        self.progress.inc(1);
    }

    fn cell(&self, place: Place, aio: Aio, workload: Workload) -> &Cell {
        &self.cells[place as usize][aio as usize][workload as usize]
    }

    fn median(&self, place: Place, aio: Aio, workload: Workload) -> Option<f64> {
        self.cell(place, aio, workload).median()
    }

    pub(super) fn json(&self) -> String {
        self.progress.finish_and_clear();
        let members: Vec<_> = Way::all()
            .flat_map(|way| Workload::ALL.map(|workload| (way, workload)))
            .map(|(way, workload)| {
                let cell = self.cell(way.place, way.aio, workload);
                Member {
                    way,
                    request_bytes: workload.size(),
                    depth: workload.depth(),
                    requests_per_second: cell.median(),
                    error: cell.reason.as_deref(),
                }
            })
            .collect();
        serde_json::to_string_pretty(&members).unwrap_or_default()
    }

    pub(super) fn print(&self) {
        self.progress.finish_and_clear();
        let rows = Way::all().map(|way| {
            let rate = |workload| self.median(way.place, way.aio, workload);
            let shown = |rate: Option<f64>| rate.map(|rate| format!("{rate:.0}"));
            let place = match way.place {
                Place::File => "the file",
                Place::Mount => "in a mount",
            };
            let cells = Workload::ALL.map(|workload| shown(rate(workload)).unwrap_or_default());
            let [alone, many, large] = cells;
            [
                format!("{place}, aio={}", way.aio.name()),
                alone,
                many,
                large,
            ]
        });
        table::print(
            ["WAY", "4 KiB READS/s", "16 AT A TIME", "MiB/s"],
            &rows.collect::<Vec<_>>(),
        );
        for line in self.missing().into_iter().chain(self.advice()) {
            println!("\n{line}");
        }
    }

    /// The ways that this machine has not.
    fn missing(&self) -> Vec<String> {
        let lines = Way::all().filter_map(|way| {
            let reason = self.cells[way.place as usize][way.aio as usize]
                .iter()
                .find_map(|cell| cell.reason.as_ref())?;
            Some(format!("aio={} does not work: {reason}", way.aio.name()))
        });
        let mut lines: Vec<_> = lines.collect();
        lines.dedup();
        lines
    }

    /// What to choose.
    fn advice(&self) -> Option<String> {
        let rate = |aio| self.median(Place::Mount, aio, Workload::Many);
        let fastest = Aio::ALL.into_iter().filter_map(rate).fold(0.0, f64::max);
        // The last of those that are as fast: native needs least of the machine.
        let is_as_fast = |aio: &Aio| rate(*aio).is_some_and(|rate| rate >= fastest * AS_FAST);
        let best = Aio::ALL.into_iter().rfind(is_as_fast)?;
        let name = best.name();
        let mut text = format!("Open the file of a mount with `aio={name},cache=none`: ");
        match (best, rate(Aio::Threads)) {
            (Aio::Threads, _) | (_, None) => text += "no other way is faster here.",
            (_, Some(threads)) => {
                let ratio = fastest / threads;
                text += &format!("{ratio:.1} times the reads of QEMU's default, `aio=threads`.");
            }
        }
        let beside = |workload| {
            let mount = self.median(Place::Mount, best, workload)?;
            Some(mount / self.median(Place::File, best, workload)?)
        };
        if let (Some(alone), Some(many)) = (beside(Workload::Alone), beside(Workload::Many)) {
            text += &format!(
                " That is {alone:.2} of the file itself, and {many:.2} with 16 reads at a time."
            );
        }
        Some(text)
    }
}

impl Cell {
    fn median(&self) -> Option<f64> {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rates: &[(Place, Aio, f64)]) -> Report {
        let mut report = Report::start(1);
        for (place, aio, rate) in rates {
            let way = Way {
                place: *place,
                aio: *aio,
            };
            for workload in Workload::ALL {
                report.measured(way, workload, Ok(*rate));
            }
        }
        report
    }

    #[test]
    fn advice_is_the_fastest_way_and_native_where_it_is_as_fast() {
        let advice = |native: f64| {
            let rates = [
                (Place::File, Aio::Native, 200.0),
                (Place::Mount, Aio::Threads, 50.0),
                (Place::Mount, Aio::IoUring, 100.0),
                (Place::Mount, Aio::Native, native),
            ];
            report(&rates).advice().unwrap()
        };
        assert_eq!(
            advice(95.0),
            "Open the file of a mount with `aio=native,cache=none`: 2.0 times the reads of QEMU's default, `aio=threads`. \
             That is 0.47 of the file itself, and 0.47 with 16 reads at a time."
        );
        assert_eq!(
            advice(94.0),
            "Open the file of a mount with `aio=io_uring,cache=none`: 2.0 times the reads of QEMU's default, `aio=threads`."
        );
    }

    #[test]
    fn way_that_the_machine_has_not_is_named_once_with_the_reason() {
        let mut report = report(&[(Place::Mount, Aio::Threads, 50.0)]);
        for place in Place::ALL {
            let way = Way {
                place,
                aio: Aio::IoUring,
            };
            report.measured(way, Workload::Alone, Err("no such thing".into()));
        }
        assert_eq!(
            report.missing(),
            ["aio=io_uring does not work: no such thing"]
        );
        assert_eq!(
            report.advice().unwrap(),
            "Open the file of a mount with `aio=threads,cache=none`: no other way is faster here."
        );
    }
}
