//! Spreads bursts to one subscriber over time.
//!
//! A keyframe is ten times a usual picture; sent at once it fills the queue in front of the
//! subscriber. What comes slower than the pacing rate passes without being touched. What comes
//! faster waits here, unprotected: SRTP indices and transport-wide numbers are given when a
//! packet leaves, so both follow the order on the wire.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media_prefetch::prefetch_span;

use crate::consumer::Forwarded;
use crate::ext::AbsSendTime;
use crate::rtp::SeqNo;
use crate::srtp::MAX_OVERHEAD;
use crate::table::Key;
use crate::window::SlidingSum;

/// Packets of both classes that wait at most.
const MAX_PACKETS: usize = 512;
/// Time the last one would wait at most.
const MAX_DELAY: Duration = Duration::from_millis(500);
/// So much may wait for longer: half a keyframe is worth nothing, and the next one is no smaller.
const KEYFRAME_BYTES: usize = 32 * 1_024;
/// Video is thinned to its base layer from this delay on, until the queue is nearly empty.
const THIN_FROM: Duration = Duration::from_millis(200);
const THIN_UNTIL: Duration = Duration::from_millis(30);
/// What may be sent at once, as time at the pacing rate.
const BURST: Duration = Duration::from_millis(10);
/// And at least.
const LEAST_BURST_BITS: i64 = 3_000 * 8;
/// What was sent without asking (audio) is made up for no longer than this.
const MAX_DEBT: Duration = Duration::from_millis(100);
/// Time between two keyframes asked for because of a full queue.
const KEYFRAME_PAUSE: Duration = Duration::from_secs(2);
/// Buffers kept for reuse.
const MAX_SPARE: usize = 64;

/// Where in a written packet the fields are that depend on when it leaves; zero: not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stamps {
    /// Two bytes of transport-wide number.
    pub(crate) number_at: u16,
    /// Three bytes of absolute send time.
    pub(crate) time_at: u16,
}

impl Stamps {
    /// Fills in the fields.
    #[inline]
    pub(crate) fn write(self, packet: &mut [u8], number: Option<SeqNo>, since_epoch: Duration) {
        let number_at = usize::from(self.number_at);
        if let (true, Some(number)) = (number_at > 0, number)
            && let Some(field) = packet.get_mut(number_at..number_at + 2)
        {
            field.copy_from_slice(&number.0.to_be_bytes());
        }
        let time_at = usize::from(self.time_at);
        if time_at > 0
            && let Some(field) = packet.get_mut(time_at..time_at + 3)
        {
            field.copy_from_slice(&AbsSendTime::from_duration(since_epoch).to_bytes());
        }
    }
}

/// What waits for what: RTX leaves first. Audio never waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Retransmission,
    /// Sent for the first time, but over RTX: it was recovered on its way to the server.
    Recovered,
    Video,
}

/// A packet that waits.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) class: Class,
    pub(crate) consumer: Key,
    /// Header length and length of the unprotected packet.
    pub(crate) lens: (usize, usize),
    pub(crate) stamps: Stamps,
    pub(crate) sequence: SeqNo,
    pub(crate) payload_len: usize,
    /// What it belongs to, see [`Echoes`](crate::echoes::Echoes); zero: nothing.
    pub(crate) flight: u64,
    /// The packet, with room for its protection behind.
    pub(crate) bytes: Vec<u8>,
}

impl Queued {
    /// What a subscription counts when it has left.
    pub(crate) fn as_forwarded(&self) -> Forwarded {
        let Queued { sequence, lens, payload_len, .. } = *self;
        Forwarded { sequence, len: lens.1, payload_len }
    }
}

/// Token bucket with a queue behind it, for one transport. Off until a rate is set.
///
/// Fields lie in memory as they stand here: what is needed together lies together.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Pacer {
    rate_bps: u64,
    credit_bits: i64,
    queued_bytes: usize,
    refilled: Option<Instant>,
    /// Since it was last short.
    was_long: bool,
    budget: Budget,
    retransmissions: VecDeque<Queued>,
    video: VecDeque<Queued>,
    spare: Vec<Vec<u8>>,
    keyframe_asked: Option<Instant>,
}

