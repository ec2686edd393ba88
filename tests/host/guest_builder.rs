//! `provium guest build` where there is no apt: from the files of a host, which are those of the default guest here.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::docs::page_says;
use crate::harness::*;
use crate::lua_suite::{Suite, assert_report};
use crate::run_folder::has_guest;

/// A host without apt: a PATH of its own, a kernel, its modules, a busybox and the guest agent.
struct Host(TempDir);

impl Host {
    /// None, with a message, if the default guest is not built: the files are its files.
    fn new() -> Option<Self> {
        if !has_guest() {
            return None;
        }
        let host = Self(TempDir::new().unwrap());
        for folder in ["bin", "cache", "guest"] {
            std::fs::create_dir(host.path(folder)).unwrap();
        }
        unpack(&host.built_guest().join("initrd"), &host.path("guest"));
        host.link_tools();
        Some(host)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The default guest of this machine.
    fn built_guest(&self) -> PathBuf {
        provium::vm::Guest::default_folder().unwrap()
    }

    fn kernel(&self) -> PathBuf {
        self.built_guest().join("vmlinuz")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path("guest").join(name)
    }

    /// All programs of this machine are in PATH, but for those that make up a host in question.
    fn link_tools(&self) {
        for folder in ["/usr/bin", "/bin"] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                let is_other =
                    name.starts_with("apt") || name.starts_with("busybox") || name == "qemu-ga";
                if !is_other {
                    let _ = symlink(entry.path(), self.path("bin").join(name));
                }
            }
        }
    }

    fn add_agent(&self) {
        symlink(self.file("usr/bin/qemu-ga"), self.path("bin/qemu-ga")).unwrap();
    }

    fn build(&self, args: &[&Path]) -> Output {
        run(Command::new(PROVIUM)
            .args(["guest", "build"])
            .args(args)
            .current_dir(self.0.path())
            .env("PATH", self.path("bin"))
            .env("XDG_CACHE_HOME", self.path("cache")))
    }

    /// The names that `guest list` shows.
    fn built_guests(&self) -> Vec<String> {
        let output = run(Command::new(PROVIUM)
            .args(["guest", "list", "--json"])
            .env("XDG_CACHE_HOME", self.path("cache")));
        assert_ok(&output);
        let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let guests = list["guests"].as_array().unwrap().iter();
        guests
            .map(|guest| guest["name"].as_str().unwrap().to_owned())
            .collect()
    }

    fn guest(&self) -> PathBuf {
        self.path("cache/provium/guest/default")
    }
}

/// Unpacks the files, links and folders of an archive in the format newc.
fn unpack(archive: &Path, folder: &Path) {
    let bytes = std::fs::read(archive).unwrap();
    let mut at = 0;
    loop {
        let field = |number: usize| {
            let from = at + 6 + number * 8;
            let text = std::str::from_utf8(&bytes[from..from + 8]).unwrap();
            usize::from_str_radix(text, 16).unwrap()
        };
        let (mode, size, length) = (field(1), field(6), field(11));
        let name = std::str::from_utf8(&bytes[at + 110..at + 110 + length - 1]).unwrap();
        if name == "TRAILER!!!" {
            return;
        }
        let from = (at + 110 + length).next_multiple_of(4);
        let content = &bytes[from..from + size];
        let path = folder.join(name);
        match mode & 0o170000 {
            0o040000 => std::fs::create_dir_all(&path).unwrap(),
            0o120000 => symlink(std::str::from_utf8(content).unwrap(), &path).unwrap(),
            _ => {
                std::fs::write(&path, content).unwrap();
                let mode = u32::try_from(mode & 0o777).unwrap();
                std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            }
        }
        at = (from + size).next_multiple_of(4);
    }
}

#[test]
fn guest_builder_without_apt_lists_all_that_the_host_lacks() {
    let Some(host) = Host::new() else { return };
    let text = host.path("no-kernel");
    std::fs::write(&text, "no kernel").unwrap();
    let output = host.build(&["--kernel".as_ref(), &text]);
    assert_fails(
        &output,
        1,
        &[
            "the guest is made of this host's own files. What is missing:",
            "no-kernel is no bzImage; name another one with --kernel FILE",
            "- a static busybox: there is none in PATH; name one with --busybox FILE",
            "- qemu-ga: it is not in PATH",
            "the guest was not built",
        ],
    );
    assert!(!host.guest().exists());
}

