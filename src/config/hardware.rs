//! How a guest sees a disk: the bus that it is on, its sectors, its serial number, and what QEMU does about its errors.

use std::fmt;
use std::str::FromStr;

use super::word::{one_of, word};

/// The form of a block size.
const BLOCK_SIZE: &str = "a power of two from 512 to 2097152 bytes, such as 512 or \"4K\"";
const SMALLEST_BLOCK: u64 = 512;
const LARGEST_BLOCK: u64 = 2 << 20;
/// What a driver of Linux takes for a sector: no more than a page.
const LARGEST_SECTOR: u64 = 4096;
/// The most queues that each device takes.
const MOST_QUEUES: u64 = 64;

/// What a disk hangs on in the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskBus {
    /// A device of its own, without a protocol between.
    #[default]
    VirtioBlk,
    /// A SCSI disk on a controller of its own.
    VirtioScsi,
    /// An NVMe controller with one namespace.
    Nvme,
    /// A disk on an AHCI controller of its own.
    Sata,
    /// A stick on an xHCI controller of its own.
    Usb,
}

impl DiskBus {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::VirtioBlk,
        Self::VirtioScsi,
        Self::Nvme,
        Self::Sata,
        Self::Usb,
    ];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::VirtioBlk => "virtio-blk",
            Self::VirtioScsi => "virtio-scsi",
            Self::Nvme => "nvme",
            Self::Sata => "sata",
            Self::Usb => "usb",
        }
    }

    /// How many characters of a serial number the guest sees.
    pub fn serial_room(self) -> usize {
        match self {
            Self::VirtioBlk | Self::Nvme | Self::Sata => 20,
            Self::VirtioScsi => 36,
            Self::Usb => 63,
        }
    }

    /// Whether QEMU takes such a disk while the guest runs.
    pub fn hot_plugs(self) -> bool {
        self != Self::Sata
    }
}

/// What QEMU does when a request of the guest fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// It tells the guest.
    #[default]
    Report,
    /// It pauses the guest. The request is tried again when the guest goes on.
    Stop,
    /// It tells the guest that all is well.
    Ignore,
    /// It pauses the guest on ENOSPC, and reports anything else.
    Enospc,
}

impl OnError {
    const ALL: [Self; 4] = [Self::Report, Self::Stop, Self::Ignore, Self::Enospc];

    /// Its word, which is QEMU's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Stop => "stop",
            Self::Ignore => "ignore",
            Self::Enospc => "enospc",
        }
    }
}

/// What a disk tells the guest of its write cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheType {
    /// It has one: the guest flushes.
    WriteBack,
    /// It has none: QEMU flushes after each write.
    WriteThrough,
}

impl CacheType {
    const ALL: [Self; 2] = [Self::WriteBack, Self::WriteThrough];

    /// Its words, which are those of Linux' files `cache_type` and `write_cache`.
    pub fn name(self) -> &'static str {
        match self {
            Self::WriteBack => "write back",
            Self::WriteThrough => "write through",
        }
    }
}

/// How a guest sees a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskHardware {
    /// What it hangs on.
    pub bus: DiskBus,
    /// Bytes of a sector in the guest; QEMU's default, 512, without.
    pub logical_block_size: Option<u32>,
    /// Bytes that it writes at once; the same as the logical ones without.
    pub physical_block_size: Option<u32>,
    /// Its serial number; its name without.
    pub serial: Option<String>,
    /// How many queues it has; QEMU's default without.
    pub queues: Option<u32>,
    /// When a read fails.
    pub rerror: OnError,
    /// When another request fails.
    pub werror: OnError,
    /// What it tells of its write cache; that it has one without.
    pub cache_type: Option<CacheType>,
}

/// The same, as it was given.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // docs/lua-reference.md says it.
pub struct HardwareKeys {
    pub bus: Option<String>,
    pub logical_block_size: Option<u64>,
    pub physical_block_size: Option<u64>,
    pub serial: Option<String>,
    pub queues: Option<u64>,
    pub rerror: Option<String>,
    pub werror: Option<String>,
    pub cache_type: Option<String>,
}

