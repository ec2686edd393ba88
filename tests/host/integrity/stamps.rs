//! Sectors stamped by their latest writer, the writers, and the stamps that a sector may have after a kill.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use provium::fault::Random;

/// Sectors of the disk, dealt to the writers in turn: neighbours belong to different writers.
pub const SECTORS: u64 = 256;
pub const WRITERS: u64 = 4;

/// A sector full of one stamp.
pub fn sector_of(stamp: u64) -> Vec<u8> {
    stamp.to_le_bytes().repeat(64)
}

/// Which writes a disk has after a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Each that was answered.
    Answered,
    /// Each that was answered before a flush, and perhaps others.
    Flushed,
    /// Each that was answered before a flush, and no other.
    OnlyFlushed,
}

/// The writers of a disk, and what each sector of it may hold.
pub struct Stamps {
    /// What was done since the latest check, by writer.
    done: Vec<Done>,
    /// What each sector held then.
    safe: Vec<u64>,
    last: AtomicU64,
    /// Orders the beginnings and ends of all requests.
    clock: AtomicU64,
}

/// What one writer has done, first to last.
#[derive(Debug, Default)]
struct Done {
    writes: Vec<(u64, Write)>,
    flushes: Vec<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Write {
    stamp: u64,
    span: Span,
}

/// When a request was begun and when it was answered, and whether well.
#[derive(Clone, Copy, Debug)]
struct Span {
    begin: u64,
    end: u64,
    is_done: bool,
}

impl Stamps {
    /// An empty disk.
    pub fn new() -> Self {
        Self {
            done: Vec::new(),
            safe: vec![0; SECTORS as usize],
            last: AtomicU64::new(0),
            clock: AtomicU64::new(0),
        }
    }

    /// The number of writes that were begun.
    pub fn writes(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Has all writers write to `file`, with a flush now and then, until a request fails. `meanwhile` makes it
    /// fail.
    pub fn write_until_gone(&mut self, file: &File, seed: u64, meanwhile: impl FnOnce()) {
        let (last, clock) = (&self.last, &self.clock);
        self.done = std::thread::scope(|scope| {
            let start = |number| {
                let writer = Writer {
                    file,
                    number,
                    random: Random::at(seed, 1000 + number),
                    last,
                    clock,
                };
                scope.spawn(move || writer.run())
            };
            let writers: Vec<_> = (0..WRITERS).map(start).collect();
            meanwhile();
            let ended = writers.into_iter().map(|writer| writer.join().unwrap());
            ended.collect()
        });
    }

    /// Checks every byte of the image, whose stamps are then the safe ones.
    pub fn check(&mut self, image: &[u8], kept: Kept, context: &str) {
        assert_eq!(image.len() as u64, SECTORS * 512, "{context}");
        let done = std::mem::take(&mut self.done);
        let flushes: Vec<_> = done.iter().flat_map(|done| &done.flushes).collect();
        for (number, bytes) in image.chunks(512).enumerate() {
            let safe = Write {
                stamp: self.safe[number],
                span: Span::BEFORE_ALL,
            };
            let all = done.iter().flat_map(|done| &done.writes);
            let all = all.filter(|(sector, _)| *sector == number as u64);
            let writes: Vec<_> = std::iter::once(safe)
                .chain(all.map(|(_, write)| *write))
                .collect();
            let possible = possible(&writes, &flushes, kept);
            let found = possible.iter().find(|stamp| sector_of(**stamp) == bytes);
            let Some(found) = found else {
                let begins = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                panic!(
                    "{context}: sector {number} holds {begins}.., and not one of {possible:?}, which {kept:?} \
                     leaves of {writes:#?}"
                );
            };
            self.safe[number] = *found;
        }
    }
}

/// The stamps that a sector may have after these writes, first to last, and these flushes by all writers.
fn possible(writes: &[Write], flushes: &[&Span], kept: Kept) -> Vec<u64> {
    let is_surely_kept = |write: &Write| match kept {
        Kept::Answered => write.span.is_done,
        Kept::Flushed | Kept::OnlyFlushed => {
            let mut flushes = flushes.iter();
            flushes.any(|flush| flush.is_done && write.span.is_covered_by(flush))
        }
    };
    // Whether a flush can be the last one that had an effect on the sector, and have left this write there.
    let may_be_kept = |number: usize| match kept {
        Kept::Answered | Kept::Flushed => true,
        Kept::OnlyFlushed => flushes.iter().any(|flush| {
            let next = writes.get(number + 1);
            let has_next = next.is_some_and(|next| flush.is_done && next.span.is_covered_by(flush));
            writes[number].span.begin < flush.end && !has_next
        }),
    };
    let safe = writes.iter().rposition(is_surely_kept).unwrap_or(0);
    let numbers = (safe..writes.len()).filter(|number| *number == safe || may_be_kept(*number));
    numbers.map(|number| writes[number].stamp).collect()
}

impl Span {
    /// That of what was there before.
    const BEFORE_ALL: Self = Self {
        begin: 0,
        end: 0,
        is_done: true,
    };

    /// Whether it was answered before `flush` began.
    fn is_covered_by(&self, flush: &Self) -> bool {
        self.is_done && self.end < flush.begin
    }
}

/// Writes to its own sectors.
struct Writer<'a> {
    file: &'a File,
    number: u64,
    random: Random,
    last: &'a AtomicU64,
    clock: &'a AtomicU64,
}

impl Writer<'_> {
    fn run(mut self) -> Done {
        let mut done = Done::default();
        loop {
            if self.random.below(8) == 0 {
                let span = self.timed(|file| file.sync_data());
                done.flushes.push(span);
                if !span.is_done {
                    return done;
                }
            }
            let at = self.random.below(SECTORS / WRITERS);
            let sector = at * WRITERS + self.number;
            let stamp = self.last.fetch_add(1, Ordering::Relaxed) + 1;
            let span = self.timed(|file| file.write_all_at(&sector_of(stamp), sector * 512));
            done.writes.push((sector, Write { stamp, span }));
            if !span.is_done {
                return done;
            }
        }
    }

    fn timed(&self, request: impl FnOnce(&File) -> std::io::Result<()>) -> Span {
        let now = || self.clock.fetch_add(1, Ordering::SeqCst) + 1;
        let begin = now();
        let is_done = request(self.file).is_ok();
        Span {
            begin,
            end: now(),
            is_done,
        }
    }
}

#[test]
fn stamps_that_are_possible_are_those_that_flushes_may_have_left() {
    let span = |begin, end, is_done| Span {
        begin,
        end,
        is_done,
    };
    let write = |stamp, begin| Write {
        stamp,
        span: span(begin, begin + 1, true),
    };
    let writes = [
        Write {
            stamp: 0,
            span: Span::BEFORE_ALL,
        },
        write(1, 10),
        write(2, 20),
        write(3, 30),
    ];
    let flush =
        |begin, end, is_done| possible(&writes, &[&span(begin, end, is_done)], Kept::OnlyFlushed);
    assert_eq!(possible(&writes, &[], Kept::OnlyFlushed), [0]);
    assert_eq!(possible(&writes, &[], Kept::Flushed), [0, 1, 2, 3]);
    assert_eq!(possible(&writes, &[], Kept::Answered), [3]);
    assert_eq!(flush(12, 15, true), [1]);
    // It may have arrived before or after the write that was under way.
    assert_eq!(flush(15, 25, true), [1, 2]);
    // One that was not answered has perhaps done a part of its work.
    assert_eq!(flush(25, 26, false), [0, 1, 2]);
    assert_eq!(flush(40, 41, true), [3]);
}
