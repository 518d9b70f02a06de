//! The media thread's end: blocks that are filled and handed over.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use media_capture::clock::MonotonicAnchor;
use media_core::tap::{TapId, TapSink, Tapped};

use super::{Block, RECORD_HEAD, RECORD_VERSION, Ring, TAP_BLOCK, TapDrop};

/// A block is handed over at the latest when its first record is so old.
const HAND_OVER_AFTER: Duration = Duration::from_millis(20);

/// Takes packets from the plane. A packet costs one copy and no system call; a block that is handed
/// over costs one where the writer sleeps.
pub struct TapIntake {
    ring: Arc<Ring>,
    anchor: MonotonicAnchor,
    block: Vec<u8>,
    packets: u64,
    due: Option<Instant>,
    /// Taps of which older packets were dropped, and whose decoders do not know yet.
    lost: HashSet<TapId>,
}

impl TapIntake {
    pub(super) fn new(ring: Arc<Ring>, anchor: MonotonicAnchor) -> TapIntake {
        let block = ring.empty.pop().unwrap_or_else(|| Vec::with_capacity(TAP_BLOCK));
        TapIntake { ring, anchor, block, packets: 0, due: None, lost: HashSet::new() }
    }

    /// Hands the block over and takes an empty one, or the oldest of those that wait.
    fn turn_over(&mut self) {
        self.due = None;
        if self.packets == 0 {
            return;
        }
        let next = match self.ring.empty.pop() {
            Some(block) => block,
            None => self.take_oldest(),
        };
        let block = Block {
            bytes: std::mem::replace(&mut self.block, next),
            packets: std::mem::take(&mut self.packets),
        };
        if let Some(oldest) = self.ring.full.force_push(block) {
            let freed = self.forget(oldest);
            let _ = self.ring.empty.push(freed);
        }
        if let Some(writer) = self.ring.writer.get() {
            writer.unpark();
        }
    }

    #[cold]
    fn take_oldest(&mut self) -> Vec<u8> {
        match self.ring.full.pop() {
            Some(oldest) => self.forget(oldest),
            None => Vec::with_capacity(TAP_BLOCK),
        }
    }

    fn forget(&mut self, block: Block) -> Vec<u8> {
        let mut rest = &block.bytes[..];
        while let Some((head, after)) = rest.split_first_chunk::<RECORD_HEAD>() {
            let len = usize::from(u16::from_le_bytes([head[0], head[1]]));
            if let Some(tap) = head[16..24].first_chunk() {
                self.lost.insert(TapId::from_le_bytes(*tap));
            }
            rest = after.get(len..).unwrap_or_default();
        }
        self.ring.drop_block(block, TapDrop::RingFull)
    }
}

impl TapSink for TapIntake {
    fn packet(&mut self, at: Instant, packet: &Tapped<'_>) -> bool {
        let len = packet.head.len() + packet.payload.len();
        if self.block.len() + RECORD_HEAD + len > TAP_BLOCK {
            self.turn_over();
        }
        let Ok(short) = u16::try_from(len) else { return false };
        let at_us = self.anchor.ns(at).saturating_sub(packet.zero_ns) / 1_000;
        let mut head = [0; RECORD_HEAD];
        head[..2].copy_from_slice(&short.to_le_bytes());
        head[2] = RECORD_VERSION;
        head[3] = packet.codec as u8;
        head[4] = packet.encoding;
        head[5] = packet.rotation.unwrap_or(u8::MAX);
        head[8..12].copy_from_slice(&packet.instance.to_le_bytes());
        head[16..24].copy_from_slice(&packet.tap.to_le_bytes());
        head[24..32].copy_from_slice(&packet.ext_seq.to_le_bytes());
        head[32..40].copy_from_slice(&at_us.to_le_bytes());
        self.block.extend_from_slice(&head);
        self.block.extend_from_slice(packet.head);
        self.block.extend_from_slice(packet.payload);
        self.packets += 1;
        self.ring.packets.fetch_add(1, Ordering::Relaxed);
        if self.due.is_none() {
            self.due = Some(at + HAND_OVER_AFTER);
        }
        !self.lost.is_empty() && self.lost.remove(&packet.tap)
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.turn_over();
        }
    }
}

