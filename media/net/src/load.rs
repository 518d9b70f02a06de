//! How busy the media thread is.

use std::time::{Duration, Instant};

/// Share of time not spent waiting, over the period between two readings.
#[derive(Debug)]
pub(crate) struct LoadMeter {
    since: Instant,
    waited: Duration,
}

impl LoadMeter {
    pub(crate) fn new(now: Instant) -> LoadMeter {
        LoadMeter { since: now, waited: Duration::ZERO }
    }

    /// Notes time spent waiting.
    pub(crate) fn add_wait(&mut self, waited: Duration) {
        self.waited += waited;
    }

    /// Busy share since the last reading, 0..=1; starts a new period.
    pub(crate) fn take(&mut self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.since).as_secs_f64();
        let waited = self.waited.as_secs_f64();
        *self = LoadMeter::new(now);
        if elapsed > 0.0 { (1.0 - waited / elapsed).clamp(0.0, 1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_the_share_not_waited_since_the_last_reading() {
        let start = Instant::now();
        let mut meter = LoadMeter::new(start);
        assert_eq!(meter.take(start), 0.0);
        meter.add_wait(Duration::from_millis(250));
        assert_eq!(meter.take(start + Duration::from_secs(1)), 0.75);
        assert_eq!(meter.take(start + Duration::from_secs(2)), 1.0);
        meter.add_wait(Duration::from_secs(9));
        assert_eq!(meter.take(start + Duration::from_secs(3)), 0.0);
    }
}
