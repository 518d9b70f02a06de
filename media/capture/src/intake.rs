//! The media thread's end: blocks of memory that are filled and handed over.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use media_core::capture::{CaptureId, CaptureSink, Captured, Mark};

use crate::clock::MonotonicAnchor;
use crate::record::{self, HEAD, MAX_CONTENT};
use crate::stats::{Counters, add_alone};

/// Size of a block.
pub(crate) const BLOCK: usize = 64 << 10;
/// A block is handed over at the latest when its first record is so old.
const HAND_OVER_AFTER: Duration = Duration::from_millis(200);
/// Marks that wait for room. More come only when the writer is as good as dead.
const MAX_WAITING: usize = 65_536;
/// Of a mark, with its content.
const MARK_LEN: usize = HEAD + 24;

/// What both threads share: nobody waits for anybody.
pub(crate) struct Exchange {
    /// Filled blocks.
    pub(crate) full: ArrayQueue<Vec<u8>>,
    /// Blocks to fill.
    pub(crate) empty: ArrayQueue<Vec<u8>>,
    /// What had no room when no more came.
    rest: Mutex<Vec<u8>>,
    pub(crate) counters: Counters,
    is_over: AtomicBool,
    /// Nobody takes blocks any more.
    is_dead: AtomicBool,
}

impl Exchange {
    pub(crate) fn new(blocks: usize) -> Arc<Exchange> {
        let exchange = Exchange {
            full: ArrayQueue::new(blocks),
            empty: ArrayQueue::new(blocks),
            rest: Mutex::default(),
            counters: Counters::default(),
            is_over: AtomicBool::new(false),
            is_dead: AtomicBool::new(false),
        };
        for _ in 0..blocks {
            // One byte in each page: the kernel gives memory when it is written to, and that
            // would cost the media thread more than copying packets.
            let mut block = vec![1; BLOCK];
            block.clear();
            let _ = exchange.empty.push(block);
        }
        Arc::new(exchange)
    }

