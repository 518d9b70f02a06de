//! Arrival times for transport-wide congestion feedback
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1).

use std::time::{Duration, Instant};

use media_prefetch::prefetch;

use crate::rtp::{SeqNo, SeqUnwrapper};

/// Packets whose arrival is remembered.
const WINDOW: u64 = 1_024;
/// Statuses in one report; what does not fit a packet is for the next, see `TwccWriter`.
const MAX_STATUSES: u64 = WINDOW;
/// More than this before the first arrival are not reported.
const MAX_LEADING: u64 = 180;
/// Feedback goes out before the interval is over once this many packets are waiting.
const EARLY_STATUSES: u64 = 128;
/// Largest distance of two arrivals that one feedback can express, in ticks (16 bits signed).
const MAX_DELTA: i64 = i16::MAX as i64;
const TICK_US: u64 = 250;

/// Content of one feedback packet, as [`TwccWriter`](crate::rtcp::TwccWriter) takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TwccReport<'a> {
    /// Number of the first packet reported.
    pub base: SeqNo,
    /// Arrivals of `base`, `base + 1`, … since a fixed epoch, in steps of 250 µs; `None` means
    /// not received. The last is received. Neighbouring ones are at most 8.19 s apart.
    pub arrivals: &'a [Option<Duration>],
}

/// When a packet arrived, in ticks since the epoch and one more; zero: it did not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Arrival(u32);

impl Arrival {
    fn at(tick: u32) -> Arrival {
        // Ticks wrap; the one that would mean nothing is told as its neighbour.
        Arrival(tick.wrapping_add(1).max(1))
    }

    fn tick(self) -> Option<u32> {
        (self.0 != 0).then(|| self.0.wrapping_sub(1))
    }
}

/// Remembers when the packets of one transport arrived and says when to report them.
///
/// A packet costs constant time. 4 KiB for the arrivals, taken with the first packet, and up to
/// 16 KiB for the last report, which may be lent ([`TwccRecorder::swap_memory`]). When more than 1,024 packets are waiting, the oldest are not
/// reported.
#[derive(Debug, Clone)]
pub struct TwccRecorder {
    interval: Duration,
    unwrapper: SeqUnwrapper,
    epoch: Option<Instant>,
    /// Ticks by number modulo the window.
    arrivals: Vec<Arrival>,
    /// First number to report next. Lower than what was reported if a packet came late.
    next: u64,
    /// One past the newest number.
    end: u64,
    /// When the oldest unreported packet arrived.
    pending_since: Option<Instant>,
    report: Vec<Option<Duration>>,
    unreported: u64,
}

impl TwccRecorder {
    /// `interval` is the time between two feedbacks while packets arrive.
    pub fn new(interval: Duration) -> TwccRecorder {
        TwccRecorder {
            interval,
            unwrapper: SeqUnwrapper::default(),
            epoch: None,
            arrivals: Vec::new(),
            next: 0,
            end: 0,
            pending_since: None,
            report: Vec::new(),
            unreported: 0,
        }
    }

    /// Takes the transport-wide number of a packet that arrived at `now`.
    pub fn on_packet(&mut self, seq: SeqNo, now: Instant) {
        let ext_seq = self.unwrapper.unwrap(seq);
        if self.arrivals.is_empty() {
            self.arrivals = vec![Arrival::default(); WINDOW as usize];
            (self.next, self.end) = (ext_seq, ext_seq);
        }
        if ext_seq >= self.end {
            self.advance(ext_seq);
        } else if self.end - ext_seq > WINDOW || self.slot(ext_seq).tick().is_some() {
            return;
        }
        let tick = self.tick(now);
        *self.slot(ext_seq) = Arrival::at(tick);
        self.next = self.next.min(ext_seq);
        self.pending_since.get_or_insert(now);
    }

    /// When feedback is due; `None` while there is nothing to report.
    pub fn next_timeout(&self) -> Option<Instant> {
        let since = self.pending_since?;
        let early = self.end - self.next >= EARLY_STATUSES;
        Some(if early { since } else { since + self.interval })
    }

