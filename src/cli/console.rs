//! `provium console`: a person at a guest's serial console.

use std::io::{Read, Write, stdin, stdout};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Exit, output};
use crate::config::Config;
use crate::os::terminal::{RawTerminal, show_progress};
use crate::units::text::printable;
use crate::vm::{BootOptions, Limit, State, Vm};

/// Ctrl-], as telnet and virsh have it.
const LEAVE: u8 = 0x1d;
/// After a script's last line: for how long the guest must have nothing more to say.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often to look whether the guest is still there.
const TICK: Duration = Duration::from_millis(100);

/// Connect this terminal to a guest's serial console; Ctrl-] leaves
///
/// A profile boots a guest, which ends with the command. A socket belongs to a VM that
/// `provium test --keep` has kept; the VM runs on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium console default
  provium console /run/user/1000/provium/vm-1234-1/console.sock")]
pub(super) struct Args {
    /// A profile of provium.toml, or the socket of a kept VM
    #[arg(value_name = "PROFILE|SOCKET")]
    target: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let path = Path::new(&args.target);
    let is_socket = path
        .metadata()
        .is_ok_and(|found| found.file_type().is_socket());
    if is_socket {
        attend(UnixStream::connect(path)?)?;
    } else {
        boot(&args.target)?;
    }
    Ok(Exit::Done)
}

/// At the console of a VM that somebody else holds.
fn attend(mut socket: UnixStream) -> anyhow::Result<()> {
    let _raw = RawTerminal::enter();
    let mut typing = socket.try_clone()?;
    std::thread::spawn(move || {
        let _ = type_into(|text| typing.write_all(text));
        let _ = typing.shutdown(std::net::Shutdown::Both);
    });
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer)? {
            0 => return Ok(()),
            n => stdout().write_all(&buffer[..n])?,
        }
        stdout().flush()?;
    }
}

/// At the console of a VM of our own.
fn boot(profile_name: &str) -> anyhow::Result<()> {
    let here = std::env::current_dir()?;
    let config = output::load_config(Config::find(&here), &here)?;
    let profile = config.profile(profile_name)?;
    let limit = Limit::default();
    limit.on_preparing(|it| show_progress(&printable(&it.what), it.percent, it.is_first));
    let mut vm = Vm::create(
        "console",
        profile_name,
        profile,
        BootOptions::default(),
        limit,
    )?;
    output::note(format_args!(
        "booting profile `{profile_name}`; Ctrl-] leaves"
    ));
    let booted = vm.boot(BootOptions::default());
    for note in vm.take_notes() {
        output::note(note);
    }
    booted?;
    let Some(terminal) = vm.terminal() else {
        return Ok(());
    };
    let _raw = RawTerminal::enter();
    stdout().write_all(vm.console_log().as_bytes())?;
    stdout().flush()?;
    let shown = Arc::new(Mutex::new(Instant::now()));
    terminal.watch(Box::new(Screen(Arc::clone(&shown))));
    let left = Arc::new(AtomicBool::new(false));
    let leave = Arc::clone(&left);
    std::thread::spawn(move || {
        if let Ok(Typed::All) = type_into(|text| terminal.write(text)) {
            while shown.lock().elapsed() < LAST_WORDS {
                std::thread::sleep(TICK);
            }
        }
        leave.store(true, Ordering::Relaxed);
    });
    while vm.state() == State::Booted && !left.load(Ordering::Relaxed) {
        std::thread::sleep(TICK);
    }
    Ok(())
}

/// Standard output, and when something was shown there last.
struct Screen(Arc<Mutex<Instant>>);

impl Write for Screen {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        *self.0.lock() = Instant::now();
        stdout().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        stdout().flush()
    }
}

/// Why no more is typed.
enum Typed {
    /// Ctrl-].
    Leave,
    /// The input has ended, as that of a script does.
    All,
}

/// Passes the input on, up to Ctrl-] or its end.
fn type_into(mut write: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<Typed> {
    let mut typed = [0; 256];
    loop {
        let n = stdin().read(&mut typed)?;
        let end = typed[..n].iter().position(|byte| *byte == LEAVE);
        write(&typed[..end.unwrap_or(n)])?;
        if end.is_some() {
            return Ok(Typed::Leave);
        }
        if n == 0 {
            return Ok(Typed::All);
        }
    }
}
