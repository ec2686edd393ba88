//! The natives behind `wait_until`, `json` and `todo`.

use std::time::Instant;

use mlua::{Function, LuaSerdeExt, LuaString, Table, Value, Variadic};

use super::bind::{CallResult, LuaDuration, Options, native, surplus, wrong_argument};
use super::context::Context;
use super::json;
use crate::units::text;

/// Adds the natives to the table that the prelude gets.
pub(super) fn add_natives(context: &Context, natives: &Table) -> mlua::Result<()> {
    let lua = context.lua();
    natives.set("wait_options", native(context, "wait_until", wait_options)?)?;
    natives.set("sleep", native(context, "wait_until", sleep)?)?;
    let start = Instant::now();
    let now = lua.create_function(move |_, ()| Ok(start.elapsed().as_secs_f64()))?;
    natives.set("now", now)?;
    let wrong = lua.create_function(|_, args| Ok(wrong_argument_of(args)))?;
    natives.set("wrong_argument", wrong)?;
    let surplus = lua.create_function(|_, args| Ok(surplus_of(args)))?;
    natives.set("surplus", surplus)?;
    natives.set("json_encode", native(context, "json.encode", encode)?)?;
    natives.set("json_decode", native(context, "json.decode", decode)?)?;
    natives.set("json_null", lua.null())?;
    natives.set("todo", native(context, "todo", todo)?)
}

/// The timeout, the interval and the description that `wait_until(pred, options)` means.
fn wait_options(
    _: &Context,
    (_pred, options): (Function, Options),
) -> CallResult<(f64, f64, String)> {
    options.only(&["timeout", "interval", "desc"])?;
    let timeout = seconds(&options, "timeout", 10.0)?;
    let interval = seconds(&options, "interval", 0.1)?;
    let desc: Option<LuaString> = options.get("desc", "a string")?;
    let desc = desc.map(|desc| text::message(&desc.as_bytes()));
    Ok((
        timeout,
        interval,
        desc.unwrap_or_else(|| "condition".into()),
    ))
}

fn seconds(options: &Options, key: &str, default: f64) -> CallResult<f64> {
    let given = options.duration(key)?;
    Ok(given.map_or(default, |given| given.as_secs_f64()))
}

fn sleep(context: &Context, duration: LuaDuration) -> CallResult<()> {
    Ok(context.sleep(duration.0)?)
}

/// The message about a wrong argument of a call that the prelude defines.
fn wrong_argument_of((call, position, expected, value): (String, usize, String, Value)) -> String {
    let what = wrong_argument(&call, position, &expected, &value);
    format!("{call}: {what}")
}

/// The message about an argument too many of a call that the prelude defines; nil without one.
fn surplus_of((call, args): (String, Variadic<Value>)) -> Option<String> {
    let what = surplus(&call, 1, args.iter())?;
    Some(format!("{call}: {what}"))
}

fn encode(context: &Context, value: Value) -> CallResult<String> {
    Ok(json::encode(&context.lua(), value)?)
}

fn decode(context: &Context, text: LuaString) -> CallResult<Value> {
    Ok(json::decode(&context.lua(), text)?)
}

/// Leaves the tests of the file out.
fn todo(context: &Context, reason: Option<LuaString>) -> CallResult<()> {
    let reason = reason.map(|reason| text::message(&reason.as_bytes()));
    context.set_todo(reason.unwrap_or_else(|| "todo".into()));
    Ok(())
}
