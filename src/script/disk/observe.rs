//! What the control files of a disk say, as tables.

use mlua::{Lua, Table};

use super::handle::Disk;
use crate::client::DiskControl;
use crate::protocol::{BadErrno, DiskFile, Errno, InFlightLine, Remark, RuleLine};
use crate::script::bind::{CallResult, Methods};
use crate::script::context::Context;

/// Adds the calls that change nothing. Most are named after a control file, whose lines they give.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add(DiskFile::Rules.name(), rules)?;
    methods.add(DiskFile::Stats.name(), stats)?;
    methods.add(DiskFile::Inflight.name(), inflight)?;
    methods.add(DiskFile::Damage.name(), damage)?;
    methods.add("assert_visible", assert_visible)
}

fn rules(context: &Context, disk: &Disk, (): ()) -> CallResult<Vec<Table>> {
    let rules = disk.ask(DiskControl::rules)?;
    let lua = context.lua();
    let tables = rules.iter().map(|rule| rule_table(&lua, rule));
    Ok(tables.collect::<mlua::Result<_>>()?)
}

fn stats(context: &Context, disk: &Disk, (): ()) -> CallResult<Table> {
    let stats = disk.ask(DiskControl::stats)?;
    Ok(context.lua().create_table_from(stats.texts())?)
}

fn inflight(context: &Context, disk: &Disk, (): ()) -> CallResult<Vec<Table>> {
    let lines = disk.ask(DiskControl::in_flight)?;
    let lua = context.lua();
    let requests = lines.iter().map(|line| request_table(&lua, line));
    Ok(requests.collect::<mlua::Result<_>>()?)
}

fn damage(_: &Context, disk: &Disk, (): ()) -> CallResult<Vec<String>> {
    Ok(disk.ask(DiskControl::damage)?)
}

/// Fails when something between the disk and the guest hides injected errors, or makes another one of `errno`.
fn assert_visible(_: &Context, disk: &Disk, errno: Option<String>) -> CallResult<()> {
    disk.ask(|_| Ok(()))?;
    let errno = errno.map(|text| Errno::parse(&text)).transpose();
    let errno = errno.map_err(|error: BadErrno| error.to_string())?;
    let obstacles = disk.ask_vm(|vm, record| vm.obstacles(record, errno))?;
    if obstacles.is_empty() {
        return Ok(());
    }
    let (id, why) = (disk.record().id().to_owned(), obstacles.join("; "));
    Err(format!("errors of disk `{id}` do not reach the guest: {why}").into())
}

fn rule_table(lua: &Lua, state: &RuleLine) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("rule", state.rule.as_str())?;
    table.set("considered", state.counts.considered)?;
    table.set("matched", state.counts.matched)?;
    table.set("fired", state.counts.fired)?;
    table.set("left", state.left)?;
    if let Some(bad) = &state.bad {
        let range = |&(start, count): &(u64, u64)| {
            let range = lua.create_table()?;
            range.set("sector", start)?;
            range.set("sectors", count)?;
            Ok(range)
        };
        let ranges = bad.iter().map(range).collect::<mlua::Result<Vec<_>>>()?;
        table.set("bad", ranges)?;
    }
    table.set("healed", state.healed.map(|(healed, _)| healed))?;
    table.set("refused", state.healed.map(|(_, refused)| refused))?;
    match &state.remark {
        Some(Remark::Never(why)) => table.set("never", why.as_str())?,
        Some(Remark::Note(note)) => table.set("note", note.as_str())?,
        None => {}
    }
    Ok(table)
}

fn request_table(lua: &Lua, line: &InFlightLine<'_>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("op", line.op.name())?;
    table.set("sector", line.sector)?;
    table.set("count", line.count)?;
    table.set("age", line.age.as_secs_f64())?;
    table.set("rule", line.waits_for())?;
    Ok(table)
}
