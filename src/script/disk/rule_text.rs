//! The text of the rule that the arguments of `disk:fault_inject` mean.

use mlua::{Table, Value};

use crate::fault::{ActionKind, GrammarError, Mode, Rule, is_time, nearest_action, parse_rule};
use crate::script::bind::{CallResult, found, items, wrong_argument};

/// The rule that a text, or a table with an `action`, and a table of options mean.
pub(in crate::script) fn rule_of(rule: &Value, options: Option<Table>) -> CallResult<Rule> {
    let text = rule_text(rule, options)?;
    // The error of the documents comes first, even if the text is wrong in another way too.
    if !begins_a_rule(&text) {
        return Err(unknown_mode(&text).into());
    }
    parse_rule(&text, 1).map_err(|error| match error {
        GrammarError::At { what, .. } => what.into(),
        error => error.to_string().into(),
    })
}

fn begins_a_rule(text: &str) -> bool {
    if text.trim() != text || text.contains('\n') {
        return false;
    }
    let first = text.split(char::is_whitespace).next().unwrap_or_default();
    Mode::named(first).is_some() || ActionKind::named(first).is_some()
}

/// The text of the documents. Where an action seems to be meant, the actions follow.
fn unknown_mode(text: &str) -> String {
    let documented = format!("unknown mode `{text}` (valid: {})", Mode::list());
    match nearest_action(text) {
        None if !text.contains('=') => documented,
        near => {
            let (actions, near) = (ActionKind::list(), near.unwrap_or_default());
            format!("{documented}, or a rule of one of the actions {actions}{near}")
        }
    }
}

/// The words of it, as they were given.
pub(in crate::script) fn rule_text(rule: &Value, options: Option<Table>) -> CallResult<String> {
    let mut words = match rule {
        Value::String(text) => vec![text.to_string_lossy()],
        Value::Table(table) => {
            let action: Option<String> = table.get("action").ok().flatten();
            let action = action.ok_or("a rule expects an `action`, as in {action = \"error\"}")?;
            let mut words = vec![action];
            words.extend(pairs(table, Some("action"))?);
            words
        }
        other => {
            let call = "disk:fault_inject";
            return Err(wrong_argument(call, 1, "string or table", other).into());
        }
    };
    if let Some(options) = options {
        words.extend(pairs(&options, None)?);
    }
    Ok(words.join(" "))
}

/// `key=value` for each entry, sorted so that the same table is the same rule.
pub(super) fn pairs(table: &Table, leave_out: Option<&str>) -> CallResult<Vec<String>> {
    let mut words = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
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

fn value_text(key: &str, value: &Value) -> CallResult<String> {
    match value {
        // A duration without a unit is in seconds, as everywhere in Lua.
        Value::Integer(number) if is_time(key) => Ok(format!("{number}s")),
        Value::Number(number) if is_time(key) => Ok(format!("{number}s")),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) => Ok(text.to_string_lossy()),
        Value::Table(list) => list_text(key, list),
        other => Err(format!(
            "`{key}` expects a text, a number or a list, not {}",
            found(other)
        )
        .into()),
    }
}

fn list_text(key: &str, list: &Table) -> CallResult<String> {
    let (items, has_others) = items(list)?;
    if has_others {
        return Err(format!("`{key}` expects a list, and nothing but its items in it").into());
    }
    let items = items.iter().map(|item| value_text(key, item));
    Ok(items.collect::<CallResult<Vec<_>>>()?.join(","))
}