    /// The next feedback that is due. Call it until there is none.
    pub fn poll(&mut self, now: Instant) -> Option<TwccReport<'_>> {
        if self.next_timeout()? > now {
            return None;
        }
        self.collect();
        let base = self.next;
        self.next += self.report.len() as u64;
        if self.next >= self.end {
            self.pending_since = None;
        }
        if self.report.is_empty() {
            return None;
        }
        Some(TwccReport { base: SeqNo(base as u16), arrivals: &self.report })
    }

    /// Exchanges the memory reports are made in: lent for the time of a report, it is there in
    /// the cache for all transports in turn.
    pub(crate) fn swap_memory(&mut self, memory: &mut Vec<Option<Duration>>) {
        std::mem::swap(&mut self.report, memory);
    }

    /// Arrived packets that were pushed out before they were reported.
    pub fn unreported(&self) -> u64 {
        self.unreported
    }

    /// Has fetched what the next packets will need.
    #[inline]
    pub(crate) fn prefetch(&self) {
        self.arrivals.get((self.end % WINDOW) as usize).inspect(|slot| prefetch(*slot));
    }

    /// Has fetched what the next report will be about.
    #[inline]
    pub(crate) fn prefetch_unreported(&self) {
        // Sixteen to a line.
        for ext_seq in (self.next..self.end).step_by(16).take(8) {
            self.arrivals.get((ext_seq % WINDOW) as usize).inspect(|slot| prefetch(*slot));
        }
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        self.arrivals.capacity() * size_of::<Arrival>()
            + self.report.capacity() * size_of::<Option<Duration>>()
    }

    fn slot(&mut self, ext_seq: u64) -> &mut Arrival {
        &mut self.arrivals[(ext_seq % WINDOW) as usize]
    }

    /// Ticks since the epoch. They wrap after 12 days, together with the reference time.
    fn tick(&mut self, now: Instant) -> u32 {
        let epoch = *self.epoch.get_or_insert(now);
        (now.saturating_duration_since(epoch).as_micros() as u64 / TICK_US) as u32
    }

    /// Makes room for the numbers up to `newest`.
    fn advance(&mut self, newest: u64) {
        let first_new = self.end.max((newest + 1).saturating_sub(WINDOW));
        for ext_seq in first_new..=newest {
            let passed = ext_seq.checked_sub(WINDOW).is_some_and(|passed| passed >= self.next);
            let slot = self.slot(ext_seq);
            let lost = std::mem::take(slot).tick().is_some() && passed;
            self.unreported += u64::from(lost);
        }
        self.end = newest + 1;
        self.next = self.next.max(self.end.saturating_sub(WINDOW));
    }

    /// Fills `report` with what fits into one feedback. What is missing before the first arrival
    /// is part of it, unless it would take half the feedback: then `next` moves past it.
    fn collect(&mut self) {
        self.report.clear();
        let mut waiting = self.next..self.end;
        let Some(first) = waiting.find(|ext_seq| self.slot(*ext_seq).tick().is_some()) else {
            return;
        };
        if first - self.next > MAX_LEADING {
            self.next = first;
        }
        let mut last: Option<(u32, u64)> = None;
        let mut len = 0;
        for ext_seq in self.next..self.end.min(self.next + MAX_STATUSES) {
            let Some(tick) = self.slot(ext_seq).tick() else {
                self.report.push(None);
                continue;
            };
            // One 32-bit cycle ahead, so that arrivals before the first do not go below zero.
            let (last_tick, sum) = last.unwrap_or((tick, (1 << 32) + u64::from(tick)));
            let delta = i64::from(tick.wrapping_sub(last_tick) as i32);
            if delta.abs() > MAX_DELTA {
                break;
            }
            let sum = sum.wrapping_add_signed(delta);
            last = Some((tick, sum));
            self.report.push(Some(Duration::from_micros(sum * TICK_US)));
            len = self.report.len();
        }
        self.report.truncate(len);
    }
}

#[cfg(test)]
mod tests;
