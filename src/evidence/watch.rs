//! Watching a test: the traces of its disks, the consoles of its VMs, and its calls.
//!
//! A thread reads them now and then, so that nothing is lost while the test is busy or stuck. The server of a mount
//! keeps the lines of a trace until then; requests never wait for this thread.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::calls::Calls;
use super::console::Console;
use super::disk::{DiskEvidence, ask_disks};
use super::kept::Kept;
use super::limits::Limits;
use super::spool::{Entry, Spool};
use super::{ConsoleEvidence, Evidence};
use crate::client::DiskControl;
use crate::protocol::DiskFile;

/// The time between two looks.
const TICK: Duration = Duration::from_millis(25);
/// How long a look that was asked for may take. It takes longer only if the server of a mount is stopped.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a trace that are read at a time.
const PIECE: usize = 64 << 10;

/// Watches the tests of a file, one after the other.
pub struct Watcher {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    limits: Limits,
    /// Whether it is recorded what fires.
    records_faults: bool,
    /// Never locked together with the state.
    spool: Mutex<Option<Spool>>,
}

struct State {
    disks: Vec<Disk>,
    consoles: Vec<Console>,
    calls: Calls,
    /// The number of the latest look that was asked for, and of the latest that is done.
    asked: u64,
    done: u64,
    ended: bool,
    /// Writes what is known when the runner asks for it, since the test is stuck.
    on_demand: Option<PathBuf>,
}

struct Disk {
    vm: Option<String>,
    control: DiskControl,
    trace: Stream,
    /// Where it is recorded what fires.
    decisions: Option<Stream>,
}

/// A file that is read as it grows.
struct Stream {
    vm: Option<String>,
    id: String,
    are_decisions: bool,
    /// None once the disk is gone.
    file: Option<Arc<File>>,
    unfinished: Vec<u8>,
    lines: Kept,
}

impl Watcher {
    /// Starts to watch; nothing yet.
    pub fn start(limits: Limits, records_faults: bool) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                disks: Vec::new(),
                consoles: Vec::new(),
                calls: Calls::new(limits),
                asked: 0,
                done: 0,
                ended: false,
                on_demand: None,
            }),
            changed: Condvar::new(),
            limits,
            records_faults,
            spool: Mutex::new(None),
        });
        let watching = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("evidence".into());
        // Without the thread the reports are shorter.
        let _ = thread.spawn(move || watching.watch());
        Self { shared }
    }

    /// Begins a test: what was before is not of it. Its evidence goes to `folder` when the runner demands it.
    pub fn begin_test(&self, folder: PathBuf) {
        self.look();
        let mut state = self.shared.state.lock();
        state.disks.retain(|disk| disk.trace.file.is_some());
        let streams = state.disks.iter_mut().flat_map(Disk::streams);
        streams.for_each(|stream| stream.lines.clear());
        state.consoles.retain(Console::exists);
        state.consoles.iter_mut().for_each(Console::clear);
        state.calls.clear();
        state.on_demand = Some(folder.clone());
        drop(state);
        let mut spool = self.shared.spool.lock();
        // The one before goes first: a test may be tried again.
        *spool = None;
        *spool = Spool::create(&folder).ok();
    }

    /// Ends a test: nothing is written on demand any more.
    pub fn end_test(&self) {
        self.shared.state.lock().on_demand = None;
    }

    /// Watches a disk from now on.
    pub fn add_disk(&self, vm: Option<&str>, control: DiskControl) {
        let trace = Stream::open(vm, &control, DiskFile::Trace, self.shared.limits);
        let decisions = self
            .shared
            .records_faults
            .then(|| Stream::open(vm, &control, DiskFile::Decisions, Limits::LONG));
        self.shared.state.lock().disks.push(Disk {
            vm: vm.map(str::to_owned),
            control,
            trace,
            decisions,
        });
    }

    /// Watches the console of `vm`, which is logged to the file `log`.
    pub fn add_console(&self, vm: &str, log: &Path) {
        let console = Console::new(vm, log, self.shared.limits);
        self.shared.state.lock().consoles.push(console);
    }

    /// Takes what the console of `vm` has shown so far for a boot's, and not for the test's own.
    pub fn booted(&self, vm: &str) {
        self.look();
        let mut state = self.shared.state.lock();
        let mut consoles = state.consoles.iter_mut();
        if let Some(console) = consoles.find(|console| console.vm() == vm) {
            console.clear();
        }
        drop(state);
        self.shared.keep(&Entry::Booted { vm: vm.to_owned() });
    }

    /// Takes a last look at a VM and closes the files in its mount, which is about to end.
    pub fn forget_vm(&self, vm: &str) {
        self.look();
        let mut state = self.shared.state.lock();
        for disk in &mut state.disks {
            if disk.vm.as_deref() == Some(vm) {
                disk.streams().for_each(|stream| stream.file = None);
            }
        }
    }

    /// Notes that a call begins.
    pub fn begin_call(&self, text: String) {
        let began = self.shared.state.lock().calls.begin(text.clone());
        self.shared.keep(&Entry::Called { began, text });
    }

    /// Notes that the call that began last has ended, for this reason if it failed.
    pub fn end_call(&self, failed: Option<&str>) {
        let line = self.shared.state.lock().calls.end(failed);
        if let Some(line) = line {
            self.shared.keep(&Entry::Returned { line });
        }
    }

    /// Waits until all that has happened by now is noted.
    fn look(&self) {
        let mut state = self.shared.state.lock();
        let has_news = state.disks.iter().any(|disk| disk.trace.file.is_some());
        if !has_news && state.consoles.is_empty() {
            return;
        }
        state.asked += 1;
        let asked = state.asked;
        self.shared.changed.notify_all();
        let deadline = Instant::now() + PATIENCE;
        while state.done < asked && Instant::now() < deadline {
            self.shared.changed.wait_until(&mut state, deadline);
        }
    }

    /// All that is known about the test by now.
    pub fn evidence(&self) -> Evidence {
        self.look();
        let known = self.shared.state.lock().known();
        known.ask()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.state.lock().ended = true;
        self.shared.changed.notify_all();
    }
}

