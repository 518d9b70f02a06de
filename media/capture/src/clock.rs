//! From the monotonic clock to the clock of a session.

use std::time::{Duration, Instant};

/// Nanoseconds of `CLOCK_MONOTONIC` by [`Instant`], which is the same clock without its number.
#[derive(Debug, Clone, Copy)]
pub struct MonotonicAnchor {
    at: Instant,
    ns: u64,
}

impl MonotonicAnchor {
    /// `ns` is what `CLOCK_MONOTONIC` showed at `at`.
    pub fn new(at: Instant, ns: u64) -> MonotonicAnchor {
        MonotonicAnchor { at, ns }
    }

    /// Reads the clock.
    #[allow(unsafe_code, reason = "clock_gettime has no safe form in the standard library")]
    pub fn now() -> MonotonicAnchor {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the kernel writes one `timespec` into a live one.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
        MonotonicAnchor::new(
            Instant::now(),
            time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64,
        )
    }

    /// What the clock shows at `at`.
    #[inline]
    pub fn ns(&self, at: Instant) -> u64 {
        match at.checked_duration_since(self.at) {
            Some(later) => self.ns + later.as_nanos() as u64,
            None => self.ns.saturating_sub(self.at.duration_since(at).as_nanos() as u64),
        }
    }

    /// When the clock shows `ns`.
    pub fn instant(&self, ns: u64) -> Instant {
        match ns.checked_sub(self.ns) {
            Some(later) => self.at + Duration::from_nanos(later),
            None => self.at.checked_sub(Duration::from_nanos(self.ns - ns)).unwrap_or(self.at),
        }
    }
}

/// The clock of a session: µs since it began, never set back or forth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionClock {
    /// `CLOCK_MONOTONIC` when the session began, in ns.
    pub zero_ns: u64,
    /// The wall clock then, in µs since 1970.
    pub wall_us: i64,
}

impl SessionClock {
    /// µs since the session began; earlier times count as its beginning.
    pub fn us(&self, monotonic_ns: u64) -> u64 {
        monotonic_ns.saturating_sub(self.zero_ns) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_on_either_side_of_the_anchor() {
        let start = Instant::now() + Duration::from_secs(10);
        let anchor = MonotonicAnchor::new(start, 5_000_000_000);
        for (at, ns) in [
            (start, 5_000_000_000),
            (start + Duration::from_millis(7), 5_007_000_000),
            (start - Duration::from_millis(7), 4_993_000_000),
        ] {
            assert_eq!(anchor.ns(at), ns);
            assert_eq!(anchor.instant(ns), at);
        }
    }

    #[test]
    fn the_real_clock_runs() {
        let anchor = MonotonicAnchor::now();
        assert!(anchor.ns(Instant::now()) >= anchor.ns);
    }

    #[test]
    fn times_before_the_session_are_its_beginning() {
        let clock = SessionClock { zero_ns: 2_000_000, wall_us: 0 };
        assert_eq!([1_999_999, 2_000_999, 2_001_000].map(|ns| clock.us(ns)), [0, 0, 1]);
    }
}
