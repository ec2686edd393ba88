//! Arming and clearing faults.

use mlua::{Table, Value};

use super::handle::Disk;
use super::rule_text::{pairs, rule_of};
use crate::events::Event;
use crate::fault::Rule;
use crate::profile::{Profile, Settings};
use crate::script::bind::{CallResult, Methods};
use crate::script::context::Context;

/// Adds the fault calls of the documents, and `release`.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("fault_inject", fault_inject)?;
    methods.add("fault_profile", fault_profile)?;
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
    arm(context, disk, "fault_inject", &[rule])
}

/// Arms the rules of a profile, all at one moment.
fn fault_profile(
    context: &Context,
    disk: &Disk,
    (name, settings): (String, Option<Table>),
) -> CallResult<()> {
    let profile = Profile::named(&name).map_err(|error| error.to_string())?;
    let words = settings.map(|it| pairs(&it, None)).transpose()?;
    let words = words.unwrap_or_default();
    let settings = Settings::parse(words.iter().map(String::as_str));
    let rules = settings.and_then(|it| profile.rules(&it));
    let rules = rules.map_err(|error| error.to_string())?;
    arm(context, disk, "fault_profile", &rules)
}

/// Arms `rules` for `call`. Warnings about them go into the log.
fn arm(context: &Context, disk: &Disk, call: &str, rules: &[Rule]) -> CallResult<()> {
    disk.record_mut().arm_all(rules)?;
    let texts: Vec<_> = rules.iter().map(Rule::to_string).collect();
    let record = disk.record();
    let warnings = record.control().map(|control| control.warnings(&texts));
    for warning in warnings.transpose()?.unwrap_or_default() {
        let text = format!("disk:{call}: {warning}");
        context.emit(Event::Log { text });
    }
    for note in record.notes_for_guest(rules) {
        let text = format!("disk:{call}: {note}");
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
