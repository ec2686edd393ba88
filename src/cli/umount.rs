//! `provium umount`: ends a mount, or cleans up after a server that died.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::Exit;
use crate::mounts::{self, Mount};
use crate::sys::Process;

/// How long a busy mount is tried.
const CLOSING: Duration = Duration::from_millis(500);
/// How long a server may take to flush its images and end.
const SERVER_END: Duration = Duration::from_secs(30);

/// End a mount
///
/// Flushes the images and returns once the server has ended. A mount that is in use stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium umount /tmp/m
  provium umount --stale      clean up mounts whose server died")]
pub(super) struct Args {
    /// The mount
    #[arg(value_name = "MNT", required_unless_present = "stale")]
    mount_point: Option<PathBuf>,
    /// Take away mounts whose server is gone: the given one, or all
    #[arg(long)]
    stale: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let point = args.mount_point.as_deref().map(resolved).transpose()?;
    match point {
        Some(point) if !args.stale => umount(&point),
        point => umount_stale(point.as_deref()),
    }
}

/// `point` as the kernel lists it. A mount that does not answer is not touched.
fn resolved(point: &Path) -> anyhow::Result<PathBuf> {
    let absolute = std::path::absolute(point)?;
    if mounts::find(&absolute)?.is_some() {
        return Ok(absolute);
    }
    Ok(absolute.canonicalize().unwrap_or(absolute))
}

fn umount(point: &Path) -> anyhow::Result<Exit> {
    let Some(mount) = mounts::find(point)? else {
        bail!("{} is not a provium mount", point.display());
    };
    if mount.is_stale() {
        return take_away(&mount);
    }
    // Opened before it ends, so that its number cannot mean another process.
    let server = mount.server.map(Process::open).transpose();
    let stopped = mount.stopped_server();
    unmount_patiently(point).map_err(|error| match error.raw_os_error() {
        Some(libc::EBUSY) => anyhow::anyhow!(
            "{} is busy: a process has a file of it open or works in the folder; end it first",
            point.display()
        ),
        _ => anyhow::Error::new(error).context(format!("cannot unmount {}", point.display())),
    })?;
    if let Some(pid) = stopped {
        bail!(
            "{} is unmounted, but its server is stopped: let it flush and end with `kill -CONT {pid}`",
            point.display()
        );
    }
    if let Ok(Some(server)) = server
        && !server.wait(SERVER_END)?
    {
        bail!(
            "{} is unmounted, but its server still flushes",
            point.display()
        );
    }
    Ok(Exit::Done)
}

/// Unmounts; clients that are just closing, or wait for a delayed request, get a moment.
fn unmount_patiently(point: &Path) -> std::io::Result<()> {
    let deadline = Instant::now() + CLOSING;
    loop {
        match mounts::unmount(point, false) {
            Err(error)
                if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

fn umount_stale(point: Option<&Path>) -> anyhow::Result<Exit> {
    let mounts = mounts::list()?.into_iter();
    let chosen = mounts.filter(|mount| point.is_none_or(|point| mount.point == point));
    let chosen: Vec<_> = chosen.collect();
    if let Some(point) = point {
        match chosen.last() {
            None => bail!("{} is not a provium mount", point.display()),
            Some(mount) if !mount.is_stale() => {
                bail!(
                    "{} is not stale: its server answers; use `provium umount {}`",
                    point.display(),
                    point.display()
                )
            }
            Some(_) => {}
        }
    }
    for mount in chosen.iter().filter(|mount| mount.is_stale()) {
        take_away(mount)?;
    }
    Ok(Exit::Done)
}

fn take_away(mount: &Mount) -> anyhow::Result<Exit> {
    let point = mount.point.display();
    mounts::unmount(&mount.point, true).with_context(|| format!("cannot unmount {point}"))?;
    println!("{point}: stale, unmounted");
    Ok(Exit::Done)
}