/// Keeps retransmissions from sending more than the path takes: they may use what media leave
/// of the budget, and a fifth of it in any case.
///
/// Fields lie in memory as they stand here: what is needed together lies together.
#[derive(Debug, Default)]
#[repr(C)]
struct Budget {
    /// Zero: without limit.
    bps: u64,
    credit_bits: i64,
    refilled: Option<Instant>,
    resent: SlidingSum,
}

impl Budget {
    /// Credit saved or owed at most, as time.
    const SPAN: Duration = Duration::from_millis(500);

    fn admits(&mut self, now: Instant) -> bool {
        if self.bps == 0 {
            return true;
        }
        let elapsed = self.refilled.replace(now).map_or(Duration::ZERO, |last| {
            now.saturating_duration_since(last).min(Duration::from_secs(1))
        });
        let most = bits_in(self.bps, Self::SPAN);
        self.credit_bits = (self.credit_bits + bits_in(self.bps, elapsed)).clamp(-most, most);
        self.credit_bits > 0 || self.resent.sum(now) * 8 < self.bps / 5
    }
}

fn bits_in(rate_bps: u64, time: Duration) -> i64 {
    (u128::from(rate_bps) * time.as_nanos() / 1_000_000_000) as i64
}

fn bits_time(bits: i64, rate_bps: u64) -> Duration {
    Duration::from_secs_f64(bits as f64 / rate_bps as f64)
}

impl Pacer {
    /// Sets the pacing rate; zero turns pacing off, and what waits is due at once.
    pub(crate) fn set_rate(&mut self, rate_bps: u64, now: Instant) {
        if rate_bps != self.rate_bps {
            self.refill(now);
            self.rate_bps = rate_bps;
        }
    }

    /// Sets what may be sent in all; `None`: without limit.
    pub(crate) fn set_budget(&mut self, budget_bps: Option<u64>) {
        self.budget.bps = budget_bps.unwrap_or(0);
    }

    /// Whether the budget allows to send something again.
    pub(crate) fn may_resend(&mut self, now: Instant) -> bool {
        self.budget.admits(now)
    }

    /// A packet is sent again.
    pub(crate) fn note_resent(&mut self, bytes: usize, now: Instant) {
        self.budget.resent.add(bytes as u64, now);
    }

    /// Whether a packet may leave now, before all that waits.
    #[inline]
    pub(crate) fn admits(&mut self, now: Instant) -> bool {
        if self.rate_bps == 0 {
            return self.is_empty();
        }
        if !self.is_empty() {
            return false;
        }
        if self.credit_bits <= 0 {
            self.refill(now);
        }
        self.credit_bits > 0
    }

