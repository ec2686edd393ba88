//! A drive of QEMU: a disk of the mount, as a block node and a device of the machine.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::board::Bus;

/// Bytes of a serial number that virtio-blk passes on (`VIRTIO_BLK_ID_BYTES`).
const SERIAL_BYTES: usize = 20;

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

    /// The device. Errors are reported to the guest; the default would pause it. The geometry is the one that
    /// QEMU chooses for a disk without a partition table: QEMU then does not read the disk for it.
    pub(in crate::vm) fn device(&self, bus: Bus) -> Value {
        let cylinders = self.sectors / (HEADS * SECTORS);
        let mut device = json!({
            "cyls": cylinders.clamp(FEWEST_CYLINDERS, MOST_CYLINDERS),
            "heads": HEADS,
            "secs": SECTORS,
            "driver": bus.virtio("blk"),
            "id": self.device_id(),
            "drive": self.node(),
            "serial": serial(&self.id),
            "werror": "report",
            "rerror": "report",
        });
        if let Some(place) = bus.place(self.port) {
            device["bus"] = place.into();
        }
        device
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

/// Where a guest has the disk `id`.
pub(in crate::vm) fn link(id: &str) -> String {
    format!("/dev/disk/by-id/virtio-{}", serial(id))
}

/// The serial number of the disk `id`: as much of it as there is room for.
pub(in crate::vm) fn serial(id: &str) -> String {
    id.chars().take(SERIAL_BYTES).collect()
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
        }
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
        let device = drive().device(Bus::Pcie);
        assert_eq!(device["werror"], "report");
        assert_eq!(device["rerror"], "report");
        assert_eq!(device["serial"], "vda");
        assert_eq!(device["drive"], blockdev["node-name"]);
        assert_eq!(device["bus"], "port2");
    }

    #[test]
    fn drive_has_a_geometry_that_fits_its_size() {
        let of_size = |sectors| Drive { sectors, ..drive() };
        let cylinders = |sectors| of_size(sectors).device(Bus::Pcie)["cyls"].clone();
        assert_eq!(cylinders(1), 2);
        assert_eq!(cylinders(5 * 1008 + 1007), 5);
        assert_eq!(cylinders(1 << 40), 16383);
    }

    #[test]
    fn serial_number_is_a_long_id_cut_to_what_it_holds() {
        let id = "a".repeat(63);
        let device = Drive { id, ..drive() }.device(Bus::Pcie);
        assert_eq!(device["serial"].as_str().unwrap().len(), SERIAL_BYTES);
    }
}
