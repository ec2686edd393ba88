//! `provium attach` and `provium detach`.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::{Exit, output, target};
use crate::protocol::CacheMode;
use crate::protocol::disk_options::{DiskOptions, Scratch};
use crate::storage::format_warning;

/// Add a disk to a mount
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium attach /tmp/m vdb second.img --ro
  provium attach /tmp/m vdc third.img --cache volatile")]
pub(super) struct AttachArgs {
    /// The mount
    #[arg(value_name = "MNT")]
    mount_point: PathBuf,
    /// The disk's name in the mount
    id: String,
    /// The image
    image: PathBuf,
    /// Serve the image read-only
    #[arg(long)]
    ro: bool,
    /// Never let the image grow: a write past its end fails with ENOSPC, as on a real disk
    #[arg(long)]
    fixed: bool,
    /// With `volatile`, the disk has a write cache that a power cut empties
    #[arg(long, value_name = "off|volatile", default_value = "off", hide_default_value = true, hide_possible_values = true, value_parser = cache_mode())]
    cache: CacheMode,
    /// All changes are gone at the end; the image is only read, and others may read it too
    #[arg(long)]
    scratch: bool,
    /// Other disks with --share may have the same image: two paths to one disk, each with faults of its own
    #[arg(long)]
    share: bool,
}

fn cache_mode() -> impl TypedValueParser<Value = CacheMode> {
    let modes = [CacheMode::Off, CacheMode::Volatile].map(|mode| mode.to_string());
    PossibleValuesParser::new(modes).try_map(|mode| mode.parse())
}

/// Remove a disk from a mount
///
/// A disk that a client has open stays; `provium status` names the client.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  provium detach /tmp/m vdb")]
pub(super) struct DetachArgs {
    /// The mount
    #[arg(value_name = "MNT")]
    mount_point: PathBuf,
    /// The disk's name
    id: String,
}

pub(super) fn attach(args: &AttachArgs) -> anyhow::Result<Exit> {
    target::must_be_valid(&args.id)?;
    let image = std::path::absolute(&args.image)?;
    let options = DiskOptions {
        read_only: args.ro,
        fixed: args.fixed,
        cache: args.cache,
        scratch: if args.scratch {
            Scratch::Yes
        } else {
            Scratch::No
        },
        share: args.share,
    };
    target::mount(&args.mount_point)?.attach(&args.id, &image, options)?;
    output::step(|| {
        let (image, point) = (image.display(), args.mount_point.display());
        format!("attached {image} as {point}/{}", args.id)
    });
    warn_of_format(&image);
    Ok(Exit::Done)
}

pub(super) fn detach(args: &DetachArgs) -> anyhow::Result<Exit> {
    target::must_be_valid(&args.id)?;
    target::mount(&args.mount_point)?.detach(&args.id)?;
    output::step(|| {
        let point = args.mount_point.display();
        format!("detached {point}/{}; its image is flushed", args.id)
    });
    Ok(Exit::Done)
}

/// Warns of an image that is not raw.
pub(super) fn warn_of_format(image: &Path) {
    if let Some(warning) = format_warning(image) {
        output::warn(warning);
    }
}