    /// The records after the last block, once it is over.
    pub(crate) fn take_rest(&self) -> Vec<u8> {
        std::mem::take(&mut self.rest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Nobody takes blocks any more: what comes is counted as dropped.
    pub(crate) fn end(&self) {
        self.is_dead.store(true, Ordering::Release);
    }

    /// Whether no more blocks will be filled.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

#[derive(Debug, Clone, Copy)]
struct Lost {
    since_ns: u64,
    packets: u64,
}

/// Takes packets from the plane. A packet costs one copy; nothing is allocated and no system call is
/// made, except while packets are dropped.
pub struct Intake {
    exchange: Arc<Exchange>,
    anchor: MonotonicAnchor,
    block: Option<Vec<u8>>,
    due: Option<Instant>,
    lost: HashMap<CaptureId, Lost>,
    /// Marks that wait for room, oldest first.
    waiting: VecDeque<(u64, CaptureId, Mark)>,
}

impl Intake {
    pub(crate) fn new(exchange: Arc<Exchange>, anchor: MonotonicAnchor) -> Intake {
        Intake {
            block: exchange.empty.pop(),
            exchange,
            anchor,
            due: None,
            lost: HashMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Whether there is room for `len` bytes now, in this block or the next.
    #[inline]
    fn reserve(&mut self, len: usize) -> bool {
        match &self.block {
            Some(block) if block.len() + len <= BLOCK => true,
            _ => self.turn_over(),
        }
    }

    /// Hands the block over and takes an empty one.
    fn turn_over(&mut self) -> bool {
        if let Some(block) = self.block.take() {
            // There is room for all blocks there are.
            let _ = self.exchange.full.push(block);
            self.due = None;
        }
        self.block = self.exchange.empty.pop();
        self.block.is_some()
    }

    /// Puts what waits into blocks. Returns whether nothing waits any more.
    #[inline]
    fn catch_up(&mut self, at_ns: u64) -> bool {
        (self.lost.is_empty() && self.waiting.is_empty()) || self.catch_up_now(at_ns)
    }

    #[cold]
    fn catch_up_now(&mut self, at_ns: u64) -> bool {
        if self.exchange.is_dead.load(Ordering::Acquire) {
            self.lost.clear();
            self.waiting.clear();
            return true;
        }
        while let Some(capture) = self.lost.keys().next().copied() {
            if !self.reserve(MARK_LEN) {
                return false;
            }
            if let Some((lost, block)) = self.lost.remove(&capture).zip(self.block.as_mut()) {
                record::push_lost(block, (lost.since_ns, at_ns), capture, lost.packets);
            }
        }
        while let Some((mark_ns, capture, mark)) = self.waiting.front().copied() {
            if !self.reserve(MARK_LEN) {
                return false;
            }
            self.waiting.pop_front();
            if let Some(block) = &mut self.block {
                record::push_mark(block, mark_ns, capture, mark);
            }
        }
        true
    }

    #[cold]
    fn lose(&mut self, at: Instant, capture: CaptureId, packets: u64) {
        self.note_due(at);
        let at_ns = self.anchor.ns(at);
        add_alone(&self.exchange.counters.dropped, packets);
        let lost = self.lost.entry(capture).or_insert(Lost { since_ns: at_ns, packets: 0 });
        lost.packets += packets;
    }

    #[inline]
    fn note_due(&mut self, at: Instant) {
        if self.due.is_none() {
            self.due = Some(at + HAND_OVER_AFTER);
        }
    }
}

impl CaptureSink for Intake {
    fn packet(&mut self, at: Instant, packet: &Captured<'_>) {
        let at_ns = self.anchor.ns(at);
        let len = packet.head.len() + packet.payload.len();
        if len > MAX_CONTENT || !self.catch_up(at_ns) || !self.reserve(HEAD + len) {
            return self.lose(at, packet.capture, 1);
        }
        let Some(block) = &mut self.block else { return };
        record::push_packet(block, at_ns, packet);
        self.note_due(at);
        add_alone(&self.exchange.counters.packets, 1);
        add_alone(&self.exchange.counters.bytes, len as u64);
    }

    fn mark(&mut self, at: Instant, capture: CaptureId, mark: Mark) {
        let at_ns = self.anchor.ns(at);
        if !self.catch_up(at_ns) || !self.reserve(MARK_LEN) {
            match mark {
                // They come every second; another will do.
                Mark::Report { .. } => {}
                // As if it had come with a packet: what follows is known to follow on a loss.
                Mark::Empty { .. } => self.lose(at, capture, 0),
                _ if self.waiting.len() < MAX_WAITING => {
                    self.waiting.push_back((at_ns, capture, mark));
                    self.note_due(at);
                }
                _ => add_alone(&self.exchange.counters.dropped, 1),
            }
            return;
        }
        if let Some(block) = &mut self.block {
            record::push_mark(block, at_ns, capture, mark);
        }
        self.note_due(at);
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn handle_timeout(&mut self, now: Instant) {
        let is_empty = self.block.as_ref().is_some_and(|block| block.is_empty());
        if !is_empty {
            self.turn_over();
        }
        self.due = None;
        let is_empty = |block: &Vec<u8>| block.is_empty();
        if !self.catch_up(self.anchor.ns(now)) || !self.block.as_ref().is_none_or(is_empty) {
            self.note_due(now);
        }
    }
}

impl Drop for Intake {
    /// The last records go to the writer, which then finds itself alone and ends.
    fn drop(&mut self) {
        let at_ns = self.anchor.ns(Instant::now());
        if !self.catch_up(at_ns) {
            // Marks are never dropped: now memory may be asked for.
            let mut rest = Vec::new();
            for (capture, lost) in self.lost.drain() {
                record::push_lost(&mut rest, (lost.since_ns, at_ns), capture, lost.packets);
            }
            for (mark_ns, capture, mark) in self.waiting.drain(..) {
                record::push_mark(&mut rest, mark_ns, capture, mark);
            }
            *self.exchange.rest.lock().unwrap_or_else(PoisonError::into_inner) = rest;
        }
        if let Some(block) = self.block.take() {
            let _ = self.exchange.full.push(block);
        }
        self.exchange.is_over.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use media_core::capture::How;

    use super::*;
    use crate::record::{Kind, records};

    const AUDIO: Captured<'static> = Captured {
        capture: 1,
        encoding: 0,
        instance: 0,
        ext_seq: 5,
        how: How::Original,
        head: &[0x80; 1_200],
        payload: &[],
    };

    fn words(block: &[u8]) -> impl Iterator<Item = String> {
        records(block).map(|record| match record.kind {
            Kind::Packet { .. } => format!("packet {}", record.capture),
            Kind::Mark(mark) => format!("{mark:?} {}", record.capture),
            Kind::Lost { packets, .. } => format!("lost {packets} of {}", record.capture),
        })
    }

    fn kinds(exchange: &Exchange) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(mut block) = exchange.full.pop() {
            found.extend(words(&block));
            block.clear();
            exchange.empty.push(block).unwrap();
        }
        found
    }

    #[test]
    fn a_full_exchange_drops_and_says_so_in_order() {
        let now = Instant::now();
        let exchange = Exchange::new(2);
        let mut intake = Intake::new(Arc::clone(&exchange), MonotonicAnchor::new(now, 0));
        let fits = 2 * (BLOCK / (HEAD + 1_200));
        for _ in 0..fits + 7 {
            intake.packet(now, &AUDIO);
        }
        intake.packet(now, &Captured { capture: 2, ..AUDIO });
        intake.mark(now, 1, Mark::Close);
        assert_eq!(exchange.counters.stats().packets, fits as u64);
        assert_eq!(exchange.counters.stats().dropped, 8);
        assert_eq!(kinds(&exchange).len(), fits);
        intake.handle_timeout(now + HAND_OVER_AFTER);
        intake.packet(now, &AUDIO);
        intake.handle_timeout(now + HAND_OVER_AFTER);
        let mut found = kinds(&exchange);
        found[..2].sort();
        assert_eq!(found, ["lost 1 of 2", "lost 7 of 1", "Close 1", "packet 1"]);
    }

    #[test]
    fn a_block_is_handed_over_when_it_is_old_and_not_when_it_is_empty() {
        let now = Instant::now();
        let exchange = Exchange::new(4);
        let mut intake = Intake::new(Arc::clone(&exchange), MonotonicAnchor::new(now, 0));
        assert_eq!(intake.next_timeout(), None);
        intake.handle_timeout(now);
        assert!(exchange.full.is_empty());
        intake.packet(now, &AUDIO);
        let due = intake.next_timeout().unwrap();
        assert_eq!(due, now + HAND_OVER_AFTER);
        intake.handle_timeout(due);
        assert_eq!(intake.next_timeout(), None);
        assert_eq!(kinds(&exchange), ["packet 1"]);
    }

    #[test]
    fn what_is_left_is_handed_over_at_the_end() {
        let now = Instant::now();
        let exchange = Exchange::new(4);
        let mut intake = Intake::new(Arc::clone(&exchange), MonotonicAnchor::new(now, 0));
        intake.packet(now, &AUDIO);
        drop(intake);
        assert_eq!(kinds(&exchange), ["packet 1"]);
    }

    #[test]
    fn a_packet_no_datagram_can_hold_is_dropped() {
        let now = Instant::now();
        let exchange = Exchange::new(4);
        let mut intake = Intake::new(Arc::clone(&exchange), MonotonicAnchor::new(now, 0));
        intake.packet(now, &Captured { head: &[0x80; MAX_CONTENT + 1], ..AUDIO });
        assert_eq!(exchange.counters.stats().dropped, 1);
    }

    /// Fills all there is, with seven packets too many.
    fn overfilled(now: Instant) -> (Arc<Exchange>, Intake) {
        let exchange = Exchange::new(2);
        let mut intake = Intake::new(Arc::clone(&exchange), MonotonicAnchor::new(now, 0));
        for _ in 0..2 * (BLOCK / (HEAD + 1_200)) + 7 {
            intake.packet(now, &AUDIO);
        }
        (exchange, intake)
    }

    #[test]
    fn what_waited_is_handed_over_although_nothing_more_comes() {
        let mut now = Instant::now();
        let (exchange, mut intake) = overfilled(now);
        intake.mark(now, 1, Mark::Close);
        kinds(&exchange);
        let mut found = Vec::new();
        for _ in 0..4 {
            now += HAND_OVER_AFTER;
            if intake.next_timeout().is_some_and(|due| due <= now) {
                intake.handle_timeout(now);
            }
            found.extend(kinds(&exchange));
        }
        assert_eq!(found, ["lost 7 of 1", "Close 1"]);
        assert_eq!(intake.next_timeout(), None);
    }

    #[test]
    fn another_packet_without_room_leaves_the_timer_alone() {
        let now = Instant::now();
        let (exchange, mut intake) = overfilled(now);
        intake.mark(now, 1, Mark::Close);
        let due = intake.next_timeout().unwrap();
        intake.packet(due, &Captured { capture: 2, ..AUDIO });
        assert_eq!(intake.next_timeout(), Some(due));
        kinds(&exchange);
        // Losses alone are told in time, too.
        let (exchange, mut intake) = overfilled(now);
        kinds(&exchange);
        intake.handle_timeout(intake.next_timeout().unwrap());
        intake.handle_timeout(intake.next_timeout().unwrap());
        assert_eq!(kinds(&exchange), ["lost 7 of 1"]);
    }

    #[test]
    fn what_found_no_room_until_the_end_is_told_at_the_end() {
        let (exchange, mut intake) = overfilled(Instant::now());
        intake.mark(Instant::now(), 1, Mark::Close);
        drop(intake);
        assert!(exchange.is_over());
        assert!(kinds(&exchange).iter().all(|kind| kind == "packet 1"));
        assert_eq!(words(&exchange.take_rest()).collect::<Vec<_>>(), ["lost 7 of 1", "Close 1"]);
    }

    #[test]
    fn an_empty_number_without_room_is_a_loss_of_no_packets() {
        let now = Instant::now();
        let (exchange, mut intake) = overfilled(now);
        intake.mark(now, 2, Mark::Empty { encoding: 0, instance: 0, ext_seq: 4 });
        kinds(&exchange);
        intake.handle_timeout(now);
        intake.handle_timeout(now);
        let mut found = kinds(&exchange);
        found.sort();
        assert_eq!(found, ["lost 0 of 2", "lost 7 of 1"]);
        assert_eq!(exchange.counters.stats().dropped, 7);
    }
}
