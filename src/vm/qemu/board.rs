//! The machine type: its options, and the bus that its devices are on.

use super::ports::port_id;
use super::target::Target;

/// How devices are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vm) enum Bus {
    /// PCI Express. Its root bus does not hot-plug, so the machine has ports for disks.
    Pcie,
    /// PCI, which hot-plugs.
    Pci,
    /// No bus: slots for virtio, which the kernel finds at its start alone.
    Mmio,
}

impl Bus {
    /// A kind of virtio device as QEMU calls it on this bus.
    pub(in crate::vm) fn virtio(self, kind: &str) -> String {
        match self {
            Self::Pcie | Self::Pci => format!("virtio-{kind}-pci"),
            Self::Mmio => format!("virtio-{kind}-device"),
        }
    }

    /// The place of a disk in this port, or in none; None where QEMU chooses it.
    pub(in crate::vm) fn place(self, port: Option<u32>) -> Option<String> {
        match self {
            Self::Pcie => Some(port.map_or("pcie.0".into(), port_id)),
            Self::Pci | Self::Mmio => None,
        }
    }

    /// Where QEMU has the backend of the disk with this device: a device on PCI is around that of virtio.
    pub(in crate::vm) fn backend(self, device: &str) -> String {
        let inner = match self {
            Self::Pcie | Self::Pci => "/virtio-backend",
            Self::Mmio => "",
        };
        format!("/machine/peripheral/{device}{inner}")
    }

    /// Whether disks can be plugged in while the guest runs.
    pub(in crate::vm) fn hot_plugs(self) -> bool {
        self != Self::Mmio
    }
}

/// A machine type with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::vm) struct Board {
    /// As QEMU takes it.
    kind: String,
    /// What a profile adds to it; begins with a comma, or is empty.
    options: String,
    pub(in crate::vm) bus: Bus,
}

impl Board {
    /// The machine that a profile names, or the usual one. `q35`: to enable a device, the kernel of a `pc` computes a
    /// table of interrupts, anew for each device. Under TCG that takes longer than all the rest of a hot-plug. `q35` has
    /// it ready.
    pub(in crate::vm) fn new(target: Target, machine: Option<&str>) -> Self {
        let usual = if target.is_pc() { "q35" } else { "virt" };
        let machine = machine.unwrap_or(usual);
        let kind = machine.split(',').next().unwrap_or_default();
        Self {
            kind: kind.to_owned(),
            options: machine[kind.len()..].to_owned(),
            bus: match kind {
                "microvm" => Bus::Mmio,
                "pc" => Bus::Pci,
                _ if kind.starts_with("pc-i440fx") => Bus::Pci,
                _ => Bus::Pcie,
            },
        }
    }

    /// The value of `-machine`. What the profile says comes last, and wins.
    pub(in crate::vm) fn words(&self, accel: &str) -> String {
        let Self { kind, options, .. } = self;
        let ours = match kind.as_str() {
            "q35" => ",usb=off,vmport=off,sata=off",
            _ if kind.starts_with("pc-q35") => ",usb=off,vmport=off,sata=off",
            "pc" => ",usb=off,vmport=off",
            _ => "",
        };
        format!("{kind},accel={accel}{ours}{options}")
    }

    /// Its name, without options.
    pub(in crate::vm) fn kind(&self) -> &str {
        &self.kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(machine: &str) -> Board {
        Board::new(Target::X86_64, Some(machine))
    }

    #[test]
    fn options_of_a_profile_come_after_ours() {
        assert_eq!(
            board("q35,usb=on").words("tcg"),
            "q35,accel=tcg,usb=off,vmport=off,sata=off,usb=on"
        );
        assert_eq!(board("microvm").words("kvm"), "microvm,accel=kvm");
        let usual = Board::new(Target::Aarch64, None);
        assert_eq!(usual.words("tcg"), "virt,accel=tcg");
    }

    #[test]
    fn device_is_named_after_the_bus_of_its_machine() {
        assert_eq!(board("q35").bus.virtio("blk"), "virtio-blk-pci");
        assert_eq!(board("microvm").bus.virtio("blk"), "virtio-blk-device");
        assert_eq!(board("pc-q35-7.2").bus.place(Some(3)).unwrap(), "port3");
        assert_eq!(board("pc-i440fx-7.2").bus.place(Some(3)), None);
        assert!(board("pc").bus.hot_plugs() && !board("microvm").bus.hot_plugs());
    }
}
