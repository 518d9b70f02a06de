//! Sequence numbers of a track's streams: what is missing, and since when.

use std::collections::VecDeque;

use crate::event::{Cause, Gap};
use crate::pcapng::MAX_STREAMS;

/// Runs of missing packets of one stream that may still be filled.
pub const MAX_HOLES: usize = 1_024;
/// What is missing for so long does not come any more: the plane asks for 4 s, and answers to the last
/// request take a way there and back over a bad network.
pub(crate) const FINAL_AFTER_US: u64 = 6_000_000;
/// Runs of missing packets less apart are one gap.
const MERGE_US: u64 = 500_000;
/// Streams remembered at a time; encodings times the lives of late packets.
const REMEMBERED: usize = 32;

/// Missing packets in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hole {
    first: u64,
    last: u64,
    from_us: u64,
    to_us: u64,
}

impl Hole {
    fn packets(&self) -> u64 {
        self.last - self.first + 1
    }
}

#[derive(Debug)]
struct Stream {
    generation: u32,
    key: (u8, u32),
    number: u16,
    newest: Option<u64>,
    newest_us: u64,
    /// What is missing before the next new packet is known already.
    is_skipping: bool,
    /// Sorted by sequence number.
    holes: VecDeque<Hole>,
    /// Pushed out by newer ones.
    final_holes: Vec<Hole>,
}

impl Stream {
    fn on_packet(&mut self, ext_seq: u64, at_us: u64) {
        match self.newest {
            Some(newest) if ext_seq <= newest => return self.fill(ext_seq),
            Some(newest) if ext_seq > newest + 1 && !self.is_skipping => {
                let hole = Hole {
                    first: newest + 1,
                    last: ext_seq - 1,
                    from_us: self.newest_us,
                    to_us: at_us.max(self.newest_us),
                };
                self.holes.push_back(hole);
            }
            _ => {}
        }
        while self.holes.len() > MAX_HOLES {
            self.final_holes.extend(self.holes.pop_front());
        }
        self.newest = Some(ext_seq);
        self.is_skipping = false;
        self.newest_us = at_us;
    }

    fn fill(&mut self, ext_seq: u64) {
        let at = self.holes.partition_point(|hole| hole.last < ext_seq);
        let Some(hole) = self.holes.get_mut(at).filter(|hole| hole.first <= ext_seq) else {
            return;
        };
        match (hole.first == ext_seq, hole.last == ext_seq) {
            (true, true) => drop(self.holes.remove(at)),
            (true, false) => hole.first += 1,
            (false, true) => hole.last -= 1,
            (false, false) => {
                let rest = Hole { first: ext_seq + 1, ..*hole };
                hole.last = ext_seq - 1;
                self.holes.insert(at + 1, rest);
            }
        }
    }

    /// What is final at `now_us`, runs close to each other together.
    fn take_gaps(&mut self, now_us: u64, gaps: &mut Vec<Gap>) {
        let late = |hole: &Hole| now_us >= hole.to_us.saturating_add(FINAL_AFTER_US);
        let due = match now_us {
            u64::MAX => self.holes.len(),
            _ => self.holes.partition_point(late),
        };
        let holes = self.final_holes.drain(..).chain(self.holes.drain(..due));
        let start = gaps.len();
        for hole in holes {
            match gaps[start..].last_mut() {
                Some(gap) if hole.from_us <= gap.to_us.saturating_add(MERGE_US) => {
                    gap.to_us = gap.to_us.max(hole.to_us);
                    gap.packets = gap.packets.map(|packets| packets + hole.packets());
                }
                _ => gaps.push(Gap {
                    from_us: hole.from_us,
                    to_us: hole.to_us,
                    cause: Cause::Network,
                    packets: Some(hole.packets()),
                    encoding: Some(self.key.0),
                }),
            }
        }
    }
}

/// All streams a track had of late.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    streams: Vec<Stream>,
    generation: u32,
    count: u16,
    /// Gaps of streams that are forgotten.
    left: Vec<Gap>,
}

impl Streams {
    /// Another producer brings the track: its streams are others.
    pub(crate) fn begin(&mut self) {
        self.generation += 1;
    }

    /// The next packets may follow on whatever: what is missing in between is known already.
    pub(crate) fn skip(&mut self) {
        for stream in &mut self.streams {
            stream.is_skipping = true;
        }
    }

    /// Takes a packet of the stream that an encoding (index, instance) is now. Returns the
    /// stream's number in the file.
    pub(crate) fn on_packet(&mut self, key: (u8, u32), ext_seq: u64, at_us: u64) -> u16 {
        let position = self.position(key).unwrap_or_else(|| self.add(key));
        let stream = &mut self.streams[position];
        stream.on_packet(ext_seq, at_us);
        stream.number
    }

    /// Takes a number nothing is recorded of.
    pub(crate) fn on_empty(&mut self, key: (u8, u32), ext_seq: u64, at_us: u64) {
        if let Some(position) = self.position(key) {
            self.streams[position].on_packet(ext_seq, at_us);
        }
    }

    /// The number of a stream.
    pub(crate) fn find(&self, key: (u8, u32)) -> Option<u16> {
        self.position(key).map(|position| self.streams[position].number)
    }

