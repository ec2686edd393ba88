//! The numbers, defaults and limits of docs/lua-reference.md, docs/testing.md, docs/security.md, docs/ci.md and the
//! README, each beside its proof, unless another test has it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use provium::config::{Config, DEFAULT_PROFILE};

use crate::docs::page_says;
use crate::harness::*;
use crate::lua_suite::{Suite, assert_report};

const LUA: &str = "docs/lua-reference.md";
const TESTING: &str = "docs/testing.md";
const SECURITY: &str = "docs/security.md";

/// Limits whose test would take minutes or gigabytes: compares the page with the one place in the code.
#[test]
fn limits_too_long_to_wait_for_are_equal_in_code_and_pages() {
    for (page, text, source, code) in [
        (
            LUA,
            "`wait_until(pred, {timeout=10, interval=0.1, desc=\"condition\"}?)`",
            "src/script/globals.rs",
            "let timeout = seconds(&options, \"timeout\", 10.0)?; let interval = seconds(&options, \"interval\", 0.1)?;",
        ),
        (
            LUA,
            "`disk:wait_fired(name, times=1, timeout=10)`",
            "src/script/disk/wait_fired.rs",
            "DEFAULT_TIMEOUT: Duration = Duration::from_secs(10)",
        ),
        (
            LUA,
            "`console:expect(text, timeout=30)`",
            "src/script/vm/console.rs",
            "DEFAULT_TIMEOUT: Duration = Duration::from_secs(30)",
        ),
        (
            LUA,
            "| `agent_timeout` | the profile's, or 60 seconds |",
            "src/vm/boot_options.rs",
            "BOOT: Duration = Duration::from_secs(60)",
        ),
        (
            LUA,
            "takes more than 20 seconds",
            "src/vm/power.rs",
            "POWER_DOWN: Duration = Duration::from_secs(20)",
        ),
        (
            LUA,
            "or has delayed for 10 seconds",
            "src/vm/disks/held.rs",
            "LONG: Duration = Duration::from_secs(10)",
        ),
        (
            LUA,
            "however many requests the kernel makes of it (up to 1 GiB)",
            "src/client/data.rs",
            "PIECES_AT_ONCE: usize = 1024",
        ),
        (
            TESTING,
            "also for a call that the kernel cuts into many requests (up to 1 GiB)",
            "src/client/data.rs",
            "PIECES_AT_ONCE: usize = 1024",
        ),
        (
            LUA,
            "the content, as a string; up to 256 MiB",
            "src/vm/guest/file_content.rs",
            "LONGEST_FILE: usize = 256 << 20",
        ),
        (
            SECURITY,
            "| 256 MiB | a file that is read whole |",
            "src/vm/guest/file_content.rs",
            "LONGEST_FILE: usize = 256 << 20",
        ),
        (
            SECURITY,
            "| 64 MiB, and a million values | one answer of the agent |",
            "src/vm/qemu/channel.rs",
            "LONGEST_ANSWER: usize = 64 << 20",
        ),
        (
            SECURITY,
            "and a million values",
            "src/vm/qemu/channel.rs",
            "MOST_VALUES: usize = 1 << 20",
        ),
        (
            SECURITY,
            "read the first 512 bytes, to warn if the image is not raw",
            "src/storage/format.rs",
            "BEGINNING: usize = 512",
        ),
        (
            SECURITY,
            "QEMU runs with `-sandbox on` (no new privileges, no new processes, no resource control)",
            "src/vm/qemu/arguments.rs",
            "\"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny\"",
        ),
        (
            TESTING,
            "All states together take up to 2 GiB",
            "src/vm/warm/store.rs",
            "LIMIT: u64 = 2 << 30",
        ),
        (
            TESTING,
            "may have a program `/sbin/provium-settle`. It runs before the state is saved",
            "src/vm/warm/migration.rs",
            "if [ -x /sbin/provium-settle ]; then /sbin/provium-settle; fi",
        ),
        (
            TESTING,
            "virtio-blk passes on only the first 20 characters of an ID",
            "src/config/hardware.rs",
            "Self::VirtioBlk | Self::Nvme | Self::Sata => 20",
        ),
        (
            SECURITY,
            "`deny.toml` allows; the suite checks that. `cargo deny check` does so too",
            "mnt-helpers/test",
            "cargo deny --offline --locked check licenses bans sources",
        ),
        (
            LUA,
            "of `stdout` or `stderr`. The report says it too",
            "src/script/vm/run_result.rs",
            "printed more than 16 MiB; the rest is lost",
        ),
        (
            TESTING,
            "the VM has more than 24 disks",
            "src/vm/warm/boot.rs",
            "it has more than {PORTS} disks",
        ),
        (
            TESTING,
            "the VM has more than 24 disks",
            "src/vm/qemu/ports.rs",
            "PORTS: u32 = 24",
        ),
        (
            "docs/ci.md",
            "Without `-j`, no more files run at a time than memory allows",
            "src/runner/memory.rs",
            "by_processors.min(by_memory).max(1)",
        ),
        (
            LUA,
            "virtio-blk passes on only the first 20 characters of an ID",
            "src/config/hardware.rs",
            "Self::VirtioBlk | Self::Nvme | Self::Sata => 20",
        ),
        (
            TESTING,
            "does not answer without them within half of `agent_timeout`",
            "src/vm/warm/boot.rs",
            "plan.deadline.saturating_duration_since(now) / 2",
        ),
    ] {
        page_says(page, text);
        page_says(source, code);
    }
}

