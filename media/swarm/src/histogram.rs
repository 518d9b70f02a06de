//! Delays, with quantiles better than two percent and constant memory.

use std::time::Duration;

/// Buckets per doubling.
const STEPS: usize = 64;
/// Doublings from one microsecond on: up to 16 s.
const DOUBLINGS: usize = 24;

/// A histogram with logarithmic buckets from 1 µs to 16 s; what lies outside counts as the
/// nearest bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayHistogram {
    buckets: Vec<u64>,
    total: u64,
}

impl Default for DelayHistogram {
    fn default() -> Self {
        DelayHistogram { buckets: vec![0; STEPS * DOUBLINGS], total: 0 }
    }
}

impl DelayHistogram {
    /// Counts one delay.
    pub fn add(&mut self, delay: Duration) {
        let microseconds = (delay.as_nanos() as f64 / 1_000.0).max(1.0);
        let bucket = (microseconds.log2() * STEPS as f64) as usize;
        let last = self.buckets.len() - 1;
        self.buckets[bucket.min(last)] += 1;
        self.total += 1;
    }

    /// Delays counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What the `share` shortest delays stay below, `share` in 0..=1; `None` without any delay.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (share * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        let microseconds = ((bucket + 1) as f64 / STEPS as f64).exp2();
        Some(Duration::from_secs_f64(microseconds / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_within_two_percent() {
        let mut histogram = DelayHistogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for microseconds in 1..=10_000 {
            histogram.add(Duration::from_micros(microseconds));
        }
        for (share, expected) in [(0.001, 10e-6), (0.5, 5e-3), (0.99, 9.9e-3), (1.0, 10e-3)] {
            let found = histogram.quantile(share).unwrap().as_secs_f64();
            assert!((found / expected - 1.0).abs() < 0.02, "{share}: {found}");
        }
        assert_eq!(histogram.total(), 10_000);
    }

    #[test]
    fn delays_out_of_range_count_as_the_nearest() {
        let mut histogram = DelayHistogram::default();
        histogram.add(Duration::ZERO);
        assert!(histogram.quantile(1.0).unwrap() < Duration::from_micros(2));
        histogram.add(Duration::from_secs(3_600));
        assert!(histogram.quantile(1.0).unwrap() > Duration::from_secs(15));
    }
}
