//! The policy verbs of a disk: what its guest's requests meet, and a test's own sector calls do not.

use mlua::{Lua, Table};

use super::bind::Methods;
use super::disk::Disk;
use crate::config::NO_CACHE;
use crate::fault::Sectors;
use crate::vm::{Policy, VmError};

/// Milliseconds in a day.
const LONGEST_DELAY: u64 = 24 * 3600 * 1000;

/// Adds them to the methods of a disk.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("disk:fail_reads", |_, disk: &Disk, ()| {
        set(disk, |policy| policy.fail_reads = true)
    })?;
    methods.add("disk:fail_writes", |_, disk: &Disk, ()| {
        set(disk, |policy| policy.fail_writes = true)
    })?;
    methods.add("disk:fail_after", |_, disk: &Disk, n: u64| {
        let n = at_least_one("n", n, "the number of the first request that fails")?;
        said(set(disk, |policy| policy.fail_after = Some(n)))
    })?;
    methods.add(
        "disk:fail_range",
        |_, disk: &Disk, (start, count): (u64, u64)| {
            let count = at_least_one("count", count, "no request touches an empty range")?;
            let range = Some(Sectors { start, count });
            said(set(disk, |policy| policy.fail_range = range))
        },
    )?;
    methods.add("disk:delay", |_, disk: &Disk, ms: u64| {
        if ms > LONGEST_DELAY {
            return Err(format!("ms is {ms}: a request waits a day at most"));
        }
        said(set(disk, |policy| policy.delay_ms = Some(ms)))
    })?;
    methods.add("disk:clear_policy", |_, disk: &Disk, ()| {
        disk.record.borrow_mut().clear_policy()
    })?;
    methods.add("disk:fault_policy", |lua: &Lua, disk: &Disk, ()| {
        let policy = said(disk.record.borrow().policy())?;
        policy_table(lua, &policy).map_err(|error| error.to_string())
    })?;
    for later in ["disk:power_cut", "disk:flushes", "disk:unflushed_sectors"] {
        methods.add(later, |_, _: &Disk, _: mlua::MultiValue| {
            Err::<(), _>(NO_CACHE)
        })?;
    }
    Ok(())
}

fn set(disk: &Disk, change: impl FnOnce(&mut Policy)) -> Result<(), VmError> {
    disk.record.borrow_mut().set_policy(change)
}

fn said<T>(result: Result<T, VmError>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

fn at_least_one(what: &str, number: u64, why: &str) -> Result<u64, String> {
    match number {
        0 => Err(format!("{what} is 0, and has to be at least 1: {why}")),
        number => Ok(number),
    }
}

/// What is not set is nil.
fn policy_table(lua: &Lua, policy: &Policy) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("fail_reads", policy.fail_reads)?;
    table.set("fail_writes", policy.fail_writes)?;
    table.set("fail_after", policy.fail_after)?;
    table.set(
        "fail_range_sector",
        policy.fail_range.map(|range| range.start),
    )?;
    table.set(
        "fail_range_count",
        policy.fail_range.map(|range| range.count),
    )?;
    table.set("delay_ms", policy.delay_ms)?;
    Ok(table)
}
