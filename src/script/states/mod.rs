//! Crash states: `disk:states`, `provium:states`, a state and its check, `vm:try_states`, `t:assert_crash_safe`.

mod examiner;
mod iterator;
mod kept;
mod options;
mod safe;
mod state;
mod walk;

use mlua::Table;

use super::bind::{Methods, native};
use super::context::Context;
pub(super) use iterator::{States, open};
pub(super) use options::{picks, seed, tear};

/// Adds the natives to the table that the prelude gets.
pub(super) fn add_natives(context: &Context, natives: &Table) -> mlua::Result<()> {
    let states = native(context, "provium:states", iterator::of_path)?;
    natives.set("provium_states", states)?;
    natives.set(
        "try_states",
        native(context, "vm:try_states", iterator::to_try)?,
    )?;
    natives.set(
        "state_plugged",
        native(context, "vm:try_states", iterator::plugged)?,
    )?;
    natives.set(
        "state_let_go",
        native(context, "vm:try_states", iterator::let_go)?,
    )?;
    natives.set(
        "state_unplugged",
        native(context, "vm:try_states", iterator::unplugged)?,
    )?;
    let safe = native(context, "t:assert_crash_safe", safe::crash_safe)?;
    natives.set("crash_safe", safe)
}

/// Makes the methods of a state known.
pub(super) fn register(context: &Context) -> mlua::Result<()> {
    let methods = Methods::of(context, state::CLASS)?;
    state::add(&methods)?;
    methods.register()
}
