//! How much arrives per second, by the receiver's clock.

/// Length of the window.
const WINDOW_US: i64 = 500_000;
/// A rate is known once packets cover this much.
const LEAST_US: i64 = 150_000;
const BUCKET_US: i64 = 25_000;
const BUCKETS: usize = (WINDOW_US / BUCKET_US) as usize;
/// Steps of the receiver's clock beyond this start anew.
const MAX_STEP_US: i64 = 2_000_000;

/// Rate of arriving bytes over the last half second. 128 bytes, none of them elsewhere.
#[derive(Debug, Clone, Default)]
pub(super) struct AckedRate {
    /// Bytes, by number of the bucket modulo their count. What is beyond 4 Gi is not counted.
    buckets: [u32; BUCKETS],
    /// Number of the newest.
    newest: i64,
    since_us: Option<i64>,
    newest_us: i64,
    total: u64,
}

impl AckedRate {
    /// Adds bytes that arrived at `arrival_us`, in about that order.
    #[inline]
    pub(super) fn add(&mut self, arrival_us: i64, bytes: u64) {
        let step = arrival_us - self.newest_us;
        if self.since_us.is_none() || step.abs() > MAX_STEP_US {
            *self = AckedRate {
                since_us: Some(arrival_us),
                newest_us: arrival_us,
                newest: arrival_us.div_euclid(BUCKET_US),
                ..AckedRate::default()
            };
        }
        self.newest_us = self.newest_us.max(arrival_us);
        let index = self.newest_us.div_euclid(BUCKET_US);
        if index > self.newest {
            self.open(index);
        }
        let bucket = &mut self.buckets[index.rem_euclid(BUCKETS as i64) as usize];
        let bytes = bytes.min(u64::from(u32::MAX - *bucket));
        *bucket += bytes as u32;
        self.total += bytes;
    }

    /// Empties what lies between the newest bucket and this one, which becomes the newest.
    fn open(&mut self, index: i64) {
        for step in 0..(index - self.newest).min(BUCKETS as i64) {
            let passed = &mut self.buckets[(index - step).rem_euclid(BUCKETS as i64) as usize];
            self.total -= u64::from(std::mem::take(passed));
        }
        self.newest = index;
    }

    /// Bits per second; `None` until enough arrived.
    pub(super) fn bps(&self) -> Option<f64> {
        let elapsed = self.newest_us - self.since_us?;
        if elapsed < LEAST_US {
            return None;
        }
        let open = self.newest_us.rem_euclid(BUCKET_US) + WINDOW_US - BUCKET_US;
        let covered = open.min(elapsed).max(LEAST_US);
        Some(self.total as f64 * 8e6 / covered as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_rate_is_measured() {
        let mut rate = AckedRate::default();
        assert_eq!(rate.bps(), None);
        for step in 0..1_000 {
            rate.add(7_000_000 + step * 8_000, 1_000);
            if step > 100 {
                let bps = rate.bps().unwrap();
                assert!((bps / 1e6 - 1.0).abs() < 0.04, "{bps}");
            }
        }
    }

    #[test]
    fn a_fall_is_seen_within_half_a_second() {
        let mut rate = AckedRate::default();
        for step in 0..1_000 {
            rate.add(step * 4_000, 1_000);
        }
        for step in 0..13 {
            rate.add(4_000_000 + step * 40_000, 1_000);
        }
        let bps = rate.bps().unwrap();
        assert!((bps / 200e3 - 1.0).abs() < 0.15, "{bps}");
    }

    #[test]
    fn a_receiver_cannot_break_it_with_its_clock() {
        let mut rate = AckedRate::default();
        for (step, at) in [0, i64::MAX / 4, i64::MIN / 4, 5, -5, 1 << 40].iter().enumerate() {
            rate.add(*at, step as u64);
            let _ = rate.bps();
        }
        for _ in 0..100_000 {
            rate.add(1 << 40, 1_500);
        }
        assert!(size_of::<AckedRate>() <= 136);
        assert_eq!(rate.bps(), None, "no time has passed");
    }
}
