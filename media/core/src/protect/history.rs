//! The last frames of a publisher's audio, plain, to make copies of and to find what is missing.

use std::time::Duration;

use crate::codec::opus;
use crate::protect::{MAX_PAYLOAD, Offsets};
use crate::red::{HEADER_LEN, MAX_BLOCK_LEN, MAX_BLOCKS, MAX_OFFSET, write_red};

/// Frames kept: a power of two. 64 of 20 ms are 1.3 s, more than any copy is away.
const FRAMES: usize = 64;
/// RTP counts Opus at 48 kHz whatever it carries (RFC 7587).
const TICKS_PER_S: u64 = 48_000;
const DEFAULT_FRAME: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Default)]
struct Frame {
    /// Zero: unused.
    ext_seq: u64,
    timestamp: u32,
    /// Empty where the frame is too long to be copied.
    bytes: Vec<u8>,
}

/// Ring of Opus frames by extended sequence number.
///
/// Nothing is allocated once every place has held its largest frame: at most 64 × 1,023 bytes,
/// 8 KiB for speech.
#[derive(Debug, Clone)]
pub struct AudioHistory {
    frames: Vec<Frame>,
    /// Mean length of frames, in sixteenths of a byte.
    mean_len: u32,
    frame: Duration,
}

impl Default for AudioHistory {
    fn default() -> AudioHistory {
        AudioHistory { frames: vec![Frame::default(); FRAMES], mean_len: 0, frame: DEFAULT_FRAME }
    }
}

impl AudioHistory {
    /// Keeps a frame, unless it is older than the one in its place.
    pub fn insert(&mut self, ext_seq: u64, timestamp: u32, bytes: &[u8]) {
        let frame = &mut self.frames[ext_seq as usize % FRAMES];
        if frame.ext_seq > ext_seq {
            return;
        }
        frame.ext_seq = ext_seq;
        frame.timestamp = timestamp;
        frame.bytes.clear();
        if bytes.len() <= MAX_BLOCK_LEN {
            frame.bytes.extend_from_slice(bytes);
        }
        if !opus::is_dtx(bytes) {
            self.mean_len += bytes.len() as u32;
            self.mean_len -= self.mean_len / 16;
            if let Ok(frame) = opus::packet_duration(bytes) {
                self.frame = frame;
            }
        }
    }

    /// Forgets all frames: what comes next is not to be mixed with them.
    pub fn clear(&mut self) {
        self.frames.iter_mut().for_each(|frame| frame.ext_seq = 0);
    }

    /// The timestamp and bytes of a frame that is there.
    pub fn get(&self, ext_seq: u64) -> Option<(u32, &[u8])> {
        self.find(ext_seq).map(|frame| (frame.timestamp, &frame.bytes[..]))
    }

    /// Mean bytes of a frame lately.
    pub fn mean_len(&self) -> usize {
        (self.mean_len / 16) as usize
    }

    /// Length of the last frame that was not silence.
    pub fn frame(&self) -> Duration {
        self.frame
    }

    /// The same in ticks of RTP, never zero.
    pub fn frame_ticks(&self) -> u32 {
        ticks(self.frame)
    }

    /// How many frames ago a frame may be to be within reach of a copy.
    pub fn reach(&self) -> u8 {
        (MAX_OFFSET / self.frame_ticks()).min(u8::MAX.into()) as u8
    }

    /// The number a frame of that time would have had, if it is missing; `newest` is there.
    ///
    /// Between its neighbours in time, counted from the later one: where frames were left out
    /// because nobody spoke, those at the end of the gap are the ones that were sent.
    pub fn place(&self, newest: u64, timestamp: u32, bytes: &[u8]) -> Option<u64> {
        let ticks = ticks(opus::packet_duration(bytes).unwrap_or(self.frame));
        let mut above = None;
        let mut below = None;
        let oldest = newest.saturating_sub(FRAMES as u64 - 1);
        for number in (oldest..=newest).rev() {
            let Some(frame) = self.find(number) else { continue };
            let ahead = frame.timestamp.wrapping_sub(timestamp) as i32;
            match ahead {
                0 => return None,
                1.. => above = Some((number, ahead as u32)),
                _ => {
                    below = Some((number, ahead.unsigned_abs()));
                    break;
                }
            }
        }
        let (above, ahead) = above?;
        let by_above = above.checked_sub(u64::from(ahead / ticks));
        let Some((below, behind)) = below else {
            return by_above.filter(|number| *number >= oldest && *number < above);
        };
        let by_below = below + u64::from(behind / ticks);
        let is_between = |number: &u64| *number > below && *number < above;
        by_above.filter(is_between).or(Some(by_below).filter(is_between))
    }

