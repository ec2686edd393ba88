//! The words of fstab and mount(8) that any file system may be given. Each is taken, because the mount is as it says
//! or because it concerns others, or explained: the error names what to use in its place.

/// Words that are taken.
const TAKEN: [&str; 36] = [
    // For mount(8) and systemd.
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "owner",
    "group",
    "nofail",
    "_netdev",
    "silent",
    "loud",
    // No file of the mount can be executed, is a device or gives rights: nothing is left to permit or deny.
    "exec",
    "noexec",
    "dev",
    "nodev",
    "suid",
    "nosuid",
    "symfollow",
    "nosymfollow",
    // A write is answered when the host has it, and a disk says itself when it was read.
    "async",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "nostrictatime",
    "lazytime",
    "nolazytime",
    // Folders change by control files alone, at once.
    "dirsync",
    "mand",
    "nomand",
    "iversion",
    "noiversion",
    "acl",
];

/// Beginnings of words that are taken: notes of other programs.
const TAKEN_BEGINNINGS: [&str; 4] = ["x-", "X-", "comment=", "user="];

/// Words that are not offered, and what to do instead. A word that ends with `=` has a value.
const EXPLAINED: [(&str, &str); 16] = [
    (
        "sync",
        "a client decides that: it opens the disk with O_SYNC, or flushes (QEMU: `cache=writethrough`)",
    ),
    (
        "strictatime",
        "no times of access are kept; `MNT/ctl/ID/trace` shows each read",
    ),
    (
        "remount",
        "a mount does not change its options; `provium attach` and `provium detach` change its disks",
    ),
    (
        "loop",
        "provium opens images by itself; name the image with `disk=ID=IMAGE`",
    ),
    (
        "loop=",
        "provium opens images by itself; name the image with `disk=ID=IMAGE`",
    ),
    (
        "offset=",
        "an image is served whole; serve a loop device with this offset as the image",
    ),
    (
        "sizelimit=",
        "an image is served whole; serve a loop device with this limit as the image",
    ),
    ("bind", "a bind mount is made with `mount --bind`"),
    ("rbind", "a bind mount is made with `mount --rbind`"),
    (
        "allow_root",
        "use `allow_other` with `umask=`, or serve as root",
    ),
    (
        "default_permissions",
        "the kernel checks permissions always; leave the word out",
    ),
    ("mode=", "use `umask=`, as in `umask=007` for 0660"),
    ("fmask=", "use `umask=`"),
    ("dmask=", "folders keep their mode; use `umask=` for files"),
    ("quota", "a disk has the size of its image"),
    (
        "fsname=",
        "the table of mounts names the server, by which other commands find it",
    ),
];

/// Whether `word` says nothing that the server would have to do.
pub(super) fn is_taken(word: &str) -> bool {
    TAKEN.contains(&word) || TAKEN_BEGINNINGS.iter().any(|start| word.starts_with(start))
}

/// What to use in place of `word`, which the server does not offer.
pub(super) fn instead_of(word: &str) -> Option<&'static str> {
    let name = match word.split_once('=') {
        Some((name, _)) => format!("{name}="),
        None => word.to_owned(),
    };
    let found = EXPLAINED.iter().find(|(word, _)| *word == name);
    found.map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_is_taken_or_explained_and_never_both() {
        for word in [
            "exec",
            "noatime",
            "x-systemd.after=a",
            "comment=b",
            "user=bob",
        ] {
            assert!(is_taken(word) && instead_of(word).is_none(), "{word}");
        }
        for (word, _) in EXPLAINED {
            let word = match word.ends_with('=') {
                true => format!("{word}1"),
                false => word.to_owned(),
            };
            assert!(!is_taken(&word) && instead_of(&word).is_some(), "{word}");
        }
        assert!(!is_taken("allow_others") && instead_of("allow_others").is_none());
    }
}
