//! A write log: what is read of it has a history, and a walk of its first states ends.

use std::ops::ControlFlow;

use provium::crash::{At, Base, Deltas, History, Pick, Walk};
use provium::storage::write_log::WriteLog;

/// States that are looked at.
const STATES: u32 = 200;

/// Largest disk whose data are read.
const SECTORS: u64 = 1 << 16;

/// Reads `input` as a log.
pub fn run(input: &[u8]) {
    let file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    std::fs::write(file.path(), input).unwrap();
    let Ok(log) = WriteLog::open(file.path()) else {
        return;
    };
    let history = History::of(&log);
    if history.end() > SECTORS {
        return;
    }
    let base = Base::zeros(history.end());
    let deltas = Deltas::of(&history, &log, &base, |_| ()).unwrap();
    let walk = Walk {
        from: 0,
        to: history.steps.len(),
        at: At::Entry,
        picks: Pick::list(Pick::DEFAULT).unwrap(),
        tear: Some(1),
        seed: 1,
        by_mark: false,
    };
    let mut left = STATES;
    walk.for_each(&history, &deltas, |found| {
        left -= 1;
        assert!(found.id.point <= history.steps.len());
        match left {
            0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
}
