//! Whether someone else keeps the link full.
//!
//! Alone on a link, sending less empties its queue within a few seconds. Against a sender that
//! fills the queue until packets are lost (TCP) it does not, because whatever we leave the
//! other takes. Then politeness is useless: for a while the estimate has to hold out.

/// A queue of less than this is none.
const LEAST_US: i64 = 15_000;
/// It is empty once it was for this long.
const EMPTY_US: i64 = 700_000;
/// Alone we would have emptied it by now.
const OCCUPIED_US: i64 = 4_500_000;
/// Feedback rarer than this leaves unseen what we did meanwhile: no more counts for each.
const SEEN_US: i64 = 150_000;
/// How long to hold out before trying again to empty it.
const HOLD_OUT_US: i64 = 25_000_000;

/// Watches the standing queue.
#[derive(Debug, Clone, Default)]
pub(super) struct Competition {
    /// How long a queue has been seen.
    occupied_us: i64,
    updated_us: Option<i64>,
    empty_since_us: Option<i64>,
    until_us: Option<i64>,
}

impl Competition {
    /// Takes the standing queue.
    pub(super) fn update(&mut self, now_us: i64, standing_us: i64) {
        let passed_us = now_us - self.updated_us.replace(now_us).unwrap_or(now_us);
        if self.is_active(now_us) {
            self.occupied_us = 0;
            return;
        }
        if standing_us < LEAST_US {
            let since_us = *self.empty_since_us.get_or_insert(now_us);
            if now_us - since_us >= EMPTY_US {
                self.occupied_us = 0;
            }
            return;
        }
        self.empty_since_us = None;
        self.occupied_us += passed_us.clamp(0, SEEN_US);
        if self.occupied_us >= OCCUPIED_US {
            self.until_us = Some(now_us + HOLD_OUT_US);
        }
    }

    /// Whether to hold out now.
    pub(super) fn is_active(&self, now_us: i64) -> bool {
        self.until_us.is_some_and(|until_us| now_us < until_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of `queue_ms(second / 10)` until competition is seen.
    fn seen_after(queue_ms: impl Fn(i64) -> i64) -> Option<i64> {
        let mut competition = Competition::default();
        (0..600).find(|step| {
            competition.update(step * 100_000, queue_ms(*step) * 1_000);
            competition.is_active(step * 100_000)
        })
    }

    #[test]
    fn only_a_queue_that_stays_is_competition() {
        assert_eq!(seen_after(|_| 10), None);
        assert_eq!(seen_after(|step| if step % 48 < 40 { 300 } else { 5 }), None);
        assert_eq!(seen_after(|_| 100), Some(45));
        let sawtooth = |step| if step % 15 < 2 { 10 } else { 90 };
        assert!(seen_after(sawtooth).is_some());
    }

    #[test]
    fn it_ends_by_itself_and_has_to_show_again() {
        let mut competition = Competition::default();
        let active = (0..1_000).filter(|step| {
            competition.update(step * 100_000, 100_000);
            competition.is_active(step * 100_000)
        });
        let share = active.count();
        assert!((800..900).contains(&share), "{share}");
    }
}
