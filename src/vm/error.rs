//! The errors of a VM.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::state::{Expected, State};
use super::stopped_request::IoError;
use super::templates::TemplateError;
use crate::client::ClientError;
use crate::config::{ConfigError, build_command};
use crate::protocol::names::BadId;
use crate::server::launch::LaunchError;
use crate::storage::OpenError;
use crate::units::duration::show_duration;

/// Why something with a VM failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The texts say it.
pub enum VmError {
    #[error("QEMU is not installed: there is no `{program}` in PATH (run `provium doctor`)")]
    NoQemu { program: String },
    #[error("`qemu` of profile `{profile}`: there is no program {} (Debian's package {package} has `qemu-system-{target}`)", program.display())]
    NoOwnQemu {
        profile: String,
        program: PathBuf,
        target: &'static str,
        package: &'static str,
    },
    #[error("QEMU `{}` is for an architecture that provium has no machine for (known: {known})", program.display())]
    UnknownTarget { program: PathBuf, known: String },
    #[error(
        "profile `{profile}` has a QEMU for {target}, and the {guest} guest is for x86_64: set `kernel` and `initrd`, or `image` and `firmware`"
    )]
    NoGuestFor {
        profile: String,
        guest: String,
        target: &'static str,
    },
    #[error(
        "profile `{profile}` has `accel = \"kvm\"`, which runs guests of this host's architecture alone, and a QEMU for {target}: set `accel = \"tcg\"`"
    )]
    NoKvmFor {
        profile: String,
        target: &'static str,
    },
    #[error("kernel {} of profile `{profile}` is not a kernel that QEMU can load: {flaw}", path.display())]
    NotAKernel {
        profile: String,
        path: PathBuf,
        flaw: String,
    },
    #[error(
        "`kernel_cmdline` needs a kernel, and profile `{0}` has none: the boot loader on its disk has the command line"
    )]
    NoKernelForCmdline(String),
    #[error(
        "there is nothing to boot: profile `{0}` has no kernel, and the VM has no disk; set `image`, or `kernel`"
    )]
    NothingToBoot(String),
    #[error(
        "the guest has no agent: profile `{0}` has `agent = false`. Its console, its disks and its power can be used. For vm:run and files, install the QEMU guest agent in the guest and set `agent = true`"
    )]
    WithoutAgent(String),
    #[error("{}", no_agent(*after, port, *opened, *resets, console))]
    NoAgent {
        after: Duration,
        /// The name of the port on which it was awaited.
        port: &'static str,
        /// Whether the guest has opened its end of the port.
        opened: bool,
        /// How often the guest has reset itself.
        resets: usize,
        console: String,
    },
    #[error(
        "a machine of type `microvm` takes no disks while it runs: attach them before it boots, or take another `machine`"
    )]
    NoHotPlug,
    #[error(
        "the {guest} guest is not built: run `{}` ({} is missing)",
        build_command(guest), missing.display()
    )]
    NoGuest { guest: String, missing: PathBuf },
    #[error(
        "disk `{id}` is on {bus}, which QEMU neither plugs in nor unplugs while the guest runs: attach it before vm:boot, or take another `bus`"
    )]
    BusWithoutHotPlug { id: String, bus: &'static str },
    #[error(
        "disk `{id}` would be a second nvme disk with the serial number `{serial}`, which Linux rejects (duplicate cntlid) unless it is a path of the same disk: for paths give all of them `share = true` and the same image, and attach them before vm:boot; else give it another `serial`, or take `bus = \"virtio-scsi\"`"
    )]
    NvmeTwins { id: String, serial: String },
    #[error(
        "disk `{id}` would be one path of an nvme disk too many: a machine has room for {most} paths of one disk, and for fewer of each where several disks have some"
    )]
    TooManyPaths { id: String, most: usize },
    #[error(
        "disk `{id}` has {size} bytes, which is no whole number of sectors of {sector} bytes: take a `logical_block_size` that fits, or make the image longer"
    )]
    OddSize { id: String, size: u64, sector: u32 },
    #[error("{what} {} of profile `{profile}` does not exist", path.display())]
    NoBootFile {
        what: &'static str,
        profile: String,
        path: PathBuf,
    },
    #[error("{program} exited {status} {when}\n{log}")]
    Exited {
        /// "QEMU", with its path where a profile names one.
        program: String,
        status: String,
        when: String,
        log: String,
    },
    #[error("the guest's kernel panicked: {line}\n{console}")]
    Panicked { line: String, console: String },
    #[error("{what} within {}s\n{console}", after.as_secs_f64())]
    Deadline {
        what: String,
        after: Duration,
        console: String,
    },
    #[error("the test's time is up")]
    TimeIsUp,
    /// How long the agent has not answered when the time was up.
    #[error("the test's time is up: the guest agent has not answered for {:.1} s", .0.as_secs_f64())]
    TimeIsUpInSilence(Duration),
    #[error("interrupted")]
    Interrupted,
    #[error("vm `{vm}` is {}: the call expects one that is {expected}{hint}", state.name())]
    WrongState {
        vm: String,
        state: State,
        expected: Expected,
        /// A remark about the state; begins with a space.
        hint: String,
    },
    #[error("the power was cut by {rule}")]
    PowerCut { rule: String },
    #[error("vm `{vm}` has no disk `{id}`")]
    NoDisk { id: String, vm: String },
    #[error("the guest does not have disk `{id}`: there is nothing to pull out")]
    NotPlugged { id: String },
    #[error("disk `{id}` is not resized: {why}")]
    NotResized { id: String, why: String },
    #[error("no failed request has paused the guest within {}: only a disk with `rerror = \"stop\"` or `werror = \"stop\"` does", show_duration(*.0))]
    NoIoError(Duration),
    #[error(
        "{cause}: QEMU has paused the guest, for {error}. `vm:wait_io_error()` returns that, and `vm:resume()` has QEMU try the request again"
    )]
    PausedByError { cause: Box<Self>, error: String },
    #[error(
        "the guest stands still in its boot: QEMU has paused it, for {0}. Nobody can resume it before it has booted: arm the rule after that, or have the disk report errors, by `rerror` and `werror`"
    )]
    PausedInBoot(IoError),
    #[error("no rule has cut the power within {}", show_duration(*.0))]
    NoPowerCut(Duration),
    #[error("the guest powered itself off\n{console}")]
    PoweredOff { console: String },
    #[error(
        "the guest powered itself off before an agent answered; for a guest without one, profile `{profile}` says `agent = false`\n{console}"
    )]
    PoweredOffEarly { profile: String, console: String },
    /// The request that a rule holds.
    #[error("{0}: release it first; the guest runs on")]
    Held(String),
    #[error("image {} of disk `{id}` is in use: somebody else has it since vm `{vm}` was shut down", image.display())]
    ImageTaken {
        id: String,
        image: PathBuf,
        vm: String,
    },
    #[error(transparent)]
    BadId(#[from] BadId),
    #[error("disk `{id}` is already attached to vm `{vm}`")]
    DuplicateDisk { id: String, vm: String },
    #[error("vm `{vm}` has {most} disks with an image, and a machine has room for no more")]
    TooManyDisks { vm: String, most: usize },
    #[error("a running guest takes {0} disks, and has as many")]
    NoFreePort(u32),
    #[error("image {} does not exist: Provium does not create images", .0.display())]
    NoImage(PathBuf),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("`size` is {size} bytes, and image {} has {has}: the disk can be larger, not smaller", image.display())]
    SmallerDisk { image: PathBuf, size: u64, has: u64 },
    #[error("{command}: {text}")]
    Refused { command: String, text: String },
    #[error("the guest has no disk `{id}` within {:.1}s{}\n{console}", after.as_secs_f64(), driver_of(bus))]
    NotSeen {
        id: String,
        after: Duration,
        /// What the disk hangs on.
        bus: &'static str,
        console: String,
    },
    /// The error that the agent answered.
    #[error("the guest agent: {0}")]
    Agent(String),
    /// Why it has not answered, or with something that is not an answer.
    #[error("the guest agent: {0}")]
    NoAnswer(String),
    #[error("process {pid} was started after the snapshot that vm `{vm}` went back to")]
    AfterSnapshot { pid: i64, vm: String },
    #[error("the snapshot is of vm `{of}`, and vm `{vm}` goes back to its own snapshots alone")]
    OtherSnapshot { vm: String, of: String },
    #[error(
        "disk `{id}` was detached since the snapshot was taken, and what it held then is gone: vm `{vm}` cannot go back to it"
    )]
    SnapshotDiskGone { id: String, vm: String },
    #[error(
        "there is no signal `{0}` (a name with or without SIG, as TERM or SIGINT, or a number)"
    )]
    NoSignal(String),
    #[error("timed out waiting for `{text}`\n{console}")]
    NotExpected { text: String, console: String },
    #[error("the console does not show `{0}`")]
    NotShown(String),
    /// The error of a tool of the guest.
    #[error("{0}")]
    Guest(String),
    #[error("QEMU closed its channel to the guest agent")]
    AgentGone,
    #[error("{0}")]
    Mount(#[from] LaunchError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{context}: {cause}")]
    Io { context: String, cause: io::Error },
}

