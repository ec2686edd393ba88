//! What a command in the guest has led to, for Lua.

use mlua::{Lua, Table};

use crate::events::Event;
use crate::script::bind::CallResult;
use crate::script::context::Context;
use crate::units::text;
use crate::vm::{Exit, RunResult};

/// Characters of a command that are shown.
const LONGEST: usize = 300;

/// A `RunResult` of the prelude, of a command with this text.
pub(super) fn run_result(
    context: &Context,
    command: &str,
    result: &RunResult,
) -> CallResult<Table> {
    if result.truncated {
        let text = "a command in the guest printed more than 16 MiB; the rest is lost";
        context.emit(Event::Log { text: text.into() });
    }
    let fields = fields(&context.lua(), result)?;
    let shown: String = text::printable(command).chars().take(LONGEST).collect();
    fields.set("command", shown)?;
    Ok(context.prelude("new_result", fields)?)
}

fn fields(lua: &Lua, result: &RunResult) -> mlua::Result<Table> {
    let fields = lua.create_table()?;
    fields.set("exit_code", result.exit_code())?;
    fields.set("stdout", lua.create_string(&result.stdout)?)?;
    fields.set("stderr", lua.create_string(&result.stderr)?)?;
    fields.set("status", result.status())?;
    fields.set("timed_out", result.exit == Exit::TimedOut)?;
    fields.set("truncated", result.truncated)?;
    if let Exit::Signalled(signal) = result.exit {
        fields.set("signal", signal)?;
    }
    Ok(fields)
}
