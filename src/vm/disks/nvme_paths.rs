//! Which disks of a VM are paths of one NVMe disk: those with one serial number.

use crate::config::DiskBus;
use crate::vm::qemu::drive::Drive;
use crate::vm::qemu::nvme_paths::{MOST_HIDDEN, NvmePath};

/// Marks the drives that are paths of one NVMe disk.
pub(in crate::vm) fn mark_paths(drives: &mut [Drive]) {
    let is_path = |drive: &Drive| {
        let is_other = |other: &Drive| other.id != drive.id && other.link() == drive.link();
        drive.hardware.bus == DiskBus::Nvme && drives.iter().any(is_other)
    };
    let are_paths: Vec<bool> = drives.iter().map(is_path).collect();
    let mut hidden_before = 0;
    for (drive, is_path) in drives.iter_mut().zip(are_paths) {
        let number = drive.twins;
        drive.path = is_path.then_some(NvmePath {
            number,
            hidden_before,
        });
        if is_path {
            hidden_before += number;
        }
    }
}

/// Whether a machine with `drives` has room for a further path of a disk that has as many `twins` among them.
pub(super) fn has_room(drives: &[Drive], twins: usize) -> bool {
    let paths = drives.iter().filter_map(|drive| drive.path.as_ref());
    paths.map(|path| path.number).sum::<usize>() + twins <= MOST_HIDDEN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DiskHardware;
    use crate::vm::qemu::board::Bus;
    use crate::vm::qemu::nvme_paths::MOST_PATHS;
    use serde_json::{Value, json};

    fn drive(id: &str, serial: &str, twins: usize) -> Drive {
        Drive {
            id: id.into(),
            file: "/m".into(),
            read_only: false,
            number: 1,
            sectors: 2048,
            port: Some(1),
            hardware: DiskHardware {
                bus: DiskBus::Nvme,
                serial: Some(serial.into()),
                ..DiskHardware::default()
            },
            shares: true,
            twins,
            path: None,
        }
    }

    #[test]
    fn each_path_has_a_subsystem_and_hidden_controllers_for_the_lower_numbers() {
        let mut drives = [
            drive("a", "lun", 0),
            drive("x", "other", 0),
            drive("b", "lun", 1),
            drive("c", "lun", 2),
        ];
        mark_paths(&mut drives);
        let words = |drive: &Drive| {
            let devices = drive.devices(Bus::Pcie);
            let word = |device: &Value| {
                let addr = device["addr"].as_str().unwrap_or_default();
                format!("{}{addr}", device["driver"].as_str().unwrap())
            };
            devices.iter().map(word).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(&drives[0]), "nvme-subsys nvme nvme-ns");
        assert_eq!(words(&drives[1]), "nvme");
        assert_eq!(words(&drives[2]), "nvme-subsys nvme1e.1 nvme nvme-ns");
        assert_eq!(
            words(&drives[3]),
            "nvme-subsys nvme1e.2 nvme1e.3 nvme nvme-ns"
        );

        let devices = drives[2].devices(Bus::Pcie);
        assert_eq!(
            (&devices[2]["bus"], &devices[2]["subsys"]),
            (&json!("port1"), &json!("subsystem-b"))
        );
        assert_eq!(devices[0]["nqn"], "lun");
        assert_eq!(
            (&devices[3]["drive"], &devices[3]["share-rw"]),
            (&json!("drive1"), &json!(true))
        );
        assert_eq!(
            (&devices[3]["bus"], &devices[3]["serial"]),
            (&json!("bus-b"), &Value::Null)
        );
        assert!(!drives[2].hot_plugs() && drives[1].hot_plugs());
    }

    #[test]
    fn machine_has_room_for_the_paths_of_one_disk_and_the_next_is_refused() {
        let mut drives: Vec<_> = (0..MOST_PATHS)
            .map(|n| drive(&format!("p{n}"), "lun", n))
            .collect();
        mark_paths(&mut drives);
        assert!(has_room(&drives[..MOST_PATHS - 1], MOST_PATHS - 1));
        assert!(!has_room(&drives, MOST_PATHS));
        let hidden = drives[MOST_PATHS - 1].devices(Bus::Pcie);
        let slots = hidden.iter().filter_map(|device| device["addr"].as_str());
        assert!(slots.clone().count() > 0 && slots.clone().all(|slot| slot > "12.7"));
    }
}
