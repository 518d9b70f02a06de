//! Receive statistics of one RTP stream (RFC 3550, sections 6.4.1, A.3 and A.8).
//!
//! The probation of A.1 is left out: a packet gets here only after SRTP authenticated it, and a
//! jump by more than half the number space fails that already.

use std::time::{Duration, Instant};

use media_prefetch::{prefetch, prefetch_span};

use crate::rtp::{SeqNo, SeqUnwrapper};
use crate::window::SlidingSum;

/// What a packet was to the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Newer than all before.
    Newest,
    /// Older than the newest, not seen before.
    Late,
    /// Seen before, or too old to tell.
    Duplicate,
}

/// Result of taking one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// The sequence number, extended so that it never wraps.
    pub ext_seq: u64,
    /// Whether it is new.
    pub arrival: Arrival,
}

/// The statistics of a report block (RFC 3550, section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// Loss since the last report in 1/256.
    pub fraction_lost: u8,
    /// Loss since the start, within the 24 bits of the field; negative with many duplicates.
    pub cumulative_lost: i32,
    /// Highest sequence number, with the count of cycles since the first in the upper half.
    pub highest_seq: u32,
    /// Interarrival jitter in RTP ticks.
    pub jitter: u32,
}

/// How a packet in the window came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Missing,
    Original,
    Repaired,
}

/// Packets before the newest whose arrival is remembered.
const WINDOW: u64 = 2_048;
const WORDS: usize = (WINDOW / 64) as usize;

/// Two bits for each of the newest [`WINDOW`] packets.
#[derive(Debug, Clone)]
struct SeenWindow {
    seen: [u64; WORDS],
    repaired: [u64; WORDS],
}

impl SeenWindow {
    fn position(ext_seq: u64) -> (usize, u64) {
        let slot = ext_seq % WINDOW;
        ((slot / 64) as usize, 1 << (slot % 64))
    }

    fn get(&self, ext_seq: u64) -> Seen {
        let (word, mask) = Self::position(ext_seq);
        match (self.seen[word] & mask != 0, self.repaired[word] & mask != 0) {
            (false, _) => Seen::Missing,
            (true, false) => Seen::Original,
            (true, true) => Seen::Repaired,
        }
    }

    fn set(&mut self, ext_seq: u64, seen: Seen) {
        let (word, mask) = Self::position(ext_seq);
        self.seen[word] = self.seen[word] & !mask | if seen == Seen::Missing { 0 } else { mask };
        self.repaired[word] =
            self.repaired[word] & !mask | if seen == Seen::Repaired { mask } else { 0 };
    }

    /// Forgets the numbers `from..=to`, which stood for others one window earlier.
    fn forget(&mut self, from: u64, to: u64) {
        if to - from >= WINDOW - 1 {
            (self.seen, self.repaired) = ([0; WORDS], [0; WORDS]);
        } else {
            (from..=to).for_each(|ext_seq| self.set(ext_seq, Seen::Missing));
        }
    }
}

/// Interarrival jitter (RFC 3550, A.8), in sixteenths of a tick.
#[derive(Debug, Clone, Default)]
struct Jitter {
    last: Option<(Instant, u32)>,
    sixteenths: u64,
}

impl Jitter {
    /// Larger differences are jumps of the timestamps, not jitter.
    const MAX_DIFFERENCE_S: u64 = 3;
    /// One hour, so that its microseconds times any clock rate fit 64 bits.
    const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

    fn on_packet(&mut self, timestamp: u32, clock_rate_hz: u32, now: Instant) {
        let Some((last_arrival, last_timestamp)) = self.last.replace((now, timestamp)) else {
            return;
        };
        let elapsed = now.saturating_duration_since(last_arrival).min(Self::LONGEST_PAUSE);
        let elapsed = elapsed.as_micros() as u64 * u64::from(clock_rate_hz) / 1_000_000;
        let elapsed = elapsed as i64;
        let sent = i64::from(timestamp.wrapping_sub(last_timestamp) as i32);
        let difference = elapsed.saturating_sub(sent).unsigned_abs();
        if difference <= Self::MAX_DIFFERENCE_S * u64::from(clock_rate_hz) {
            self.sixteenths = self.sixteenths + difference - ((self.sixteenths + 8) >> 4);
        }
    }
}

