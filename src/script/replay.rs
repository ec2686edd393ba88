//! `provium:replay`: the recorded faults that the disks of a file meet.

use mlua::{Table, Value};

use super::bind::{CallResult, items, native};
use super::context::Context;
use super::replaying::Replaying;
use crate::fault::{Replayed, parse_rule};
use crate::vm::Recorded;

/// Adds the native of `provium:replay` to the table that the prelude gets.
pub(super) fn add_natives(context: &Context, natives: &Table) -> mlua::Result<()> {
    natives.set("provium_replay", native(context, "provium:replay", replay)?)
}

/// `provium:replay(test, disks)`: the file runs this test alone, and its disks meet these faults alone.
fn replay(context: &Context, (_provium, test, disks): (Value, String, Table)) -> CallResult<()> {
    if context.is_loaded() || context.has_tests() {
        return Err("call it at the beginning of the file, before any test".into());
    }
    let mut replaying = Replaying::of_test(test);
    for pair in disks.pairs::<String, Table>() {
        let (disk, rules) = pair?;
        let recorded = rules_of(&rules).map_err(|why| format!("disk `{disk}`: {why}"))?;
        replaying.add(disk, recorded);
    }
    // An order is for a part of the faults.
    if !context.is_replaying() {
        context.replay(replaying);
    }
    Ok(())
}

/// The rules of a disk, `{ [N] = { rule = TEXT, FAULT, ... } }`: N counts the edits of its rules from 1.
fn rules_of(rules: &Table) -> Result<Recorded, String> {
    let mut recorded = Recorded::new();
    for pair in rules.pairs::<u64, Table>() {
        let (number, table) = pair.map_err(|error| error.to_string())?;
        let edit = number.checked_sub(1).ok_or("rules are numbered from 1")?;
        let replayed = replayed(&table).map_err(|why| format!("rule {number}: {why}"))?;
        recorded.insert(edit, replayed);
    }
    Ok(recorded)
}

fn replayed(table: &Table) -> Result<Replayed, String> {
    let rule = table
        .get("rule")
        .map_err(|_| "`rule` expects the text of the rule".to_owned())?;
    let (faults, _) = items(table)?;
    let text = |fault: &Value| {
        let text = fault.as_string().map(|text| text.to_string_lossy());
        let text = text.ok_or_else(|| "a fault expects the text of a rule".to_owned())?;
        let rule = parse_rule(&text, 1).map_err(|error| error.to_string())?;
        Ok(rule.to_string())
    };
    let faults = faults.iter().map(text).collect::<Result<_, String>>()?;
    Ok(Replayed { rule, faults })
}
