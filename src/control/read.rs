//! What the control files read as.

use std::sync::Arc;

use super::text::Length;
use super::{Control, Text};
use crate::disk::{Disk, Listener};
use crate::protocol::names::VERSION;
use crate::protocol::{
    ControlFile, DiskFile, DiskGauge, DiskLine, Errno, RulesLine, StatKey, StatLine, Switch,
};

/// A file that has no text: it takes writes only, or it is a stream.
const NO_TEXT: Errno = Errno(libc::EACCES);
/// A stream has as many readers as it can have.
const TOO_MANY: Errno = Errno(libc::EMFILE);

impl Control {
    /// The text of `file`, now.
    pub fn read(&self, file: ControlFile) -> Result<Text, Errno> {
        match file {
            ControlFile::Version => Ok(Text::line(VERSION)),
            ControlFile::Disks => Ok(Text::of(self.disk_lines())),
            ControlFile::Error => Ok(Text::of(self.rejected.lock().iter().cloned().collect())),
            ControlFile::Power => Ok(Text::of(self.power_lines())),
            ControlFile::Attach
            | ControlFile::Detach
            | ControlFile::Clear
            | ControlFile::Mark
            | ControlFile::Events => Err(NO_TEXT),
        }
    }

    /// The text of `file` of `disk`, now.
    pub fn read_disk(&self, disk: &Arc<Disk>, file: DiskFile) -> Result<Text, Errno> {
        match file {
            DiskFile::Faults => Ok(faults(disk)),
            DiskFile::Rules => Ok(rules(disk)),
            DiskFile::Stats => Ok(stats(disk)),
            DiskFile::Inflight => Ok(Text::of(disk.in_flight())),
            DiskFile::Damage => Ok(damage(disk)),
            DiskFile::Size => Ok(Text::line(disk.stat_soon()?.size)),
            DiskFile::Image => Ok(Text::line(disk.path().display())),
            DiskFile::Mode => Ok(Text::line(disk.options().access())),
            DiskFile::Seed => Ok(Text::line(disk.seed())),
            DiskFile::Cache => Ok(Text::line(disk.cache_mode())),
            DiskFile::Pending => Ok(Text::of(disk.pending())),
            DiskFile::Power => Ok(Text::line(disk.power())),
            DiskFile::Log => Ok(Text::line(disk.log_line())),
            DiskFile::Checkpoint => Ok(Text::of(disk.checkpoints())),
            DiskFile::Release | DiskFile::Trace | DiskFile::Decisions | DiskFile::Mark => {
                Err(NO_TEXT)
            }
        }
    }

    /// The length of [`read_disk`](Self::read_disk), now.
    pub fn disk_len(&self, disk: &Arc<Disk>, file: DiskFile) -> Result<u64, Errno> {
        match file == DiskFile::Rules {
            true => Ok(rules_len(disk)),
            false => Ok(self.read_disk(disk, file)?.len()),
        }
    }

    /// Begins to read `file` as a stream. Error: EMFILE when it has too many readers, EACCES when it is not a
    /// stream.
    pub fn listen(&self, file: ControlFile) -> Result<Arc<Listener>, Errno> {
        match file {
            ControlFile::Events => self.disks.events().listen().ok_or(TOO_MANY),
            ControlFile::Version
            | ControlFile::Disks
            | ControlFile::Attach
            | ControlFile::Detach
            | ControlFile::Clear
            | ControlFile::Error
            | ControlFile::Power
            | ControlFile::Mark => Err(NO_TEXT),
        }
    }

