//! What a recorder is given of published tracks: every packet once, decrypted and repaired.
//!
//! The plane copies into a [`CaptureSink`] and goes on. What the sink does with it (files,
//! digests, encryption) happens elsewhere, on a thread of its own.

use std::collections::VecDeque;
use std::time::Instant;

use crate::rtcp::SenderInfo;

/// A track as its recorder names it. Chosen by the caller, unique for the life of the process; it
/// stays the same when the track comes back with another producer.
pub type CaptureId = u64;

/// By which way a packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum How {
    /// As it was sent first.
    Original = 0,
    /// Because it was asked for.
    Retransmitted = 1,
    /// Out of a later packet that carried a copy (RFC 2198).
    Copy = 2,
}

impl How {
    /// The value of a byte, where it is one.
    pub fn from_byte(byte: u8) -> Option<How> {
        [How::Original, How::Retransmitted, How::Copy].into_iter().find(|how| *how as u8 == byte)
    }
}

/// One media packet: header extensions as they came, copies and padding taken off.
#[derive(Debug, Clone, Copy)]
pub struct Captured<'a> {
    /// The track.
    pub capture: CaptureId,
    /// Index of the encoding, the smallest picture first.
    pub encoding: u8,
    /// Tells streams apart that had the encoding's place one after the other.
    pub instance: u32,
    /// The sequence number, extended so that it never wraps.
    pub ext_seq: u64,
    /// By which way it came.
    pub how: How,
    /// The RTP packet from its first byte on; its payload may follow in `payload`.
    pub head: &'a [u8],
    /// The rest of the packet.
    pub payload: &'a [u8],
}

/// What happens to a captured track beside packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A producer brings the track from now on; its streams are others than those before.
    Begin,
    /// The track is muted, or the recording pauses: nothing is captured.
    Pause,
    /// It goes on.
    Resume,
    /// The producer is gone. Another may come.
    Stop,
    /// Nothing more comes of the track.
    Close,
    /// A number that does not come: it arrived without anything to record, or belongs to a pause.
    /// What is missing below it was lost.
    Empty {
        /// Index of the encoding.
        encoding: u8,
        /// As in [`Captured`].
        instance: u32,
        /// As in [`Captured`].
        ext_seq: u64,
    },
    /// The publisher relates RTP time to its wall clock (RFC 3550, section 6.4.1).
    Report {
        /// Index of the encoding.
        encoding: u8,
        /// As in [`Captured`].
        instance: u32,
        /// What it says.
        info: SenderInfo,
    },
}

/// Takes what is captured. No call may block or take long: media waits for it.
pub trait CaptureSink: Send {
    /// Takes one packet, or counts it as dropped.
    fn packet(&mut self, at: Instant, packet: &Captured<'_>);

    /// Takes a mark. Marks keep their place among packets and are never dropped, but [`Mark::Report`]
    /// and [`Mark::Empty`] where there is no room.
    fn mark(&mut self, at: Instant, capture: CaptureId, mark: Mark);

    /// When [`CaptureSink::handle_timeout`] must be called next, at the latest.
    fn next_timeout(&self) -> Option<Instant>;

    /// Does what is due: hands over what was kept back.
    fn handle_timeout(&mut self, now: Instant);
}

/// Times of a stream that are remembered as not recorded. Packets are late by seconds; before more
/// are needed, the oldest two become one.
const MAX_WITHHELD: usize = 8;

/// What is to be done with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It belongs to the recording.
    Take,
    /// It was sent while the recording paused.
    Withhold,
    /// So was this one, the first of its pause.
    WithholdFirst,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Taking,
    /// Nothing from this number on is taken.
    Withholding { from: u64, is_known: bool },
    /// The first new packet, `after` or later, ends that.
    Resuming { from: u64, after: u64 },
}

/// Which numbers of one stream are not for the recording. A packet is judged by when it was sent,
/// as its number tells, not by when it arrives: repaired ones are late by seconds. What was
/// lost where a pause begins or ends counts as sent within it.
#[derive(Debug, Default)]
pub(crate) struct Withheld {
    /// First and last number of the times before, oldest first.
    before: VecDeque<(u64, u64)>,
    phase: Phase,
}

impl Withheld {
    /// A recording begins: what was sent before is not for it. `highest` is the highest number so
    /// far.
    pub(crate) fn begin(&mut self, highest: Option<u64>) {
        *self = Withheld::default();
        if let Some(highest) = highest {
            self.phase = Phase::Resuming { from: 0, after: highest + 1 };
        }
    }

