//! What a file sets for all of its tests: the fields of `provium`.

use mlua::{FromLua, Value};

use super::bind::{CallError, CallResult, DURATION, LuaDuration, found};
use super::context::Context;
use crate::units::text;

/// The fields, for errors.
const KNOWN: &str = "reset_between_tests, timeout";

/// `provium.KEY = VALUE`.
pub(super) fn set(context: &Context, (key, value): (Value, Value)) -> CallResult<()> {
    let key = match &key {
        Value::String(key) => text::escaped(&key.as_bytes()),
        key => found(key),
    };
    match key.as_str() {
        "timeout" => set_timeout(context, value).map_err(CallError::Message),
        "reset_between_tests" => set_reset(context, &value).map_err(CallError::Message),
        key => Err(format!("`{key}` cannot be set (known: {KNOWN})").into()),
    }
}

/// Fails once the tests run.
fn check_early(context: &Context, key: &str) -> Result<(), String> {
    match context.is_loaded() {
        false => Ok(()),
        true => Err(format!(
            "provium.{key}: set it at file level; the tests run already"
        )),
    }
}

fn set_timeout(context: &Context, value: Value) -> Result<(), String> {
    check_early(context, "timeout")?;
    let found = found(&value);
    let timeout = Option::<LuaDuration>::from_lua(value, &context.lua())
        .map_err(|_| format!("provium.timeout: expected {DURATION}, got {found}"))?;
    context.set_test_timeout(timeout.map(|timeout| timeout.0));
    Ok(())
}

fn set_reset(context: &Context, value: &Value) -> Result<(), String> {
    check_early(context, "reset_between_tests")?;
    let resets = match value {
        Value::Nil => false,
        Value::Boolean(resets) => *resets,
        other => {
            let found = found(other);
            return Err(format!(
                "provium.reset_between_tests: expected true or false, got {found}"
            ));
        }
    };
    context.set_resets(resets);
    Ok(())
}
