//! What a `limit` says, and the pace that it sets: from which moment on each request may pass.
//!
//! The moments are those of a virtual time, in which the requests of a rule follow each other exactly as the rule says.
//! A request that passes late, since a timer was, does not delay those behind it; nor does one that comes late, since
//! its client took a moment. Only after idle time the virtual time goes on from now.

use std::time::Duration;

use parking_lot::Mutex;

/// A client is idle if its next request comes later than this after one has passed. What it and the timers take is made
/// up for, up to this time.
const IDLE: Duration = Duration::from_millis(100);

/// How many requests pass at most, of all that a rule is for. At least one of rate, iops and lanes is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Bytes in a second; above 0.
    pub rate: Option<u64>,
    /// Requests in a second; above 0.
    pub iops: Option<u64>,
    /// The bytes beyond the rate that may pass at once after idle time.
    pub burst: u64,
    /// How many requests may have passed and not be answered; above 0.
    pub lanes: Option<u64>,
}

/// The pace of an armed `limit`.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    bytes: Meter,
    requests: Meter,
    /// When the latest request has passed, if one has.
    passed: Option<Duration>,
}

/// What has passed so far.
#[derive(Debug, Default)]
struct Meter {
    /// The end of the latest one in virtual time, in nanoseconds times what passes in a second: it has no rounding.
    end: u128,
}

const NANOS: u128 = 1_000_000_000;

impl Meter {
    /// From when on `amount` may pass, where so much does `each_second`, if it came `credit` before `now`.
    fn admit(
        &mut self,
        each_second: u64,
        amount: u64,
        now: Duration,
        credit: Duration,
    ) -> Duration {
        let each_second = u128::from(each_second);
        let came = now.saturating_sub(credit).as_nanos() * each_second;
        let start = came.max(self.end);
        self.end = start + u128::from(amount) * NANOS;
        Duration::from_nanos(start.div_ceil(each_second) as u64)
    }

    fn give_back(&mut self, amount: u64) {
        self.end = self.end.saturating_sub(u128::from(amount) * NANOS);
    }
}

