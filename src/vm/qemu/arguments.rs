//! QEMU's arguments: pure functions from the description of a machine to words.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::board::{Board, Bus};
use super::drive::Drive;
use super::ports::{PORTS, root_port};
use super::target::Target;
use crate::config::{Accel, Firmware, Net};
use crate::vm::Guest;

/// The port on which the guest's agent listens, by QEMU's convention.
pub(in crate::vm) const AGENT_PORT: &str = "org.qemu.guest_agent.0";

/// All that makes up a machine.
#[derive(Debug)]
pub(in crate::vm) struct MachineSpec<'a> {
    /// The QEMU.
    pub(in crate::vm) program: &'a Path,
    pub(in crate::vm) target: Target,
    pub(in crate::vm) board: &'a Board,
    /// The kernel; without one the firmware boots the first of the drives that it can.
    pub(in crate::vm) guest: Option<&'a Guest>,
    pub(in crate::vm) firmware: Option<&'a Firmware>,
    /// The name of the profile whose guest has no agent.
    pub(in crate::vm) without_agent: Option<&'a str>,
    pub(in crate::vm) net: Option<Net>,
    /// Ports of the host that lead to the guest.
    pub(in crate::vm) hostfwd: &'a [String],
    /// Words that the profile adds.
    pub(in crate::vm) added: &'a [String],
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
    /// The same, with the guest's memory in this file, to be saved or copied.
    BootIn(BorrowedFd<'a>),
    /// The guest's memory is this file, and it waits, stopped, for a saved state.
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
    pub(in crate::vm) qtest: i32,
}

/// The command line, without the program.
pub(in crate::vm) fn arguments(spec: &MachineSpec<'_>) -> Vec<String> {
    let mut words = machine(spec);
    words.extend(spec.firmware.into_iter().flat_map(firmware));
    words.extend(spec.guest.into_iter().flat_map(kernel));
    words.extend(isolation());
    words.extend(channels(spec.sockets));
    words.extend(qtest(spec).into_iter().flatten());
    words.extend(devices(spec));
    words.extend(memory(spec));
    let is_booted = spec.guest.is_none();
    for (place, drive) in spec.drives.iter().enumerate() {
        let mut devices = drive.devices(spec.board.bus);
        if let Some(disk) = devices.last_mut().filter(|_| is_booted) {
            disk["bootindex"] = place.into();
        }
        words.extend(option("-blockdev", drive.blockdev().to_string()));
        let devices = devices
            .iter()
            .map(|device| option("-device", device.to_string()));
        words.extend(devices.flatten());
    }
    words.extend(spec.added.iter().cloned());
    words
}

