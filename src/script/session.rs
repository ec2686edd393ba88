//! A Lua session for a person: the same globals as in a test, and a booted VM.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mlua::{Function, Lua, MultiValue, Table, Value};

use super::bind::CallError;
use super::context::Context;
use super::raised::{self, clean};
use super::setup::set_up;
use super::state;
use super::vm::{boot_vm, create_vm};
use crate::config::Config;
use crate::events::Event;
use crate::os::terminal::show_progress;
use crate::units::text;
use crate::vm::BootOptions;

/// An open session. Its VMs end with it.
pub struct Session {
    lua: Lua,
    context: Context,
    /// The names that may follow a line, and how many letters of them the line has already.
    names: Function,
}

/// What became of a piece of Lua.
#[derive(Debug, PartialEq, Eq)]
pub enum Evaluated {
    /// Its results as text; empty without any.
    Value(String),
    /// It is the beginning of something.
    Incomplete,
    /// It failed, for this reason.
    Failed(String),
}

impl Session {
    /// Starts one, without a VM.
    pub fn open(config: Config) -> Result<Self, String> {
        let show = |event| match event {
            Event::Log { text } => println!("{}", text::harmless(&text)),
            Event::Preparing {
                what,
                percent,
                is_first,
                ..
            } => show_progress(&text::printable(&what), percent, is_first),
            _ => {}
        };
        let lua = state::new();
        let context = Context::new(&lua, config, None, Box::new(show));
        set_up(&context, false).map_err(|error| clean(&error))?;
        let names = prompt(&lua).map_err(|error| clean(&error))?;
        Ok(Self {
            lua,
            context,
            names,
        })
    }

    /// Boots a VM of `profile`, as the global `vm`.
    pub fn boot(&self, profile: &str) -> Result<(), String> {
        let options = BootOptions::default();
        let vm = create_vm(&self.context, "vm", profile, options.clone());
        let vm = vm.map_err(|error| CallError::from(error).message("provium:vm"))?;
        let booted = boot_vm(&self.context, &vm, options);
        booted.map_err(|error| CallError::from(error).message("vm:boot"))?;
        let set = self.lua.globals().set("vm", vm);
        set.map_err(|error| clean(&error))
    }

    /// A flag that interrupts what is evaluated, or boots, while it is true.
    pub fn interrupted(&self) -> Arc<AtomicBool> {
        self.context.limit().interrupted()
    }

    /// Evaluates an expression or runs statements.
    pub fn evaluate(&self, text: &str) -> Evaluated {
        let lua = &self.lua;
        let load = |text: &str| lua.load(text).set_name("=repl").into_function();
        let function = load(&format!("return {text}")).or_else(|_| load(text));
        let result =
            function.and_then(|function| raised::call(&self.context, &function, (), || None));
        match result {
            Ok(Ok(values)) => Evaluated::Value(show(lua, &values)),
            Ok(Err(raised)) => Evaluated::Failed(raised.text),
            Err(mlua::Error::SyntaxError {
                incomplete_input: true,
                ..
            }) => Evaluated::Incomplete,
            Err(error) => Evaluated::Failed(clean(&error)),
        }
    }

    /// What may stand at the end of `line`: where it begins, and the names.
    pub fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let names = self.names.call::<(Vec<String>, usize)>(line);
        let (names, typed) = names.unwrap_or_default();
        (line.len() - typed, names)
    }

    /// Ends its VMs.
    pub fn close(self) {
        self.context.close_vms_since(0);
    }
}

/// Gives the Lua state what a prompt finds beside the globals of a test file; the function that
/// completes names.
fn prompt(lua: &Lua) -> mlua::Result<Function> {
    let chunk = lua.load(include_str!("../../lua/repl.lua"));
    chunk.set_name("=provium").call::<Table>(())?.get("names")
}

fn show(lua: &Lua, values: &MultiValue) -> String {
    let tostring = |value: &Value| match value {
        Value::Table(table) => show_table(table),
        value => lua
            .globals()
            .get::<mlua::Function>("tostring")
            .and_then(|tostring| tostring.call::<mlua::LuaString>(value))
            .map_or_else(
                |error| error.to_string(),
                |text| text::escaped(&text.as_bytes()),
            ),
    };
    values.iter().map(tostring).collect::<Vec<_>>().join("\t")
}

fn show_table(table: &Table) -> String {
    format!("{table:#?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(line: &str) -> (usize, Vec<String>) {
        let session = Session::open(Config::default()).unwrap();
        let known = "known = {first = 1, second = 2, fifth = 5}";
        assert_eq!(session.evaluate(known), Evaluated::Value(String::new()));
        session.complete(line)
    }

    #[test]
    fn complete_finds_globals_fields_and_methods() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(completed("wait_u"), (0, names(&["wait_until"])));
        assert_eq!(completed("x = known.fi"), (10, names(&["fifth", "first"])));
        assert_eq!(completed("provium:sh"), (8, names(&["shutdown"])));
        assert_eq!(completed("_VERSION:upp"), (9, names(&["upper"])));
    }

    #[test]
    fn complete_finds_nothing_behind_an_expression_without_a_value() {
        for line in ["nosuch.", "nosuch.field.", "known.first.", "1 + "] {
            let (start, names) = completed(line);
            assert_eq!(start, line.len(), "{line}");
            let is_global = line == "1 + ";
            assert_eq!(names.is_empty(), !is_global, "{line}");
        }
    }
}
