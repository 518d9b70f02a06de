//! Feedback about lost packets and pictures, and about bandwidth (RFC 4585, RFC 5104, REMB).

use super::{
    FORMAT_APPLICATION, FORMAT_FIR, FORMAT_NACK, FORMAT_PLI, PAYLOAD_FEEDBACK, RtcpError,
    TRANSPORT_FEEDBACK, begin, finish, put_u16, put_u32,
};
use crate::rtp::SeqNo;
use crate::rtp::bytes::{u16_at, u32_at};

/// Bytes of the two SSRCs that start every feedback packet.
const SSRCS_LEN: usize = 8;
const FIR_ENTRY_LEN: usize = 8;
const REMB_NAME: &[u8] = b"REMB";

/// Request to send packets again (RFC 4585, section 6.2.1).
#[derive(Debug, Clone)]
pub struct Nack<'a> {
    /// Who asks.
    pub sender_ssrc: u32,
    /// The stream with the missing packets.
    pub media_ssrc: u32,
    entries: &'a [u8],
}

impl<'a> Nack<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<Nack<'a>> {
        let entries = body.get(SSRCS_LEN..)?;
        let whole = !entries.is_empty() && entries.len() % 4 == 0;
        let nack = Nack { sender_ssrc: u32_at(body, 0)?, media_ssrc: u32_at(body, 4)?, entries };
        whole.then_some(nack)
    }

    /// How many packets may be missing at most.
    pub fn most_lost(&self) -> usize {
        self.entries.len() / 4 * 17
    }

    /// The missing packets, in the order asked for.
    pub fn lost(&self) -> impl Iterator<Item = SeqNo> + use<'a> {
        self.entries.chunks_exact(4).flat_map(|entry| {
            let first = SeqNo(u16_at(entry, 0).unwrap_or_default());
            let following = u16_at(entry, 2).unwrap_or_default();
            let bits = (0..16).filter(move |bit| following >> bit & 1 == 1);
            std::iter::once(first).chain(bits.map(move |bit| first.add(bit + 1)))
        })
    }
}

/// Request for a keyframe because a picture was lost (RFC 4585, section 6.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pli {
    /// Who asks.
    pub sender_ssrc: u32,
    /// The stream to refresh.
    pub media_ssrc: u32,
}

impl Pli {
    pub(super) fn parse(body: &[u8]) -> Option<Pli> {
        let pli = Pli { sender_ssrc: u32_at(body, 0)?, media_ssrc: u32_at(body, 4)? };
        (body.len() == SSRCS_LEN).then_some(pli)
    }
}

/// One stream of a full intra request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirEntry {
    /// The stream to refresh.
    pub ssrc: u32,
    /// Command number: a repetition of the last one is to be ignored.
    pub sequence: u8,
}

/// Command to send keyframes (RFC 5104, section 4.3.1).
#[derive(Debug, Clone)]
pub struct Fir<'a> {
    /// Who asks.
    pub sender_ssrc: u32,
    entries: &'a [u8],
}

impl<'a> Fir<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<Fir<'a>> {
        let entries = body.get(SSRCS_LEN..)?;
        let whole = !entries.is_empty() && entries.len() % FIR_ENTRY_LEN == 0;
        let fir = Fir { sender_ssrc: u32_at(body, 0)?, entries };
        whole.then_some(fir)
    }

    /// The streams to refresh.
    pub fn entries(&self) -> impl Iterator<Item = FirEntry> + use<'a> {
        self.entries
            .chunks_exact(FIR_ENTRY_LEN)
            .filter_map(|entry| Some(FirEntry { ssrc: u32_at(entry, 0)?, sequence: entry[4] }))
    }
}

/// Bandwidth the receiver believes in (draft-alvestrand-rmcat-remb-03, section 2.2).
#[derive(Debug, Clone)]
pub struct Remb<'a> {
    /// Who estimates.
    pub sender_ssrc: u32,
    /// For all streams together, in bit/s; saturated.
    pub bitrate_bps: u64,
    ssrcs: &'a [u8],
}

