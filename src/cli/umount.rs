//! `provium umount`: ends a mount, or cleans up after a server that died.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::{Exit, output, target};
use crate::os::mount_users;
use crate::os::mounts::{self, Mount};
use crate::os::process::Process;
use crate::os::run_folder;
use crate::os::server_lock::Watch;
use crate::units::text::shown;

/// How long to try again while a mount is busy.
const CLOSING: Duration = Duration::from_secs(1);
/// How long a server may take to flush its images and end.
const SERVER_END: Duration = Duration::from_secs(30);
/// The most users of a busy mount that an error names.
const NAMED: usize = 8;

/// End a mount
///
/// Flushes the images and returns when the server has ended. A mount in use stays as it is, and so do
/// its held requests; an error names its users. `--force` releases held requests and disconnects clients.
/// Copies of the mount in other mount namespaces end with it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium umount /tmp/m
  provium umount --force /tmp/m     even while it is in use
  provium umount --stale            clean up mounts whose server died")]
pub(super) struct Args {
    /// The mount
    #[arg(value_name = "MNT", required_unless_present = "stale")]
    mount_point: Option<PathBuf>,
    /// Release held requests, flush, and disconnect the clients that still use the mount
    #[arg(long, conflicts_with = "stale")]
    force: bool,
    /// Remove mounts whose server is gone: the given one, or all of yours
    #[arg(long)]
    stale: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let point = args.mount_point.as_deref().map(resolved).transpose()?;
    match point {
        Some(point) if !args.stale => umount(&point, args.force),
        Some(point) => umount_stale(&point),
        None => umount_all_stale(),
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

fn found(point: &Path) -> anyhow::Result<Mount> {
    let mount = mounts::find(point)?;
    mount.ok_or_else(|| target::nothing_mounted(point))
}

/// Ends the mount at `point`, as the kernel lists it; with `force`, also while it is in use.
pub(super) fn umount(point: &Path, force: bool) -> anyhow::Result<Exit> {
    let mount = found(point)?;
    if mount.is_stale() {
        return take_away(&mount);
    }
    output::step(|| match mount.server() {
        Some(pid) => format!("{} is served by process {pid}", shown(point)),
        None => format!("{} is served outside of this namespace", shown(point)),
    });
    let server = Server::of(&mount);
    let has_ended = if force {
        server.cut_off(&mount)?
    } else {
        must_be_used_here_alone(&mount)?;
        let stopped = mount.stopped_server();
        unmount_patiently(point).map_err(|error| match error.raw_os_error() {
            Some(libc::EBUSY) => busy(&mount, &mount_users::users(&mount).here),
            _ => anyhow::Error::new(error).context(format!("cannot unmount {}", shown(point))),
        })?;
        if let Some(pid) = stopped {
            bail!(
                "{} is unmounted, but its server is stopped: let it flush and end with `kill -CONT {pid}`",
                shown(point)
            );
        }
        // A copy of the mount in another namespace would keep it.
        server.signal(libc::SIGTERM);
        server.wait()?
    };
    if !has_ended {
        bail!(
            "{} is unmounted, but its server still runs: it flushes, or another mount namespace has the mount",
            shown(point)
        );
    }
    output::step(|| "unmounted; the server has flushed its images and ended".into());
    Ok(Exit::Done)
}

/// An error if the mount is used in another mount namespace: the end of the server is its end there, too.
fn must_be_used_here_alone(mount: &Mount) -> anyhow::Result<()> {
    let places = mount_users::other_places(mount);
    if let Some(place) = places.first() {
        let point = shown(&mount.point);
        bail!(
            "{point} is busy: it is mounted at {place} too; end that first with `umount {place}`, or all of it \
             with `provium umount --force {point}`",
            place = shown(place)
        );
    }
    match mount_users::users(mount).elsewhere {
        users if users.is_empty() => Ok(()),
        users => Err(busy(mount, &users)),
    }
}

fn busy(mount: &Mount, users: &[String]) -> anyhow::Error {
    let mut named: Vec<_> = users.iter().take(NAMED).cloned().collect();
    match users.len() {
        0 => {
            named.push("a process that this user may not look into, or the kernel, uses it".into())
        }
        all if all > NAMED => named.push(format!("and {} more", all - NAMED)),
        _ => {}
    }
    let point = shown(&mount.point);
    anyhow::anyhow!(
        "{point} is busy: {}; end that first, or cut it off with `provium umount --force {point}`",
        named.join("; ")
    )
}

/// The server of a mount, on its way to its end.
struct Server {
    /// None where it has no number in this PID namespace. Opened before it ends, so that its number
    /// cannot mean another process.
    process: Option<Process>,
    watch: Option<Watch>,
}

impl Server {
    fn of(mount: &Mount) -> Self {
        Self {
            process: mount.server().and_then(|pid| Process::open(pid).ok()),
            watch: mount.watch(),
        }
    }

    fn signal(&self, signal: i32) -> bool {
        let process = self.process.as_ref();
        process.is_some_and(|process| process.signal(signal).is_ok())
    }

    /// Ends it by a signal. Where this process cannot signal it, its connection is cut. False when it takes too long.
    fn cut_off(&self, mount: &Mount) -> anyhow::Result<bool> {
        let point = &mount.point;
        let cannot = || format!("cannot unmount {}", shown(point));
        if self.signal(libc::SIGTERM) {
            self.signal(libc::SIGCONT);
        } else {
            let _ = mounts::abort(point);
        }
        let has_ended = self.wait()?;
        for place in mount_users::other_places(mount) {
            mounts::unmount(&place, true).with_context(cannot)?;
        }
        match mounts::find(point)? {
            Some(left) if left.number == mount.number => {
                mounts::unmount(point, true).with_context(cannot)?;
            }
            _ => {}
        }
        Ok(has_ended)
    }

    /// Waits until it has ended. False when it takes too long.
    fn wait(&self) -> std::io::Result<bool> {
        if let Some(process) = &self.process {
            return process.wait(SERVER_END);
        }
        let deadline = Instant::now() + SERVER_END;
        let runs = || self.watch.as_ref().is_some_and(|watch| !watch.has_ended());
        while runs() {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(true)
    }
}

/// Unmounts, after a moment for clients that are just closing or wait for a delayed request.
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

fn umount_stale(point: &Path) -> anyhow::Result<Exit> {
    let mount = found(point)?;
    if !mount.is_stale() {
        let point = shown(point);
        bail!("{point} is not stale: its server answers; use `provium umount {point}`");
    }
    take_away(&mount)
}

/// Removes all stale mounts of this user, or of all users for root. Goes on after one that cannot be removed.
fn umount_all_stale() -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    for mount in mounts::list()?.iter().filter(|mount| mount.is_ours()) {
        if mount.is_stale()
            && let Err(error) = take_away(mount)
        {
            output::error(format_args!("{error:#}"));
            exit = Exit::Failed;
        }
    }
    run_folder::remove_leftovers()?;
    Ok(exit)
}

fn take_away(mount: &Mount) -> anyhow::Result<Exit> {
    let point = shown(&mount.point);
    let cleaned_up = mount.clean_up();
    cleaned_up.with_context(|| format!("cannot unmount {point}"))?;
    output::done(format_args!("{point}: stale, unmounted"));
    Ok(Exit::Done)
}