    /// Writes the payload of packet `ext_seq` with copies of earlier frames into `out`, which is
    /// emptied. Copies are of frames from number `from` on; the farthest are left out where not
    /// all fit. Returns which those are; with none nothing is written.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        (ext_seq, from): (u64, u64),
        (timestamp, primary): (u32, &[u8]),
        offsets: Offsets,
        payload_type: u8,
    ) -> Offsets {
        out.clear();
        let mut written = Offsets::NONE;
        let mut blocks: [(u16, &[u8]); MAX_BLOCKS] = [(0, &[]); MAX_BLOCKS];
        let mut len = 1 + primary.len();
        let mut first = MAX_BLOCKS;
        for offset in offsets.iter() {
            let Some(number) = ext_seq.checked_sub(offset.into()).filter(|n| *n >= from) else {
                break;
            };
            let Some(frame) = self.find(number).filter(|frame| !frame.bytes.is_empty()) else {
                continue;
            };
            let distance = timestamp.wrapping_sub(frame.timestamp);
            if distance == 0 || distance > MAX_OFFSET {
                continue;
            }
            len += HEADER_LEN + frame.bytes.len();
            if len > MAX_PAYLOAD {
                break;
            }
            first -= 1;
            blocks[first] = (distance as u16, &frame.bytes);
            written.insert(offset.into());
        }
        let blocks = &blocks[first..];
        if !blocks.is_empty() {
            write_red(out, payload_type, blocks, primary);
        }
        written
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        let bytes: usize = self.frames.iter().map(|frame| frame.bytes.capacity()).sum();
        self.frames.capacity() * size_of::<Frame>() + bytes
    }

    fn find(&self, ext_seq: u64) -> Option<&Frame> {
        Some(&self.frames[ext_seq as usize % FRAMES])
            .filter(|frame| frame.ext_seq == ext_seq && ext_seq != 0)
    }
}

