//! Up at once, down slowly.

use std::time::{Duration, Instant};

use super::Offsets;

/// Less is sent only after less was enough for this long.
const HOLD: Duration = Duration::from_secs(5);

/// The copies in use: as many, and as far, as were wanted at any time within the last seconds.
#[derive(Debug, Clone, Default)]
pub struct Steering {
    offsets: Offsets,
    /// Count and span wanted at most since `since`.
    recent: (u8, u8),
    since: Option<Instant>,
}

impl Steering {
    /// Takes what is wanted now. Returns whether what is in use changed.
    pub fn update(&mut self, wanted: Offsets, now: Instant) -> bool {
        let (count, span) = (wanted.count(), wanted.span());
        let before = self.offsets;
        if count > before.count() || span > before.span() {
            self.offsets = Offsets::spread(count.max(before.count()), span.max(before.span()));
        }
        let since = *self.since.get_or_insert(now);
        self.recent = (self.recent.0.max(count), self.recent.1.max(span));
        if now.saturating_duration_since(since) >= HOLD {
            self.offsets = Offsets::spread(self.recent.0, self.recent.1);
            (self.recent, self.since) = ((count, span), Some(now));
        }
        self.offsets != before
    }

    /// What is in use.
    #[inline]
    pub fn offsets(&self) -> Offsets {
        self.offsets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_taken_at_once_and_given_back_after_a_while() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut steering = Steering::default();
        assert!(!steering.update(Offsets::NONE, at(0)));
        assert!(steering.update(Offsets::spread(9, 9), at(20)));
        for step in 2..150 {
            steering.update(Offsets::NONE, at(step * 20));
            assert_eq!(steering.offsets(), Offsets::spread(9, 9));
        }
        let ended = (150..1_000).find(|step| steering.update(Offsets::NONE, at(step * 20)));
        let ended = ended.unwrap() * 20;
        assert!((5_000..=10_040).contains(&ended), "{ended}");
        assert_eq!(steering.offsets(), Offsets::NONE);
    }

    #[test]
    fn wavering_wishes_keep_what_is_in_use() {
        let start = Instant::now();
        let mut steering = Steering::default();
        steering.update(Offsets::spread(5, 5), start);
        let changes = (1..2_000_u64)
            .filter(|step| {
                let wanted = Offsets::spread(3 + (step % 3) as u8, 3 + (step % 3) as u8);
                steering.update(wanted, start + Duration::from_millis(step * 20))
            })
            .count();
        assert_eq!(changes, 0);
    }
}
