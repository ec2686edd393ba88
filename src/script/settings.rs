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
        "reset_between_tests" => set_reset(&value).map_err(CallError::Message),
        key => Err(format!("`{key}` cannot be set (known: {KNOWN})").into()),
    }
}

fn set_timeout(context: &Context, value: Value) -> Result<(), String> {
    if context.is_loaded() {
        let text = "provium.timeout: set it at file level; the tests run already";
        return Err(text.into());
    }
    let found = found(&value);
    let timeout = Option::<LuaDuration>::from_lua(value, &context.lua())
        .map_err(|_| format!("provium.timeout: expected {DURATION}, got {found}"))?;
    context.set_test_timeout(timeout.map(|timeout| timeout.0));
    Ok(())
}

fn set_reset(value: &Value) -> Result<(), String> {
    match value {
        Value::Nil | Value::Boolean(false) => Ok(()),
        Value::Boolean(true) => Err(
            "provium.reset_between_tests: VMs cannot be put back to an earlier state yet; \
             call vm:reset() in the tests that need a fresh guest"
                .into(),
        ),
        other => {
            let found = found(other);
            Err(format!(
                "provium.reset_between_tests: expected true or false, got {found}"
            ))
        }
    }
}
