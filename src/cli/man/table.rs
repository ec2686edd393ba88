//! What the manual page of a command says beside its help: files, variables, other pages.

/// Files that commands use, and for what.
pub(super) const FILES: [(&str, &str); 6] = [
    (
        "provium.toml",
        "the folders of tests, and the guests: see provium.toml(5). The working folder and its parents are searched",
    ),
    (
        "$XDG_RUNTIME_DIR/provium/, else /tmp/provium-UID/",
        "run-time files: locks, the folders of VMs, and `panics`, which has the panics of servers without a log",
    ),
    (
        "$XDG_CACHE_HOME/provium/, else ~/.cache/provium/",
        "the default guest, and the saved states of booted guests. They can be made again",
    ),
    (
        "MNT/ctl/",
        "the control files of a mount: see provium-ctl(5)",
    ),
    (
        "/etc/fuse.conf",
        "has to say `user_allow_other` before an ordinary user may use `-o allow_other`",
    ),
    (
        "/etc/provium/NAME.conf",
        "options of the systemd unit provium@NAME",
    ),
];

/// Variables that commands read, and for what.
pub(super) const VARIABLES: [(&str, &str); 7] = [
    ("XDG_RUNTIME_DIR", "where run-time files are"),
    (
        "XDG_CACHE_HOME, HOME",
        "where the guest and saved states are",
    ),
    ("PATH", "where QEMU and fusermount3 are searched"),
    ("JOURNAL_STREAM", "set by systemd: the journal gets the log"),
    (
        "NOTIFY_SOCKET",
        "set by systemd: it is told that the mount answers",
    ),
    ("NO_COLOR", "no colours, unless `--color` says otherwise"),
    (
        "CLICOLOR_FORCE",
        "colours even where there is no terminal, unless NO_COLOR is set",
    ),
];

/// What a page says beside the help of its command: names in [`FILES`] and [`VARIABLES`], and other pages.
#[derive(Clone, Copy)]
pub(super) struct Extra {
    pub(super) files: &'static [&'static str],
    pub(super) variables: &'static [&'static str],
    pub(super) see_also: &'static [&'static str],
    /// Whether it ends with the code of a run without tests.
    pub(super) runs_tests: bool,
}

const TOML: &str = "provium.toml";
const RUNTIME: &str = "$XDG_RUNTIME_DIR/provium/, else /tmp/provium-UID/";
const CACHE: &str = "$XDG_CACHE_HOME/provium/, else ~/.cache/provium/";
const CTL: &str = "MNT/ctl/";
const RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";
const CACHE_HOME: &str = "XDG_CACHE_HOME, HOME";

const NONE: Extra = Extra {
    files: &[],
    variables: &[],
    see_also: &[],
    runs_tests: false,
};
const OF_A_MOUNT: Extra = Extra {
    files: &[CTL],
    see_also: &["provium-mount(1)", "provium-ctl(5)"],
    ..NONE
};
const OF_GUESTS: Extra = Extra {
    files: &[TOML, CACHE, RUNTIME],
    variables: &[RUNTIME_DIR, CACHE_HOME, "PATH"],
    see_also: &["provium-test(1)", "provium.toml(5)", "provium-lua(7)"],
    ..NONE
};

/// The commands that are about a mount, or about guests, and say no more.
const MOUNTS: [&str; 11] = [
    "run",
    "attach",
    "detach",
    "power",
    "checkpoint",
    "record",
    "mark",
    "status",
    "top",
    "trace",
    "decisions",
];
const GUESTS: [&str; 7] = [
    "repl",
    "console",
    "init",
    "guest",
    "guest-build",
    "guest-list",
    "guest-clean",
];

/// The pages that say more.
const PAGES: [(&str, Extra); 8] = [
    (
        "",
        Extra {
            files: &[TOML, RUNTIME, CACHE, CTL],
            variables: &[RUNTIME_DIR, CACHE_HOME, "PATH"],
            see_also: &[
                "provium-mount(1)",
                "provium-test(1)",
                "provium-ctl(5)",
                "provium-log(5)",
                "provium.toml(5)",
                "provium-lua(7)",
                "provium-rules(7)",
                "mount.provium(8)",
            ],
            runs_tests: true,
        },
    ),
    (
        "mount",
        Extra {
            files: &[RUNTIME, CTL, "/etc/fuse.conf", "/etc/provium/NAME.conf"],
            variables: &[RUNTIME_DIR, "PATH", "JOURNAL_STREAM", "NOTIFY_SOCKET"],
            see_also: &[
                "provium-umount(1)",
                "provium-ctl(5)",
                "provium-log(5)",
                "provium-rules(7)",
                "mount.provium(8)",
            ],
            ..NONE
        },
    ),
    (
        "umount",
        Extra {
            files: &[RUNTIME],
            variables: &[RUNTIME_DIR],
            see_also: &["provium-mount(1)"],
            ..NONE
        },
    ),
    (
        "fault",
        Extra {
            files: &[CTL],
            see_also: &["provium-rules(7)", "provium-ctl(5)"],
            ..NONE
        },
    ),
    (
        "states",
        Extra {
            files: &[RUNTIME],
            variables: &[RUNTIME_DIR],
            see_also: &["provium-record(1)"],
            ..NONE
        },
    ),
    (
        "sweep",
        Extra {
            files: &[CTL],
            see_also: &["provium-fault(1)", "provium-rules(7)", "provium-lua(7)"],
            ..NONE
        },
    ),
    (
        "test",
        Extra {
            see_also: &["provium-init(1)", "provium.toml(5)", "provium-lua(7)"],
            runs_tests: true,
            ..OF_GUESTS
        },
    ),
    (
        "doctor",
        Extra {
            files: &[RUNTIME, CACHE],
            ..OF_GUESTS
        },
    ),
];

/// What the page `name` says.
pub(super) fn extra_of(name: &str) -> Extra {
    let command = name.trim_start_matches("provium").trim_start_matches('-');
    let page = PAGES.iter().find(|(known, _)| *known == command);
    match page {
        Some((_, extra)) => *extra,
        None if MOUNTS.contains(&command) => OF_A_MOUNT,
        None if GUESTS.contains(&command) => OF_GUESTS,
        None => NONE,
    }
}
