//! An error that a piece of Lua raised, as text: of any value and any bytes, with file, line and
//! traceback.

use std::cell::Cell;
use std::rc::Rc;

use memchr::memmem;
use mlua::{Function, IntoLuaMulti, Lua, LuaString, MultiValue, Table, Value};

use super::bind::found;
use super::context::Context;
use crate::evidence::places_of_frame;
use crate::units::text;

/// How many fields of a table an error shows.
const MOST_FIELDS: usize = 8;

/// What was raised.
pub(super) struct Raised {
    /// The message and the traceback.
    pub(super) text: String,
    /// Whether the caller's mark is in it.
    pub(super) has_mark: bool,
}

impl Raised {
    /// The message alone.
    pub(super) fn message(&self) -> &str {
        self.text.split(TRACEBACK).next().unwrap_or_default()
    }
}

/// Calls a function: its results, or what it raised. `mark` says, once something is raised, for which
/// text to look in it.
pub(super) fn call(
    context: &Context,
    function: &Function,
    args: impl IntoLuaMulti,
    mark: impl Fn() -> Option<LuaString> + 'static,
) -> mlua::Result<Result<MultiValue, Raised>> {
    // The handler calls nothing written in Lua: once the time is up, that would be interrupted.
    let traceback = context.of_prelude("traceback")?;
    let tostring = context.of_prelude("tostring")?;
    let has_mark = Rc::new(Cell::new(false));
    let marked = Rc::clone(&has_mark);
    let handler = context.lua().create_function(move |lua, error: Value| {
        let message = match &error {
            Value::Error(error) => return Ok(clean(error)),
            Value::String(error) => {
                let (error, mark) = (error.as_bytes(), mark());
                marked.set(mark.is_some_and(|mark| has(&error, &mark.as_bytes())));
                text::message(&error)
            }
            other => place(lua) + &described(other, &tostring),
        };
        let traced: LuaString = traceback.call(message)?;
        Ok(without_ours(&text::escaped(&traced.as_bytes())))
    })?;
    let mut args = args.into_lua_multi(&context.lua())?;
    args.push_front(Value::Function(handler));
    args.push_front(Value::Function(function.clone()));
    let mut results: MultiValue = context.prelude("xpcall", args)?;
    if results.pop_front() == Some(Value::Boolean(true)) {
        return Ok(Ok(results));
    }
    let text = match results.pop_front() {
        Some(Value::String(text)) => text.to_string_lossy(),
        Some(Value::Error(error)) => clean(&error),
        other => found(&other.unwrap_or(Value::Nil)),
    };
    let has_mark = has_mark.get();
    Ok(Err(Raised { text, has_mark }))
}

/// Calls a function whose failure is a verdict: an assertion that fails in it does not fail the test.
pub(super) fn judged(
    context: &Context,
    function: &Function,
    args: impl IntoLuaMulti,
) -> mlua::Result<Result<MultiValue, Raised>> {
    let failed: Value = context.prelude("failed", ())?;
    let result = call(context, function, args, || None);
    context.prelude::<()>("set_failed", failed)?;
    result
}

fn has(haystack: &[u8], needle: &[u8]) -> bool {
    memmem::find(haystack, needle).is_some()
}

/// `file:line: ` of the nearest line of Lua.
fn place(lua: &Lua) -> String {
    let of_level = |level| {
        lua.inspect_stack(level, |debug| {
            let source = debug.source().short_src.unwrap_or_default().into_owned();
            debug
                .current_line()
                .map(|line| format!("{source}:{line}: "))
        })
    };
    // The stack ends with None; a level that is not Lua code has no line.
    let mut places = (0..).map_while(of_level);
    places.find_map(|place| place).unwrap_or_default()
}

/// A value other than a string: its own text, or a table's fields.
fn described(value: &Value, tostring: &Function) -> String {
    match value {
        Value::Table(table) if !has_text(table) => fields(table),
        value => {
            let text = tostring.call::<LuaString>(value);
            text.map_or_else(|_| found(value), |text| text::message(&text.as_bytes()))
        }
    }
}

fn has_text(table: &Table) -> bool {
    let metatable = table.metatable();
    metatable.is_some_and(|of| of.contains_key("__tostring").unwrap_or(true))
}

fn fields(table: &Table) -> String {
    let pairs = table.pairs::<Value, Value>().flatten();
    let mut fields: Vec<_> = pairs.take(MOST_FIELDS + 1).map(field).collect();
    fields.sort();
    if fields.len() > MOST_FIELDS {
        fields.truncate(MOST_FIELDS);
        fields.push("...".into());
    }
    format!("{{{}}}", fields.join(", "))
}

fn field((key, value): (Value, Value)) -> String {
    let key = match &key {
        Value::String(key) => text::message(&key.as_bytes()),
        key => format!("[{}]", found(key)),
    };
    format!("{key} = {}", found(&value))
}

/// The message and the traceback of an error that Lua's own functions or ours returned.
pub(super) fn clean(error: &mlua::Error) -> String {
    let text = match error {
        mlua::Error::RuntimeError(text) => text.clone(),
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        mlua::Error::CallbackError { cause, traceback } => format!("{cause}\n{traceback}"),
        other => other.to_string(),
    };
    without_ours(&text::message(text.as_bytes()))
}

/// What a message's traceback begins with.
const TRACEBACK: &str = "\nstack traceback:\n";

/// A message and its traceback without the traceback's lines of the prelude and of C functions. The message
/// stays as it is: the name of its file may have lines that look like these.
fn without_ours(text: &str) -> String {
    let Some(at) = text.find(TRACEBACK) else {
        return text.to_owned();
    };
    let (message, traceback) = text.split_at(at);
    let lines: Vec<_> = traceback.lines().filter(|line| !is_ours(line)).collect();
    message.to_owned() + &lines.join("\n")
}

/// Whether a line of a traceback is of the prelude or of a C function, and of no file with a name like theirs.
fn is_ours(line: &str) -> bool {
    let Some(frame) = line.strip_prefix('\t') else {
        return false;
    };
    let is_line = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let of_ours =
        |place: &str| place == "[C]" || place.strip_prefix("provium:").is_some_and(is_line);
    let mut places = places_of_frame(frame).peekable();
    places.peek().is_some() && places.all(of_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceback_loses_our_lines_and_the_message_loses_none() {
        let message = "a\n\t[C] b.test.lua:1: bad\n\tprovium:";
        let traced =
            format!("{message}{TRACEBACK}\t[C]: in ?\n\ta.test.lua:3: in f\n\tprovium:7: in g");
        let expected = format!("{message}{TRACEBACK}\ta.test.lua:3: in f");
        assert_eq!(without_ours(&traced), expected);
        assert_eq!(without_ours(message), message);
        for file in [
            "[C].test.lua",
            "provium:x.test.lua",
            "provium:7: in x.test.lua",
        ] {
            let frame = format!("\t{file}:1: in function <{file}:1>");
            let traced = format!("bad{TRACEBACK}{frame}");
            let more = traced.replace('\t', "\t[C]: in function 'error'\n\t");
            assert_eq!(without_ours(&more), traced);
        }
    }
}
