//! Arithmetic of NTP timestamps, and the wall clock they are taken from.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use crate::rtcp::NtpTime;

const NANOS: i128 = 1_000_000_000;

impl NtpTime {
    /// Nanoseconds from `other` to `self`, negative if `self` is earlier. Right for times up
    /// to 68 years apart.
    pub fn ns_since(self, other: NtpTime) -> i64 {
        let difference = self.0.wrapping_sub(other.0) as i64;
        ((i128::from(difference) * NANOS) >> 32) as i64
    }

    /// The time `ns` nanoseconds later, or earlier if negative.
    pub fn offset_ns(self, ns: i64) -> NtpTime {
        let steps = (i128::from(ns) << 32).div_euclid(NANOS);
        NtpTime(self.0.wrapping_add(steps as i64 as u64))
    }
}

/// Wall-clock time by the monotonic clock: set once, so it never steps.
#[derive(Debug, Clone, Copy)]
pub struct WallClock {
    anchor: Instant,
    ntp: NtpTime,
}

impl WallClock {
    /// Anchors the wall clock: it showed `wall` at `now`. Years before 1970 count as 1970.
    pub fn new(now: Instant, wall: SystemTime) -> WallClock {
        let since_epoch = wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        WallClock { anchor: now, ntp: NtpTime::from_unix(since_epoch) }
    }

    /// The NTP time at `now`. Times before the anchor give the anchor.
    pub fn ntp(&self, now: Instant) -> NtpTime {
        let elapsed = now.saturating_duration_since(self.anchor);
        self.ntp.offset_ns(i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_differences_are_inverse_across_the_wrap_of_2036() {
        for base in [0, 1, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 0xee00 << 48] {
            for ns in [0, 1, 999, 1_000_000_007, -1, -1_000_000_007, 86_400_000_000_000] {
                let difference = NtpTime(base).offset_ns(ns).ns_since(NtpTime(base));
                assert!((difference - ns).abs() <= 1, "{base} {ns} {difference}");
            }
        }
    }

    #[test]
    fn the_wall_clock_follows_the_monotonic_clock() {
        let start = Instant::now();
        let clock = WallClock::new(start, UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let later = clock.ntp(start + Duration::from_millis(2_250));
        assert!((later.ns_since(clock.ntp(start)) - 2_250_000_000).abs() <= 1);
        assert_eq!(later.to_unix().as_secs(), 1_700_000_002);
    }
}
