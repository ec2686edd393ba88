//! `provium doctor`: a report on what this host has and lacks, with the command that mends each lack.

mod container;
mod packages;

use std::fs::File;
use std::io::{self, IsTerminal};
use std::process::{Command, Stdio};

use serde::Serialize;

use super::{Exit, output};
use crate::config::{DEFAULT_PROFILE, STORAGE_GUEST, build_command};
use crate::os::{colour, folders, log, sys};
use crate::units::text::shown;
use crate::vm::{Guest, Kvm, PROGRAM, kvm};
use container::Container;
use packages::{Manager, Package};

/// Check whether this host has everything that is needed
///
/// Prints a command that adds each missing part. Exits with 1 if serving disks or running tests needs
/// a missing part. In a container it says what to start the container with.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium doctor
  provium doctor --json | jq -r '.findings[] | select(.state == \"missing\") | .mend'")]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// MiB of free memory that two small guests and the host need.
const COMFORTABLE_MIB: u64 = 1024;

/// The report in JSON.
#[derive(Serialize)]
struct Report<'a> {
    version: &'static str,
    /// Nothing that is needed is missing.
    ok: bool,
    /// What kind of container this is; null on a machine of its own.
    container: Option<String>,
    findings: &'a [Finding],
}

/// One line of the report.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    state: State,
    /// The state that was found, or what is missing.
    text: String,
    /// The command that mends it, where there is one.
    mend: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// Something that serving disks and running tests do not need.
    Note,
    Missing,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Missing => "missing",
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let container = Container::find();
    let mut findings = vec![machine(container), fuse_device(container)];
    findings.extend(right_to_mount(container));
    let install = |package| Manager::find().install(package);
    let (fuse, qemu) = (install(Package::Fuse), install(Package::Qemu));
    findings.extend([
        program("fusermount3", "-V", &fuse, sys::uid() != 0),
        program(PROGRAM, "--version", &qemu, true),
        program("qemu-img", "--version", &qemu, false),
        kvm_state(container),
        guest(DEFAULT_PROFILE, "default guest", true, "not built"),
        guest(
            STORAGE_GUEST,
            "storage guest",
            false, // Few tests need it.
            "not built: tests that boot it are skipped",
        ),
        memory(),
        runtime_folder(),
    ]);
    findings.extend(panics());
    let ok = findings.iter().all(|it| it.state != State::Missing);
    match args.json {
        true => {
            let report = Report {
                version: env!("CARGO_PKG_VERSION"),
                ok,
                container: container.map(Container::name),
                findings: &findings,
            };
            println!("{}", serde_json::to_string_pretty(&report)?);
        }
        false => {
            let said = |it: &&Finding| it.state == State::Missing || !output::is_quiet();
            findings.iter().filter(said).for_each(print);
        }
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

fn print(finding: &Finding) {
    let (word, what) = (finding.state.word(), finding.what);
    let word = format!("{word:<8}");
    let word = match (colour::is_wanted(io::stdout().is_terminal()), finding.state) {
        (false, _) => word,
        (true, State::Ok) => format!("\x1b[32m{word}\x1b[0m"),
        (true, State::Note) => format!("\x1b[33m{word}\x1b[0m"),
        (true, State::Missing) => format!("\x1b[31m{word}\x1b[0m"),
    };
    println!("{word} {what:<14} {}", shown(&finding.text));
    if let Some(mend) = &finding.mend {
        println!("{:24}mend it with: {mend}", "");
    }
}

fn ok(what: &'static str, text: impl Into<String>) -> Finding {
    Finding {
        what,
        state: State::Ok,
        text: text.into(),
        mend: None,
    }
}

/// Something that is missing; `mend` is empty where no command helps.
fn lack(what: &'static str, needed: bool, text: impl Into<String>, mend: &str) -> Finding {
    Finding {
        what,
        state: match needed {
            true => State::Missing,
            false => State::Note,
        },
        text: text.into(),
        mend: (!mend.is_empty()).then(|| mend.to_owned()),
    }
}

fn machine(container: Option<Container>) -> Finding {
    let text = container.map_or("no container".to_owned(), Container::name);
    ok("machine", text)
}

fn fuse_device(container: Option<Container>) -> Finding {
    const WHAT: &str = "/dev/fuse";
    match File::options().read(true).write(true).open(WHAT) {
        Ok(_) => ok(WHAT, "opens for this user"),
        Err(error) => {
            let mend = mend_fuse(&error, container);
            lack(WHAT, true, format!("cannot be opened: {error}"), &mend)
        }
    }
}

/// The command that gives this user /dev/fuse. A container cannot load a module: it gets devices when it is started.
fn mend_fuse(error: &io::Error, container: Option<Container>) -> String {
    match (error.raw_os_error(), container) {
        // With EPERM the device is not on the container's list.
        (Some(libc::ENOENT | libc::EPERM), Some(container)) => container.start_with("/dev/fuse"),
        (Some(libc::ENOENT | libc::ENODEV | libc::ENXIO), _) => "sudo modprobe fuse".into(),
        // Distributions give it mode 0666; some containers and small VMs do not.
        (Some(libc::EACCES), _) => "sudo chmod 0666 /dev/fuse".into(),
        _ => String::new(),
    }
}

/// Root mounts without fusermount3, and many containers leave root no right to.
fn right_to_mount(container: Option<Container>) -> Option<Finding> {
    const WHAT: &str = "right to mount";
    if sys::uid() != 0 {
        return None;
    }
    Some(match sys::may_mount() {
        true => ok(WHAT, "root has CAP_SYS_ADMIN"),
        false => {
            let mend = container.map(|container| container.start_with("/dev/fuse"));
            let text = "root lacks CAP_SYS_ADMIN";
            lack(WHAT, true, text, &mend.unwrap_or_default())
        }
    })
}

fn program(what: &'static str, version: &str, mend: &str, needed: bool) -> Finding {
    let mut command = Command::new(what);
    command
        .arg(version)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    match command.output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            ok(what, text.lines().next().unwrap_or("is there"))
        }
        Err(error) => lack(what, needed, format!("cannot be started: {error}"), mend),
    }
}

