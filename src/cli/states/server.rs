//! `provium state-server`: the process that serves states to the one that asks about them.

use std::fs::File;
use std::os::fd::RawFd;
use std::path::PathBuf;

use super::super::Exit;
use crate::os::sys;
use crate::server::{StatesServing, serve_states};

/// Serve states to the parent process (internal)
#[derive(Debug, clap::Args)]
pub(in super::super) struct Args {
    mount_point: PathBuf,
    log: PathBuf,
    #[arg(long)]
    base: Option<PathBuf>,
    #[arg(long)]
    sectors: u64,
    #[arg(long)]
    run_folder: PathBuf,
    #[arg(long)]
    ready_fd: RawFd,
    #[arg(long)]
    socket_fd: RawFd,
}

pub(in super::super) fn run(args: Args) -> anyhow::Result<Exit> {
    serve_states(StatesServing {
        mount_point: &args.mount_point,
        run_folder: &args.run_folder,
        log: &args.log,
        base: args.base.as_deref(),
        sectors: args.sectors,
        ready: File::from(sys::inherited(args.ready_fd)?),
        socket: sys::inherited(args.socket_fd)?.into(),
    })?;
    Ok(Exit::Done)
}
