//! `provium guest`: the built-in guests, and the saved states of booted guests.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::{Exit, output, table};
use crate::config::{DEFAULT_PROFILE, GUESTS};
use crate::units::size::{parse_size, show_size};
use crate::units::text::{self, shown};
use crate::vm::{Guest, SavedState, Template, TemplateStore, WarmStore};

/// Build a guest; list what is kept for later boots, or remove it
///
/// The first boot of a profile saves the state of the booted guest. Later boots resume this state, which
/// takes a fraction of the time. All states together take up to 2 GiB. Of an image that is not raw, as qcow2,
/// the first boot makes a raw template; it is kept until the image is changed or removed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium guest build
  provium guest build storage
  provium guest list
  provium guest list --json | jq '.states[].profile'
  provium guest clean")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Sub,
}

#[derive(Debug, clap::Subcommand)]
enum Sub {
    Build(BuildArgs),
    /// List the built guests, the saved states and the templates of images
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove the saved states and the templates; the next boots make new ones
    Clean,
}

/// Build a guest from the distribution's packages, if it is not up to date
///
/// The guest `storage` has what `default` has, and RAID, device-mapper, multipath, btrfs, f2fs, NVMe, AHCI and USB,
/// with their tools.
///
/// Without apt, or with --kernel, --modules or --busybox, it is made of this host's own files: a kernel with its
/// modules, a static busybox, qemu-ga, and the file system tools that are in PATH. The command lists what it lacks.
#[derive(Debug, clap::Args)]
struct BuildArgs {
    /// Which guest
    #[arg(value_name = "GUEST", default_value = DEFAULT_PROFILE, value_parser = GUESTS)]
    guest: String,
    /// Build it even if it is up to date
    #[arg(long)]
    force: bool,
    /// The kernel, a bzImage [default: the running one, or the newest of /boot and /lib/modules]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The kernel's modules; `none` if all drivers are built in [default: /lib/modules/RELEASE]
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
    /// A static busybox [default: the one in PATH]
    #[arg(long, value_name = "FILE")]
    busybox: Option<PathBuf>,
}

impl BuildArgs {
    /// The options of the builder.
    fn words(&self) -> Vec<OsString> {
        let files = [
            ("--kernel", &self.kernel),
            ("--modules", &self.modules),
            ("--busybox", &self.busybox),
        ];
        let mut words = vec![OsString::from(&self.guest)];
        words.extend(self.force.then(|| "--force".into()));
        for (option, path) in files {
            if let Some(path) = path {
                words.extend([option.into(), path.into()]);
            }
        }
        words
    }
}

macro_rules! builder_files {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../mnt-helpers/", $name)))),*]
    };
}

/// The builder, so that the command works without the source tree.
const BUILDER: [(&str, &str); 14] = builder_files![
    "build-guest"
    "guest-from/apt.sh"
    "guest-from/host.sh"
    "guest-from/storage.sh"
    "guest-from/without-libraries.pl"
    "guest/agent"
    "guest/console"
    "guest/hotplug"
    "guest/init"
    "guest/inittab"
    "guest/late"
    "guest/mdev.conf"
    "guest/provium-settle"
    "guest/shutdown"
];

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    match &args.command {
        Sub::Build(args) => build(args),
        Sub::List { json: false } => list(),
        Sub::List { json: true } => list_json(),
        Sub::Clean => clean(),
    }
}

