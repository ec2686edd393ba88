//! A log that was written, as its reader finds it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

use super::*;

const END: usize = 1;

fn order(number: u64) -> Order {
    Order {
        arrival: number,
        answer: number ^ 1,
    }
}

fn sectors(sector: u64, sectors: u64) -> Sectors {
    Sectors {
        sector,
        sectors,
        fua: false,
        order: order(sector),
    }
}

fn request(sectors: Sectors, flags: Flags) -> Entry {
    Entry::Request {
        sector: sectors.sector,
        sectors: sectors.sectors,
        flags,
        order: Some(sectors.order),
    }
}

/// Whoever fills a place writes what is collected by then.
fn alone(log: Arc<LogWriter>) -> std::io::Result<()> {
    log.help()
}

fn new_log() -> (tempfile::NamedTempFile, Arc<LogWriter>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let log = LogWriter::begin(file.reopen().unwrap(), alone).unwrap();
    (file, Arc::new(log))
}

/// The entries of a log with their data.
fn read(path: &Path) -> Vec<(Entry, Vec<u8>)> {
    let log = WriteLog::open(path).unwrap();
    let entries = log.entries().iter().map(|entry| {
        let mut data = vec![1; entry.data_len() as usize];
        log.read_at(&mut data, entry.data_at).unwrap();
        (entry.entry.clone(), data)
    });
    entries.collect()
}

fn end() -> (Entry, Vec<u8>) {
    (Entry::Mark(END_MARK.into()), Vec::new())
}

#[test]
fn log_reads_back_entry_for_entry() {
    let (file, log) = new_log();
    let write = |record, data: &[u8]| log.reserve(record).fill(data).unwrap();
    let fua = Sectors {
        fua: true,
        ..sectors(9, 1)
    };
    write(Record::Write(sectors(8, 2)), &[7; 1024]);
    write(Record::Flush(order(3)), &[]);
    write(Record::Write(fua), &[9; 512]);
    write(Record::Mark(b"one".to_vec()), &[]);
    write(Record::Zeroes(sectors(0, 3)), &[]);
    write(Record::Discard(sectors(5, 6)), &[]);
    log.finish().unwrap();
    let flush = Entry::Request {
        sector: 0,
        sectors: 0,
        flags: Flags::FLUSH,
        order: Some(order(3)),
    };
    let expected = [
        (request(sectors(8, 2), Flags::NONE), vec![7; 1024]),
        (flush, vec![]),
        (request(fua, Flags::FUA), vec![9; 512]),
        (Entry::Mark(b"one".to_vec()), vec![]),
        (request(sectors(0, 3), Flags::NONE), vec![0; 1536]),
        (request(sectors(5, 6), Flags::DISCARD), vec![]),
        end(),
    ];
    assert_eq!(read(file.path()), expected);
    let len = file.as_file().metadata().unwrap().len();
    assert_eq!(log.len(), (7, len));
}

#[test]
fn entries_count_once_all_before_them_are_whole() {
    let (file, log) = new_log();
    let places: Vec<_> = (0..4)
        .map(|at| log.reserve(Record::Write(sectors(at, 1))))
        .collect();
    let flush = log.reserve(Record::Flush(order(9)));
    let mut counts = vec![log.len().0];
    flush.fill(&[]).unwrap();
    let filled_last = [3, 1, 0, 2];
    let mut places: Vec<_> = places.into_iter().map(Some).collect();
    for at in filled_last {
        counts.push(log.len().0);
        places[at].take().unwrap().fill(&[at as u8; 512]).unwrap();
    }
    counts.push(log.len().0);
    assert_eq!(counts, [0, 0, 0, 0, 2, 5]);
    // The superblock counts them, as the flush wants, without another one.
    let found = read(file.path());
    assert_eq!(found.len(), 5);
    for (at, (entry, data)) in found[..4].iter().enumerate() {
        assert_eq!(*entry, request(sectors(at as u64, 1), Flags::NONE));
        assert_eq!(*data, [at as u8; 512]);
    }
}

