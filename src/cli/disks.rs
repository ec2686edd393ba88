//! `provium attach` and `provium detach`.

use std::path::PathBuf;

use super::Exit;
use crate::client::MountClient;
use crate::disk_options::DiskOptions;

/// Add a disk to a mount
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  provium attach /tmp/m vdb second.img --ro")]
pub(super) struct AttachArgs {
    /// The mount
    #[arg(value_name = "MNT")]
    mount_point: PathBuf,
    /// The disk's name in the mount
    id: String,
    /// Its image
    image: PathBuf,
    /// Serve it for reading only
    #[arg(long)]
    ro: bool,
    /// Never let it grow: a write at its end is ENOSPC, as on a real disk
    #[arg(long)]
    fixed: bool,
}

/// Take a disk away from a mount
#[derive(Debug, clap::Args)]
pub(super) struct DetachArgs {
    /// The mount
    #[arg(value_name = "MNT")]
    mount_point: PathBuf,
    /// The disk's name
    id: String,
}

pub(super) fn attach(args: &AttachArgs) -> anyhow::Result<Exit> {
    let image = std::path::absolute(&args.image)?;
    let options = DiskOptions {
        read_only: args.ro,
        fixed: args.fixed,
    };
    MountClient::open(&args.mount_point)?.attach(&args.id, &image, options)?;
    Ok(Exit::Done)
}

pub(super) fn detach(args: &DetachArgs) -> anyhow::Result<Exit> {
    MountClient::open(&args.mount_point)?.detach(&args.id)?;
    Ok(Exit::Done)
}
