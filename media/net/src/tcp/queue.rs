//! Frames that wait for room in the kernel.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::{Duration, Instant};

use media_core::framing::{PREFIX_LEN, prefix};

/// Bytes up to which media may wait: a quarter of a second at 2 Mbit/s. Newer media is dropped,
/// because what waits longer would come too late, and whole, because a stream has no gaps.
pub(crate) const MEDIA_BYTES: usize = 64 * 1024;

/// Bytes up to which STUN, DTLS and RTCP may wait: there is always room for them behind media.
pub(crate) const TOTAL_BYTES: usize = 80 * 1024;

/// How long media may wait. At the rate of audio alone 64 KiB are ten seconds, and a connection
/// that stalled would first send what nobody can use any more.
pub(crate) const MEDIA_AGE: Duration = Duration::from_secs(2);

/// One frame that waits.
#[derive(Debug, Clone, Copy)]
struct Frame {
    /// Bytes not sent yet, prefix included.
    rest: usize,
    is_media: bool,
    queued: Instant,
}

/// What a frame costs beside its bytes.
const FRAME_COST: usize = size_of::<Frame>();

/// Bounded bytes of whole frames; the first may have been sent in part.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    bytes: VecDeque<u8>,
    frames: VecDeque<Frame>,
    /// Part of the first frame is gone: the rest has to follow.
    is_begun: bool,
}

impl SendQueue {
    /// Appends a frame of which `sent` bytes, prefix included, are gone. False if it does not
    /// fit; one that was sent in part always does.
    pub(crate) fn push(
        &mut self,
        datagram: &[u8],
        is_media: bool,
        sent: usize,
        now: Instant,
    ) -> bool {
        let limit = if is_media { MEDIA_BYTES } else { TOTAL_BYTES };
        let Some(prefix) = prefix(datagram.len()) else { return false };
        let length = PREFIX_LEN + datagram.len();
        if sent == 0 && self.cost() + length + FRAME_COST > limit {
            return false;
        }
        self.is_begun |= sent > 0;
        self.frames.push_back(Frame { rest: length - sent, is_media, queued: now });
        self.bytes.extend(prefix.iter().chain(datagram).skip(sent));
        true
    }

    /// Drops media that has waited too long, whole frames only; returns how many.
    pub(crate) fn expire(&mut self, now: Instant) -> u64 {
        let is_late = |frame: &Frame| {
            frame.is_media && now.saturating_duration_since(frame.queued) >= MEDIA_AGE
        };
        let first = usize::from(self.is_begun);
        // They wait in the order they came.
        let oldest = self.frames.iter().skip(first).find(|frame| frame.is_media);
        if !oldest.is_some_and(is_late) {
            return 0;
        }
        let (mut bytes, frames) =
            (std::mem::take(&mut self.bytes), std::mem::take(&mut self.frames));
        let waiting = frames.len();
        for (index, frame) in frames.into_iter().enumerate() {
            let frame_bytes = bytes.drain(..frame.rest);
            if index < first || !is_late(&frame) {
                self.bytes.extend(frame_bytes);
                self.frames.push_back(frame);
            }
        }
        (waiting - self.frames.len()) as u64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What to send next.
    pub(crate) fn slices(&self) -> [IoSlice<'_>; 2] {
        let (head, tail) = self.bytes.as_slices();
        [IoSlice::new(head), IoSlice::new(tail)]
    }

    /// Frames that wait.
    pub(crate) fn frames(&self) -> usize {
        self.frames.len()
    }

    /// The first `len` bytes were sent; returns how many frames that completes.
    pub(crate) fn consume(&mut self, len: usize) -> usize {
        let len = len.min(self.bytes.len());
        self.bytes.drain(..len);
        let (mut left, waited) = (len, self.frames.len());
        while let Some(frame) = self.frames.front_mut() {
            if frame.rest > left {
                self.is_begun |= left > 0;
                frame.rest -= left;
                break;
            }
            left -= frame.rest;
            self.is_begun = false;
            self.frames.pop_front();
        }
        let complete = waited - self.frames.len();
        if self.bytes.is_empty() {
            // A congested moment does not keep its memory for the rest of a call.
            *self = SendQueue::default();
        }
        complete
    }

    fn cost(&self) -> usize {
        self.bytes.len() + self.frames.len() * FRAME_COST
    }
}

#[cfg(test)]
mod tests {
    use media_core::framing::Deframer;

