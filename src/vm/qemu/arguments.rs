//! QEMU's arguments: pure functions from the description of a machine to words.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;

use super::drive::Drive;
use super::ports::{PORTS, root_port};
use crate::config::Accel;
use crate::vm::Guest;

/// The port on which the guest's agent listens, by QEMU's convention.
const AGENT_PORT: &str = "org.qemu.guest_agent.0";

/// All that makes up a machine.
#[derive(Debug)]
pub(in crate::vm) struct MachineSpec<'a> {
    pub(in crate::vm) guest: &'a Guest,
    /// With a unit, as QEMU takes it.
    pub(in crate::vm) memory: &'a str,
    pub(in crate::vm) cpus: u32,
    /// KVM or TCG; `Auto` is decided by now.
    pub(in crate::vm) accel: Accel,
    pub(in crate::vm) drives: &'a [Drive],
    pub(in crate::vm) sockets: Sockets,
    pub(in crate::vm) start: Start<'a>,
}

/// How a machine comes to life.
#[derive(Clone, Copy, Debug)]
pub(in crate::vm) enum Start<'a> {
    /// Its firmware boots the guest.
    Boot,
    /// The same, with the guest's memory in this file, to be saved.
    BootIn(BorrowedFd<'a>),
    /// It waits, stopped, for a saved state. This file begins with the memory. The guest's writes do not reach the
    /// file.
    Resume(BorrowedFd<'a>),
}

impl<'a> Start<'a> {
    /// The file with the memory, which QEMU inherits.
    pub(in crate::vm) fn memory(self) -> Option<BorrowedFd<'a>> {
        match self {
            Self::Boot => None,
            Self::BootIn(file) | Self::Resume(file) => Some(file),
        }
    }
}

/// The numbers of the sockets that QEMU inherits.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::vm) struct Sockets {
    pub(in crate::vm) qmp: i32,
    pub(in crate::vm) agent: i32,
    pub(in crate::vm) console: i32,
}

/// The command line, without the program.
pub(in crate::vm) fn arguments(spec: &MachineSpec<'_>) -> Vec<String> {
    let mut words = machine(spec);
    words.extend(kernel(spec.guest));
    words.extend(isolation());
    words.extend(channels(spec.sockets));
    words.extend(devices());
    words.extend(memory(spec));
    for drive in spec.drives {
        words.extend(option("-blockdev", drive.blockdev().to_string()));
        words.extend(option("-device", drive.device().to_string()));
    }
    words
}

/// The command line without the words that differ from VM to VM, and without the paths of kernel and initrd.
/// Machines with equal ones, and equal files, can go on from each other's states.
pub(in crate::vm) fn identity(spec: &MachineSpec<'_>) -> Vec<String> {
    let guest = Guest {
        kernel: PathBuf::new(),
        initrd: spec.guest.initrd.as_ref().map(|_| PathBuf::new()),
        cmdline: spec.guest.cmdline.clone(),
    };
    arguments(&MachineSpec {
        guest: &guest,
        drives: &[],
        sockets: Sockets::default(),
        start: Start::Boot,
        ..*spec
    })
}

/// Why a guest with this kernel command line has to find its disks when it boots, if it does.
pub(in crate::vm) fn needs_disks(cmdline: &str) -> Option<String> {
    let root = cmdline.split_whitespace().find(|word| {
        let device = word.strip_prefix("root=");
        device.is_some_and(|device| !device.starts_with("/dev/ram"))
    });
    root.map(|word| format!("its kernel is told `{word}`"))
}

/// The board, the processors, the memory.
fn machine(spec: &MachineSpec<'_>) -> Vec<String> {
    let (accel, cpu) = match spec.accel {
        Accel::Kvm => ("kvm", "host"),
        Accel::Tcg | Accel::Auto => ("tcg", "max"),
    };
    [
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-machine",
        // To enable a device, the kernel of a `pc` computes a table of interrupts, anew for each
        // device: under TCG that takes longer than all the rest of a hot-plug. `q35` has it ready.
        &format!("q35,accel={accel},usb=off,vmport=off,sata=off"),
        "-cpu",
        cpu,
        "-m",
        spec.memory,
        "-smp",
        &spec.cpus.to_string(),
    ]
    .map(str::to_owned)
    .into()
}

fn kernel(guest: &Guest) -> Vec<String> {
    let path = |path: &PathBuf| path.to_string_lossy().into_owned();
    let mut words: Vec<_> = option("-kernel", path(&guest.kernel)).into();
    words.extend(option("-append", guest.cmdline.clone()));
    if let Some(initrd) = &guest.initrd {
        words.extend(option("-initrd", path(initrd)));
    }
    words
}

