//! `MNT` and `MNT[/ID]`: the mount or the disk that a command is for, and what is wrong with a path that is neither.

use std::path::{Path, PathBuf};

use super::exit::UsageError;
use crate::client::{ClientError, DiskControl, MountClient};
use crate::os::mounts::{self, Mount};
use crate::os::{folders, sys};
use crate::protocol::names::{BadId, CTL, valid_id};
use crate::units::text::shown;

/// The most mounts that an error names.
const NAMED: usize = 4;

/// What `MNT[/ID]` names.
#[derive(Debug)]
pub(super) enum Target {
    /// All disks of a mount.
    Mount(MountClient),
    /// One disk.
    Disk(DiskControl),
}

impl Target {
    /// The target at `path`.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let absolute = std::path::absolute(path)?;
        let parent = absolute.parent().map(mounts::find).transpose()?.flatten();
        // A path in a mount is not asked for a mount of its own: a stopped server would not answer.
        if parent.is_none() {
            match MountClient::open(path) {
                Err(ClientError::NotAMount(_)) => {}
                mount => return Ok(Self::Mount(mount?)),
            }
        }
        match disk(path) {
            Err(error) if is_not_in_a_mount(&error) => Err(neither(path)),
            disk => disk.map(Self::Disk),
        }
    }

    /// The disks: all of a mount, or the one.
    pub(super) fn disks(&self) -> Result<Vec<DiskControl>, ClientError> {
        match self {
            Self::Mount(mount) => mount.all(),
            Self::Disk(disk) => Ok(vec![disk.clone()]),
        }
    }

    /// The disks to arm a rule on: at least one.
    pub(super) fn disks_for_rules(&self) -> anyhow::Result<Vec<DiskControl>> {
        match (self, self.disks()?) {
            (Self::Mount(mount), disks) if disks.is_empty() => {
                let point = shown(mount.point());
                anyhow::bail!(
                    "{point} has no disks; add one with `provium attach {point} ID IMAGE`"
                )
            }
            (_, disks) => Ok(disks),
        }
    }

    /// What stands before a line about `disk`: its ID, if the target is not the disk itself.
    pub(super) fn name_before(&self, disk: &DiskControl) -> String {
        match self {
            Self::Mount(_) => format!("{} ", disk.id()),
            Self::Disk(_) => String::new(),
        }
    }
}

/// Says that a path is in no mount.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotInAMount(String);

fn is_not_in_a_mount(error: &anyhow::Error) -> bool {
    error.is::<NotInAMount>()
}

/// The mount at `path`.
pub(super) fn mount(path: &Path) -> anyhow::Result<MountClient> {
    MountClient::open(path).map_err(|error| match error {
        ClientError::NotAMount(path) => not_a_mount(&path),
        error => error.into(),
    })
}

/// The disk at `path`, which is `MNT/ID`.
pub(super) fn disk(path: &Path) -> anyhow::Result<DiskControl> {
    let path = std::path::absolute(path)?;
    let parts = path
        .parent()
        .zip(path.file_name().and_then(|id| id.to_str()));
    let Some((point, id)) = parts else {
        return Err(UsageError(format!("`{}` is not MNT/ID", shown(&path))).into());
    };
    let mount = mount(point)?;
    must_be_valid(id)?;
    Ok(mount.disk(id)?)
}

/// A usage error for an ID that no disk can have.
pub(super) fn must_be_valid(id: &str) -> Result<(), UsageError> {
    match valid_id(id) {
        true => Ok(()),
        false => Err(UsageError(BadId(id.to_owned()).to_string())),
    }
}

/// Why `path` is no mount, and what the user may have meant.
pub(super) fn not_a_mount(path: &Path) -> anyhow::Error {
    if let Some(point) = mount_around(path) {
        return anyhow::anyhow!(in_a_mount(path, &point));
    }
    let error = ClientError::NotAMount(path.to_owned());
    NotInAMount(format!("{error}{}", mounted_now())).into()
}

/// Why there is nothing to unmount at `point`.
pub(super) fn nothing_mounted(point: &Path) -> anyhow::Error {
    match mount_around(point) {
        Some(mount) => anyhow::anyhow!(in_a_mount(point, &mount)),
        None => anyhow::anyhow!("{} is not a provium mount{}", shown(point), mounted_now()),
    }
}

/// Neither `path` nor the folder that it is in is a mount.
fn neither(path: &Path) -> anyhow::Error {
    let folder = match path.parent() {
        Some(folder) if !path.is_dir() && folder != Path::new("") => folder,
        _ => return not_a_mount(path),
    };
    let (path, folder) = (shown(path), shown(folder));
    anyhow::anyhow!(
        "neither {path} nor {folder} is a provium mount: start one with `provium mount MNT --disk vda=IMAGE`{}",
        mounted_now()
    )
}

/// The mount in which `path` lies. Asks the kernel's table alone.
fn mount_around(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    let mut above = absolute.ancestors().skip(1);
    above.find_map(|folder| Some(mounts::find(folder).ok()??.point))
}

/// `path` lies in the mount at `point`: a disk where a mount is expected, or a control file.
fn in_a_mount(path: &Path, point: &Path) -> String {
    let (shown_path, shown_point) = (shown(path), shown(point));
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let inside = absolute.strip_prefix(point).unwrap_or(path);
    let mut words = inside.iter().filter_map(|word| word.to_str());
    match (words.next(), words.next()) {
        (Some(CTL), None) => format!(
            "{shown_path} holds the control files of the mount {shown_point}: name the mount itself"
        ),
        (Some(CTL), Some(id)) => format!(
            "{shown_path} is a control file: name the mount, {shown_point}, or the disk, {shown_point}/{id}"
        ),
        _ => format!("{shown_path} is in the mount {shown_point}: name the mount itself here"),
    }
}

/// ` (mounted: ...)`, with the mounts of this user, or nothing without any. Those of VMs are not for users.
fn mounted_now() -> String {
    let mounts = mounts::list().unwrap_or_default();
    let of_vms = folders::runtimes_of(sys::uid());
    let is_of_a_vm = |mount: &Mount| of_vms.iter().any(|folder| mount.point.starts_with(folder));
    let ours = mounts
        .iter()
        .filter(|mount| mount.is_ours() && !is_of_a_vm(mount));
    let mut points: Vec<_> = ours.map(|mount| shown(&mount.point)).collect();
    let all = points.len();
    points.truncate(NAMED);
    if all > NAMED {
        points.push(format!("and {} more", all - NAMED));
    }
    match points.is_empty() {
        true => String::new(),
        false => format!(" (mounted: {})", points.join(", ")),
    }
}
