//! How the command of `provium run` finds its disks: in its words, and in its environment.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::Command;

use crate::cli::exit::UsageError;
use crate::protocol::DiskSpec;
use crate::units::nearest;
use crate::units::text::readable;

/// Each disk's ID and its environment variable.
pub(super) fn variables(disks: &[DiskSpec]) -> Result<Vec<(&str, String)>, UsageError> {
    let mut variables: Vec<(&str, String)> = Vec::new();
    for DiskSpec { id, .. } in disks {
        let name = variable(id);
        if let Some((other, _)) = variables.iter().find(|(_, known)| *known == name) {
            return Err(UsageError(format!(
                "the disks `{other}` and `{id}` would share the variable {name}: give one of them another ID"
            )));
        }
        variables.push((id, name));
    }
    Ok(variables)
}

fn variable(id: &str) -> String {
    let name = id.to_ascii_uppercase().replace(['.', '-'], "_");
    format!("PROVIUM_DISK_{name}")
}

/// A usage error unless `id` is one of `disks`.
pub(super) fn must_be_served(id: &str, disks: &[DiskSpec]) -> Result<(), UsageError> {
    if disks.iter().any(|disk| disk.id == id) {
        return Ok(());
    }
    let ids: Vec<_> = disks.iter().map(|disk| disk.id.as_str()).collect();
    let nearest = nearest(id, ids.iter().copied().filter(|_| ids.len() > 1));
    Err(UsageError(format!(
        "--fault {}: no disk has this ID{nearest} (given with --disk: {})",
        readable(id),
        ids.join(", ")
    )))
}

/// The command, with `{ID}` in its words replaced by the path of that disk in the mount at `point`.
pub(super) fn command(words: &[OsString], disks: &[DiskSpec], point: &Path) -> Command {
    let mut words = words.iter().map(|word| filled(word, disks, point));
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

fn filled(word: &OsStr, disks: &[DiskSpec], point: &Path) -> OsString {
    let mut filled = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some(&byte) = rest.first() {
        let named = disks.iter().find(|disk| starts_with(rest, &disk.id));
        match named {
            Some(disk) => {
                filled.extend(point.join(&disk.id).as_os_str().as_bytes());
                rest = &rest[disk.id.len() + 2..];
            }
            None => {
                filled.push(byte);
                rest = &rest[1..];
            }
        }
    }
    OsString::from_vec(filled)
}

/// Whether `text` starts with `{id}`.
fn starts_with(text: &[u8], id: &str) -> bool {
    let rest = text.strip_prefix(b"{");
    let rest = rest.and_then(|rest| rest.strip_prefix(id.as_bytes()));
    rest.is_some_and(|rest| rest.starts_with(b"}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disks(ids: &[&str]) -> Vec<DiskSpec> {
        let disk = |id: &&str| format!("{id}=a.img").parse().unwrap();
        ids.iter().map(disk).collect()
    }

    #[test]
    fn braces_around_an_id_become_a_path_and_others_stay() {
        let disks = disks(&["vda", "v"]);
        let filled = |word: &str| {
            let filled = filled(word.as_ref(), &disks, "/m".as_ref());
            filled.into_string().unwrap()
        };
        for (word, expected) in [
            ("{vda}", "/m/vda"),
            ("--file={vda},{v}", "--file=/m/vda,/m/v"),
            ("{vdb} {vda {} {{v}}", "{vdb} {vda {} {/m/v}"),
            ("", ""),
            ("{print $1}", "{print $1}"),
        ] {
            assert_eq!(filled(word), expected);
        }
        let word = OsStr::from_bytes(b"\xff{v}");
        let filled = super::filled(word, &disks, "/m".as_ref());
        assert_eq!(filled.as_bytes(), b"\xff/m/v");
    }

    #[test]
    fn variable_of_each_disk_is_its_own() {
        let names = |ids: &[&str]| {
            let disks = disks(ids);
            let variables = variables(&disks).map_err(|error| error.to_string());
            variables.map(|names| names.into_iter().map(|(_, name)| name).collect::<Vec<_>>())
        };
        assert_eq!(
            names(&["vda", "a.b-1"]).unwrap(),
            ["PROVIUM_DISK_VDA", "PROVIUM_DISK_A_B_1"]
        );
        let said = names(&["a.b", "a-b"]).unwrap_err();
        assert!(
            said.contains("`a.b` and `a-b` would share the variable PROVIUM_DISK_A_B"),
            "{said}"
        );
    }
}
