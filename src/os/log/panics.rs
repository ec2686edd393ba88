//! A panic of a server is never lost: it goes to the log, or to a file in the run-time folder.

use std::backtrace::Backtrace;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::queue::Queue;
use crate::os::{folders, thread};

/// How long a thread that panics waits until the log has the reason.
const LOGGED: Duration = Duration::from_secs(1);
/// No more is added to a file of panics that has as many bytes.
const MOST: u64 = 1 << 20;

/// The file that gets the panics of servers without a log.
pub fn panic_file() -> io::Result<PathBuf> {
    Ok(folders::runtime()?.join("panics"))
}

/// Has each panic of this process recorded with its place, thread and backtrace, beside what was done with it before.
/// Without a log it goes to [`panic_file`].
pub(super) fn record(log: Option<Queue>) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        let text = described(panic);
        match &log {
            Some(queue) => {
                tracing::error!("{text}");
                queue.flush(LOGGED);
            }
            None => drop(append(&text)),
        }
    }));
}

fn described(panic: &PanicHookInfo<'_>) -> String {
    let name = thread::own_name();
    let backtrace = Backtrace::force_capture();
    let version = env!("CARGO_PKG_VERSION");
    format!("this is a bug of provium {version}: thread `{name}` {panic}\n{backtrace}")
}

fn append(text: &str) -> io::Result<()> {
    let options = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .to_owned();
    let mut file = options.open(panic_file()?)?;
    if file.metadata()?.len() < MOST {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = since.unwrap_or_default().as_secs();
        let process = std::process::id();
        file.write_all(format!("@{seconds} [{process}] {text}\n").as_bytes())?;
    }
    Ok(())
}
