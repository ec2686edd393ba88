//! The ways of QEMU to an image, what is read by them, and `qemu-img bench`, which does it.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, bail};
use serde::Serialize;

use crate::os::sys;
use crate::units::listed;
use crate::units::text::harmless;

const PROGRAM: &str = "qemu-img";
/// How long a measurement lasts at least, in seconds.
const SECONDS: f64 = 0.3;
/// The requests of the first try.
const FIRST_TRY: u64 = 100;
/// Each step between two requests is so many requests wide: an odd number visits the image in all places.
const STRIDE: u64 = 10_007;

listed! {
    /// What serves the requests.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "lowercase")]
    pub(super) enum Place {
        /// The image itself.
        File,
        /// The image in a mount.
        Mount,
    }
}

listed! {
    /// How QEMU has a file read: its `aio=`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub(super) enum Aio {
        Threads,
        IoUring,
        Native,
    }
}

impl Aio {
    /// As QEMU has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::IoUring => "io_uring",
            Self::Native => "native",
        }
    }
}

/// A way to the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Way {
    pub(super) place: Place,
    pub(super) aio: Aio,
}

impl Way {
    /// All, in the order of the table.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let of = |place| Aio::ALL.map(|aio| Self { place, aio });
        Place::ALL.into_iter().flat_map(of)
    }
}

listed! {
    /// What is read.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub(super) enum Workload {
        /// 4 KiB, one request at a time.
        Alone,
        /// 4 KiB, sixteen at a time.
        Many,
        /// 1 MiB, four at a time.
        Large,
    }
}

impl Workload {
    /// Bytes of a request.
    pub(super) fn size(self) -> u64 {
        match self {
            Self::Alone | Self::Many => 4096,
            Self::Large => 1 << 20,
        }
    }

    /// Requests at a time.
    pub(super) fn depth(self) -> u64 {
        match self {
            Self::Alone => 1,
            Self::Many => 16,
            Self::Large => 4,
        }
    }
}

/// What is measured.
pub(super) struct Measurer<'a> {
    pub(super) image: &'a Path,
    /// The same in a mount.
    pub(super) served: &'a Path,
}

impl Measurer<'_> {
    /// Requests a second; the reason where this machine has no such way.
    pub(super) fn rate(&self, way: Way, workload: Workload) -> anyhow::Result<Result<f64, String>> {
        let path = match way.place {
            Place::File => self.image,
            Place::Mount => self.served,
        };
        let mut count = FIRST_TRY;
        loop {
            let output = bench(path, way.aio, workload, count).output();
            let output = output.context("cannot run qemu-img")?;
            if !output.status.success() {
                return Ok(Err(reason(&output)));
            }
            let said = String::from_utf8_lossy(&output.stdout);
            let Some(seconds) = seconds(&said) else {
                bail!(
                    "`qemu-img bench` does not say how long it took: {}",
                    harmless(&said)
                );
            };
            if seconds >= SECONDS {
                return Ok(Ok(count as f64 / seconds));
            }
            let enough = count as f64 * SECONDS * 1.2 / seconds.max(0.001);
            count = (enough as u64).clamp(count + 1, count * 30);
        }
    }
}

/// Fails unless `qemu-img` is there.
pub(super) fn check_tool() -> anyhow::Result<()> {
    let mut command = Command::new(PROGRAM);
    let tried = command.arg("--version").stdout(Stdio::null()).status();
    match tried {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("qemu-img is not installed; `provium doctor` names the package that has it")
        }
        other => other.map(drop).context("cannot run qemu-img"),
    }
}

fn bench(path: &Path, aio: Aio, workload: Workload, count: u64) -> Command {
    let (size, depth) = (workload.size(), workload.depth());
    let step = if size < 1 << 20 { size * STRIDE } else { size };
    let mut command = Command::new(PROGRAM);
    // The mount has the image open: `-U` shares it.
    command
        .args(["bench", "-U", "-f", "raw", "-t", "none", "-i", aio.name()])
        .args(["-d", &depth.to_string(), "-c", &count.to_string()])
        .args(["-s", &size.to_string(), "-S", &step.to_string(), "--"])
        .arg(path)
        .stdin(Stdio::null());
    sys::die_with_starter(&mut command, libc::SIGKILL);
    command
}

fn seconds(said: &str) -> Option<f64> {
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("Run completed in "));
    line?.strip_suffix(" seconds.")?.parse().ok()
}

/// What `qemu-img` said last.
fn reason(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    harmless(last.unwrap_or("it has failed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_those_of_the_line_that_qemu_img_prints() {
        let said = "Sending 100 read requests, 4096 bytes each, 1 in parallel\nRun completed in 0.003 seconds.\n";
        assert_eq!(seconds(said), Some(0.003));
        assert_eq!(seconds("Run completed in"), None);
    }
}
