//! The volatile write cache, and what a power cut leaves of it.

use proptest::prelude::*;

use super::*;
use crate::disk::power::mains::Mains;
use crate::fault::Random;
use crate::protocol::{CacheMode, PowerCommand, PowerCut, PowerState};

pub(super) fn cached() -> Bench {
    let bench = Bench::new();
    bench.disk.set_cache_mode(CacheMode::Volatile).unwrap();
    bench
}

pub(super) fn power_cut(text: &str) -> PowerCut {
    match text.parse() {
        Ok(PowerCommand::Cut(cut)) => cut,
        other => panic!("{other:?}"),
    }
}

impl Bench {
    pub(super) fn flush(&self) -> Result {
        answer(&self.submit(Request::Flush { data_only: true }))
    }

    pub(super) fn write_durably(&self, sector: u64, data: &[u8]) -> Result {
        let (offset, data) = (sector * SECTOR, data.into());
        answer(&self.submit(Request::Write {
            offset,
            data,
            fua: Some(Fua::Data),
        }))
    }

    pub(super) fn cut(&self, text: &str) -> (u64, u64) {
        let cut = power_cut(text);
        let under_way = Mains::default().begin_cut(Some(&self.disk));
        assert!(!under_way.is_empty());
        under_way.finish(&cut, None, || ()).unwrap();
        let PowerState::Off(report) = self.disk.power() else {
            panic!("the power is on");
        };
        (report.kept, report.lost)
    }

    fn numbers(&self) -> Vec<u64> {
        self.disk.pending().iter().map(|line| line.number).collect()
    }
}

#[test]
fn pending_data_are_read_and_not_in_the_image_until_a_flush() {
    let bench = cached();
    bench.write_sectors(1, &pattern(1, 2)).unwrap();
    bench.write_sectors(2, &pattern(7, 1)).unwrap();
    let seen = [pattern(0, 1), pattern(1, 1), pattern(7, 1), pattern(0, 1)].concat();
    assert_eq!(bench.read_sectors(0, 4), Ok(seen.clone()));
    assert_eq!(bench.image_sectors(0, 4), vec![0; 2048]);
    assert_eq!(bench.numbers(), [1, 2]);
    bench.flush().unwrap();
    assert_eq!(bench.image_sectors(0, 4), seen);
    assert!(bench.numbers().is_empty());
    assert_eq!(bench.read_sectors(0, 4), Ok(seen));
    assert_eq!(bench.disk.held_bytes(), 0);
}

#[test]
fn write_that_is_durable_alone_leaves_others_pending_and_is_never_covered_by_older_data() {
    let bench = cached();
    bench.write_sectors(0, &pattern(1, 3)).unwrap();
    bench.write_durably(1, &pattern(9, 1)).unwrap();
    assert_eq!(
        bench.image_sectors(0, 3),
        [pattern(0, 1), pattern(9, 1), pattern(0, 1)].concat()
    );
    let seen = [pattern(1, 1), pattern(9, 1), pattern(3, 1)].concat();
    assert_eq!(bench.read_sectors(0, 3), Ok(seen.clone()));
    assert_eq!(bench.cut("cut keep=all"), (1, 0));
    assert_eq!(bench.image_sectors(0, 3), seen);
}

#[test]
fn power_that_is_off_fails_every_request_until_it_returns() {
    let bench = cached();
    bench.write_sectors(0, &pattern(1, 1)).unwrap();
    assert_eq!(bench.cut("cut"), (0, 1));
    assert_eq!(bench.read_sectors(0, 1), EIO);
    assert_eq!(bench.write_sectors(0, &pattern(1, 1)), EIO);
    assert_eq!(bench.flush(), EIO);
    assert_eq!(bench.disk.power_off_errors(), 3);
    assert_eq!(bench.damage(), "0 1 lost power\n");
    assert!(bench.disk.return_power() && !bench.disk.return_power());
    assert_eq!(bench.read_sectors(0, 1), Ok(pattern(0, 1)));
}

