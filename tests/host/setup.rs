//! `mnt-helpers/setup` on other distributions: with package managers that only note what they are asked for.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::*;

/// A machine without the tools that setup installs.
struct Machine(TempDir);

impl Machine {
    fn new(os_release: &str, manager: Option<&str>) -> Self {
        let machine = Self(TempDir::new().unwrap());
        std::fs::create_dir(machine.path("bin")).unwrap();
        std::fs::write(machine.path("os-release"), os_release).unwrap();
        // What the script itself runs.
        for tool in [
            "bash", "sh", "sed", "awk", "readlink", "dirname", "id", "ls", "stat", "find", "grep",
            "timeout", "env",
        ] {
            let found = run(Command::new("sh").args(["-c", &format!("command -v {tool}")]));
            let path = stdout(&found);
            assert!(path.starts_with('/'), "{tool}: {path}");
            symlink(path.trim(), machine.path("bin").join(tool)).unwrap();
        }
        machine.program("cargo", "exit 0");
        machine.program("sudo", "exec \"$@\"");
        if let Some(manager) = manager {
            let log = machine.path("log");
            machine.program(
                manager,
                &format!("echo {manager} \"$@\" >> '{}'", log.display()),
            );
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        write_program(&path, &format!("#!/bin/sh\n{script}\n"));
    }

    fn setup(&self) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("mnt-helpers/setup");
        run(Command::new(script)
            .arg("--no-build")
            .env("PATH", self.path("bin"))
            .env("PROVIUM_OS_RELEASE", self.path("os-release")))
    }

    /// What the package manager was asked for.
    fn asked(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

fn has_fuse() -> bool {
    Path::new("/dev/fuse").exists()
}

#[test]
fn setup_on_fedora_installs_by_dnf() {
    if !has_fuse() {
        return;
    }
    for os_release in [
        "ID=fedora\n",
        "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
    ] {
        let machine = Machine::new(os_release, Some("dnf"));
        let output = machine.setup();
        assert_ok(&output);
        let asked = machine.asked();
        assert!(asked.starts_with("dnf install -y"), "{asked}");
        for package in [
            "gcc",
            "glibc-devel",
            "qemu-system-x86-core",
            "qemu-img",
            "busybox",
            "qemu-guest-agent",
        ] {
            assert!(asked.contains(&format!(" {package}")), "{package}: {asked}");
        }
        assert!(!asked.contains("libc6-dev"), "{asked}");
    }
}

#[test]
fn setup_on_arch_installs_by_pacman() {
    if !has_fuse() {
        return;
    }
    let machine = Machine::new("ID=arch\n", Some("pacman"));
    assert_ok(&machine.setup());
    let asked = machine.asked();
    assert!(asked.starts_with("pacman -Sy --needed"), "{asked}");
    for package in ["gcc", "glibc", "qemu-system-x86", "qemu-img", "busybox"] {
        assert!(asked.contains(&format!(" {package}")), "{package}: {asked}");
    }
}

#[test]
fn setup_on_debian_installs_a_browser_where_there_is_none() {
    let machine = Machine::new("ID=debian\n", Some("apt-get"));
    let asked_for = |browser: Option<&str>| {
        if let Some(browser) = browser {
            machine.program(browser, "exit 0");
        }
        let mut bash = Command::new("bash");
        bash.args(["-euc", ". mnt-helpers/install.sh; need_chromium"]);
        bash.current_dir(env!("CARGO_MANIFEST_DIR"));
        bash.env("PROVIUM_OS_RELEASE", machine.path("os-release"));
        assert_ok(&run(bash.env("PATH", machine.path("bin"))));
        machine.asked()
    };
    let asked = asked_for(None);
    assert!(asked.ends_with(" chromium\n"), "{asked}");
    assert_eq!(asked_for(Some("google-chrome")), asked, "no more");
}

#[test]
fn setup_without_a_known_package_manager_lists_what_is_missing() {
    for os_release in ["ID=void\n", "ID=fedora\n"] {
        let machine = Machine::new(os_release, None);
        let output = machine.setup();
        assert_fails(
            &output,
            1,
            &[
                "this system has none of apt-get, dnf and pacman: install by hand what is missing:",
                "cc, ",
                "qemu-system-x86_64",
                "qemu-ga",
            ],
        );
    }
}
