//! What a file sets for all of its tests: the fields of `provium`.

use mlua::{FromLua, Lua, Value};

use super::context::Context;
use super::duration::{DURATION, LuaDuration};
use super::signature::found;

/// The fields, for errors.
const KNOWN: &str = "reset_between_tests, timeout";

/// The native of `provium.KEY = VALUE`.
pub(super) fn set(context: &Context, lua: &Lua, key: &Value, value: Value) -> Result<(), String> {
    let key = match key {
        Value::String(key) => crate::units::text::escaped(&key.as_bytes()),
        key => found(key),
    };
    match key.as_str() {
        "timeout" => set_timeout(context, lua, value),
        "reset_between_tests" => match value {
            Value::Nil | Value::Boolean(false) => Ok(()),
            Value::Boolean(true) => Err(
                "provium.reset_between_tests: VMs cannot be put back to an earlier state yet; \
                 call vm:reset() in the tests that need a fresh guest"
                    .into(),
            ),
            other => {
                let found = found(&other);
                Err(format!(
                    "provium.reset_between_tests: expected true or false, got {found}"
                ))
            }
        },
        key => Err(format!("provium: `{key}` cannot be set (known: {KNOWN})")),
    }
}

fn set_timeout(context: &Context, lua: &Lua, value: Value) -> Result<(), String> {
    if context.is_loaded() {
        let text = "provium.timeout: set it at file level; the tests run already";
        return Err(text.into());
    }
    let found = found(&value);
    let timeout = Option::<LuaDuration>::from_lua(value, lua)
        .map_err(|_| format!("provium.timeout: expected {DURATION}, got {found}"))?;
    context.set_test_timeout(timeout.map(|timeout| timeout.0));
    Ok(())
}
