//! Emptying the queue that was filled before the rate fell.
//!
//! Sending at 85 % of what the link carries empties a queue of two seconds in thirteen. What
//! waits in it is older than anyone wants, so for a moment less is sent than the link carries.

/// Queues below this are left alone.
const LEAST_US: i64 = 30_000;
/// The queue at which nothing would be sent, were it not for [`LEAST_FACTOR`].
const FULL_US: i64 = 600_000;
const LEAST_FACTOR: f64 = 0.25;
/// A queue that is still there then is kept full by others.
const PATIENCE_US: i64 = 3_000_000;
/// Others are left alone this long.
const REST_US: i64 = 20_000_000;
/// Only a queue our own rate had a part in is drained.
const AFTER_DECREASE_US: i64 = 1_000_000;

/// Lowers the budget below the estimate until the queue is empty.
#[derive(Debug, Clone)]
pub(super) struct Drain {
    since_us: Option<i64>,
    rest_until_us: i64,
    factor: f64,
}

impl Default for Drain {
    fn default() -> Drain {
        Drain { since_us: None, rest_until_us: i64::MIN, factor: 1.0 }
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
        if standing_us < LEAST_US {
            self.since_us = None;
            return;
        }
        let is_ours = decreased_us.is_some_and(|at| now_us - at < AFTER_DECREASE_US);
        if now_us < self.rest_until_us || self.since_us.is_none() && !is_ours {
            return;
        }
        let since_us = *self.since_us.get_or_insert(now_us);
        if now_us - since_us > PATIENCE_US {
            self.since_us = None;
            self.rest_until_us = now_us + REST_US;
            return;
        }
        let share = (standing_us - LEAST_US) as f64 / FULL_US as f64;
        self.factor = (1.0 - share).max(LEAST_FACTOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_drained_until_it_is_gone() {
        let mut drain = Drain::default();
        drain.update(0, 330_000, Some(0));
        assert!((drain.factor() - 0.5).abs() < 0.01);
        drain.update(100_000, 900_000, Some(0));
        assert_eq!(drain.factor(), LEAST_FACTOR);
        drain.update(2_000_000, 100_000, Some(0));
        assert!(drain.factor() < 0.9, "goes on after the decrease is long past");
        drain.update(2_100_000, 20_000, Some(0));
        assert_eq!(drain.factor(), 1.0);
    }

    #[test]
    fn a_queue_that_stays_belongs_to_others() {
        let mut drain = Drain::default();
        let mut lowered = 0;
        for step in 0..200 {
            drain.update(step * 100_000, 300_000, Some(step * 100_000));
            lowered += u32::from(drain.factor() < 1.0);
        }
        assert!((28..=32).contains(&lowered), "{lowered}");
    }

    #[test]
    fn a_queue_nobody_reacted_to_is_left_alone() {
        let mut drain = Drain::default();
        drain.update(0, 300_000, None);
        assert_eq!(drain.factor(), 1.0);
        drain.update(5_000_000, 300_000, Some(0));
        assert_eq!(drain.factor(), 1.0);
    }
}