/// The command line without the words that differ from VM to VM, and without the paths of kernel and initrd.
/// Machines with equal ones, and equal files, can go on from each other's states.
pub(in crate::vm) fn identity(spec: &MachineSpec<'_>) -> Vec<String> {
    let guest = spec.guest.map(|guest| Guest {
        kernel: PathBuf::new(),
        initrd: guest.initrd.as_ref().map(|_| PathBuf::new()),
        cmdline: guest.cmdline.clone(),
    });
    arguments(&MachineSpec {
        guest: guest.as_ref(),
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
    let accel = match spec.accel {
        Accel::Kvm => "kvm",
        Accel::Tcg | Accel::Auto => "tcg",
    };
    let mut words: Vec<_> = [
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-machine",
        &spec.board.words(accel),
        "-m",
        spec.memory,
        "-smp",
        &spec.cpus.to_string(),
    ]
    .map(str::to_owned)
    .into();
    if let Some(cpu) = spec.target.cpu(spec.accel) {
        words.extend(option("-cpu", cpu.to_owned()));
    }
    words
}

fn firmware(firmware: &Firmware) -> Vec<String> {
    let chip = |unit: u32, file: &Path, read_only: &str| {
        // A comma in a value stands twice.
        let file = file.to_string_lossy().replace(',', ",,");
        let drive = format!("if=pflash,unit={unit},format=raw,readonly={read_only},file={file}");
        option("-drive", drive)
    };
    match firmware {
        Firmware::Bios(file) => option("-bios", file.to_string_lossy().into_owned()).into(),
        Firmware::Flash { pflash, vars } => {
            let code = chip(0, pflash, "on");
            let vars = vars.iter().flat_map(|vars| chip(1, vars, "off"));
            code.into_iter().chain(vars).collect()
        }
    }
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
        // The firmware reads only disks that it might boot: none, unless there is no kernel.
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

/// The channel through which QEMU is told of changes to the guest's memory: under TCG it keeps translated code.
fn qtest(spec: &MachineSpec<'_>) -> Option<[String; 6]> {
    let chardev = format!("socket,id=qtest,fd={}", spec.sockets.qtest);
    let words = [
        "-chardev",
        &chardev,
        "-qtest",
        "chardev:qtest",
        "-qtest-log",
        "none",
    ];
    (spec.accel != Accel::Kvm).then(|| words.map(str::to_owned))
}

/// All devices but the drives.
fn devices(spec: &MachineSpec<'_>) -> Vec<String> {
    let bus = spec.board.bus;
    let mut devices = vec![bus.virtio("rng")];
    if spec.target.is_pc() && bus != Bus::Mmio {
        // A guest with a driver for it takes a new random seed when it is resumed.
        devices.push("vmgenid,guid=auto".to_owned());
    }
    if spec.without_agent.is_none() {
        devices.push(bus.virtio("serial"));
        // Without an ID there would be no event when the guest opens the port.
        devices.push(format!(
            "virtserialport,id=agent-port,chardev=agent,name={AGENT_PORT}"
        ));
    }
    if bus == Bus::Pcie {
        devices.extend((0..PORTS).map(root_port));
    }
    let mut words = Vec::new();
    if spec.net == Some(Net::User) {
        let forwards = spec.hostfwd.iter().map(|text| format!(",hostfwd={text}"));
        let forwards: String = forwards.collect();
        words.extend(option("-netdev", format!("user,id=net{forwards}")));
        // Without its ROM, which is for booting from the network, and in another package.
        let rom = if bus == Bus::Mmio { "" } else { ",romfile=" };
        devices.push(format!("{},netdev=net{rom}", bus.virtio("net")));
    }
    words.extend(
        devices
            .into_iter()
            .flat_map(|device| option("-device", device)),
    );
    words
}

/// Where the guest's memory lies, and that a saved state is to come.
fn memory(spec: &MachineSpec<'_>) -> Vec<String> {
    let Some(file) = spec.start.memory() else {
        return Vec::new();
    };
    let backend = format!(
        "memory-backend-file,id=ram,size={},share=on,mem-path=/proc/self/fd/{}",
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

    fn board() -> Board {
        Board::new(Target::X86_64, None)
    }

    /// A machine of 256 MiB that boots.
    fn spec<'a>(guest: &'a Guest, board: &'a Board, drives: &'a [Drive]) -> MachineSpec<'a> {
        MachineSpec {
            program: Path::new("/usr/bin/qemu-system-x86_64"),
            target: Target::X86_64,
            board,
            guest: Some(guest),
            firmware: None,
            without_agent: None,
            net: None,
            hostfwd: &[],
            added: &[],
            memory: "256M",
            cpus: 2,
            accel: Accel::Tcg,
            drives,
            sockets: Sockets {
                qmp: 5,
                agent: 6,
                console: 7,
                qtest: 8,
            },
            start: Start::Boot,
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
            hardware: crate::config::DiskHardware::default(),
            shares: false,
            twins: 0,
            path: None,
        }
    }

    #[test]
    fn command_line_has_each_drive_of_the_machine() {
        let (guest, board, drives) = (guest(), board(), [drive()]);
        let words = arguments(&spec(&guest, &board, &drives));
        let line = words.join(" ");
        assert!(line.contains("accel=tcg"));
        assert!(line.contains("-m 256M -smp 2"));
        assert!(line.contains("-initrd /i"));
        assert!(line.contains("socket,id=console,fd=7"));
        assert!(words.contains(&drive().blockdev().to_string()));
        assert!(words.contains(&drive().devices(Bus::Pcie)[0].to_string()));
    }

    #[test]
    fn identity_leaves_out_what_differs_from_vm_to_vm() {
        let (guest, board, drives) = (guest(), board(), [drive()]);
        let spec = |start, qmp| MachineSpec {
            sockets: Sockets {
                qmp,
                ..Sockets::default()
            },
            start,
            ..spec(&guest, &board, &drives)
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
            guest: Some(&moved),
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

    #[test]
    fn machine_without_a_kernel_boots_its_drives_in_their_order() {
        let (guest, board, drives) = (guest(), board(), [drive(), drive()]);
        let spec = spec(&guest, &board, &drives);
        assert!(!arguments(&spec).concat().contains("bootindex"));
        let words = arguments(&MachineSpec {
            guest: None,
            ..spec
        });
        let line = words.join(" ");
        assert!(line.contains(r#""bootindex":0"#) && line.contains(r#""bootindex":1"#));
        assert!(!line.contains("-kernel") && !line.contains("-append"));
    }

    #[test]
    fn keys_of_a_profile_become_words() {
        let (guest, board) = (guest(), Board::new(Target::Aarch64, None));
        let flash = Firmware::Flash {
            pflash: "/f/CODE,1.fd".into(),
            vars: Some("/vm/vars".into()),
        };
        let line = arguments(&MachineSpec {
            target: Target::Aarch64,
            firmware: Some(&flash),
            without_agent: Some("own"),
            net: Some(Net::User),
            hostfwd: &["tcp:127.0.0.1:2222-:22".to_owned()],
            added: &["-device".to_owned(), "virtio-balloon-pci".to_owned()],
            ..spec(&guest, &board, &[])
        })
        .join(" ");
        for expected in [
            "-machine virt,accel=tcg -m",
            "unit=0,format=raw,readonly=on,file=/f/CODE,,1.fd",
            "unit=1,format=raw,readonly=off,file=/vm/vars",
            "-netdev user,id=net,hostfwd=tcp:127.0.0.1:2222-:22 ",
            "virtio-net-pci,netdev=net,romfile=",
        ] {
            assert!(line.contains(expected), "{expected} is not in {line}");
        }
        assert!(line.ends_with("-device virtio-balloon-pci"), "{line}");
        assert!(!line.contains("virtserialport") && !line.contains("vmgenid"));
    }
}
