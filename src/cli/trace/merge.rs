//! The traces of several disks as one stream, in the order of time; and what ends it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::client::{ClientError, DiskControl, MountClient};
use crate::os::mounts;
use crate::protocol::TraceLine;

/// Lines that wait to be shown. When there are more, the server counts what is lost.
const MOST_LINES: usize = 1 << 12;
/// How long to collect lines of several disks, so that they can be put in order.
const TOGETHER: Duration = Duration::from_millis(10);
/// How long a disk may be listed whose trace has ended: for longer, it is another one of the same name.
const CLOSING: Duration = Duration::from_secs(5);
/// The time between two looks for new disks, and for the end of the mount.
const LOOK: Duration = Duration::from_millis(500);

/// A line of the disk `id`.
pub(super) struct Line {
    pub(super) id: Arc<str>,
    pub(super) line: TraceLine<'static>,
}

enum Message {
    Line(Line),
    /// The trace of this disk has ended.
    End(Arc<str>),
    /// The server is gone: a read of a trace has failed.
    Gone,
    /// The mount has a disk that nobody follows.
    New(DiskControl),
}

/// Why there are no more lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The user asked for it.
    Stopped,
    /// The time is over.
    Over,
    /// The disk was detached.
    Detached,
    /// The mount is gone.
    Unmounted,
}

/// The traces of one disk, or of all disks of a mount.
pub(super) struct Merged {
    messages: Receiver<Message>,
    tx: Sender<Message>,
    /// Gets a message at each signal.
    stop: Receiver<()>,
    /// As the kernel lists it; None where it cannot be found there.
    point: Option<PathBuf>,
    is_of_mount: bool,
    followed: HashSet<Arc<str>>,
    until: Option<Instant>,
    end: Option<End>,
}

impl Merged {
    /// Follows `disks`; with `mount`, also those that are attached later. Nothing that happens after this is
    /// missed.
    pub(super) fn start(
        disks: &[DiskControl],
        mount: Option<&MountClient>,
        until: Option<Instant>,
    ) -> anyhow::Result<Self> {
        let (tx, messages) = bounded(MOST_LINES);
        let mut merged = Self {
            messages,
            tx,
            stop: stop_at_signals()?,
            point: disks
                .first()
                .map(DiskControl::mount)
                .or(mount)
                .and_then(listed),
            is_of_mount: mount.is_some(),
            followed: HashSet::new(),
            until,
            end: None,
        };
        for disk in disks {
            merged.follow(disk)?;
        }
        if let Some(mount) = mount {
            look_for_disks(mount.clone(), merged.tx.clone())?;
        }
        Ok(merged)
    }

    fn follow(&mut self, disk: &DiskControl) -> Result<(), ClientError> {
        let id: Arc<str> = disk.id().into();
        if !self.followed.insert(Arc::clone(&id)) {
            return Ok(());
        }
        let (trace, tx) = (disk.trace()?, self.tx.clone());
        let (disk, is_of_mount) = (disk.clone(), self.is_of_mount);
        let read = move || {
            for line in trace {
                let (id, is_gone) = (Arc::clone(&id), line.is_err());
                let message = line.map_or(Message::Gone, |line| Message::Line(Line { id, line }));
                if tx.send(message).is_err() || is_gone {
                    return;
                }
            }
            let _ = tx.send(match is_of_mount || is_detached(&disk) {
                true => Message::End(id),
                false => Message::Gone,
            });
        };
        // Without a thread the trace is as one that has ended.
        drop(std::thread::Builder::new().spawn(read));
        Ok(())
    }

    /// The next lines, in order; or why there are none.
    pub(super) fn next(&mut self) -> Result<Vec<Line>, End> {
        loop {
            if let Some(end) = self.end {
                return Err(end);
            }
            let mut lines = Vec::new();
            self.end = self.collect(&mut lines);
            if !lines.is_empty() {
                return Ok(in_order(lines));
            }
        }
    }

