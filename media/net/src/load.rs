//! How busy the media thread is.

use std::time::{Duration, Instant};

/// Share of time not spent waiting, over the period between two readings.
#[derive(Debug)]
pub(crate) struct LoadMeter {
    since: Instant,
    waited: Duration,
    last: f64,
}

/// A shorter period says nothing: the last one counts on.
const LEAST_PERIOD: Duration = Duration::from_millis(100);

impl LoadMeter {
    pub(crate) fn new(now: Instant) -> LoadMeter {
        LoadMeter { since: now, waited: Duration::ZERO, last: 0.0 }
    }

    /// Notes time spent waiting.
    pub(crate) fn add_wait(&mut self, waited: Duration) {
        self.waited += waited;
    }

    /// Busy share since the last reading, 0..=1; starts a new period.
    pub(crate) fn take(&mut self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= LEAST_PERIOD {
            let waited = self.waited.as_secs_f64() / elapsed.as_secs_f64();
            let last = (1.0 - waited).clamp(0.0, 1.0);
            *self = LoadMeter { last, ..LoadMeter::new(now) };
        }
        self.last
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
        assert_eq!(meter.take(start + Duration::from_secs(4)), 1.0);
        // Asked again at once, as when nobody took the snapshot.
        meter.add_wait(Duration::from_millis(1));
        assert_eq!(meter.take(start + Duration::from_millis(4_001)), 1.0);
        assert_eq!(meter.take(start + Duration::from_millis(5_000)), 0.999);
    }
}
