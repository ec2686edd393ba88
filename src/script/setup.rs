//! What every test file finds in its Lua state: the globals, the methods of objects, the time limit.

use mlua::{AnyUserData, HookTriggers, Lua, LuaString, VmState};

use super::bind::native;
use super::context::Context;
use super::{disk, file, globals, replay, settings, states, sweep, vm};
use crate::events::Event;
use crate::units::text;
use crate::vm::Limit;

/// Lua looks at the clock once in this many of its instructions.
const LOOK_EVERY: u32 = 100_000;

/// Gives the Lua state what every test file finds. With `list`, VMs are stand-ins.
pub(super) fn set_up(context: &Context, list: bool) -> mlua::Result<()> {
    let lua = &context.lua();
    let natives = lua.create_table()?;
    // Without a name: it takes any arguments, and says itself what is wrong with them.
    natives.set("test", native(context, "", file::test)?)?;
    natives.set("provium_set", native(context, "provium", settings::set)?)?;
    vm::add_natives(context, &natives)?;
    states::add_natives(context, &natives)?;
    replay::add_natives(context, &natives)?;
    sweep::add_natives(context, &natives)?;
    globals::add_natives(context, &natives)?;
    let shared = context.clone();
    let log = lua.create_function(move |_, text| log(&shared, &text))?;
    natives.set("log", log)?;
    natives.set("short", lua.create_function(short)?)?;
    natives.set("listing", list)?;
    let prelude = lua
        .load(include_str!("../../lua/prelude.lua"))
        .set_name("=provium");
    context.set_prelude(prelude.call(natives)?);
    context.set_title(title);
    vm::register(context)?;
    states::register(context)?;
    disk::register(context)?;
    context.tell_preparing();
    watch_the_clock(lua, context.limit().clone(), LOOK_EVERY)
}

/// The name of a VM or a disk, for the list of calls.
fn title(object: &AnyUserData) -> Option<String> {
    match (object.borrow::<vm::Vm>(), object.borrow::<disk::Disk>()) {
        (Ok(vm), _) => vm.title(),
        (_, Ok(disk)) => disk.title(),
        _ => None,
    }
}

/// `t:log(TEXT)`.
fn log(context: &Context, text: &LuaString) -> mlua::Result<()> {
    let text = text::message(&text.as_bytes());
    if let Some(watcher) = context.watcher() {
        watcher.begin_call(format!("t:log({})", text::printable(&text)));
        watcher.end_call(None);
    }
    context.emit(Event::Log { text });
    Ok(())
}

/// A value as the message of an assertion shows it.
fn short(lua: &Lua, value: LuaString) -> mlua::Result<LuaString> {
    lua.create_string(text::shortened(&value.as_bytes(), text::LONGEST_VALUE))
}

/// Makes Lua look at the clock once in `every` instructions. Once the time is up it does so at each,
/// so that a pcall that swallows the error does not get far.
fn watch_the_clock(lua: &Lua, limit: Limit, every: u32) -> mlua::Result<()> {
    let triggers = HookTriggers::new().every_nth_instruction(every);
    lua.set_global_hook(triggers, move |lua, debug| {
        let over = limit.check();
        let passed = over.is_err();
        if passed != (every == 1) {
            let next = if passed { 1 } else { LOOK_EVERY };
            watch_the_clock(lua, limit.clone(), next)?;
        }
        let Err(why) = over else {
            return Ok(VmState::Continue);
        };
        let source = debug.source();
        let place = source.short_src.unwrap_or_default();
        let line = debug.current_line().unwrap_or(0);
        Err(mlua::Error::runtime(format!("{place}:{line}: {why}")))
    })
}
