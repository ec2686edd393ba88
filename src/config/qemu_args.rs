//! Words that a profile adds to QEMU's command line. Those that would undo what provium sets are refused.

/// Options of QEMU that a profile cannot add, with what to do instead.
const REFUSED: [(&[&str], &str); 15] = [
    (&["machine", "M"], "set `machine`"),
    (
        &["accel", "enable-kvm"],
        "set `accel`, which is \"auto\", \"kvm\" or \"tcg\"",
    ),
    (&["m"], "set `memory`"),
    (&["smp"], "set `cpus`"),
    (&["kernel"], "set `kernel`"),
    (&["initrd"], "set `initrd`"),
    (&["append"], "set `cmdline`"),
    (
        &["bios", "pflash"],
        "set `firmware`, which is a file for -bios, or { pflash = FILE, vars = FILE }",
    ),
    (
        &["nographic", "curses"],
        "the guest has no display, and its first serial port is the console of the VM",
    ),
    (
        &["daemonize"],
        "provium waits for QEMU, and ends it with the test",
    ),
    (
        &["snapshot"],
        "the guest's writes would not reach its disks; a disk with `template` stays as it is",
    ),
    (
        &["no-reboot", "no-shutdown", "action"],
        "provium tells a reset from a power-off by the end of QEMU",
    ),
    (
        &["incoming", "loadvm", "preconfig", "S"],
        "provium starts the machine; for saved states see `cold`",
    ),
    (
        &["sandbox"],
        "QEMU runs in the sandbox that docs/security.md describes",
    ),
    (
        &["help", "h", "version"],
        "QEMU would print something and end",
    ),
];

/// The names that provium gives to parts of the machine.
const TAKEN: [&str; 6] = ["agent", "agent-port", "console", "net", "qmp", "ram"];

/// What is wrong with the words `args`, if something is.
pub(super) fn check(args: &[String]) -> Result<(), String> {
    args.iter().try_for_each(|word| {
        let option = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
        match option {
            Some(option) => check_option(word, option),
            None => check_value(word),
        }
    })
}

fn check_option(word: &str, option: &str) -> Result<(), String> {
    if let Some((first, rest)) = word.split_once(' ') {
        let (first, rest) = (format!("{first:?}"), format!("{:?}", rest.trim()));
        return Err(format!(
            "`qemu_args` has {word:?}: each word is a string of its own, as in [{first}, {rest}]"
        ));
    }
    let refused = REFUSED.iter().find(|(names, _)| names.contains(&option));
    match refused {
        Some((_, instead)) => Err(format!("`qemu_args` cannot have `{word}`: {instead}")),
        None => Ok(()),
    }
}

/// The value of an option: its ID must not be one of ours.
fn check_value(word: &str) -> Result<(), String> {
    let id = word.split(',').find_map(|part| part.strip_prefix("id="));
    let port = |id: &str| id.strip_prefix("port").is_some_and(is_number);
    let drive = |id: &str| id.strip_prefix("drive").is_some_and(is_number);
    let is_ours =
        |id: &&str| TAKEN.contains(id) || id.starts_with("disk-") || port(id) || drive(id);
    match id.filter(is_ours) {
        Some(id) => Err(format!(
            "`qemu_args` cannot have `id={id}`: provium has a part of that name; take another one"
        )),
        None => Ok(()),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(args: &[&str]) -> String {
        let args: Vec<_> = args.iter().map(|word| (*word).to_owned()).collect();
        check(&args).err().unwrap_or_default()
    }

    #[test]
    fn word_that_undoes_a_setting_is_refused_with_the_key_to_set() {
        for (args, expected) in [
            (
                &["-m", "1G"][..],
                "`qemu_args` cannot have `-m`: set `memory`",
            ),
            (
                &["--machine", "pc"],
                "cannot have `--machine`: set `machine`",
            ),
            (&["-snapshot"], "writes would not reach its disks"),
            (&["-nographic"], "its first serial port is the console"),
            (
                &["-chardev", "null,id=agent"],
                "cannot have `id=agent`: provium has a part of that name",
            ),
            (&["-device", "pcie-root-port,id=port3"], "`id=port3`"),
            (
                &["-device virtio-balloon"],
                r#"as in ["-device", "virtio-balloon"]"#,
            ),
        ] {
            let error = error(args);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn word_that_only_adds_something_is_taken() {
        for args in [
            &["-device", "virtio-balloon-pci,id=balloon"][..],
            &["-cpu", "Nehalem"],
            &["-cdrom", "seed.iso"],
            &["-serial", "file:second.log"],
            &["-netdev", "user,id=portable"],
        ] {
            assert_eq!(error(args), "", "{args:?}");
        }
    }
}
