//! Keeping the VMs of a failed test for a person to look at: this process goes on without its runner.

use std::io::{self, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::events::{Event, KeptVm};
use crate::os::{process, sys};
use crate::script::context::Context;
use crate::vm::Terminal;

/// Keeps the VMs of `context` until this process gets TERM; returns at once if there are none.
pub(super) fn keep_vms(context: &Context) {
    let vms = context.scope();
    if vms.is_empty() {
        return;
    }
    let signals = sys::outlive_starter().and_then(|()| Signals::new([SIGTERM, SIGINT]));
    let mut signals = match signals {
        Ok(signals) => signals,
        Err(error) => return eprintln!("provium: cannot keep the VMs: {error}"),
    };
    let mut kept = Vec::new();
    for vm in &vms {
        let vm = vm.borrow();
        let folder = vm.folder().to_owned();
        if let Some(terminal) = vm.terminal()
            && let Err(error) = offer(&folder.join("console.sock"), terminal)
        {
            eprintln!("provium: the console of vm `{}`: {error}", vm.name());
        }
        let name = vm.name().to_owned();
        kept.push(KeptVm { name, folder });
    }
    context.emit(Event::Kept {
        process: std::process::id(),
        vms: kept,
    });
    context.hang_up();
    signals.forever().next();
    context.close_vms_since(0);
    process::kill_group(std::process::id());
    std::process::exit(0);
}

/// Connects each client of the socket at `path` with the terminal; the latest one gets its output.
fn offer(path: &Path, terminal: Terminal) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    let thread = std::thread::Builder::new().name("console".into());
    thread.spawn(move || {
        for client in listener.incoming().flatten() {
            let terminal = terminal.clone();
            std::thread::spawn(move || connect(client, &terminal));
        }
    })?;
    Ok(())
}

fn connect(mut client: UnixStream, terminal: &Terminal) -> io::Result<()> {
    terminal.watch(Box::new(client.try_clone()?));
    let mut typed = [0; 256];
    loop {
        match client.read(&mut typed)? {
            0 => return Ok(()),
            n => terminal.write(&typed[..n])?,
        }
    }
}
