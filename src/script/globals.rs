//! The natives behind `wait_until`, `json` and `todo`.

use std::time::Instant;

use mlua::{Lua, LuaSerdeExt, Table, Value};

use super::bind::native;
use super::context::Context;
use super::duration::LuaDuration;
use crate::vm::VmError;

/// Adds them to the table that the prelude gets.
pub(super) fn add(context: &Context, natives: &Table) -> mlua::Result<()> {
    let lua = context.lua();
    let seconds = |_: &Lua, duration: LuaDuration| Ok::<_, VmError>(duration.0.as_secs_f64());
    natives.set("seconds", native(lua, "wait_until", seconds)?)?;
    let start = Instant::now();
    natives.set(
        "now",
        lua.create_function(move |_, ()| Ok(start.elapsed().as_secs_f64()))?,
    )?;
    let limit = context.limit().clone();
    let sleep = move |_: &Lua, duration: LuaDuration| limit.sleep(duration.0);
    natives.set("sleep", native(lua, "wait_until", sleep)?)?;
    let encode = |_: &Lua, value: Value| {
        serde_json::to_string(&value.to_serializable().detect_mixed_tables(true))
    };
    natives.set("json_encode", native(lua, "json.encode", encode)?)?;
    natives.set("json_decode", native(lua, "json.decode", decode)?)?;
    natives.set("json_null", lua.null())?;
    let shared = context.clone();
    let todo = move |_: &Lua, reason: Option<String>| {
        shared.set_todo(reason.unwrap_or_else(|| "todo".into()));
        Ok::<_, VmError>(())
    };
    natives.set("todo", native(lua, "todo", todo)?)
}

fn decode(lua: &Lua, text: String) -> Result<Value, String> {
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| error.to_string())?;
    lua.to_value(&value).map_err(|error| error.to_string())
}
