//! Arming and clearing faults.

use mlua::{Table, Value};

use super::handle::Disk;
use super::rule_text::rule_of;
use crate::events::Event;
use crate::script::bind::{CallResult, Methods};
use crate::script::context::Context;

/// Adds the fault calls of the documents, and `release`.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("fault_inject", fault_inject)?;
    methods.add("clear_faults", clear_faults)?;
    methods.add("active_faults", active_faults)?;
    methods.add("release", release)
}

/// Arms a rule. Warnings about it go into the log.
fn fault_inject(
    context: &Context,
    disk: &Disk,
    (rule, options): (Value, Option<Table>),
) -> CallResult<()> {
    let rule = rule_of(&rule, options)?;
    disk.record_mut().arm(&rule)?;
    let record = disk.record();
    let warnings = record
        .control()
        .map(|control| control.warnings(&[rule.to_string()]));
    for warning in warnings.transpose()?.unwrap_or_default() {
        let text = format!("disk:fault_inject: {warning}");
        context.emit(Event::Log { text });
    }
    Ok(())
}

fn clear_faults(_: &Context, disk: &Disk, (): ()) -> CallResult<()> {
    Ok(disk.record_mut().clear_faults()?)
}

fn active_faults(_: &Context, disk: &Disk, (): ()) -> CallResult<Vec<String>> {
    Ok(disk.record().faults()?)
}

fn release(
    _: &Context,
    disk: &Disk,
    (tag, errno): (Option<String>, Option<String>),
) -> CallResult<()> {
    let tag = tag.as_deref().unwrap_or("all");
    Ok(disk.ask(|control| control.release(tag, errno.as_deref()))?)
}
