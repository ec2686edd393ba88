//! `provium doctor`: a report on what this host has and lacks, with the command that mends each lack.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Exit;
use crate::os::folders;
use crate::units::text::shown;
use crate::vm::{Guest, Kvm, PROGRAM, kvm};

/// Check whether this host has everything that is needed
///
/// Prints a command that adds each missing part. Exits with 1 if serving disks or running tests needs
/// a missing part.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// MiB of free memory that two small guests and the host need.
const COMFORTABLE_MIB: u64 = 1024;

/// One line of the report.
struct Finding {
    what: &'static str,
    /// The state that was found, or what is missing.
    found: Result<String, Lack>,
}

/// Something that is missing.
struct Lack {
    text: String,
    mend: &'static str,
    /// Whether serving disks or running tests needs it.
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
            crate::os::sys::uid() != 0,
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
            Ok(text) => println!("ok       {:<14} {}", finding.what, shown(text)),
            Err(lack) => {
                let word = if lack.needed { "missing" } else { "note" };
                println!("{word:<8} {:<14} {}", finding.what, shown(&lack.text));
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
            mend: mend_fuse(&error, is_container(Path::new("/"))),
            text: format!("cannot be opened: {error}"),
            needed: true,
        }),
    };
    finding("/dev/fuse", found)
}

/// The command that gives this user /dev/fuse. A container cannot load a module: it gets devices when it is started.
fn mend_fuse(error: &io::Error, in_container: bool) -> &'static str {
    const START_WITH_IT: &str = "docker run --device /dev/fuse --cap-add SYS_ADMIN ...  (a container gets its devices when it is started)";
    match error.raw_os_error() {
        Some(libc::ENOENT) if in_container => START_WITH_IT,
        // The device is not on the container's list.
        Some(libc::EPERM) if in_container => START_WITH_IT,
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => "sudo modprobe fuse",
        // Distributions give it mode 0666; some containers and small VMs do not.
        Some(libc::EACCES) => "sudo chmod 0666 /dev/fuse",
        _ => "",
    }
}

/// Whether the system whose root is at `root` is a container, by the files that container managers leave.
fn is_container(root: &Path) -> bool {
    let marks = [".dockerenv", "run/.containerenv", "run/systemd/container"];
    // Podman, LXC and nspawn set a variable for the first process.
    let environment = std::fs::read(root.join("proc/1/environ")).unwrap_or_default();
    let mut variables = environment.split(|byte| *byte == 0);
    marks.iter().any(|mark| root.join(mark).exists())
        || variables.any(|variable| variable.starts_with(b"container="))
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
            "/dev/kvm does not exist: guests run under TCG, more slowly",
            match is_container(Path::new("/")) {
                true => "docker run --device /dev/kvm ...  (if the machine has one)",
                false => "",
            },
        ),
        Kvm::Denied => (
            "this user may not open /dev/kvm: guests run under TCG, more slowly",
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
    let found = folders::runtime().map(|path| path.display().to_string());
    let found = found.map_err(|error| Lack {
        text: error.to_string(),
        mend: "",
        needed: true,
    });
    finding("run-time files", found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_is_recognised_by_the_files_of_its_manager() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for folder in ["run/systemd", "proc/1"] {
            std::fs::create_dir_all(path(folder)).unwrap();
        }
        let environ = |text: &str| std::fs::write(path("proc/1/environ"), text).unwrap();
        environ("HOME=/\0TERM=linux\0");
        assert!(!is_container(root.path()));
        for mark in [".dockerenv", "run/.containerenv", "run/systemd/container"] {
            std::fs::write(path(mark), "").unwrap();
            assert!(is_container(root.path()), "{mark}");
            std::fs::remove_file(path(mark)).unwrap();
        }
        environ("HOME=/\0container=lxc\0");
        assert!(is_container(root.path()));
    }

    #[test]
    fn doctor_advises_no_module_in_a_container() {
        let mend = |errno, in_container| {
            mend_fuse(&io::Error::from_raw_os_error(errno), in_container).to_owned()
        };
        assert_eq!(mend(libc::ENOENT, false), "sudo modprobe fuse");
        assert_eq!(mend(libc::ENODEV, false), "sudo modprobe fuse");
        assert_eq!(mend(libc::EACCES, true), "sudo chmod 0666 /dev/fuse");
        for errno in [libc::ENOENT, libc::EPERM] {
            assert!(mend(errno, true).starts_with("docker run --device /dev/fuse"));
        }
    }
}
