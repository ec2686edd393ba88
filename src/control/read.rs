//! What the control files read as.

use std::sync::Arc;

use super::{Control, Text};
use crate::disk::{Disk, Listener, MOST_HELD};
use crate::protocol::names::VERSION;
use crate::protocol::{
    ControlFile, DiskFile, DiskGauge, DiskLine, Errno, RulesLine, StatKey, StatLine, Switch,
};

/// A file that has no text: it takes writes only, or it is a stream.
const NO_TEXT: Errno = Errno(libc::EACCES);

impl Control {
    /// The text of `file`, now.
    pub fn read(&self, file: ControlFile) -> Result<Text, Errno> {
        match file {
            ControlFile::Version => Ok(Text::line(VERSION)),
            ControlFile::Disks => Ok(Text::of(self.disk_lines())),
            ControlFile::Error => Ok(Text::of(self.rejected.lock().iter().cloned().collect())),
            ControlFile::Attach | ControlFile::Detach | ControlFile::Clear => Err(NO_TEXT),
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
            DiskFile::Release | DiskFile::Trace => Err(NO_TEXT),
        }
    }

    /// Begins to read `file` of `disk` as a stream. Error: EMFILE when it has too many readers, EACCES when it is
    /// not a stream.
    pub fn listen(&self, disk: &Disk, file: DiskFile) -> Result<Arc<Listener>, Errno> {
        match file {
            DiskFile::Trace => disk.trace().listen().ok_or(Errno(libc::EMFILE)),
            DiskFile::Faults
            | DiskFile::Rules
            | DiskFile::Stats
            | DiskFile::Inflight
            | DiskFile::Release
            | DiskFile::Damage
            | DiskFile::Size
            | DiskFile::Image
            | DiskFile::Mode
            | DiskFile::Seed => Err(Errno(libc::EACCES)),
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
            }
        };
        self.disks.sizes().into_iter().map(line).collect()
    }
}

fn faults(disk: &Disk) -> Text {
    let set = disk.faults();
    Text::new(move |at| Some(set.armed().get(at)?.rule.to_string()))
}

/// The rules, after a line `off` while they are switched off.
fn rules(disk: &Disk) -> Text {
    let is_off = disk.rules_switch() == Switch::Off;
    let off = is_off.then_some(RulesLine::Off);
    let rules = disk.rules().into_iter().map(RulesLine::Rule);
    Text::of(off.into_iter().chain(rules).collect())
}

/// The damage so far. The list may grow faster than it is read.
fn damage(disk: &Disk) -> Text {
    let (list, len) = (Arc::clone(disk.damage()), disk.damage().len());
    Text::new(move |at| (at < len).then(|| list.line(at))?)
}

fn stats(disk: &Disk) -> Text {
    let gauges = DiskGauge::ALL.map(|gauge| StatLine {
        key: StatKey::Disk(gauge),
        value: match gauge {
            DiskGauge::InFlight => disk.in_flight_count() as u64,
            DiskGauge::OpenFiles => disk.open_count() as u64,
            DiskGauge::HeldBytesOfAllDisks => disk.held_bytes(),
            DiskGauge::HeldBytesLimit => MOST_HELD,
        },
    });
    let lines = disk.counters().lines().chain(gauges);
    Text::of(lines.collect())
}
