//! Where relative paths of the host start: at the folder of the file that makes the call, which is the test file as a
//! rule. In a prompt that is the working folder.

use std::path::{Path, PathBuf};

use super::context::Context;
use crate::units::text;

/// The path of the host that a call of Lua means by `path`.
pub(super) fn host_path(context: &Context, path: impl AsRef<Path>) -> PathBuf {
    let test_file = context.test_file();
    let is_test_file = |file: &Path| text::path(&test_file) == file.to_string_lossy();
    let file = match calling_file(context) {
        // The name of a chunk is for people: not every path can be had from it.
        Some(file) if !is_test_file(&file) => file,
        _ => test_file,
    };
    let folder = file.parent().unwrap_or(Path::new(""));
    folder.join(path)
}

/// The file of the nearest function of the stack that is from one.
fn calling_file(context: &Context) -> Option<PathBuf> {
    let lua = context.lua();
    // Level 0 is the native that asks. The prelude, its wrappers and `pcall` are from no file.
    let sources = (1..).map_while(|level| {
        lua.inspect_stack(level, |debug| {
            let source = debug.source().source?;
            Some(PathBuf::from(source.strip_prefix('@')?))
        })
    });
    sources.flatten().next()
}
