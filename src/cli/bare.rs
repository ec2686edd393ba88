//! `provium bare`: what the bench compares the mount with. For nobody else.

use std::path::PathBuf;

use super::Exit;
use crate::fuse::serve_bare;

/// Serve one image as MNT/vda through a bare FUSE passthrough, in the foreground
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An empty folder
    #[arg(value_name = "MNT")]
    mount_point: PathBuf,
    image: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    serve_bare(&args.mount_point, &args.image)?;
    Ok(Exit::Done)
}
