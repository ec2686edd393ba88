//! The write log of a disk: how it begins, and how it ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::*;
use crate::disk::{Disks, LogError};
use crate::fault::Then;
use crate::protocol::disk_options::DiskOptions;
use crate::protocol::{CacheMode, LogBase, LogLine};
use crate::storage::write_log::{END_MARK, Entry, Order, Record, Sectors, WriteLog};

fn start(bench: &Bench, path: &Path) -> std::result::Result<(), LogError> {
    bench.disk.start_log(path, &LogBase::Beside)
}

fn write(sector: u64, sectors: u64) -> Record {
    Record::Write(Sectors {
        sector,
        sectors,
        fua: false,
        order: Order {
            arrival: 0,
            answer: 0,
        },
    })
}

/// No log holds it.
fn too_large() -> Record {
    write(u64::MAX, 1)
}

fn entries(path: &Path) -> Vec<Entry> {
    let log = WriteLog::open(path).unwrap();
    log.entries()
        .iter()
        .map(|entry| entry.entry.clone())
        .collect()
}

fn marks(path: &Path) -> Vec<String> {
    let marks = entries(path).into_iter().map(|entry| match entry {
        Entry::Mark(text) => String::from_utf8(text).unwrap(),
        Entry::Request { .. } => "request".into(),
    });
    marks.collect()
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    (folder, path)
}

#[test]
fn log_begins_with_a_copy_of_the_image_and_says_how_far_it_is() {
    let (_folder, path) = folder();
    let bench = Bench::new();
    bench.image.write_at(b"before", 700_000).unwrap();
    assert_eq!(bench.disk.log_line(), LogLine::Off);
    start(&bench, &path).unwrap();
    let line = |entries: u64| format!("{} entries={entries} bytes=", path.display());
    let bytes = |entries: u64, bytes: u64| format!("{}{bytes}", line(entries));
    assert_eq!(bench.disk.log_line().to_string(), bytes(0, 512));
    bench.disk.log.record(write(3, 2), &[5; 1024]);
    bench.disk.mark("here");
    assert_eq!(
        bench.disk.log_line().to_string(),
        bytes(2, 512 + 1536 + 512)
    );
    bench.disk.stop_log().unwrap();
    assert_eq!(bench.disk.log_line(), LogLine::Off);
    bench.disk.mark("too late");
    assert_eq!(marks(&path), ["request", "here", END_MARK]);
    let base = std::fs::read(path.with_extension("log.base")).unwrap();
    let mut image = vec![1; 1 << 20];
    bench.image.read_at(&mut image, 0).unwrap();
    assert!(base == image);
}

#[test]
fn copy_is_kept_where_the_log_is_told_or_nowhere() {
    let (folder, path) = folder();
    let bench = Bench::new();
    bench.disk.start_log(&path, &LogBase::None).unwrap();
    bench.disk.stop_log().unwrap();
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    let base = folder.path().join("b");
    let at = LogBase::At(base.to_str().unwrap().to_owned());
    let other = folder.path().join("other");
    bench.disk.start_log(&other, &at).unwrap();
    assert_eq!(base.metadata().unwrap().len(), 1 << 20);
    let error = bench.disk.start_log(&path, &at).unwrap_err();
    assert_eq!(error.errno(), Errno(libc::EALREADY));
    assert!(
        error.to_string().contains("/other: stop it first"),
        "{error}"
    );
}

