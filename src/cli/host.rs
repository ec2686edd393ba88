//! What test files need of this host, looked at once before they run: without it each of their tests would fail with
//! the same words.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::os::sys;

/// What a test file uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Needs {
    /// A mount, for disks or states.
    mount: bool,
    /// A guest.
    guest: bool,
}

/// What this host lacks of that which `files`, and the modules that they require, need, in a sentence; None if all is
/// there. `require` finds modules in `roots`. A profile may name a QEMU that is not in PATH, and `has_own_qemu` says
/// that one does.
pub(super) fn missing<'a>(
    files: impl Iterator<Item = &'a PathBuf>,
    roots: &[PathBuf],
    has_own_qemu: bool,
) -> Option<String> {
    let needs = needs_of(files.cloned().collect(), roots);
    let lacks_mount = needs.mount.then(mount_lacks).flatten();
    let lacks = lacks_mount.or_else(|| {
        let needs_qemu = needs.guest && !has_own_qemu;
        (needs_qemu && !is_in_path("qemu-system-"))
            .then(|| "QEMU, which is not installed".to_owned())
    })?;
    Some(format!(
        "no test was run: the tests need {lacks}; `provium doctor` says how to mend that"
    ))
}

/// What all of `files` need, and the modules that they require, and those of these.
fn needs_of(files: Vec<PathBuf>, roots: &[PathBuf]) -> Needs {
    let (mut needs, mut seen, mut files) = (Needs::default(), BTreeSet::new(), files);
    while let Some(file) = files.pop() {
        let Ok(text) = std::fs::read(&file) else {
            continue;
        };
        let code = code(&String::from_utf8_lossy(&text));
        let one = Needs::of(&code);
        needs.mount |= one.mount;
        needs.guest |= one.guest;
        let modules = required(&code).filter_map(|name| module(&name, roots));
        files.extend(modules.filter(|module| seen.insert(module.clone())));
    }
    needs
}

/// The text without comments and blanks.
fn code(text: &str) -> String {
    let code = text.lines().map(|line| line.split("--").next());
    let code: String = code.flatten().map(|line| format!("{line}\n")).collect();
    code.split_whitespace().collect()
}

/// The names of the modules that `code` requires by a literal.
fn required(code: &str) -> impl Iterator<Item = String> {
    let name = |rest: &str| {
        let rest = rest.strip_prefix('(').unwrap_or(rest);
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        Some(rest[1..].split_once(quote)?.0.to_owned())
    };
    code.split("require").skip(1).filter_map(name)
}

/// The file of the module called `name`.
fn module(name: &str, roots: &[PathBuf]) -> Option<PathBuf> {
    let file = name.replace('.', "/") + ".lua";
    let mut files = roots.iter().map(|root| root.join(&file));
    files.find(|file| file.is_file())
}

impl Needs {
    /// By the calls in the code.
    fn of(code: &str) -> Self {
        let uses = |name: &str| code.contains(&format!("provium{name}"));
        Self {
            mount: uses(":") || uses("."),
            guest: uses(":vm(") || uses(".vm("),
        }
    }
}

fn mount_lacks() -> Option<String> {
    if let Err(error) = File::options().read(true).write(true).open("/dev/fuse") {
        return Some(format!("/dev/fuse, which cannot be opened: {error}"));
    }
    // An ordinary user has it mount; root mounts without.
    let by_helper = sys::uid() != 0;
    match by_helper && !is_in_path("fusermount3") {
        true => Some("fusermount3, which is not in PATH".into()),
        false => None,
    }
}

/// Whether a folder of PATH has a file whose name begins so.
fn is_in_path(start: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| has(&folder, start))
}

fn has(folder: &Path, start: &str) -> bool {
    let mut entries = folder.read_dir().into_iter().flatten().flatten();
    entries.any(|entry| {
        entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(start.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_of_a_file_are_those_of_its_calls_and_not_of_its_comments() {
        let of = |text| {
            let needs = Needs::of(&code(text));
            (needs.mount, needs.guest)
        };
        assert_eq!(of("test('x', function(t) t:ok(1) end)"), (false, false));
        assert_eq!(of("-- provium:vm('v', 'default')"), (false, false));
        assert_eq!(of("local s = provium:states(log)"), (true, false));
        assert_eq!(of("provium : vm ('v', 'default') -- a"), (true, true));
        assert_eq!(of("provium.vm(provium, 'v')"), (true, true));
    }

    #[test]
    fn needs_of_a_file_are_those_of_the_modules_that_it_requires_too() {
        let folder = tempfile::tempdir().unwrap();
        let roots = ["first", "second"].map(|root| folder.path().join(root));
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        write(
            "second/lib/guests.lua",
            "require 'again' return provium:vm('v', 'default')",
        );
        write("second/again.lua", "require('lib.guests') return {}");
        let needs = |text: &str| needs_of(vec![write("a.test.lua", text)], &roots).guest;
        assert!(needs("local guests = require(\"lib.guests\")"));
        assert!(needs("require 'again'"));
        assert!(!needs("-- require 'again'"));
        assert!(!needs("require 'no.such' require(name)"));
    }
}