/// The page's one block of TOML.
fn example() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(TESTING);
    let page = std::fs::read_to_string(page).unwrap();
    let block = page.split("```toml\n").nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

/// Everything but the kernel's command line and the disks, which the example is there to show; and each key of a
/// profile is there.
#[test]
fn example_provium_toml_shows_the_defaults() {
    page_says(
        TESTING,
        "The values shown are the defaults, except `cmdline` and `disks`",
    );
    let path = Path::new("/p/provium.toml");
    let shown = Config::parse(&example(), path).unwrap();
    let unsaid = Config::parse("[profiles.peios]\nguest = 'default'", path).unwrap();
    assert_eq!(shown.provium.roots, unsaid.provium.roots);
    let (shown, unsaid) = (
        shown.profile("peios").unwrap(),
        unsaid.profile("peios").unwrap(),
    );
    assert_eq!(
        (
            shown.guest,
            shown.memory,
            shown.cpus,
            shown.accel,
            shown.cold
        ),
        (
            unsaid.guest,
            unsaid.memory,
            unsaid.cpus,
            unsaid.accel,
            unsaid.cold
        )
    );
    assert_eq!((unsaid.cmdline, unsaid.disks.len()), (None, 0));
    assert_eq!(
        (shown.agent, &shown.qemu_args, &shown.hostfwd),
        (unsaid.agent, &unsaid.qemu_args, &unsaid.hostfwd)
    );
    assert_eq!(unsaid.firmware, None);
    assert_eq!(unsaid.net, None);
    for (shown, key, source, code) in [
        (
            shown.machine.unwrap(),
            "q35",
            "src/vm/qemu/board.rs",
            "target.is_pc() { \"q35\" } else { \"virt\" }",
        ),
        (
            shown.qemu.unwrap().display().to_string(),
            provium::vm::PROGRAM,
            "src/vm/qemu/process.rs",
            "PROGRAM: &str = \"qemu-system-x86_64\"",
        ),
    ] {
        assert_eq!(shown, key);
        page_says(source, code);
    }
    assert_eq!(shown.agent_timeout.unwrap().0.as_secs(), 60);
}

