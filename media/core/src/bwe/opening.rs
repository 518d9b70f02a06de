//! The first burst of media tells what a path carries before any probe does: a keyframe is sent
//! faster than a narrow link takes it, and its packets arrive as far apart as the link says.

use super::Delivered;

/// Packets sent within this time of each other are one burst.
const BURST_GAP_US: i64 = 15_000;
/// A burst that is to show a wide link has at least this.
const LEAST_PACKETS: u32 = 5;
const LEAST_BYTES: u64 = 3_000;
/// A narrow one shows in as many packets that waited, and these bytes.
const LEAST_WAITING: u32 = 2;
const LEAST_WAITING_BYTES: u64 = 1_500;
/// Packets that came later than this beyond the quickest of their burst waited for those before:
/// the first may have passed on credit (a token bucket's).
const WAITING_US: i64 = 4_000;
/// A link takes as long for each byte; where one packet took this many times as long as the
/// others, something else held it up.
const UNEVEN: f64 = 2.5;
/// A burst that took this many times as long to arrive as to leave met a narrow link...
const STRETCH: i64 = 2;
/// ...if its last packet also waited for this long: less may be jitter.
const LEAST_WAIT_US: i64 = 20_000;

/// What the first burst has shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shown {
    /// The link carries this, in bit/s, and no more.
    Narrow(f64),
    /// More than was sent; how much has to be probed.
    Wide,
}

/// Packets that were sent together.
#[derive(Debug, Clone, Copy)]
struct Burst {
    /// The last that arrived.
    last: Delivered,
    /// When the last of them was sent.
    sent_until_us: i64,
    packets: u32,
    /// After the first.
    bytes: u64,
    least_delay_us: i64,
    /// The last packet that had nothing before it.
    free: Delivered,
    /// What came after that.
    waiting: u32,
    waiting_bytes: u64,
    /// The longest any of these took for its size, in µs a byte.
    slowest: f64,
}

/// Reads bursts in the order of their arrival until one is long enough.
#[derive(Debug, Clone, Default)]
pub(super) struct Opening {
    burst: Option<Burst>,
}

impl Opening {
    pub(super) fn on_packet(&mut self, packet: &Delivered) {
        match &mut self.burst {
            Some(burst) if packet.sent_us - burst.sent_until_us <= BURST_GAP_US => {
                burst.add(packet);
            }
            // Judged before it is forgotten: what comes later in the same feedback.
            Some(burst) if burst.shown().is_some() => {}
            burst => *burst = Some(Burst::new(packet)),
        }
    }

    /// Whether a burst has begun to arrive of which more is to be heard: it tells what the link
    /// carries better than the growth of the queue does.
    pub(super) fn is_under_way(&self) -> bool {
        self.burst.is_some_and(|burst| burst.bytes >= LEAST_BYTES / 3 && burst.shown().is_none())
    }

    /// What the burst has shown, once it is long enough.
    pub(super) fn shown(&self) -> Option<Shown> {
        self.burst.as_ref()?.shown()
    }
}

impl Burst {
    fn new(packet: &Delivered) -> Burst {
        Burst {
            last: *packet,
            sent_until_us: packet.sent_us,
            packets: 1,
            bytes: 0,
            least_delay_us: packet.arrival_us - packet.sent_us,
            free: *packet,
            waiting: 0,
            waiting_bytes: 0,
            slowest: 0.0,
        }
    }

    fn add(&mut self, packet: &Delivered) {
        let size = u64::from(packet.size);
        let delay_us = packet.arrival_us - packet.sent_us;
        let gap_us = packet.arrival_us - self.last.arrival_us;
        self.last = *packet;
        self.sent_until_us = self.sent_until_us.max(packet.sent_us);
        self.packets += 1;
        self.bytes += size;
        self.least_delay_us = self.least_delay_us.min(delay_us);
        if delay_us - self.least_delay_us < WAITING_US {
            self.free = *packet;
            (self.waiting, self.waiting_bytes, self.slowest) = (0, 0, 0.0);
        } else {
            self.waiting += 1;
            self.waiting_bytes += size;
            self.slowest = self.slowest.max(gap_us as f64 / size.max(1) as f64);
        }
    }