impl Drop for TapIntake {
    /// The writer finds itself alone and ends.
    fn drop(&mut self) {
        self.turn_over();
        self.ring.is_over.store(true, Ordering::Release);
        if let Some(writer) = self.ring.writer.get() {
            writer.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use media_core::api::Codec;

    use super::*;

    const PACKET: Tapped<'static> = Tapped {
        tap: 3,
        zero_ns: 1_000_000,
        codec: Codec::Vp8,
        encoding: 1,
        instance: 2,
        ext_seq: 65_540,
        rotation: Some(3),
        head: &[0x80; 1_000],
        payload: &[7; 24],
    };

    fn intake(blocks: usize) -> (TapIntake, Arc<Ring>, Instant) {
        let now = Instant::now();
        let ring = Ring::new(blocks);
        (TapIntake::new(Arc::clone(&ring), MonotonicAnchor::new(now, 3_000_000)), ring, now)
    }

    #[test]
    fn a_record_has_the_documented_form() {
        let (mut intake, ring, now) = intake(2);
        assert!(!intake.packet(now, &PACKET));
        let absent = Tapped { head: &[], payload: &[], rotation: None, ..PACKET };
        intake.packet(now, &absent);
        assert_eq!(intake.next_timeout(), Some(now + HAND_OVER_AFTER));
        intake.handle_timeout(now + HAND_OVER_AFTER);
        assert_eq!(intake.next_timeout(), None);
        let block = ring.full.pop().unwrap();
        assert_eq!((block.packets, block.bytes.len()), (2, 2 * RECORD_HEAD + 1_024));
        let head = &block.bytes[..RECORD_HEAD];
        assert_eq!(head[..8], [0, 4, 1, 1, 1, 3, 0, 0]);
        assert_eq!(head[8..16], [2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(head[16..24], 3_u64.to_le_bytes());
        assert_eq!(head[24..32], 65_540_u64.to_le_bytes());
        assert_eq!(head[32..40], 2_000_u64.to_le_bytes());
        assert_eq!(block.bytes[RECORD_HEAD..][..1_000], [0x80; 1_000]);
        assert_eq!(block.bytes[RECORD_HEAD + 1_024..][..6], [0, 0, 1, 1, 1, 255]);
    }

    #[test]
    fn the_oldest_is_dropped_counted_and_told_once() {
        let (mut intake, ring, now) = intake(3);
        let per_block = TAP_BLOCK / (RECORD_HEAD + 1_024);
        let mut told = 0;
        for number in 0..10 * per_block as u64 {
            let packet = Tapped { ext_seq: number, ..PACKET };
            told += u32::from(intake.packet(now, &packet));
        }
        assert!(told > 0);
        intake.handle_timeout(now + HAND_OVER_AFTER);
        let stats = ring.stats();
        let dropped = stats.dropped[TapDrop::RingFull as usize];
        assert_eq!(stats.packets, 10 * per_block as u64);
        assert_eq!(dropped + stats.waiting, stats.packets);
        assert!(stats.waiting <= 3 * per_block as u64);
        // The newest are there.
        let mut newest = Vec::new();
        while let Some(block) = ring.full.pop() {
            newest = block.bytes[block.bytes.len() - RECORD_HEAD - 1_024..][24..32].to_vec();
        }
        assert_eq!(newest, (stats.packets - 1).to_le_bytes());
        let other = Tapped { tap: 4, ..PACKET };
        assert!(!intake.packet(now, &other), "nothing of this tap was dropped");
    }

    #[test]
    fn a_packet_no_datagram_can_hold_is_ignored() {
        let (mut intake, ring, now) = intake(2);
        let huge = vec![0; 70_000];
        assert!(!intake.packet(now, &Tapped { payload: &huge, ..PACKET }));
        assert_eq!(ring.stats().packets, 0);
    }
}
