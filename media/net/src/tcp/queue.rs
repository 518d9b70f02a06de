//! Frames that wait for room in the kernel.

use std::collections::VecDeque;
use std::io::IoSlice;

use media_core::framing::{PREFIX_LEN, prefix};

/// Bytes up to which media may wait: a quarter of a second at 2 Mbit/s. Newer media is dropped,
/// because what waits longer would come too late, and whole, because a stream has no gaps.
pub(crate) const MEDIA_BYTES: usize = 64 * 1024;

/// Bytes up to which STUN, DTLS and RTCP may wait: there is always room for them behind media.
pub(crate) const TOTAL_BYTES: usize = 80 * 1024;

/// Bounded bytes of whole frames; the first may have been sent in part.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    bytes: VecDeque<u8>,
    /// Bytes left of each frame.
    frames: VecDeque<u32>,
}

impl SendQueue {
    /// Appends a frame of which `sent` bytes, prefix included, are gone. False if it does not
    /// fit; one that was sent in part always does.
    pub(crate) fn push(&mut self, datagram: &[u8], is_media: bool, sent: usize) -> bool {
        let limit = if is_media { MEDIA_BYTES } else { TOTAL_BYTES };
        let Some(prefix) = prefix(datagram.len()) else { return false };
        if sent == 0 && self.bytes.len() + PREFIX_LEN + datagram.len() > limit {
            return false;
        }
        self.bytes.extend(prefix.iter().chain(datagram).skip(sent));
        self.frames.push_back((PREFIX_LEN + datagram.len() - sent) as u32);
        true
    }

    /// Frames that wait.
    pub(crate) fn frames(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What to send next.
    pub(crate) fn slices(&self) -> [IoSlice<'_>; 2] {
        let (head, tail) = self.bytes.as_slices();
        [IoSlice::new(head), IoSlice::new(tail)]
    }

    /// The first `len` bytes were sent; returns how many frames that completes.
    pub(crate) fn consume(&mut self, len: usize) -> usize {
        let len = len.min(self.bytes.len());
        self.bytes.drain(..len);
        let (mut left, waited) = (len as u32, self.frames.len());
        while let Some(first) = self.frames.front_mut() {
            if *first > left {
                *first -= left;
                break;
            }
            left -= *first;
            self.frames.pop_front();
        }
        let complete = waited - self.frames.len();
        if self.bytes.is_empty() {
            // A congested moment does not keep its memory for the rest of a call.
            (self.bytes, self.frames) = (VecDeque::new(), VecDeque::new());
        }
        complete
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
        let mut queue = SendQueue::default();
        let media = (0..200).filter(|_| queue.push(&[0x80; 1_200], true, 0)).count();
        assert_eq!(media, MEDIA_BYTES / 1_202);
        let control = (0..200).filter(|_| queue.push(&[0x01; 100], false, 0)).count();
        assert_eq!(control, (TOTAL_BYTES - media * 1_202) / 102);
        let frames = frames(&mut queue);
        assert_eq!(frames.len(), media + control);
        assert!(frames[..media].iter().all(|frame| *frame == [0x80; 1_200]));
        assert!(frames[media..].iter().all(|frame| *frame == [0x01; 100]));
        assert!(queue.push(&[0x80; 1_200], true, 0), "room again");
    }

    #[test]
    fn a_frame_sent_in_part_is_finished_however_full_the_queue_is() {
        let mut queue = SendQueue::default();
        while queue.push(&[0x80; 1_000], false, 0) {}
        assert!(queue.push(&[7, 8, 9], true, 3));
        let tail: Vec<u8> = queue.bytes.iter().rev().take(2).copied().collect();
        assert_eq!(tail, [9, 8]);
        assert!(!queue.push(&[0; 65_536], false, 0), "longer than a frame can be");
    }
}
