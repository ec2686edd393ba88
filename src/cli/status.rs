//! `provium status`: the mounts and their disks, for people or as JSON.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Exit, table};
use crate::client::{DiskLine, MountClient};
use crate::mounts::{self, Mount};

/// Show mounts, their disks and what is armed
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One mount; all of this machine's without it
    #[arg(value_name = "MNT")]
    mount_point: Option<PathBuf>,
    /// Print JSON: an array of mounts
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct MountStatus {
    mount: PathBuf,
    /// `ok`, `stale`, or why it cannot be asked.
    state: String,
    server: Option<u32>,
    version: Option<String>,
    disks: Vec<DiskStatus>,
}

#[derive(Serialize)]
struct DiskStatus {
    #[serde(flatten)]
    disk: DiskLine,
    faults: Vec<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let mounts = match &args.mount_point {
        Some(point) => vec![one(point)?],
        None => mounts::list()?.iter().map(status).collect(),
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&mounts)?);
    } else {
        print(&mounts);
    }
    Ok(Exit::Done)
}

fn one(point: &Path) -> anyhow::Result<MountStatus> {
    let absolute = std::path::absolute(point)?;
    let listed = match mounts::find(&absolute)? {
        Some(mount) => Some(mount),
        None => absolute
            .canonicalize()
            .ok()
            .map(|path| mounts::find(&path))
            .transpose()?
            .flatten(),
    };
    match listed {
        Some(mount) => Ok(status(&mount)),
        None => anyhow::bail!(crate::client::ClientError::NotAMount(point.to_owned())),
    }
}

fn status(mount: &Mount) -> MountStatus {
    let mut status = MountStatus {
        mount: mount.point.clone(),
        state: "ok".into(),
        server: mount.server,
        version: None,
        disks: Vec::new(),
    };
    if mount.is_stale() {
        status.state = "stale".into();
        return status;
    }
    match ask(mount) {
        Ok((version, disks)) => {
            status.version = Some(version);
            status.disks = disks;
        }
        Err(error) => status.state = error.to_string(),
    }
    status
}

fn ask(mount: &Mount) -> anyhow::Result<(String, Vec<DiskStatus>)> {
    let client = MountClient::open(&mount.point)?;
    let mut disks = Vec::new();
    for disk in client.disks()? {
        let faults = client.disk(&disk.id)?.faults()?;
        disks.push(DiskStatus { disk, faults });
    }
    Ok((client.version()?, disks))
}

fn print(mounts: &[MountStatus]) {
    if mounts.is_empty() {
        println!("no mounts; start one with `provium mount MNT --disk vda=IMAGE`");
    }
    for mount in mounts {
        let server = mount.server.map_or("-".into(), |pid| pid.to_string());
        let version = mount.version.as_deref().unwrap_or(&mount.state);
        println!("{}  server {server}  {version}", mount.mount.display());
        let hint = match mount.state.as_str() {
            "stale" => "  its server died; clean up with `provium umount --stale`",
            "ok" if mount.disks.is_empty() => "  no disks; add one with `provium attach`",
            _ => "",
        };
        if !hint.is_empty() {
            println!("{hint}");
        }
        if !mount.disks.is_empty() {
            let rows: Vec<_> = mount.disks.iter().map(row).collect();
            table::print(["  DISK", "SIZE", "MODE", "FAULTS", "IMAGE"], &rows);
        }
    }
}

fn row(status: &DiskStatus) -> [String; 5] {
    let disk = &status.disk;
    let faults = match status.faults.is_empty() {
        true => "-".into(),
        false => status.faults.join(", "),
    };
    [
        format!("  {}", disk.id),
        disk.size
            .map_or("?".into(), |size| indicatif::BinaryBytes(size).to_string()),
        if disk.read_only { "ro" } else { "rw" }.into(),
        faults,
        disk.image.clone(),
    ]
}