/// What is known without asking a mount, and whom to ask.
struct Known {
    evidence: Evidence,
    controls: Vec<(Option<String>, DiskControl)>,
}

impl Known {
    fn ask(self) -> Evidence {
        let mut evidence = self.evidence;
        ask_disks(self.controls)
            .into_iter()
            .for_each(|disk| evidence.add_disk(disk));
        evidence
    }
}

impl State {
    fn known(&self) -> Known {
        let mut disks: Vec<DiskEvidence> = Vec::new();
        for disk in &self.disks {
            let disk = disk.known();
            match disks.iter_mut().find(|other| other.name() == disk.name()) {
                Some(other) => other.replace_by(disk),
                None => disks.push(disk),
            }
        }
        let console = |console: &Console| ConsoleEvidence {
            vm: console.vm().to_owned(),
            lines: console.lines(),
        };
        let open = self.disks.iter().filter(|disk| disk.trace.file.is_some());
        Known {
            evidence: Evidence {
                disks,
                consoles: self.consoles.iter().map(console).collect(),
                calls: self.calls.lines(),
            },
            controls: open
                .map(|disk| (disk.vm.clone(), disk.control.clone()))
                .collect(),
        }
    }
}

impl Shared {
    /// Keeps what has happened for the case that this process is killed.
    fn keep(&self, entry: &Entry) {
        let mut spool = self.spool.lock();
        if let Some(Err(_)) = spool.as_mut().map(|spool| spool.add(entry)) {
            *spool = None;
        }
    }

