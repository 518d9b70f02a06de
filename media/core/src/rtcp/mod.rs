//! RTCP: compound packets in, single packets out (RFC 3550, section 6; RFC 4585; RFC 5506).
//!
//! Writers append whole packets to a caller's buffer, so a compound packet is a series of
//! calls. With capacity reserved they do not allocate.

mod compound;
mod feedback;
mod ntp;
mod report;
mod source;
mod twcc;
mod twcc_writer;
mod xr;

use std::fmt;

pub use compound::{Compound, RtcpPacket, parse};
pub use feedback::{Fir, FirEntry, Nack, Pli, Remb, write_fir, write_nack, write_pli, write_remb};
pub use ntp::{NtpTime, duration_to_short, round_trip, short_to_duration};
pub use report::{
    ReceiverReport, ReportBlock, ReportBlocks, SenderInfo, SenderReport, write_receiver_report,
    write_sender_report,
};
pub use source::{Bye, Sdes, write_bye, write_cnames};
pub use twcc::{PacketStatus, Packets, TwccFeedback};
pub use twcc_writer::TwccWriter;
pub use xr::{DelaySinceLastRr, Xr, XrBlock, write_receiver_reference_time};

/// Packet types (RFC 3550, section 12.1; RFC 4585, section 9; RFC 3611, section 6.3).
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SDES: u8 = 202;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
const EXTENDED_REPORT: u8 = 207;

/// Formats of transport-layer feedback.
const FORMAT_NACK: u8 = 1;
const FORMAT_TWCC: u8 = 15;
/// Formats of payload-specific feedback.
const FORMAT_PLI: u8 = 1;
const FORMAT_FIR: u8 = 4;
const FORMAT_APPLICATION: u8 = 15;

/// Report blocks, SDES chunks or BYE sources that fit one packet: a five-bit count.
const MAX_COUNT: usize = 31;

/// Why a compound packet, or one packet of it, is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RtcpError {
    /// Fewer bytes left than a header needs, or none at all.
    Truncated,
    /// The version field is not 2.
    Version,
    /// The length field reaches beyond the datagram.
    Length,
    /// The padding count is zero or larger than the packet.
    Padding,
    /// The body does not fit the named packet type.
    Body(&'static str),
    /// The named value is too long to be written.
    TooLong(&'static str),
}

impl fmt::Display for RtcpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RtcpError::Truncated => f.write_str("rtcp packet is shorter than its header"),
            RtcpError::Version => f.write_str("rtcp version is not 2"),
            RtcpError::Length => f.write_str("rtcp length exceeds the datagram"),
            RtcpError::Padding => f.write_str("rtcp padding count does not fit the packet"),
            RtcpError::Body(what) => write!(f, "rtcp {what} is malformed"),
            RtcpError::TooLong(what) => write!(f, "rtcp {what} is too long"),
        }
    }
}

impl std::error::Error for RtcpError {}

/// Appends a packet header with `count` in its low five bits; returns where it starts.
fn begin(out: &mut Vec<u8>, count: u8, packet_type: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[2 << 6 | count, packet_type, 0, 0]);
    start
}

/// Pads the packet that began at `start` with zeros and fills in its length.
fn finish(out: &mut Vec<u8>, start: usize) {
    let padded_len = (out.len() - start).next_multiple_of(4);
    out.resize(start + padded_len, 0);
    let words = (padded_len / 4 - 1) as u16;
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests;
