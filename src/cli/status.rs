//! `provium status`: the mounts and their disks, as a table or as JSON.

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::durability::Durability;
use super::rule_json::ArmedJson;
use super::{Exit, table, target};
use crate::client::{ClientError, DiskControl, MountClient};
use crate::os::mounts::{self, Mount};
use crate::protocol::disk_options::DiskOptions;
use crate::protocol::{DiskGauge, DiskLine, OpCounter, RuleLine};
use crate::units::text::{self, shown};
use crate::vm::{self, Holder};

/// Show mounts, their disks and the armed faults
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium status
  provium status /tmp/m
  provium status --json | jq -r '.[].mount'")]
pub(super) struct Args {
    /// One mount; without it, all mounts of this machine
    #[arg(value_name = "MNT")]
    mount_point: Option<PathBuf>,
    /// Print JSON: an array of mounts
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct MountStatus {
    #[serde(serialize_with = "text::serialize_path")]
    mount: PathBuf,
    /// `ok`, `stale`, or why it does not answer.
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
    /// The same with their fields and counters.
    #[serde(serialize_with = "as_armed")]
    rules: Vec<RuleLine>,
    /// Armed rules that can never act or may surprise, and why.
    warnings: Vec<String>,
    open_files: u64,
    in_flight: u64,
    errors_injected: u64,
    errors_host: u64,
    #[serde(flatten)]
    durability: Durability,
    /// The processes that have it open; of a QEMU also whether its guest sees errors.
    holders: Vec<Holder>,
}

fn as_armed<S: Serializer>(rules: &[RuleLine], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(rules.iter().cloned().map(ArmedJson::from))
}

impl DiskStatus {
    fn of(disk: DiskLine, control: &DiskControl) -> Result<Self, ClientError> {
        let (rules, stats) = (control.rules()?, control.stats()?);
        Ok(Self {
            faults: rules.iter().map(|rule| rule.rule.clone()).collect(),
            warnings: rules.iter().filter_map(RuleLine::warning).collect(),
            rules,
            open_files: stats.gauge(DiskGauge::OpenFiles),
            in_flight: stats.gauge(DiskGauge::InFlight),
            errors_injected: stats.sum(OpCounter::ErrorsInjected),
            errors_host: stats.sum(OpCounter::ErrorsHost),
            durability: Durability::of(control, &stats),
            holders: vm::holders(&control.path()),
            disk,
        })
    }

    /// Sentences below the table of the mount at `point`.
    fn notes(&self, point: &Path) -> Vec<String> {
        let durability = self.durability.notes(&point.join(&self.disk.id));
        let warnings = durability.into_iter().chain(self.warnings.clone());
        let holders = self
            .holders
            .iter()
            .filter(|holder| holder.program.starts_with("qemu-system-"));
        warnings.chain(holders.map(note)).collect()
    }
}

fn note(holder: &Holder) -> String {
    let who = format!("{} (process {})", holder.program, holder.pid);
    match holder.visible {
        Some(true) => format!("{who} has it; its guest sees every error"),
        Some(false) => format!("{who} has it; {}", holder.obstacles.join("; ")),
        None => format!(
            "{who} has it, attached while it ran: whether its guest sees errors is not known from outside; \
             `disk:assert_visible()` in the test asks QEMU"
        ),
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let mounts = match &args.mount_point {
        Some(point) => vec![one(point)?],
        None => {
            let mounts = mounts::list()?;
            // Mounts of other users cannot be read.
            let ours = mounts.iter().filter(|mount| mount.is_ours());
            ours.map(status).collect()
        }
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
        None => Err(target::not_a_mount(point)),
    }
}

fn status(mount: &Mount) -> MountStatus {
    let mut status = MountStatus {
        mount: mount.point.clone(),
        state: "ok".into(),
        server: mount.server(),
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
        let control = client.disk(&disk.id)?;
        disks.push(DiskStatus::of(disk, &control)?);
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
        let (point, version) = (shown(&mount.mount), shown(version));
        println!("{point}  server {server}  {version}");
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
            table::print(HEAD, &rows);
        }
        for disk in &mount.disks {
            for note in disk.notes(&mount.mount) {
                println!("  {}: {}", disk.disk.id, shown(note));
            }
        }
    }
}

const HEAD: [&str; 9] = [
    "  DISK", "SIZE", "MODE", "OPEN", "WAIT", "PENDING", "ERRORS", "IMAGE", "FAULTS",
];

/// `rw` or `ro`, and what else is special about the disk.
fn mode(disk: &DiskLine) -> String {
    let options = disk.options();
    let others = DiskOptions {
        read_only: false,
        ..options
    };
    format!("{}{}", options.access(), others.words(' '))
}

/// Rules that are shown of a disk, and characters of each.
const SHOWN_RULES: usize = 12;
const SHOWN_OF_A_RULE: usize = 200;

/// The first rules, and how many there are beside them.
fn first_rules(rules: &[String]) -> String {
    let shown = rules.iter().take(SHOWN_RULES);
    let shown = shown.map(|rule| text::without_middle(rule, SHOWN_OF_A_RULE, 0));
    let more = rules.len().saturating_sub(SHOWN_RULES);
    let more = (more > 0).then(|| format!("and {more} more"));
    shown.chain(more).collect::<Vec<_>>().join(", ")
}

fn row(status: &DiskStatus) -> [String; 9] {
    let disk = &status.disk;
    let faults = match status.faults.is_empty() {
        true => "-".into(),
        false => first_rules(&status.faults),
    };
    [
        format!("  {}", disk.id),
        disk.size
            .map_or("?".into(), |size| indicatif::BinaryBytes(size).to_string()),
        mode(disk),
        status.open_files.to_string(),
        status.in_flight.to_string(),
        status.durability.cell(disk.cache),
        match status.errors_host {
            0 => status.errors_injected.to_string(),
            host => format!("{}+{host} of the host", status.errors_injected),
        },
        shown(&disk.image),
        shown(faults),
    ]
}