#[test]
fn request_that_is_held_at_the_cut_is_a_candidate_behind_those_that_are_pending() {
    for (keep, sector, kept) in [
        ("none", 0, (0, 2)),
        ("all", 9, (2, 0)),
        ("first=1", 1, (1, 1)),
    ] {
        let bench = cached();
        bench.rules("hang op=write at=8+1");
        let held = bench.submit(Request::Write {
            offset: 8 * SECTOR,
            data: pattern(9, 1).into(),
            fua: None,
        });
        bench.write_sectors(0, &pattern(1, 1)).unwrap();
        bench.flush().unwrap();
        bench.write_sectors(1, &pattern(2, 1)).unwrap();
        assert_eq!(bench.cut(&format!("cut keep={keep}")), kept, "{keep}");
        assert_eq!(answer(&held), EIO);
        assert_eq!(bench.image_sectors(0, 1), pattern(1, 1));
        let is_there = |at, byte| bench.image_sectors(at, 1) == pattern(byte, 1);
        assert_eq!(
            (is_there(1, 2), is_there(8, 9)),
            (sector > 0, sector > 8),
            "{keep}"
        );
    }
}

#[test]
fn write_that_a_rule_has_torn_gives_back_all_of_its_memory() {
    let bench = cached();
    bench.rules("tear keep=1");
    bench.write_sectors(0, &pattern(1, 8)).unwrap();
    assert!(bench.disk.held_bytes() > 0);
    bench.flush().unwrap();
    assert_eq!(bench.disk.held_bytes(), 0);
}

#[test]
fn read_across_the_end_ends_there_where_a_discard_across_it_is_pending() {
    let bench = cached();
    let (offset, len) = (2040 * SECTOR, 16 * SECTOR);
    answer(&bench.submit(Request::Discard { offset, len })).unwrap();
    assert_eq!(bench.read_sectors(2040, 16), Ok(vec![0; 8 * 512]));
}

#[test]
fn growth_hides_no_write_that_was_answered_before_it() {
    let bench = cached();
    bench.rules("hang op=zero then=ok");
    let (offset, len) = (1 << 20, 16 * SECTOR);
    let grown = bench.submit(Request::Grow { offset, len });
    bench.write_sectors(2050, &pattern(5, 1)).unwrap();
    bench.rules("");
    answer(&grown).unwrap();
    let expected = [vec![0; 1024], pattern(5, 1), vec![0; 13 * 512]].concat();
    assert_eq!(bench.read_sectors(2048, 16), Ok(expected.clone()));
    bench.flush().unwrap();
    assert_eq!(bench.image_sectors(2048, 16), expected);
}

#[test]
fn pending_requests_are_counted_as_they_are_listed() {
    let bench = cached();
    bench.write_sectors(0, &pattern(1, 1)).unwrap();
    bench.write_sectors(1, &pattern(1, 1)).unwrap();
    bench.write_durably(0, &pattern(2, 1)).unwrap();
    assert_eq!(bench.numbers(), [2]);
    let counted = bench.disk.pending_amount();
    assert_eq!((counted.requests, counted.bytes), (1, 512));
}

#[test]
fn flush_that_waits_for_another_is_in_flight() {
    let bench = cached();
    std::thread::scope(|scope| {
        let stuck = bench.stick();
        let first = scope.spawn(|| seen(|| bench.flush()));
        until(|| bench.image.touched() > 0);
        let second = bench.submit(Request::Flush { data_only: false });
        let listed = (bench.disk.in_flight().len(), bench.disk.in_flight_count());
        drop(stuck);
        assert_eq!(
            (first.join().unwrap(), answer(&second)),
            (Ok(Vec::new()), Ok(Vec::new()))
        );
        assert_eq!(listed, (2, 2));
    });
}

#[test]
fn image_that_is_left_to_others_has_all_that_was_pending() {
    let bench = cached();
    bench.write_sectors(0, &pattern(1, 1)).unwrap();
    let in_use = bench.disk.unlock_image();
    assert_eq!(in_use, Err(Errno(libc::EBUSY)));
    assert_eq!(bench.image_sectors(0, 1), pattern(0, 1));
    bench.disk.close(bench.client);
    bench.disk.unlock_image().unwrap();
    assert_eq!(bench.image_sectors(0, 1), pattern(1, 1));
}

