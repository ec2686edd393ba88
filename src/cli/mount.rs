//! `provium mount`: the server, in the background or in the foreground.

use std::fs::File;
use std::os::fd::RawFd;
use std::path::PathBuf;

use super::Exit;
use super::disks::warn_of_format;
use super::exit::UsageError;

use crate::os::sys;
use crate::protocol::{CacheMode, DiskSpec};
use crate::server::launch::{self, Lifetime};
use crate::server::mount_point::check_mount_point;
use crate::server::options::{MountOptions, parse_options};
use crate::server::serve::{self, Serving};

/// Serve disk images as files in a folder
///
/// Returns when the mount answers. Each image is then the file MNT/ID. The control files are in MNT/ctl/.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium mount /tmp/m --disk vda=disk.img --disk vdb=base.img,ro
  provium mount /tmp/m --disk vda=disk.img,cache=volatile -o memory=256M
  qemu-system-x86_64 ... \\
    -blockdev driver=raw,node-name=vda,cache.direct=on,file.driver=file,file.filename=/tmp/m/vda \\
    -device virtio-blk-pci,drive=vda,werror=report,rerror=report
  echo slow > /tmp/m/ctl/vda/faults")]
pub(super) struct Args {
    /// An empty folder
    #[arg(value_name = "MNT")]
    mount_point: PathBuf,
    /// An image to serve, and its name; `,ro` serves it read-only, `,fixed` never lets it grow,
    /// `,cache=volatile` gives it a write cache that a power cut empties. May be repeated
    #[arg(long = "disk", value_name = "ID=IMAGE[,ro][,fixed][,cache=volatile]")]
    disks: Vec<DiskSpec>,
    /// Stay in the foreground; SIGINT and SIGTERM unmount. Speaks sd_notify
    #[arg(short, long)]
    foreground: bool,
    /// Mount options: allow_other, uid=N, gid=N, umask=OCTAL (of the data files), ro, fixed, disk=ID=IMAGE,
    /// rodisk=ID=IMAGE, cache=volatile (for all disks), memory=SIZE (for all pending and held data together;
    /// default: 1G), and the usual words of fstab
    #[arg(short = 'o', value_name = "OPTS")]
    options: Vec<String>,
    /// Where to say that the mount answers
    #[arg(long, hide = true)]
    ready_fd: Option<RawFd>,
    /// A folder to remove at the end
    #[arg(long, hide = true)]
    scratch: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    let options = parse_options(&args.options).map_err(|error| UsageError(error.to_string()))?;
    let disks = all_disks(&args, &options)?;
    if args.ready_fd.is_none() {
        disks.iter().for_each(|disk| warn_of_format(&disk.image));
    }
    if args.foreground {
        return serve(args, &options, &disks);
    }
    let mount_point = check_mount_point(&args.mount_point)?;
    let passed_on = words_of("-o", options.of_the_server());
    launch::start(&mount_point, &disks, &passed_on, &Lifetime::UntilUnmounted)?;
    Ok(Exit::Done)
}

/// A command line's words that give the option `name` each of `values`.
fn words_of(name: &str, values: Vec<String>) -> Vec<String> {
    let words = values.into_iter();
    words.flat_map(|value| [name.to_owned(), value]).collect()
}

/// All disks of the command line, with absolute paths: the server works from another folder.
fn all_disks(args: &Args, options: &MountOptions) -> anyhow::Result<Vec<DiskSpec>> {
    let mut disks = [args.disks.as_slice(), &options.disks].concat();
    for disk in &mut disks {
        disk.image = std::path::absolute(&disk.image)?;
        disk.options.read_only |= options.served.read_only;
        disk.options.fixed |= options.served.fixed;
        if options.served.cache == CacheMode::Volatile {
            disk.options.cache = CacheMode::Volatile;
        }
    }
    Ok(disks)
}

fn serve(args: Args, options: &MountOptions, disks: &[DiskSpec]) -> anyhow::Result<Exit> {
    let ready = args.ready_fd.map(sys::inherited).transpose()?;
    let serving = Serving {
        mount_point: &args.mount_point,
        disks,
        access: options.access,
        memory: options.memory,
        ready: ready.map(File::from),
        scratch: args.scratch,
    };
    serve::serve(serving, |error| eprintln!("provium: {error}"))?;
    Ok(Exit::Done)
}
