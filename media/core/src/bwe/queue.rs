//! How much of the one-way delay is a queue.

use super::Delivered;

/// Buckets of two seconds: the least delay of 20 s is what the path takes without a queue.
const BASE_BUCKET_US: i64 = 2_000_000;
const BASE_BUCKETS: usize = 10;
/// Buckets of 50 ms: the least delay of 250 ms is what even the luckiest packet had to wait.
const RECENT_BUCKET_US: i64 = 50_000;
const RECENT_BUCKETS: usize = 5;

/// Least value of the recent past. Its memory is in place: it is asked about by every feedback, of which
/// each is about another subscriber.
#[derive(Debug, Clone)]
struct Least<const BUCKETS: usize, const BUCKET_US: i64> {
    /// By number of the bucket modulo their count; `i64::MAX` where there is no value.
    buckets: [i64; BUCKETS],
    newest: i64,
}

impl<const BUCKETS: usize, const BUCKET_US: i64> Default for Least<BUCKETS, BUCKET_US> {
    fn default() -> Self {
        Least { buckets: [i64::MAX; BUCKETS], newest: i64::MIN }
    }
}

impl<const BUCKETS: usize, const BUCKET_US: i64> Least<BUCKETS, BUCKET_US> {
    #[inline]
    fn add(&mut self, at_us: i64, value: i64) {
        let index = at_us.div_euclid(BUCKET_US);
        if index > self.newest {
            self.open(index);
        }
        let slot = &mut self.buckets[self.newest.rem_euclid(BUCKETS as i64) as usize];
        *slot = value.min(*slot);
    }

    /// Empties what lies between the newest bucket and this one, which becomes the newest.
    fn open(&mut self, index: i64) {
        let passed = index.saturating_sub(self.newest).min(BUCKETS as i64);
        for step in 0..passed {
            self.buckets[(index - step).rem_euclid(BUCKETS as i64) as usize] = i64::MAX;
        }
        self.newest = index;
    }

    #[inline]
    fn least(&self) -> Option<i64> {
        self.buckets.iter().copied().min().filter(|least| *least < i64::MAX)
    }
}

/// Estimates the standing queue: what the luckiest packets of the last 250 ms waited longer than
/// the luckiest of the last 20 s. Jitter hardly moves the luckiest packets, a queue moves all.
///
/// Times are those of sending, on our clock; only differences of the receiver's clock count.
#[derive(Debug, Clone)]
pub(crate) struct QueueDelay {
    base: Least<BASE_BUCKETS, BASE_BUCKET_US>,
    recent: Least<RECENT_BUCKETS, RECENT_BUCKET_US>,
    /// Of negative delays.
    recent_largest: Least<RECENT_BUCKETS, RECENT_BUCKET_US>,
    newest_us: i64,
}

impl Default for QueueDelay {
    fn default() -> QueueDelay {
        QueueDelay {
            base: Least::default(),
            recent: Least::default(),
            recent_largest: Least::default(),
            newest_us: i64::MIN,
        }
    }
}

impl QueueDelay {
    pub(super) fn on_packet(&mut self, packet: &Delivered) {
        self.add(packet.sent_us, packet.arrival_us - packet.sent_us);
    }

    /// Takes the one-way delay of a packet, from any offset.
    pub(crate) fn add(&mut self, sent_us: i64, delay: i64) {
        self.newest_us = self.newest_us.max(sent_us);
        self.base.add(self.newest_us, delay);
        self.recent.add(self.newest_us, delay);
        self.recent_largest.add(self.newest_us, -delay);
    }

    /// The standing queue in µs; zero while unknown.
    pub(crate) fn standing_us(&self) -> i64 {
        match (self.recent.least(), self.base.least()) {
            (Some(recent), Some(base)) => (recent - base).max(0),
            _ => 0,
        }
    }

    /// By how much delays of the last 250 ms differ, in µs.
    pub(super) fn spread_us(&self) -> i64 {
        match (self.recent.least(), self.recent_largest.least()) {
            (Some(least), Some(largest)) => -largest - least,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netem::Rng;

    fn feed(queue: &mut QueueDelay, from_ms: i64, to_ms: i64, delay_us: impl Fn(i64) -> i64) {
        for at in from_ms..to_ms {
            let sent_us = at * 1_000;
            let arrival_us = sent_us + delay_us(at);
            queue.on_packet(&Delivered { sent_us, arrival_us, size: 1 });
        }
    }

    #[test]
    fn a_queue_is_seen_below_jitter() {
        let mut queue = QueueDelay::default();
        assert_eq!(queue.standing_us(), 0);
        let jitter = |at: i64| 40_000 + Rng::new(at as u64).below(200_000) as i64;
        feed(&mut queue, 0, 5_000, jitter);
        assert!(queue.standing_us() < 5_000, "{}", queue.standing_us());
        assert!(queue.spread_us() > 150_000);
        feed(&mut queue, 5_000, 6_000, |at| jitter(at) + 80_000);
        let standing = queue.standing_us();
        assert!((75_000..90_000).contains(&standing), "{standing}");
    }

    #[test]
    fn a_longer_path_becomes_the_base() {
        let mut queue = QueueDelay::default();
        feed(&mut queue, 0, 1_000, |_| 20_000);
        feed(&mut queue, 1_000, 15_000, |_| 60_000);
        assert_eq!(queue.standing_us(), 40_000);
        feed(&mut queue, 15_000, 23_000, |_| 60_000);
        assert_eq!(queue.standing_us(), 0);
    }

    #[test]
    fn a_silence_forgets_only_what_is_too_old() {
        let mut queue = QueueDelay::default();
        feed(&mut queue, 0, 1_000, |_| 20_000);
        feed(&mut queue, 600_000, 600_010, |_| -5_000_000);
        assert_eq!(queue.standing_us(), 0);
        assert_eq!(queue.base.buckets.iter().filter(|least| **least < i64::MAX).count(), 1);
    }
}
