//! Where partitions begin: those of a GPT, and the primary ones of an MBR.

use super::error::LocateError;
use super::image::{Image, Numbers};
use crate::protocol::names::SECTOR;

/// Where the table of an MBR lies, and its four entries of 16 bytes.
const ENTRIES: usize = 446;
const ENTRY: usize = 16;
/// The type of the one entry of a disk with a GPT.
const PROTECTIVE: u8 = 0xee;

/// The byte at which partition `number` begins.
pub(super) fn begin(image: &Image, number: u32) -> Result<u64, LocateError> {
    let all = all(image)?;
    let found = all.iter().find(|(its, _)| *its == number);
    found.map(|(_, begin)| *begin).ok_or_else(|| {
        let hint = match all.is_empty() {
            true => ": it has no partition table".into(),
            false => format!(" (it has {})", numbers(&all)),
        };
        LocateError::NoPartition {
            image: image.path().to_owned(),
            number,
            hint,
        }
    })
}

/// What to do with an image that has partitions.
pub(super) fn hint(image: &Image) -> Result<String, LocateError> {
    let all = all(image)?;
    Ok(match all.is_empty() {
        true => String::new(),
        false => format!(
            "; it has partitions: name one of them with `--partition` ({})",
            numbers(&all)
        ),
    })
}

fn numbers(all: &[(u32, u64)]) -> String {
    let numbers = all.iter().map(|(number, _)| number.to_string());
    numbers.collect::<Vec<_>>().join(", ")
}

/// The partitions: number, and the byte at which it begins.
fn all(image: &Image) -> Result<Vec<(u32, u64)>, LocateError> {
    let first = image.read(0, SECTOR as usize)?;
    if first[510..] != [0x55, 0xaa] {
        return Ok(Vec::new());
    }
    let entries = || (1..).zip(first[ENTRIES..510].chunks(ENTRY));
    if entries().any(|(_, entry)| entry[4] == PROTECTIVE) {
        return gpt(image);
    }
    let used = entries().filter(|(_, entry)| entry[4] != 0 && entry.le32(12) != 0);
    Ok(used
        .map(|(number, entry)| (number, entry.le32(8) * SECTOR))
        .collect())
}

/// Those of a GPT, whose header is in the second sector; these have 512 or 4096 bytes.
fn gpt(image: &Image) -> Result<Vec<(u32, u64)>, LocateError> {
    for sector in [SECTOR, 4096] {
        let header = image.read(sector, 92)?;
        if header[..8] != *b"EFI PART" {
            continue;
        }
        let (table, count, size) = (header.le64(72), header.le32(80), header.le32(84));
        if !(128..=4096).contains(&size) || count > 1024 {
            return Err(image.damaged(
                "partition table",
                format!("{count} entries of {size} bytes"),
            ));
        }
        let table = table
            .checked_mul(sector)
            .ok_or_else(|| image.damaged("partition table", "it lies nowhere"))?;
        let entries = image.read(table, (count * size) as usize)?;
        let used = (1..)
            .zip(entries.chunks(size as usize))
            .filter(|(_, entry)| entry[..16] != [0; 16]);
        return Ok(used
            .map(|(number, entry)| (number, entry.le64(32).saturating_mul(sector)))
            .collect());
    }
    Ok(Vec::new())
}