/// serde names the keys of a profile in its error for one that it does not know.
#[test]
fn every_key_of_a_profile_is_in_the_example_and_no_other() {
    let path = Path::new("/p/provium.toml");
    let error = Config::parse("[profiles.x]\nnone = 1", path).unwrap_err();
    let known = error.to_string();
    let known = known.split("expected one of ").nth(1).unwrap();
    let known = known.lines().next().unwrap();
    let is_key = |line: &&str| line.contains(" = ");
    let example = example();
    let profile = example.split("[profiles.peios]").nth(1).unwrap();
    let shown: Vec<_> = profile
        .lines()
        .filter(is_key)
        .map(|line| line.trim_start_matches("# ").split(" = ").next().unwrap())
        .collect();
    for key in known.split(", ").map(|key| key.trim_matches('`')) {
        // The default guest has its own.
        let is_said = shown.contains(&key) || example.contains(&format!("{key} = \""));
        assert!(is_said, "{key} is not in {example}");
    }
}

#[test]
fn profiles_of_built_in_guests_exist_without_a_configuration() {
    page_says(
        TESTING,
        "Profiles called `default` and `storage` exist without a configuration",
    );
    page_says(
        LUA,
        "Profiles called `default` and `storage` exist without a configuration",
    );
    let config = Config::parse("", Path::new("/p/provium.toml")).unwrap();
    assert!(config.profile(DEFAULT_PROFILE).is_ok());
    assert!(config.profile("storage").is_ok());
    assert!(config.profile("another").is_err());
}

#[test]
fn configuration_is_found_upwards_from_the_working_folder_or_first_path_or_named() {
    page_says(
        TESTING,
        "provium searches the working folder and its parents, then the first PATH and its parents. `--config FILE` names the file instead",
    );
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (place, profile) in [("mine", "near"), ("theirs", "far")] {
        std::fs::create_dir_all(at(place).join("below")).unwrap();
        let toml = format!("[profiles.{profile}]\n");
        std::fs::write(at(place).join("provium.toml"), toml).unwrap();
    }
    std::fs::create_dir(at("bare")).unwrap();
    let file = at("theirs/below/a.test.lua");
    let lua = "test('x', function(t) provium:vm('v', 'none') end)";
    std::fs::write(&file, lua).unwrap();
    let known = |from: &str, more: &[&str], profile: &str| {
        let mut test = Command::new(PROVIUM);
        test.arg("test").arg(&file).args(more).current_dir(at(from));
        assert_report(
            &run(&mut test),
            1,
            &[&format!("(known: {profile}, default, storage)")],
        );
    };
    known("mine/below", &[], "near");
    known("bare", &[], "far");
    let config = at("mine/provium.toml").display().to_string();
    known("bare", &["--config", &config], "near");
}

#[test]
fn private_folders_have_mode_0700() {
    page_says(
        SECURITY,
        "The run-time folder and that of the saved guests are made with mode 0700",
    );
    page_says(SECURITY, "| run-time files | `$XDG_RUNTIME_DIR/provium/`");
    page_says(SECURITY, "`~/.cache/provium/`");
    let folder = TempDir::new().unwrap();
    let lua = "test('x', function(t) provium:vm('v', 'default'):attach_disk() end)";
    std::fs::write(folder.path().join("a.test.lua"), lua).unwrap();
    let provium = |args: &[&str]| {
        let mut command = Command::new(PROVIUM);
        command.args(args).current_dir(folder.path());
        command.env("XDG_RUNTIME_DIR", folder.path());
        command
            .env_remove("XDG_CACHE_HOME")
            .env("HOME", folder.path());
        run(&mut command)
    };
    assert_report(&provium(&["test", "a.test.lua"]), 0, &["1 passed"]);
    provium(&["guest", "list"]);
    for made in ["provium", ".cache/provium/warm"] {
        let mode = folder
            .path()
            .join(made)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(format!("{mode:o}"), "40700", "{made}");
    }
}

