//! The names of calls and of their parameters, and errors that use them. The names come from the stubs
//! for editors; a test compares these with what is bound.

use std::collections::HashMap;
use std::sync::LazyLock;

use mlua::Value;

use crate::units::text;

const STUBS: &str = include_str!("../../../lua/meta/provium.lua");

/// How many characters of a text an error shows.
const SHOWN: usize = 40;

/// The message about the wrong argument at `position` (from 1) of `call`, as in `argument 2 (n):
/// expected integer, got nil`.
pub(in crate::script) fn wrong_argument(
    call: &str,
    position: usize,
    expected: &str,
    value: &Value,
) -> String {
    let name = match parameter(call, position) {
        Some(name) => format!(" ({name})"),
        None => String::new(),
    };
    let found = found(value);
    format!("argument {position}{name}: expected {expected}, got {found}")
}

/// The message about the first of `args` for which `call` has no parameter, if there is one. The
/// first of `args` is at position `first`. A nil is no value: it may stand anywhere.
pub(in crate::script) fn surplus<'a>(
    call: &str,
    first: usize,
    args: impl Iterator<Item = &'a Value>,
) -> Option<String> {
    let parameters = parameters(call)?;
    let most = parameters
        .split(", ")
        .filter(|name| !name.is_empty())
        .count();
    let mut surplus = (first..).zip(args).filter(|(place, _)| *place > most);
    let (position, value) = surplus.find(|(_, value)| !value.is_nil())?;
    let takes = match parameters {
        "" => "takes none".to_owned(),
        names => format!("takes ({names})"),
    };
    let found = found(value);
    Some(format!(
        "argument {position} is one too many: {call} {takes}, got {found}"
    ))
}

fn parameter(call: &str, position: usize) -> Option<&'static str> {
    parameters(call)?.split(", ").nth(position - 1)
}

/// The names of the parameters of `call`, with commas between them; None for an unknown call.
fn parameters(call: &str) -> Option<&'static str> {
    PARAMETERS.get(&call.to_ascii_lowercase()).copied()
}

/// The parameters in the stubs, by the call's name in small letters. They are read once, since every
/// call looks here.
static PARAMETERS: LazyLock<HashMap<String, &str>> = LazyLock::new(|| {
    let of_line = |line: &'static str| {
        let (name, rest) = line.strip_prefix("function ")?.split_once('(')?;
        let (parameters, _) = rest.split_once(')')?;
        Some((name.to_ascii_lowercase(), parameters))
    };
    STUBS.lines().filter_map(of_line).collect()
});

/// A value, as an error shows it.
pub(in crate::script) fn found(value: &Value) -> String {
    match value {
        Value::Nil => "nil".into(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => {
            let bytes = text.as_bytes();
            // A character has at most four bytes.
            let text = text::escaped(&bytes[..bytes.len().min(4 * SHOWN)]);
            let short: String = text.chars().take(SHOWN).collect();
            let more = if text.len() > short.len() || bytes.len() > 4 * SHOWN {
                "..."
            } else {
                ""
            };
            format!("\"{}\"{more}", quoted(&short))
        }
        other => format!("a {}", other.type_name()),
    }
}

/// The text as `{:?}` shows it, except for backslashes: they may belong to an escape already.
fn quoted(text: &str) -> String {
    let escape = |c: char| match c {
        '\\' => "\\".into(),
        c => c.escape_debug().to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_has_the_name_that_the_stubs_give_it() {
        assert_eq!(parameter("disk:read_sectors", 2), Some("n"));
        assert_eq!(parameter("json.decode", 1), Some("text"));
        assert_eq!(parameter("wait_until", 1), Some("pred"));
        assert_eq!(parameter("disk:read_sectors", 3), None);
        assert_eq!(parameter("disk:no_such_call", 1), None);
    }

    #[test]
    fn surplus_names_the_first_argument_without_a_parameter() {
        let some = |value: i64| Value::Integer(value);
        let args = [some(1), some(2), Value::Nil];
        assert_eq!(surplus("disk:read_sectors", 1, args.iter()), None);
        let more = [some(1), some(2), Value::Nil, some(7)];
        let expected = "argument 4 is one too many: disk:read_sectors takes (offset, n), got 7";
        let found = surplus("disk:read_sectors", 1, more.iter());
        assert_eq!(found.as_deref(), Some(expected));
        let expected = "argument 1 is one too many: vm:spawn_worker takes none, got 1";
        let found = surplus("vm:spawn_worker", 1, args[..1].iter());
        assert_eq!(found.as_deref(), Some(expected));
        assert_eq!(surplus("disk:no_such_call", 1, args.iter()), None);
    }

    #[test]
    fn found_shows_a_number_whole_and_cuts_a_long_text() {
        let error = wrong_argument("clock:sleep", 1, "duration", &Value::Number(f64::NAN));
        assert_eq!(error, "argument 1 (duration): expected duration, got NaN");
        let lua = mlua::Lua::new();
        let long = Value::String(lua.create_string("x".repeat(50)).unwrap());
        assert_eq!(found(&long), format!("\"{}\"...", "x".repeat(40)));
    }
}