/// Ticks of RTP in an Opus packet: 120, at least.
fn ticks(frame: Duration) -> u32 {
    (frame.as_micros() as u64 * TICKS_PER_S / 1_000_000).max(1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::red::RedPayload;

    const FRAME: [u8; 60] = [0x78; 60];
    const STARTS: [u64; 5] = [1 << 16, (1 << 16) + 65_535, (1 << 17) - 1, 1 << 17, 1 << 40];

    fn filled(start: u64, numbers: impl IntoIterator<Item = u64>) -> AudioHistory {
        let mut history = AudioHistory::default();
        for number in numbers {
            history.insert(start + number, time(number), &FRAME);
        }
        history
    }

    fn time(number: u64) -> u32 {
        (number as u32).wrapping_mul(960).wrapping_sub(9_600)
    }

    #[test]
    fn missing_frames_find_their_place() {
        for start in STARTS {
            let history = filled(start, (0..10).chain([17]));
            for number in 10..17 {
                let place = history.place(start + 17, time(number), &FRAME);
                assert_eq!(place, Some(start + number));
            }
            for known in [3, 9, 17] {
                assert_eq!(history.place(start + 17, time(known), &FRAME), None);
            }
            assert_eq!(history.place(start + 17, time(18), &FRAME), None, "not yet sent");
        }
    }

    #[test]
    fn frames_from_before_the_first_find_their_place() {
        let history = filled(1 << 16, [20]);
        assert_eq!(history.place((1 << 16) + 20, time(3), &FRAME), Some((1 << 16) + 3));
        let far = time(20).wrapping_sub(100 * 960);
        assert_eq!(history.place((1 << 16) + 20, far, &FRAME), None);
    }

    #[test]
    fn after_silence_frames_belong_to_its_end() {
        // 5 frames sent, 400 ms of silence, then a frame with the two before it lost.
        let mut history = filled(1 << 16, 0..5);
        let after = time(4).wrapping_add(20 * 960);
        let newest = (1 << 16) + 7;
        history.insert(newest, after, &FRAME);
        assert_eq!(history.place(newest, after - 960, &FRAME), Some(newest - 1));
        assert_eq!(history.place(newest, after - 1_920, &FRAME), Some(newest - 2));
        assert_eq!(history.place(newest, time(5), &FRAME), Some((1 << 16) + 5));
        // There is no place where nothing is missing.
        let mut history = filled(1 << 16, 0..5);
        history.insert((1 << 16) + 5, after, &FRAME);
        assert_eq!(history.place((1 << 16) + 5, after - 960, &FRAME), None);
    }

    #[test]
    fn payloads_have_the_copies_asked_for_at_the_right_distance() {
        let history = filled(1 << 16, (0..10).chain(11..30));
        let mut out = Vec::new();
        let number = (1 << 16) + 29;
        let offsets = Offsets::spread(4, 16);
        let written = history.write(&mut out, (number, 0), (time(29), b"new"), offsets, 109);
        assert_eq!(written, offsets);
        let red = RedPayload::parse(&out).unwrap();
        let distances: Vec<u16> = red.redundant().iter().map(|block| block.offset / 960).collect();
        assert_eq!(distances, [16, 12, 8, 4]);
        assert!(red.redundant().iter().all(|b| b.payload_type == 109 && b.bytes(&out) == FRAME));
        assert_eq!(red.primary().bytes(&out), b"new");
        // Number 10 is missing, and what is from before `from` is not for this subscriber.
        let all = Offsets::spread(17, 17);
        let written = history.write(&mut out, ((1 << 16) + 12, 0), (time(12), &FRAME), all, 109);
        assert_eq!(
            written.iter().collect::<Vec<_>>(),
            [&[1][..], &[3, 4, 5, 6, 7, 8, 9, 10, 11, 12]].concat()
        );
        let from = (1 << 16) + 8;
        let written = history.write(&mut out, ((1 << 16) + 12, from), (time(12), &FRAME), all, 109);
        assert_eq!(written.iter().collect::<Vec<_>>(), [1, 3, 4]);
    }

    #[test]
    fn the_shortest_frames_have_their_place_too() {
        // 2.5 ms: 120 ticks each.
        let frame = [16 << 3; 20];
        let at = |number: u64| (number as u32).wrapping_mul(120);
        let mut history = AudioHistory::default();
        for number in (0..8).chain([30]) {
            history.insert((1 << 16) + number, at(number), &frame);
        }
        assert_eq!((history.frame(), history.frame_ticks()), (Duration::from_micros(2_500), 120));
        assert_eq!(history.reach(), 136);
        for number in 8..30 {
            let place = history.place((1 << 16) + 30, at(number), &frame);
            assert_eq!(place, Some((1 << 16) + number));
        }
    }

    #[test]
    fn nothing_out_of_reach_or_too_large_is_copied() {
        let mut out = Vec::new();
        let all = Offsets::spread(17, 17);
        let history = filled(1 << 16, 0..5);
        let late = time(4).wrapping_add(MAX_OFFSET + 1);
        let number = (1 << 16) + 5;
        assert!(history.write(&mut out, (number, 0), (late, &FRAME), all, 109).is_empty());
        assert!(out.is_empty());
        let mut history = AudioHistory::default();
        for number in 0..20 {
            history.insert((1 << 16) + number, time(number), &[0x78; 160]);
        }
        let number = (1 << 16) + 20;
        let written = history.write(&mut out, (number, 0), (time(20), &[0x78; 160]), all, 109);
        assert_eq!((written.count(), written.span()), (5, 5));
        assert!(out.len() <= MAX_PAYLOAD);
        let nearest = RedPayload::parse(&out).unwrap().redundant()[4].offset;
        assert_eq!(nearest, 960);
        history.insert(number, time(20), &[0x78; 1_200]);
        let written = history.write(&mut out, (number + 1, 0), (time(21), &[0; 990]), all, 109);
        assert!(written.is_empty());
    }

    #[test]
    fn memory_is_bounded_and_clearing_forgets() {
        let mut history = AudioHistory::default();
        for number in 1..1_000 {
            history.insert(number, 0, &[1; 1_023]);
        }
        let full = history.memory_bytes();
        for number in 1_000..10_000 {
            history.insert(number, 0, &[1; 1_400]);
        }
        assert_eq!(history.memory_bytes(), full);
        assert!(full <= 64 * (1_100 + size_of::<Frame>()), "{full}");
        history.insert(10_000, 5, &[1; 20]);
        assert_eq!(history.get(10_000), Some((5, &[1; 20][..])));
        history.clear();
        assert_eq!(history.get(10_000), None);
    }
}