/// src/server/sandbox.rs tests that the sandbox denies the calls in this list.
#[test]
fn system_calls_that_the_security_page_names_are_forbidden() {
    let calls = ["ptrace", "process_vm_writev", "pidfd_getfd", "kill"];
    let named = calls.map(|call| format!("`{call}`")).join(", ");
    page_says(SECURITY, &named);
    let others = [
        "execve",
        "io_uring_setup",
        "fanotify_init",
        "mknodat",
        "linkat",
        "mount",
        "init_module",
    ];
    for call in calls.into_iter().chain(others) {
        page_says("src/server/sandbox.rs", &format!("libc::SYS_{call},"));
    }
}

#[test]
fn rust_version_is_the_same_on_every_page() {
    let version = env!("CARGO_PKG_RUST_VERSION");
    let short = version.strip_suffix(".0").unwrap_or(version);
    page_says("README.md", &format!("with Rust {short} or later"));
    page_says(
        "docs/ci.md",
        &format!("a Rust toolchain of {short} or later"),
    );
    page_says(
        SECURITY,
        &format!("provium builds with Rust {short} or later"),
    );
}

#[test]
fn partition_of_few_tests_may_be_empty_by_hash_and_is_even_by_slice() {
    page_says(
        "docs/ci.md",
        "a part without a test ends with exit code 4. With few tests, use `slice`, which deals them out evenly",
    );
    let suite = Suite::new(&[("a", "for n = 1, 4 do test('t' .. n, print) end")]);
    let part = |kind: &str, at: usize, of: usize| {
        let part = format!("{kind}:{at}/{of}");
        suite.test(&["--partition", &part])
    };
    for at in 1..=2 {
        assert_report(&part("slice", at, 2), 0, &["2 passed"]);
    }
    let codes: Vec<_> = (1..=8)
        .map(|at| part("hash", at, 8).status.code().unwrap())
        .collect();
    assert!(codes.iter().all(|code| [0, 4].contains(code)), "{codes:?}");
    assert!(
        codes.iter().filter(|code| **code == 4).count() >= 4,
        "{codes:?}"
    );
}

#[test]
fn file_timeout_bounds_the_sum_of_its_tests() {
    page_says("docs/ci.md", "`--file-timeout 600` also bounds the sum");
    let lua = "for n = 1, 9 do test('t' .. n, function(t) os.execute('sleep 0.2') end) end";
    let suite = Suite::new(&[("a", lua)]);
    let output = suite.test(&["--file-timeout", "0.5"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(Suite::lines(&output, "PASS").len() < 9);
}

/// The files that build servers read.
#[test]
fn reports_that_the_ci_page_names_are_written() {
    page_says("docs/ci.md", "0 is good, 1 is a failed test");
    page_says(
        "docs/ci.md",
        "`--tap=FILE`; for your own tools `--json=FILE`",
    );
    let suite = Suite::new(&[("good", "test('x', print)"), ("bad", "test('x', error)")]);
    let args = ["--junit", "r.xml", "--tap=r.tap", "--json=r.json"];
    for (file, code) in [("good.test.lua", 0), ("bad.test.lua", 1)] {
        let output = suite.test(&[&[file][..], &args[..]].concat());
        assert_eq!(output.status.code(), Some(code));
    }
    for (report, begins) in [
        ("r.xml", "<?xml"),
        ("r.tap", "TAP version"),
        ("r.json", "{"),
    ] {
        assert!(suite.read(report).starts_with(begins), "{report}");
    }
}

/// Files of the project that the pages name without a link.
#[test]
fn helpers_that_a_page_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<PathBuf> = root
        .join("docs")
        .read_dir()
        .unwrap()
        .map(|page| page.unwrap().path())
        .collect();
    pages.push(root.join("README.md"));
    let mut seen = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for rest in text.split("mnt-helpers/").skip(1) {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || "-@./".contains(c)));
            let name = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
            let there = root.join("mnt-helpers").join(name).exists();
            assert!(there, "mnt-helpers/{name} in {}", page.display());
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}
