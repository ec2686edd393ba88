//! `provium attach` and `provium detach`.

use std::path::PathBuf;

use super::Exit;
use crate::client::MountClient;

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
    MountClient::open(&args.mount_point)?.attach(&args.id, &image, args.ro)?;
    Ok(Exit::Done)
}

pub(super) fn detach(args: &DetachArgs) -> anyhow::Result<Exit> {
    MountClient::open(&args.mount_point)?.detach(&args.id)?;
    Ok(Exit::Done)
}