impl HardwareKeys {
    /// The names of all keys.
    pub const NAMES: [&str; 8] = [
        "bus",
        "logical_block_size",
        "physical_block_size",
        "serial",
        "queues",
        "rerror",
        "werror",
        "cache_type",
    ];

    /// What they describe; an error if a value is wrong, or one that the bus does not have.
    pub fn checked(self) -> Result<DiskHardware, String> {
        let bus = word("bus", self.bus, &DiskBus::ALL, DiskBus::name)?.unwrap_or_default();
        let policy = |key, text| word(key, text, &OnError::ALL, OnError::name);
        let (rerror, werror) = (
            policy("rerror", self.rerror)?,
            policy("werror", self.werror)?,
        );
        if rerror == Some(OnError::Enospc) {
            return Err("`rerror` expects `report`, `stop` or `ignore`: a read does not run out of space; `werror` has `enospc`".into());
        }
        let always = rerror.or(werror).filter(|_| bus == DiskBus::Nvme);
        if always.is_some_and(|policy| policy != OnError::Report) {
            return Err(
                "QEMU's nvme reports each error to the guest: `rerror` and `werror` are for the other buses".into(),
            );
        }
        let cache_type = word(
            "cache_type",
            self.cache_type,
            &CacheType::ALL,
            CacheType::name,
        )?;
        if bus == DiskBus::Nvme && cache_type == Some(CacheType::WriteThrough) {
            return Err("QEMU's nvme always tells the guest of a write cache: leave `cache_type` out, or take another `bus`".into());
        }
        let hardware = DiskHardware {
            bus,
            logical_block_size: block_size("logical_block_size", self.logical_block_size)?,
            physical_block_size: block_size("physical_block_size", self.physical_block_size)?,
            serial: self.serial,
            queues: queues(bus, self.queues)?,
            rerror: rerror.unwrap_or_default(),
            werror: werror.unwrap_or_default(),
            cache_type,
        };
        hardware.sizes_fit()?;
        hardware.serial_fits()?;
        Ok(hardware)
    }
}

impl DiskHardware {
    fn sizes_fit(&self) -> Result<(), String> {
        let logical = self.logical_block_size.unwrap_or(SMALLEST_BLOCK as u32);
        if u64::from(logical) > LARGEST_SECTOR {
            return Err(format!(
                "`logical_block_size` is {logical}, and Linux takes sectors of {LARGEST_SECTOR} bytes at most"
            ));
        }
        if self.bus == DiskBus::Sata && logical != 512 {
            return Err(format!(
                "QEMU's SATA disks have sectors of 512 bytes, not {logical}: leave `logical_block_size` out (`physical_block_size` can be 4096), or take another `bus`"
            ));
        }
        match self.physical_block_size {
            Some(physical) if physical < logical => Err(format!(
                "`physical_block_size` is {physical}, and cannot be smaller than the logical one, {logical}"
            )),
            _ => Ok(()),
        }
    }

    fn serial_fits(&self) -> Result<(), String> {
        let Some(serial) = &self.serial else {
            return Ok(());
        };
        let (bus, room) = (self.bus.name(), self.bus.serial_room());
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._:+-".contains(c);
        if serial.is_empty() || !serial.chars().all(is_plain) {
            return Err(format!(
                "`serial` expects letters, digits and `._:+-`, not {serial:?}: it is part of a file name in the guest"
            ));
        }
        match serial.len() > room {
            true => Err(format!(
                "`serial` has {} characters, and {bus} has room for {room}",
                serial.len()
            )),
            false => Ok(()),
        }
    }
}

impl fmt::Display for DiskBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DiskBus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        one_of("bus", text, &Self::ALL, Self::name)
    }
}

fn block_size(key: &str, given: Option<u64>) -> Result<Option<u32>, String> {
    let fits =
        |size: &u64| size.is_power_of_two() && (SMALLEST_BLOCK..=LARGEST_BLOCK).contains(size);
    match given {
        Some(size) if !fits(&size) => Err(format!("`{key}` expects {BLOCK_SIZE}, not {size}")),
        size => Ok(size.map(|size| size as u32)),
    }
}