#[test]
fn log_that_cannot_begin_leaves_nothing_behind() {
    let (folder, path) = folder();
    let at = |name: &str| folder.path().join(name);
    let bench = Bench::new();
    std::fs::write(at("full"), "content").unwrap();
    std::fs::write(at("b.log.base"), "").unwrap();
    for (path, errno) in [
        (at("full"), libc::EEXIST),
        (at("b.log"), libc::EEXIST),
        (at("none/a.log"), libc::ENOENT),
        (at("new\nline"), libc::EINVAL),
        ("a.log".into(), libc::EINVAL),
    ] {
        let error = start(&bench, &path).unwrap_err();
        assert_eq!(error.errno(), Errno(errno), "{error}");
    }
    bench.image.fail_with(libc::EIO);
    let error = start(&bench, &path).unwrap_err();
    assert_eq!(error.errno(), Errno(libc::EIO));
    assert!(error.to_string().contains("a.log.base, which"), "{error}");
    let error = bench.disk.stop_log().unwrap_err();
    assert_eq!(error.errno(), Errno(libc::EINVAL));
    assert_eq!(bench.disk.log_line(), LogLine::Off);
    assert_eq!(folder.path().read_dir().unwrap().count(), 2);
    assert_eq!(std::fs::read(at("full")).unwrap(), b"content");
}

#[test]
fn pending_data_become_durable_when_a_log_begins_and_not_when_it_cannot() {
    let (folder, path) = folder();
    let bench = Bench::new();
    bench.disk.set_cache_mode(CacheMode::Volatile).unwrap();
    bench.write_sectors(1, &pattern(1, 1)).unwrap();
    assert!(start(&bench, &folder.path().join("none/a.log")).is_err());
    assert_eq!(bench.image_sectors(1, 1), pattern(0, 1));
    assert_eq!(bench.disk.pending().len(), 1);
    start(&bench, &path).unwrap();
    assert_eq!(bench.image_sectors(1, 1), pattern(1, 1));
    let base = std::fs::read(path.with_extension("log.base")).unwrap();
    assert_eq!(base[512..1024], pattern(1, 1));
}

#[test]
fn log_that_fails_says_so_once_and_another_one_can_begin() {
    let (folder, path) = folder();
    let bench = Bench::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    bench
        .disk
        .log
        .when_stopped(move |why| tell.lock().push(why));
    start(&bench, &path).unwrap();
    bench.disk.log.record(write(0, 1), &[1; 512]);
    assert!(bench.disk.log.is_on());
    bench.disk.log.record(too_large(), &[1; 512]);
    assert!(!bench.disk.log.is_on());
    bench.disk.log.record(too_large(), &[1; 512]);
    bench.disk.log.record(write(1, 1), &[1; 512]);
    bench.disk.mark("nowhere");
    assert_eq!(*told.lock(), ["File too large (os error 27)"]);
    let line = bench.disk.log_line().to_string();
    let end = " entries=1 bytes=1536 stopped: File too large (os error 27)";
    assert!(line.ends_with(end), "{line}");
    assert_eq!(marks(&path), ["request"]);
    start(&bench, &folder.path().join("second")).unwrap();
    bench.disk.stop_log().unwrap();
    assert_eq!(told.lock().len(), 1);
}

#[test]
fn log_that_failed_can_be_stopped() {
    let (_folder, path) = folder();
    let bench = Bench::new();
    start(&bench, &path).unwrap();
    bench.disk.log.record(too_large(), &[1; 512]);
    bench.disk.stop_log().unwrap();
    assert_eq!(bench.disk.log_line(), LogLine::Off);
    assert!(bench.disk.stop_log().is_err());
}

#[test]
fn log_ends_with_its_disk_and_with_the_server() {
    let (folder, path) = folder();
    let image = tempfile::NamedTempFile::new().unwrap();
    let disks = Disks::start().unwrap();
    let attach = || {
        disks
            .attach("vda", image.path(), DiskOptions::default())
            .unwrap();
        disks.find("vda").unwrap().1
    };
    attach().start_log(&path, &LogBase::None).unwrap();
    disks.detach("vda").unwrap();
    assert_eq!(marks(&path), [END_MARK]);
    let second = folder.path().join("second");
    attach().start_log(&second, &LogBase::None).unwrap();
    disks.end();
    assert_eq!(marks(&second), [END_MARK]);
}

