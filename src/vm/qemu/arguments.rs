//! QEMU's arguments: pure functions from what a machine is to words and JSON.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::config::Accel;
use crate::vm::Guest;

/// The port on which the guest's agent listens, by QEMU's convention.
const AGENT_PORT: &str = "org.qemu.guest_agent.0";
/// Bytes of a serial number that virtio-blk passes on (`VIRTIO_BLK_ID_BYTES`).
const SERIAL_BYTES: usize = 20;

/// A geometry, as QEMU chooses it (`guess_chs_for_size`).
const HEADS: u64 = 16;
const SECTORS: u64 = 63;
const FEWEST_CYLINDERS: u64 = 2;
const MOST_CYLINDERS: u64 = 16383;

/// Slots that disks can be plugged into while the guest runs: root ports of the PCIe bus. Each makes
/// the guest boot a little longer.
pub(in crate::vm) const PORTS: u32 = 24;
/// How many disks a machine has room for when it boots: beside those in the ports, one in each of the
/// 32 slots of the bus that neither the chipset (two), the ports (eight to a slot) nor our two other
/// devices take.
pub(in crate::vm) const MOST_DISKS: usize = (PORTS + 32 - 2 - PORTS / 8 - 2) as usize;

/// All that makes up a machine.
#[derive(Debug)]
pub(in crate::vm) struct MachineSpec<'a> {
    pub(in crate::vm) guest: &'a Guest,
    pub(in crate::vm) memory: &'a str,
    pub(in crate::vm) cpus: u32,
    /// KVM or TCG; `Auto` is decided by now.
    pub(in crate::vm) accel: Accel,
    pub(in crate::vm) disks: Vec<DriveSpec<'a>>,
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
    /// It waits, stopped, for a saved state. The memory is what this file begins with, and what the
    /// guest writes stays its own.
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

/// A disk, as QEMU sees it.
#[derive(Clone, Copy, Debug)]
pub(in crate::vm) struct DriveSpec<'a> {
    pub(in crate::vm) id: &'a str,
    /// The file in the mount.
    pub(in crate::vm) file: &'a Path,
    pub(in crate::vm) read_only: bool,
    /// Tells this drive's block node from all others of the machine.
    pub(in crate::vm) number: u32,
    /// Its size.
    pub(in crate::vm) sectors: u64,
    /// Its slot, from 0; what has none is part of the machine from its start to its end.
    pub(in crate::vm) port: Option<u32>,
}

/// The command line, without the program.
pub(in crate::vm) fn arguments(spec: &MachineSpec<'_>) -> Vec<String> {
    let accel = match spec.accel {
        Accel::Kvm => "kvm",
        Accel::Tcg | Accel::Auto => "tcg",
    };
    let cpu = if accel == "kvm" { "host" } else { "max" };
    let mut words: Vec<String> = [
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
        "-kernel",
        &spec.guest.kernel.to_string_lossy(),
        "-append",
        &spec.guest.cmdline,
        // The firmware reads only disks that it might boot: none.
        "-boot",
        "strict=on",
        // The guest's processes must not reach the host's.
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-chardev",
        // No `logfile`: what QEMU cannot write at once it logs again.
        &chardev("console", spec.sockets.console),
        "-serial",
        "chardev:console",
        "-chardev",
        &chardev("qmp", spec.sockets.qmp),
        "-mon",
        "chardev=qmp,mode=control",
        "-device",
        "virtio-rng-pci",
        // A guest with a driver for it takes a new random seed when it is resumed.
        "-device",
        "vmgenid,guid=auto",
        "-device",
        "virtio-serial-pci",
        // Until QEMU is told that all is ready.
        "-S",
        "-chardev",
        &chardev("agent", spec.sockets.agent),
        // Without an ID there would be no event when the guest opens the port.
        "-device",
        &format!("virtserialport,id=agent-port,chardev=agent,name={AGENT_PORT}"),
    ]
    .map(str::to_owned)
    .into();
    for port in 0..PORTS {
        words.extend(["-device".into(), root_port(port)]);
    }
    if let Some(initrd) = &spec.guest.initrd {
        words.extend(["-initrd".into(), initrd.to_string_lossy().into_owned()]);
    }
    if let Some(file) = spec.start.memory() {
        let share = match spec.start {
            Start::Resume(_) => "off",
            _ => "on",
        };
        let memory = format!(
            "memory-backend-file,id=ram,size={},share={share},mem-path=/proc/self/fd/{}",
            spec.memory,
            file.as_raw_fd()
        );
        words.extend(["-object".into(), memory]);
        words.extend(["-machine", "memory-backend=ram"].map(str::to_owned));
    }
    if matches!(spec.start, Start::Resume(_)) {
        words.extend(["-incoming", "defer"].map(str::to_owned));
    }
    for drive in &spec.disks {
        words.extend(["-blockdev".into(), blockdev(drive).to_string()]);
        words.extend(["-device".into(), device(drive).to_string()]);
    }
    words
}