impl<'a> Remb<'a> {
    /// Whether application-layer feedback is a REMB at all.
    pub(super) fn is_remb(body: &[u8]) -> bool {
        body.get(SSRCS_LEN..).is_some_and(|body| body.starts_with(REMB_NAME))
    }

    pub(super) fn parse(body: &'a [u8]) -> Option<Remb<'a>> {
        let word = u32_at(body, 12)?;
        let count = (word >> 24) as usize;
        let exponent = word >> 18 & 0x3f;
        let mantissa = u64::from(word & 0x3ffff);
        let ssrcs = body.get(16..16 + 4 * count)?;
        // The exponent is below 64, so only bits can be shifted out.
        let bitrate_bps =
            if mantissa.leading_zeros() < exponent { u64::MAX } else { mantissa << exponent };
        Some(Remb { sender_ssrc: u32_at(body, 0)?, bitrate_bps, ssrcs })
    }

    /// The streams the estimate is for.
    pub fn ssrcs(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.ssrcs.chunks_exact(4).filter_map(|chunk| u32_at(chunk, 0))
    }
}

fn begin_feedback(
    out: &mut Vec<u8>,
    format: u8,
    packet_type: u8,
    sender_ssrc: u32,
    media_ssrc: u32,
) -> usize {
    let start = begin(out, format, packet_type);
    put_u32(out, sender_ssrc);
    put_u32(out, media_ssrc);
    start
}

/// Appends a request for lost packets. Ascending numbers share entries: each holds a number
/// and any of the 16 after it. Appends nothing if `lost` is empty.
pub fn write_nack(out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32, lost: &[SeqNo]) {
    let Some((&first, rest)) = lost.split_first() else { return };
    let start = begin_feedback(out, FORMAT_NACK, TRANSPORT_FEEDBACK, sender_ssrc, media_ssrc);
    let mut entry = (first, 0_u16);
    for &number in rest {
        match number.0.wrapping_sub(entry.0.0) {
            0 => {}
            step @ 1..=16 => entry.1 |= 1 << (step - 1),
            _ => {
                put_entry(out, entry);
                entry = (number, 0);
            }
        }
    }
    put_entry(out, entry);
    finish(out, start);
}

fn put_entry(out: &mut Vec<u8>, (first, following): (SeqNo, u16)) {
    put_u16(out, first.0);
    put_u16(out, following);
}

/// Appends a picture loss indication.
pub fn write_pli(out: &mut Vec<u8>, pli: Pli) {
    let Pli { sender_ssrc, media_ssrc } = pli;
    let start = begin_feedback(out, FORMAT_PLI, PAYLOAD_FEEDBACK, sender_ssrc, media_ssrc);
    finish(out, start);
}

/// Appends a full intra request. Appends nothing if `entries` is empty.
pub fn write_fir(out: &mut Vec<u8>, sender_ssrc: u32, entries: &[FirEntry]) {
    if entries.is_empty() {
        return;
    }
    let start = begin_feedback(out, FORMAT_FIR, PAYLOAD_FEEDBACK, sender_ssrc, 0);
    for entry in entries {
        put_u32(out, entry.ssrc);
        put_u32(out, u32::from(entry.sequence) << 24);
    }
    finish(out, start);
}

/// Appends a bandwidth estimate, rounded down to 18 significant bits.
///
/// # Errors
///
/// [`RtcpError::TooLong`] for more than 255 streams; nothing is then appended.
pub fn write_remb(
    out: &mut Vec<u8>,
    sender_ssrc: u32,
    bitrate_bps: u64,
    ssrcs: &[u32],
) -> Result<(), RtcpError> {
    let count = u8::try_from(ssrcs.len()).map_err(|_| RtcpError::TooLong("ssrc list"))?;
    let start = begin_feedback(out, FORMAT_APPLICATION, PAYLOAD_FEEDBACK, sender_ssrc, 0);
    let exponent = (64 - bitrate_bps.leading_zeros()).saturating_sub(18);
    let mantissa = (bitrate_bps >> exponent) as u32;
    out.extend_from_slice(REMB_NAME);
    put_u32(out, u32::from(count) << 24 | exponent << 18 | mantissa);
    for ssrc in ssrcs {
        put_u32(out, *ssrc);
    }
    finish(out, start);
    Ok(())
}
