//! `provium run`: a mount for as long as one command runs.

mod forward;
mod words;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

use anyhow::Context;

use self::forward::Forwarding;
use super::exit::{RUN_CANNOT, RUN_FAILED, RUN_NOT_FOUND, RUN_SIGNAL, UsageError};
use super::output;
use super::private_mount::PrivateMount;
use crate::client::{DiskControl, MountClient};
use crate::fault::parse_rule;
use crate::os::{run_folder, sys};
use crate::protocol::DiskSpec;
use crate::units::text::shown;

/// Run a command with disks that can fail, and unmount them when it ends
///
/// Mounts in a private folder, runs the command in the foreground with its own input and output, unmounts, and
/// ends with the exit code of the command. Signals are passed on. The mount ends in any case, even if this
/// process is killed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium run --disk vda=disk.img -- fsck.ext4 -fn {vda}
  provium run --disk vda=disk.img --fault vda \"eio_read at=2048+8\" -- ./my-test {vda}
  provium run --disk vda=disk.img --disk log=log.img,cache=volatile -- \\
    sh -c 'my-db --data \"$PROVIUM_MNT/vda\" --log \"$PROVIUM_DISK_LOG\" & provium power \"$PROVIUM_MNT\" cut'

The command finds its disks by
  {ID}              anywhere in its words: the path of the disk; other braces stay as they are
  PROVIUM_MNT       the mount, with its control files in $PROVIUM_MNT/ctl
  PROVIUM_DISK_ID   the path of each disk, its ID in capitals and with `_` for `.` and `-`

Exit codes: that of the command; 128 and the number of the signal that ended it; 125 if provium itself
failed, 126 if the command cannot be run, 127 if it is not there, 2 for wrong usage.")]
pub(super) struct Args {
    /// An image to serve, and its name, as for `provium mount`. May be repeated
    #[arg(
        long = "disk",
        value_name = "ID=IMAGE[,ro][,fixed][,share][,cache=volatile][,scratch]",
        required = true
    )]
    disks: Vec<DiskSpec>,
    /// A rule to arm on a disk before the command starts. May be repeated
    #[arg(long = "fault", num_args = 2, value_names = ["ID", "RULE"])]
    faults: Vec<String>,
    /// The command and its arguments
    #[arg(
        value_name = "CMD",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<OsString>,
}

/// Runs the command. Its exit code, or one of ours.
pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    let faults = faults(args)?;
    let variables = words::variables(&args.disks)?;
    let forwarding = Forwarding::start().context("cannot listen to signals")?;
    // What a run has left that was killed together with its server.
    let _ = run_folder::remove_leftovers();
    let private = PrivateMount::start(&args.disks)?;
    let mount = MountClient::open(&private.point())?;
    for (id, rule) in &faults {
        arm(&mount.disk(id)?, rule)?;
    }
    let mut command = words::command(&args.command, &args.disks, mount.point());
    command.env("PROVIUM_MNT", mount.point());
    for (id, variable) in &variables {
        command.env(variable, mount.point().join(id));
    }
    let code = match start(command) {
        Ok(child) => code_of(wait(child, forwarding)?),
        Err(error) => cannot_start(&args.command, &error),
    };
    private.end();
    Ok(code)
}

/// The rules to arm, each with its disk.
fn faults(args: &Args) -> Result<Vec<(&str, &str)>, UsageError> {
    let pairs = args.faults.chunks_exact(2);
    pairs
        .map(|pair| {
            let (id, rule) = (pair[0].as_str(), pair[1].as_str());
            words::must_be_served(id, &args.disks)?;
            let parsed = parse_rule(rule, 1);
            parsed.map_err(|error| UsageError(format!("--fault {id}: {error}")))?;
            Ok((id, rule))
        })
        .collect()
}

fn arm(disk: &DiskControl, rule: &str) -> anyhow::Result<()> {
    disk.add_faults(&[rule])?;
    for warning in disk.warnings(&[rule])? {
        output::warn(format_args!("{} {warning}", disk.id()));
    }
    Ok(())
}

/// Starts the command. It is told to end if this process is killed.
fn start(mut command: Command) -> io::Result<Child> {
    sys::die_with_starter(&mut command, libc::SIGTERM);
    command.spawn()
}

fn wait(mut child: Child, forwarding: Forwarding) -> anyhow::Result<ExitStatus> {
    forwarding.to(child.id())?;
    Ok(child.wait()?)
}

fn code_of(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| RUN_SIGNAL + signal);
    let code = status.code().or(signal);
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(RUN_FAILED)
}

fn cannot_start(command: &[OsString], error: &io::Error) -> u8 {
    let name = command.first().map(shown).unwrap_or_default();
    output::error(format_args!("cannot run {name}: {error}"));
    match error.kind() {
        io::ErrorKind::NotFound => RUN_NOT_FOUND,
        _ => RUN_CANNOT,
    }
}