#[test]
fn writes_are_counted_at_a_flush_a_mark_and_the_end() {
    let (file, log) = new_log();
    let found = || WriteLog::open(file.path()).unwrap().entries().len();
    let write = || {
        let place = log.reserve(Record::Write(sectors(0, 1)));
        place.fill(&[1; 512]).unwrap();
    };
    write();
    assert_eq!(found(), 0);
    log.reserve(Record::Flush(order(0))).fill(&[]).unwrap();
    assert_eq!(found(), 2);
    write();
    assert_eq!(found(), 2);
    log.reserve(Record::Mark(vec![b'm'])).fill(&[]).unwrap();
    assert_eq!(found(), 4);
    write();
    log.finish().unwrap();
    assert_eq!(found(), 5 + END);
    write();
    log.finish().unwrap();
    assert_eq!(found(), 5 + END, "nothing is added after the end");
}

#[test]
fn zeroes_are_a_hole_in_the_log() {
    let (file, log) = new_log();
    let zeroes = Record::Zeroes(sectors(4, 1 << 20));
    log.reserve(zeroes).fill(&[]).unwrap();
    log.finish().unwrap();
    let found = WriteLog::open(file.path()).unwrap();
    assert_eq!(found.entries()[0].data_len(), 512 << 20);
    let found = file.as_file().metadata().unwrap();
    assert!(found.len() > 512 << 20);
    assert!(found.blocks() <= 64, "{} blocks", found.blocks());
}

#[test]
fn long_discard_is_cut_into_pieces_that_others_read() {
    let (file, log) = new_log();
    let discard = Record::Discard(sectors(7, 20 * LONGEST_DISCARD + 5));
    log.reserve(discard).fill(&[]).unwrap();
    let exact = Record::Discard(sectors(1, LONGEST_DISCARD));
    log.reserve(exact).fill(&[]).unwrap();
    log.finish().unwrap();
    let found: Vec<_> = read(file.path())
        .into_iter()
        .map(|(entry, _)| entry)
        .collect();
    assert_eq!(found.len(), 21 + 1 + END);
    let mut next = 7;
    for (at, entry) in found[..21].iter().enumerate() {
        let len = if at < 20 { LONGEST_DISCARD } else { 5 };
        let expected = Sectors {
            order: order(7),
            ..sectors(next, len)
        };
        assert_eq!(*entry, request(expected, Flags::DISCARD));
        next += len;
    }
    assert_eq!(
        found[21],
        request(sectors(1, LONGEST_DISCARD), Flags::DISCARD)
    );
}

#[test]
fn record_that_the_format_has_no_entry_for_takes_no_room() {
    let (file, log) = new_log();
    for record in [
        Record::Write(sectors(3, 0)),
        Record::Zeroes(sectors(3, 0)),
        Record::Discard(sectors(3, 0)),
        Record::Mark(vec![]),
    ] {
        log.reserve(record).fill(&[]).unwrap();
    }
    log.finish().unwrap();
    assert_eq!(read(file.path()), [end()]);
}

/// A file that takes its first `len` bytes, and no more: as one on a disk that gets full.
fn bounded_file(len: u64) -> File {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = memfd_create("bounded", flags).unwrap();
    ftruncate(&file, len).unwrap();
    fcntl_add_seals(&file, SealFlags::GROW).unwrap();
    file.into()
}

