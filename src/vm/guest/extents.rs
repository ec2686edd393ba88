//! Where the content of a file lies on its disk, as the guest's kernel says it (FIEMAP).

use crate::fault::Sectors;
use crate::vm::qemu::drive::Drive;
use crate::vm::{Vm, VmError};

/// Prints the disk below the file system of `$1` in lines of a word and a value; then an empty line, and what filefrag
/// or xfs_io says of its extents, in sectors.
const LOOK: &str = r#"
    [ -e "$1" ] || { echo "$1: No such file or directory" >&2; exit 1; }
    sync -- "$1" 2>/dev/null
    number=$(stat -L -c %d -- "$1") || exit
    major=$((number >> 8 & 0xfff)) minor=$((number & 0xff | number >> 12 & 0xfff00))
    echo "type $(stat -f -L -c %T -- "$1")"
    echo "magic $(stat -f -L -c %t -- "$1")"
    name=
    if sys=$(readlink -f "/sys/dev/block/$major:$minor") && [ -d "$sys" ]; then
        start=0
        if [ -e "$sys/partition" ]; then read -r start <"$sys/start"; sys=${sys%/*}; fi
        name=${sys##*/}
        echo "name $name"
        echo "start $start"
        if read -r serial 2>/dev/null <"$sys/serial"; then echo "serial $serial"; fi
        for link in /dev/disk/by-id/*; do
            if [ "$(readlink -f "$link")" = "/dev/$name" ]; then echo "link $link"; fi
        done
    fi
    echo
    [ "$name" ] || exit 0
    if command -v filefrag >/dev/null; then exec filefrag -b512 -v -- "$1"; fi
    if command -v xfs_io >/dev/null; then exec xfs_io -r -c "fiemap -v" -- "$1"; fi
    echo "the guest has neither filefrag (e2fsprogs) nor xfs_io (xfsprogs)" >&2
    exit 1"#;

/// Marks of an extent whose place on the disk is not that of the content: unknown, not written yet, encoded, not in
/// whole blocks, in the inode. Source: FIEMAP_EXTENT_* of Linux.
const ELSEWHERE: u64 = 0x2 | 0x4 | 0x8 | 0x100 | 0x200;
const ELSEWHERE_WORDS: [&str; 6] = [
    "unknown",
    "delalloc",
    "encoded",
    "encrypted",
    "not_aligned",
    "inline",
];

/// BTRFS_SUPER_MAGIC of Linux. busybox does not know its name.
const BTRFS: &str = "9123683e";

impl Vm {
    /// The sectors of a disk that hold the content of `path` in the guest, as `at=` takes them, and the disk's ID.
    pub fn extents(&mut self, path: &str) -> Result<(String, String), VmError> {
        let printed = self.tool("/bin/sh", &["-c", LOOK, "sh", path])?;
        let printed = String::from_utf8_lossy(&printed).into_owned();
        let failed = |why: String| VmError::Guest(format!("{path} {why}"));
        let (place, list) = printed.split_once("\n\n").unwrap_or((&printed, ""));
        let place = Place::parse(place).map_err(failed)?;
        let drives = self.disks.plugged();
        let drive = drives.iter().find(|drive| place.is_on(drive));
        let drive = drive.ok_or_else(|| {
            failed(format!(
                "lies on {}, which is none of the disks of the VM: name a file on a disk itself",
                place.name
            ))
        })?;
        let sectors = parse(list, place.start).map_err(failed)?;
        Ok((crate::filesystem::show(&sectors), drive.id.clone()))
    }
}

/// Where a file system lies.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    /// The kernel's name of the disk.
    name: &'a str,
    /// The first sector of the file system.
    start: u64,
    serial: &'a str,
    links: Vec<&'a str>,
}

impl<'a> Place<'a> {
    /// Err is the end of a sentence about the file.
    fn parse(text: &'a str) -> Result<Self, String> {
        let values = |word: &'static str| {
            let of_word = move |line: &'a str| line.strip_prefix(word)?.strip_prefix(' ');
            text.lines().filter_map(of_word)
        };
        let kind = values("type").next().unwrap_or("UNKNOWN");
        // Its files have addresses of its own, which it maps to one or more disks.
        if values("magic").next() == Some(BTRFS) {
            return Err(
                "is in btrfs, which has addresses of its own: its extents are not sectors".into(),
            );
        }
        let name = values("name").next();
        Ok(Self {
            name: name.ok_or_else(|| match kind {
                "UNKNOWN" => "is in a file system that is on no disk".to_owned(),
                kind => format!("is in {kind}, which is on no disk"),
            })?,
            start: values("start")
                .next()
                .and_then(|start| start.parse().ok())
                .unwrap_or(0),
            serial: values("serial").next().unwrap_or_default(),
            links: values("link").collect(),
        })
    }

    fn is_on(&self, drive: &Drive) -> bool {
        let link = drive.link();
        self.links.contains(&link.as_str()) || self.serial == drive.serial()
    }
}

/// The extents that filefrag or xfs_io has listed, `first` sectors further. Err is the end of a sentence about the file.
fn parse(list: &str, first: u64) -> Result<Vec<Sectors>, String> {
    let extents: Vec<_> = list.lines().filter_map(extent).collect();
    if extents.iter().any(|extent| extent.is_elsewhere) {
        return Err("has content that is not on the disk as it is: not written yet, in its inode, or compressed".into());
    }
    let mut all: Vec<_> = extents.into_iter().map(|extent| extent.sectors).collect();
    if all.is_empty() {
        return Err("has no sectors: it is empty".into());
    }
    all.sort_by_key(|sectors| sectors.start);
    let mut merged: Vec<Sectors> = Vec::new();
    for Sectors { start, count } in all {
        let start = start + first;
        match merged.last_mut() {
            Some(last) if start <= last.start + last.count => {
                last.count = last.count.max(start + count - last.start);
            }
            _ => merged.push(Sectors { start, count }),
        }
    }
    Ok(merged)
}

struct Extent {
    sectors: Sectors,
    is_elsewhere: bool,
}

/// `0: 0.. 4095: 270336.. 274431: 4096: last,eof` of filefrag, or `0: [0..4095]: 192..4287 4096 0x1` of xfs_io.
fn extent(line: &str) -> Option<Extent> {
    let (number, rest) = line.trim().split_once(':')?;
    number.parse::<u64>().ok()?;
    let (_logical, rest) = rest.split_once(':')?;
    let (from, rest) = rest.split_once("..")?;
    let from: u64 = from.trim().parse().ok()?;
    let rest = rest.trim_start();
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let to: u64 = rest[..digits].parse().ok()?;
    let marks = rest.split([' ', ':', ',']);
    let mut words = marks.filter(|word| !word.is_empty());
    let is_elsewhere = words.any(|word| match word.strip_prefix("0x") {
        Some(bits) => u64::from_str_radix(bits, 16).is_ok_and(|bits| bits & ELSEWHERE != 0),
        None => ELSEWHERE_WORDS.iter().any(|known| word.starts_with(known)),
    });
    Some(Extent {
        sectors: Sectors {
            start: from,
            count: (to + 1).checked_sub(from)?,
        },
        is_elsewhere,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filesystem::show;

    const FILEFRAG: &str = "\
Filesystem type is: ef53
File size of /m/a: 9 b is 2097152 (4096 blocks of 512 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..    2047:     270336..    272383:   2048:            
   1:     2048..    4095:     100000..    102047:   2048:     272384: last,unwritten,eof
/m/a: 2 extents found
";
    const XFS_IO: &str = "\
/m/a: 9 b:
 EXT: FILE-OFFSET      BLOCK-RANGE      TOTAL FLAGS
   0: [0..7]:          192..199             8   0x0
   1: [8..15]:         hole                 8
   2: [16..31]:        200..215            16 0x801
";

    #[test]
    fn extents_of_filefrag_and_xfs_io_are_sectors_of_the_disk() {
        let text = |list, first| parse(list, first).map(|sectors| show(&sectors));
        assert_eq!(text(FILEFRAG, 0).unwrap(), "100000+2048,270336+2048");
        assert_eq!(text(XFS_IO, 2048).unwrap(), "2240+24");
        assert_eq!(text("", 0).unwrap_err(), "has no sectors: it is empty");
    }

    #[test]
    fn content_that_is_not_on_the_disk_as_it_is_is_an_error() {
        for list in [
            "   0:        0..       7:          0..         7:      8:             last,not_aligned,inline,eof",
            "   0:        0..       7:          0..         7:      8:             last,unknown_loc,delalloc,eof",
            "   0: [0..7]:          0..7             8   0x7",
        ] {
            let error = parse(list, 0).unwrap_err();
            assert!(error.contains("not on the disk as it is"), "{error}");
        }
    }

    #[test]
    fn place_is_that_of_the_disk_and_not_of_a_file_system_without_one() {
        let place =
            "type ext2/ext3\nname vda\nstart 2048\nserial data\nlink /dev/disk/by-id/virtio-data";
        let place = Place::parse(place).unwrap();
        assert_eq!(
            (place.name, place.start, place.serial),
            ("vda", 2048, "data")
        );
        assert_eq!(place.links, ["/dev/disk/by-id/virtio-data"]);
        let error = Place::parse("type tmpfs").unwrap_err();
        assert_eq!(error, "is in tmpfs, which is on no disk");
        let error = Place::parse("type UNKNOWN\nmagic 9123683e").unwrap_err();
        assert!(error.starts_with("is in btrfs"), "{error}");
    }
}
