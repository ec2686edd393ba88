//! What the user starts: it waits, and hands signals on.

use std::ffi::OsString;
use std::io;
use std::process::{Command, ExitStatus};

use anyhow::Context;
use signal_hook::iterator::Signals;

use super::options::{Args, Plan};
use super::{STOPS, WORKER};
use crate::cli::Exit;
use crate::cli::output;
use crate::os::process::Process;
use crate::os::sys;

/// Has a second process do the work, and ends as it does.
pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<Exit> {
    // What is wrong with the words is said here.
    Plan::of(args)?;
    let ended = work().context("cannot start the process that sweeps")?;
    Ok(match ended.code() {
        Some(0) => Exit::Done,
        Some(code) if code == Exit::Usage as i32 => Exit::Usage,
        _ => Exit::Failed,
    })
}

fn work() -> io::Result<ExitStatus> {
    let signals = STOPS.iter().filter(|signal| !sys::is_ignored(**signal));
    let mut signals = Signals::new(signals)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(words());
    // A signal to the group of this process does not reach it: it ends in order.
    sys::new_session(&mut command);
    sys::die_with_starter(&mut command, libc::SIGTERM);
    let mut worker = command.spawn()?;
    let process = Process::open(worker.id())?;
    let pass_on = move || {
        for signal in signals.forever() {
            // One that has ended needs no signal.
            let _ = process.signal(signal);
        }
    };
    std::thread::Builder::new().spawn(pass_on)?;
    worker.wait()
}

/// The words of this command line, with the name of the worker in the place of that of the command.
fn words() -> Vec<OsString> {
    let mut words: Vec<_> = std::env::args_os().skip(1).collect();
    let at = output::leading_options(&words);
    if let Some(name) = words.get_mut(at) {
        *name = WORKER.into();
    }
    words
}
