//! What test files need of this host, looked at once before they run: without it each of their tests would fail with
//! the same words.

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

/// What this host lacks of that which `files` need, in a sentence; None if all is there. A profile may name a QEMU
/// that is not in PATH, and `has_own_qemu` says that one does.
pub(super) fn missing<'a>(
    files: impl Iterator<Item = &'a PathBuf>,
    has_own_qemu: bool,
) -> Option<String> {
    let texts = files.filter_map(|file| std::fs::read(file).ok());
    let all = texts.map(|text| Needs::of(&String::from_utf8_lossy(&text)));
    let needs = all.fold(Needs::default(), |sum, one| Needs {
        mount: sum.mount || one.mount,
        guest: sum.guest || one.guest,
    });
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

impl Needs {
    /// By the calls in the text, comments left out. A module that it requires may make more; then its tests fail.
    fn of(text: &str) -> Self {
        let code = text.lines().map(|line| line.split("--").next());
        let code: String = code.flatten().map(|line| format!("{line}\n")).collect();
        let code: String = code.split_whitespace().collect();
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
            let needs = Needs::of(text);
            (needs.mount, needs.guest)
        };
        assert_eq!(of("test('x', function(t) t:ok(1) end)"), (false, false));
        assert_eq!(of("-- provium:vm('v', 'default')"), (false, false));
        assert_eq!(of("local s = provium:states(log)"), (true, false));
        assert_eq!(of("provium : vm ('v', 'default') -- a"), (true, true));
        assert_eq!(of("provium.vm(provium, 'v')"), (true, true));
    }
}