/// Counters at the last report.
#[derive(Debug, Clone, Copy, Default)]
struct Interval {
    expected: u64,
    received: u64,
}

/// Statistics of one received stream. Constant memory, about 1.3 KiB.
///
/// Fields lie in memory as they stand here: what is needed together lies together.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Reception {
    clock_rate_hz: u32,
    unwrapper: SeqUnwrapper,
    first: Option<u64>,
    /// Original packets, duplicates included as A.3 asks for.
    received: u64,
    /// Different packets that came as originals.
    unique: u64,
    bytes: u64,
    jitter: Jitter,
    recent_expected: SlidingSum,
    recent_received: SlidingSum,
    recent_bytes: SlidingSum,
    window: SeenWindow,
    repaired: u64,
    duplicates: u64,
    reported: Interval,
}

impl Reception {
    /// Starts before the first packet. `clock_rate_hz` is that of the RTP timestamps.
    pub fn new(clock_rate_hz: u32) -> Reception {
        Reception {
            clock_rate_hz,
            unwrapper: SeqUnwrapper::default(),
            first: None,
            window: SeenWindow { seen: [0; WORDS], repaired: [0; WORDS] },
            received: 0,
            unique: 0,
            repaired: 0,
            duplicates: 0,
            bytes: 0,
            jitter: Jitter::default(),
            reported: Interval::default(),
            recent_expected: SlidingSum::default(),
            recent_received: SlidingSum::default(),
            recent_bytes: SlidingSum::default(),
        }
    }

    /// Has fetched what the next packets will need.
    #[inline]
    pub(crate) fn prefetch(&self) {
        let next = self.highest().unwrap_or_default().wrapping_add(1);
        let (word, _) = SeenWindow::position(next);
        prefetch(&self.window.seen[word]);
        prefetch(&self.window.repaired[word]);
        prefetch_span(&self.clock_rate_hz, &self.recent_bytes);
    }

    /// Takes a packet of the stream itself. `bytes` is its size as the caller counts it.
    pub fn on_packet(
        &mut self,
        seq: SeqNo,
        timestamp: u32,
        bytes: usize,
        now: Instant,
    ) -> Received {
        let received = self.place(seq, now);
        self.received += 1;
        self.count_bytes(bytes, now);
        self.jitter.on_packet(timestamp, self.clock_rate_hz, now);
        if received.arrival == Arrival::Duplicate {
            self.duplicates += 1;
            self.original_after_repair(received.ext_seq, now);
        } else {
            self.unique += 1;
            self.recent_received.add(1, now);
            self.window.set(received.ext_seq, Seen::Original);
        }
        received
    }

    /// Takes a packet that came by another way: RTX with its original number, or out of RED.
    /// Report blocks do not count it, they are about the network.
    pub fn on_repaired(&mut self, seq: SeqNo, bytes: usize, now: Instant) -> Received {
        let received = self.place(seq, now);
        self.count_bytes(bytes, now);
        if received.arrival == Arrival::Duplicate {
            self.duplicates += 1;
        } else {
            self.repaired += 1;
            self.window.set(received.ext_seq, Seen::Repaired);
        }
        received
    }

    /// Statistics since the last call, for one report block. `None` before the first packet.
    pub fn report(&mut self) -> Option<ReportBlock> {
        let highest = self.unwrapper.newest()?;
        let interval = Interval { expected: self.expected(), received: self.received };
        let last = std::mem::replace(&mut self.reported, interval);
        let expected = interval.expected - last.expected;
        let lost = expected.saturating_sub(interval.received - last.received);
        let fraction = (lost * 256).checked_div(expected).unwrap_or(0).min(255);
        let cumulative = interval.expected as i64 - interval.received as i64;
        Some(ReportBlock {
            fraction_lost: fraction as u8,
            cumulative_lost: cumulative.clamp(-0x80_0000, 0x7f_ffff) as i32,
            // The unwrapper starts in its second cycle.
            highest_seq: highest.wrapping_sub(1 << 16) as u32,
            jitter: (self.jitter.sixteenths >> 4) as u32,
        })
    }

