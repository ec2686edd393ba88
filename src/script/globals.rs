//! The natives behind `wait_until`, `json` and `todo`.

use std::time::Instant;

use mlua::{Function, Lua, LuaSerdeExt, LuaString, Table, Value, Variadic};

use super::arguments::Options;
use super::bind::native;
use super::context::Context;
use super::duration::LuaDuration;
use super::json;
use super::signature::{surplus, wrong_argument};
use crate::units::text;
use crate::vm::VmError;

/// Adds them to the table that the prelude gets.
pub(super) fn add(context: &Context, natives: &Table) -> mlua::Result<()> {
    let lua = &context.lua();
    natives.set("wait_options", native(lua, "wait_until", wait_options)?)?;
    let start = Instant::now();
    natives.set(
        "now",
        lua.create_function(move |_, ()| Ok(start.elapsed().as_secs_f64()))?,
    )?;
    let shared = context.clone();
    let sleep = move |_: &Lua, duration: LuaDuration| shared.sleep(duration.0);
    natives.set("sleep", native(lua, "wait_until", sleep)?)?;
    let wrong = |_: &Lua, (call, position, expected, value): (String, usize, String, Value)| {
        let what = wrong_argument(&call, position, &expected, &value);
        Ok(format!("{call}: {what}"))
    };
    natives.set("wrong_argument", lua.create_function(wrong)?)?;
    let more = |_: &Lua, (call, args): (String, Variadic<Value>)| {
        let what = surplus(&call, 1, args.iter());
        Ok(what.map(|what| format!("{call}: {what}")))
    };
    natives.set("surplus", lua.create_function(more)?)?;
    let encode = native(lua, "json.encode", json::encode)?;
    natives.set("json_encode", encode)?;
    let decode = native(lua, "json.decode", json::decode)?;
    natives.set("json_decode", decode)?;
    natives.set("json_null", lua.null())?;
    let shared = context.clone();
    let todo = move |_: &Lua, reason: Option<LuaString>| {
        let reason = reason.map(|reason| text::message(&reason.as_bytes()));
        shared.set_todo(reason.unwrap_or_else(|| "todo".into()));
        Ok::<_, VmError>(())
    };
    natives.set("todo", native(lua, "todo", todo)?)
}

/// What `wait_until(pred, options)` is asked for: the timeout, the interval, what is waited for.
fn wait_options(_: &Lua, args: (Function, Options)) -> Result<(f64, f64, String), String> {
    let (_, options) = args;
    options.only(&["timeout", "interval", "desc"])?;
    let seconds = |key, default: f64| {
        let given = options.duration(key)?;
        Ok::<_, String>(given.map_or(default, |given| given.as_secs_f64()))
    };
    let desc: Option<LuaString> = options.get("desc", "a string")?;
    let desc = desc.map(|desc| text::message(&desc.as_bytes()));
    Ok((
        seconds("timeout", 10.0)?,
        seconds("interval", 0.1)?,
        desc.unwrap_or_else(|| "condition".into()),
    ))
}
