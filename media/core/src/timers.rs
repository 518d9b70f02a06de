//! When something is due: a wheel of short stretches of time, with lazy deletion, so that nothing is
//! ever scanned.
//!
//! Most of what is scheduled is due within a quarter of a second, nearly all within some seconds. A
//! heap of some thousand entries touches a dozen of its cache lines for each one taken out; the
//! wheel touches one, and two where the entry came from the wheel of blocks behind it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Stretches the wheel has: together 268 ms. A power of two.
const SLOTS: u64 = 256;
/// A stretch is so many bits of nanoseconds: 1.05 ms.
const SLOT_BITS: u32 = 20;
const WORDS: usize = SLOTS as usize / 64;
/// A block is so many bits of stretches: 67 ms.
const BLOCK_BITS: u32 = 6;
/// Blocks that are kept behind the wheel of stretches: together 4.3 s. One bit each.
const BLOCKS: u64 = 64;

/// Due times. An item that is scheduled again earlier leaves its later entry behind; the owner
/// recognises it by comparing with its own [`Deadline`].
#[derive(Debug)]
pub(crate) struct Timers<T> {
    /// When the first stretch begins.
    epoch: Instant,
    /// The stretch whose entries are in `near`.
    present: u64,
    /// Entries of the present stretch and of earlier ones, the last first.
    near: Vec<(Instant, T)>,
    /// Entries of the following stretches, by number modulo their count.
    slots: Vec<Vec<(Instant, T)>>,
    /// One bit for each of them that has entries.
    occupied: [u64; WORDS],
    /// The first block whose entries are not in `slots` yet: all before it fit there wholly.
    block: u64,
    /// Entries of that block and those after it, by number modulo their count.
    blocks: Vec<Vec<(Instant, T)>>,
    /// One bit for each of them that has entries.
    filled: u64,
    /// Entries behind those.
    far: BinaryHeap<Reverse<(Instant, T)>>,
    /// The earliest entry.
    next: Option<Instant>,
}

impl<T: Ord + Copy> Timers<T> {
    /// Begins at `epoch`: what is due before that counts into the first stretch, however much it is.
    pub(crate) fn new(epoch: Instant) -> Timers<T> {
        Timers {
            epoch,
            present: 0,
            near: Vec::new(),
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            occupied: [0; WORDS],
            block: SLOTS >> BLOCK_BITS,
            blocks: (0..BLOCKS).map(|_| Vec::new()).collect(),
            filled: 0,
            far: BinaryHeap::new(),
            next: None,
        }
    }

