//! What calls and their parameters are called, and errors that name them. The stubs for editors say
//! it, which a test holds to what is bound.

use mlua::Value;

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

fn parameter(call: &str, position: usize) -> Option<&'static str> {
    let of_call = |line: &'static str| {
        let (name, rest) = line.strip_prefix("function ")?.split_once('(')?;
        name.eq_ignore_ascii_case(call).then_some(rest)
    };
    let (parameters, _) = STUBS.lines().find_map(of_call)?.split_once(')')?;
    parameters.split(", ").nth(position - 1)
}

/// A value, as an error shows it.
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Nil => "nil".into(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => {
            let text = text.to_string_lossy();
            let short: String = text.chars().take(SHOWN).collect();
            let more = if short.len() < text.len() { "..." } else { "" };
            format!("{short:?}{more}")
        }
        other => format!("a {}", other.type_name()),
    }
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
    fn a_number_is_shown_itself_and_a_long_text_is_cut() {
        let error = wrong_argument("clock:sleep", 1, "duration", &Value::Number(f64::NAN));
        assert_eq!(error, "argument 1 (duration): expected duration, got NaN");
        let lua = mlua::Lua::new();
        let long = Value::String(lua.create_string("x".repeat(50)).unwrap());
        assert_eq!(found(&long), format!("\"{}\"...", "x".repeat(40)));
    }
}
