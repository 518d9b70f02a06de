//! The last frames of a publisher's audio, plain, to make copies of and to find what is missing.

use crate::codec::opus;
use crate::protect::{MAX_PAYLOAD, Offsets};
use crate::red::{HEADER_LEN, MAX_BLOCK_LEN, MAX_BLOCKS, MAX_OFFSET, write_red};

/// Frames kept: a power of two. 64 of 20 ms are 1.3 s, more than any copy is away.
const FRAMES: usize = 64;
/// Ticks of a millisecond: RTP counts Opus at 48 kHz whatever it carries (RFC 7587).
const TICKS_PER_MS: u32 = 48;
const DEFAULT_FRAME_MS: u32 = 20;

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
    frame_ms: u32,
}

impl Default for AudioHistory {
    fn default() -> AudioHistory {
        AudioHistory {
            frames: vec![Frame::default(); FRAMES],
            mean_len: 0,
            frame_ms: DEFAULT_FRAME_MS,
        }
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
            if let Some(ms) = frame_ms(bytes) {
                self.frame_ms = ms;
            }
        }
    }

    /// Forgets all frames: what comes next is not to be mixed with them.
    pub fn clear(&mut self) {
        self.frames.iter_mut().for_each(|frame| frame.ext_seq = 0);
    }

    /// The timestamp and bytes of a frame that is there.
    pub fn get(&self, ext_seq: u64) -> Option<(u32, &[u8])> {
        self.frame(ext_seq).map(|frame| (frame.timestamp, &frame.bytes[..]))
    }

    /// Mean bytes of a frame lately.
    pub fn mean_len(&self) -> usize {
        (self.mean_len / 16) as usize
    }

    /// Length of the last frame that was not silence.
    pub fn frame_ms(&self) -> u32 {
        self.frame_ms
    }

    /// How many frames ago a frame may be to be within reach of a copy.
    pub fn reach(&self) -> u8 {
        (MAX_OFFSET / (TICKS_PER_MS * self.frame_ms)).min(u8::MAX.into()) as u8
    }

    /// The number a frame of that time would have had, if it is missing; `newest` is there.
    ///
    /// Between its neighbours in time, counted from the later one: where frames were left out
    /// because nobody spoke, those at the end of the gap are the ones that were sent.
    pub fn place(&self, newest: u64, timestamp: u32, bytes: &[u8]) -> Option<u64> {
        let ticks = frame_ms(bytes).unwrap_or(self.frame_ms) * TICKS_PER_MS;
        let mut above = None;
        let mut below = None;
        let oldest = newest.saturating_sub(FRAMES as u64 - 1);
        for number in (oldest..=newest).rev() {
            let Some(frame) = self.frame(number) else { continue };
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
    /// all fit. Returns how many there are; with none nothing is written.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        (ext_seq, from): (u64, u64),
        (timestamp, primary): (u32, &[u8]),
        offsets: Offsets,
        payload_type: u8,
    ) -> usize {
        out.clear();
        let mut blocks: [(u16, &[u8]); MAX_BLOCKS] = [(0, &[]); MAX_BLOCKS];
        let mut len = 1 + primary.len();
        let mut first = MAX_BLOCKS;
        for offset in offsets.iter() {
            let Some(number) = ext_seq.checked_sub(offset.into()).filter(|n| *n >= from) else {
                break;
            };
            let Some(frame) = self.frame(number).filter(|frame| !frame.bytes.is_empty()) else {
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
        }
        let blocks = &blocks[first..];
        if !blocks.is_empty() {
            write_red(out, payload_type, blocks, primary);
        }
        blocks.len()
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        let bytes: usize = self.frames.iter().map(|frame| frame.bytes.capacity()).sum();
        self.frames.capacity() * size_of::<Frame>() + bytes
    }

    fn frame(&self, ext_seq: u64) -> Option<&Frame> {
        Some(&self.frames[ext_seq as usize % FRAMES])
            .filter(|frame| frame.ext_seq == ext_seq && ext_seq != 0)
    }
}

/// Whole milliseconds of a frame; `None` of what is no Opus, or shorter.
fn frame_ms(bytes: &[u8]) -> Option<u32> {
    let duration = opus::packet_duration(bytes).ok()?;
    Some(duration.as_millis() as u32).filter(|ms| *ms > 0)
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
        let count = history.write(&mut out, (number, 0), (time(29), b"new"), offsets, 109);
        assert_eq!(count, 4);
        let red = RedPayload::parse(&out).unwrap();
        let distances: Vec<u16> = red.redundant().iter().map(|block| block.offset / 960).collect();
        assert_eq!(distances, [16, 12, 8, 4]);
        assert!(red.redundant().iter().all(|b| b.payload_type == 109 && b.bytes(&out) == FRAME));
        assert_eq!(red.primary().bytes(&out), b"new");
        // Number 10 is missing, and what is from before `from` is not for this subscriber.
        let all = Offsets::spread(17, 17);
        let count = history.write(&mut out, ((1 << 16) + 12, 0), (time(12), &FRAME), all, 109);
        assert_eq!(count, 11);
        let from = (1 << 16) + 8;
        let count = history.write(&mut out, ((1 << 16) + 12, from), (time(12), &FRAME), all, 109);
        assert_eq!(count, 3);
    }

    #[test]
    fn nothing_out_of_reach_or_too_large_is_copied() {
        let mut out = Vec::new();
        let all = Offsets::spread(17, 17);
        let history = filled(1 << 16, 0..5);
        let late = time(4).wrapping_add(MAX_OFFSET + 1);
        let number = (1 << 16) + 5;
        assert_eq!(history.write(&mut out, (number, 0), (late, &FRAME), all, 109), 0);
        assert!(out.is_empty());
        let mut history = AudioHistory::default();
        for number in 0..20 {
            history.insert((1 << 16) + number, time(number), &[0x78; 160]);
        }
        let number = (1 << 16) + 20;
        let count = history.write(&mut out, (number, 0), (time(20), &[0x78; 160]), all, 109);
        assert_eq!(count, 5);
        assert!(out.len() <= MAX_PAYLOAD);
        let nearest = RedPayload::parse(&out).unwrap().redundant()[4].offset;
        assert_eq!(nearest, 960);
        history.insert(number, time(20), &[0x78; 1_200]);
        let count = history.write(&mut out, (number + 1, 0), (time(21), &[0; 990]), all, 109);
        assert_eq!(count, 0);
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
