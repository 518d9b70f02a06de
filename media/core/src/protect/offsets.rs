//! Which earlier frames a packet carries copies of.

use super::LinkLoss;

/// Largest distance of a copy in frames: 17 of 20 ms are 340 ms, and RED ends at 341 ms.
pub const MAX_SPAN: u8 = 17;
/// Share of the frames that may stay lost: below that nobody hears it.
const TARGET: f64 = 0.0025;
/// A way that loses less needs no copies: what is lost can be asked for again.
const LEAST_LOSS: f64 = 0.01;

/// Distances in frames, 1 to [`MAX_SPAN`], each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Offsets(u32);

impl Offsets {
    /// No copies.
    pub const NONE: Offsets = Offsets(0);

    /// `count` distances spread evenly over 1 to `span`, both within [`MAX_SPAN`]; the last one is
    /// `span`. With `span` below `count` they are 1 to `count`.
    pub fn spread(count: u8, span: u8) -> Offsets {
        let count = u32::from(count.min(MAX_SPAN));
        let span = u32::from(span.min(MAX_SPAN)).max(count);
        let bits = (1..=count).map(|index| 1 << ((index * span + count / 2) / count));
        Offsets(bits.fold(0, |all, bit: u32| all | bit))
    }

    /// How many there are.
    pub fn count(self) -> u8 {
        self.0.count_ones() as u8
    }

    /// The largest; zero if there are none.
    pub fn span(self) -> u8 {
        (u32::BITS - self.0.leading_zeros()).saturating_sub(1) as u8
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `offset` is among them.
    pub fn contains(self, offset: u64) -> bool {
        offset <= u64::from(MAX_SPAN) && self.0 >> offset & 1 == 1
    }

    /// How many are larger than `offset`.
    pub fn beyond(self, offset: u64) -> u32 {
        if offset >= u64::from(MAX_SPAN) { 0 } else { (self.0 >> (offset + 1)).count_ones() }
    }

    /// From small to large.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = u8> {
        (1..=MAX_SPAN).filter(move |offset| self.0 >> offset & 1 == 1)
    }

    /// Adds a distance; others than 1 to [`MAX_SPAN`] are left out.
    pub fn insert(&mut self, offset: u64) {
        if (1..=u64::from(MAX_SPAN)).contains(&offset) {
            self.0 |= 1 << offset;
        }
    }
}

/// Share of the frames that stay lost with these copies, on a way that is good or bad for a while
/// and lets nothing through when it is bad (the simple Gilbert model).
///
/// A frame is lost if the way is bad when it is sent and at each of its copies. Between two of
/// those, `n` packets apart, the way has forgotten its state but for `memoryⁿ`.
pub fn residual(loss: LinkLoss, offsets: Offsets) -> f64 {
    let mut last = 0;
    let mut all_lost = loss.ratio;
    for offset in offsets.iter() {
        let still = loss.memory.powi(i32::from(offset - last));
        all_lost *= loss.ratio + (1.0 - loss.ratio) * still;
        last = offset;
    }
    all_lost
}

/// The fewest copies, and of those the closest, that make good for the loss; those that come
/// nearest to it if none do. At most `most` copies, at most `span` frames away.
pub fn choose(loss: LinkLoss, most: u8, span: u8) -> Offsets {
    if loss.ratio < LEAST_LOSS {
        return Offsets::NONE;
    }
    let span = span.min(MAX_SPAN);
    let mut best = (loss.ratio, Offsets::NONE);
    for count in 1..=most.min(span) {
        for reach in count..=span {
            let offsets = Offsets::spread(count, reach);
            let lost = residual(loss, offsets);
            if lost <= TARGET {
                return offsets;
            }
            // What is farther away delays playout: it has to be worth that.
            if lost < best.0 * 0.97 {
                best = (lost, offsets);
            }
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(ratio: f64) -> LinkLoss {
        LinkLoss { ratio, memory: 0.0 }
    }

    fn bursts(ratio: f64, mean: f64) -> LinkLoss {
        LinkLoss { ratio, memory: 1.0 - 1.0 / (mean * (1.0 - ratio)) }
    }

    #[test]
    fn distances_are_spread_evenly() {
        let list = |count, span| Offsets::spread(count, span).iter().collect::<Vec<u8>>();
        assert_eq!(list(0, 0), []);
        assert_eq!(list(3, 3), [1, 2, 3]);
        assert_eq!(list(3, 0), [1, 2, 3]);
        assert_eq!(list(8, 16), [2, 4, 6, 8, 10, 12, 14, 16]);
        assert_eq!(list(17, 17).len(), 17);
        assert_eq!(list(200, 200).len(), 17);
        for count in 1..=MAX_SPAN {
            for span in count..=MAX_SPAN {
                let offsets = Offsets::spread(count, span);
                assert_eq!((offsets.count(), offsets.span()), (count, span));
                assert!(offsets.contains(span.into()) && !offsets.contains(0));
                assert_eq!(offsets.beyond(0), u32::from(count));
                assert_eq!(offsets.beyond(span.into()), 0);
            }
        }
    }

    #[test]
    fn copies_follow_random_loss() {
        let table = [
            (0.0, 0),
            (0.005, 0),
            (0.02, 1),
            (0.10, 2),
            (0.20, 3),
            (0.30, 4),
            (0.50, 8),
            (0.70, 16),
            (0.95, 17),
        ];
        for (ratio, count) in table {
            let offsets = choose(random(ratio), MAX_SPAN, MAX_SPAN);
            assert_eq!(offsets, Offsets::spread(count, count), "{ratio}");
        }
    }

    #[test]
    fn copies_are_spread_for_bursts() {
        let burst = choose(bursts(0.3, 4.0), 6, MAX_SPAN);
        assert!(burst.span() >= 2 * burst.count(), "{burst:?}");
        let worst = bursts(0.5, 8.0);
        let offsets = choose(worst, 8, MAX_SPAN);
        assert_eq!(offsets.span(), MAX_SPAN);
        assert!(residual(worst, offsets) < residual(worst, Offsets::spread(8, 8)) / 2.0);
    }

    #[test]
    fn residual_is_that_of_independent_losses_and_of_a_way_that_stays_bad() {
        let lost = residual(random(0.7), Offsets::spread(9, 9));
        assert!((lost - 0.7_f64.powi(10)).abs() < 1e-12);
        let stays = LinkLoss { ratio: 0.5, memory: 1.0 };
        assert_eq!(residual(stays, Offsets::spread(17, 17)), 0.5);
    }

    #[test]
    fn limits_are_kept() {
        for most in 0..=MAX_SPAN {
            for span in 0..=MAX_SPAN {
                let offsets = choose(bursts(0.6, 9.0), most, span);
                assert!(offsets.count() <= most && offsets.span() <= span);
            }
        }
    }
}