    use super::*;

    fn frames(queue: &mut SendQueue) -> Vec<Vec<u8>> {
        let (mut deframer, mut frames) = (Deframer::default(), Vec::new());
        let (waiting, mut completed) = (queue.frames(), 0);
        while !queue.is_empty() {
            let mut piece = queue.slices()[0].to_vec();
            piece.truncate(777);
            completed += queue.consume(piece.len());
            deframer.push(&mut piece, |frame| frames.push(frame.to_vec())).unwrap();
        }
        assert_eq!(deframer.pending(), 0, "only whole frames");
        assert_eq!((completed, queue.frames()), (waiting, 0));
        frames
    }

    #[test]
    fn what_does_not_fit_is_dropped_whole_and_media_first() {
        let (mut queue, now) = (SendQueue::default(), Instant::now());
        let media = (0..200).filter(|_| queue.push(&[0x80; 1_200], true, 0, now)).count();
        assert_eq!(media, MEDIA_BYTES / (1_202 + FRAME_COST));
        let control = (0..200).filter(|_| queue.push(&[0x01; 100], false, 0, now)).count();
        let left = TOTAL_BYTES - media * (1_202 + FRAME_COST);
        assert_eq!(control, left / (102 + FRAME_COST));
        let frames = frames(&mut queue);
        assert_eq!(frames.len(), media + control);
        assert!(frames[..media].iter().all(|frame| *frame == [0x80; 1_200]));
        assert!(frames[media..].iter().all(|frame| *frame == [0x01; 100]));
        assert!(queue.push(&[0x80; 1_200], true, 0, now), "room again");
    }

    #[test]
    fn a_frame_sent_in_part_is_finished_however_full_the_queue_is() {
        let (mut queue, now) = (SendQueue::default(), Instant::now());
        while queue.push(&[0x80; 1_000], false, 0, now) {}
        assert!(queue.push(&[7, 8, 9], true, 3, now));
        let tail: Vec<u8> = queue.bytes.iter().rev().take(2).copied().collect();
        assert_eq!(tail, [9, 8]);
        assert!(!queue.push(&[0; 65_536], false, 0, now), "longer than a frame can be");
    }
    /// What waited too long is gone, whatever was sent of the first frame meanwhile.
    #[test]
    fn media_that_waited_too_long_is_dropped_whole_and_nothing_else() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        for sent_of_first in [0, 1, 2, 3, 11] {
            let mut queue = SendQueue::default();
            for (ms, kind, is_media) in
                [(0, 1, true), (1, 2, false), (2, 3, true), (900, 4, true), (901, 5, false)]
            {
                assert!(queue.push(&[kind; 10], is_media, 0, at(ms)));
            }
            queue.consume(sent_of_first);
            assert_eq!(queue.expire(at(1_999)), 0);
            let is_begun = sent_of_first > 0;
            assert_eq!(queue.expire(at(2_100)), if is_begun { 1 } else { 2 });
            assert_eq!(queue.expire(at(2_100)), 0, "once");
            assert_eq!(queue.expire(at(2_900)), 1);
            let mut whole = vec![0, 10];
            whole.extend([1; 10]);
            let mut bytes = Vec::from(&whole[..sent_of_first]);
            let mut deframer = Deframer::default();
            let mut kinds = Vec::new();
            while !queue.is_empty() {
                let piece = queue.slices()[0].to_vec();
                queue.consume(piece.len());
                bytes.extend(piece);
            }
            deframer.push(&mut bytes, |frame| kinds.push(frame[0])).unwrap();
            assert_eq!(deframer.pending(), 0, "only whole frames");
            assert_eq!(kinds, if is_begun { vec![1, 2, 5] } else { vec![2, 5] });
        }
    }

    #[test]
    fn a_frame_that_ends_exactly_lets_the_next_one_expire() {
        let (mut queue, start) = (SendQueue::default(), Instant::now());
        assert!(queue.push(&[1; 10], true, 5, start), "its rest");
        assert!(queue.push(&[2; 10], true, 0, start));
        queue.consume(7);
        assert_eq!(queue.expire(start + MEDIA_AGE), 1);
        assert!(queue.is_empty());
    }
}