    /// Has fetched what every packet needs.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch_span(&self.rate_bps, &self.budget.credit_bits);
    }

    /// Counts what was sent, whether it was asked for or not.
    #[inline]
    pub(crate) fn charge(&mut self, bytes: usize) {
        let bits = bytes as i64 * 8;
        if self.rate_bps > 0 {
            self.credit_bits = (self.credit_bits - bits).max(-bits_in(self.rate_bps, MAX_DEBT));
        }
        // There may be a budget where nothing is paced.
        if self.budget.bps > 0 {
            self.budget.credit_bits = self.budget.credit_bits.saturating_sub(bits);
        }
    }

    fn refill(&mut self, now: Instant) {
        let last = self.refilled.replace(now);
        let burst = bits_in(self.rate_bps, BURST).max(LEAST_BURST_BITS);
        let Some(last) = last else {
            self.credit_bits = burst;
            return;
        };
        let elapsed = now.saturating_duration_since(last).min(Duration::from_secs(1));
        self.credit_bits = (self.credit_bits + bits_in(self.rate_bps, elapsed)).min(burst);
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.queued_bytes == 0
    }

    /// Packets that wait.
    pub(crate) fn len(&self) -> usize {
        self.retransmissions.len() + self.video.len()
    }

    /// Forgets what waits, and its memory; returns how many packets that were.
    pub(crate) fn clear(&mut self) -> usize {
        let waiting = self.len();
        (self.retransmissions, self.video) = (VecDeque::new(), VecDeque::new());
        self.queued_bytes = 0;
        self.spare = Vec::new();
        waiting
    }

    /// How long what waits takes to leave.
    pub(crate) fn delay(&self) -> Duration {
        if self.rate_bps == 0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(self.queued_bytes as f64 * 8.0 / self.rate_bps as f64)
    }

    /// Lets `packet` wait; `queued` is all about it but the bytes. Returns whether there was
    /// room: the newest is what is dropped.
    pub(crate) fn push(&mut self, mut queued: Queued, packet: &[u8]) -> bool {
        let is_long = self.delay() >= MAX_DELAY && self.queued_bytes >= KEYFRAME_BYTES;
        if self.len() >= MAX_PACKETS || is_long {
            return false;
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(packet);
        bytes.resize(packet.len() + MAX_OVERHEAD, 0);
        queued.bytes = bytes;
        self.queued_bytes += packet.len();
        self.was_long |= self.is_long();
        match queued.class {
            Class::Retransmission | Class::Recovered => self.retransmissions.push_back(queued),
            Class::Video => self.video.push_back(queued),
        }
        true
    }

    /// The next packet that may leave.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Queued> {
        if self.is_empty() {
            return None;
        }
        if self.rate_bps > 0 {
            self.refill(now);
            if self.credit_bits <= 0 {
                return None;
            }
        }
        let queued = self.retransmissions.pop_front().or_else(|| self.video.pop_front())?;
        self.queued_bytes -= queued.lens.1;
        Some(queued)
    }

    /// What waits of a subscription's video is of no use any more: only headers are left of it,
    /// so that its numbers leave no gap, and no picture ends in them.
    pub(crate) fn strip(&mut self, consumer: Key) {
        for queued in self.video.iter_mut().filter(|queued| queued.consumer == consumer) {
            let (header_len, len) = queued.lens;
            self.queued_bytes -= len - header_len;
            queued.lens.1 = header_len;
            queued.payload_len = 0;
            queued.bytes.truncate(header_len + MAX_OVERHEAD);
            if let Some(marker) = queued.bytes.get_mut(1) {
                *marker &= 0x7f;
            }
        }
    }

    /// Takes back the buffer of a packet that left.
    pub(crate) fn recycle(&mut self, bytes: Vec<u8>) {
        if self.spare.len() < MAX_SPARE {
            self.spare.push(bytes);
        }
    }

    /// When [`Pacer::pop`] has something again.
    pub(crate) fn next_timeout(&self, now: Instant) -> Option<Instant> {
        if self.is_empty() {
            return None;
        }
        let wait = match self.rate_bps {
            0 => Duration::ZERO,
            rate_bps => bits_time(1 - self.credit_bits.min(1), rate_bps),
        };
        Some(now + wait)
    }

    /// When a packet could leave behind all that waits.
    pub(crate) fn next_vacancy(&self, now: Instant) -> Instant {
        match self.rate_bps {
            0 => now,
            rate_bps => now + self.delay() + bits_time(1 - self.credit_bits.min(1), rate_bps),
        }
    }

    /// Whether so much waits that video is to be thinned.
    pub(crate) fn is_long(&self) -> bool {
        self.delay() >= THIN_FROM
    }

    /// Whether video was to be thinned and need not be any more; says so once.
    pub(crate) fn take_relief(&mut self) -> bool {
        self.was_long && self.delay() <= THIN_UNTIL && std::mem::take(&mut self.was_long)
    }

    /// Whether to ask for a keyframe because something was dropped.
    pub(crate) fn may_ask_for_keyframe(&mut self, now: Instant) -> bool {
        let may = self.keyframe_asked.is_none_or(|asked| now >= asked + KEYFRAME_PAUSE);
        if may {
            self.keyframe_asked = Some(now);
        }
        may
    }

    /// Bytes on the heap.
    pub(crate) fn memory_bytes(&self) -> usize {
        let waiting = self.retransmissions.iter().chain(&self.video).map(|queued| &queued.bytes);
        let buffers: usize = waiting.chain(&self.spare).map(Vec::capacity).sum();
        let slots = self.retransmissions.capacity() + self.video.capacity();
        buffers + slots * size_of::<Queued>() + self.spare.capacity() * size_of::<Vec<u8>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Slab;

    fn queued(class: Class, sequence: u16, len: usize) -> Queued {
        Queued {
            class,
            consumer: Slab::default().insert(()),
            lens: (12, len),
            stamps: Stamps::default(),
            sequence: SeqNo(sequence),
            payload_len: len - 12,
            flight: 0,
            bytes: Vec::new(),
        }
    }

    fn push(pacer: &mut Pacer, class: Class, sequence: u16) -> bool {
        pacer.push(queued(class, sequence, 1_000), &[sequence as u8; 1_000])
    }

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let now = Instant::now();
        let mut pacer = Pacer::default();
        for _ in 0..10_000 {
            assert!(pacer.admits(now));
            pacer.charge(1_500);
        }
    }

    #[test]
    fn a_stream_below_the_rate_never_waits() {
        let start = Instant::now();
        let mut pacer = Pacer::default();
        pacer.set_rate(1_000_000, start);
        for step in 0..1_000 {
            assert!(pacer.admits(start + ms(step * 10)), "{step}");
            pacer.charge(1_100);
        }
    }

    #[test]
    fn a_burst_leaves_at_the_rate_and_in_order_of_class() {
        let start = Instant::now();
        let mut pacer = Pacer::default();
        pacer.set_rate(1_000_000, start);
        let mut direct = 0;
        while pacer.admits(start) {
            pacer.charge(1_000);
            direct += 1;
        }
        assert_eq!(direct, 3);
        for sequence in 0..30 {
            assert!(push(&mut pacer, Class::Video, sequence));
        }
        assert!(push(&mut pacer, Class::Retransmission, 100));
        assert_eq!(pacer.delay(), ms(248));
        let (mut now, mut order) = (start, Vec::new());
        while let Some(at) = pacer.next_timeout(now) {
            now = at.max(now + Duration::from_micros(1));
            while let Some(queued) = pacer.pop(now) {
                assert_eq!(queued.bytes[..1_000], [queued.sequence.0 as u8; 1_000]);
                assert_eq!(queued.bytes.len(), 1_000 + MAX_OVERHEAD);
                order.push(queued.sequence.0);
                pacer.charge(1_000);
                pacer.recycle(queued.bytes);
            }
        }
        let expected: Vec<u16> = std::iter::once(100).chain(0..30).collect();
        assert_eq!(order, expected);
        let took = now - start;
        assert!(took >= ms(236) && took <= ms(260), "{took:?}");
    }

    #[test]
    fn the_queue_is_bounded_in_time_and_packets() {
        let start = Instant::now();
        let mut pacer = Pacer::default();
        pacer.set_rate(1_000_000, start);
        let fitting = (0..1_000).filter(|seq| push(&mut pacer, Class::Video, *seq)).count();
        assert!((62..=64).contains(&fitting), "{fitting}");
        // A keyframe has room although it takes longer.
        let mut slow = Pacer::default();
        slow.set_rate(100_000, start);
        let fitting = (0..1_000).filter(|seq| push(&mut slow, Class::Video, *seq)).count();
        assert_eq!(fitting, KEYFRAME_BYTES.div_ceil(1_000));
        pacer.set_rate(1_000_000_000, start);
        let fitting = (0..1_000).filter(|seq| push(&mut pacer, Class::Video, *seq)).count();
        assert!(fitting < MAX_PACKETS);
        assert!(pacer.memory_bytes() < 2 * MAX_PACKETS * 1_100);
        assert!(pacer.may_ask_for_keyframe(start));
        assert!(!pacer.may_ask_for_keyframe(start + ms(1_999)));
        assert!(pacer.may_ask_for_keyframe(start + ms(2_000)));
    }

    #[test]
    fn stripping_leaves_headers_of_one_subscription() {
        let start = Instant::now();
        let mut pacer = Pacer::default();
        pacer.set_rate(100_000, start);
        let mut slab = Slab::default();
        let [ours, other] = [slab.insert(()), slab.insert(())];
        for sequence in 0..6 {
            let consumer = if sequence % 3 == 0 { other } else { ours };
            let packet = Queued { consumer, ..queued(Class::Video, sequence, 1_000) };
            assert!(pacer.push(packet, &[0xff; 1_000]));
        }
        assert!(pacer.is_long());
        pacer.strip(ours);
        assert_eq!(pacer.delay(), Duration::from_secs_f64((2_000 + 4 * 12) as f64 * 8.0 / 1e5));
        let end = start + Duration::from_secs(10);
        pacer.set_rate(0, end);
        for (sequence, queued) in std::iter::from_fn(|| pacer.pop(end)).enumerate() {
            let (len, marker) = if sequence % 3 == 0 { (1_000, 0xff) } else { (12, 0x7f) };
            assert_eq!((queued.lens, queued.payload_len), ((12, len), len - 12), "{sequence}");
            assert_eq!((queued.bytes.len(), queued.bytes[1]), (len + MAX_OVERHEAD, marker));
        }
        assert!(pacer.is_empty());
    }

    #[test]
    fn relief_is_told_once_after_a_long_queue() {
        let start = Instant::now();
        let mut pacer = Pacer::default();
        pacer.set_rate(100_000, start);
        assert!(push(&mut pacer, Class::Video, 0));
        assert!(!pacer.is_long() && !pacer.take_relief());
        assert!(push(&mut pacer, Class::Video, 1) && push(&mut pacer, Class::Video, 2));
        assert!(pacer.is_long() && !pacer.take_relief());
        pacer.set_rate(0, start);
        while pacer.pop(start).is_some() {}
        assert!(pacer.take_relief());
        assert!(!pacer.take_relief());
    }

    #[test]
    fn retransmissions_get_what_media_leave_and_a_fifth_in_any_case() {
        let table = [(0, 1_000_000), (700_000, 300_000), (2_000_000, 200_000)];
        for ((media_bps, expected_bps), rate_bps) in
            table.into_iter().flat_map(|row| [(row, 2_500_000), (row, 0)])
        {
            let start = Instant::now();
            let mut pacer = Pacer::default();
            pacer.set_rate(rate_bps, start);
            pacer.set_budget(Some(1_000_000));
            let mut resent = 0;
            for step in 0..10_000 {
                let now = start + ms(step);
                pacer.charge(media_bps / 8_000);
                if pacer.may_resend(now) {
                    pacer.note_resent(1_000, now);
                    pacer.charge(1_000);
                    resent += 800;
                }
            }
            let share = f64::from(resent) / f64::from(expected_bps);
            assert!((0.9..1.15).contains(&share), "{media_bps} {rate_bps}: {resent}");
        }
        assert!(Pacer::default().may_resend(Instant::now()));
    }

    #[test]
    fn turning_pacing_off_frees_what_waits() {
        let start = Instant::now();
        let mut pacer = Pacer::default();
        pacer.set_rate(100_000, start);
        for sequence in 0..5 {
            push(&mut pacer, Class::Video, sequence);
        }
        pacer.set_rate(0, start);
        assert!(!pacer.admits(start), "order is kept");
        assert_eq!(std::iter::from_fn(|| pacer.pop(start)).count(), 5);
        assert!(pacer.admits(start));
    }

    #[test]
    fn clearing_tells_what_waited() {
        let start = Instant::now();
        let mut pacer = Pacer::default();
        pacer.set_rate(100_000, start);
        for (sequence, class) in
            [Class::Video, Class::Retransmission, Class::Video].into_iter().enumerate()
        {
            assert!(push(&mut pacer, class, sequence as u16));
        }
        assert_eq!((pacer.len(), pacer.clear()), (3, 3));
        assert!(pacer.is_empty() && pacer.pop(start + ms(900)).is_none());
        assert_eq!((pacer.clear(), pacer.memory_bytes()), (0, 0));
    }

    #[test]
    fn stamps_are_written_where_they_belong() {
        let mut packet = [0; 30];
        let stamps = Stamps { number_at: 17, time_at: 20 };
        stamps.write(&mut packet, Some(SeqNo(0x1234)), Duration::from_secs(1));
        assert_eq!(packet[17..19], [0x12, 0x34]);
        assert_eq!(packet[20..23], [0x04, 0, 0]);
        let before = packet;
        Stamps::default().write(&mut packet, Some(SeqNo(7)), Duration::from_secs(9));
        Stamps { number_at: 29, time_at: 28 }.write(&mut packet, Some(SeqNo(7)), ms(5));
        assert_eq!(packet, before);
    }
}
