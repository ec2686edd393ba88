//! What checks a state: a command of the host, or a Lua function.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mlua::{Function, Table, Value};

use crate::crash::{Checker, Examiner, Failure, Verdict};
use crate::script::bind::{CallResult, wrong_argument};
use crate::script::context::Context;
use crate::script::raised;
use crate::units::text;

/// A check, as a test gives it.
#[derive(Clone)]
pub(super) enum Check {
    /// For `sh -c`; `{}` is the path of the state.
    Command(String),
    /// It gets the path, and the last mark before the state.
    Function(Function),
}

impl Check {
    /// The check that the argument at `position` of `call` is.
    pub(super) fn of(call: &str, position: usize, value: &Value) -> CallResult<Self> {
        match value {
            Value::String(command) => Ok(Self::Command(command.to_string_lossy())),
            Value::Function(function) => Ok(Self::Function(function.clone())),
            other => {
                let expected = "function, or string with a command";
                Err(wrong_argument(call, position, expected, other).into())
            }
        }
    }

    /// What tells it from other checks: of a function its code, and the values that it refers to now.
    pub(super) fn key(&self, context: &Context) -> mlua::Result<Key> {
        Ok(match self {
            Self::Command(command) => Key::Command(command.clone()),
            Self::Function(function) => Key::Function(context.prelude("key_of", function)?),
        })
    }
}

/// What tells a check from others.
pub(super) enum Key {
    Command(String),
    Function(Table),
}

impl Key {
    /// Whether both are of the same check.
    pub(super) fn is(&self, context: &Context, other: &Self) -> mlua::Result<bool> {
        match (self, other) {
            (Self::Command(one), Self::Command(other)) => Ok(one == other),
            (Self::Function(one), Self::Function(other)) => {
                context.prelude("same_key", (one, other))
            }
            (Self::Command(_), Self::Function(_)) | (Self::Function(_), Self::Command(_)) => {
                Ok(false)
            }
        }
    }
}

/// A command that may take `timeout`, and no longer than the test.
pub(super) fn checker(context: &Context, command: &str, timeout: Duration) -> Checker {
    Checker {
        command: command.to_owned(),
        timeout: context.limit().cut(timeout),
        stop: Arc::clone(&context.limit().interrupted()),
    }
}

/// A function that is called with a state: an error is a bad verdict, and so is `false`.
pub(super) struct Called<'a> {
    context: &'a Context,
    function: &'a Function,
    takes_mark: bool,
}

impl<'a> Called<'a> {
    pub(super) fn new(context: &'a Context, function: &'a Function) -> io::Result<Self> {
        let parameters = context.prelude::<u32>("parameters_of", function);
        let parameters = parameters.map_err(|error| failed(&error))?;
        Ok(Self {
            context,
            function,
            takes_mark: parameters > 1,
        })
    }

    fn call(&self, path: &str, mark: Option<&str>) -> mlua::Result<Verdict> {
        let result = raised::judged(self.context, self.function, (path, mark));
        // What the function has opened and left must not keep the state.
        self.context.lua().gc_collect()?;
        let how = match result? {
            Err(raised) => ("error", raised.message().replace(path, "{}")),
            Ok(values) if values.front() == Some(&Value::Boolean(false)) => {
                ("returned false", String::new())
            }
            Ok(_) => return Ok(Verdict::Good),
        };
        Ok(Verdict::Bad(Failure {
            code: None,
            how: how.0.to_owned(),
            output: text::message(how.1.as_bytes()),
        }))
    }
}

/// An error of Lua, for those who do not know Lua.
fn failed(error: &mlua::Error) -> io::Error {
    io::Error::other(raised::clean(error))
}

impl Examiner for Called<'_> {
    fn takes_mark(&self) -> bool {
        self.takes_mark
    }

    fn examine(&self, path: &Path, mark: Option<&str>) -> io::Result<Verdict> {
        let path = path.to_string_lossy();
        let verdict = self.call(&path, mark).map_err(|error| failed(&error))?;
        match self.context.limit().check() {
            Ok(()) => Ok(verdict),
            Err(error) => Err(io::Error::other(error.to_string())),
        }
    }
}
