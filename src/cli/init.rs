//! `provium init`: the files of a new project.

use std::fs::{File, create_dir_all};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Exit, output};

/// Create a configuration, a first test and stubs for editors
///
/// Never overwrites a file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  provium init disks && cd disks && provium test")]
pub(super) struct Args {
    /// The folder; created if it is missing
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

/// Paths and contents.
const FILES: [(&str, &str); 4] = [
    (
        "provium.toml",
        include_str!("../../lua/template/provium.toml"),
    ),
    (
        "tests/first.test.lua",
        include_str!("../../lua/template/first.test.lua"),
    ),
    (".luarc.json", include_str!("../../lua/template/luarc.json")),
    (
        ".provium/meta/provium.lua",
        include_str!("../../lua/meta/provium.lua"),
    ),
];

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    for (name, content) in FILES {
        let path = args.folder.join(name);
        let made = lay_down(&path, content).with_context(|| path.display().to_string())?;
        let word = if made { "made" } else { "kept" };
        output::done(format_args!("{word}  {}", path.display()));
    }
    output::done("next  provium test");
    Ok(Exit::Done)
}

/// Writes the file. False when it exists already.
fn lay_down(path: &Path, content: &str) -> std::io::Result<bool> {
    create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    match File::create_new(path) {
        Ok(mut file) => file.write_all(content.as_bytes()).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
