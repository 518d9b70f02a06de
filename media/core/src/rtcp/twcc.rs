//! Transport-wide congestion feedback: parsing.
//!
//! Spec: draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1.

use crate::rtp::SeqNo;
use crate::rtp::bytes::{u16_at, u24_at, u32_at};

/// Arrival times count in steps of 250 µs.
pub(super) const TICK_US: i64 = 250;
/// The reference time counts in steps of 64 ms.
pub(super) const REFERENCE_TICKS: i64 = 64_000 / TICK_US;
/// SSRCs, base number, status count, reference time and feedback count.
const HEADER_LEN: usize = 16;

/// Packet status symbols; the fourth is reserved.
pub(super) const NOT_RECEIVED: u8 = 0;
pub(super) const SMALL_DELTA: u8 = 1;
pub(super) const LARGE_DELTA: u8 = 2;

/// Which packets of a transport arrived, and when.
#[derive(Debug, Clone)]
pub struct TwccFeedback<'a> {
    /// Who reports.
    pub sender_ssrc: u32,
    /// Any stream of the transport.
    pub media_ssrc: u32,
    /// Number of the first packet reported.
    pub base_sequence: SeqNo,
    /// Packets reported, at least one.
    pub status_count: u16,
    /// In steps of 64 ms on a clock of the receiver's choice: 24 bits, signed, wrapping.
    pub reference_time: i32,
    /// Number of this feedback, wrapping: a gap shows lost feedback.
    pub feedback_count: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

/// What became of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketStatus {
    /// Transport-wide number.
    pub sequence: SeqNo,
    /// Arrival in µs on the clock of the reference time, `None` if it did not arrive.
    pub arrival_us: Option<i64>,
}

impl<'a> TwccFeedback<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<TwccFeedback<'a>> {
        let status_count = u16_at(body, 10)?;
        let data = body.get(HEADER_LEN..)?;
        let (chunk_bytes, delta_bytes) = measure(data, status_count)?;
        let (chunks, deltas) = data.split_at(chunk_bytes);
        Some(TwccFeedback {
            sender_ssrc: u32_at(body, 0)?,
            media_ssrc: u32_at(body, 4)?,
            base_sequence: SeqNo(u16_at(body, 8)?),
            status_count,
            // Sign-extends 24 bits.
            reference_time: ((u24_at(body, 12)? << 8) as i32) >> 8,
            feedback_count: body[15],
            chunks,
            deltas: deltas.get(..delta_bytes)?,
        })
    }

    /// All packets reported, in order.
    pub fn packets(&self) -> Packets<'a> {
        Packets {
            symbols: Symbols { chunks: self.chunks, chunk: 0, left: 0 },
            deltas: self.deltas,
            sequence: self.base_sequence,
            remaining: self.status_count,
            ticks: i64::from(self.reference_time) * REFERENCE_TICKS,
        }
    }
}

/// Bytes of all chunks and of all deltas of `status_count` packets. Takes time in proportion
/// to the chunks, not to the packets they stand for.
fn measure(data: &[u8], status_count: u16) -> Option<(usize, usize)> {
    if status_count == 0 {
        return None;
    }
    let mut remaining = status_count;
    let mut chunk_bytes = 0;
    let mut delta_bytes = 0;
    while remaining > 0 {
        let chunk = u16_at(data, chunk_bytes)?;
        chunk_bytes += 2;
        let count = chunk_symbols(chunk).min(remaining);
        remaining -= count;
        if chunk & 0x8000 == 0 {
            delta_bytes += usize::from(count) * delta_len((chunk >> 13 & 3) as u8)?;
            continue;
        }
        let capacity = chunk_symbols(chunk);
        for index in 0..count {
            delta_bytes += delta_len(chunk_symbol(chunk, capacity - index))?;
        }
    }
    Some((chunk_bytes, delta_bytes))
}

fn delta_len(symbol: u8) -> Option<usize> {
    match symbol {
        NOT_RECEIVED => Some(0),
        SMALL_DELTA => Some(1),
        LARGE_DELTA => Some(2),
        _ => None,
    }
}

/// Symbols a chunk stands for: a run, 14 of one bit or 7 of two bits.
fn chunk_symbols(chunk: u16) -> u16 {
    match chunk >> 14 {
        0 | 1 => chunk & 0x1fff,
        2 => 14,
        _ => 7,
    }
}

/// The symbol of a chunk that is followed by `left - 1` others.
fn chunk_symbol(chunk: u16, left: u16) -> u8 {
    let symbol = match chunk >> 14 {
        0 | 1 => chunk >> 13,
        2 => chunk >> (left - 1) & 1,
        _ => chunk >> (2 * (left - 1)) & 3,
    };
    (symbol & 3) as u8
}

#[derive(Debug, Clone)]
struct Symbols<'a> {
    chunks: &'a [u8],
    chunk: u16,
    left: u16,
}

impl Iterator for Symbols<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        while self.left == 0 {
            self.chunk = u16_at(self.chunks, 0)?;
            self.chunks = &self.chunks[2..];
            self.left = chunk_symbols(self.chunk);
        }
        let symbol = chunk_symbol(self.chunk, self.left);
        self.left -= 1;
        Some(symbol)
    }
}

/// Iterates over the packets of one feedback.
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    symbols: Symbols<'a>,
    deltas: &'a [u8],
    sequence: SeqNo,
    remaining: u16,
    ticks: i64,
}

impl Packets<'_> {
    fn take_delta(&mut self, symbol: u8) -> Option<i64> {
        let (delta, len) = match symbol {
            SMALL_DELTA => (i64::from(*self.deltas.first()?), 1),
            LARGE_DELTA => (i64::from(u16_at(self.deltas, 0)? as i16), 2),
            _ => return None,
        };
        self.deltas = &self.deltas[len..];
        Some(delta)
    }
}

impl Iterator for Packets<'_> {
    type Item = PacketStatus;

    fn next(&mut self) -> Option<PacketStatus> {
        self.remaining = self.remaining.checked_sub(1)?;
        let symbol = self.symbols.next()?;
        let arrival_us = self.take_delta(symbol).map(|delta| {
            self.ticks += delta;
            self.ticks * TICK_US
        });
        let sequence = self.sequence;
        self.sequence = sequence.next();
        Some(PacketStatus { sequence, arrival_us })
    }
}
