//! The manual pages, as their formatters read them.

use std::path::PathBuf;
use std::process::Command;

use crate::docs::page_says;
use crate::harness::*;

fn pages(folder: &TempDir) -> Vec<PathBuf> {
    let place = folder.path().join("man1");
    assert_ok(&provium(&["man", &place.display().to_string()]));
    let folders = folder.path().read_dir().unwrap();
    let folders = folders.map(|entry| entry.unwrap().path());
    let files = folders.flat_map(|folder| folder.read_dir().unwrap());
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn manual_pages_are_formatted_without_a_warning() {
    if !has("groff") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let pages = pages(&folder);
    assert!(pages.len() > 25, "{pages:?}");
    let mut groff = Command::new("groff");
    groff.args(["-man", "-ww", "-z", "-Tutf8"]);
    let output = run(groff.args(&pages));
    assert_ok(&output);
    assert_eq!(stderr(&output), "");
    // A page that is wrong is noticed.
    let bad = folder.path().join("bad.1");
    std::fs::write(&bad, ".TH bad 1\n.SH NAME\nbad \\- \\[nosuch]\n.NOSUCH\n").unwrap();
    let mut groff = Command::new("groff");
    let output = run(groff.args(["-man", "-ww", "-z", "-Tutf8"]).arg(&bad));
    assert_ne!(stderr(&output), "");
}

#[test]
fn manual_pages_lie_in_the_folders_of_their_sections_and_man_shows_them() {
    let folder = TempDir::new().unwrap();
    let pages = pages(&folder);
    for page in [
        "man1/provium.1",
        "man1/provium-mount.1",
        "man5/provium-ctl.5",
        "man5/provium-log.5",
        "man5/provium.toml.5",
        "man7/provium-lua.7",
        "man7/provium-rules.7",
        "man8/mount.provium.8",
    ] {
        assert!(pages.contains(&folder.path().join(page)), "{page}");
    }
    if !has("nroff") {
        return;
    }
    let shown = |page: &str| {
        let mut nroff = Command::new("nroff");
        let output = run(nroff
            .args(["-man", "-Tascii"])
            .arg(folder.path().join(page)));
        assert_ok(&output);
        // Bold and underlined letters are struck twice.
        let text = stdout(&output);
        let mut plain = String::new();
        for letter in text.chars() {
            match letter {
                '\x08' => drop(plain.pop()),
                _ => plain.push(letter),
            }
        }
        let escapes = plain
            .split('\x1b')
            .map(|part| part.split_once('m').map_or(part, |(_, rest)| rest));
        escapes
            .collect::<String>()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mount = shown("man1/provium-mount.1");
    for text in [
        "EXAMPLES provium mount /tmp/m --disk vda=disk.img",
        "EXIT STATUS 0 success",
        "FILES $XDG_RUNTIME_DIR/provium/",
        "PROVIUM_LOG_FILE",
        "SEE ALSO provium(1), provium-umount(1), provium-ctl(5)",
    ] {
        assert!(mount.contains(text), "{text:?} is not in: {mount}");
    }
    assert!(
        !mount.contains("4 no test matched"),
        "it is of provium test alone"
    );
    assert!(shown("man1/provium-test.1").contains("4 no test matched"));
    let fstab = shown("man8/mount.provium.8");
    page_says(
        "docs/fstab.md",
        "is an error: a client opens the disk with `O_SYNC`",
    );
    assert!(
        fstab.contains("sync is an error: a client opens the disk with O_SYNC"),
        "{fstab}"
    );
    let rules = shown("man7/provium-rules.7");
    assert!(rules.contains("The request fails and does not touch the image."));
    // It begins as `provium help rules` does, word for word.
    let topic = provium(&["help", "rules"]);
    let topic: Vec<_> = stdout(&topic)
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    assert!(topic.len() > 300, "{topic:?}");
    assert!(
        rules.contains(&topic.join(" ")),
        "{topic:?} is not in: {rules}"
    );
    assert!(shown("man5/provium.toml.5").contains("roots = [\"tests\"]"));
}
