//! Durations as tests write them: a number of seconds, or a text such as `"50ms"`, `"5s"`, `"2m"`.

use std::time::Duration;

use mlua::{FromLua, Lua, Value};

use crate::units::duration::parse_duration;

/// The description of a duration, for errors.
pub(in crate::script) const DURATION: &str =
    "duration (seconds, 0 or more, or a text such as \"50ms\", \"5s\", \"2m\")";

const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A duration from Lua.
#[derive(Clone, Copy, Debug)]
pub(in crate::script) struct LuaDuration(pub(in crate::script) Duration);

impl FromLua for LuaDuration {
    fn from_lua(value: Value, _lua: &Lua) -> mlua::Result<Self> {
        let duration = match &value {
            Value::Integer(seconds) => Duration::try_from_secs_f64(*seconds as f64).ok(),
            Value::Number(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
            Value::String(text) => parse_duration(&text.to_string_lossy()),
            _ => None,
        };
        // Longer than any test waits, and short enough to be added to any point in time.
        let duration = duration.map(|duration| duration.min(LONGEST));
        duration
            .map(Self)
            .ok_or_else(|| mlua::Error::FromLuaConversionError {
                from: value.type_name(),
                to: DURATION.into(),
                message: None,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lua: &str) -> Option<Duration> {
        let lua_state = Lua::new();
        let value: Value = lua_state.load(lua).eval().unwrap();
        LuaDuration::from_lua(value, &lua_state)
            .ok()
            .map(|duration| duration.0)
    }

    #[test]
    fn duration_takes_numbers_as_seconds_and_texts_with_units() {
        assert_eq!(of("2"), Some(Duration::from_secs(2)));
        assert_eq!(of("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(of("'50ms'"), Some(Duration::from_millis(50)));
        assert_eq!(of("'1.5s'"), Some(Duration::from_millis(1500)));
        assert_eq!(of("'2m'"), Some(Duration::from_secs(120)));
    }

    #[test]
    fn duration_rejects_other_values() {
        for bad in [
            "-1", "0/0", "1/0", "'5'", "'5 h'", "''", "'ms'", "{}", "nil", "'-1s'",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
