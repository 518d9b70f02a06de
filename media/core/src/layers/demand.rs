//! Which encodings of a track anybody wants.

use std::time::{Duration, Instant};

/// An encoding nobody wants is given up after this: a tile that is hidden and shown again
/// shall not cost a restart of the encoder.
pub const OFF_AFTER: Duration = Duration::from_secs(2);

/// Debounced wishes of all subscribers. Wanted at once, given up late.
#[derive(Debug, Clone, Default)]
pub struct Demand {
    /// What the publisher was told, by encoding.
    told: Vec<bool>,
    /// Since when an encoding that it sends is unwanted.
    unwanted_since: Vec<Option<Instant>>,
}

impl Demand {
    /// The publisher sends all of `count` encodings until told otherwise.
    pub fn new(count: usize) -> Demand {
        Demand { told: vec![true; count], unwanted_since: vec![None; count] }
    }

    /// Takes what is wanted now. Returns what the publisher has to be told, if that is new.
    pub fn update(&mut self, wanted: &[bool], now: Instant) -> Option<Vec<bool>> {
        let mut changed = false;
        for ((told, since), wanted) in
            self.told.iter_mut().zip(&mut self.unwanted_since).zip(wanted)
        {
            if *wanted {
                *since = None;
            } else if *told && since.is_none() {
                *since = Some(now);
            }
            let is_off = since.is_some_and(|since| now >= since + OFF_AFTER);
            let next = *wanted || *told && !is_off;
            changed |= next != *told;
            *told = next;
        }
        changed.then(|| self.told.clone())
    }

    /// Whether something is to be given up later: call [`Demand::update`] again.
    pub fn is_pending(&self) -> bool {
        self.told.iter().zip(&self.unwanted_since).any(|(told, since)| *told && since.is_some())
    }

    /// Whether the publisher was last told to send the encoding.
    pub fn is_wanted(&self, encoding: usize) -> bool {
        self.told.get(encoding).copied().unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_at_once_and_off_after_two_seconds() {
        let start = Instant::now();
        let mut demand = Demand::new(3);
        assert_eq!(demand.update(&[true, true, true], start), None);
        assert_eq!(demand.update(&[true, false, false], start), None);
        assert!(demand.is_pending());
        assert_eq!(demand.update(&[true, false, false], start + OFF_AFTER / 2), None);
        let later = start + OFF_AFTER;
        assert_eq!(demand.update(&[true, false, false], later), Some(vec![true, false, false]));
        assert!(!demand.is_pending());
        assert_eq!(demand.update(&[true, false, false], later), None);
        assert_eq!(demand.update(&[true, true, false], later), Some(vec![true, true, false]));
        assert!(demand.is_wanted(1) && !demand.is_wanted(2));
    }

    #[test]
    fn a_short_absence_is_not_told() {
        let start = Instant::now();
        let mut demand = Demand::new(1);
        for second in 0..20 {
            let now = start + Duration::from_secs(second);
            assert_eq!(demand.update(&[second % 2 == 0], now), None);
        }
    }
}
