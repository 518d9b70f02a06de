//! Emptying the queue that was filled before the rate fell.
//!
//! Sending at 85 % of what the link carries empties a queue of two seconds in thirteen. What
//! waits in it is older than anyone wants, so for a moment less is sent than the link carries.

/// Queues below this are left alone.
const LEAST_US: i64 = 10_000;
/// The queue at which nothing would be sent, were it not for [`LEAST_FACTOR`].
const FULL_US: i64 = 600_000;
const LEAST_FACTOR: f64 = 0.25;
/// A queue our own rate had a part in is drained at once, any other when it is this long for
/// this long.
const AFTER_DECREASE_US: i64 = 1_000_000;
const STANDING_US: i64 = 80_000;
const STANDING_FOR_US: i64 = 400_000;

/// Lowers the budget below the estimate until the queue is empty.
#[derive(Debug, Clone)]
pub(super) struct Drain {
    is_draining: bool,
    standing_since_us: Option<i64>,
    factor: f64,
}

impl Default for Drain {
    fn default() -> Drain {
        Drain { is_draining: false, standing_since_us: None, factor: 1.0 }
    }
}

impl Drain {
    /// What the budget is of the estimate: 0.25..=1.
    pub(super) fn factor(&self) -> f64 {
        self.factor
    }

    /// Takes the standing queue and when the rate was lowered last.
    pub(super) fn update(&mut self, now_us: i64, standing_us: i64, decreased_us: Option<i64>) {
        self.factor = 1.0;
        if standing_us < STANDING_US {
            self.standing_since_us = None;
        }
        if standing_us < LEAST_US {
            self.is_draining = false;
            return;
        }
        let is_ours = decreased_us.is_some_and(|at| now_us - at < AFTER_DECREASE_US);
        let stands = standing_us >= STANDING_US && {
            now_us - *self.standing_since_us.get_or_insert(now_us) >= STANDING_FOR_US
        };
        self.is_draining |= is_ours || stands;
        if self.is_draining {
            let share = (standing_us - LEAST_US) as f64 / FULL_US as f64;
            self.factor = (1.0 - share).max(LEAST_FACTOR);
        }
    }

    /// Leaves the queue to others.
    pub(super) fn stop(&mut self) {
        *self = Drain::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_drained_until_it_is_gone() {
        let mut drain = Drain::default();
        drain.update(0, 310_000, Some(0));
        assert!((drain.factor() - 0.5).abs() < 0.01);
        drain.update(100_000, 900_000, Some(0));
        assert_eq!(drain.factor(), LEAST_FACTOR);
        drain.update(2_000_000, 100_000, Some(0));
        assert!(drain.factor() < 0.9, "goes on after the decrease is long past");
        drain.update(2_100_000, 9_000, Some(0));
        assert_eq!(drain.factor(), 1.0);
        drain.update(0, 310_000, Some(0));
        drain.stop();
        assert_eq!(drain.factor(), 1.0);
    }

    #[test]
    fn a_queue_nobody_reacted_to_is_drained_when_it_stays() {
        let mut drain = Drain::default();
        drain.update(0, 300_000, None);
        assert_eq!(drain.factor(), 1.0);
        drain.update(300_000, 300_000, None);
        assert_eq!(drain.factor(), 1.0);
        drain.update(400_000, 300_000, None);
        assert!(drain.factor() < 1.0);
        let mut drain = Drain::default();
        for step in 0..100 {
            drain.update(step * 100_000, 70_000, None);
            assert_eq!(drain.factor(), 1.0, "short enough");
        }
    }
}