/// The options that isolate the machine from the host and from its disks' content.
fn isolation() -> Vec<String> {
    [
        // The firmware reads only disks that it might boot: none.
        "-boot",
        "strict=on",
        // The guest's processes must not reach the host's.
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        // The processors stand still until QEMU is told that all is ready.
        "-S",
    ]
    .map(str::to_owned)
    .into()
}

/// The channels to us: sockets that QEMU inherits.
fn channels(sockets: Sockets) -> Vec<String> {
    let chardev = |id: &str, socket: i32| format!("socket,id={id},fd={socket}");
    [
        "-chardev",
        // No `logfile`: QEMU logs twice what it cannot write at once.
        &chardev("console", sockets.console),
        "-serial",
        "chardev:console",
        "-chardev",
        &chardev("qmp", sockets.qmp),
        "-mon",
        "chardev=qmp,mode=control",
        "-chardev",
        &chardev("agent", sockets.agent),
    ]
    .map(str::to_owned)
    .into()
}

/// All devices but the drives.
fn devices() -> Vec<String> {
    let own = [
        "virtio-rng-pci",
        // A guest with a driver for it takes a new random seed when it is resumed.
        "vmgenid,guid=auto",
        "virtio-serial-pci",
        // Without an ID there would be no event when the guest opens the port.
        &format!("virtserialport,id=agent-port,chardev=agent,name={AGENT_PORT}"),
    ]
    .map(str::to_owned);
    let all = own.into_iter().chain((0..PORTS).map(root_port));
    all.flat_map(|device| option("-device", device)).collect()
}

/// Where the guest's memory lies, and that a saved state is to come.
fn memory(spec: &MachineSpec<'_>) -> Vec<String> {
    let (file, share) = match spec.start {
        Start::Boot => return Vec::new(),
        Start::BootIn(file) => (file, "on"),
        Start::Resume(file) => (file, "off"),
    };
    let backend = format!(
        "memory-backend-file,id=ram,size={},share={share},mem-path=/proc/self/fd/{}",
        spec.memory,
        file.as_raw_fd()
    );
    let mut words: Vec<_> = option("-object", backend).into();
    words.extend(option("-machine", "memory-backend=ram".to_owned()));
    if matches!(spec.start, Start::Resume(_)) {
        words.extend(option("-incoming", "defer".to_owned()));
    }
    words
}

fn option(name: &str, value: String) -> [String; 2] {
    [name.to_owned(), value]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn guest() -> Guest {
        Guest {
            kernel: "/k".into(),
            initrd: Some("/i".into()),
            cmdline: "console=ttyS0".into(),
        }
    }

    fn drive() -> Drive {
        Drive {
            id: "vda".into(),
            file: "/m/vda".into(),
            read_only: false,
            number: 3,
            sectors: 2048,
            port: Some(2),
        }
    }

    #[test]
    fn command_line_has_each_drive_of_the_machine() {
        let words = arguments(&MachineSpec {
            guest: &guest(),
            memory: "256M",
            cpus: 2,
            accel: Accel::Tcg,
            drives: &[drive()],
            sockets: Sockets {
                qmp: 5,
                agent: 6,
                console: 7,
            },
            start: Start::Boot,
        });
        let line = words.join(" ");
        assert!(line.contains("accel=tcg"));
        assert!(line.contains("-m 256M -smp 2"));
        assert!(line.contains("-initrd /i"));
        assert!(line.contains("socket,id=console,fd=7"));
        assert!(words.contains(&drive().blockdev().to_string()));
        assert!(words.contains(&drive().device().to_string()));
    }

    #[test]
    fn identity_leaves_out_what_differs_from_vm_to_vm() {
        let guest = guest();
        let drives = [drive()];
        let spec = |start, qmp| MachineSpec {
            guest: &guest,
            memory: "256M",
            cpus: 1,
            accel: Accel::Tcg,
            drives: &drives,
            sockets: Sockets {
                qmp,
                ..Sockets::default()
            },
            start,
        };
        let memory = tempfile::tempfile().unwrap();
        let booted = spec(Start::Boot, 3);
        let resumed = spec(Start::Resume(memory.as_fd()), 4);
        assert_eq!(identity(&booted), identity(&resumed));
        let moved = Guest {
            kernel: "/elsewhere".into(),
            ..guest.clone()
        };
        let elsewhere = MachineSpec {
            guest: &moved,
            ..spec(Start::Boot, 3)
        };
        assert_eq!(identity(&elsewhere), identity(&resumed));
        let larger = MachineSpec {
            memory: "1G",
            ..booted
        };
        assert_ne!(identity(&larger), identity(&resumed));
        assert!(arguments(&resumed).contains(&"-incoming".to_owned()));
    }

    #[test]
    fn root_on_a_disk_has_to_be_there_when_the_guest_boots() {
        assert!(needs_disks("console=ttyS0 root=/dev/vda1 ro").is_some());
        assert_eq!(needs_disks("root=/dev/ram0 xroot=/dev/vda"), None);
    }
}