impl Limit {
    /// How long the bytes of the burst take at the rate.
    fn head_start(&self) -> Duration {
        let nanos = u128::from(self.burst) * NANOS / u128::from(self.rate.unwrap_or(1)).max(1);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Pace {
    /// From when on a request of `len` bytes may pass that comes at `now`.
    pub(super) fn admit(&self, limit: &Limit, len: u64, now: Duration) -> Duration {
        let mut state = self.0.lock();
        let is_busy = |passed| now.saturating_sub(passed) <= IDLE;
        let late = match state.passed.is_some_and(is_busy) {
            true => IDLE,
            false => Duration::ZERO,
        };
        let credit = limit.head_start().saturating_add(late);
        let by_rate = limit.rate;
        let by_rate = by_rate.map(|each| state.bytes.admit(each, len, now, credit));
        let by_iops = limit.iops;
        let by_iops = by_iops.map(|each| state.requests.admit(each, 1, now, late));
        by_rate.max(by_iops).unwrap_or(now)
    }

    /// A request passes at `now`.
    pub(super) fn passed(&self, now: Duration) {
        let mut state = self.0.lock();
        state.passed = state.passed.max(Some(now));
    }

    /// A request of `len` bytes that was admitted does not pass.
    pub(super) fn give_back(&self, len: u64) {
        let mut state = self.0.lock();
        state.bytes.give_back(len);
        state.requests.give_back(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    fn limit(rate: u64, iops: u64, burst: u64) -> Limit {
        let given = |value: u64| (value > 0).then_some(value);
        Limit {
            rate: given(rate),
            iops: given(iops),
            burst,
            lanes: None,
        }
    }

    /// When each of `requests` passes that a client sends which has `depth` of them under way. Each passes `late`, and
    /// takes `service` after that.
    fn passing(
        limit: &Limit,
        len: u64,
        (depth, requests): (usize, usize),
        late: impl Fn(usize) -> Duration,
        service: Duration,
    ) -> Vec<Duration> {
        let pace = Pace::default();
        let mut passed: Vec<Duration> = Vec::new();
        for number in 0..requests {
            let before = number.checked_sub(depth);
            let now = before.map_or(Duration::ZERO, |before| passed[before] + service);
            let start = pace.admit(limit, len, now);
            let waits = start > now;
            let passes = if waits { start + late(number) } else { now };
            pace.passed(passes);
            passed.push(passes);
        }
        passed
    }

    #[test]
    fn rate_is_exact_at_every_depth_and_length_whatever_the_timer_and_the_storage_take() {
        let rate = 50 << 20;
        let limit = limit(rate, 0, 0);
        for (len, depth, service) in [
            (4096, 1, us(0)),
            (4096, 1, us(70)),
            (4096, 32, us(2000)),
            (1 << 20, 1, us(15_000)),
            (1 << 20, 32, us(100)),
        ] {
            for late in [us(0), us(60), us(300)] {
                let times = passing(&limit, len, (depth, 12_801), |_| late, service);
                let exact = 12_800 * u128::from(len) * NANOS / u128::from(rate);
                let ended = times[12_800].as_nanos();
                // No earlier, and at most what the last one is late.
                let last = exact..=exact + late.as_nanos() + service.as_nanos();
                assert!(
                    last.contains(&ended),
                    "{len} {depth} {service:?} {late:?}: {ended}"
                );
            }
        }
    }

    #[test]
    fn rate_is_exact_where_a_client_takes_a_moment_now_and_then() {
        let limit = limit(50 << 20, 0, 0);
        let (pace, mut now, mut passes) = (Pace::default(), Duration::ZERO, Duration::ZERO);
        for number in 0..12_801 {
            let start = pace.admit(&limit, 4096, now);
            passes = start.max(now);
            pace.passed(passes);
            let is_slow = number % 50 == 0 && number > 0;
            now = passes + if is_slow { us(2500) } else { us(20) };
        }
        let late = passes.saturating_sub(Duration::from_secs(1));
        assert!(
            passes >= Duration::from_secs(1) && late <= us(2500),
            "{passes:?}"
        );
    }

    #[test]
    fn requests_are_as_far_apart_as_the_limit_says_without_rounding() {
        let times = passing(&limit(0, 3, 0), 4096, (32, 3001), |_| us(0), us(0));
        assert_eq!(times[3000], Duration::from_secs(1000));
        assert_eq!(times[1], Duration::from_nanos(333_333_334), "no earlier");
        let times = passing(&limit(7, 0, 0), 3, (1, 7001), |_| us(0), us(0));
        assert_eq!(times[7000], Duration::from_secs(3000));
    }

    #[test]
    fn slower_one_of_rate_and_iops_sets_the_pace() {
        let both = limit(1 << 20, 100, 0);
        let small = passing(&both, 512, (8, 101), |_| us(0), us(0));
        assert_eq!(small[100], Duration::from_secs(1));
        let large = passing(&both, 1 << 20, (8, 101), |_| us(0), us(0));
        assert_eq!(large[100], Duration::from_secs(100));
    }

    #[test]
    fn burst_passes_at_once_after_idle_time_and_then_the_rate_holds() {
        let limit = limit(1000, 0, 5000);
        let pace = Pace::default();
        let starts = |now: u64| {
            let now = Duration::from_secs(now);
            let one = |_| pace.admit(&limit, 1000, now).max(now) - now;
            (0..8).map(one).collect::<Vec<_>>()
        };
        let seconds = |seconds: [u64; 8]| seconds.map(Duration::from_secs).to_vec();
        assert_eq!(starts(100), seconds([0, 0, 0, 0, 0, 0, 1, 2]));
        assert_eq!(starts(100), seconds([3, 4, 5, 6, 7, 8, 9, 10]));
        assert_eq!(starts(1000), seconds([0, 0, 0, 0, 0, 0, 1, 2]));
    }

    #[test]
    fn first_request_has_no_credit_however_soon_it_comes() {
        let pace = Pace::default();
        let now = us(5000);
        assert_eq!(pace.admit(&limit(0, 1000, 0), 1, now), now);
    }

    #[test]
    fn idle_time_is_no_credit_without_a_burst() {
        let limit = limit(0, 10, 0);
        let pace = Pace::default();
        let now = Duration::from_secs(60);
        assert_eq!(pace.admit(&limit, 1, now), now);
        assert_eq!(pace.admit(&limit, 1, now), now + us(100_000));
    }

    #[test]
    fn lateness_is_made_up_for_by_a_tenth_of_a_second_at_most_and_not_after_idle_time() {
        let limit = limit(0, 1000, 0);
        let pace = Pace::default();
        let second = Duration::from_secs(1);
        pace.admit(&limit, 1, second);
        let start = pace.admit(&limit, 1, second);
        assert_eq!(start, second + us(1000));
        pace.passed(second * 2);
        // The client's next one comes at once: 100 ms of the lost second are made up for.
        assert_eq!(pace.admit(&limit, 1, second * 2), second * 2 - us(100_000));
        let later = second * 10;
        assert_eq!(pace.admit(&limit, 1, later), later);
    }

    #[test]
    fn request_that_never_passes_takes_nothing_of_the_rate() {
        let limit = limit(1000, 10, 0);
        let pace = Pace::default();
        let now = Duration::from_secs(5);
        for _ in 0..100 {
            pace.admit(&limit, 1000, now);
        }
        (0..99).for_each(|_| pace.give_back(1000));
        assert_eq!(pace.admit(&limit, 1000, now), now + Duration::from_secs(1));
    }
}
