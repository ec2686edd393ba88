//! A drive of QEMU: a disk of the mount, as a block node and a device of the machine.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::board::Bus;
use super::nvme_paths::{NvmePath, subsystem};
use crate::config::{CacheType, DiskBus, DiskHardware};

/// Bytes of a sector, unless a disk says otherwise.
const SECTOR_BYTES: u32 = 512;

/// A geometry, as QEMU chooses it (`guess_chs_for_size`).
const HEADS: u64 = 16;
const SECTORS: u64 = 63;
const FEWEST_CYLINDERS: u64 = 2;
const MOST_CYLINDERS: u64 = 16383;

/// A disk, as QEMU has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::vm) struct Drive {
    /// The disk's name in the mount.
    pub(in crate::vm) id: String,
    /// Its file in the mount.
    pub(in crate::vm) file: PathBuf,
    pub(in crate::vm) read_only: bool,
    /// Tells this drive's block node from all others of the machine.
    pub(in crate::vm) number: u32,
    /// The size, in sectors of 512 bytes, when the machine gets the drive.
    pub(in crate::vm) sectors: u64,
    /// The slot, from 0. A drive without one is part of the machine from its start to its end.
    pub(in crate::vm) port: Option<u32>,
    /// How the guest sees it.
    pub(in crate::vm) hardware: DiskHardware,
    /// Whether other disks have the same image.
    pub(in crate::vm) shares: bool,
    /// How many disks with the same name in the guest come before it: with the same serial number on the same bus.
    pub(in crate::vm) twins: usize,
    /// That it is one of several paths of an NVMe disk.
    pub(in crate::vm) path: Option<NvmePath>,
}

impl Drive {
    /// The block nodes: straight to the file in the mount, past the page cache, so that each request of the
    /// guest is one of the mount. Without `raw` above the file, QEMU (7.2) forgets the flush after a guest's
    /// first FUA write.
    pub(in crate::vm) fn blockdev(&self) -> Value {
        let cache = json!({ "direct": true, "no-flush": false });
        json!({
            "driver": "raw",
            "node-name": self.node(),
            "read-only": self.read_only,
            "cache": cache,
            "discard": "unmap",
            "file": {
                "driver": "file",
                "filename": self.file.to_string_lossy(),
                "read-only": self.read_only,
                "aio": "native",
                "cache": cache,
                "discard": "unmap",
            },
        })
    }

    /// The devices, each of which the one before has to be there for: the disk is the last.
    pub(in crate::vm) fn devices(&self, board: Bus) -> Vec<Value> {
        let place = board.place(self.port);
        let placed = |mut device: Value| {
            if let Some(place) = &place {
                device["bus"] = place.as_str().into();
            }
            device
        };
        let Some(controller) = self.controller(board) else {
            return vec![placed(self.disk(board))];
        };
        let mut disk = self.disk(board);
        disk["bus"] = match self.path {
            Some(_) => self.controller_id(),
            None => format!("{}.0", self.controller_id()),
        }
        .into();
        let before = self
            .path
            .iter()
            .flat_map(|path| path.before(&self.id, &self.serial()));
        before.chain([placed(controller), disk]).collect()
    }

    /// Whether QEMU plugs it in and unplugs it while the guest runs: no namespace of a subsystem.
    pub(in crate::vm) fn hot_plugs(&self) -> bool {
        self.hardware.bus.hot_plugs() && self.path.is_none()
    }

