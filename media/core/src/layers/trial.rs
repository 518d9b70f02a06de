//! A track whose lowest layer does not fit, where no other picture is sent either.
//!
//! An estimate only grows as far as something is sent, so a lone track that was stopped because
//! it did not fit would never come back. It is sent all the same for a while, then rests, longer
//! each time. The first trial begins at once: a dip of the estimate shall not stop a picture.

use std::time::{Duration, Instant};

/// How long a track is sent although it does not fit.
const TRIAL: Duration = Duration::from_secs(2);
/// The first rest; each further one is twice as long.
const FIRST_REST: Duration = Duration::from_secs(4);
/// No rest is longer.
const LONGEST_REST: Duration = Duration::from_secs(16);

#[derive(Debug, Clone, Copy)]
struct Round {
    trial_ends: Instant,
    rest: Duration,
}

/// Whether a track that does not fit is sent nevertheless.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trials {
    round: Option<Round>,
}

impl Trials {
    /// The track does not fit. Returns whether it is sent for now.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let rest = match self.round {
            Some(round) if now < round.trial_ends => return true,
            Some(round) if now < round.trial_ends + round.rest => return false,
            Some(round) => (round.rest * 2).min(LONGEST_REST),
            None => FIRST_REST,
        };
        self.round = Some(Round { trial_ends: now + TRIAL, rest });
        true
    }

    /// The track fits.
    pub(crate) fn reset(&mut self) {
        self.round = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_get_rarer_and_begin_anew_once_the_track_fits() {
        let start = Instant::now();
        let mut trials = Trials::default();
        let mut run = |from: u64, to: u64| -> Vec<u64> {
            (from..to).filter(|s| trials.is_due(start + Duration::from_secs(*s))).collect()
        };
        assert_eq!(run(0, 34), [0, 1, 6, 7, 16, 17]);
        // 16 seconds are the longest rest.
        assert_eq!(run(34, 75), [34, 35, 52, 53, 70, 71]);
        trials.reset();
        assert!(trials.is_due(start + Duration::from_secs(75)));
    }
}
