//! Extended reports (RFC 3611): only what measures round trips without sending media.

use super::{EXTENDED_REPORT, NtpTime, begin, finish, put_u32};
use crate::rtp::bytes::{u16_at, u32_at, u64_at};

const RECEIVER_REFERENCE_TIME: u8 = 4;
const DELAY_SINCE_LAST_RR: u8 = 5;
const DELAY_ENTRY_LEN: usize = 12;

/// Report blocks of one participant.
#[derive(Debug, Clone)]
pub struct Xr<'a> {
    /// Who reports.
    pub ssrc: u32,
    blocks: &'a [u8],
}

/// One report block.
#[derive(Debug, Clone)]
pub enum XrBlock<'a> {
    /// When the report was sent (section 4.4).
    ReceiverReferenceTime(NtpTime),
    /// Answers to reference times (section 4.5).
    DelaySinceLastRr(DelaySinceLastRr<'a>),
    /// A block of another type; to be ignored.
    Other(u8),
}

/// Answers to the reference times of several receivers: iterates over
/// `(ssrc, last_rr, delay_since_last_rr)`, the latter two in 1/65536 s.
#[derive(Debug, Clone)]
pub struct DelaySinceLastRr<'a>(&'a [u8]);

impl Iterator for DelaySinceLastRr<'_> {
    type Item = (u32, u32, u32);

    fn next(&mut self) -> Option<Self::Item> {
        let (entry, rest) = self.0.split_at_checked(DELAY_ENTRY_LEN)?;
        self.0 = rest;
        Some((u32_at(entry, 0)?, u32_at(entry, 4)?, u32_at(entry, 8)?))
    }
}

impl<'a> Xr<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<Xr<'a>> {
        let xr = Xr { ssrc: u32_at(body, 0)?, blocks: body.get(4..)? };
        let mut rest = xr.blocks;
        while !rest.is_empty() {
            rest = split_block(rest)?.1;
        }
        Some(xr)
    }

    /// The report blocks.
    pub fn blocks(&self) -> impl Iterator<Item = XrBlock<'a>> + use<'a> {
        let mut rest = self.blocks;
        std::iter::from_fn(move || {
            let (block, next) = split_block(rest)?;
            rest = next;
            Some(block)
        })
    }
}

fn split_block(data: &[u8]) -> Option<(XrBlock<'_>, &[u8])> {
    let block_type = *data.first()?;
    let len = 4 * usize::from(u16_at(data, 2)?);
    let (body, rest) = data.get(4..)?.split_at_checked(len)?;
    let block = match block_type {
        RECEIVER_REFERENCE_TIME if len == 8 => {
            XrBlock::ReceiverReferenceTime(NtpTime(u64_at(body, 0)?))
        }
        DELAY_SINCE_LAST_RR if len % DELAY_ENTRY_LEN == 0 => {
            XrBlock::DelaySinceLastRr(DelaySinceLastRr(body))
        }
        RECEIVER_REFERENCE_TIME | DELAY_SINCE_LAST_RR => return None,
        other => XrBlock::Other(other),
    };
    Some((block, rest))
}

/// Appends an extended report with a receiver reference time.
pub fn write_receiver_reference_time(out: &mut Vec<u8>, ssrc: u32, now: NtpTime) {
    let start = begin(out, 0, EXTENDED_REPORT);
    put_u32(out, ssrc);
    out.extend_from_slice(&[RECEIVER_REFERENCE_TIME, 0, 0, 2]);
    out.extend_from_slice(&now.0.to_be_bytes());
    finish(out, start);
}
