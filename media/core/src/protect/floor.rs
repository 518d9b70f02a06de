//! How low a publisher's own estimate of its way up may fall.
//!
//! A browser never takes its way for wider than one and a half times what is said to have arrived.
//! Where 70 % of the packets are lost by the way itself, that is less than half of what it sends
//! already: pictures then wait in its pacer for a second behind the copies of audio. Leaving the
//! losses out of feedback can't change that, as nothing may be said to have arrived that has not.
//! So the browser is told a rate its estimate is to stay above, for as long as nothing speaks for
//! a full link.

use std::time::{Duration, Instant};

/// From which loss on, and how much: copies of audio, and pictures of the smallest encoding with
/// all that has to be sent again.
const LEVELS: [(f64, Option<u32>); 4] =
    [(0.0, None), (0.25, Some(500_000)), (0.4, Some(700_000)), (0.6, Some(900_000))];
/// A level is left where the loss is this much below what it is for,
const LEAVE: f64 = 0.8;
/// and no sooner after the last change.
const LEAST_STAY: Duration = Duration::from_secs(4);
/// A queue that stands for so long is the floor's own doing.
const FULL: Duration = Duration::from_millis(400);
/// More loss than is known counts if it lasts: for a moment chance does that, too.
const LASTING: Duration = Duration::from_millis(1_000);
/// After that there is none for so long; twice as long after each further time.
const REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_secs(160);
/// A floor that did no harm for so long was right.
const PROVEN: Duration = Duration::from_secs(60);
/// A loss that turned out to be the way's own is larger than before by this factor.
const GROWN: f64 = 1.1;

/// What speaks against a floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    None,
    /// More is lost than the way is known to lose.
    Loss,
    /// A queue stands.
    Queue,
}

/// The floor of one way up.
#[derive(Debug, Clone, Default)]
pub struct Floor {
    level: usize,
    changed_at: Option<Instant>,
    queued_since: Option<Instant>,
    lost_since: Option<Instant>,
    /// The loss that was known when more began to be lost.
    doubted: Option<f64>,
    barred_until: Option<Instant>,
    rest: Duration,
}

impl Floor {
    /// The rate in bit/s the estimate shall stay above; `None`: it may fall.
    pub fn bitrate_bps(&self) -> Option<u32> {
        LEVELS[self.level].1
    }

    /// Takes what is known of the way: the share it loses by itself, and what speaks against more.
    /// Returns whether the floor changed.
    pub fn update(&mut self, inherent: f64, doubt: Doubt, now: Instant) -> bool {
        let before = self.level;
        match doubt {
            Doubt::Queue => {
                self.lost_since = None;
                let since = *self.queued_since.get_or_insert(now);
                if self.level > 0 && now - since >= FULL {
                    self.bar(now);
                }
            }
            Doubt::Loss => {
                self.queued_since = None;
                let since = *self.lost_since.get_or_insert(now);
                if self.level > 0 && now - since >= LASTING {
                    self.doubted = Some(inherent);
                    self.level = 0;
                }
            }
            Doubt::None => {
                (self.queued_since, self.lost_since) = (None, None);
                // Less was lost when less was sent: a link was full.
                if self.doubted.take().is_some_and(|known| inherent < known * GROWN) {
                    self.bar(now);
                }
                self.follow(inherent, now);
            }
        }
        if self.level != before {
            self.changed_at = Some(now);
        }
        self.level != before
    }

    fn follow(&mut self, inherent: f64, now: Instant) {
        if self.barred_until.is_some_and(|until| now < until) {
            return;
        }
        self.barred_until = None;
        let stayed = self.changed_at.map_or(Duration::MAX, |at| now - at);
        if self.level > 0 && stayed >= PROVEN {
            self.rest = Duration::ZERO;
        }
        let wanted = LEVELS.iter().rposition(|(from, _)| inherent >= *from).unwrap_or(0);
        if wanted > self.level {
            self.level = wanted;
        } else if inherent < LEVELS[self.level].0 * LEAVE && stayed >= LEAST_STAY {
            self.level -= 1;
        }
    }

    fn bar(&mut self, now: Instant) {
        self.rest = (self.rest * 2).clamp(REST, LONGEST_REST);
        self.barred_until = Some(now + self.rest);
        self.level = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Way {
        floor: Floor,
        now: Instant,
    }

    impl Way {
        fn new() -> Self {
            Self { floor: Floor::default(), now: Instant::now() }
        }

        /// Reports of 100 ms; the floor afterwards, in kb/s.
        fn run(&mut self, seconds: f64, inherent: f64, doubt: Doubt) -> u32 {
            for _ in 0..(seconds * 10.0) as u32 {
                self.now += Duration::from_millis(100);
                self.floor.update(inherent, doubt, self.now);
            }
            self.floor.bitrate_bps().unwrap_or(0) / 1000
        }
    }

    #[test]
    fn floor_follows_what_the_way_loses_by_itself() {
        let mut way = Way::new();
        assert_eq!(way.run(5.0, 0.1, Doubt::None), 0);
        assert_eq!(way.run(0.1, 0.7, Doubt::None), 900);
        assert_eq!(way.run(60.0, 0.5, Doubt::None), 900, "within what a level bears");
        assert_eq!(way.run(0.1, 0.0, Doubt::None), 700, "one level at a time");
        assert_eq!(way.run(3.9, 0.0, Doubt::None), 700);
        assert_eq!(way.run(10.0, 0.0, Doubt::None), 0);
    }

    #[test]
    fn queue_ends_it_and_each_next_trial_comes_later() {
        let mut way = Way::new();
        way.run(1.0, 0.7, Doubt::None);
        assert_eq!(way.run(0.4, 0.7, Doubt::Queue), 900, "a burst is no full link");
        assert_eq!(way.run(0.1, 0.7, Doubt::Queue), 0);
        assert_eq!(way.run(9.8, 0.7, Doubt::None), 0);
        assert_eq!(way.run(0.3, 0.7, Doubt::None), 900);
        assert_eq!(way.run(0.5, 0.7, Doubt::Queue), 0);
        assert_eq!(way.run(19.8, 0.7, Doubt::None), 0);
        assert_eq!(way.run(0.3, 0.7, Doubt::None), 900);
        assert_eq!(way.run(61.0, 0.7, Doubt::None), 900, "proven");
        way.run(0.5, 0.7, Doubt::Queue);
        assert_eq!(way.run(10.1, 0.7, Doubt::None), 900);
    }

    #[test]
    fn loss_that_grows_suspends_it_until_it_is_known_whose_it_is() {
        let mut way = Way::new();
        way.run(1.0, 0.3, Doubt::None);
        assert_eq!(way.run(1.0, 0.3, Doubt::Loss), 500, "chance does that");
        assert_eq!(way.run(0.1, 0.3, Doubt::Loss), 0);
        assert_eq!(way.run(0.1, 0.7, Doubt::None), 900, "the way's own");
        assert_eq!(way.run(0.9, 0.7, Doubt::Loss), 900);
        assert_eq!(way.run(0.1, 0.7, Doubt::None), 900, "it was chance");
        assert_eq!(way.run(1.1, 0.7, Doubt::Loss), 0);
        assert_eq!(way.run(9.8, 0.7, Doubt::None), 0, "the rate's");
        assert_eq!(way.run(0.3, 0.7, Doubt::None), 900);
    }
}