    /// Waits for lines and takes what is there. The reason of the end, if it has come.
    fn collect(&mut self, lines: &mut Vec<Line>) -> Option<End> {
        let now = Instant::now();
        let left = self.until.map(|until| until.saturating_duration_since(now));
        if left == Some(Duration::ZERO) {
            return Some(End::Over);
        }
        let wait = left.map_or(LOOK, |left| left.min(LOOK));
        if self.stop.try_recv().is_ok() {
            return Some(End::Stopped);
        }
        let message = select! {
            recv(self.stop) -> _ => return Some(End::Stopped),
            recv(self.messages) -> message => message.ok(),
            default(wait) => None,
        };
        let Some(message) = message else {
            return (!self.is_mounted()).then_some(End::Unmounted);
        };
        let mut end = self.take(message, lines);
        if self.followed.len() > 1 {
            std::thread::sleep(TOGETHER);
        }
        while end.is_none()
            && lines.len() < MOST_LINES
            && let Ok(message) = self.messages.try_recv()
        {
            end = self.take(message, lines);
        }
        end
    }

    fn take(&mut self, message: Message, lines: &mut Vec<Line>) -> Option<End> {
        match message {
            Message::Line(line) => lines.push(line),
            // A disk that is gone again is not worth an error.
            Message::New(disk) => drop(self.follow(&disk)),
            Message::End(id) => {
                self.followed.remove(&id);
                return (!self.is_of_mount).then_some(End::Detached);
            }
            Message::Gone => return Some(End::Unmounted),
        }
        None
    }

    /// Whether the mount is there and served. Asks the kernel's table and the server's lock, not the mount.
    fn is_mounted(&self) -> bool {
        let Some(point) = &self.point else {
            return true;
        };
        let mount = mounts::find(point).ok().flatten();
        mount.is_some_and(|mount| !mount.is_stale())
    }
}

/// Whether `disk`, whose trace has ended, is detached. A server that ends in order ends its traces first, and lists its
/// disks until it is gone. It may not answer.
fn is_detached(disk: &DiskControl) -> bool {
    let deadline = Instant::now() + CLOSING;
    loop {
        let Ok(listed) = disk.mount().ids() else {
            return false;
        };
        if !listed.iter().any(|id| id == disk.id()) || Instant::now() >= deadline {
            return true;
        }
        std::thread::sleep(TOGETHER);
    }
}

/// The lines in the order of time. Those without one stay behind the line before them.
fn in_order(lines: Vec<Line>) -> Vec<Line> {
    let mut latest = HashMap::new();
    let mut timed: Vec<_> = lines
        .into_iter()
        .map(|line| {
            let time = match &line.line {
                TraceLine::Answered(request) => request.time,
                TraceLine::Noted(noted) => noted.time,
                TraceLine::Lost(_) => latest.get(&line.id).copied().unwrap_or_default(),
            };
            latest.insert(Arc::clone(&line.id), time);
            (time, line)
        })
        .collect();
    timed.sort_by_key(|(time, _)| *time);
    timed.into_iter().map(|(_, line)| line).collect()
}

/// Where the kernel lists the mount.
fn listed(mount: &MountClient) -> Option<PathBuf> {
    let point = std::path::absolute(mount.point()).ok()?;
    let found = mounts::find(&point).ok()?;
    found.map(|mount| mount.point)
}

/// Gets a message at each signal that ends a command.
pub(in crate::cli) fn stop_at_signals() -> io::Result<Receiver<()>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let (tx, stop) = bounded(1);
    let listen = move || {
        for _ in signals.forever() {
            // One that is there already says the same.
            let _ = tx.try_send(());
        }
    };
    std::thread::Builder::new().spawn(listen)?;
    Ok(stop)
}

/// Reports all disks again and again, from a thread of its own: a mount may not answer.
fn look_for_disks(mount: MountClient, tx: Sender<Message>) -> io::Result<()> {
    let look = move || {
        loop {
            std::thread::sleep(LOOK);
            let Ok(disks) = mount.all() else { return };
            for disk in disks {
                if tx.send(Message::New(disk)).is_err() {
                    return;
                }
            }
        }
    };
    std::thread::Builder::new().spawn(look).map(drop)
}
