//! Transport-wide congestion feedback: writing.

use std::time::Duration;

use super::twcc::{LARGE_DELTA, NOT_RECEIVED, REFERENCE_TICKS, SMALL_DELTA, TICK_US};
use super::{FORMAT_TWCC, TRANSPORT_FEEDBACK, begin, finish, put_u16, put_u32};
use crate::rtp::SeqNo;

/// Longest run one chunk can hold.
const MAX_RUN: usize = 0x1fff;
/// Packets looked at for one feedback.
const MAX_STATUSES: usize = 8192;
/// Bytes of chunks and deltas of one feedback, so that it fits a datagram with others.
const MAX_BODY: usize = 900;

/// Writes the feedback of one transport and numbers it. Keeps its working memory.
#[derive(Debug, Clone, Default)]
pub struct TwccWriter {
    feedback_count: u8,
    /// One symbol per packet.
    symbols: Vec<u8>,
    /// One delta per received packet, in ticks.
    deltas: Vec<i16>,
}

impl TwccWriter {
    /// Exchanges the working memory with another one's, which many can use in turn.
    pub(crate) fn swap_memory(&mut self, other: &mut TwccWriter) {
        std::mem::swap(&mut self.symbols, &mut other.symbols);
        std::mem::swap(&mut self.deltas, &mut other.deltas);
    }

    /// Appends one feedback packet about `arrivals`, the packets from `base` on, and returns how
    /// many of them it reports. Call again with the rest until nothing is left.
    ///
    /// Arrivals are times since any fixed epoch, rounded to 250 µs. A packet ends early where
    /// two arrivals are more than 8 s apart, and when it reaches about 900 bytes. If nothing
    /// arrived, nothing is written and everything counts as reported. The result is zero only
    /// if `arrivals` is empty.
    pub fn write(
        &mut self,
        out: &mut Vec<u8>,
        sender_ssrc: u32,
        media_ssrc: u32,
        base: SeqNo,
        arrivals: &[Option<Duration>],
    ) -> usize {
        let Some(first) = arrivals.iter().flatten().next() else { return arrivals.len() };
        let reference_time = ticks(*first) / REFERENCE_TICKS;
        self.collect(reference_time * REFERENCE_TICKS, arrivals);
        if self.deltas.is_empty() {
            // The first arrival lies beyond what one packet may cover.
            return self.symbols.len();
        }
        let start = begin(out, FORMAT_TWCC, TRANSPORT_FEEDBACK);
        put_u32(out, sender_ssrc);
        put_u32(out, media_ssrc);
        put_u16(out, base.0);
        put_u16(out, 0);
        // Both fields wrap.
        put_u32(out, (reference_time as u32) << 8 | u32::from(self.feedback_count));
        let reported = self.write_body(out);
        out[start + 14..start + 16].copy_from_slice(&(reported as u16).to_be_bytes());
        finish(out, start);
        self.feedback_count = self.feedback_count.wrapping_add(1);
        reported
    }

    /// Fills symbols and deltas up to the first delta that cannot be expressed.
    fn collect(&mut self, reference_ticks: i64, arrivals: &[Option<Duration>]) {
        self.symbols.clear();
        self.deltas.clear();
        let mut last = reference_ticks;
        for arrival in arrivals.iter().take(MAX_STATUSES) {
            let Some(arrival) = arrival else {
                self.symbols.push(NOT_RECEIVED);
                continue;
            };
            let now = ticks(*arrival);
            let Ok(delta) = i16::try_from(now - last) else { return };
            self.symbols.push(if (0..=255).contains(&delta) { SMALL_DELTA } else { LARGE_DELTA });
            self.deltas.push(delta);
            last = now;
        }
    }

    /// Writes chunks, then deltas, as far as they fit; returns the packets covered.
    fn write_body(&self, out: &mut Vec<u8>) -> usize {
        let mut reported = 0;
        let mut body = 0;
        while reported < self.symbols.len() && body + 2 < MAX_BODY {
            let rest = &self.symbols[reported..];
            let room = fitting(rest, MAX_BODY - body - 2);
            let Some(chunk) = Chunk::best(&rest[..room]) else { break };
            put_u16(out, chunk.word);
            body += 2 + delta_bytes(&rest[..chunk.len]);
            reported += chunk.len;
        }
        let received = self.symbols[..reported].iter().filter(|&&symbol| symbol != NOT_RECEIVED);
        for (&symbol, &delta) in received.zip(&self.deltas) {
            if symbol == SMALL_DELTA {
                out.push(delta as u8);
            } else {
                put_u16(out, delta as u16);
            }
        }
        reported
    }
}

fn ticks(time: Duration) -> i64 {
    let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX - TICK_US);
    (micros + TICK_US / 2) / TICK_US
}

fn delta_bytes(symbols: &[u8]) -> usize {
    // The symbols are the lengths of their deltas.
    symbols.iter().map(|&symbol| usize::from(symbol)).sum()
}

/// How many leading symbols have deltas of at most `bytes` together.
fn fitting(symbols: &[u8], bytes: usize) -> usize {
    let mut left = bytes;
    for (count, &symbol) in symbols.iter().take(MAX_RUN).enumerate() {
        match left.checked_sub(symbol.into()) {
            Some(rest) => left = rest,
            None => return count,
        }
    }
    symbols.len().min(MAX_RUN)
}

/// One packet status chunk and how many packets it covers.
struct Chunk {
    word: u16,
    len: usize,
}

impl Chunk {
    /// The chunk that covers most of the leading symbols; `None` if there are none. A vector is
    /// filled unless it covers all of `symbols`, after which no other chunk may follow.
    fn best(symbols: &[u8]) -> Option<Chunk> {
        let &first = symbols.first()?;
        let run = symbols.iter().take(MAX_RUN).take_while(|&&symbol| symbol == first).count();
        let one_bit = &symbols[..symbols.len().min(14)];
        let two_bit = &symbols[..symbols.len().min(7)];
        let one_bit_suffices = !one_bit.contains(&LARGE_DELTA);
        let vector_len = if one_bit_suffices { one_bit.len() } else { two_bit.len() };
        if run >= vector_len {
            return Some(Chunk { word: u16::from(first) << 13 | run as u16, len: run });
        }
        Some(if one_bit_suffices {
            Chunk::vector(one_bit, 14, 1, 0x8000)
        } else {
            Chunk::vector(two_bit, 7, 2, 0xc000)
        })
    }

    /// A vector chunk: symbols of `bits` each, the first highest, unused places zero.
    fn vector(symbols: &[u8], capacity: usize, bits: usize, kind: u16) -> Chunk {
        let mut word = kind;
        for (index, &symbol) in symbols.iter().enumerate() {
            word |= u16::from(symbol) << ((capacity - 1 - index) * bits);
        }
        Chunk { word, len: symbols.len() }
    }
}
