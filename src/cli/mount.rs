//! `provium mount`: the server, in the background or in the foreground.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use super::Exit;
use super::disks::warn_of_format;
use super::exit::UsageError;
use super::output;

use crate::os::log::{LogOptions, STANDARD_ERROR};
use crate::os::sys;
use crate::protocol::disk_options::Scratch;
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
  provium mount /tmp/m --disk vda=base.img,scratch      changes are gone at the end
  qemu-system-x86_64 ... \\
    -blockdev driver=raw,node-name=vda,cache.direct=on,file.driver=file,file.filename=/tmp/m/vda \\
    -device virtio-blk-pci,drive=vda,werror=report,rerror=report
  echo slow > /tmp/m/ctl/vda/faults")]
pub(super) struct Args {
    /// An empty folder
    #[arg(value_name = "MNT")]
    mount_point: PathBuf,
    /// An image to serve, and its name; `,ro` serves it read-only, `,fixed` never lets it grow,
    /// `,cache=volatile` gives it a write cache that a power cut empties, `,scratch` drops all changes at the end,
    /// `,share` lets other disks with `share` have the same image.
    /// May be repeated
    #[arg(
        long = "disk",
        value_name = "ID=IMAGE[,ro][,fixed][,share][,cache=volatile][,scratch]"
    )]
    disks: Vec<DiskSpec>,
    /// Stay in the foreground; SIGINT and SIGTERM unmount. Speaks sd_notify
    #[arg(short, long)]
    foreground: bool,
    /// Mount options: allow_other, uid=N, gid=N, umask=OCTAL (of the data files), mmap (lets programs
    /// map them shared), ro, fixed, disk=ID=IMAGE,
    /// rodisk=ID=IMAGE, cache=volatile and scratch (for all disks), memory=SIZE (for all pending and held data together;
    /// default: 1G), and the usual words of fstab
    #[arg(short = 'o', value_name = "OPTS")]
    options: Vec<String>,
    /// Log to this file: what is attached, armed, cut and rejected, errors of the host, the end. It is opened
    /// anew when it has been renamed. `-` is standard error. Without it the journal gets the log of a server that
    /// systemd runs
    #[arg(long, value_name = "FILE", env = "PROVIUM_LOG_FILE")]
    log: Option<PathBuf>,
    /// The least urgent lines that are logged
    #[arg(long, value_name = "LEVEL", env = "PROVIUM_LOG", default_value = "info",
          value_parser = ["off", "error", "warn", "info", "debug"])]
    log_level: String,
    /// Where to say that the mount answers
    #[arg(long, hide = true)]
    ready_fd: Option<RawFd>,
    /// A folder to remove at the end
    #[arg(long, hide = true)]
    run_folder: Option<PathBuf>,
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
    let mut passed_on = words_of("-o", options.of_the_server());
    if let Some(log) = &args.log {
        passed_on.extend(["--log".into(), log_in_background(log)?]);
    }
    passed_on.extend(["--log-level".into(), args.log_level.into()]);
    output::step(|| format!("mount point: {}", mount_point.display()));
    for disk in &disks {
        output::step(|| format!("disk: {}", disk.to_argument().display()));
    }
    let begun = std::time::Instant::now();
    let server = launch::start(&mount_point, &disks, &passed_on, &Lifetime::UntilUnmounted)?;
    let (pid, took) = (server.id(), begun.elapsed());
    output::step(|| format!("the server, process {pid}, answers after {took:.1?}"));
    Ok(Exit::Done)
}

/// A command line's words that give the option `name` each of `values`.
fn words_of(name: &str, values: Vec<String>) -> Vec<OsString> {
    let words = values.into_iter();
    words
        .flat_map(|value| [name.into(), value.into()])
        .collect()
}

/// The path of the log for a server that works from another folder.
fn log_in_background(log: &Path) -> anyhow::Result<OsString> {
    if log.as_os_str() == STANDARD_ERROR {
        let why = "`--log -` needs --foreground: a server in the background has no standard error";
        return Err(UsageError(why.into()).into());
    }
    Ok(std::path::absolute(log)?.into())
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
        if disk.options.scratch == Scratch::No {
            disk.options.scratch = options.served.scratch;
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
        run_folder: args.run_folder,
        log: LogOptions {
            path: args.log,
            level: args.log_level,
        },
    };
    serve::serve(serving, |error| eprintln!("provium: {error}"))?;
    Ok(Exit::Done)
}
