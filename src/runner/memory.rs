//! How many files the machine's memory and processors can run side by side.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::stop::Stop;
use crate::config::Config;

/// Bytes that QEMU, the mount server and Lua take beside the guest's own memory.
const BESIDE: u64 = 128 << 20;
/// The time between two looks at the available memory.
const TICK: Duration = Duration::from_millis(200);

/// The memory that a file with one VM of the largest profile needs, in bytes.
pub fn memory_of_a_file(config: &Config) -> u64 {
    let largest = config.all_profiles().map(|profile| profile.memory_bytes());
    largest.max().unwrap_or(0).saturating_add(BESIDE)
}

/// How many files to run at a time by default.
pub fn default_jobs(config: &Config) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let cpus = config
        .all_profiles()
        .map(|profile| profile.cpus.max(1) as usize);
    let by_processors = processors / cpus.max().unwrap_or(1);
    let by_memory = match available() {
        Some(bytes) => (bytes / memory_of_a_file(config)) as usize,
        None => processors,
    };
    by_processors.min(by_memory).max(1)
}

/// Memory that is available without swapping, in bytes; None where the kernel does not say.
fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// Lets a file start when there is memory for it, or nothing else runs.
pub(super) struct MemoryGate {
    needed: u64,
    running: AtomicUsize,
}

/// Counts a running file until it is dropped.
pub(super) struct Running<'a>(&'a AtomicUsize);

impl MemoryGate {
    pub(super) fn new(needed: u64) -> Self {
        Self {
            needed,
            running: AtomicUsize::new(0),
        }
    }

    /// Waits for memory, for another file's end, or for the run's.
    pub(super) fn enter(&self, stop: &Stop) -> Running<'_> {
        while self.running.fetch_add(1, Ordering::SeqCst) > 0 {
            let enough = available().is_none_or(|bytes| bytes >= self.needed);
            if enough || stop.reason().is_some() {
                break;
            }
            self.running.fetch_sub(1, Ordering::SeqCst);
            std::thread::sleep(TICK);
        }
        Running(&self.running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_a_file_saturates() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let needed = |memory: &str| {
            let profile = format!("[profiles.large]\nmemory = \"{memory}\"\n");
            std::fs::write(file.path(), profile).unwrap();
            memory_of_a_file(&Config::load(Some(file.path()), "/".as_ref()).unwrap())
        };
        assert_eq!(needed("512M"), (512 << 20) + BESIDE);
        assert_eq!(needed("16777215T"), u64::MAX - (1 << 40) + 1 + BESIDE);
        assert_eq!(needed("17592186044415M"), u64::MAX);
    }
}
