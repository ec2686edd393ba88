//! Errors of the host in the log of the server: the first one, and then at most one a second of each disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::error;

use crate::fault::IoRange;
use crate::protocol::Errno;
use crate::protocol::names::SECTOR;

/// No more than one line in this time.
const PAUSE: Duration = Duration::from_secs(1);

/// When a disk last logged an error of its host.
#[derive(Debug, Default)]
pub(in crate::disk) struct HostErrors {
    /// When the next line may come, in nanoseconds since the disk was attached.
    next: AtomicU64,
    /// Errors since the last line.
    unsaid: AtomicU64,
}

impl HostErrors {
    /// The host has failed a request of the disk `id`, `now` after that was attached. `remark` is added to it.
    #[cold]
    pub(in crate::disk) fn log(
        &self,
        id: &str,
        range: IoRange,
        errno: Errno,
        now: Duration,
        remark: &str,
    ) {
        let Some(unsaid) = self.turn(now) else {
            return;
        };
        let (op, sector, count) = (range.op, range.offset / SECTOR, range.len.div_ceil(SECTOR));
        match unsaid {
            0 => error!("{id}: the host failed {op} {sector}+{count}: {errno}{remark}"),
            _ => {
                error!(
                    "{id}: the host failed {op} {sector}+{count}: {errno}{remark}; {unsaid} more before"
                )
            }
        }
    }

    /// How many errors were not logged before this one; None if it is not to be logged either.
    fn turn(&self, now: Duration) -> Option<u64> {
        let (now, next) = (now.as_nanos() as u64, self.next.load(Ordering::Relaxed));
        let after = now + PAUSE.as_nanos() as u64;
        let change = |from| {
            let (ok, fail) = (Ordering::Relaxed, Ordering::Relaxed);
            self.next.compare_exchange(from, after, ok, fail)
        };
        match now >= next && change(next).is_ok() {
            true => Some(self.unsaid.swap(0, Ordering::Relaxed)),
            false => {
                self.unsaid.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_host_are_logged_once_a_second_and_counted() {
        let errors = HostErrors::default();
        let turn = |millis| errors.turn(Duration::from_millis(millis));
        assert_eq!(turn(5), Some(0));
        assert_eq!(turn(6), None);
        assert_eq!(turn(1004), None);
        assert_eq!(turn(1005), Some(2));
        assert_eq!(turn(3000), Some(0));
    }
}
