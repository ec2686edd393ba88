//! What of a disk is durable: its write cache, what is pending in it, and power cuts.

use mlua::{Lua, Table};

use super::handle::Disk;
use crate::client::DiskControl;
use crate::protocol::{CacheMode, CutReport, DiskFile, DiskGauge, PendingLine, PowerCut};
use crate::script::bind::{CallResult, Methods, Options, items};
use crate::script::context::Context;
use crate::vm::cut_and_return;

/// The options that say what survives a power cut.
pub(in crate::script) const CUT_OPTIONS: [&str; 5] = ["keep", "p", "seed", "tear", "garbage"];

/// Adds the calls.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add(DiskFile::Cache.name(), cache)?;
    methods.add(DiskFile::Pending.name(), pending)?;
    methods.add("flushes", flushes)?;
    methods.add("unflushed_sectors", unflushed_sectors)?;
    methods.add(DiskFile::Mark.name(), mark)?;
    methods.add("power_cut", power_cut)
}

/// Sets the mode of the cache; without one, returns it.
fn cache(_: &Context, disk: &Disk, mode: Option<String>) -> CallResult<Option<String>> {
    let Some(mode) = mode else {
        return Ok(Some(disk.ask(DiskControl::cache)?.to_string()));
    };
    let mode = mode.parse::<CacheMode>();
    let mode = mode.map_err(|error| error.to_string())?;
    disk.ask(|control| control.set_cache(mode))?;
    Ok(None)
}

fn pending(context: &Context, disk: &Disk, (): ()) -> CallResult<Vec<Table>> {
    let lines = disk.ask(DiskControl::pending)?;
    let lua = context.lua();
    let requests = lines.iter().map(|line| pending_table(&lua, line));
    Ok(requests.collect::<mlua::Result<_>>()?)
}

fn flushes(_: &Context, disk: &Disk, (): ()) -> CallResult<u64> {
    let stats = disk.ask(DiskControl::stats)?;
    Ok(stats.gauge(DiskGauge::FlushesAnswered))
}

/// The number of sectors that are pending, each counted once.
fn unflushed_sectors(_: &Context, disk: &Disk, (): ()) -> CallResult<u64> {
    let lines = disk.ask(DiskControl::pending)?;
    let ranges = lines.iter().map(|line| (line.sector, line.count));
    Ok(distinct(ranges.collect()))
}

/// How many sectors these ranges have, each a first sector and a number, together.
fn distinct(mut ranges: Vec<(u64, u64)>) -> u64 {
    ranges.sort_unstable();
    let (mut total, mut end) = (0, 0);
    for (start, count) in ranges {
        let past = start.saturating_add(count);
        total += past.saturating_sub(start.max(end));
        end = end.max(past);
    }
    total
}

fn mark(_: &Context, disk: &Disk, text: String) -> CallResult<()> {
    Ok(disk.ask(|control| control.mark(&text))?)
}

/// Cuts the power of the disk, and returns it at once; the guest runs on.
fn power_cut(context: &Context, disk: &Disk, options: Options) -> CallResult<Table> {
    options.only(&CUT_OPTIONS)?;
    let cut = cut_of(&options)?;
    let report = disk.ask(|control| cut_and_return(control, &cut))?;
    Ok(report_table(&context.lua(), &report)?)
}

/// The power cut that the options describe.
pub(in crate::script) fn cut_of(options: &Options) -> CallResult<PowerCut> {
    let mut words = Vec::new();
    for key in CUT_OPTIONS {
        words.extend(
            options
                .read(key, expected(key), word)?
                .map(|word| (key, word)),
        );
    }
    let words = words.iter().map(|(key, word)| (*key, word.as_str()));
    Ok(PowerCut::of(words).map_err(|error| error.to_string())?)
}

/// The kind of value that an option of a cut takes.
fn expected(key: &str) -> &'static str {
    match key {
        "keep" => "a text such as \"all\" or \"first=3\", or a list of numbers",
        _ => "a number",
    }
}

/// A value as the control file takes it. A list says which requests survive.
fn word(value: &mlua::Value) -> Option<String> {
    if let mlua::Value::Table(list) = value {
        let (items, has_others) = items(list).ok().filter(|(_, has_others)| !has_others)?;
        let numbers = items
            .iter()
            .map(|item| Some(item.as_integer()?.to_string()));
        let numbers = numbers.collect::<Option<Vec<_>>>()?;
        return (!has_others).then(|| format!("only={}", numbers.join(",")));
    }
    let is_word = value.is_string() || value.is_integer() || value.is_number();
    is_word.then(|| value.to_string().ok())?
}

/// What a cut has done to a disk.
pub(in crate::script) fn report_table(lua: &Lua, report: &CutReport) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("kept", report.kept)?;
    table.set("lost", report.lost)?;
    table.set("seed", report.seed)?;
    Ok(table)
}

fn pending_table(lua: &Lua, line: &PendingLine) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("number", line.number)?;
    table.set("op", line.op.name())?;
    table.set("sector", line.sector)?;
    table.set("count", line.count)?;
    table.set("age", line.age.as_secs_f64())?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unflushed_sectors_are_counted_once() {
        assert_eq!(distinct(vec![]), 0);
        assert_eq!(distinct(vec![(8, 8), (0, 1)]), 9);
        assert_eq!(distinct(vec![(0, 8), (0, 8), (4, 8), (2, 2)]), 12);
        assert_eq!(distinct(vec![(0, 100), (10, 5), (99, 2)]), 101);
    }
}
