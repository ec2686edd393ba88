//! Where relative paths of the host start: at the folder of the test file, in a prompt at the working folder.

use std::path::{Path, PathBuf};

use super::context::Context;

/// The path of the host that a call of Lua means by `path`.
pub(super) fn host_path(context: &Context, path: impl AsRef<Path>) -> PathBuf {
    let test_file = context.test_file();
    let folder = test_file.parent().unwrap_or(Path::new(""));
    folder.join(path)
}

/// The same for a call whose paths start at the folder of the file that makes the call, which is not always the test
/// file.
pub(super) fn beside_caller(context: &Context, path: &str) -> PathBuf {
    let lua = context.lua();
    // Level 0 is the native that asks. The prelude, its wrappers and `pcall` are from no file.
    let mut sources = (1..).map_while(|level| {
        lua.inspect_stack(level, |debug| {
            let source = debug.source().source?;
            Some(PathBuf::from(source.strip_prefix('@')?))
        })
    });
    match sources.find_map(|source| source) {
        Some(file) => file.parent().unwrap_or(Path::new("")).join(path),
        None => host_path(context, path),
    }
}
