//! A fresh Lua state.

use mlua::Lua;

/// Lua 5.4 with its full standard library, `debug` included.
#[allow(unsafe_code)]
pub(super) fn new() -> Lua {
    // SAFETY: test files are trusted code: they run commands as the user anyway. What `debug` can
    // break is this process, which runs one file and nothing else.
    unsafe { Lua::unsafe_new() }
}
