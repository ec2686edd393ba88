//! A disk against an image in memory that misbehaves on demand.

mod cache;
mod checkpoints;
mod damage;
mod data;
mod decisions;
mod limits;
mod log;
mod looks;
mod model;
mod power;
mod rules;
mod sizes;
mod stale;
mod travel;
mod waiting;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::observe::thread_slot::my_slot;
use super::{Answer, Delays, Disk, Fua, Origin, Pool, Reply, Request};
use crate::fault::{Edit, Mode, parse_edits, parse_rule};
use crate::protocol::Errno;
use crate::protocol::names::SECTOR;
use crate::storage::{Image, LayerFolder, LayeredImage, MemoryImage};

type Result = std::result::Result<Vec<u8>, Errno>;

/// Sends the result to the test; EIO when dropped unsent, as a FUSE reply does.
struct TestReply(Option<Sender<Result>>);

impl Reply for TestReply {
    fn send(mut self, result: std::result::Result<Answer<'_>, Errno>) {
        let result = result.map(|answer| match answer {
            Answer::Data(data) => data.to_vec(),
            Answer::Done(_) => Vec::new(),
        });
        self.0.take().unwrap().send(result).unwrap();
    }
}

impl Drop for TestReply {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.take() {
            let _ = waiting.send(Err(Errno(libc::EIO)));
        }
    }
}

/// The image, with layers in the folder for temporary files.
fn layered(image: Arc<dyn Image>) -> LayeredImage {
    let folder = LayerFolder::at(&std::env::temp_dir());
    LayeredImage::new(image, Arc::new(folder))
}

struct Bench {
    disk: Arc<Disk>,
    image: Arc<MemoryImage>,
    delays: Arc<Delays>,
    client: u64,
}

impl Bench {
    fn new() -> Self {
        Self::of_size(1 << 20)
    }

    fn of_size(size: usize) -> Self {
        let delays = Delays::start(Arc::new(Pool::default())).unwrap();
        Self::with(size, Arc::new(delays))
    }

    fn on(delays: Arc<Delays>) -> Self {
        Self::with(1 << 20, delays)
    }

    fn with(size: usize, delays: Arc<Delays>) -> Self {
        let image = Arc::new(MemoryImage::new(size));
        let disk = Disk::new(
            "vda",
            "memory".as_ref(),
            layered(image.clone()),
            Arc::clone(&delays),
        );
        let disk = Arc::new(disk);
        let client = disk.open().unwrap();
        Self {
            disk,
            image,
            delays,
            client,
        }
    }

    /// Delays reads for so long that nobody is late.
    fn delay_reads(&self, by: &str) {
        let rule = parse_rule(&format!("delay op=read by={by}"), 1).unwrap();
        self.disk.arm(&[Edit::Add(rule)], false).unwrap();
    }

    /// Lets the reads go on that wait for this delay.
    fn end_delay(&self, by: &str) {
        let edits = parse_edits(format!("!delay op=read by={by}").as_bytes()).unwrap();
        self.disk.arm(&edits, false).unwrap();
    }

    fn arm(&self, mode: Mode) {
        self.disk.arm(&[Edit::Add(mode.rule())], false).unwrap();
    }

    fn submit(&self, request: Request<'_>) -> Receiver<Result> {
        let (reply, answer) = bounded(1);
        self.disk
            .submit(request, self.origin(), TestReply(Some(reply)));
        answer
    }

    fn origin(&self) -> Origin {
        Origin {
            client: self.client,
            is_aligned: false,
            may_wait: true,
        }
    }

    fn read(&self) -> Receiver<Result> {
        self.submit(Request::Read {
            offset: 0,
            len: 512,
        })
    }

    fn write(&self, byte: u8) -> Receiver<Result> {
        let data = vec![byte; 512].into();
        self.submit(Request::Write {
            offset: 0,
            data,
            fua: None,
        })
    }

    fn stat(&self, key: &str) -> u64 {
        let mut lines = self.disk.counters().lines();
        let line = lines.find(|line| line.key.to_string() == key);
        line.unwrap().value
    }
}

/// An image that holds every request until this is dropped, which a test that fails does too.
struct Stuck<'a>(&'a MemoryImage);

impl Drop for Stuck<'_> {
    fn drop(&mut self) {
        self.0.set_stuck(false);
    }
}

impl Bench {
    fn stick(&self) -> Stuck<'_> {
        self.image.set_stuck(true);
        Stuck(&self.image)
    }

    fn rules(&self, text: &str) {
        let edits = parse_edits(text.as_bytes()).unwrap();
        self.disk.arm(&edits, true).unwrap();
    }

    fn read_sectors(&self, sector: u64, count: u64) -> Result {
        let (offset, len) = (sector * SECTOR, (count * SECTOR) as u32);
        answer(&self.submit(Request::Read { offset, len }))
    }

    fn write_sectors(&self, sector: u64, data: &[u8]) -> Result {
        let (offset, data) = (sector * SECTOR, data.into());
        answer(&self.submit(Request::Write {
            offset,
            data,
            fua: None,
        }))
    }

    fn image_sectors(&self, sector: u64, count: u64) -> Vec<u8> {
        let mut data = vec![0; (count * SECTOR) as usize];
        self.image.read_at(&mut data, sector * SECTOR).unwrap();
        data
    }

    fn damage(&self) -> String {
        let lines = (0..).map_while(|at| self.disk.damage().line(at));
        lines.map(|line| line + "\n").collect()
    }
}

fn answer(receiver: &Receiver<Result>) -> Result {
    receiver
        .recv_timeout(Duration::from_secs(60))
        .expect("an answer")
}

/// Does `work` on a thread that is seen when it serves. The tests of a process share the slots of its threads.
fn seen<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if my_slot().is_some() {
        return work();
    }
    std::thread::sleep(Duration::from_millis(10));
    std::thread::scope(|scope| scope.spawn(|| seen(work)).join().unwrap())
}

/// Waits until `done`, which something else brings about.
fn until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "it does not happen");
        std::thread::yield_now();
    }
}

const EIO: Result = Err(Errno::EIO);

fn pattern(first: u8, sectors: usize) -> Vec<u8> {
    (0..sectors)
        .flat_map(|n| [first.wrapping_add(n as u8); 512])
        .collect()
}

/// `rules` are armed while `request` is at the image.
fn with_rules_during_io(bench: &Bench, rules: &str, request: Request<'_>) -> Result {
    let touched = bench.image.touched();
    std::thread::scope(|scope| {
        let stuck = bench.stick();
        let waiting = scope.spawn(|| answer(&bench.submit(request)));
        until(|| bench.image.touched() > touched);
        bench.rules(rules);
        drop(stuck);
        waiting.join().unwrap()
    })
}
