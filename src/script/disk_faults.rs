//! The fault methods of a disk.

use std::time::{Duration, Instant};

use mlua::{Lua, Table, Value};

use super::arguments::items;
use super::bind::Methods;
use super::context::Context;
use super::disk::{Disk, SectorError};
use super::duration::LuaDuration;
use super::signature::{found, wrong_argument};
use crate::client::{ClientError, DiskControl};
use crate::events::Event;
use crate::fault::{
    Action, GrammarError, Mode, Remark, RuleName, RuleState, nearest_action, parse_rule,
};
use crate::units::duration::show_duration;
use crate::vm::VmError;

/// How long `wait_fired` waits unless told.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at the counters.
const TICK: Duration = Duration::from_millis(5);

/// Adds them to the methods of a disk.
pub(super) fn add(methods: &Methods<'_>, context: &Context) -> mlua::Result<()> {
    let shared = context.clone();
    methods.add(
        "disk:fault_inject",
        move |_, disk: &Disk, (rule, options): (Value, Option<Table>)| {
            let rule = inject(disk, &rule_text(&rule, options)?)?;
            let record = disk.record.borrow();
            let warnings = record.control().map(|control| control.warnings(&[rule]));
            for text in warnings
                .transpose()
                .map_err(|error| error.to_string())?
                .unwrap_or_default()
            {
                let text = format!("disk:fault_inject: {text}");
                shared.emit(Event::Log { text });
            }
            Ok::<_, String>(())
        },
    )?;
    methods.add("disk:rules", |lua: &Lua, disk: &Disk, ()| {
        let rules = with_control(disk, DiskControl::rules)?;
        let rules = rules.iter().map(|rule| rule_table(lua, rule));
        rules
            .collect::<mlua::Result<Vec<_>>>()
            .map_err(|error| error.to_string())
    })?;
    methods.add("disk:stats", |lua: &Lua, disk: &Disk, ()| {
        let stats = with_control(disk, DiskControl::stats)?;
        lua.create_table_from(stats)
            .map_err(|error| error.to_string())
    })?;
    methods.add("disk:inflight", |lua: &Lua, disk: &Disk, ()| {
        let text = with_control(disk, DiskControl::in_flight)?;
        let requests = text.lines().map(|line| request_table(lua, line));
        requests
            .collect::<mlua::Result<Vec<_>>>()
            .map_err(|error| error.to_string())
    })?;
    methods.add("disk:damage", |_, disk: &Disk, ()| {
        with_control(disk, DiskControl::damage)
    })?;
    methods.add(
        "disk:release",
        |_, disk: &Disk, (tag, errno): (Option<String>, Option<String>)| {
            let tag = tag.as_deref().unwrap_or("all");
            with_control(disk, |control| control.release(tag, errno.as_deref()))
        },
    )?;
    methods.add("disk:assert_visible", |_, disk: &Disk, ()| {
        with_control(disk, |_| Ok(()))?;
        let found = disk.vm.borrow_mut().obstacles(&disk.record);
        let obstacles = found.map_err(|error| error.to_string())?;
        match obstacles.is_empty() {
            true => Ok(()),
            false => {
                let (id, why) = (disk.record.borrow().id().to_owned(), obstacles.join("; "));
                Err(format!(
                    "errors of disk `{id}` do not reach the guest: {why}"
                ))
            }
        }
    })?;
    let shared = context.clone();
    type WaitFired = (String, Option<u64>, Option<LuaDuration>);
    methods.add(
        "disk:wait_fired",
        move |_, disk: &Disk, (name, times, patience): WaitFired| {
            let (times, patience) = (times.unwrap_or(1), patience.map_or(PATIENCE, |p| p.0));
            let deadline = Instant::now() + patience;
            let called = RuleName::new(&name);
            loop {
                let rules = with_control(disk, DiskControl::rules)?;
                let called = rules.iter().filter(|rule| rule.is_called(&called));
                let fired = called.map(|rule| rule.counts.fired).max();
                match fired {
                    None => return Err(format!("no rule and no tag `{name}` is armed")),
                    Some(fired) if fired >= times => return Ok(()),
                    Some(fired) if Instant::now() >= deadline => {
                        let limit = show_duration(patience);
                        return Err(format!(
                            "`{name}` fired {fired} of {times} times within {limit}"
                        ));
                    }
                    Some(_) => shared.sleep(TICK).map_err(|error| error.to_string())?,
                }
            }
        },
    )?;
    Ok(())
}

/// Arms a rule, and returns how it prints.
fn inject(disk: &Disk, text: &str) -> Result<String, String> {
    // The text of the documents, whatever else a rule may begin with.
    if !begins_a_rule(text) {
        return Err(unknown(text));
    }
    let rule = parse_rule(text, 1).map_err(|error| match error {
        GrammarError::At { what, .. } => what,
        error => error.to_string(),
    })?;
    let armed: Result<(), VmError> = disk.record.borrow_mut().arm(&rule);
    armed.map_err(|error| error.to_string())?;
    Ok(rule.to_string())
}