impl VmError {
    pub(super) fn io(context: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let context = context.into();
        move |cause| Self::Io { context, cause }
    }
}

/// What a guest may lack for a disk on `bus`.
fn driver_of(bus: &str) -> String {
    let drivers = match bus {
        "virtio-scsi" => "virtio_scsi and sd_mod",
        "nvme" => "nvme",
        "sata" => "ahci and sd_mod",
        "usb" => "xhci_pci, usb_storage and sd_mod",
        _ => return String::new(),
    };
    format!(": its kernel needs drivers for bus {bus} ({drivers})")
}

/// That no agent has answered, where it was awaited, and what to look at.
fn no_agent(after: Duration, port: &str, opened: bool, resets: usize, console: &str) -> String {
    let after = after.as_secs_f64();
    let port = format!("the virtio-serial port `{port}`");
    let what = match opened {
        true => format!("the guest has opened {port}, and nothing has answered there"),
        false => format!("the guest has not opened {port}, where its agent was awaited"),
    };
    let resets = match resets {
        0 => String::new(),
        1 => "; the guest has reset itself once".to_owned(),
        n => format!("; the guest has reset itself {n} times"),
    };
    let advice = "A guest needs qemu-guest-agent for vm:run and files; for one without it, the profile says \
                  `agent = false`. `agent_timeout` sets the time";
    format!("no guest agent answered within {after}s: {what}{resets}. {advice}\n{console}")
}
