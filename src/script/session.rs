//! A Lua session for a person: the same globals as in a test, and a booted VM.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mlua::{Lua, MultiValue, Table, Value};

use super::context::Context;
use super::file::set_up;
use super::raised::{self, clean};
use super::state;
use crate::config::Config;
use crate::events::Event;
use crate::units::text;

/// An open session. Its VMs end with it.
pub struct Session {
    lua: Lua,
    context: Context,
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

/// Makes and boots the VM of the session, in the global `vm`.
const BOOT: &str = "local profile = ... vm = provium:vm('vm', profile):boot()";

/// Nothing would ever run a test that is declared here.
const WITHOUT_TESTS: &str = r#"
    function test()
      error("test: a prompt runs no tests: enter what the test does, without `t`", 2)
    end
    function todo()
      error("todo: a prompt runs no tests", 2)
    end"#;

/// The names that may follow `line`: of globals, of a table's fields, of an object's methods.
const NAMES: &str = r#"
    local line = ...
    local base, name = line:match("([%w_.]+)[.:]([%w_]*)$")
    local found = _G
    if base then
      local chunk = load("return " .. base)
      local ok, value = pcall(chunk or error)
      if not ok then return {} end
      found = value
    end
    name = name or line:match("[%a_][%w_]*$") or ""
    if type(found) == "string" then found = string end
    if type(found) == "userdata" then
      local class = debug.getmetatable(found).__name or ""
      found = debug.getregistry()[class:match("(%w+)$"):lower()]
    end
    if type(found) ~= "table" then return {} end
    local index = (debug.getmetatable(found) or {}).__index
    local names, seen = {}, {}
    for _, fields in ipairs({found, type(index) == "table" and index or {}}) do
      for key in pairs(fields) do
        if type(key) == "string" and key:sub(1, #name) == name and not seen[key] then
          seen[key] = true
          names[#names + 1] = key
        end
      end
    end
    table.sort(names)
    return names, #name"#;

impl Session {
    /// Starts one, without a VM.
    pub fn open(config: Config) -> Result<Self, String> {
        let show = |event| {
            if let Event::Log { text } = event {
                println!("{}", text::harmless(&text));
            }
        };
        let lua = state::new();
        let context = Context::new(&lua, config, Box::new(show));
        set_up(&context, false).map_err(|error| clean(&error))?;
        let ready = context.lua().load(WITHOUT_TESTS).set_name("=repl").exec();
        ready.map_err(|error| clean(&error))?;
        Ok(Self { lua, context })
    }

    /// Boots `profile`, as the global `vm`.
    pub fn boot(&self, profile: &str) -> Result<(), String> {
        let boot = self.lua.load(BOOT).set_name("=boot");
        boot.call::<()>(profile).map_err(|error| {
            let text = clean(&error);
            let message = text.split("\nstack traceback:").next().unwrap_or(&text);
            message.trim_start_matches("boot:1: ").to_owned()
        })
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
        let names = self
            .lua
            .load(NAMES)
            .call::<(Vec<String>, Option<usize>)>(line);
        let (names, typed) = names.unwrap_or_default();
        (line.len() - typed.unwrap_or(0), names)
    }

    /// Ends its VMs.
    pub fn close(self) {
        self.context.close_vms_since(0);
    }
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
