//! The policy verbs of a disk: what its guest's requests meet, and a test's own sector calls do not.

use mlua::Table;

use super::handle::Disk;
use crate::fault::Sectors;
use crate::script::bind::{CallResult, Methods};
use crate::script::context::Context;
use crate::vm::Policy;

/// Milliseconds in a day.
const LONGEST_DELAY: u64 = 24 * 3600 * 1000;

/// Adds the policy verbs to the methods of a disk.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("fail_reads", fail_reads)?;
    methods.add("fail_writes", fail_writes)?;
    methods.add("fail_after", fail_after)?;
    methods.add("fail_range", fail_range)?;
    methods.add("delay", delay)?;
    methods.add("clear_policy", clear_policy)?;
    methods.add("fault_policy", fault_policy)
}

fn fail_reads(_: &Context, disk: &Disk, (): ()) -> CallResult<()> {
    set(disk, |policy| policy.fail_reads = true)
}

fn fail_writes(_: &Context, disk: &Disk, (): ()) -> CallResult<()> {
    set(disk, |policy| policy.fail_writes = true)
}

fn fail_after(_: &Context, disk: &Disk, n: u64) -> CallResult<()> {
    let n = at_least_one("n", n, "the number of the first request that fails")?;
    set(disk, |policy| policy.fail_after = Some(n))
}

fn fail_range(_: &Context, disk: &Disk, (start, count): (u64, u64)) -> CallResult<()> {
    let count = at_least_one("count", count, "no request touches an empty range")?;
    let range = Some(Sectors { start, count });
    set(disk, |policy| policy.fail_range = range)
}

fn delay(_: &Context, disk: &Disk, ms: u64) -> CallResult<()> {
    if ms > LONGEST_DELAY {
        return Err(format!("ms is {ms}: a request waits a day at most").into());
    }
    set(disk, |policy| policy.delay_ms = Some(ms))
}

fn clear_policy(_: &Context, disk: &Disk, (): ()) -> CallResult<()> {
    Ok(disk.record_mut().clear_policy()?)
}

/// The policy as a table; what is not set is nil.
fn fault_policy(context: &Context, disk: &Disk, (): ()) -> CallResult<Table> {
    let policy = disk.record().policy()?;
    let range = policy.fail_range;
    let table = context.lua().create_table()?;
    table.set("fail_reads", policy.fail_reads)?;
    table.set("fail_writes", policy.fail_writes)?;
    table.set("fail_after", policy.fail_after)?;
    table.set("fail_range_sector", range.map(|range| range.start))?;
    table.set("fail_range_count", range.map(|range| range.count))?;
    table.set("delay_ms", policy.delay_ms)?;
    Ok(table)
}

fn set(disk: &Disk, change: impl FnOnce(&mut Policy)) -> CallResult<()> {
    Ok(disk.record_mut().set_policy(change)?)
}

fn at_least_one(what: &str, number: u64, why: &str) -> CallResult<u64> {
    match number {
        0 => Err(format!("{what} is 0, and has to be at least 1: {why}").into()),
        number => Ok(number),
    }
}