    /// Different packets that arrived, repaired ones included.
    pub fn packets(&self) -> u64 {
        self.unique + self.repaired
    }

    /// Bytes that arrived, duplicates and repairs included.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets that never arrived by any way.
    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.packets())
    }

    /// Packets that only arrived by repair.
    pub fn repaired(&self) -> u64 {
        self.repaired
    }

    /// Packets that had already arrived.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Interarrival jitter.
    pub fn jitter(&self) -> Duration {
        let ticks = self.jitter.sixteenths as f64 / 16.0;
        Duration::from_secs_f64(ticks / f64::from(self.clock_rate_hz.max(1)))
    }

    /// Bit rate of the last second.
    pub fn bitrate_bps(&mut self, now: Instant) -> u64 {
        self.recent_bytes.bits_per_second(now)
    }

    /// Share lost on the way in the last second, before repair, 0..=1.
    pub fn loss_ratio(&mut self, now: Instant) -> f64 {
        let expected = self.recent_expected.sum(now);
        let received = self.recent_received.sum(now).min(expected);
        if expected == 0 { 0.0 } else { 1.0 - received as f64 / expected as f64 }
    }

    /// Whether a packet between the first and the newest has not come so far. What lies beyond
    /// the memory of arrivals is not missing any more.
    pub fn is_missing(&self, ext_seq: u64) -> bool {
        let (Some(first), Some(newest)) = (self.first, self.highest()) else { return false };
        (first..newest).contains(&ext_seq)
            && newest - ext_seq < WINDOW
            && self.window.get(ext_seq) == Seen::Missing
    }

    /// The largest extended sequence number.
    pub fn highest(&self) -> Option<u64> {
        self.unwrapper.newest()
    }

    /// Extends a number somebody reports, without taking it as arrived.
    pub fn extend(&self, seq: SeqNo) -> u64 {
        self.unwrapper.peek(seq)
    }

    fn expected(&self) -> u64 {
        match (self.first, self.unwrapper.newest()) {
            (Some(first), Some(newest)) => newest - first + 1,
            _ => 0,
        }
    }

    fn count_bytes(&mut self, bytes: usize, now: Instant) {
        self.bytes += bytes as u64;
        self.recent_bytes.add(bytes as u64, now);
    }

    /// Extends the number and finds out whether it is new. The caller marks it as seen.
    fn place(&mut self, seq: SeqNo, now: Instant) -> Received {
        let newest = self.unwrapper.newest();
        let ext_seq = self.unwrapper.unwrap(seq);
        let arrival = match newest {
            None => {
                self.first = Some(ext_seq);
                self.recent_expected.add(1, now);
                Arrival::Newest
            }
            Some(newest) if ext_seq > newest => {
                self.window.forget(newest + 1, ext_seq);
                self.recent_expected.add(ext_seq - newest, now);
                Arrival::Newest
            }
            Some(newest) if newest - ext_seq >= WINDOW => Arrival::Duplicate,
            _ if self.window.get(ext_seq) != Seen::Missing => Arrival::Duplicate,
            _ => Arrival::Late,
        };
        if arrival == Arrival::Late && self.first.is_some_and(|first| ext_seq < first) {
            self.first = Some(ext_seq);
        }
        Received { ext_seq, arrival }
    }

    /// The original of a packet that had been repaired: it was late, not lost.
    fn original_after_repair(&mut self, ext_seq: u64, now: Instant) {
        let in_window = self.unwrapper.newest().is_some_and(|newest| newest - ext_seq < WINDOW);
        if in_window && self.window.get(ext_seq) == Seen::Repaired {
            self.window.set(ext_seq, Seen::Original);
            self.repaired -= 1;
            self.unique += 1;
            self.recent_received.add(1, now);
        }
    }
}

#[cfg(test)]
mod tests;
