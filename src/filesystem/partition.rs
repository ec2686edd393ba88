//! Where partitions begin: those of a GPT, and the primary and logical ones of an MBR.

use super::error::LocateError;
use super::image::{Image, Numbers};
use crate::protocol::names::SECTOR;

/// Where the table of an MBR lies, and its four entries of 16 bytes.
const ENTRIES: usize = 446;
const ENTRY: usize = 16;
/// The type of the one entry of a disk with a GPT.
const PROTECTIVE: u8 = 0xee;
/// The types of an extended partition, which has logical ones in it.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
/// The number of the first logical partition, whatever the primary ones are.
const FIRST_LOGICAL: u32 = 5;
/// As many as are looked for: bounds a chain that goes in a circle.
const MOST_LOGICAL: u32 = 256;

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

/// The partitions: number, and the byte at which it begins. An extended one has no file system, and is not among them.
fn all(image: &Image) -> Result<Vec<(u32, u64)>, LocateError> {
    let Some(entries) = table(image, 0)? else {
        return Ok(Vec::new());
    };
    if entries.iter().any(|entry| entry.kind == PROTECTIVE) {
        return gpt(image);
    }
    let mut all = Vec::new();
    for (number, entry) in (1..).zip(&entries).filter(|(_, entry)| entry.is_used()) {
        if !entry.is_extended() {
            all.push((number, entry.first * SECTOR));
        }
    }
    if let Some(extended) = entries.iter().find(|entry| entry.is_extended()) {
        all.extend(logical(image, extended.first)?);
    }
    Ok(all)
}

/// Those in the extended partition that begins at sector `extended`. Each has a table of its own before it: with it, counted
/// from this table, and with the place of the next table, counted from the begin of the extended partition.
fn logical(image: &Image, extended: u64) -> Result<Vec<(u32, u64)>, LocateError> {
    let mut found = Vec::new();
    let mut at = extended;
    for _ in 0..MOST_LOGICAL {
        let Some(entries) = table(image, at)? else {
            break;
        };
        let own = entries
            .iter()
            .find(|entry| entry.is_used() && !entry.is_extended());
        if let Some(own) = own {
            let number = FIRST_LOGICAL + found.len() as u32;
            found.push((number, (at + own.first) * SECTOR));
        }
        match entries.iter().find(|entry| entry.is_extended()) {
            Some(next) => at = extended + next.first,
            None => break,
        }
    }
    Ok(found)
}

/// A partition in a table.
struct Entry {
    kind: u8,
    first: u64,
    sectors: u64,
}

impl Entry {
    fn is_used(&self) -> bool {
        self.kind != 0 && self.sectors != 0
    }

    fn is_extended(&self) -> bool {
        self.is_used() && EXTENDED.contains(&self.kind)
    }
}

/// The table in `sector`, if it has one.
fn table(image: &Image, sector: u64) -> Result<Option<Vec<Entry>>, LocateError> {
    let bytes = image.read(sector.saturating_mul(SECTOR), SECTOR as usize)?;
    if bytes[510..] != [0x55, 0xaa] {
        return Ok(None);
    }
    let entries = bytes[ENTRIES..510].chunks(ENTRY).map(|entry| Entry {
        kind: entry[4],
        first: entry.le32(8),
        sectors: entry.le32(12),
    });
    Ok(Some(entries.collect()))
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
