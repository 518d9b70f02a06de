//! Sums over the recent past, in constant memory.

use std::time::{Duration, Instant};

const BUCKETS: usize = 20;
const BUCKET_MS: u64 = 50;
const BUCKET: Duration = Duration::from_millis(BUCKET_MS);

/// Sum of what was added during about the last second, in buckets of 50 ms.
///
/// Covers between 950 ms and 1 s. Times may go backwards a little: older values count into the
/// newest bucket. A bucket holds 4 Gi at most, so what is beyond is not counted. 128 bytes.
#[derive(Debug, Clone, Default)]
pub struct SlidingSum {
    epoch: Option<Instant>,
    /// When the newest bucket ends.
    end: Option<Instant>,
    newest: u64,
    total: u64,
    buckets: [u32; BUCKETS],
}

impl SlidingSum {
    /// What the sum covers, at the longest.
    pub const SPAN: Duration = Duration::from_secs(1);

    /// Adds `amount` at `now`.
    #[inline]
    pub fn add(&mut self, amount: u64, now: Instant) {
        self.advance(now);
        let bucket = &mut self.buckets[self.newest as usize % BUCKETS];
        let amount = amount.min(u64::from(u32::MAX - *bucket));
        *bucket += amount as u32;
        self.total += amount;
    }

    /// The sum of the last second.
    pub fn sum(&mut self, now: Instant) -> u64 {
        self.advance(now);
        self.total
    }

    /// The sum of the last second, divided by the time it covers: a bit rate from bytes,
    /// already right when less than a second has passed since the first value.
    pub fn bits_per_second(&mut self, now: Instant) -> u64 {
        self.advance(now);
        let Some(epoch) = self.epoch else { return 0 };
        let elapsed = now.saturating_duration_since(epoch);
        let open = Duration::from_nanos(elapsed.subsec_nanos() as u64 % BUCKET.as_nanos() as u64);
        let covered = (BUCKET * (BUCKETS as u32 - 1) + open).min(elapsed.max(BUCKET * 2));
        (self.total as f64 * 8.0 / covered.as_secs_f64()) as u64
    }

    #[inline]
    fn advance(&mut self, now: Instant) {
        // Nearly always: a packet comes sooner than a bucket ends.
        if self.end.is_none_or(|end| now >= end) {
            self.open_bucket(now);
        }
    }

    fn open_bucket(&mut self, now: Instant) {
        if let Some(end) = self.end
            && now < end + BUCKET
        {
            // Nearly always, where packets come at all.
            self.newest += 1;
            self.end = Some(end + BUCKET);
            let passed = std::mem::take(&mut self.buckets[self.newest as usize % BUCKETS]);
            self.total -= u64::from(passed);
            return;
        }
        let epoch = *self.epoch.get_or_insert(now);
        let bucket = now.saturating_duration_since(epoch).as_millis() as u64 / BUCKET_MS;
        if bucket - self.newest >= BUCKETS as u64 {
            self.buckets = [0; BUCKETS];
            self.total = 0;
        } else {
            for passed in self.newest + 1..=bucket {
                let passed = std::mem::take(&mut self.buckets[passed as usize % BUCKETS]);
                self.total -= u64::from(passed);
            }
        }
        self.newest = bucket;
        self.end = Some(epoch + Duration::from_millis((bucket + 1) * BUCKET_MS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_leave_the_sum_after_a_second() {
        let start = Instant::now();
        let mut sum = SlidingSum::default();
        sum.add(5, start);
        sum.add(7, start + Duration::from_millis(500));
        assert_eq!(sum.sum(start + Duration::from_millis(949)), 12);
        assert_eq!(sum.sum(start + Duration::from_millis(1_000)), 7);
        assert_eq!(sum.sum(start + Duration::from_millis(1_500)), 0);
    }

    #[test]
    fn a_long_silence_empties_the_sum() {
        let start = Instant::now();
        let mut sum = SlidingSum::default();
        sum.add(5, start);
        assert_eq!(sum.sum(start + Duration::from_secs(86_400)), 0);
        sum.add(3, start + Duration::from_secs(86_400));
        assert_eq!(sum.sum(start + Duration::from_secs(86_400)), 3);
    }

    #[test]
    fn time_running_backwards_is_harmless() {
        let start = Instant::now();
        let mut sum = SlidingSum::default();
        sum.add(1, start + Duration::from_secs(5));
        sum.add(2, start);
        assert_eq!(sum.sum(start), 3);
    }

    #[test]
    fn more_than_a_bucket_holds_is_not_counted() {
        let start = Instant::now();
        let most = u64::from(u32::MAX);
        let mut sum = SlidingSum::default();
        sum.add(most - 1, start);
        sum.add(u64::MAX, start);
        assert_eq!(sum.sum(start), most);
        sum.add(7, start + BUCKET);
        assert_eq!(sum.sum(start + BUCKET), most + 7);
        assert_eq!(sum.sum(start + Duration::from_secs(1)), 7);
        assert_eq!(size_of::<SlidingSum>(), 128);
    }

    #[test]
    fn a_constant_rate_is_measured_within_three_percent() {
        let start = Instant::now();
        let mut sum = SlidingSum::default();
        assert_eq!(sum.bits_per_second(start), 0);
        for packet in 0..500 {
            let now = start + Duration::from_millis(packet * 10);
            sum.add(1_250, now);
            if packet > 10 {
                let rate = sum.bits_per_second(now) as f64;
                let tolerance = if packet < 100 { 0.10 } else { 0.03 };
                assert!((rate / 1_000_000.0 - 1.0).abs() < tolerance, "{packet}: {rate}");
            }
        }
    }
}