#[test]
fn events_tell_of_a_log_that_has_failed() {
    let (_folder, path) = folder();
    let image = tempfile::NamedTempFile::new().unwrap();
    let disks = Disks::start().unwrap();
    disks
        .attach("vda", image.path(), DiskOptions::default())
        .unwrap();
    let events = disks.events().listen().unwrap();
    let (_, disk) = disks.find("vda").unwrap();
    disk.start_log(&path, &LogBase::None).unwrap();
    disk.log.record(too_large(), &[1; 512]);
    let told = String::from_utf8(events.read(1000).unwrap()).unwrap();
    let end = " vda log stopped: File too large (os error 27)\n";
    assert!(told.ends_with(end), "{told}");
}

fn order(entry: &Entry) -> Order {
    match entry {
        Entry::Request { order, .. } => order.unwrap(),
        Entry::Mark(text) => panic!("{text:?}"),
    }
}

#[test]
fn flush_that_waits_is_logged_as_one_that_arrived_before_the_writes_meanwhile() {
    for mode in [CacheMode::Off, CacheMode::Volatile] {
        let (_folder, path) = folder();
        let bench = Bench::new();
        bench.disk.set_cache_mode(mode).unwrap();
        start(&bench, &path).unwrap();
        bench.write_sectors(1, &pattern(1, 1)).unwrap();
        bench.rules("hang op=flush");
        let flush = bench.submit(Request::Flush { data_only: false });
        bench.write_sectors(2, &pattern(2, 1)).unwrap();
        bench.disk.release(None, Then::Ok).unwrap();
        answer(&flush).unwrap();
        bench.disk.stop_log().unwrap();
        let found = entries(&path);
        assert_eq!(found.len(), 4, "{found:?}");
        let [first, second, flush] = [0, 1, 2].map(|at| order(&found[at]));
        assert!(first.answer < flush.arrival, "{mode}: {found:?}");
        assert!(flush.arrival < second.arrival, "{mode}: {found:?}");
        assert!(second.answer < flush.answer, "{mode}: {found:?}");
    }
}

#[test]
fn request_that_is_not_done_is_not_logged() {
    for mode in [CacheMode::Off, CacheMode::Volatile] {
        let (_folder, path) = folder();
        let bench = Bench::new();
        bench.disk.set_cache_mode(mode).unwrap();
        start(&bench, &path).unwrap();
        bench.rules("lose op=write\nlose op=flush\nerror op=discard");
        bench.write_sectors(1, &pattern(1, 1)).unwrap();
        let len = 512;
        answer(&bench.submit(Request::Flush { data_only: false })).unwrap();
        let discard = Request::Discard { offset: 0, len };
        assert_eq!(answer(&bench.submit(discard)), EIO);
        bench.rules("");
        let unaligned = Request::Zero {
            offset: 700,
            len: 1000,
            keep_size: true,
        };
        answer(&bench.submit(unaligned)).unwrap();
        bench.disk.stop_log().unwrap();
        let sectors = entries(&path).into_iter().map(|entry| match entry {
            Entry::Request { sectors, .. } => sectors,
            Entry::Mark(_) => 0,
        });
        assert_eq!(sectors.sum::<u64>(), 3, "{mode}: the zeroes alone");
    }
}

#[test]
fn log_ends_at_a_power_cut_and_says_so_until_another_one_begins() {
    let (folder, path) = folder();
    let bench = Bench::new();
    start(&bench, &path).unwrap();
    bench.write_sectors(0, &pattern(1, 1)).unwrap();
    bench.cut("cut");
    let LogLine::On {
        entries, stopped, ..
    } = bench.disk.log_line()
    else {
        panic!("the log is forgotten");
    };
    assert_eq!(
        (entries, stopped.as_deref()),
        (2, Some("the power was cut"))
    );
    assert_eq!(marks(&path), ["request", END_MARK]);
    assert!(bench.disk.return_power());
    bench.write_sectors(0, &pattern(2, 1)).unwrap();
    start(&bench, &folder.path().join("b.log")).unwrap();
    bench.disk.stop_log().unwrap();
    assert_eq!(bench.disk.log_line(), LogLine::Off);
    assert_eq!(marks(&path).len(), 2);
}