    /// The earliest entry, which may be a leftover.
    #[inline]
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Takes the earliest entry that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, T)> {
        if self.next? > now {
            return None;
        }
        if self.near.is_empty() {
            self.turn();
        }
        let entry = self.near.pop();
        self.next = match self.near.last() {
            Some((at, _)) => Some(*at),
            None => self.first_of_wheel(),
        };
        entry
    }

    /// Makes sure `item` is due at `at` or earlier.
    #[inline]
    pub(crate) fn schedule(&mut self, deadline: &mut Deadline, at: Instant, item: T) {
        if deadline.0.is_none_or(|current| at < current) {
            deadline.0 = Some(at);
            self.insert(at, item);
        }
    }

    fn insert(&mut self, at: Instant, item: T) {
        if self.next.is_none_or(|next| at < next) {
            self.next = Some(at);
        }
        let stretch = self.stretch(at);
        if stretch <= self.present {
            let place = self.near.partition_point(|entry| *entry > (at, item));
            self.near.insert(place, (at, item));
        } else {
            self.put(stretch, (at, item));
        }
    }

    fn stretch(&self, at: Instant) -> u64 {
        let elapsed = at.saturating_duration_since(self.epoch);
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX) >> SLOT_BITS
    }

    /// Puts an entry of a later stretch where it belongs.
    #[inline]
    fn put(&mut self, stretch: u64, entry: (Instant, T)) {
        let block = stretch >> BLOCK_BITS;
        if block < self.block {
            let slot = (stretch % SLOTS) as usize;
            self.slots[slot].push(entry);
            self.occupied[slot / 64] |= 1 << (slot % 64);
        } else if block < self.block + BLOCKS {
            let place = block % BLOCKS;
            self.blocks[place as usize].push(entry);
            self.filled |= 1 << place;
        } else {
            self.far.push(Reverse(entry));
        }
    }

    /// The first stretch after the present one that has entries in the wheel.
    fn first_occupied(&self) -> Option<u64> {
        let from = (self.present + 1) % SLOTS;
        let (word, bit) = (from as usize / 64, from % 64);
        // The first word comes once more, for the bits before.
        for step in 0..=WORDS {
            let index = (word + step) % WORDS;
            let mask = match step {
                0 => u64::MAX << bit,
                WORDS => !(u64::MAX << bit),
                _ => u64::MAX,
            };
            let found = self.occupied[index] & mask;
            if found != 0 {
                let slot = index as u64 * 64 + u64::from(found.trailing_zeros());
                return Some(self.present + 1 + (slot + SLOTS - from) % SLOTS);
            }
        }
        None
    }

    /// The earliest entry that is not in `near`.
    fn first_of_wheel(&self) -> Option<Instant> {
        if let Some(stretch) = self.first_occupied() {
            return first(&self.slots[(stretch % SLOTS) as usize]);
        }
        if self.filled != 0 {
            let from = (self.block % BLOCKS) as u32;
            let place = (from + self.filled.rotate_right(from).trailing_zeros()) % BLOCKS as u32;
            return first(&self.blocks[place as usize]);
        }
        self.far.peek().map(|Reverse((at, _))| *at)
    }

    /// Goes on to the next stretch that has entries.
    fn turn(&mut self) {
        let next = self.first_occupied();
        let Some(stretch) = next.or_else(|| self.first_of_wheel().map(|at| self.stretch(at)))
        else {
            return;
        };
        self.present = stretch;
        let slot = (stretch % SLOTS) as usize;
        std::mem::swap(&mut self.near, &mut self.slots[slot]);
        self.occupied[slot / 64] &= !(1 << (slot % 64));
        self.advance_blocks();
        self.near.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// Takes in the entries of blocks that fit into the wheel of stretches now.
    fn advance_blocks(&mut self) {
        let before = self.block;
        self.block = (self.present + SLOTS) >> BLOCK_BITS;
        if self.block == before {
            return;
        }
        for block in before..self.block.min(before + BLOCKS) {
            let place = block % BLOCKS;
            if self.filled & 1 << place == 0 {
                continue;
            }
            self.filled &= !(1 << place);
            let mut entries = std::mem::take(&mut self.blocks[place as usize]);
            for entry in entries.drain(..) {
                self.take_in(entry);
            }
            // With its memory.
            self.blocks[place as usize] = entries;
        }
        while let Some(Reverse((at, _))) = self.far.peek() {
            if self.stretch(*at) >> BLOCK_BITS >= self.block + BLOCKS {
                break;
            }
            let Some(Reverse(entry)) = self.far.pop() else { break };
            self.take_in(entry);
        }
    }

    /// Puts an entry that came nearer; `near` is sorted afterwards.
    fn take_in(&mut self, entry: (Instant, T)) {
        let stretch = self.stretch(entry.0);
        match stretch > self.present {
            true => self.put(stretch, entry),
            false => self.near.push(entry),
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let kept = self.slots.iter().chain(&self.blocks).map(Vec::len).sum::<usize>();
        self.near.len() + kept + self.far.len()
    }
}

fn first<T>(entries: &[(Instant, T)]) -> Option<Instant> {
    entries.iter().map(|(at, _)| *at).min()
}

/// The entry of [`Timers`] that counts for one item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// Whether an entry popped with time `at` is the one that counts; clears it then.
    pub(crate) fn take(&mut self, at: Instant) -> bool {
        let is_current = self.0 == Some(at);
        if is_current {
            self.0 = None;
        }
        is_current
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::netem::Rng;

    #[test]
    fn rescheduling_earlier_leaves_one_entry_that_counts() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::new(start);
        let mut deadline = Deadline::default();
        timers.schedule(&mut deadline, at(50), 'a');
        timers.schedule(&mut deadline, at(80), 'a');
        timers.schedule(&mut deadline, at(20), 'a');
        assert_eq!(timers.len(), 2);
        assert_eq!(timers.pop_due(at(19)), None);
        let (due, item) = timers.pop_due(at(20)).unwrap();
        assert_eq!((due, item), (at(20), 'a'));
        assert!(deadline.take(due));
        let (due, _) = timers.pop_due(at(100)).unwrap();
        assert!(!deadline.take(due));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn entries_before_the_first_that_was_scheduled_wait_in_the_wheel() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        for step in (1..=300_u32).rev() {
            let at = start + Duration::from_millis(100 * u64::from(step));
            timers.schedule(&mut Deadline::default(), at, step);
        }
        assert!(timers.near.is_empty());
        let due = std::iter::from_fn(|| timers.pop_due(start + Duration::from_secs(60)));
        assert!(due.map(|(_, step)| step).eq(1..=300));
    }

    #[test]
    fn entries_come_in_the_order_of_a_heap() {
        for seed in 0..48 {
            let mut rng = Rng::new(seed);
            let mut now = Instant::now() + Duration::from_secs(10);
            let mut timers = Timers::new(now);
            let mut heap = BinaryHeap::new();
            // From all in one stretch to most behind both wheels.
            let spans_us = [300, 5_000, 200_000, 300_000, 3_000_000, 30_000_000];
            let span_us = spans_us[seed as usize % spans_us.len()];
            for step in 0..3_000_u32 {
                for _ in 0..rng.below(4) {
                    // Some are due already, some before all that was ever due.
                    let early_us = if rng.chance(0.02) { 2_000_000 } else { 500 };
                    let at = now + Duration::from_micros(rng.below(span_us))
                        - Duration::from_micros(rng.below(early_us));
                    timers.schedule(&mut Deadline::default(), at, step);
                    heap.push(Reverse((at, step)));
                }
                assert_eq!(timers.next(), heap.peek().map(|Reverse((at, _))| *at));
                now += Duration::from_micros(rng.below(span_us / 8));
                if rng.chance(0.01) {
                    now += Duration::from_micros(rng.below(10_000_000));
                }
                while heap.peek().is_some_and(|Reverse((at, _))| *at <= now) {
                    let Reverse(expected) = heap.pop().unwrap();
                    assert_eq!(timers.pop_due(now), Some(expected), "seed {seed}, step {step}");
                }
                assert_eq!(timers.pop_due(now), None);
                assert_eq!(timers.len(), heap.len());
            }
        }
    }
}