#[test]
fn full_memory_has_the_oldest_pending_requests_become_durable_early() {
    let pool = Arc::new(Pool::default());
    let delays = Arc::new(Delays::with_memory(pool, 64 << 10).unwrap());
    let bench = Bench::on(delays);
    bench.disk.set_cache_mode(CacheMode::Volatile).unwrap();
    for sector in 0..100 {
        bench
            .write_sectors(sector, &pattern(sector as u8, 1))
            .unwrap();
    }
    let evicted = bench.disk.evicted_amount().requests;
    assert!(evicted > 0 && evicted < 100, "{evicted}");
    assert_eq!(bench.numbers(), (evicted + 1..=100).collect::<Vec<_>>());
    let seen: Vec<u8> = (0..100).flat_map(|sector| pattern(sector, 1)).collect();
    assert_eq!(bench.read_sectors(0, 100), Ok(seen.clone()));
    bench.cut("cut");
    let durable = evicted as usize * 512;
    assert_eq!(bench.image_sectors(0, 100)[..durable], seen[..durable]);
    assert_eq!(
        bench.image_sectors(0, 100)[durable..],
        vec![0; 100 * 512 - durable]
    );
}

/// What a step does, on a disk of 32 sectors.
#[derive(Clone, Debug)]
enum Step {
    Write(u64, u64, u8),
    Durable(u64, u64, u8),
    Zero(u64, u64),
    Discard(u64, u64),
    Flush,
    Read(u64, u64),
}

const SECTORS: u64 = 32;

fn step() -> impl Strategy<Value = Step> {
    let range = (0..SECTORS, 1_u64..6).prop_map(|(at, count)| (at, count.min(SECTORS - at)));
    prop_oneof![
        8 => (range.clone(), 1_u8..).prop_map(|((at, count), byte)| Step::Write(at, count, byte)),
        2 => (range.clone(), 1_u8..).prop_map(|((at, count), byte)| Step::Durable(at, count, byte)),
        1 => range.clone().prop_map(|(at, count)| Step::Zero(at, count)),
        1 => range.clone().prop_map(|(at, count)| Step::Discard(at, count)),
        2 => Just(Step::Flush),
        4 => range.prop_map(|(at, count)| Step::Read(at, count)),
    ]
}

/// A list of requests and sectors, each of one byte.
struct Model {
    durable: Vec<u8>,
    /// Each with the sectors that it still concerns.
    pending: Vec<Vec<(usize, u8)>>,
}

impl Model {
    fn seen(&self) -> Vec<u8> {
        let mut seen = self.durable.clone();
        self.pending
            .iter()
            .flatten()
            .for_each(|(at, byte)| seen[*at] = *byte);
        seen
    }

    fn add(&mut self, at: u64, count: u64, byte: u8) {
        self.pending
            .push((at..at + count).map(|at| (at as usize, byte)).collect());
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Write(at, count, byte) => self.add(at, count, byte),
            Step::Zero(at, count) | Step::Discard(at, count) => self.add(at, count, 0),
            Step::Flush => {
                self.durable = self.seen();
                self.pending.clear();
            }
            Step::Durable(at, count, byte) => {
                let range = at as usize..(at + count) as usize;
                self.durable[range.clone()].fill(byte);
                for request in &mut self.pending {
                    request.retain(|(at, _)| !range.contains(at));
                }
                self.pending.retain(|request| !request.is_empty());
            }
            Step::Read(..) => {}
        }
    }
}

fn carry_out(bench: &Bench, step: &Step) -> Result {
    match *step {
        Step::Write(at, count, byte) => {
            bench.write_sectors(at, &vec![byte; (count * SECTOR) as usize])
        }
        Step::Durable(at, count, byte) => {
            bench.write_durably(at, &vec![byte; (count * SECTOR) as usize])
        }
        Step::Zero(at, count) => answer(&bench.submit(Request::Zero {
            offset: at * SECTOR,
            len: count * SECTOR,
            keep_size: true,
        })),
        Step::Discard(at, count) => answer(&bench.submit(Request::Discard {
            offset: at * SECTOR,
            len: count * SECTOR,
        })),
        Step::Flush => bench.flush(),
        Step::Read(at, count) => bench.read_sectors(at, count),
    }
}

