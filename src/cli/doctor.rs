//! `provium doctor`: what this host has, what it lacks, and the command that mends it.

use std::fs::File;
use std::io;
use std::process::{Command, Stdio};

use super::Exit;
use crate::dirs;
use crate::vm::{Guest, Kvm, PROGRAM, kvm};

/// Check what this host has and lacks
///
/// Prints for each lack the command that mends it. Exits with 1 if something is missing that
/// serving disks or running tests needs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Free memory that two small guests and the host want.
const COMFORTABLE_MIB: u64 = 1024;

/// One line of the report.
struct Finding {
    what: &'static str,
    /// What was found, or what is wrong.
    found: Result<String, Lack>,
}

/// What is missing.
struct Lack {
    text: String,
    mend: &'static str,
    /// Without it something does not work at all.
    needed: bool,
}

const INSTALL_QEMU: &str =
    "sudo apt-get install -y --no-install-recommends qemu-system-x86 qemu-utils";

pub(super) fn run(_args: &Args) -> anyhow::Result<Exit> {
    let findings = [
        fuse_device(),
        program(
            "fusermount3",
            "-V",
            "sudo apt-get install -y fuse3",
            crate::sys::uid() != 0,
        ),
        program(PROGRAM, "--version", INSTALL_QEMU, true),
        program("qemu-img", "--version", INSTALL_QEMU, false),
        kvm_state(),
        guest(),
        memory(),
        runtime_folder(),
    ];
    for finding in &findings {
        match &finding.found {
            Ok(text) => println!("ok       {:<14} {text}", finding.what),
            Err(lack) => {
                let word = if lack.needed { "missing" } else { "note" };
                println!("{word:<8} {:<14} {}", finding.what, lack.text);
                if !lack.mend.is_empty() {
                    println!("{:24}mend it with: {}", "", lack.mend);
                }
            }
        }
    }
    let missing = |finding: &Finding| finding.found.as_ref().is_err_and(|lack| lack.needed);
    Ok(if findings.iter().any(missing) {
        Exit::Failed
    } else {
        Exit::Done
    })
}

fn finding(what: &'static str, found: Result<String, Lack>) -> Finding {
    Finding { what, found }
}

fn fuse_device() -> Finding {
    let opened = File::options().read(true).write(true).open("/dev/fuse");
    let found = match opened {
        Ok(_) => Ok("opens for this user".to_owned()),
        Err(error) => Err(Lack {
            mend: match error.kind() {
                io::ErrorKind::NotFound => "sudo modprobe fuse",
                // Distributions give it mode 0666; some containers and small VMs do not.
                io::ErrorKind::PermissionDenied => "sudo chmod 0666 /dev/fuse",
                _ => "",
            },
            text: format!("cannot be opened: {error}"),
            needed: true,
        }),
    };
    finding("/dev/fuse", found)
}

fn program(what: &'static str, version: &str, mend: &'static str, needed: bool) -> Finding {
    let mut command = Command::new(what);
    command
        .arg(version)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let found = match command.output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok(text.lines().next().unwrap_or("is there").to_owned())
        }
        Err(error) => Err(Lack {
            text: format!("cannot be started: {error}"),
            mend,
            needed,
        }),
    };
    finding(what, found)
}

fn kvm_state() -> Finding {
    let (text, mend) = match kvm() {
        Kvm::Works => return finding("KVM", Ok("works".to_owned())),
        Kvm::Missing => (
            "there is no /dev/kvm: guests run under TCG, more slowly",
            "",
        ),
        Kvm::Denied => (
            "/dev/kvm is not ours to open: guests run under TCG, more slowly",
            "sudo usermod -aG kvm \"$USER\"  (then log in again)",
        ),
        Kvm::NoProcessor => (
            "/dev/kvm opens, but the processor shows neither vmx nor svm: guests run under TCG, more slowly",
            "",
        ),
    };
    let text = text.to_owned();
    let needed = false;
    finding("KVM", Err(Lack { text, mend, needed }))
}

fn guest() -> Finding {
    let built = |folder: &std::path::PathBuf| folder.join("initrd").is_file();
    let found = match Guest::default_folder() {
        Ok(folder) if built(&folder) => Ok(format!("built, in {}", folder.display())),
        _ => Err(Lack {
            text: "not built".to_owned(),
            mend: "provium guest build",
            needed: true,
        }),
    };
    finding("default guest", found)
}

fn memory() -> Finding {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = available.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    let mib = kib.unwrap_or(0) / 1024;
    let found = match mib {
        COMFORTABLE_MIB.. => Ok(format!("{mib} MiB available")),
        _ => Err(Lack {
            text: format!("{mib} MiB available: run fewer files at a time"),
            mend: "provium test -j 1",
            needed: false,
        }),
    };
    finding("memory", found)
}

fn runtime_folder() -> Finding {
    let found = dirs::runtime().map(|path| path.display().to_string());
    let found = found.map_err(|error| Lack {
        text: error.to_string(),
        mend: "",
        needed: true,
    });
    finding("run-time files", found)
}
