//! How much of the one-way delay is a queue.

use std::collections::VecDeque;

use super::Delivered;

/// Buckets of two seconds: the least delay of 20 s is what the path takes without a queue.
const BASE_BUCKET_US: i64 = 2_000_000;
const BASE_BUCKETS: usize = 10;
/// Buckets of 50 ms: the least delay of 250 ms is what even the luckiest packet had to wait.
const RECENT_BUCKET_US: i64 = 50_000;
const RECENT_BUCKETS: usize = 5;

/// Least and largest value of one stretch of time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    index: i64,
    least: i64,
    largest: i64,
}

/// Least value of the recent past.
#[derive(Debug, Clone)]
struct Least {
    bucket_us: i64,
    count: usize,
    buckets: VecDeque<Bucket>,
}

impl Least {
    fn new(bucket_us: i64, count: usize) -> Least {
        Least { bucket_us, count, buckets: VecDeque::with_capacity(count) }
    }

    fn add(&mut self, at_us: i64, value: i64) {
        let index = at_us.div_euclid(self.bucket_us);
        match self.buckets.back_mut() {
            Some(last) if last.index >= index => {
                last.least = last.least.min(value);
                last.largest = last.largest.max(value);
            }
            _ => self.buckets.push_back(Bucket { index, least: value, largest: value }),
        }
        let oldest = index - self.count as i64;
        while self.buckets.len() > self.count || self.buckets[0].index <= oldest {
            self.buckets.pop_front();
        }
    }

    fn least(&self) -> Option<i64> {
        self.buckets.iter().map(|bucket| bucket.least).min()
    }

    fn largest(&self) -> Option<i64> {
        self.buckets.iter().map(|bucket| bucket.largest).max()
    }
}

/// Estimates the standing queue: what the luckiest packets of the last 250 ms waited longer than
/// the luckiest of the last 20 s. Jitter hardly moves the luckiest packets, a queue moves all.
///
/// Times are those of sending, on our clock; only differences of the receiver's clock count.
#[derive(Debug, Clone)]
pub(crate) struct QueueDelay {
    base: Least,
    recent: Least,
    newest_us: i64,
}

impl Default for QueueDelay {
    fn default() -> QueueDelay {
        QueueDelay {
            base: Least::new(BASE_BUCKET_US, BASE_BUCKETS),
            recent: Least::new(RECENT_BUCKET_US, RECENT_BUCKETS),
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
        match (self.recent.least(), self.recent.largest()) {
            (Some(least), Some(largest)) => largest - least,
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
        assert_eq!(queue.base.buckets.len(), 1);
    }
}
