//! The arguments of `vm:run` and its kin: a command for the guest.

use std::time::Duration;

use mlua::{LuaString, Table, Value};

use crate::script::bind::{
    CallResult, GUEST_TEXT, GuestText, Options, guest_texts, wrong_argument,
};
use crate::vm::Command;

/// The options that such a call knows.
const OPTIONS: &[&str] = &[
    "args",
    "env",
    "env_clear",
    "cwd",
    "stdin",
    "timeout",
    "timeout_ms",
];

/// The command of `(text)`, `(text, {env=, ...})`, `(program, {arg...})`,
/// `(program, {args=, env=, ...})` or `(program, {arg..., env=, ...})`.
pub(super) fn command(call: &str, (first, options): (Value, Value)) -> CallResult<Command> {
    let Value::String(first) = first else {
        return Err("first argument must be a string".into());
    };
    let first = GuestText::of(&Value::String(first));
    let GuestText(first) = first.ok_or_else(|| format!("the command is not a {GUEST_TEXT}"))?;
    let mut options = match options {
        Value::Nil => return Ok(Command::shell(&first)),
        Value::Table(table) => Options::from(table),
        other => {
            let expected = "table of arguments or options";
            return Err(wrong_argument(call, 2, expected, &other).into());
        }
    };
    let items = options.take_items()?;
    options.only(OPTIONS)?;
    let command = match arguments(&items, &options)? {
        None => Command::shell(&first),
        Some(args) => Command::new(&first, args),
    };
    with_options(command, &options)
}

/// The arguments of a program; None where the text is for the shell.
fn arguments(items: &[Value], options: &Options) -> CallResult<Option<Vec<String>>> {
    match (options.guest_texts("args")?, items.is_empty()) {
        (args, true) => Ok(args),
        (None, false) => {
            let args = guest_texts(items);
            let args = args.ok_or_else(|| format!("each argument is a {GUEST_TEXT}"))?;
            Ok(Some(args))
        }
        (Some(_), false) => {
            Err("give the arguments in `args` or in the table itself, not in both".into())
        }
    }
}

fn with_options(command: Command, options: &Options) -> CallResult<Command> {
    let stdin: Option<LuaString> = options.get("stdin", "a string")?;
    let cwd: Option<GuestText> = options.get("cwd", "a path in the guest")?;
    Ok(Command {
        cwd: cwd.map(|cwd| cwd.0),
        stdin: stdin.map(|stdin| stdin.as_bytes().to_vec()),
        timeout: timeout(options)?,
        env: environment(options)?,
        env_clear: options.flag("env_clear")?,
        ..command
    })
}

fn timeout(options: &Options) -> Result<Option<Duration>, String> {
    const MILLISECONDS: &str = "a whole number of milliseconds, 0 or more";
    let millis = options.read("timeout_ms", MILLISECONDS, |value| {
        u64::try_from(value.as_integer()?).ok()
    })?;
    match (options.duration("timeout")?, millis) {
        (Some(_), Some(_)) => Err("give either `timeout` or `timeout_ms`".into()),
        (timeout, millis) => Ok(timeout.or(millis.map(Duration::from_millis))),
    }
}

fn environment(options: &Options) -> Result<Vec<String>, String> {
    const EXPECTED: &str = "`env` expects strings for names and values";
    let env: Option<Table> = options.get("env", "a table of strings")?;
    let pairs = env.iter().flat_map(Table::pairs::<Value, Value>);
    let mut words = Vec::new();
    for pair in pairs {
        let (name, value) = pair.map_err(|error| error.to_string())?;
        let name = GuestText::of(&name).filter(|_| name.is_string());
        let name = name.filter(|name| !name.0.is_empty() && !name.0.contains('='));
        let (name, value) = name.zip(GuestText::of(&value)).ok_or(EXPECTED)?;
        words.push(format!("{}={}", name.0, value.0));
    }
    words.sort();
    Ok(words)
}