#[test]
fn guest_builder_refuses_what_a_guest_cannot_use() {
    let Some(host) = Host::new() else { return };
    host.add_agent();
    let option = |name: &'static str| Path::new(name);
    let kernel = host.kernel();
    let empty = host.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let dynamic = host.file("usr/bin/dash");
    let output = host.build(&[
        option("--kernel"),
        &kernel,
        option("--modules"),
        &empty,
        option("--busybox"),
        &dynamic,
    ]);
    assert_fails(
        &output,
        1,
        &[
            "empty has no modules.dep; name their folder with --modules DIR, or `--modules none`",
            "- a static busybox: ",
            "usr/bin/dash is not; name one with --busybox FILE",
        ],
    );
    assert!(!stderr(&output).contains("qemu-ga"), "{}", stderr(&output));
}

/// The test that runs in the guest.
const TEST: &str = r#"
    test("a guest of the host's files meets a fault", function(t)
      local vm = provium:vm("v", "default"):boot({ disks = { { id = "data", scratch = "16M" } } })
      local data = "/dev/disk/by-id/virtio-data"
      vm:run("mkfs.ext4 -q " .. data):assert_ok()
      vm:disk("data"):fault_inject("eio_read")
      local dd = vm:run("dd if=" .. data .. " of=/dev/null bs=512 count=1 iflag=direct")
      t:assert_contains(dd.stderr, "Input/output error")
    end)"#;

#[test]
fn guest_builder_without_apt_makes_a_guest_of_named_files() {
    page_says(
        "docs/testing.md",
        "provium guest build --kernel FILE --modules DIR --busybox FILE",
    );
    let Some(host) = Host::new() else { return };
    if !has("qemu-system-x86_64") {
        return;
    }
    host.add_agent();
    let busybox = host.file("usr/bin/busybox");
    let modules = host.file("usr/lib/modules");
    let kernel = host.kernel();
    let files: [&Path; 6] = [
        "--kernel".as_ref(),
        &kernel,
        "--modules".as_ref(),
        &modules,
        "--busybox".as_ref(),
        &busybox,
    ];
    // The default guest keeps its modules in one folder.
    let output = host.build(&files);
    assert_ok(&output);
    let made = std::fs::read_link(host.guest()).unwrap();

    let manifest = std::fs::read_to_string(host.guest().join("manifest")).unwrap();
    for line in [format!("from {}", kernel.display()), "kernel ".to_owned()] {
        assert!(manifest.contains(&line), "{manifest}");
    }
    assert_ok(&host.build(&files));
    assert_eq!(std::fs::read_link(host.guest()).unwrap(), made);

    let mut storage = vec![Path::new("storage")];
    storage.extend(files);
    assert_ok(&host.build(&storage));
    assert_eq!(host.built_guests(), ["default", "storage"]);
    assert_eq!(std::fs::read_link(host.guest()).unwrap(), made);

    let suite = Suite::new(&[("own", TEST)]);
    let mut command = suite.command(&[]);
    command.env("XDG_CACHE_HOME", host.path("cache"));
    assert_report(&run(command.env("PROVIUM_COLD", "1")), 0, &["1 passed"]);
}

/// Each in its own way needs a guest that is not built.
const NEEDS_STORAGE: [(&str, &str); 3] = [
    (
        "in-a-test",
        r#"test("a", function(t) provium:vm("v", "storage"):boot() end)
           test("b", function(t) t:assert(true) end)"#,
    ),
    (
        "in-the-file",
        r#"test("a", function(t) t:assert(true) end)
           provium:vm("v", "storage"):boot()"#,
    ),
    (
        "before-tests",
        r#"provium:vm("v", "storage"):boot()
           test("a", function(t) t:assert(true) end)"#,
    ),
];

#[test]
fn test_without_its_optional_guest_is_skipped_and_fails_in_ci() {
    if !has("qemu-system-x86_64") {
        return;
    }
    let suite = Suite::new(&NEEDS_STORAGE);
    let cache = TempDir::new().unwrap();
    let mut command = suite.command(&[]);
    command.env("XDG_CACHE_HOME", cache.path()).env_remove("CI");
    let reason = "the storage guest is not built: run `provium guest build storage`";
    let output = run(&mut command);
    assert_report(&output, 0, &["1 passed, 0 failed, 3 skipped", reason]);

    let output = run(command.env("CI", "true"));
    assert_report(&output, 1, &["FAIL", reason]);
    assert!(!stdout(&output).contains("SKIP"), "{}", stdout(&output));
}

#[test]
fn test_that_fails_after_a_caught_lack_of_a_guest_fails() {
    if !has("qemu-system-x86_64") {
        return;
    }
    let text = r#"
        test("a", function(t) pcall(function() provium:vm("v", "storage"):boot() end) end)
        test("b", function(t) error("of its own") end)"#;
    let suite = Suite::new(&[("caught", text)]);
    let cache = TempDir::new().unwrap();
    let mut command = suite.command(&[]);
    command.env("XDG_CACHE_HOME", cache.path()).env_remove("CI");
    assert_report(
        &run(&mut command),
        1,
        &["1 passed, 1 failed, 0 skipped", "of its own"],
    );
}