    /// Looks until the watcher is dropped.
    fn watch(&self) {
        let mut buffer = vec![0; PIECE];
        loop {
            let (asked, streams) = {
                let mut state = self.state.lock();
                if state.ended {
                    return;
                }
                if state.done == state.asked {
                    self.changed.wait_for(&mut state, TICK);
                }
                (state.asked, state.open_streams())
            };
            for stream in streams {
                // Without the lock: the server may be stopped.
                self.read_stream(&stream, &mut buffer);
            }
            let new = self.state.lock().news();
            new.iter().for_each(|entry| self.keep(entry));
            let mut state = self.state.lock();
            state.done = asked;
            let folder = state
                .on_demand
                .take_if(|folder| Evidence::is_demanded(folder));
            let known = folder.map(|folder| (state.known(), folder));
            drop(state);
            self.changed.notify_all();
            if let Some((known, folder)) = known {
                // The runner asks the mounts itself.
                let _ = known.evidence.write_complete(&folder);
            }
        }
    }

    /// Reads what there is of a stream.
    fn read_stream(&self, file: &Arc<File>, buffer: &mut [u8]) {
        loop {
            let read = (&mut &**file).read(buffer);
            if let Err(error) = &read
                && error.kind() == std::io::ErrorKind::Interrupted
            {
                continue;
            }
            let entry = self.state.lock().add(file, read, buffer);
            let Some(entry) = entry else { return };
            self.keep(&entry);
        }
    }
}

impl State {
    /// Adds what was read of a stream; None when there is no more now, or ever.
    fn add(
        &mut self,
        file: &Arc<File>,
        read: std::io::Result<usize>,
        buffer: &[u8],
    ) -> Option<Entry> {
        let is_it = |stream: &&mut Stream| {
            let open = stream.file.as_ref();
            open.is_some_and(|open| Arc::ptr_eq(open, file))
        };
        let mut streams = self.disks.iter_mut().flat_map(Disk::streams);
        let stream = streams.find(is_it)?;
        match read {
            Ok(n) if n > 0 => return Some(stream.add(&buffer[..n])),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => stream.file = None,
        }
        None
    }

    /// What the consoles have shown since the last look.
    fn news(&mut self) -> Vec<Entry> {
        let new = |console: &mut Console| {
            let (lines, vm) = (console.look(), console.vm().to_owned());
            (!lines.is_empty()).then_some(Entry::Console { vm, lines })
        };
        self.consoles.iter_mut().filter_map(new).collect()
    }

    /// The streams that can be read.
    fn open_streams(&mut self) -> Vec<Arc<File>> {
        let streams = self.disks.iter_mut().flat_map(Disk::streams);
        streams.filter_map(|stream| stream.file.clone()).collect()
    }
}

impl Disk {
    fn known(&self) -> DiskEvidence {
        let decisions = self.decisions.as_ref();
        DiskEvidence {
            trace: self.trace.lines.lines(),
            decisions: decisions.map_or_else(Vec::new, |stream| stream.lines.lines()),
            ..DiskEvidence::without_answers(self.vm.as_deref(), self.control.id())
        }
    }

    fn streams(&mut self) -> impl Iterator<Item = &mut Stream> {
        std::iter::once(&mut self.trace).chain(&mut self.decisions)
    }
}

impl Stream {
    /// The stream of a disk, from now on.
    fn open(vm: Option<&str>, control: &DiskControl, file: DiskFile, limits: Limits) -> Self {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let open = options.open(control.file_path(file)).ok();
        Self {
            vm: vm.map(str::to_owned),
            id: control.id().to_owned(),
            are_decisions: file == DiskFile::Decisions,
            file: open.map(Arc::new),
            unfinished: Vec::new(),
            lines: Kept::new(limits.first, limits.last),
        }
    }

    /// Adds a part of what it says, and returns the lines that this ends.
    fn add(&mut self, text: &[u8]) -> Entry {
        let mut lines = Vec::new();
        for piece in text.split_inclusive(|byte| *byte == b'\n') {
            self.unfinished.extend_from_slice(piece);
            if !piece.ends_with(b"\n") {
                break;
            }
            let line = String::from_utf8_lossy(&self.unfinished);
            lines.push(line.trim_end().to_owned());
            self.unfinished.clear();
        }
        lines.iter().for_each(|line| self.lines.push(line.clone()));
        Entry::Disk {
            vm: self.vm.clone(),
            id: self.id.clone(),
            are_decisions: self.are_decisions,
            lines,
        }
    }
}
