//! What analytics are given of published tracks: the packets of one encoding, decrypted and
//! repaired, each once.
//!
//! Unlike a recording a tap may lose packets: nobody waits for it, and what is new matters more
//! than what is complete. The plane copies into a [`TapSink`] and goes on.

use std::time::Instant;

use crate::api::{Codec, Layer};

/// A tap as the control side names it. Chosen by the caller, unique for the life of the process;
/// it stays the same when the track comes back with another producer.
pub type TapId = u64;

/// What a tap takes of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapWish {
    /// Its name.
    pub tap: TapId,
    /// The encoding that is enough, and the highest temporal layer of use. Packets of higher
    /// temporal layers are left out where that is possible.
    pub layer: Layer,
    /// `CLOCK_MONOTONIC` when the clock of the session was zero; only for the sink.
    pub zero_ns: u64,
}

/// One media packet: header extensions as they came, copies and padding taken off.
#[derive(Debug, Clone, Copy)]
pub struct Tapped<'a> {
    /// The tap.
    pub tap: TapId,
    /// As in [`TapWish`].
    pub zero_ns: u64,
    /// What the payload is.
    pub codec: Codec,
    /// Index of the encoding, the smallest picture first.
    pub encoding: u8,
    /// Tells streams apart that had the encoding's place one after the other.
    pub instance: u32,
    /// The sequence number, extended so that it never wraps.
    pub ext_seq: u64,
    /// By how many quarter turns the picture is to be turned clockwise, where the packet says so.
    pub rotation: Option<u8>,
    /// The RTP packet from its first byte on; its payload may follow in `payload`. Without a byte:
    /// the number was left out, or brought nothing.
    pub head: &'a [u8],
    /// The rest of the packet.
    pub payload: &'a [u8],
}

/// Takes what is tapped. No call may block or take long: media waits for it.
pub trait TapSink: Send {
    /// Takes one packet; what is older may be dropped for it. Returns whether something of this
    /// tap was dropped since its last packet: a decoder needs a keyframe then.
    fn packet(&mut self, at: Instant, packet: &Tapped<'_>) -> bool;

    /// When [`TapSink::handle_timeout`] must be called next, at the latest.
    fn next_timeout(&self) -> Option<Instant>;

    /// Does what is due: hands over what was kept back.
    fn handle_timeout(&mut self, now: Instant);
}

/// A tap of one producer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tap {
    pub(crate) wish: TapWish,
    /// The encoding it gets.
    pub(crate) encoding: usize,
}