/// The text of the documents; where an action seems to be meant, with the actions behind it.
fn unknown(text: &str) -> String {
    let documented = format!("unknown mode `{text}` (valid: {})", Mode::list());
    match nearest_action(text) {
        None if !text.contains('=') => documented,
        near => {
            let (actions, near) = (Action::NAMES.join(", "), near.unwrap_or_default());
            format!("{documented}, or a rule of one of the actions {actions}{near}")
        }
    }
}

fn begins_a_rule(text: &str) -> bool {
    if text.trim() != text || text.contains('\n') {
        return false;
    }
    let first = text.split(char::is_whitespace).next().unwrap_or_default();
    Mode::named(first).is_some() || Action::NAMES.contains(&first)
}

/// The rule that a text, or a table with an `action`, and a table of options mean.
fn rule_text(rule: &Value, options: Option<Table>) -> Result<String, String> {
    let mut words = match rule {
        Value::String(text) => vec![text.to_string_lossy()],
        Value::Table(table) => {
            let action: Option<String> = table.get("action").ok().flatten();
            let action = action.ok_or("a rule wants an `action`, as in {action = \"error\"}")?;
            let mut words = vec![action];
            words.extend(pairs(table, Some("action"))?);
            words
        }
        other => {
            let call = "disk:fault_inject";
            return Err(wrong_argument(call, 1, "string or table", other));
        }
    };
    if let Some(options) = options {
        words.extend(pairs(&options, None)?);
    }
    Ok(words.join(" "))
}

/// `key=value` for each entry, sorted so that the same table is the same rule.
fn pairs(table: &Table, leave_out: Option<&str>) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(|error| error.to_string())?;
        let Value::String(key) = &key else {
            return Err("a rule's keys are names, as in {op = \"read\"}".into());
        };
        let key = key.to_string_lossy();
        if Some(key.as_str()) != leave_out {
            words.push(format!("{key}={}", value_text(&key, &value)?));
        }
    }
    words.sort();
    Ok(words)
}

fn value_text(key: &str, value: &Value) -> Result<String, String> {
    let is_time = matches!(key, "after" | "for" | "up" | "down" | "max");
    match value {
        // As everywhere in Lua, a time without a unit is in seconds.
        Value::Integer(number) if is_time => Ok(format!("{number}s")),
        Value::Number(number) if is_time => Ok(format!("{number}s")),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) => Ok(text.to_string_lossy()),
        Value::Table(list) => {
            let (items, has_others) = items(list)?;
            if has_others {
                return Err(format!(
                    "`{key}` wants a list, and nothing but its items in it"
                ));
            }
            let items = items.iter().map(|item| value_text(key, item));
            Ok(items.collect::<Result<Vec<_>, _>>()?.join(","))
        }
        other => Err(format!(
            "`{key}` wants a text, a number or a list, not {}",
            found(other)
        )),
    }
}

fn with_control<T>(
    disk: &Disk,
    ask: impl FnOnce(&DiskControl) -> Result<T, ClientError>,
) -> Result<T, String> {
    let record = disk.record.borrow();
    let missing = match record.is_detached() {
        true => SectorError::Detached,
        false => SectorError::NoImage,
    };
    let control = record.control().ok_or_else(|| missing.to_string())?;
    ask(control).map_err(|error| error.to_string())
}

fn rule_table(lua: &Lua, state: &RuleState) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("rule", state.rule.as_str())?;
    table.set("considered", state.counts.considered)?;
    table.set("matched", state.counts.matched)?;
    table.set("fired", state.counts.fired)?;
    table.set("left", state.left)?;
    match &state.remark {
        Some(Remark::Never(why)) => table.set("never", why.as_str())?,
        Some(Remark::Note(note)) => table.set("note", note.as_str())?,
        None => {}
    }
    Ok(table)
}

/// `OP SECTOR COUNT AGEms RULE`.
fn request_table(lua: &Lua, line: &str) -> mlua::Result<Table> {
    let mut words = line.splitn(5, ' ');
    let table = lua.create_table()?;
    table.set("op", words.next())?;
    for key in ["sector", "count"] {
        table.set(key, words.next().and_then(|word| word.parse::<u64>().ok()))?;
    }
    let age = words
        .next()
        .and_then(|word| word.strip_suffix("ms")?.parse::<f64>().ok());
    table.set("age", age.map(|ms| ms / 1000.0))?;
    table.set("rule", words.next().filter(|rule| *rule != "-"))?;
    Ok(table)
}
