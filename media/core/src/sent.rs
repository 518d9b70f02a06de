//! Protected packets as they were sent, to send them again where there is no RTX.
//!
//! The bytes are kept, not the content: with AES-GCM a packet index must never protect
//! anything but the very same bytes again (RFC 7714, section 8.1).

use crate::api::MediaKind;
use crate::rtp::SeqNo;

const AUDIO_PACKETS: usize = 64;
const VIDEO_PACKETS: usize = 512;
/// Larger packets are not kept.
const MAX_PACKET: usize = 1_500;

#[derive(Debug, Clone, Default)]
struct Slot {
    sequence: SeqNo,
    bytes: Vec<u8>,
}

/// The newest packets of one stream, found by sequence number. The oldest make room.
#[derive(Debug)]
pub(crate) struct SentPackets {
    slots: Vec<Slot>,
}

impl SentPackets {
    /// 64 packets of audio (above one second) or 512 of video.
    pub(crate) fn new(kind: MediaKind) -> SentPackets {
        let packets = match kind {
            MediaKind::Audio => AUDIO_PACKETS,
            MediaKind::Video => VIDEO_PACKETS,
        };
        SentPackets { slots: vec![Slot::default(); packets] }
    }

    /// Keeps a packet. Allocates only until a slot has grown to the size of its packets.
    pub(crate) fn insert(&mut self, sequence: SeqNo, packet: &[u8]) {
        let slot = self.slot(sequence);
        let slot = &mut self.slots[slot];
        slot.bytes.clear();
        if packet.len() <= MAX_PACKET {
            slot.sequence = sequence;
            slot.bytes.extend_from_slice(packet);
        }
    }

    /// The packet, if it is still kept.
    pub(crate) fn get(&self, sequence: SeqNo) -> Option<&[u8]> {
        let slot = &self.slots[self.slot(sequence)];
        (slot.sequence == sequence && !slot.bytes.is_empty()).then_some(&slot.bytes)
    }

    fn slot(&self, sequence: SeqNo) -> usize {
        usize::from(sequence.0) % self.slots.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let packets: usize = self.slots.iter().map(|slot| slot.bytes.capacity()).sum();
        self.slots.len() * size_of::<Slot>() + packets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_packets_across_the_wrap() {
        for start in [0, 1, 32_767, 32_768, 65_534, 65_535_u16] {
            let mut sent = SentPackets::new(MediaKind::Audio);
            for step in 0..200_u16 {
                sent.insert(SeqNo(start).add(step), &[step as u8; 20]);
            }
            for step in 0..200_u16 {
                let expected = (step >= 200 - AUDIO_PACKETS as u16).then(|| vec![step as u8; 20]);
                assert_eq!(sent.get(SeqNo(start).add(step)), expected.as_deref(), "{start} {step}");
            }
        }
    }

    #[test]
    fn memory_does_not_grow_once_slots_are_filled() {
        let mut sent = SentPackets::new(MediaKind::Video);
        for sequence in 0..1_000_u16 {
            sent.insert(SeqNo(sequence), &[1; 1_200]);
        }
        let full = sent.memory_bytes();
        for sequence in 1_000..20_000_u16 {
            sent.insert(SeqNo(sequence), &[1; 1_200]);
        }
        assert_eq!(sent.memory_bytes(), full);
        sent.insert(SeqNo(20_000), &[1; MAX_PACKET + 1]);
        assert_eq!(sent.get(SeqNo(20_000)), None);
    }
}
