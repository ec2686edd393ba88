//! The watchdog: notices that loop threads are stuck in a request, and has others serve.

use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::MutexGuard;

use super::threads::Threads;

/// How often the watchdog looks. A thread that it finds twice in the same request is stuck.
pub(super) const LOOK: Duration = Duration::from_millis(10);
/// How many looks in a row find no thread busy before the watchdog sleeps until one is.
const IDLE_LOOKS: u32 = 100;

/// Watches `threads` until they end. Calls `on_stuck` at each look at which a thread is stuck.
pub(super) fn watch(threads: &Threads, on_stuck: impl Fn()) {
    let (mut before, mut idle) = (threads.activity.requests(), 0);
    let mut state = threads.state.lock();
    while !state.ended() {
        threads.noticed.wait_for(&mut state, LOOK);
        let now = threads.activity.requests();
        let same = before.iter().zip(&now);
        let stuck = same.filter(|(before, now)| now.is_some() && before == now);
        let stuck = stuck.count();
        if stuck > 0 {
            MutexGuard::unlocked(&mut state, &on_stuck);
        }
        if stuck >= threads.awake.load(Ordering::Relaxed).max(1) {
            threads.help(&mut state);
        }
        let is_idle = threads.activity.all_are_free();
        idle = if is_idle { idle + 1 } else { 0 };
        if idle >= IDLE_LOOKS {
            threads.sleep(&mut state);
            idle = 0;
        }
        before = now;
    }
}
