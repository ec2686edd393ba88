//! Functions and methods for Lua whose errors are strings with the place of the call.

use mlua::{
    Error, FromLua, FromLuaMulti, Function, IntoLuaMulti, Lua, MetaMethod, MultiValue, Result,
    Table, UserData, UserDataMethods, UserDataRef, Value,
};

use super::call_text::call_text;
use super::error::{CallError, CallResult};
use super::signature::{surplus, wrong_argument};
use crate::script::context::Context;

/// A Lua function for the prelude's `wrap`: returns true and results, or false and a message that
/// names `call`.
pub(in crate::script) fn native<A, R>(
    context: &Context,
    call: &'static str,
    function: impl Fn(&Context, A) -> CallResult<R> + 'static,
) -> Result<Function>
where
    A: FromLuaMulti,
    R: IntoLuaMulti,
{
    let shared = context.clone();
    // The object of a method is not one of its arguments.
    let first = usize::from(!call.contains(':'));
    context
        .lua()
        .create_function(move |lua, mut args: MultiValue| {
            let result = listed(&shared, call, &args.clone(), || {
                let args = arguments(lua, call, first, std::mem::take(&mut args));
                args.and_then(|args| function(&shared, args))
            });
            answer(lua, call, result)
        })
}

/// Makes a call that is noted in the list of the test's calls. The first of `args` may be its object.
fn listed<R>(
    context: &Context,
    call: &str,
    args: &MultiValue,
    make: impl FnOnce() -> CallResult<R>,
) -> CallResult<R> {
    let Some(watcher) = context.watcher() else {
        return make();
    };
    let object = args.front().unwrap_or(&Value::Nil);
    let is_method = matches!(object, Value::UserData(_) | Value::Table(_));
    let rest = args.iter().skip(usize::from(is_method)).cloned().collect();
    let Some(text) = call_text(context, call, object, &rest) else {
        return make();
    };
    watcher.begin_call(text);
    let result = make();
    watcher.end_call(result.as_ref().err().map(CallError::reason));
    result
}

/// What the prelude's `wrap` expects.
fn answer<R: IntoLuaMulti>(lua: &Lua, call: &str, result: CallResult<R>) -> Result<MultiValue> {
    match result {
        Ok(results) => {
            let mut all = results.into_lua_multi(lua)?;
            all.push_front(Value::Boolean(true));
            Ok(all)
        }
        Err(error) => (false, error.message(call)).into_lua_multi(lua),
    }
}

/// The arguments of `call`, of which the first one is at position `first`.
fn arguments<A: FromLuaMulti>(
    lua: &Lua,
    call: &str,
    first: usize,
    args: MultiValue,
) -> CallResult<A> {
    if let Some(surplus) = surplus(call, first, args.iter()) {
        return Err(surplus.into());
    }
    A::from_lua_args(args.clone(), first, Some(call), lua).map_err(|error| {
        let Error::BadArgument { pos, cause, .. } = &error else {
            return error.into();
        };
        let Error::FromLuaConversionError { to, .. } = &**cause else {
            return CallError::Reason(cause.to_string());
        };
        let value = args.get(pos - first).unwrap_or(&Value::Nil);
        wrong_argument(call, *pos, plain(to), value).into()
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

/// The methods of a class of objects: a table in which its userdata look names up.
pub(in crate::script) struct Methods<'a> {
    context: &'a Context,
    class: &'static str,
    table: Table,
}

impl<'a> Methods<'a> {
    /// The methods of `class`. Their errors begin with its name.
    pub(in crate::script) fn of(context: &'a Context, class: &'static str) -> Result<Self> {
        let table = context.lua().create_table()?;
        Ok(Self {
            context,
            class,
            table,
        })
    }

    /// Adds a method. Its errors begin with `CLASS:NAME`.
    pub(in crate::script) fn add<T, A, R>(
        &self,
        name: &'static str,
        function: impl Fn(&Context, &T, A) -> CallResult<R> + 'static,
    ) -> Result<()>
    where
        T: UserData + 'static,
        A: FromLuaMulti,
        R: IntoLuaMulti,
    {
        let (context, class) = (self.context.clone(), self.class);
        let call = format!("{class}:{name}");
        let method = move |lua: &Lua, args: MultiValue| {
            let result = listed(&context, &call, &args, || {
                let mut args = args.clone();
                let this = args.pop_front().unwrap_or(Value::Nil);
                let this = UserDataRef::<T>::from_lua(this, lua)
                    .map_err(|_| format!("call it with a colon, on a {class}"))?;
                let args = arguments(lua, &call, 1, args)?;
                function(&context, &this, args)
            });
            answer(lua, &call, result)
        };
        let method = self.context.lua().create_function(method)?;
        self.table.set(name, self.context.wrap(method)?)
    }

    /// Adds a method that is written in Lua.
    pub(in crate::script) fn add_lua(&self, name: &'static str, method: Function) -> Result<()> {
        self.table.set(name, method)
    }

    /// Makes the methods known to the userdata of the class.
    pub(in crate::script) fn register(self) -> Result<()> {
        self.context
            .lua()
            .set_named_registry_value(self.class, self.table)
    }
}

/// Gives a userdata type the methods that were registered for `class`.
pub(in crate::script) fn look_up<T, M: UserDataMethods<T>>(methods: &mut M, class: &'static str) {
    methods.add_meta_method(MetaMethod::Index, move |lua, _, name: Value| {
        method(lua, class, name)
    });
}

/// The method of `class` with this name; nil without one.
pub(in crate::script) fn method(lua: &Lua, class: &str, name: Value) -> Result<Value> {
    let table: Table = lua.named_registry_value(class)?;
    table.get(name)
}
