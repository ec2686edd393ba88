//! All states that a power cut of a sweep may have left: the disk becomes each of them, and the guest starts on it.

use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mlua::{Lua, Table};

use super::origin::switch_off;
use crate::client::{DataFile, DiskControl};
use crate::crash::{BaseImage, Content, Deltas, Piece, Source, StateImage, Walk};
use crate::protocol::names::SECTOR;
use crate::protocol::{PowerCommand, PowerState};
use crate::script::bind::CallResult;
use crate::script::context::SharedVm;
use crate::sweep::{Judgement, StatesFound};
use crate::vm::Checkpoints;

/// The checkpoint from which each state is made.
const CHECKPOINT: &str = "provium-sweep-cut";

/// Sectors that are written at once.
const CHUNK: u64 = 2048;

/// A state.
struct State {
    id: String,
    lost: Vec<Piece>,
    content: Content,
}

/// A disk whose power was cut.
pub(super) struct CutDisk<'a> {
    pub(super) lua: Lua,
    pub(super) vm: &'a SharedVm,
    pub(super) control: &'a DiskControl,
    /// Where its requests are logged, up to the cut.
    pub(super) log: &'a Path,
}

impl CutDisk<'_> {
    /// Has `check` look at each of the states that `walk` means; the VM is off. It is off afterwards, and the log is gone.
    pub(super) fn check_each(
        &self,
        walk: &Walk,
        check: impl Fn(Table) -> CallResult<Option<String>>,
    ) -> CallResult<Judgement> {
        let source = Source::open(self.log, &BaseImage::Beside);
        let source = Arc::new(source.map_err(|error| error.to_string())?);
        let found = states(&source, walk)?;
        let judged = self.judge(&source, &found, check);
        remove(self.log);
        judged
    }

    fn judge(
        &self,
        source: &Arc<Source>,
        found: &[State],
        check: impl Fn(Table) -> CallResult<Option<String>>,
    ) -> CallResult<Judgement> {
        let checkpoints = Checkpoints::save(self.control.mount(), CHECKPOINT.to_owned())?;
        let (mut first, mut bad) = (None, 0);
        for state in found {
            switch_off(&mut self.vm.borrow_mut())?;
            checkpoints.restore()?;
            write(self.control, source, &state.content)?;
            if let Some(wrong) = check(state.table(&self.lua)?)? {
                bad += 1;
                let text = || format!("state {} ({}): {wrong}", state.id, state.loss());
                first.get_or_insert_with(text);
            }
        }
        switch_off(&mut self.vm.borrow_mut())?;
        let distinct = found.len() as u64;
        Ok(Judgement {
            wrong: first,
            states: Some(StatesFound { distinct, bad }),
        })
    }
}

/// The distinct states at the end of the log.
fn states(source: &Source, walk: &Walk) -> CallResult<Vec<State>> {
    let deltas = Deltas::of(&source.history, &source.log, &source.base, |_| ());
    let deltas = deltas.map_err(|error| format!("cannot read the data of the log: {error}"))?;
    let points = source.history.points(None, None);
    let points = points.map_err(|error| error.to_string())?;
    let walk = Walk {
        from: *points.end(),
        to: *points.end(),
        ..walk.clone()
    };
    let mut states = Vec::new();
    walk.for_each(&source.history, &deltas, |found| {
        let pieces = found.space.pieces();
        let lost = found.id.subset.lost();
        states.push(State {
            id: found.id.to_string(),
            lost: lost.map(|number| pieces[number].clone()).collect(),
            content: found.space.content(found.durable, &found.id.subset),
        });
        ControlFlow::Continue(())
    });
    Ok(states)
}

impl State {
    fn loss(&self) -> String {
        let lost: Vec<_> = self.lost.iter().take(4).map(Piece::to_string).collect();
        match (self.lost.len(), lost.join(", ")) {
            (0, _) => "nothing lost".to_owned(),
            (all, shown) if all > 4 => format!("lost {shown} and {} more", all - 4),
            (_, shown) => format!("lost {shown}"),
        }
    }

    /// What the check gets of it.
    fn table(&self, lua: &Lua) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        table.set("id", self.id.as_str())?;
        let lost = lua.create_table()?;
        for piece in &self.lost {
            let shown = lua.create_table()?;
            shown.set("sector", piece.sectors.start)?;
            shown.set("count", piece.sectors.end - piece.sectors.start)?;
            lost.push(shown)?;
        }
        table.set("lost", lost)?;
        Ok(table)
    }
}

/// Makes the disk the state of `source` that holds `content`.
fn write(disk: &DiskControl, source: &Arc<Source>, content: &Content) -> CallResult<()> {
    if disk.power()? != PowerState::On {
        disk.switch_power(&PowerCommand::On)?;
    }
    let image = StateImage::new(source, content.clone());
    let data = disk.open()?;
    for request in &source.history.requests {
        write_part(&data, &image, request.sectors.clone())?;
    }
    Ok(data.sync()?)
}

fn write_part(data: &DataFile, image: &StateImage, sectors: Range<u64>) -> CallResult<()> {
    let mut at = sectors.start;
    while at < sectors.end {
        let part = at..sectors.end.min(at + CHUNK);
        let read = image.data(&part);
        let read = read.map_err(|error| format!("cannot read a state: {error}"))?;
        data.write(at * SECTOR, &read)?;
        at = part.end;
    }
    Ok(())
}

/// Removes a log and what it began from.
pub(super) fn remove(log: &Path) {
    let mut base = log.to_owned().into_os_string();
    base.push(".base");
    for path in [log.to_owned(), PathBuf::from(base)] {
        let _ = std::fs::remove_file(path);
    }
}