fn queues(bus: DiskBus, given: Option<u64>) -> Result<Option<u32>, String> {
    match given {
        None => Ok(None),
        Some(_) if matches!(bus, DiskBus::Sata | DiskBus::Usb) => Err(format!(
            "a disk on {bus} has one queue: leave `queues` out, or take another `bus`"
        )),
        Some(count @ 1..=MOST_QUEUES) => Ok(Some(count as u32)),
        Some(count) => Err(format!("`queues` expects 1 to {MOST_QUEUES}, not {count}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(bus: &str) -> HardwareKeys {
        HardwareKeys {
            bus: Some(bus.to_owned()),
            ..HardwareKeys::default()
        }
    }

    #[test]
    fn disk_without_a_word_about_it_is_virtio_blk_that_reports_errors() {
        let hardware = HardwareKeys::default().checked().unwrap();
        assert_eq!(hardware, DiskHardware::default());
        assert_eq!(hardware.bus, DiskBus::VirtioBlk);
        assert_eq!(
            (hardware.rerror, hardware.werror),
            (OnError::Report, OnError::Report)
        );
    }

    #[test]
    fn bus_is_one_of_five_and_a_wrong_one_names_the_nearest() {
        for bus in DiskBus::ALL {
            assert_eq!(on(bus.name()).checked().unwrap().bus, bus);
        }
        let error = on("virtio-scis").checked().unwrap_err();
        assert!(error.contains("did you mean `virtio-scsi`?"), "{error}");
        assert!(error.contains("\"sata\", \"usb\""), "{error}");
    }

    #[test]
    fn cache_type_is_spelled_as_the_kernel_or_as_qemu_does() {
        for (text, expected) in [
            ("write back", CacheType::WriteBack),
            ("writeback", CacheType::WriteBack),
            ("write through", CacheType::WriteThrough),
            ("writethrough", CacheType::WriteThrough),
        ] {
            let keys = HardwareKeys {
                cache_type: Some(text.into()),
                ..on("virtio-blk")
            };
            assert_eq!(keys.checked().unwrap().cache_type, Some(expected), "{text}");
        }
    }

    #[test]
    fn nvme_has_a_write_cache_in_any_case() {
        let keys = |bus| HardwareKeys {
            cache_type: Some("write through".into()),
            ..on(bus)
        };
        assert!(keys("nvme").checked().unwrap_err().contains("always tells"));
        assert!(keys("usb").checked().is_ok());
    }

    #[test]
    fn what_a_bus_lacks_is_an_error() {
        let wrong = |keys: HardwareKeys, part: &str| {
            let error = keys.checked().unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        let of = |bus| on(bus);
        wrong(
            HardwareKeys {
                queues: Some(2),
                ..of("usb")
            },
            "one queue",
        );
        wrong(
            HardwareKeys {
                queues: Some(0),
                ..of("nvme")
            },
            "1 to 64",
        );
        wrong(
            HardwareKeys {
                rerror: Some("stop".into()),
                ..of("nvme")
            },
            "reports each error",
        );
        wrong(
            HardwareKeys {
                rerror: Some("enospc".into()),
                ..of("usb")
            },
            "`werror` has `enospc`",
        );
        wrong(
            HardwareKeys {
                logical_block_size: Some(4096),
                ..of("sata")
            },
            "512 bytes",
        );
        wrong(
            HardwareKeys {
                logical_block_size: Some(1000),
                ..of("usb")
            },
            "a power of two",
        );
        wrong(
            HardwareKeys {
                logical_block_size: Some(8192),
                ..of("nvme")
            },
            "4096 bytes at most",
        );
        let sizes = HardwareKeys {
            logical_block_size: Some(4096),
            physical_block_size: Some(512),
            ..of("nvme")
        };
        wrong(sizes, "cannot be smaller");
        wrong(
            HardwareKeys {
                serial: Some("a/b".into()),
                ..of("nvme")
            },
            "letters, digits",
        );
        let long = "x".repeat(21);
        wrong(
            HardwareKeys {
                serial: Some(long.clone()),
                ..of("nvme")
            },
            "room for 20",
        );
        assert!(
            HardwareKeys {
                serial: Some(long),
                ..of("virtio-scsi")
            }
            .checked()
            .is_ok()
        );
    }
}