#[test]
fn log_without_room_ends_with_its_whole_entries_and_says_so_once() {
    // The superblock, two writes of a sector, and half of a third.
    let file = bounded_file(512 + 2 * 1024 + 600);
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let log = Arc::new(LogWriter::begin(file.try_clone().unwrap(), alone).unwrap());
    let write = |at| log.reserve(Record::Write(sectors(at, 1))).fill(&[3; 512]);
    let flush = || log.reserve(Record::Flush(order(5))).fill(&[]);
    (0..3).for_each(|at| write(at).unwrap());
    assert!(log.failure().is_none(), "collected in memory");
    assert_eq!(flush().unwrap_err().raw_os_error(), Some(libc::EPERM));
    assert_eq!(read(path.as_ref()).len(), 2, "counted at the error");
    assert!(write(3).is_ok());
    assert!(flush().is_ok());
    assert!(log.finish().is_ok());
    assert_eq!(log.failure().unwrap().raw_os_error(), Some(libc::EPERM));
    assert_eq!(log.len().0, 2);
    assert_eq!(read(path.as_ref()).len(), 2);
}

#[test]
fn entry_before_the_one_that_failed_is_counted_when_it_is_whole() {
    let file = bounded_file(512 + 1024);
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let log = Arc::new(LogWriter::begin(file.try_clone().unwrap(), alone).unwrap());
    let first = log.reserve(Record::Write(sectors(0, 1)));
    let second = log.reserve(Record::Zeroes(sectors(1, 1)));
    let third = log.reserve(Record::Write(sectors(2, 1)));
    assert!(second.fill(&[]).is_err());
    assert_eq!(read(path.as_ref()).len(), 0);
    assert!(third.fill(&[3; 512]).is_ok(), "told once");
    first.fill(&[1; 512]).unwrap();
    let found = read(path.as_ref());
    assert_eq!(found, [(request(sectors(0, 1), Flags::NONE), vec![1; 512])]);
}

#[test]
fn records_reach_the_file_in_a_few_large_writes() {
    const RECORDS: u64 = 1000;
    let (file, log) = new_log();
    let in_file = || file.as_file().metadata().unwrap().len();
    let mut sizes = std::collections::BTreeSet::from([in_file()]);
    for at in 0..RECORDS {
        let place = log.reserve(Record::Write(sectors(at, 8)));
        place.fill(&[at as u8; 4096]).unwrap();
        sizes.insert(in_file());
    }
    assert_eq!(log.len(), (RECORDS, 512 + RECORDS * 4608));
    // 57 records of 4,608 bytes are the first ones to exceed 256 KiB.
    assert_eq!(sizes.len() as u64, 1 + RECORDS / 57);
    log.finish().unwrap();
    let found = read(file.path());
    assert_eq!(found.len() as u64, RECORDS + 1);
    for (at, (_, data)) in found[..RECORDS as usize].iter().enumerate() {
        assert_eq!(*data, [at as u8; 4096], "record {at}");
    }
}

#[test]
fn what_is_collected_is_written_by_the_thread_that_is_asked_once_and_the_rest_at_the_end() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (ask, asked) = std::sync::mpsc::channel();
    let ask = move |log| {
        ask.send(log).unwrap();
        Ok(())
    };
    let log = LogWriter::begin(file.reopen().unwrap(), ask).unwrap();
    let log = Arc::new(log);
    let in_file = || file.as_file().metadata().unwrap().len();
    let fill = |count: u64| {
        for at in 0..count {
            let place = log.reserve(Record::Write(sectors(at, 8)));
            place.fill(&[at as u8; 4096]).unwrap();
        }
    };
    fill(150);
    let helped = asked.try_recv().unwrap();
    assert!(asked.try_recv().is_err(), "asked once");
    assert_eq!(in_file(), 512);
    helped.help().unwrap();
    assert_eq!(in_file(), 512 + 150 * 4608);
    fill(57);
    assert!(asked.try_recv().is_ok(), "it is asked again");
    log.finish().unwrap();
    assert_eq!(read(file.path()).len() as u64, 150 + 57 + END as u64);
}

