//! What was sent under which transport-wide number, and what became of it.

use media_prefetch::prefetch;

use crate::rtp::SeqNo;

/// Packets remembered at most; 16 bytes each.
const MAX_PACKETS: usize = 4_096;
const FIRST_PACKETS: usize = 64;
/// The ring grows only to keep packets this long.
const MAX_AGE_US: i64 = 6_000_000;

/// What is known about a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Fate {
    /// No feedback has covered it.
    #[default]
    Unknown,
    /// Feedback about later packets came, none about it: that feedback was lost.
    Skipped,
    Lost,
    Delivered,
}

/// One sent packet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SentPacket {
    pub(super) sent_us: i64,
    /// Bytes of UDP payload.
    pub(super) size: u16,
    /// Probe cluster it belongs to; zero: none.
    pub(super) probe: u16,
    pub(super) fate: Fate,
    /// It was sent more than once under the same number, so its arrival says nothing.
    pub(super) is_repeated: bool,
}

/// Ring of sent packets by transport-wide number.
///
/// At most 64 KiB, and as much as six seconds of the stream need; empty until the first packet.
#[derive(Debug, Clone, Default)]
pub(super) struct SentHistory {
    slots: Vec<SentPacket>,
    /// Number of the first packet ever recorded.
    first: u64,
    /// One past the newest, extended.
    next: u64,
}

impl SentHistory {
    /// Starts with the number `first`.
    pub(super) fn new(first: SeqNo) -> SentHistory {
        let first = (1 << 16) + u64::from(first.0);
        SentHistory { slots: Vec::new(), first, next: first }
    }

    /// The number the next packet has to carry.
    pub(super) fn next_number(&self) -> SeqNo {
        SeqNo(self.next as u16)
    }

    /// One past the newest number, extended.
    pub(super) fn end(&self) -> u64 {
        self.next
    }

    /// Remembers a packet that was sent under [`SentHistory::next_number`].
    #[inline]
    pub(super) fn record(&mut self, sent_us: i64, size: usize, probe: u16) {
        self.make_room(sent_us);
        let slot = self.slot(self.next);
        let size = size.min(usize::from(u16::MAX)) as u16;
        self.slots[slot] =
            SentPacket { sent_us, size, probe, fate: Fate::Unknown, is_repeated: false };
        self.next += 1;
    }

    #[inline]
    fn make_room(&mut self, now_us: i64) {
        let len = self.slots.len();
        if self.next - self.first < len as u64 || len >= MAX_PACKETS {
            return;
        }
        let oldest = len.checked_sub(1).map(|_| self.slots[self.slot(self.next)]);
        if oldest.is_none_or(|oldest| now_us - oldest.sent_us < MAX_AGE_US) {
            self.grow();
        }
    }

    #[cold]
    fn grow(&mut self) {
        let len = (self.slots.len() * 2).max(FIRST_PACKETS);
        let oldest = self.next - (self.slots.len() as u64).min(self.next - self.first);
        let mut slots = vec![SentPacket::default(); len];
        for number in oldest..self.next {
            slots[number as usize & (len - 1)] = self.slots[self.slot(number)];
        }
        // What the smaller ring had overwritten must not seem to be there.
        self.first = oldest;
        self.slots = slots;
    }

    fn slot(&self, number: u64) -> usize {
        number as usize & (self.slots.len().max(1) - 1)
    }

    /// The extended number the remote side means, if such a packet was sent and is remembered.
    pub(super) fn find(&self, number: SeqNo) -> Option<u64> {
        let newest = self.next.checked_sub(1)?;
        let extended = newest.checked_add_signed(i64::from(number.diff(SeqNo(newest as u16))))?;
        self.get(extended).map(|_| extended)
    }

    /// A remembered packet.
    pub(super) fn get(&self, number: u64) -> Option<&SentPacket> {
        let is_held = number < self.next
            && number >= self.first
            && self.next - number <= self.slots.len() as u64;
        is_held.then(|| &self.slots[self.slot(number)])
    }

    /// A remembered packet.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut SentPacket> {
        self.get(number)?;
        let slot = self.slot(number);
        self.slots.get_mut(slot)
    }

    /// Has fetched where the next packets will be recorded.
    #[inline]
    pub(super) fn prefetch(&self) {
        for number in [self.next, self.next + 5] {
            self.slots.get(self.slot(number)).inspect(|slot| prefetch(*slot));
        }
    }

    /// Has fetched the first packets from `number` on.
    #[inline]
    pub(super) fn prefetch_from(&self, number: u64) {
        // Four to a line.
        for number in (number..self.next).step_by(4).take(12) {
            self.slots.get(self.slot(number)).inspect(|slot| prefetch(*slot));
        }
    }

    /// Bytes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<SentPacket>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTS: [u16; 6] = [0, 1, 32_767, 32_768, 65_534, 65_535];

    #[test]
    fn packets_are_found_by_number_across_the_wrap() {
        for start in STARTS {
            let mut history = SentHistory::new(SeqNo(start));
            for step in 0..100_000_u32 {
                let number = history.next_number();
                assert_eq!(number, SeqNo(start).add(step as u16));
                history.record(i64::from(step) * 5_000, step as usize % 1_000 + 1, 0);
                let found = history.find(number).and_then(|at| history.get(at)).unwrap();
                assert_eq!(usize::from(found.size), step as usize % 1_000 + 1);
                let old = step.min(1_000);
                let found = history.find(number.sub(old as u16)).unwrap();
                assert_eq!(history.get(found).unwrap().sent_us, i64::from(step - old) * 5_000);
            }
        }
    }

    #[test]
    fn what_was_never_sent_is_not_found() {
        for start in STARTS {
            let mut history = SentHistory::new(SeqNo(start));
            assert_eq!(history.find(SeqNo(start)), None);
            for step in 0..10 {
                history.record(step, 100, 0);
            }
            for distance in [1, 2, 100, 32_767, 32_768, 40_000] {
                assert_eq!(history.find(SeqNo(start).sub(distance)), None, "{start} {distance}");
                assert_eq!(history.find(SeqNo(start).add(9 + distance)), None);
            }
        }
    }

    #[test]
    fn memory_follows_the_rate_and_is_bounded() {
        let mut slow = SentHistory::new(SeqNo(0));
        for step in 0..10_000 {
            slow.record(step * 20_000, 100, 0);
        }
        assert!(slow.memory_bytes() <= 512 * 16, "{}", slow.memory_bytes());
        let mut fast = SentHistory::new(SeqNo(0));
        for step in 0..1_000_000 {
            fast.record(step * 100, 1_000, 0);
        }
        assert!(fast.memory_bytes() <= 64 * 1_024, "{}", fast.memory_bytes());
        assert!(size_of::<SentPacket>() == 16);
    }
}
