//! The media thread's end: blocks of memory that are filled and handed over.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
/// Of a mark, with its content.
const MARK_LEN: usize = HEAD + 24;

/// What both threads share: nobody waits for anybody.
pub(crate) struct Exchange {
    /// Filled blocks.
    pub(crate) full: ArrayQueue<Vec<u8>>,
    /// Blocks to fill.
    pub(crate) empty: ArrayQueue<Vec<u8>>,
    pub(crate) counters: Counters,
    is_over: AtomicBool,
}

impl Exchange {
    pub(crate) fn new(blocks: usize) -> Arc<Exchange> {
        let exchange = Exchange {
            full: ArrayQueue::new(blocks),
            empty: ArrayQueue::new(blocks),
            counters: Counters::default(),
            is_over: AtomicBool::new(false),
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
        self.due = None;
        if let Some(block) = self.block.take() {
            // There is room for all blocks there are.
            let _ = self.exchange.full.push(block);
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
    fn lose(&mut self, at_ns: u64, capture: CaptureId) {
        add_alone(&self.exchange.counters.dropped, 1);
        let lost = self.lost.entry(capture).or_insert(Lost { since_ns: at_ns, packets: 0 });
        lost.packets += 1;
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
            return self.lose(at_ns, packet.capture);
        }
        let Some(block) = &mut self.block else { return };
        record::push_packet(block, at_ns, packet);
        self.note_due(at);
        add_alone(&self.exchange.counters.packets, 1);
        add_alone(&self.exchange.counters.bytes, len as u64);
    }

    fn mark(&mut self, at: Instant, capture: CaptureId, mark: Mark) {
        let at_ns = self.anchor.ns(at);
        // Reports come every second; another will do.
        let is_report = matches!(mark, Mark::Report { .. });
        if !self.catch_up(at_ns) || !self.reserve(MARK_LEN) {
            if !is_report {
                self.waiting.push_back((at_ns, capture, mark));
                self.note_due(at);
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
        if !self.catch_up(self.anchor.ns(now)) {
            self.note_due(now);
        }
    }
}

impl Drop for Intake {
    /// The last records go to the writer, which then finds itself alone and ends.
    fn drop(&mut self) {
        let at_ns = self.anchor.ns(Instant::now());
        self.catch_up(at_ns);
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

    fn kinds(exchange: &Exchange) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(mut block) = exchange.full.pop() {
            found.extend(records(&block).map(|record| match record.kind {
                Kind::Packet { .. } => format!("packet {}", record.capture),
                Kind::Mark(mark) => format!("{mark:?} {}", record.capture),
                Kind::Lost { packets, .. } => format!("lost {packets} of {}", record.capture),
            }));
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
}
