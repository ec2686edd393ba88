//! `provium mount`: the server, in the background or in the foreground.

use std::fs::File;
use std::io::Write;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use crossbeam_channel::{Receiver, bounded, never, select};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Exit;
use super::disks::warn_of_format;
use super::exit::UsageError;

use crate::disk::Disks;
use crate::fuse::{Options, Server, check_mount_point};
use crate::os::mounts;
use crate::os::sys;
use crate::server::launch::{self, DiskSpec, Lifetime, READY};
use crate::server::options::{MountOptions, parse_disk, parse_options};
use crate::server::sandbox;

/// Serve disk images as files in a folder
///
/// Returns once the mount answers. Each image is then the file MNT/ID, and MNT/ctl/ holds the
/// control files.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium mount /tmp/m --disk vda=disk.img --disk vdb=base.img,ro
  qemu-system-x86_64 ... \\
    -blockdev driver=raw,node-name=vda,cache.direct=on,file.driver=file,file.filename=/tmp/m/vda \\
    -device virtio-blk-pci,drive=vda,werror=report,rerror=report
  echo slow > /tmp/m/ctl/vda/faults")]
pub(super) struct Args {
    /// An empty folder
    #[arg(value_name = "MNT")]
    mount_point: PathBuf,
    /// An image to serve, and its name; `,ro` serves it for reading only, `,fixed` never lets it grow.
    /// May be repeated
    #[arg(long = "disk", value_name = "ID=IMAGE[,ro][,fixed]", value_parser = parse_disk)]
    disks: Vec<DiskSpec>,
    /// Stay in the foreground; SIGINT and SIGTERM unmount. Speaks sd_notify
    #[arg(short, long)]
    foreground: bool,
    /// Mount options: allow_other, ro, fixed, disk=ID=IMAGE, rodisk=ID=IMAGE
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
    let options = parse_options(&args.options).map_err(UsageError)?;
    let disks = all_disks(&args, &options)?;
    if args.ready_fd.is_none() {
        disks.iter().for_each(|disk| warn_of_format(&disk.image));
    }
    if args.foreground {
        return serve_and_report(&args, &options, &disks);
    }
    let mount_point = check_mount_point(&args.mount_point)?;
    let allow_other = options.allow_other.then(|| "allow_other".to_owned());
    let passed_on: Vec<_> = allow_other.into_iter().collect();
    launch::start(&mount_point, &disks, &passed_on, &Lifetime::UntilUnmounted)?;
    Ok(Exit::Done)
}

/// All disks of the command line, with absolute paths: the server works from another folder.
fn all_disks(args: &Args, options: &MountOptions) -> anyhow::Result<Vec<DiskSpec>> {
    let mut disks = [args.disks.as_slice(), &options.disks].concat();
    for disk in &mut disks {
        disk.image = std::path::absolute(&disk.image)?;
        disk.options.read_only |= options.read_only;
        disk.options.fixed |= options.fixed;
    }
    Ok(disks)
}

/// Serves to the end. Who waits at the ready pipe is told how the start went.
fn serve_and_report(
    args: &Args,
    options: &MountOptions,
    disks: &[DiskSpec],
) -> anyhow::Result<Exit> {
    // A write beyond `ulimit -f` is an error of that write, and not the end of the server.
    sys::ignore(libc::SIGXFSZ);
    if let Err(error) = sandbox::drop_capabilities() {
        eprintln!("provium: {error}");
    }
    let ready = args.ready_fd.map(sys::inherited).transpose()?;
    let mut ready = ready.map(File::from);
    let started = start(&args.mount_point, options, disks);
    let (server, stop) = match started {
        Ok(started) => started,
        Err(error) => {
            if let Some(ready) = &mut ready {
                let _ = ready.write_all(format!("{error:#}").as_bytes());
            }
            return Err(error);
        }
    };
    if let Err(error) = sandbox::enter() {
        eprintln!("provium: {error}");
    }
    if let Some(mut ready) = ready.take() {
        let _ = ready.write_all(READY.as_bytes());
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut detached = mounts::await_detached();
    loop {
        select! {
            recv(stop) -> _ => break,
            recv(server.unmounted()) -> _ => break,
            recv(detached) -> _ => {
                server.release();
                detached = never();
            }
        }
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    server.end();
    if let Some(scratch) = &args.scratch {
        remove_scratch(scratch, &args.mount_point);
    }
    Ok(Exit::Done)
}

fn start(
    mount_point: &Path,
    options: &MountOptions,
    specs: &[DiskSpec],
) -> anyhow::Result<(Server, Receiver<()>)> {
    let mount_point = check_mount_point(mount_point)?;
    // Before the mount, so that no signal finds a mount that nobody takes away.
    let stop = stop_signals().context("cannot listen to signals")?;
    let disks = Arc::new(Disks::start().context("cannot start the server's threads")?);
    for spec in specs {
        let image = spec
            .image
            .canonicalize()
            .unwrap_or_else(|_| spec.image.clone());
        disks.attach(&spec.id, &image, spec.options)?;
    }
    let options = Options {
        mount_point,
        allow_other: options.allow_other,
    };
    let server = Server::start(&options, disks)?;
    Ok((server, stop))
}

/// Gets a message, or disconnects, at the first signal that asks us to end.
fn stop_signals() -> std::io::Result<Receiver<()>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let (tell, stop) = bounded(1);
    let listen = move || {
        signals.forever().next();
        let _ = tell.send(());
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(listen)?;
    Ok(stop)
}

/// Removes the folder of a test run, but never through a mount that is still there.
fn remove_scratch(scratch: &Path, mount_point: &Path) {
    if mount_point.starts_with(scratch) && matches!(mounts::find(mount_point), Ok(None)) {
        let _ = std::fs::remove_dir_all(scratch);
    }
}
