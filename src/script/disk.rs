//! The `disk` of the documents.

use std::cell::RefCell;
use std::rc::Rc;

use mlua::{Lua, UserData, UserDataMethods};

use super::bind::{Methods, look_up};
use super::context::{Context, SharedVm};
use crate::client::{ClientError, DataError};
use crate::protocol::names::SECTOR;
use crate::vm::{DiskRecord, VmError};

const CLASS: &str = "disk";

/// Bytes that a read may ask for without a look at the size first.
const SURELY_FITS: u64 = 16 << 20;

/// As far as a file can be addressed.
const MOST_SECTORS: u64 = i64::MAX as u64 / SECTOR;

/// A handle on a disk. The disk's state is not here but with the disk.
pub(super) struct Disk {
    pub(super) vm: SharedVm,
    pub(super) record: Rc<RefCell<DiskRecord>>,
}

impl UserData for Disk {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        look_up(methods, CLASS);
    }
}

/// Why a sector call failed, in the words of the documents.
#[derive(Debug, thiserror::Error)]
pub(super) enum SectorError {
    #[error("disk is detached")]
    Detached,
    #[error("no backing image — disk:with_image required")]
    NoImage,
    #[error("{0} must not be negative")]
    Negative(&'static str),
    #[error("{what} is {sectors}: no disk has more than {MOST_SECTORS} sectors")]
    TooFar { what: &'static str, sectors: i64 },
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Adds the methods of the documents.
pub(super) fn register(context: &Context) -> mlua::Result<()> {
    let methods = Methods::of(context, CLASS)?;
    methods.add("disk:size", |_, disk: &Disk, ()| {
        disk.record.borrow().size()
    })?;
    methods.add(
        "disk:read_sectors",
        |lua: &Lua, disk: &Disk, (offset, n)| {
            let bytes = read_sectors(disk, offset, n).map_err(|error| error.to_string())?;
            lua.create_string(bytes).map_err(|error| error.to_string())
        },
    )?;
    methods.add(
        "disk:write_sectors",
        |_, disk: &Disk, (offset, data): (i64, mlua::LuaString)| {
            write_sectors(disk, offset, &data.as_bytes())
        },
    )?;
    methods.add("disk:clear_faults", |_, disk: &Disk, ()| {
        disk.record.borrow_mut().clear_faults()
    })?;
    methods.add("disk:active_faults", |_, disk: &Disk, ()| {
        disk.record.borrow().faults()
    })?;
    methods.add("disk:detach", |_, disk: &Disk, ()| {
        disk.vm.borrow_mut().detach_disk(&disk.record);
        Ok::<_, VmError>(())
    })?;
    methods.add("disk:is_detached", |_, disk: &Disk, ()| {
        Ok::<_, VmError>(disk.record.borrow().is_detached())
    })?;
    methods.add("disk:id", |_, disk: &Disk, ()| {
        Ok::<_, VmError>(disk.record.borrow().id().to_owned())
    })?;
    methods.add("disk:path", |_, disk: &Disk, ()| {
        let path = disk.record.borrow().path();
        let path = path.ok_or(SectorError::NoImage)?;
        Ok::<_, SectorError>(path.to_string_lossy().into_owned())
    })?;
    super::disk_faults::add(&methods, context)?;
    super::disk_policy::add(&methods)?;
    methods.register()
}

/// What is there of these sectors: less than was asked for at the end of the disk.
fn read_sectors(disk: &Disk, offset: i64, sectors: i64) -> Result<Vec<u8>, SectorError> {
    let start = bytes("offset", offset)?;
    let sectors = u64::try_from(sectors).map_err(|_| SectorError::Negative("n"))?;
    let mut len = sectors.saturating_mul(SECTOR);
    let mut record = disk.record.borrow_mut();
    // Before memory is asked for: a slip of the pen may ask for more than there is.
    if len > SURELY_FITS {
        len = len.min(record.size()?.saturating_sub(start));
    }
    Ok(data_of(&mut record)?.read(start, len as usize)?)
}

fn write_sectors(disk: &Disk, offset: i64, data: &[u8]) -> Result<(), SectorError> {
    let start = bytes("offset", offset)?;
    let mut record = disk.record.borrow_mut();
    Ok(data_of(&mut record)?.write(start, data)?)
}

fn data_of(record: &mut DiskRecord) -> Result<&crate::client::DataFile, SectorError> {
    if record.is_detached() {
        return Err(SectorError::Detached);
    }
    record.data()?.ok_or(SectorError::NoImage)
}

fn bytes(what: &'static str, sectors: i64) -> Result<u64, SectorError> {
    let number = u64::try_from(sectors).map_err(|_| SectorError::Negative(what))?;
    match number <= MOST_SECTORS {
        true => Ok(number * SECTOR),
        false => Err(SectorError::TooFar { what, sectors }),
    }
}
