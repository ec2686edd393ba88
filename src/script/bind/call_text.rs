//! A call of a test as one line of text, for the list of its calls.

use mlua::{MultiValue, Table, Value};

use crate::script::context::Context;
use crate::units::text;

/// Characters of a text that are shown: of the first argument, which may be a command, and of others.
const LONGEST: [usize; 2] = [200, 60];
/// Fields of a table that are shown.
const MOST_FIELDS: usize = 8;

/// Methods that only look at the object: they are not listed.
const QUIET: [&str; 8] = [
    "name",
    "profile",
    "state",
    "id",
    "path",
    "is_detached",
    "size",
    "claim",
];

/// The text of the call `CLASS:NAME` on `object`; None for one that is not listed.
pub(super) fn call_text(
    context: &Context,
    call: &str,
    object: &Value,
    args: &MultiValue,
) -> Option<String> {
    let (class, method) = call.split_once(':')?;
    if QUIET.contains(&method) {
        return None;
    }
    let name = context
        .title(object)
        .map(|name| format!(" {name}"))
        .unwrap_or_default();
    let shown = args.iter().enumerate();
    let shown: Vec<_> = shown
        .map(|(at, value)| argument(context, value, LONGEST[at.min(1)], 1))
        .collect();
    let text = format!("{class}{name}:{method}({})", shown.join(", "));
    Some(text::printable(&text))
}

/// An argument; a table down to `depth` tables in it.
fn argument(context: &Context, value: &Value, longest: usize, depth: usize) -> String {
    match value {
        Value::String(bytes) => quoted(&bytes.as_bytes(), longest),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Nil => "nil".to_owned(),
        Value::Table(table) if depth > 0 => fields(context, table, depth - 1),
        Value::Table(_) => "{...}".to_owned(),
        value => context
            .title(value)
            .unwrap_or_else(|| value.type_name().to_owned()),
    }
}

fn quoted(bytes: &[u8], longest: usize) -> String {
    // A character has up to four bytes.
    let first = &bytes[..bytes.len().min(4 * longest)];
    let text = text::escaped(first);
    let shown: String = text.chars().take(longest).collect();
    match shown.len() < text.len() || first.len() < bytes.len() {
        true => format!("{shown:?}.. ({} bytes)", bytes.len()),
        false => format!("{shown:?}"),
    }
}

fn fields(context: &Context, table: &Table, depth: usize) -> String {
    let pairs = table.pairs::<Value, Value>().flatten();
    let field = |(key, value): (Value, Value)| {
        let value = argument(context, &value, LONGEST[1], depth);
        match &key {
            Value::Integer(_) => value,
            Value::String(key) => format!("{} = {value}", text::escaped(&key.as_bytes())),
            key => format!("[{}] = {value}", argument(context, key, LONGEST[1], 0)),
        }
    };
    let mut fields: Vec<_> = pairs.take(MOST_FIELDS + 1).map(field).collect();
    if fields.len() > MOST_FIELDS {
        fields.truncate(MOST_FIELDS);
        fields.push("...".to_owned());
    }
    format!("{{{}}}", fields.join(", "))
}