fn bytes(sectors: &[u8]) -> Vec<u8> {
    sectors.iter().flat_map(|byte| [*byte; 512]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn disk_with_a_cache_is_as_a_list_of_requests_and_a_list_of_sectors(
        steps in proptest::collection::vec(step(), 1..60),
        seed in any::<u32>(),
        tear in prop_oneof![Just(None), (1_u64..4).prop_map(Some)],
    ) {
        let bench = Bench::of_size((SECTORS * SECTOR) as usize);
        bench.disk.set_cache_mode(CacheMode::Volatile).unwrap();
        let mut model = Model { durable: vec![0; SECTORS as usize], pending: Vec::new() };
        for step in &steps {
            let result = carry_out(&bench, step).unwrap();
            model.step(step);
            if let Step::Read(at, count) = *step {
                let range = at as usize..(at + count) as usize;
                prop_assert_eq!(result, bytes(&model.seen()[range]));
            }
            prop_assert_eq!(bench.image_sectors(0, SECTORS), bytes(&model.durable));
        }
        prop_assert_eq!(bench.disk.pending().len(), model.pending.len());
        let tear_word = tear.map(|tear| format!(" tear={tear}")).unwrap_or_default();
        let (kept, lost) = bench.cut(&format!("cut keep=random p=0.5 seed={seed}{tear_word}"));
        let left = bench.image_sectors(0, SECTORS);
        // Whatever survived, each sector has its durable byte or that of a pending request.
        for (at, found) in left.chunks(512).enumerate() {
            let written = model.pending.iter().flatten().filter(|(sector, _)| *sector == at);
            let mut possible = written.map(|(_, byte)| *byte).chain([model.durable[at]]);
            prop_assert!(possible.any(|byte| found == [byte; 512]), "sector {}", at);
        }
        if tear.is_none() {
            prop_assert_eq!(kept + lost, model.pending.len() as u64);
            let is_subset = (0..1_u32 << model.pending.len().min(12)).any(|subset| {
                let mut image = model.durable.clone();
                let chosen = model.pending.iter().enumerate().filter(|(at, _)| subset >> at & 1 == 1);
                chosen.flat_map(|(_, request)| request).for_each(|(at, byte)| image[*at] = *byte);
                subset.count_ones() as u64 == kept && bytes(&image) == left
            });
            prop_assert!(is_subset || model.pending.len() > 12);
        }
    }
}

#[test]
fn cut_with_the_same_seed_leaves_the_same_image_and_all_outcomes_occur() {
    let after = |seed: u64| {
        let bench = cached();
        for sector in 0..8 {
            bench.write_sectors(sector, &pattern(1, 1)).unwrap();
        }
        let (kept, lost) = bench.cut(&format!("cut keep=random seed={seed}"));
        assert_eq!(kept + lost, 8);
        (bench.image_sectors(0, 8), kept)
    };
    let all: Vec<_> = (0..60).map(|n| after(Random::at(n, 0).draw())).collect();
    assert_eq!(after(7), after(7));
    assert!(all.iter().any(|(_, kept)| *kept < 3) && all.iter().any(|(_, kept)| *kept > 5));
}

#[test]
fn rule_that_cuts_at_the_third_flush_lets_two_be_answered_whatever_comes_side_by_side() {
    for _ in 0..20 {
        let bench = cached();
        bench.rules("cut op=flush skip=2 times=1 scope=disk");
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..4).map(|_| bench.flush().is_ok()).collect::<Vec<_>>()))
                .collect();
            let all = threads.into_iter().map(|thread| thread.join().unwrap());
            all.flatten().collect()
        });
        assert_eq!(answers.iter().filter(|is_ok| **is_ok).count(), 2);
        assert!(matches!(bench.disk.power(), PowerState::Off(_)));
    }
}

#[test]
fn rule_that_cuts_after_a_request_has_it_done_and_answered() {
    let bench = cached();
    bench.rules("cut op=flush times=1 scope=disk point=after");
    bench.write_sectors(0, &pattern(1, 1)).unwrap();
    bench.flush().unwrap();
    until(|| matches!(bench.disk.power(), PowerState::Off(_)));
    assert_eq!(bench.image_sectors(0, 1), pattern(1, 1));
    assert_eq!(bench.read_sectors(0, 1), EIO);
}

#[test]
fn survivor_that_cannot_be_written_is_lost_and_the_cut_says_why() {
    let bench = cached();
    bench.write_sectors(0, &pattern(1, 2)).unwrap();
    bench.image.fail_with(libc::ENOSPC);
    let under_way = Mains::default().begin_cut(Some(&bench.disk));
    let error = under_way
        .finish(&power_cut("cut keep=all"), None, || ())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("what survives cannot be written: ENOSPC"),
        "{error}"
    );
    let PowerState::Off(report) = bench.disk.power() else {
        panic!("the power is on");
    };
    assert_eq!((report.kept, report.lost), (0, 1));
    assert_eq!(bench.damage(), "0 2 lost power\n");
}