    /// What it is on, in an error.
    pub(in crate::vm) fn bus_name(&self) -> &'static str {
        match self.path {
            Some(_) => "nvme with further paths",
            None => self.hardware.bus.name(),
        }
    }

    /// What a disk that is not itself a device of the machine hangs on: a controller that no other disk has.
    fn controller(&self, board: Bus) -> Option<Value> {
        let driver = match self.hardware.bus {
            DiskBus::Nvme if self.path.is_some() => "nvme".to_owned(),
            DiskBus::VirtioBlk | DiskBus::Nvme => return None,
            DiskBus::VirtioScsi => board.virtio("scsi"),
            DiskBus::Sata => "ich9-ahci".to_owned(),
            DiskBus::Usb => "qemu-xhci".to_owned(),
        };
        let mut controller = json!({ "driver": driver, "id": self.controller_id() });
        let queues = match self.path {
            Some(_) => {
                controller["serial"] = self.serial().into();
                controller["subsys"] = subsystem(&self.id).into();
                "max_ioqpairs"
            }
            None => "num_queues",
        };
        if let Some(number) = self.hardware.queues {
            controller[queues] = number.into();
        }
        Some(controller)
    }

    /// The device that is the disk. Errors are reported to the guest; QEMU's default would pause it. The geometry is
    /// the one that QEMU chooses for a disk without a partition table: QEMU then does not read the disk for it.
    fn disk(&self, board: Bus) -> Value {
        let DiskHardware {
            bus,
            logical_block_size,
            physical_block_size,
            queues,
            rerror,
            werror,
            cache_type,
            ..
        } = &self.hardware;
        let driver = match bus {
            DiskBus::VirtioBlk => &board.virtio("blk"),
            DiskBus::VirtioScsi => "scsi-hd",
            DiskBus::Nvme if self.path.is_some() => "nvme-ns",
            DiskBus::Nvme => "nvme",
            DiskBus::Sata => "ide-hd",
            DiskBus::Usb => "usb-storage",
        };
        let mut device = json!({
            "driver": driver,
            "id": self.device_id(),
            "drive": self.node(),
        });
        if self.path.is_none() {
            device["serial"] = self.serial().into();
        }
        if !matches!(bus, DiskBus::Nvme | DiskBus::Usb) {
            let cylinders = self.sectors / (HEADS * SECTORS);
            device["cyls"] = cylinders.clamp(FEWEST_CYLINDERS, MOST_CYLINDERS).into();
            device["heads"] = HEADS.into();
            device["secs"] = SECTORS.into();
        }
        if *bus != DiskBus::Nvme {
            device["rerror"] = rerror.name().into();
            device["werror"] = werror.name().into();
        }
        if logical_block_size.is_some() || physical_block_size.is_some() {
            let logical = logical_block_size.unwrap_or(SECTOR_BYTES);
            device["logical_block_size"] = logical.into();
            device["physical_block_size"] = physical_block_size.unwrap_or(logical).into();
        }
        if self.shares {
            device["share-rw"] = true.into();
        }
        if let Some(cache_type) = cache_type {
            let has_cache = *cache_type == CacheType::WriteBack;
            device["write-cache"] = if has_cache { "on" } else { "off" }.into();
        }
        match (bus, queues) {
            (DiskBus::VirtioBlk, Some(queues)) => device["num-queues"] = (*queues).into(),
            (DiskBus::Nvme, Some(queues)) if self.path.is_none() => {
                device["max_ioqpairs"] = (*queues).into();
            }
            _ => {}
        }
        device
    }

    /// The device that the guest is asked for: the disk goes with its controller.
    pub(in crate::vm) fn outer_device(&self, board: Bus) -> String {
        match self.controller(board) {
            Some(_) => self.controller_id(),
            None => self.device_id(),
        }
    }

    /// Where QEMU has the backend of the disk.
    pub(in crate::vm) fn backend(&self, board: Bus) -> String {
        let device = self.device_id();
        match self.hardware.bus {
            DiskBus::VirtioBlk => board.backend(&device),
            _ => format!("/machine/peripheral/{device}"),
        }
    }

    fn controller_id(&self) -> String {
        format!("bus-{}", self.id)
    }

    /// Its serial number: its own, or as much of its name as there is room for.
    pub(in crate::vm) fn serial(&self) -> String {
        match &self.hardware.serial {
            Some(serial) => serial.clone(),
            None => self
                .id
                .chars()
                .take(self.hardware.bus.serial_room())
                .collect(),
        }
    }

    /// Where a guest has it: the name that udev gives.
    pub(in crate::vm) fn link(&self) -> String {
        let serial = self.serial();
        let name = match self.hardware.bus {
            DiskBus::VirtioBlk => format!("virtio-{serial}"),
            DiskBus::VirtioScsi => format!("scsi-0QEMU_QEMU_HARDDISK_{serial}"),
            DiskBus::Nvme => format!("nvme-QEMU_NVMe_Ctrl_{serial}"),
            DiskBus::Sata => format!("ata-QEMU_HARDDISK_{serial}"),
            DiskBus::Usb => format!("usb-QEMU_QEMU_HARDDISK_{serial}-0:0"),
        };
        format!("/dev/disk/by-id/{name}")
    }

    /// The name of the block node.
    pub(in crate::vm) fn node(&self) -> String {
        format!("drive{}", self.number)
    }

    /// The name of the device.
    pub(in crate::vm) fn device_id(&self) -> String {
        format!("disk-{}", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drive() -> Drive {
        Drive {
            id: "vda".into(),
            file: "/m/vda".into(),
            read_only: false,
            number: 3,
            sectors: 2048,
            port: Some(2),
            hardware: DiskHardware::default(),
            shares: false,
            twins: 0,
            path: None,
        }
    }

    /// The device that is the disk.
    fn disk(drive: &Drive) -> Value {
        drive.devices(Bus::Pcie).pop().unwrap()
    }

    fn on(bus: DiskBus) -> Drive {
        let hardware = DiskHardware {
            bus,
            queues: Some(2),
            logical_block_size: Some(4096),
            ..DiskHardware::default()
        };
        Drive {
            hardware,
            ..drive()
        }
    }

    #[test]
    fn disk_of_another_bus_hangs_on_a_controller_of_its_own_in_its_port() {
        let devices = on(DiskBus::VirtioScsi).devices(Bus::Pcie);
        assert_eq!(devices.len(), 2);
        assert_eq!(devices[0]["driver"], "virtio-scsi-pci");
        assert_eq!(
            (&devices[0]["bus"], &devices[0]["num_queues"]),
            (&json!("port2"), &json!(2))
        );
        assert_eq!(
            (&devices[1]["driver"], &devices[1]["bus"]),
            (&json!("scsi-hd"), &json!("bus-vda.0"))
        );
        assert_eq!(devices[1]["logical_block_size"], 4096);
        assert_eq!(devices[1]["physical_block_size"], 4096);
        assert_eq!(on(DiskBus::VirtioScsi).outer_device(Bus::Pcie), "bus-vda");
        assert_eq!(drive().outer_device(Bus::Pcie), "disk-vda");
    }

    #[test]
    fn nvme_is_a_device_in_a_port_and_has_no_error_policy() {
        let devices = on(DiskBus::Nvme).devices(Bus::Pcie);
        assert_eq!(devices.len(), 1);
        assert_eq!(
            (&devices[0]["bus"], &devices[0]["max_ioqpairs"]),
            (&json!("port2"), &json!(2))
        );
        assert_eq!(devices[0].get("rerror"), None);
    }

    #[test]
    fn guest_finds_a_disk_by_its_serial_number_on_each_bus() {
        let links = DiskBus::ALL.map(|bus| on(bus).link());
        let names = links.map(|link| link.rsplit('/').next().unwrap().to_owned());
        assert_eq!(
            names,
            [
                "virtio-vda",
                "scsi-0QEMU_QEMU_HARDDISK_vda",
                "nvme-QEMU_NVMe_Ctrl_vda",
                "ata-QEMU_HARDDISK_vda",
                "usb-QEMU_QEMU_HARDDISK_vda-0:0",
            ]
        );
    }

    #[test]
    fn drive_bypasses_the_cache_and_reports_errors_to_the_guest() {
        let blockdev = drive().blockdev();
        assert_eq!(blockdev["cache"]["direct"], true);
        assert_eq!(blockdev["driver"], "raw");
        let file = &blockdev["file"];
        assert_eq!(file["cache"], blockdev["cache"]);
        assert_eq!(file["aio"], "native");
        assert_eq!(
            (&file["discard"], &blockdev["discard"]),
            (&json!("unmap"), &json!("unmap"))
        );
        let device = disk(&drive());
        assert_eq!(device["werror"], "report");
        assert_eq!(device["rerror"], "report");
        assert_eq!(device["serial"], "vda");
        assert_eq!(device["drive"], blockdev["node-name"]);
        assert_eq!(device["bus"], "port2");
        assert_eq!(device.get("share-rw"), None);
        let sharer = Drive {
            shares: true,
            ..drive()
        };
        assert_eq!(disk(&sharer)["share-rw"], true);
    }

    #[test]
    fn drive_has_a_geometry_that_fits_its_size() {
        let of_size = |sectors| Drive { sectors, ..drive() };
        let cylinders = |sectors| disk(&of_size(sectors))["cyls"].clone();
        assert_eq!(cylinders(1), 2);
        assert_eq!(cylinders(5 * 1008 + 1007), 5);
        assert_eq!(cylinders(1 << 40), 16383);
    }

    #[test]
    fn serial_number_is_a_long_id_cut_to_what_it_holds() {
        let id = "a".repeat(63);
        let device = disk(&Drive { id, ..drive() });
        assert_eq!(device["serial"].as_str().unwrap().len(), 20);
    }
}
