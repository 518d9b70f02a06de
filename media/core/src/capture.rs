//! What a recorder is given of published tracks: every packet once, decrypted and repaired.
//!
//! The plane copies into a [`CaptureSink`] and goes on. What the sink does with it (files,
//! digests, encryption) happens elsewhere, on a thread of its own.

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

    /// Takes a mark. Marks are never dropped and keep their place among packets.
    fn mark(&mut self, at: Instant, capture: CaptureId, mark: Mark);

    /// When [`CaptureSink::handle_timeout`] must be called next, at the latest.
    fn next_timeout(&self) -> Option<Instant>;

    /// Does what is due: hands over what was kept back.
    fn handle_timeout(&mut self, now: Instant);
}
