//! `provium sectors`: where the parts of a file system lie on its disk, as `at=` takes them.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::number::whole;
use super::{Exit, output, target};
use crate::filesystem::{self, Begin, Found, Part};
use crate::os::mounts;
use crate::protocol::CacheMode;
use crate::protocol::disk_options::Scratch;
use crate::units::size::parse_size;
use crate::units::text;

/// Print where a part of a file system lies, as `at=` takes it
///
/// Knows ext2, ext3 and ext4 (with dumpe2fs and debugfs) and xfs (with xfs_db, for files). What a mounted file system has
/// not written yet is not in its image: unmount it first, or run `sync`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium sectors disk.img superblock
  provium fault /tmp/m/vda eio_write at=$(provium sectors /tmp/m/vda journal)
  provium sectors disk.img file:/etc/passwd --partition 1
  provium sectors disk.img inodes --json | jq .sectors

superblock  the superblock with all its copies
journal     the journal of ext3 and ext4, the log of xfs
inodes      the tables of inodes of ext, the chunks of inodes of xfs
file:/PATH  the content of a file or folder, whose path begins where the file system is mounted")]
pub(super) struct Args {
    /// A raw image, a block device, or a disk of a mount
    #[arg(value_name = "IMAGE|MNT/ID")]
    image: PathBuf,
    /// superblock, journal, inodes or file:/PATH
    #[arg(value_name = "PART")]
    part: Part,
    /// The file system is in this partition
    #[arg(long, value_name = "N", value_parser = whole(1..=1024_u32))]
    partition: Option<u32>,
    /// The file system begins at this byte, a multiple of 512; with a unit, such as 1M
    #[arg(long, value_name = "SIZE", value_parser = offset, conflicts_with = "partition")]
    offset: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn offset(text: &str) -> Result<u64, String> {
    let expects = "expects a number of bytes that is a multiple of 512, such as 1M";
    let bytes = parse_size(text).filter(|bytes| bytes % 512 == 0);
    bytes.ok_or_else(|| expects.into())
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let begin = match args.partition {
        Some(number) => Begin::Partition(number),
        None => Begin::Byte(args.offset.unwrap_or(0)),
    };
    let image = source(&args.image)?;
    let found = filesystem::find(&image, begin, &args.part)?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&json_of(args, &found))?),
        false => println!("{}", filesystem::show(&found.sectors)),
    }
    Ok(Exit::Done)
}

fn json_of(args: &Args, found: &Found) -> serde_json::Value {
    let ranges = found.sectors.iter();
    let ranges: Vec<_> = ranges
        .map(|range| json!({ "sector": range.start, "sectors": range.count }))
        .collect();
    json!({
        "image": text::path(&args.image),
        "part": args.part.to_string(),
        "file_system": found.file_system,
        "offset_bytes": found.begin,
        "sectors": found.sectors.iter().map(|range| range.count).sum::<u64>(),
        "at": filesystem::show(&found.sectors),
        "ranges": ranges,
    })
}

/// What is read for `path`. A disk of a mount is read from its image, so that no rule acts on the reads or counts them.
/// Where the image does not have all that was written, it is read through the mount.
fn source(path: &Path) -> anyhow::Result<PathBuf> {
    let folder = std::path::absolute(path)?.parent().map(Path::to_owned);
    let mount = folder.map(|folder| mounts::find(&folder)).transpose()?;
    if mount.flatten().is_none() {
        return Ok(path.to_owned());
    }
    let disk = target::disk(path)?;
    let lines = disk.mount().disks()?;
    let line = lines.iter().find(|line| line.id == disk.id());
    let is_whole = |image: &&str| Path::new(image).exists();
    let image = line
        .filter(|line| line.cache == CacheMode::Off && line.scratch == Scratch::No)
        .map(|line| line.image.as_str())
        .filter(is_whole);
    if let Some(image) = image
        && disk.checkpoints()?.is_empty()
    {
        return Ok(image.into());
    }
    if !disk.faults()?.is_empty() {
        output::note(format_args!(
            "{} is read through its mount, since its image lacks what was written: the rules of {} act on these reads",
            text::shown(path),
            disk.id()
        ));
    }
    Ok(path.to_owned())
}
