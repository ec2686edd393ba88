//! The README and docs/ say only what is true: their examples are run.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::*;

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).unwrap();
    let mut pages: Vec<_> = docs.map(|entry| entry.unwrap().path()).collect();
    pages.push(root.join("README.md"));
    pages
}

/// The fenced blocks of one language.
fn blocks(page: &Path, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let fence = format!("```{language}\n");
    let after = text.split(&fence).skip(1);
    after
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

fn with_provium_in_path(command: &mut Command) -> &mut Command {
    let folder = Path::new(PROVIUM).parent().unwrap().display();
    command.env(
        "PATH",
        format!("{folder}:{}", std::env::var("PATH").unwrap()),
    )
}

/// Runs the commands of all console blocks of a page in one shell, and compares what each prints.
#[test]
fn every_console_session_prints_what_the_page_shows() {
    for page in pages() {
        let session = blocks(&page, "console").concat();
        if session.is_empty() {
            continue;
        }
        let commands = session.lines().filter_map(|line| line.strip_prefix("$ "));
        let script: String = commands
            .map(|line| format!("echo '$ {}'\n{line}\n", line.replace('\'', "'\\''")))
            .collect();
        let folder = TempDir::new().unwrap();
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("exec 2>&1\n{script}")])
            .current_dir(folder.path());
        let output = stdout(&run(with_provium_in_path(&mut bash)));
        let mount = folder.path().join("mnt");
        if is_mounted(&mount) {
            provium(&["umount", &mount.display().to_string()]);
        }
        assert_eq!(output, session, "{}", page.display());
    }
}

#[test]
fn every_lua_example_passes() {
    if !has("qemu-system-x86_64") || !crate::guests::has_guest() {
        return;
    }
    for page in pages() {
        let folder = TempDir::new().unwrap();
        let examples = blocks(&page, "lua");
        for (at, example) in examples.iter().enumerate() {
            std::fs::write(folder.path().join(format!("{at}.test.lua")), example).unwrap();
        }
        if !examples.is_empty() {
            let mut test = Command::new(PROVIUM);
            let output = run(test.args(["test", "."]).current_dir(folder.path()));
            assert_ok(&output);
        }
    }
}

#[test]
fn every_example_configuration_is_valid() {
    for page in pages() {
        for example in blocks(&page, "toml") {
            let folder = TempDir::new().unwrap();
            std::fs::write(folder.path().join("provium.toml"), example).unwrap();
            std::fs::create_dir(folder.path().join("tests")).unwrap();
            let output = run(Command::new(PROVIUM).arg("test").current_dir(folder.path()));
            assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        }
    }
}

#[test]
fn every_link_leads_to_a_file() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .map(|rest| rest.split(')').next().unwrap())
        {
            let target = page.parent().unwrap().join(link);
            assert!(
                link.starts_with("http") || target.exists(),
                "{link} in {}",
                page.display()
            );
        }
    }
}