    /// The same for `file` of `disk`.
    pub fn listen_to_disk(&self, disk: &Disk, file: DiskFile) -> Result<Arc<Listener>, Errno> {
        match file {
            DiskFile::Trace => disk.trace().listen().ok_or(TOO_MANY),
            DiskFile::Decisions => disk.decisions().listen().ok_or(TOO_MANY),
            DiskFile::Faults
            | DiskFile::Rules
            | DiskFile::Stats
            | DiskFile::Inflight
            | DiskFile::Release
            | DiskFile::Damage
            | DiskFile::Size
            | DiskFile::Image
            | DiskFile::Mode
            | DiskFile::Seed
            | DiskFile::Cache
            | DiskFile::Pending
            | DiskFile::Power
            | DiskFile::Log
            | DiskFile::Mark
            | DiskFile::Checkpoint => Err(NO_TEXT),
        }
    }

    fn disk_lines(&self) -> Vec<DiskLine> {
        let line = |(disk, size): (Arc<Disk>, Option<u64>)| {
            let options = disk.options();
            DiskLine {
                id: disk.id().to_owned(),
                size,
                read_only: options.read_only,
                image: disk.path().to_string_lossy().into_owned(),
                fixed: options.fixed,
                cache: options.cache,
                scratch: options.scratch,
                share: options.share,
            }
        };
        self.disks.sizes().into_iter().map(line).collect()
    }

    /// `ID STATE` of each disk.
    fn power_lines(&self) -> Vec<String> {
        let disks = self.disks.all().into_iter();
        let line = |(_, disk): (_, Arc<Disk>)| format!("{} {}", disk.id(), disk.power());
        disks.map(line).collect()
    }
}

fn faults(disk: &Disk) -> Text {
    let set = disk.faults();
    Text::new(move |at, line| match set.armed().get(at) {
        Some(armed) => {
            line.push_str(armed.text());
            true
        }
        None => false,
    })
}

/// The rules, after a line `off` while they are switched off.
fn rules(disk: &Disk) -> Text {
    let mut lines = Vec::new();
    each_line_of_rules(disk, |line| lines.push(line));
    Text::of(lines)
}

/// The length of that text. With very many rules, most of the time would go into keeping its lines.
fn rules_len(disk: &Disk) -> u64 {
    let mut length = Length::default();
    each_line_of_rules(disk, |line| length.add(&line));
    length.bytes()
}

fn each_line_of_rules(disk: &Disk, mut to: impl FnMut(RulesLine)) {
    if disk.rules_switch() == Switch::Off {
        to(RulesLine::Off);
    }
    disk.each_rule(|rule| to(RulesLine::Rule(rule)));
}

/// The damage so far. The list may grow faster than it is read.
fn damage(disk: &Disk) -> Text {
    let (list, len) = (Arc::clone(disk.damage()), disk.damage().len());
    Text::new(move |at, line| match list.line(at).filter(|_| at < len) {
        Some(damage) => {
            line.push_str(&damage);
            true
        }
        None => false,
    })
}

fn stats(disk: &Disk) -> Text {
    let gauges = DiskGauge::ALL.map(|gauge| StatLine {
        key: StatKey::Disk(gauge),
        value: match gauge {
            DiskGauge::InFlight => disk.in_flight_count() as u64,
            DiskGauge::OpenFiles => disk.open_count() as u64,
            DiskGauge::HeldBytesOfAllDisks => disk.held_bytes(),
            DiskGauge::HeldBytesLimit => disk.held_bytes_limit(),
            DiskGauge::PendingRequests => disk.pending_amount().requests,
            DiskGauge::PendingBytes => disk.pending_amount().bytes,
            DiskGauge::FlushesAnswered => disk.flushes_answered(),
            DiskGauge::FuaRequests => disk.fua_requests(),
            DiskGauge::EvictedRequests => disk.evicted_amount().requests,
            DiskGauge::EvictedBytes => disk.evicted_amount().bytes,
            DiskGauge::PowerOffErrors => disk.power_off_errors(),
            DiskGauge::Checkpoints => disk.checkpoints().len() as u64,
            DiskGauge::LayerBytes => disk.layer_bytes(),
        },
    });
    let lines = disk.counters().lines().chain(gauges);
    Text::of(lines.collect())
}
