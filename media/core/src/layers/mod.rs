//! Layers of one track: what is there, what is wanted, and leaving out the rest unseen.

pub mod demand;
pub mod meter;
pub mod pictures;
pub mod temporal;
mod trial;

use std::time::{Duration, Instant};

use crate::api::{Layer, LayerSwitchReason, LayerWish};
use temporal::TemporalFilter;
use trial::Trials;

/// While a lower encoding's keyframe is awaited, the higher one goes on, thinned to its temporal
/// base layer, for this long. Then it stops: a short freeze harms less than a queue that grows.
pub(crate) const OVERSHOOT: Duration = Duration::from_millis(500);
/// After a step down for lack of budget nothing rises again for this long.
pub(crate) const HOLD: Duration = Duration::from_secs(3);

/// What one subscription gets of its track's layers, and what it shall get.
///
/// Fields lie in memory as they stand here: what is needed together lies together.
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct LayerState {
    pub(crate) filter: TemporalFilter,
    /// What it shall get now. `None`: nothing.
    pub(crate) target: Option<Layer>,
    /// What the subscriber wants.
    pub(crate) wish: LayerWish,
    /// What it would get if the publisher sent everything: what the publisher is asked for.
    pub(crate) desired: Option<Layer>,
    /// Why the target is what it is.
    pub(crate) reason: LayerSwitchReason,
    /// The budget is exceeded since then, until the lower encoding's keyframe comes.
    pub(crate) over_since: Option<Instant>,
    /// No layer above the target until then.
    pub(crate) hold_until: Option<Instant>,
    /// Since when it is wanted on a path nothing is known of.
    pub(crate) settling_since: Option<Instant>,
    /// Whether it is sent although not even its lowest layer fits.
    pub(crate) trials: Trials,
    /// What was reported last.
    pub(crate) reported: Option<Layer>,
}

impl LayerState {
    /// Wants everything; gets nothing yet.
    pub(crate) fn new() -> LayerState {
        LayerState {
            wish: LayerWish::default(),
            target: None,
            desired: None,
            reason: LayerSwitchReason::Wish,
            filter: TemporalFilter::default(),
            over_since: None,
            hold_until: None,
            settling_since: None,
            trials: Trials::default(),
            reported: None,
        }
    }

    /// Whether layers above the present target may be chosen.
    pub(crate) fn may_rise(&self, now: Instant) -> bool {
        self.hold_until.is_none_or(|until| now >= until)
    }

    /// Whether the higher encoding has gone on for too long.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.over_since.is_some_and(|since| now >= since + OVERSHOOT)
    }

    /// Takes a new target while `current` is being forwarded. Temporal layers go at once; a
    /// lower encoding begins with its keyframe. Returns whether something changed.
    pub(crate) fn retarget(
        &mut self,
        target: Option<Layer>,
        current: Option<usize>,
        reason: LayerSwitchReason,
        now: Instant,
    ) -> bool {
        if target == self.target {
            return false;
        }
        let falls = target < self.target;
        let for_budget = reason == LayerSwitchReason::Budget;
        if falls && for_budget {
            self.hold_until = Some(now + HOLD);
        }
        self.target = target;
        self.reason = reason;
        let (Some(target), Some(current)) = (target, current) else {
            self.over_since = None;
            return true;
        };
        let target_encoding = usize::from(target.spatial);
        if target_encoding == current {
            self.over_since = None;
            self.filter.set_target(target.temporal);
        } else if target_encoding > current {
            self.over_since = None;
            self.filter.set_target(Layer::ALL_TEMPORAL);
        } else if for_budget {
            self.over_since = self.over_since.or(Some(now));
            self.filter.set_target(0);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(spatial: u8, temporal: u8) -> Option<Layer> {
        Some(Layer { spatial, temporal })
    }

    #[test]
    fn lack_of_budget_thins_at_once_and_ends_in_a_stop() {
        let now = Instant::now();
        let mut state = LayerState::new();
        assert!(state.retarget(layer(2, 7), None, LayerSwitchReason::Wish, now));
        assert!(!state.retarget(layer(2, 7), Some(2), LayerSwitchReason::Wish, now));
        assert!(state.retarget(layer(0, 7), Some(2), LayerSwitchReason::Budget, now));
        assert_eq!(state.filter.target(), 0);
        assert!(!state.is_over(now + OVERSHOOT - Duration::from_millis(1)));
        assert!(state.is_over(now + OVERSHOOT));
        assert!(!state.may_rise(now + HOLD - Duration::from_millis(1)));
        assert!(state.may_rise(now + HOLD));
    }

    #[test]
    fn a_lower_wish_is_in_no_hurry() {
        let now = Instant::now();
        let mut state = LayerState::new();
        state.retarget(layer(2, 7), None, LayerSwitchReason::Wish, now);
        state.filter.restart(7);
        state.retarget(layer(0, 7), Some(2), LayerSwitchReason::Wish, now);
        assert_eq!(state.filter.target(), 7);
        assert!(!state.is_over(now + OVERSHOOT * 10));
        assert!(state.may_rise(now));
    }

    #[test]
    fn returning_to_the_present_encoding_ends_the_overshoot() {
        let now = Instant::now();
        let mut state = LayerState::new();
        state.retarget(layer(1, 7), None, LayerSwitchReason::Wish, now);
        state.retarget(layer(0, 7), Some(1), LayerSwitchReason::Budget, now);
        state.retarget(layer(1, 1), Some(1), LayerSwitchReason::Budget, now);
        assert_eq!((state.filter.target(), state.over_since), (1, None));
    }
}