    fn is_long(&self) -> bool {
        self.packets >= LEAST_PACKETS && self.bytes >= LEAST_BYTES
    }

    fn shown(&self) -> Option<Shown> {
        let sending_us = self.sent_until_us - self.free.sent_us;
        let arriving_us = self.last.arrival_us - self.free.arrival_us;
        let waited_us = self.last.arrival_us - self.last.sent_us - self.least_delay_us;
        let is_narrow = self.waiting >= LEAST_WAITING
            && self.waiting_bytes >= LEAST_WAITING_BYTES
            && waited_us >= LEAST_WAIT_US
            && arriving_us > STRETCH * sending_us.max(0)
            && self.slowest < UNEVEN * arriving_us as f64 / self.waiting_bytes as f64;
        if is_narrow {
            return Some(Shown::Narrow(self.waiting_bytes as f64 * 8e6 / arriving_us as f64));
        }
        self.is_long().then_some(Shown::Wide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 1,000 bytes, sent at the first rate, over a link with the second.
    fn show(packets: i64, sent_bps: i64, link_bps: i64) -> Option<Shown> {
        let mut opening = Opening::default();
        let mut free_us = 0;
        for number in 0..packets {
            let sent_us = 7_000_000 + number * 8_000_000_000 / sent_bps;
            free_us = sent_us.max(free_us) + 8_000_000_000 / link_bps;
            opening.on_packet(&Delivered { sent_us, arrival_us: free_us - 99, size: 1_000 });
        }
        opening.shown()
    }

    #[test]
    fn a_link_narrower_than_the_burst_shows_its_rate() {
        for link_bps in [100_000, 300_000, 500_000, 1_000_000] {
            let Some(Shown::Narrow(bps)) = show(8, 2_500_000, link_bps) else { panic!() };
            assert!((bps / link_bps as f64 - 1.0).abs() < 0.01, "{bps} of {link_bps}");
        }
        for link_bps in [2_000_000, 10_000_000] {
            assert_eq!(show(8, 2_500_000, link_bps), Some(Shown::Wide));
        }
    }

    #[test]
    fn what_passes_on_credit_is_not_the_rate() {
        let mut opening = Opening::default();
        let mut free_us = 0;
        for number in 0..8 {
            let sent_us = number * 3_200;
            // Four packets fit the bucket; the others pass at 300 kb/s.
            free_us = if number < 4 { sent_us } else { sent_us.max(free_us) + 26_667 };
            opening.on_packet(&Delivered { sent_us, arrival_us: free_us, size: 1_000 });
        }
        let Some(Shown::Narrow(bps)) = opening.shown() else { panic!() };
        assert!((bps / 300e3 - 1.0).abs() < 0.1, "{bps}");
    }

    #[test]
    fn single_packets_and_short_bursts_show_nothing() {
        assert_eq!(show(2, 2_500_000, 100_000), None);
        assert_eq!(show(4, 2_500_000, 10_000_000), None);
        // 20 ms apart, as those of sound.
        assert_eq!(show(500, 400_000, 300_000), None);
    }

    #[test]
    fn what_was_held_up_and_let_go_is_no_narrow_link() {
        let mut opening = Opening::default();
        opening.on_packet(&Delivered { sent_us: 0, arrival_us: 40_000, size: 1_000 });
        for number in 1..8 {
            let packet = Delivered { sent_us: number * 3_000, arrival_us: 40_100, size: 1_000 };
            opening.on_packet(&packet);
        }
        assert_eq!(opening.shown(), Some(Shown::Wide));
    }

    #[test]
    fn clocks_that_lie_break_nothing() {
        let mut opening = Opening::default();
        for (number, arrival_us) in [1 << 60, -(1 << 60), 0, 5, -5, 1 << 40].iter().enumerate() {
            let sent_us = 1_000 * number as i64;
            opening.on_packet(&Delivered { sent_us, arrival_us: *arrival_us, size: 1_200 });
            let _ = opening.shown();
        }
    }
}
