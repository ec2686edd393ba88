//! Walks compared with a list of sectors.

use std::collections::HashSet;
use std::io::Write;
use std::ops::ControlFlow;

use proptest::prelude::*;
use tempfile::NamedTempFile;

use super::*;
use crate::storage::write_log::{END_MARK, Entry, Flags, Superblock, WriteLog};

/// Sectors of the disks here.
const SECTORS: usize = 24;

/// What happens to a disk.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Sectors get a byte; durable at once if so.
    Write(u64, u64, u8, bool),
    Discard(u64, u64),
    Flush,
}

fn log(events: &[Event]) -> WriteLog {
    let mut file = NamedTempFile::new().unwrap();
    let superblock = Superblock {
        entries: events.len() as u64,
        sector_size: 512,
    };
    file.write_all(&superblock.encode()).unwrap();
    for event in events {
        let (sector, sectors, flags, data) = match *event {
            Event::Write(sector, sectors, byte, fua) => {
                let flags = if fua { Flags::FUA } else { Flags::NONE };
                (sector, sectors, flags, vec![byte; sectors as usize * 512])
            }
            Event::Discard(sector, sectors) => (sector, sectors, Flags::DISCARD, Vec::new()),
            Event::Flush => (0, 0, Flags::FLUSH, Vec::new()),
        };
        let entry = Entry::Request {
            sector,
            sectors,
            flags,
            order: None,
        };
        file.write_all(&entry.encode()).unwrap();
        file.write_all(&data).unwrap();
    }
    WriteLog::open(file.path()).unwrap()
}

/// All distinct states that `picks` finds, by ID, with the byte that each sector holds.
fn walked(events: &[Event], picks: &str, tear: Option<u64>) -> Vec<(String, Vec<u8>)> {
    let log = log(events);
    let (history, base) = (History::of(&log), Base::zeros(SECTORS as u64));
    let deltas = Deltas::of(&history, &log, &base, |_| ()).unwrap();
    let walk = Walk {
        from: 0,
        to: history.steps.len(),
        at: At::Entry,
        picks: Pick::list(picks).unwrap(),
        tear,
        seed: 1,
        by_mark: false,
    };
    let mut all = Vec::new();
    walk.for_each(&history, &deltas, |found| {
        let content = found.space.content(found.durable, &found.id.subset);
        let mut bytes = vec![0; SECTORS];
        for (sectors, request) in content.extents() {
            let byte = history.requests[request].data_at.map_or(0, |at| {
                let mut byte = [0];
                log.read_at(&mut byte, at).unwrap();
                byte[0]
            });
            bytes[sectors.start as usize..sectors.end as usize].fill(byte);
        }
        all.push((found.id.to_string(), bytes));
        ControlFlow::Continue(())
    });
    all
}

fn count(events: &[Event], picks: &str, tear: Option<u64>) -> usize {
    walked(events, picks, tear).len()
}

use Event::{Discard, Flush, Write as W};

#[test]
fn distinct_states_are_as_many_as_the_contract_counts() {
    let disjoint = [W(0, 1, 1, false), W(1, 1, 2, false), W(2, 1, 3, false)];
    assert_eq!(count(&disjoint, "every=8", None), 8);
    assert_eq!(count(&disjoint, "prefix", None), 4);
    let over_each_other = [W(5, 1, 1, false), W(5, 1, 2, false), W(5, 1, 3, false)];
    assert_eq!(count(&over_each_other, "every=8", None), 4);
    let torn: Vec<_> = (0..8).map(|n| W(n, 1, n as u8 + 1, false)).collect();
    assert_eq!(count(&[W(0, 8, 7, false)], "every=8", Some(1)), 256);
    assert_eq!(count(&torn, "every=8", None), 256);
    let discarded = [W(0, 8, 0xff, false), Flush, Discard(0, 8)];
    assert_eq!(count(&discarded, "every=8", None), 2);
}

#[test]
fn two_blocks_have_four_states_and_three_with_a_flush_between() {
    let (first, second) = (W(0, 8, 1, false), W(16, 8, 1, false));
    assert_eq!(count(&[first, second], Pick::DEFAULT, None), 4);
    assert_eq!(count(&[first, Flush, second], Pick::DEFAULT, None), 3);
}

#[test]
fn fua_write_stays_under_older_data_that_become_durable_later() {
    let states = walked(
        &[W(0, 2, 1, false), W(0, 1, 2, true), Flush],
        "every=8",
        None,
    );
    let last = &states.last().unwrap().1;
    assert_eq!(last[..2], [2, 1]);
    assert!(
        states.iter().all(|(_, bytes)| bytes[..2] != [1, 0]),
        "{states:?}"
    );
}

/// All contents that a cut may leave, by a list of sectors.
fn model(events: &[Event]) -> HashSet<Vec<u8>> {
    let mut contents = HashSet::new();
    let mut durable: Vec<(usize, Event)> = Vec::new();
    let mut pending = Vec::new();
    for point in 0..=events.len() {
        for subset in 0..1_u32 << pending.len() {
            let chosen = pending.iter().enumerate();
            let chosen = chosen.filter(|(n, _)| subset >> n & 1 == 1);
            let mut applied = durable.clone();
            applied.extend(chosen.map(|(_, event)| *event));
            applied.sort_by_key(|(number, _)| *number);
            let mut bytes = vec![0; SECTORS];
            for (_, event) in applied {
                match event {
                    W(start, len, byte, _) => bytes[start as usize..][..len as usize].fill(byte),
                    Discard(start, len) => bytes[start as usize..][..len as usize].fill(0),
                    Flush => {}
                }
            }
            contents.insert(bytes);
        }
        match events.get(point) {
            Some(Flush) => durable.append(&mut pending),
            Some(event @ W(.., true)) => {
                durable.push((point, *event));
            }
            Some(event) => pending.push((point, *event)),
            None => {}
        }
    }
    contents
}

fn event() -> impl Strategy<Value = Event> {
    let place = || (0..SECTORS as u64 - 6, 1..6_u64);
    prop_oneof![
        4 => (place(), 1..4_u8, prop::bool::weighted(0.2)).prop_map(|((at, len), byte, fua)| W(at, len, byte, fua)),
        1 => place().prop_map(|(at, len)| Discard(at, len)),
        1 => Just(Flush),
    ]
}

proptest! {
    #[test]
    fn walk_finds_each_content_once_and_no_other(events in prop::collection::vec(event(), 0..9)) {
        let found = walked(&events, "every=12", None);
        let contents: HashSet<_> = found.iter().map(|(_, bytes)| bytes.clone()).collect();
        prop_assert_eq!(contents.len(), found.len(), "a content was found twice");
        prop_assert_eq!(contents, model(&events));
    }
}

#[test]
fn mark_at_the_end_of_a_log_is_an_entry_and_no_mark_of_the_user() {
    let mut file = NamedTempFile::new().unwrap();
    let superblock = Superblock {
        entries: 2,
        sector_size: 512,
    };
    file.write_all(&superblock.encode()).unwrap();
    for text in ["promise 1", END_MARK] {
        let entry = Entry::Mark(text.into());
        file.write_all(&entry.encode()).unwrap();
    }
    let history = History::of(&WriteLog::open(file.path()).unwrap());
    assert_eq!(history.steps.len(), 2);
    assert_eq!(history.mark_before(2), Some("promise 1"));
    assert_eq!(history.point_of(END_MARK), None);
}