fn kvm_state(container: Option<Container>) -> Finding {
    let (text, mend) = match kvm() {
        Kvm::Works => return ok("KVM", "works"),
        Kvm::Missing => (
            "/dev/kvm does not exist: guests run under TCG, more slowly",
            container.map_or(String::new(), |container| {
                container.start_with("/dev/kvm") + "  (if the machine has one)"
            }),
        ),
        Kvm::Denied => (
            "this user may not open /dev/kvm: guests run under TCG, more slowly",
            "sudo usermod -aG kvm \"$USER\"  (then log in again)".into(),
        ),
        Kvm::NoProcessor => (
            "/dev/kvm opens, but the processor shows neither vmx nor svm: guests run under TCG, more slowly",
            String::new(),
        ),
    };
    lack("KVM", false, text, &mend)
}

/// Whether a guest is built.
fn guest(name: &str, what: &'static str, is_needed: bool, missing: &str) -> Finding {
    match Guest::folder(name) {
        Ok(folder) if folder.join("initrd").is_file() => {
            ok(what, format!("built, in {}", folder.display()))
        }
        _ => lack(what, is_needed, missing, &build_command(name)),
    }
}

fn memory() -> Finding {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = available.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    let mib = kib.unwrap_or(0) / 1024;
    let text = format!("{mib} MiB available");
    match mib {
        COMFORTABLE_MIB.. => ok("memory", text),
        _ => lack(
            "memory",
            false,
            text + ": run fewer files at a time",
            "provium test -j 1",
        ),
    }
}

fn runtime_folder() -> Finding {
    match folders::runtime() {
        Ok(path) => ok("run-time files", path.display().to_string()),
        Err(error) => lack("run-time files", true, error.to_string(), ""),
    }
}

/// Panics of servers that had no log.
fn panics() -> Option<Finding> {
    let path = log::panic_file().ok().filter(|path| path.exists())?;
    let path = path.display();
    let text = format!("a server ended by a bug: see {path}, and please report it");
    Some(lack("panics", false, text, &format!("rm {path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doctor_advises_no_module_in_a_container() {
        let in_docker = Some(Container {
            kind: container::Kind::Docker,
            is_rootless: false,
            is_github: false,
        });
        let mend = |errno, container| mend_fuse(&io::Error::from_raw_os_error(errno), container);
        assert_eq!(mend(libc::ENOENT, None), "sudo modprobe fuse");
        assert_eq!(mend(libc::ENODEV, None), "sudo modprobe fuse");
        assert_eq!(mend(libc::EACCES, in_docker), "sudo chmod 0666 /dev/fuse");
        for errno in [libc::ENOENT, libc::EPERM] {
            let advice = mend(errno, in_docker);
            assert!(
                advice.starts_with("docker run --device /dev/fuse"),
                "{advice}"
            );
        }
    }
}
