//! How many times a packet of video is sent, and how far apart.
//!
//! Audio is protected by copies in later packets, video by packets that are sent again over RTX:
//! some before anybody knows that they are needed, more where feedback or a request says so.

use std::time::Duration;

use super::LinkLoss;

/// What a picture is worth to those that come after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weight {
    /// Everything until the next keyframe depends on it, and it has many packets.
    Keyframe,
    /// All later pictures depend on it.
    Base,
    /// Nothing, or few pictures depend on it.
    Rest,
}

impl Weight {
    /// All values, in declaration order: the index is `weight as usize`.
    pub const ALL: [Weight; 3] = [Weight::Keyframe, Weight::Base, Weight::Rest];

    /// Share of the packets for which a round trip has to be waited. What a request brings costs
    /// as much as a copy, and only where it is needed: copies are for what delays pictures.
    fn target(self) -> f64 {
        match self {
            Weight::Keyframe => 0.1,
            Weight::Base => 0.3,
            Weight::Rest => 0.6,
        }
    }
}

/// A way that loses less is repaired by requests alone.
pub const LEAST_LOSS: f64 = 0.1;
/// Copies of a packet sent in one round.
pub const MAX_COPIES: u8 = 9;
/// A packet over the target by so little of another copy goes without it.
const TOLERANCE: f64 = 0.15;
/// Time between two copies where losses are independent: they then only share what happens at
/// one moment.
const LEAST_GAP: Duration = Duration::from_millis(8);
/// And at most: later a request has brought it.
const MAX_GAP: Duration = Duration::from_millis(40);
/// What a burst may keep of its state until the next copy.
const FORGOTTEN: f64 = 0.25;

/// Copies of a packet beyond the first, so that all are lost in a share of cases that suits its
/// weight. `back` is the share lost of what says that a packet is missing, 0..=1: where that does
/// not come through, more has to be sent unasked.
pub fn copies(loss: LinkLoss, back: f64, weight: Weight) -> u8 {
    if loss.ratio < LEAST_LOSS {
        return 0;
    }
    let ratio = loss.ratio.min(0.95);
    let target = weight.target() * (1.0 - back.clamp(0.0, 0.9));
    let needed = (target.ln() / ratio.ln() - TOLERANCE).ceil().max(1.0);
    (needed as u8 - 1).min(MAX_COPIES)
}

/// Time between two copies of a packet on a way that carries one packet each `spacing`.
pub fn gap(loss: LinkLoss, spacing: Duration) -> Duration {
    if loss.memory <= 0.0 {
        return LEAST_GAP;
    }
    let packets = (FORGOTTEN.ln() / loss.memory.min(0.98).ln()).ceil();
    spacing.mul_f64(packets).clamp(LEAST_GAP, MAX_GAP)
}

/// How many packets have to be sent for one to arrive, with that many copies in each round.
pub fn price(loss: LinkLoss, copies: u8) -> f64 {
    let ratio = loss.ratio.clamp(0.0, 0.95);
    let sent = f64::from(copies) + 1.0;
    sent / (1.0 - ratio.powf(sent))
}

/// Beyond this share of loss only the smallest encoding of a picture is sent: its pictures fit one
/// or two packets, and all bits go to what gets through. Below the second it ends.
const SMALLEST_FROM: f64 = 0.58;
const SMALLEST_UNTIL: f64 = 0.45;
/// Time between two packets, where losses in runs are to be outlasted.
const SPACING: Duration = Duration::from_millis(6);

/// What protects the video of one subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Protection {
    loss: LinkLoss,
    back: f64,
    only_smallest: bool,
}

impl Protection {
    /// Takes the loss of the way to the subscriber and of the way back.
    pub fn update(&mut self, loss: LinkLoss, back: f64) {
        (self.loss, self.back) = (loss, back);
        let least = if self.only_smallest { SMALLEST_UNTIL } else { SMALLEST_FROM };
        self.only_smallest = loss.ratio >= least;
    }