/// The command line without what differs from VM to VM, and without where kernel and initrd lie:
/// machines with equal ones, and equal files, can go on from each other's states.
pub(in crate::vm) fn identity(spec: &MachineSpec<'_>) -> Vec<String> {
    let guest = Guest {
        kernel: PathBuf::new(),
        initrd: spec.guest.initrd.as_ref().map(|_| PathBuf::new()),
        cmdline: spec.guest.cmdline.clone(),
    };
    arguments(&MachineSpec {
        guest: &guest,
        disks: Vec::new(),
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

/// A root port: eight share a device of the PCIe bus.
fn root_port(port: u32) -> String {
    let (device, function) = (0x10 + port / 8, port % 8);
    let shared = if function == 0 { "on" } else { "off" };
    format!(
        "pcie-root-port,id={},chassis={},slot={port},addr={device:x}.{function},multifunction={shared}",
        port_id(port),
        port + 1
    )
}

fn port_id(port: u32) -> String {
    format!("port{port}")
}

/// A channel to us: a socket that QEMU inherits.
fn chardev(id: &str, socket: i32) -> String {
    format!("socket,id={id},fd={socket}")
}

/// The block nodes of a drive: straight to the file in the mount, past the page cache, so that
/// each request of the guest is one of the mount. Without `raw` above the file, QEMU (7.2) forgets the
/// flush after a guest's first FUA write.
pub(in crate::vm) fn blockdev(drive: &DriveSpec<'_>) -> Value {
    let cache = json!({ "direct": true, "no-flush": false });
    json!({
        "driver": "raw",
        "node-name": node(drive.number),
        "read-only": drive.read_only,
        "cache": cache,
        "discard": "unmap",
        "file": {
            "driver": "file",
            "filename": drive.file.to_string_lossy(),
            "read-only": drive.read_only,
            "aio": "native",
            "cache": cache,
            "discard": "unmap",
        },
    })
}

/// The device of a drive. Errors are reported to the guest; the default would pause it. The geometry
/// is what QEMU makes of a disk without a partition table: told it, QEMU does not read the disk for it.
pub(in crate::vm) fn device(drive: &DriveSpec<'_>) -> Value {
    let cylinders = drive.sectors / (HEADS * SECTORS);
    json!({
        "cyls": cylinders.clamp(FEWEST_CYLINDERS, MOST_CYLINDERS),
        "heads": HEADS,
        "secs": SECTORS,
        "driver": "virtio-blk-pci",
        "id": device_id(drive.id),
        "drive": node(drive.number),
        "bus": drive.port.map_or("pcie.0".into(), port_id),
        "serial": serial(drive.id),
        "werror": "report",
        "rerror": "report",
    })
}

/// The serial number of the disk `id`: as much of it as there is room for.
pub(in crate::vm) fn serial(id: &str) -> String {
    id.chars().take(SERIAL_BYTES).collect()
}

pub(in crate::vm) fn node(number: u32) -> String {
    format!("drive{number}")
}

pub(in crate::vm) fn device_id(id: &str) -> String {
    format!("disk-{id}")
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

    fn drive() -> DriveSpec<'static> {
        DriveSpec {
            id: "vda",
            file: Path::new("/m/vda"),
            read_only: false,
            number: 3,
            sectors: 2048,
            port: Some(2),
        }
    }

    #[test]
    fn a_drive_bypasses_the_cache_and_reports_errors_to_the_guest() {
        let blockdev = blockdev(&drive());
        assert_eq!(blockdev["cache"]["direct"], true);
        assert_eq!(blockdev["driver"], "raw");
        let file = &blockdev["file"];
        assert_eq!(file["cache"], blockdev["cache"]);
        assert_eq!(file["aio"], "native");
        assert_eq!(
            (&file["discard"], &blockdev["discard"]),
            (&json!("unmap"), &json!("unmap"))
        );
        let device = device(&drive());
        assert_eq!(device["werror"], "report");
        assert_eq!(device["rerror"], "report");
        assert_eq!(device["serial"], "vda");
        assert_eq!(device["drive"], blockdev["node-name"]);
        assert_eq!(device["bus"], "port2");
    }

    #[test]
    fn a_drive_has_a_geometry_that_fits_its_size() {
        let cylinders = |sectors| device(&DriveSpec { sectors, ..drive() })["cyls"].clone();
        assert_eq!(cylinders(1), 2);
        assert_eq!(cylinders(5 * 1008 + 1007), 5);
        assert_eq!(cylinders(1 << 40), 16383);
    }

    #[test]
    fn a_long_id_is_cut_to_what_a_serial_number_holds() {
        let id = "a".repeat(63);
        let device = device(&DriveSpec { id: &id, ..drive() });
        assert_eq!(device["serial"].as_str().unwrap().len(), SERIAL_BYTES);
    }

    #[test]
    fn every_disk_of_the_machine_is_on_the_command_line() {
        let guest = guest();
        let words = arguments(&MachineSpec {
            guest: &guest,
            memory: "256M",
            cpus: 2,
            accel: Accel::Tcg,
            disks: vec![drive()],
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
        assert!(words.contains(&blockdev(&drive()).to_string()));
        assert!(words.contains(&device(&drive()).to_string()));
    }

    #[test]
    fn what_differs_from_vm_to_vm_is_no_part_of_the_identity() {
        let guest = guest();
        let spec = |start, qmp| MachineSpec {
            guest: &guest,
            memory: "256M",
            cpus: 1,
            accel: Accel::Tcg,
            disks: vec![drive()],
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
    fn a_root_on_a_disk_has_to_be_there_when_the_guest_boots() {
        assert!(needs_disks("console=ttyS0 root=/dev/vda1 ro").is_some());
        assert_eq!(needs_disks("root=/dev/ram0 xroot=/dev/vda"), None);
    }
}
