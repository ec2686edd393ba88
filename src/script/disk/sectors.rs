//! Reading and writing sectors.

use mlua::LuaString;

use super::error::{DiskError, MOST_SECTORS};
use super::handle::Disk;
use crate::client::DataFile;
use crate::protocol::names::SECTOR;
use crate::script::bind::{CallResult, Methods};
use crate::script::context::Context;
use crate::vm::DiskRecord;

/// The longest read, in bytes, that does not look at the disk's size first.
const SURELY_FITS: u64 = 16 << 20;

/// Adds the sector calls of the documents.
pub(super) fn add(methods: &Methods<'_>) -> mlua::Result<()> {
    methods.add("size", size)?;
    methods.add("read_sectors", read_sectors)?;
    methods.add("write_sectors", write_sectors)
}

fn size(_: &Context, disk: &Disk, (): ()) -> CallResult<u64> {
    Ok(disk.record().size()?)
}

fn read_sectors(context: &Context, disk: &Disk, (offset, n): (i64, i64)) -> CallResult<LuaString> {
    let bytes = read(disk, offset, n)?;
    Ok(context.lua().create_string(bytes)?)
}

fn write_sectors(_: &Context, disk: &Disk, (offset, data): (i64, LuaString)) -> CallResult<()> {
    let start = bytes("offset", offset)?;
    let mut record = disk.record_mut();
    Ok(data_of(&mut record)?.write(start, &data.as_bytes())?)
}

/// Reads sectors; at the end of the disk fewer bytes than asked for.
fn read(disk: &Disk, offset: i64, sectors: i64) -> Result<Vec<u8>, DiskError> {
    let start = bytes("offset", offset)?;
    let sectors = u64::try_from(sectors).map_err(|_| DiskError::Negative("n"))?;
    let mut len = sectors.saturating_mul(SECTOR);
    let mut record = disk.record_mut();
    // Before memory is allocated: a mistyped number may ask for more than there is.
    if len > SURELY_FITS {
        len = len.min(record.size()?.saturating_sub(start));
    }
    Ok(data_of(&mut record)?.read(start, len as usize)?)
}

fn data_of(record: &mut DiskRecord) -> Result<&DataFile, DiskError> {
    if record.is_detached() {
        return Err(DiskError::Detached);
    }
    record.data()?.ok_or(DiskError::NoImage)
}

/// A number of sectors from Lua, in bytes.
fn bytes(what: &'static str, sectors: i64) -> Result<u64, DiskError> {
    let number = u64::try_from(sectors).map_err(|_| DiskError::Negative(what))?;
    match number <= MOST_SECTORS {
        true => Ok(number * SECTOR),
        false => Err(DiskError::TooFar { what, sectors }),
    }
}