    /// Whether requests alone don't do.
    pub fn is_needed(&self) -> bool {
        self.loss.ratio >= LEAST_LOSS
    }

    /// Copies in each round, by weight.
    pub fn copies(&self) -> [u8; Weight::ALL.len()] {
        Weight::ALL.map(|weight| copies(self.loss, self.back, weight))
    }

    /// Time between two of them.
    pub fn gap(&self) -> Duration {
        gap(self.loss, SPACING)
    }

    /// What a layer of so many bits per second costs with everything that is sent again.
    pub fn priced(&self, bps: u64) -> u64 {
        match self.is_needed() {
            true => (bps as f64 * self.price()) as u64,
            false => bps,
        }
    }

    /// Packets sent for each that arrives.
    pub fn price(&self) -> f64 {
        price(self.loss, copies(self.loss, self.back, Weight::Base))
    }

    /// Whether to leave out all encodings but the smallest.
    pub fn only_smallest(&self) -> bool {
        self.only_smallest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(ratio: f64) -> LinkLoss {
        LinkLoss { ratio, memory: 0.0 }
    }

    #[test]
    fn copies_follow_loss_and_weight() {
        let table = [
            (0.0, [0, 0, 0]),
            (0.09, [0, 0, 0]),
            (0.1, [0, 0, 0]),
            (0.3, [1, 0, 0]),
            (0.5, [3, 1, 0]),
            (0.7, [6, 3, 1]),
            (0.99, [9, 9, 9]),
        ];
        for (ratio, expected) in table {
            let found = Weight::ALL.map(|weight| copies(random(ratio), 0.0, weight));
            assert_eq!(found, expected, "{ratio}");
        }
    }

    #[test]
    fn more_goes_unasked_where_asking_fails() {
        for weight in Weight::ALL {
            let mut last = 0;
            for back in [0.0, 0.3, 0.5, 0.7, 1.0] {
                let now = copies(random(0.7), back, weight);
                assert!(now >= last, "{weight:?} {back}");
                last = now;
            }
            assert!(last > copies(random(0.7), 0.0, weight), "{weight:?}");
        }
        assert_eq!(copies(random(0.05), 0.9, Weight::Keyframe), 0, "nothing to repair");
    }

    #[test]
    fn copies_are_apart_where_losses_come_in_runs() {
        let spacing = Duration::from_millis(6);
        assert_eq!(gap(random(0.7), spacing), LEAST_GAP);
        let burst = LinkLoss { ratio: 0.5, memory: 0.75 };
        assert_eq!(gap(burst, spacing), Duration::from_millis(30));
        assert_eq!(gap(LinkLoss { ratio: 0.5, memory: 1.0 }, spacing), MAX_GAP);
        assert_eq!(gap(burst, Duration::ZERO), LEAST_GAP);
    }

    #[test]
    fn the_smallest_encoding_stays_until_loss_is_clearly_less() {
        let mut protection = Protection::default();
        let courses = [(0.0, false), (0.5, false), (0.7, true), (0.5, true), (0.4, false)];
        for (ratio, expected) in courses {
            protection.update(random(ratio), 0.0);
            assert_eq!(protection.only_smallest(), expected, "{ratio}");
            assert_eq!(protection.is_needed(), ratio > 0.0);
        }
        assert_eq!(Protection::default().priced(1_000), 1_000);
    }

    #[test]
    fn the_price_is_never_below_what_losses_cost_alone() {
        for ratio in [0.0, 0.1, 0.3, 0.5, 0.7, 0.9] {
            for count in 0..=MAX_COPIES {
                let least = 1.0 / (1.0 - ratio);
                assert!(price(random(ratio), count) >= least - 1e-9, "{ratio} {count}");
            }
            assert!((price(random(ratio), 0) - 1.0 / (1.0 - ratio)).abs() < 1e-9);
        }
        assert!(price(random(0.7), 3) < 5.5);
        assert!(price(random(1.0), 3).is_finite());
    }
}