    /// The recording pauses.
    pub(crate) fn pause(&mut self, highest: Option<u64>) {
        let from = highest.map_or(0, |highest| highest + 1);
        match self.phase {
            Phase::Taking => self.phase = Phase::Withholding { from, is_known: highest.is_none() },
            Phase::Resuming { from, .. } => {
                self.phase = Phase::Withholding { from, is_known: true };
            }
            Phase::Withholding { .. } => {}
        }
    }

    /// The recording goes on.
    pub(crate) fn resume(&mut self, highest: Option<u64>) {
        if let Phase::Withholding { from, .. } = self.phase {
            let after = highest.map_or(0, |highest| highest + 1);
            self.phase = Phase::Resuming { from, after };
        }
    }

    /// Judges a packet.
    #[inline]
    pub(crate) fn judge(&mut self, ext_seq: u64, how: How) -> Verdict {
        if self.phase == Phase::Taking && self.before.is_empty() {
            return Verdict::Take;
        }
        self.judge_now(ext_seq, how)
    }

    fn judge_now(&mut self, ext_seq: u64, how: How) -> Verdict {
        match &mut self.phase {
            Phase::Withholding { from, is_known } if ext_seq >= *from => {
                return match std::mem::replace(is_known, true) {
                    true => Verdict::Withhold,
                    false => Verdict::WithholdFirst,
                };
            }
            Phase::Resuming { from, after } => {
                let from = *from;
                if how == How::Original && ext_seq >= *after {
                    self.remember(from, ext_seq);
                    self.phase = Phase::Taking;
                } else if ext_seq >= from {
                    return Verdict::Withhold;
                }
            }
            _ => {}
        }
        let is_within = |(first, last): &(u64, u64)| (*first..=*last).contains(&ext_seq);
        if self.before.iter().any(is_within) { Verdict::Withhold } else { Verdict::Take }
    }

    fn remember(&mut self, from: u64, until: u64) {
        if from >= until {
            return;
        }
        self.before.push_back((from, until - 1));
        if self.before.len() > MAX_WITHHELD
            && let Some((first, _)) = self.before.pop_front()
            && let Some(next) = self.before.front_mut()
        {
            next.0 = first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(withheld: &mut Withheld, numbers: &[u64], how: How) -> Vec<u64> {
        let is_taken = |number: &u64| withheld.judge(*number, how) == Verdict::Take;
        numbers.iter().copied().filter(is_taken).collect()
    }

    #[test]
    fn a_number_says_whether_a_packet_was_sent_in_a_pause() {
        let mut withheld = Withheld::default();
        withheld.pause(Some(10));
        assert_eq!(taken(&mut withheld, &[7], How::Retransmitted), [7]);
        assert_eq!(withheld.judge(13, How::Original), Verdict::WithholdFirst);
        assert_eq!(withheld.judge(14, How::Original), Verdict::Withhold);
        withheld.resume(Some(14));
        assert_eq!(taken(&mut withheld, &[8, 11, 14, 15], How::Retransmitted), [8]);
        assert_eq!(taken(&mut withheld, &[16], How::Original), [16]);
        let late = [9, 10, 11, 15, 16, 17];
        assert_eq!(taken(&mut withheld, &late, How::Copy), [9, 10, 16, 17]);
    }

    #[test]
    fn what_was_before_the_recording_is_not_in_it() {
        let mut withheld = Withheld::default();
        withheld.begin(Some(100));
        assert_eq!(taken(&mut withheld, &[90, 101], How::Retransmitted), []);
        assert_eq!(taken(&mut withheld, &[102, 103, 99], How::Original), [102, 103]);
        withheld.begin(None);
        assert_eq!(taken(&mut withheld, &[5, 4], How::Retransmitted), [5, 4]);
    }

    #[test]
    fn a_pause_without_packets_withholds_nothing_and_one_that_is_taken_up_again_is_one() {
        let mut withheld = Withheld::default();
        withheld.pause(Some(10));
        withheld.resume(Some(10));
        assert_eq!(taken(&mut withheld, &[11, 10], How::Original), [11, 10]);
        withheld.pause(Some(11));
        withheld.resume(Some(20));
        withheld.pause(Some(20));
        withheld.resume(Some(30));
        assert_eq!(taken(&mut withheld, &[31, 11, 12, 25, 30], How::Original), [31, 11]);
    }

    #[test]
    fn many_pauses_become_one_rather_than_forgotten() {
        let mut withheld = Withheld::default();
        for pause in 0..100 {
            withheld.pause(Some(10 * pause));
            withheld.resume(Some(10 * pause + 5));
            assert_eq!(withheld.judge(10 * pause + 6, How::Original), Verdict::Take);
        }
        assert_eq!(withheld.before.len(), MAX_WITHHELD);
        let inside: Vec<u64> = (0..100).map(|pause| 10 * pause + 3).collect();
        assert_eq!(taken(&mut withheld, &inside, How::Retransmitted), []);
    }
}
