//! A fresh Lua state.

use mlua::Lua;

use crate::os::sys;

/// Lua 5.4 with its full standard library, `debug` included.
pub(super) fn new() -> Lua {
    sys::trust_test_files(Lua::unsafe_new)
}