#[test]
fn log_without_room_counts_its_whole_entries_though_nothing_follows() {
    let file = bounded_file(512 + 300 * 1024 + 600);
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let log = Arc::new(LogWriter::begin(file.try_clone().unwrap(), alone).unwrap());
    let fill = |at| log.reserve(Record::Write(sectors(at, 1))).fill(&[3; 512]);
    let errors = (0..600).filter_map(|at| fill(at).err());
    assert_eq!(errors.count(), 1, "one is told of it");
    assert_eq!(log.len().0, 300);
    assert_eq!(read(path.as_ref()).len(), 300);
}

#[test]
fn memory_of_a_log_is_bounded_while_its_first_place_is_not_filled() {
    let (file, log) = new_log();
    let first = log.reserve(Record::Write(sectors(0, 1)));
    for at in 1..400 {
        let place = log.reserve(Record::Write(sectors(at, 64)));
        place.fill(&[7; 64 * 512]).unwrap();
    }
    let blocks = file.as_file().metadata().unwrap().blocks() * 512;
    assert!(blocks > 8 << 20, "{blocks} bytes of 12 MiB are in the file");
    assert_eq!(log.len().0, 0);
    first.fill(&[1; 512]).unwrap();
    log.finish().unwrap();
    assert_eq!(read(file.path()).len(), 400 + END);
}

#[test]
fn record_that_no_log_holds_ends_it() {
    for record in [
        Record::Write(sectors(u64::MAX >> 17, 1)),
        Record::Zeroes(sectors(0, (u64::MAX >> 17) + 1)),
        Record::Discard(sectors(0, 1 << 40)),
        Record::Discard(sectors(u64::MAX, u64::MAX)),
    ] {
        let (file, log) = new_log();
        let data = match &record {
            Record::Write(_) => vec![0; 512],
            _ => vec![],
        };
        let error = log.reserve(record).fill(&data).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFBIG));
        assert_eq!(read(file.path()), []);
    }
}

#[test]
fn place_that_is_given_up_ends_the_log() {
    let (file, log) = new_log();
    let kept = log.reserve(Record::Flush(order(1)));
    drop(log.reserve(Record::Write(sectors(1, 1))));
    kept.fill(&[]).unwrap();
    assert!(log.failure().is_some());
    log.finish().unwrap();
    assert_eq!(read(file.path()).len(), 1);
}

#[test]
fn data_of_another_length_than_the_record_end_the_log() {
    let (file, log) = new_log();
    let place = log.reserve(Record::Write(sectors(0, 2)));
    assert!(place.fill(&[0; 512]).is_err());
    assert_eq!(read(file.path()), []);
}

#[test]
fn threads_that_write_one_log_leave_it_whole_and_in_the_order_of_their_places() {
    const THREADS: u64 = 8;
    const EACH: u64 = 500;
    let (file, log) = new_log();
    let places = parking_lot::Mutex::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (log, places) = (&log, &places);
            scope.spawn(move || {
                for round in 0..EACH {
                    let mut number = places.lock();
                    let at = *number;
                    *number += 1;
                    let record = match round % 10 {
                        0 => Record::Flush(order(at)),
                        1 => Record::Zeroes(sectors(at, 3)),
                        _ => Record::Write(sectors(at, 1 + thread)),
                    };
                    let data = match &record {
                        Record::Write(_) => vec![at as u8; 512 * (1 + thread as usize)],
                        _ => vec![],
                    };
                    let place = log.reserve(record);
                    drop(number);
                    place.fill(&data).unwrap();
                }
            });
        }
    });
    log.finish().unwrap();
    let found = read(file.path());
    assert_eq!(found.len() as u64, THREADS * EACH + 1);
    for (at, (entry, data)) in found[..found.len() - END].iter().enumerate() {
        let Entry::Request {
            order: found,
            flags,
            ..
        } = entry
        else {
            panic!("{entry:?}");
        };
        assert_eq!(*found, Some(order(at as u64)));
        let zeroes = data.len() == 1536 && data.iter().all(|byte| *byte == 0);
        let written = data.iter().all(|byte| *byte == at as u8);
        assert!(flags.has(Flags::FLUSH) || zeroes || written, "{at}");
    }
}
