//! Sender and receiver reports (RFC 3550, section 6.4).

use super::{MAX_COUNT, NtpTime, RECEIVER_REPORT, SENDER_REPORT, begin, finish, put_u32};
use crate::rtp::bytes::{u24_at, u32_at, u64_at};

const BLOCK_LEN: usize = 24;
const SENDER_INFO_LEN: usize = 24;

/// What a sender tells about one of its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SenderInfo {
    /// The stream.
    pub ssrc: u32,
    /// When the report was sent.
    pub ntp: NtpTime,
    /// The same moment on the stream's RTP clock.
    pub rtp_timestamp: u32,
    /// Packets sent since the start, wrapping.
    pub packet_count: u32,
    /// Payload bytes sent since the start, wrapping.
    pub octet_count: u32,
}

/// How one stream is received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: u32,
    /// Loss since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the start; negative with duplicates. Written saturated to 24 bits.
    pub cumulative_lost: i32,
    /// Largest sequence number received, with cycles in the high half.
    pub highest_sequence: u32,
    /// In ticks of the stream's clock.
    pub jitter: u32,
    /// [`NtpTime::middle`] of the last sender report, 0 without one.
    pub last_sr: u32,
    /// Since that report arrived, in 1/65536 s.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    fn parse(data: &[u8; BLOCK_LEN]) -> Option<ReportBlock> {
        Some(ReportBlock {
            ssrc: u32_at(data, 0)?,
            fraction_lost: data[4],
            // Sign-extends 24 bits.
            cumulative_lost: ((u24_at(data, 5)? << 8) as i32) >> 8,
            highest_sequence: u32_at(data, 8)?,
            jitter: u32_at(data, 12)?,
            last_sr: u32_at(data, 16)?,
            delay_since_last_sr: u32_at(data, 20)?,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let lost = self.cumulative_lost.clamp(-(1 << 23), (1 << 23) - 1) as u32 & 0x00ff_ffff;
        put_u32(out, self.ssrc);
        put_u32(out, u32::from(self.fraction_lost) << 24 | lost);
        put_u32(out, self.highest_sequence);
        put_u32(out, self.jitter);
        put_u32(out, self.last_sr);
        put_u32(out, self.delay_since_last_sr);
    }
}

/// Iterates over report blocks.
#[derive(Debug, Clone)]
pub struct ReportBlocks<'a>(&'a [u8]);

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        ReportBlock::parse(block)
    }
}

fn blocks(count: u8, data: &[u8]) -> Option<ReportBlocks<'_>> {
    // Profile-specific extensions may follow the blocks.
    data.get(..usize::from(count) * BLOCK_LEN).map(ReportBlocks)
}

/// Report of a participant that sends.
#[derive(Debug, Clone)]
pub struct SenderReport<'a> {
    /// About the sender's own stream.
    pub info: SenderInfo,
    blocks: ReportBlocks<'a>,
}

impl<'a> SenderReport<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<SenderReport<'a>> {
        let info = SenderInfo {
            ssrc: u32_at(body, 0)?,
            ntp: NtpTime(u64_at(body, 4)?),
            rtp_timestamp: u32_at(body, 12)?,
            packet_count: u32_at(body, 16)?,
            octet_count: u32_at(body, 20)?,
        };
        Some(SenderReport { info, blocks: blocks(count, body.get(SENDER_INFO_LEN..)?)? })
    }

    /// About streams the sender receives.
    pub fn blocks(&self) -> ReportBlocks<'a> {
        self.blocks.clone()
    }
}

/// Report of a participant that only receives.
#[derive(Debug, Clone)]
pub struct ReceiverReport<'a> {
    /// Who reports.
    pub ssrc: u32,
    blocks: ReportBlocks<'a>,
}

impl<'a> ReceiverReport<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<ReceiverReport<'a>> {
        Some(ReceiverReport { ssrc: u32_at(body, 0)?, blocks: blocks(count, body.get(4..)?)? })
    }

    /// About streams the reporter receives.
    pub fn blocks(&self) -> ReportBlocks<'a> {
        self.blocks.clone()
    }
}

/// Appends a sender report. Blocks beyond 31 follow in receiver reports.
pub fn write_sender_report(out: &mut Vec<u8>, info: &SenderInfo, blocks: &[ReportBlock]) {
    let (first, rest) = blocks.split_at(blocks.len().min(MAX_COUNT));
    let start = begin(out, first.len() as u8, SENDER_REPORT);
    put_u32(out, info.ssrc);
    out.extend_from_slice(&info.ntp.0.to_be_bytes());
    put_u32(out, info.rtp_timestamp);
    put_u32(out, info.packet_count);
    put_u32(out, info.octet_count);
    for block in first {
        block.write(out);
    }
    finish(out, start);
    if !rest.is_empty() {
        write_receiver_report(out, info.ssrc, rest);
    }
}

/// Appends receiver reports of up to 31 blocks; one without blocks if there are none.
pub fn write_receiver_report(out: &mut Vec<u8>, ssrc: u32, blocks: &[ReportBlock]) {
    let mut rest = blocks;
    loop {
        let (first, next) = rest.split_at(rest.len().min(MAX_COUNT));
        let start = begin(out, first.len() as u8, RECEIVER_REPORT);
        put_u32(out, ssrc);
        for block in first {
            block.write(out);
        }
        finish(out, start);
        if next.is_empty() {
            return;
        }
        rest = next;
    }
}
