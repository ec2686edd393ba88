//! Functions and methods for Lua whose errors are strings with the place of the call.

use std::fmt::Display;

use mlua::{
    Error, FromLua, FromLuaMulti, Function, IntoLua, IntoLuaMulti, Lua, MetaMethod, MultiValue,
    Result, Table, UserData, UserDataMethods, UserDataRef, Value,
};

use super::context::Context;
use super::signature::{surplus, wrong_argument};

/// A Lua function for the prelude's `wrap`: returns true and results, or false and a message,
/// which starts with `name`.
pub(super) fn native<A, R, E>(
    lua: &Lua,
    name: &'static str,
    call: impl Fn(&Lua, A) -> std::result::Result<R, E> + 'static,
) -> Result<Function>
where
    A: FromLuaMulti,
    R: IntoLuaMulti,
    E: Display,
{
    // The object of a method is none of its arguments.
    let first = usize::from(!name.contains(':'));
    lua.create_function(move |lua, args: MultiValue| {
        let args = match arguments(lua, name, first, args) {
            Ok(args) => args,
            Err(error) => return failed(lua, name, &error),
        };
        match call(lua, args) {
            Ok(results) => {
                let mut all = results.into_lua_multi(lua)?;
                all.push_front(Value::Boolean(true));
                Ok(all)
            }
            Err(error) => failed(lua, name, &error),
        }
    })
}

fn failed(lua: &Lua, name: &str, error: &dyn Display) -> Result<MultiValue> {
    let text = error.to_string();
    let message = match text.starts_with(name) {
        true => text,
        false => format!("{name}: {text}"),
    };
    Ok([Value::Boolean(false), message.into_lua(lua)?]
        .into_iter()
        .collect())
}

/// The arguments of `call`, of which the first one is at position `first`.
fn arguments<A: FromLuaMulti>(
    lua: &Lua,
    call: &str,
    first: usize,
    args: MultiValue,
) -> std::result::Result<A, String> {
    if let Some(surplus) = surplus(call, first, args.iter()) {
        return Err(surplus);
    }
    A::from_lua_args(args.clone(), first, Some(call), lua).map_err(|error| {
        let Error::BadArgument { pos, cause, .. } = &error else {
            return error.to_string();
        };
        let Error::FromLuaConversionError { to, .. } = &**cause else {
            return cause.to_string();
        };
        let value = args.get(pos - first).unwrap_or(&Value::Nil);
        wrong_argument(call, *pos, plain(to), value)
    })
}

/// A Rust type as a Lua user knows it.
fn plain(rust_type: &str) -> &str {
    match rust_type {
        "i64" => "integer",
        "u64" | "u32" => "integer, 0 or more",
        "f64" => "number",
        "String" | "LuaString" => "string",
        "&str" => "string in UTF-8",
        "Table" => "table",
        other => other,
    }
}

/// The methods of a kind of object: a table that its userdata look names up in.
pub(super) struct Methods<'a> {
    context: &'a Context,
    class: &'static str,
    table: Table,
}

impl<'a> Methods<'a> {
    /// The methods of `class`, which is what their errors begin with.
    pub(super) fn of(context: &'a Context, class: &'static str) -> Result<Self> {
        let table = context.lua().create_table()?;
        Ok(Self {
            context,
            class,
            table,
        })
    }

    /// Adds a method. `label` is what its errors begin with, as in `disk:size`.
    pub(super) fn add<T, A, R, E>(
        &self,
        label: &'static str,
        call: impl Fn(&Lua, &T, A) -> std::result::Result<R, E> + 'static,
    ) -> Result<()>
    where
        T: UserData + 'static,
        A: FromLuaMulti,
        R: IntoLuaMulti,
        E: Display,
    {
        let name = label.rsplit(':').next().unwrap_or(label);
        let class = self.class;
        let method = move |lua: &Lua, mut args: MultiValue| {
            let this = args.pop_front().unwrap_or(Value::Nil);
            let this = UserDataRef::<T>::from_lua(this, lua)
                .map_err(|_| format!("call it with a colon, on a {class}"))?;
            let args = arguments(lua, label, 1, args)?;
            call(lua, &this, args).map_err(|error| error.to_string())
        };
        let native = native(&self.context.lua(), label, method)?;
        self.table.set(name, self.context.wrap(native)?)
    }

    /// Makes the methods known to the class's userdata.
    pub(super) fn register(self) -> Result<()> {
        self.context
            .lua()
            .set_named_registry_value(self.class, self.table)
    }
}

/// Gives a userdata type the methods that were registered for `class`.
pub(super) fn look_up<T, M: UserDataMethods<T>>(methods: &mut M, class: &'static str) {
    methods.add_meta_method(MetaMethod::Index, move |lua, _, name: Value| {
        method(lua, class, name)
    });
}

/// The method of `class` with this name; nil without one.
pub(super) fn method(lua: &Lua, class: &str, name: Value) -> Result<Value> {
    let table: Table = lua.named_registry_value(class)?;
    table.get(name)
}