    /// What is final at `now_us`; everything, at the end of time.
    pub(crate) fn take_gaps(&mut self, now_us: u64) -> Vec<Gap> {
        let mut gaps = std::mem::take(&mut self.left);
        for stream in &mut self.streams {
            stream.take_gaps(now_us, &mut gaps);
        }
        gaps
    }

    fn position(&self, key: (u8, u32)) -> Option<usize> {
        let is_it = |stream: &Stream| stream.generation == self.generation && stream.key == key;
        self.streams.iter().rposition(is_it)
    }

    fn add(&mut self, key: (u8, u32)) -> usize {
        if self.streams.len() == REMEMBERED {
            let mut oldest = self.streams.remove(0);
            oldest.take_gaps(u64::MAX, &mut self.left);
        }
        let number = self.count;
        self.count = (self.count + 1) % MAX_STREAMS;
        self.streams.push(Stream {
            generation: self.generation,
            key,
            number,
            newest: None,
            newest_us: 0,
            is_skipping: false,
            holes: VecDeque::new(),
            final_holes: Vec::new(),
        });
        self.streams.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (u8, u32) = (1, 0);

    fn missing(streams: &mut Streams, now_us: u64) -> Vec<(u64, u64, u64)> {
        let gaps = streams.take_gaps(now_us);
        gaps.iter().map(|gap| (gap.from_us, gap.to_us, gap.packets.unwrap())).collect()
    }

    #[test]
    fn a_hole_is_final_when_nobody_asks_for_it_any_more() {
        let mut streams = Streams::default();
        streams.on_packet(KEY, 10, 1_000);
        streams.on_packet(KEY, 14, 5_000);
        assert_eq!(missing(&mut streams, 5_000 + FINAL_AFTER_US - 1), []);
        assert_eq!(missing(&mut streams, 5_000 + FINAL_AFTER_US), [(1_000, 5_000, 3)]);
        assert_eq!(missing(&mut streams, u64::MAX), []);
    }

    #[test]
    fn holes_are_filled_from_either_end_and_from_the_middle() {
        for (late, left) in [
            (&[11][..], &[(1, 2, 4)][..]),
            (&[15], &[(1, 2, 4)]),
            (&[13], &[(1, 2, 4)]),
            (&[13, 11, 15, 12, 14], &[]),
            (&[9, 10, 16, 40], &[(1, 3, 28)]),
        ] {
            let mut streams = Streams::default();
            streams.on_packet(KEY, 10, 1);
            streams.on_packet(KEY, 16, 2);
            for number in late {
                streams.on_packet(KEY, *number, 3);
            }
            assert_eq!(missing(&mut streams, u64::MAX), left, "{late:?}");
        }
    }

    #[test]
    fn holes_apart_are_gaps_of_their_own() {
        let mut streams = Streams::default();
        for (number, at_us) in [(1, 0), (3, 10), (5, 20), (7, 600_021)] {
            streams.on_packet(KEY, number, at_us);
        }
        streams.on_packet(KEY, 8, 1_200_000);
        streams.on_packet(KEY, 10, 1_800_000);
        assert_eq!(missing(&mut streams, u64::MAX), [(0, 600_021, 3), (1_200_000, 1_800_000, 1)]);
    }

    #[test]
    fn more_holes_than_are_kept_are_final_at_once() {
        let mut streams = Streams::default();
        for index in 0..MAX_HOLES as u64 + 3 {
            streams.on_packet(KEY, 2 * index, 0);
        }
        assert_eq!(missing(&mut streams, 0), [(0, 0, 2)]);
        assert_eq!(missing(&mut streams, u64::MAX), [(0, 0, MAX_HOLES as u64)]);
    }

    #[test]
    fn another_producer_or_instance_is_another_stream() {
        let mut streams = Streams::default();
        let numbers = [
            streams.on_packet((0, 0), 100, 0),
            streams.on_packet((1, 0), 5_000, 0),
            streams.on_packet((0, 1), 7, 0),
        ];
        streams.begin();
        assert_eq!(streams.find((0, 0)), None);
        assert_eq!(
            [numbers[0], numbers[1], numbers[2], streams.on_packet((0, 0), 9, 0)],
            [0, 1, 2, 3]
        );
        for instance in 0..2 * REMEMBERED as u32 {
            streams.on_packet((0, instance), 1, 0);
            streams.on_packet((0, instance), 3, 0);
        }
        // The first of them has had higher numbers.
        assert_eq!(missing(&mut streams, u64::MAX).len(), 2 * REMEMBERED - 1);
    }

    #[test]
    fn what_was_skipped_is_not_missing() {
        let mut streams = Streams::default();
        streams.on_packet(KEY, 1, 0);
        streams.on_packet(KEY, 4, 0);
        streams.skip();
        // One from before is late.
        streams.on_packet(KEY, 2, 0);
        streams.on_packet(KEY, 3, 0);
        streams.on_packet(KEY, 1_000, 1);
        streams.on_packet(KEY, 1_002, 2);
        assert_eq!(missing(&mut streams, u64::MAX), [(1, 2, 1)]);
    }
}
