//! `provium guest`: the default guest.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::{Context, bail};

use super::{Exit, table};
use crate::vm::Guest;

/// Build or list the guests that tests run
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Sub,
}

#[derive(Debug, clap::Subcommand)]
enum Sub {
    /// Build the default guest from the distribution's packages, if it is not up to date
    Build {
        /// Build it even if it is
        #[arg(long)]
        force: bool,
    },
    /// Show the guests that are built
    List,
}

macro_rules! builder_files {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../mnt-helpers/", $name)))),*]
    };
}

/// The builder, so that the command works without the source tree.
const BUILDER: [(&str, &str); 9] = builder_files![
    "build-guest"
    "guest/agent"
    "guest/console"
    "guest/hotplug"
    "guest/init"
    "guest/inittab"
    "guest/late"
    "guest/mdev.conf"
    "guest/shutdown"
];

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    match args.command {
        Sub::Build { force } => build(force),
        Sub::List => list(),
    }
}

fn build(force: bool) -> anyhow::Result<Exit> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("guest"))?;
    for (name, text) in BUILDER {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    let mut command = Command::new("bash");
    command
        .arg(folder.path().join("build-guest"))
        .args(force.then_some("--force"));
    let status = command.status().context("cannot start bash")?;
    if !status.success() {
        bail!("the guest was not built");
    }
    Ok(Exit::Done)
}

fn list() -> anyhow::Result<Exit> {
    let folder = Guest::default_folder()?;
    let Ok(manifest) = std::fs::read_to_string(folder.join("manifest")) else {
        println!("no guest is built; build it with `provium guest build`");
        return Ok(Exit::Done);
    };
    let value = |key: &str| {
        let found = manifest
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        found.unwrap_or("-").to_owned()
    };
    let row = [
        "default".to_owned(),
        value("kernel"),
        value("built"),
        folder.display().to_string(),
    ];
    table::print(["GUEST", "KERNEL", "BUILT", "FOLDER"], &[row]);
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_guest_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/mnt-helpers/guest");
        let files = std::fs::read_dir(folder).unwrap();
        let name = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut found: Vec<_> = files
            .map(|entry| format!("guest/{}", name(entry.unwrap())))
            .collect();
        found.push("build-guest".into());
        found.sort();
        let mut built_in = BUILDER.map(|(name, _)| name.to_owned());
        built_in.sort();
        assert_eq!(found, built_in);
    }
}
