//! What calls and their parameters are called, and errors that name them. The stubs for editors say
//! it, which a test holds to what is bound.

use std::collections::HashMap;
use std::sync::LazyLock;

use mlua::Value;

use crate::units::text;

const STUBS: &str = include_str!("../../lua/meta/provium.lua");

/// Most characters of a text that an error shows.
const SHOWN: usize = 40;

/// What is wrong with the argument at `position` of `call`, from 1: `argument 2 (n): expected
/// integer, got nil`.
pub(super) fn wrong_argument(call: &str, position: usize, expected: &str, value: &Value) -> String {
    let name = match parameter(call, position) {
        Some(name) => format!(" ({name})"),
        None => String::new(),
    };
    let found = found(value);
    format!("argument {position}{name}: expected {expected}, got {found}")
}

/// What is wrong with the first of `args` that `call` has no parameter for, if there is one; the
/// first of them is at position `first`. A nil says nothing and may stand anywhere.
pub(super) fn surplus<'a>(
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

/// What the stubs say, by the call's name in small letters: read once, for every call looks here.
static PARAMETERS: LazyLock<HashMap<String, &str>> = LazyLock::new(|| {
    let of_line = |line: &'static str| {
        let (name, rest) = line.strip_prefix("function ")?.split_once('(')?;
        let (parameters, _) = rest.split_once(')')?;
        Some((name.to_ascii_lowercase(), parameters))
    };
    STUBS.lines().filter_map(of_line).collect()
});

/// A value, as an error shows it.
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Nil => "nil".into(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => {
            let bytes = text.as_bytes();
            // Enough for so many characters.
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

/// As `{:?}` has it, but for the backslashes, which may be those of an escape.
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
    fn a_parameter_has_the_name_that_the_stubs_give_it() {
        assert_eq!(parameter("disk:read_sectors", 2), Some("n"));
        assert_eq!(parameter("json.decode", 1), Some("text"));
        assert_eq!(parameter("wait_until", 1), Some("pred"));
        assert_eq!(parameter("disk:read_sectors", 3), None);
        assert_eq!(parameter("disk:no_such_call", 1), None);
    }

    #[test]
    fn an_argument_that_no_parameter_is_for_is_named() {
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
    fn a_number_is_shown_itself_and_a_long_text_is_cut() {
        let error = wrong_argument("clock:sleep", 1, "duration", &Value::Number(f64::NAN));
        assert_eq!(error, "argument 1 (duration): expected duration, got NaN");
        let lua = mlua::Lua::new();
        let long = Value::String(lua.create_string("x".repeat(50)).unwrap());
        assert_eq!(found(&long), format!("\"{}\"...", "x".repeat(40)));
    }
}
