//! A state: what names it, what is lost in it, its file, and what a check says of it.

use std::cell::RefCell;
use std::path::PathBuf;

use mlua::{IntoLua, Lua, MetaMethod, Table, UserData, UserDataMethods, Value};

use super::examiner::Check;
use super::walk::Walked;
use crate::crash::{Judged, Piece, Verdict};
use crate::script::bind::{CallResult, Methods, Options, method};
use crate::script::context::Context;

pub(super) const CLASS: &str = "state";

/// A state that a power cut may have left.
pub(super) struct State {
    states: Walked,
    found: Judged,
    /// Where its file is, once it was asked for.
    path: RefCell<Option<PathBuf>>,
}

impl UserData for State {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, state, ()| {
            Ok(format!("state {}", state.found.id))
        });
        methods.add_meta_method(MetaMethod::Index, |lua, state, key| state.field(lua, key));
    }
}

/// Adds the call.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("check", check)
}

impl State {
    pub(super) fn new(states: &Walked, found: Judged) -> Self {
        Self {
            states: states.clone(),
            found,
            path: RefCell::default(),
        }
    }

    fn field(&self, lua: &Lua, key: Value) -> mlua::Result<Value> {
        let name = key.as_string().map(|key| key.to_string_lossy());
        let point = self.found.id.point;
        match name.as_deref() {
            Some("id") => self.found.id.to_string().into_lua(lua),
            Some("point") => point.into_lua(lua),
            Some("mark") => self
                .states
                .source()
                .history
                .mark_before(point)
                .into_lua(lua),
            Some("lost") => pieces(lua, &self.found.lost)?.into_lua(lua),
            Some("path") => self.served()?.into_lua(lua),
            _ => method(lua, CLASS, key),
        }
    }

    /// The path of its file, which is there until nothing refers to the state any more.
    fn served(&self) -> mlua::Result<String> {
        let mut path = self.path.borrow_mut();
        if path.is_none() {
            let (name, content) = (self.found.id.file_name(), &self.found.content);
            let served = self.states.shelf().serve(&name, content);
            *path = Some(served.map_err(|error| mlua::Error::runtime(error.to_string()))?);
        }
        let path = path
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned());
        Ok(path.unwrap_or_default())
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(path) = self.path.get_mut() {
            let _ = self.states.shelf().withdraw(path);
        }
    }
}

fn pieces(lua: &Lua, pieces: &[Piece]) -> mlua::Result<Vec<Table>> {
    let table = |piece: &Piece| {
        let table = lua.create_table()?;
        table.set("sector", piece.sectors.start)?;
        table.set("count", piece.sectors.end - piece.sectors.start)?;
        Ok(table)
    };
    pieces.iter().map(table).collect()
}

/// True, or false and why.
fn check(
    context: &Context,
    state: &State,
    (check, options): (Value, Options),
) -> CallResult<(bool, Option<String>)> {
    options.only(&["timeout"])?;
    let check = Check::of("state:check", 1, &check)?;
    let states = &state.states;
    Ok(
        match states.check(context, &state.found, &check, &options)? {
            Verdict::Good => (true, None),
            Verdict::Bad(failure) => (false, Some(failure.to_string())),
        },
    )
}
