//! `test(name, [meta,] fn)`: declaring a test.

use mlua::{Function, LuaString, Table, Value, Variadic};

use crate::script::bind::{CallError, CallResult, Options, items};
use crate::script::context::{Context, Declared};
use crate::units::text;

/// The largest length of a test's name, in bytes.
const LONGEST_NAME: usize = 1000;

/// The native of `test(name, [meta,] fn)`.
pub(in crate::script) fn test(context: &Context, args: Variadic<Value>) -> CallResult<()> {
    declare(context, &args).map_err(CallError::Message)
}

fn declare(context: &Context, args: &[Value]) -> Result<(), String> {
    let (own_name, meta, run) = parts(args).ok_or("test(name, [meta,] fn): bad arguments")?;
    let name = text::escaped(&own_name.as_bytes());
    let len = name.len();
    if len > LONGEST_NAME {
        return Err(format!(
            "test: a name has at most {LONGEST_NAME} bytes, this one has {len}"
        ));
    }
    if context.is_loaded() {
        return Err(format!(
            "test: `{name}` is declared while tests run; declare it at file level"
        ));
    }
    let meta = match meta {
        Some(meta) => Ok(meta),
        None => context.lua().create_table(),
    };
    let meta = meta.map_err(|error| error.to_string())?;
    check_meta(&meta).map_err(|error| format!("test: `{name}`: {error}"))?;
    let test = Declared {
        name: name.clone(),
        own_name,
        meta,
        line: line(context),
        run,
    };
    match context.declare(test) {
        true => Ok(()),
        false => Err(format!("test: duplicate name `{name}` in this file")),
    }
}

/// The line of the file that makes this call, or has it made; 0 without one.
fn line(context: &Context) -> u32 {
    let file = format!("@{}", context.file());
    let of_level = |level| {
        context.lua().inspect_stack(level, |debug| {
            let source = debug.source().source;
            let line = debug
                .current_line()
                .filter(|_| source.as_deref() == Some(&*file));
            line.and_then(|line| u32::try_from(line).ok())
        })
    };
    // The stack ends with None.
    (0..).map_while(of_level).flatten().next().unwrap_or(0)
}

/// The name, the meta table and the function; None if the arguments are something else.
fn parts(args: &[Value]) -> Option<(LuaString, Option<Table>, Function)> {
    match args {
        [Value::String(name), Value::Function(run)] => Some((name.clone(), None, run.clone())),
        [
            Value::String(name),
            Value::Table(meta),
            Value::Function(run),
        ] => Some((name.clone(), Some(meta.clone()), run.clone())),
        _ => None,
    }
}

/// Checks the keys of `meta` that have a meaning; all others are the file's own.
fn check_meta(meta: &Table) -> Result<(), String> {
    let options = Options::from(meta.clone());
    options.duration("timeout")?;
    options.flag("slow")?;
    options.read("skip", "true or a reason", |value| {
        (value.is_boolean() || value.is_string()).then_some(())
    })?;
    options.read("tags", "a list of names, or one name", tags)?;
    Ok(())
}

fn tags(value: &Value) -> Option<()> {
    match value {
        Value::String(_) => Some(()),
        Value::Table(list) => {
            let (tags, has_others) = items(list).ok()?;
            let are_names = tags.iter().all(Value::is_string);
            (are_names && !has_others).then_some(())
        }
        _ => None,
    }
}