fn build(args: &BuildArgs) -> anyhow::Result<Exit> {
    let folder = tempfile::tempdir()?;
    for name in ["guest", "guest-from"] {
        std::fs::create_dir(folder.path().join(name))?;
    }
    for (name, text) in BUILDER {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    let mut command = Command::new("bash");
    command
        .arg(folder.path().join("build-guest"))
        .args(args.words());
    output::step(|| match Guest::folder(&args.guest) {
        Ok(folder) => format!("guest: {}", folder.display()),
        Err(error) => format!("guest: {error}"),
    });
    if output::is_quiet() {
        command.stderr(Stdio::piped());
    }
    let built = command.spawn().context("cannot start bash")?;
    let built = built.wait_with_output()?;
    if !built.status.success() {
        if !built.stderr.is_empty() {
            output::error(String::from_utf8_lossy(&built.stderr));
        }
        bail!("the guest was not built");
    }
    Ok(Exit::Done)
}

fn list() -> anyhow::Result<Exit> {
    let guests = built_guests()?;
    if guests.is_empty() {
        println!("no guest is built; build it with `provium guest build`");
    } else {
        let rows: Vec<_> = guests.iter().map(guest_row).collect();
        table::print(["GUEST", "KERNEL", "BUILT", "FOLDER"], &rows);
    }
    list_states()?;
    list_templates()
}

/// A built-in guest that is built.
struct BuiltGuest {
    name: &'static str,
    kernel: String,
    /// When, as its builder wrote it.
    built: String,
    folder: PathBuf,
}

fn guest_row(guest: &BuiltGuest) -> [String; 4] {
    [
        guest.name.to_owned(),
        guest.kernel.clone(),
        guest.built.clone(),
        guest.folder.display().to_string(),
    ]
}

/// The guests that are built.
fn built_guests() -> anyhow::Result<Vec<BuiltGuest>> {
    let guests = GUESTS.iter().map(|name| built_guest(name));
    guests.filter_map(Result::transpose).collect()
}

/// What the builder of the guest `name` has noted; None if it is not built.
fn built_guest(name: &'static str) -> anyhow::Result<Option<BuiltGuest>> {
    let folder = Guest::folder(name)?;
    let Ok(manifest) = std::fs::read_to_string(folder.join("manifest")) else {
        return Ok(None);
    };
    let value = |key: &str| {
        let found = manifest
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        found.unwrap_or("-").to_owned()
    };
    Ok(Some(BuiltGuest {
        name,
        kernel: value("kernel"),
        built: value("built"),
        folder,
    }))
}

fn list_json() -> anyhow::Result<Exit> {
    let guest = |guest: BuiltGuest| {
        json!({
            "name": guest.name,
            "kernel": guest.kernel,
            "built": guest.built,
            "folder": text::path(&guest.folder),
        })
    };
    let states = WarmStore::open()?.list()?;
    let templates = TemplateStore::open()?.list()?;
    let list = json!({
        "guests": Vec::from_iter(built_guests()?.into_iter().map(guest)),
        "states": states.iter().map(state_json).collect::<Vec<_>>(),
        "templates": templates.iter().map(template_json).collect::<Vec<_>>(),
    });
    println!("{}", serde_json::to_string_pretty(&list)?);
    Ok(Exit::Done)
}

fn state_json(state: &SavedState) -> Value {
    json!({
        "profile": state.profile,
        "memory_bytes": parse_size(&state.memory),
        "cpus": state.cpus,
        "size_bytes": state.size,
        "used_unix_seconds": unix_seconds(state.used),
        "boots_cold_because": state.refused,
        "path": text::path(&state.path),
    })
}

fn template_json(template: &Template) -> Value {
    json!({
        "image": text::path(&template.image),
        "format": template.format,
        "disk_bytes": template.size,
        "size_bytes": template.taken,
        "used_unix_seconds": unix_seconds(template.used),
        "stale": template.stale,
        "path": text::path(&template.path),
    })
}

fn unix_seconds(time: SystemTime) -> u64 {
    let passed = time.duration_since(SystemTime::UNIX_EPOCH);
    passed.unwrap_or_default().as_secs()
}

fn list_states() -> anyhow::Result<()> {
    let states = WarmStore::open()?.list()?;
    if states.is_empty() {
        println!("no booted guest is saved; the first boot of a profile saves one");
        return Ok(());
    }
    let rows: Vec<_> = states.iter().map(row).collect();
    println!();
    table::print(["SAVED", "MEMORY", "CPUS", "SIZE", "USED", "FILE"], &rows);
    for state in &states {
        if let Some(reason) = &state.refused {
            println!("profile `{}` boots cold: {reason}", state.profile);
        }
    }
    Ok(())
}

/// Without any, nothing: few need them.
fn list_templates() -> anyhow::Result<Exit> {
    let templates = TemplateStore::open()?.list()?;
    if templates.is_empty() {
        return Ok(Exit::Done);
    }
    let rows: Vec<_> = templates.iter().map(template_row).collect();
    println!();
    let head = ["TEMPLATE OF", "FORMAT", "DISK", "SIZE", "USED", "FILE"];
    table::print(head, &rows);
    for template in templates.iter().filter(|template| template.stale) {
        let image = shown(&template.image);
        println!("{image} was changed or removed: the next template replaces the one of it");
    }
    Ok(Exit::Done)
}

fn template_row(template: &Template) -> [String; 6] {
    [
        shown(&template.image),
        template.format.clone(),
        show_size(template.size),
        show_size(template.taken),
        ago_of(template.used),
        template.path.display().to_string(),
    ]
}

fn row(state: &SavedState) -> [String; 6] {
    let size = match state.refused {
        Some(_) => "none".to_owned(),
        None => format!("{} MiB", state.size.div_ceil(1 << 20)),
    };
    [
        state.profile.clone(),
        state.memory.clone(),
        state.cpus.to_string(),
        size,
        ago_of(state.used),
        state.path.display().to_string(),
    ]
}

fn ago_of(moment: SystemTime) -> String {
    let passed = SystemTime::now().duration_since(moment);
    ago(passed.unwrap_or_default())
}

/// A duration as the time that has passed since.
fn ago(passed: Duration) -> String {
    let seconds = passed.as_secs();
    let (number, unit) = match seconds {
        0..60 => return "just now".into(),
        60..3600 => (seconds / 60, "min"),
        3600..86400 => (seconds / 3600, "h"),
        _ => (seconds / 86400, "d"),
    };
    format!("{number} {unit} ago")
}

fn clean() -> anyhow::Result<Exit> {
    let freed = WarmStore::open()?.clean()?;
    let freed = freed.div_ceil(1 << 20);
    output::done(format_args!("removed {freed} MiB of saved states"));
    let freed = TemplateStore::open()?.clean()?;
    if freed > 0 {
        output::done(format_args!("removed {} of templates", show_size(freed)));
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_files_are_all_built_in() {
        let mut found = vec!["build-guest".to_owned()];
        for folder in ["guest", "guest-from"] {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/mnt-helpers/");
            let files = std::fs::read_dir(format!("{path}{folder}")).unwrap();
            let name = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
            found.extend(files.map(|entry| format!("{folder}/{}", name(entry.unwrap()))));
        }
        found.sort();
        let mut built_in = BUILDER.map(|(name, _)| name.to_owned());
        built_in.sort();
        assert_eq!(found, built_in);
    }
}
