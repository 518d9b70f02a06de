//! RTP header: parsing what arrives and writing what leaves (RFC 3550, section 5.1).

use std::fmt;
use std::ops::Range;

use super::{FIXED_HEADER_LEN, SeqNo};
use crate::ext::{Elements, ExtensionBuilder, ExtensionError};
use crate::rtp::bytes::{u8_at, u16_at, u32_at};

const VERSION: u8 = 2;

/// Why bytes are no RTP packet, or a header could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RtpError {
    /// Shorter than the fixed header.
    TooShort,
    /// The version field is not 2.
    Version,
    /// The CSRC list reaches beyond the packet.
    CsrcList,
    /// The extension block reaches beyond the packet.
    ExtensionLength,
    /// The padding count is zero or larger than what follows the header.
    Padding,
    /// Payload types have seven bits.
    PayloadType,
    /// An extension element cannot be written.
    Extension(ExtensionError),
    /// The output buffer is too small.
    BufferTooSmall,
}

impl fmt::Display for RtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RtpError::TooShort => "rtp packet is shorter than its fixed header",
            RtpError::Version => "rtp version is not 2",
            RtpError::CsrcList => "rtp csrc list exceeds the packet",
            RtpError::ExtensionLength => "rtp extension block exceeds the packet",
            RtpError::Padding => "rtp padding count does not fit the packet",
            RtpError::PayloadType => "rtp payload type exceeds seven bits",
            RtpError::Extension(error) => return error.fmt(f),
            RtpError::BufferTooSmall => "buffer is too small for the rtp header",
        })
    }
}

impl std::error::Error for RtpError {}

impl From<ExtensionError> for RtpError {
    fn from(error: ExtensionError) -> RtpError {
        RtpError::Extension(error)
    }
}

/// Where the extension block of a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtensionBlock {
    /// The "defined by profile" field: which form the elements have.
    pub profile: u16,
    /// Offset of the first element in the packet.
    pub start: usize,
    /// Bytes of all elements, a multiple of four.
    pub len: usize,
}

/// Header of a received packet, with offsets into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpHeader {
    /// Marker bit: last packet of a video frame, first of a talk spurt.
    pub marker: bool,
    /// Seven bits.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence_number: SeqNo,
    /// In ticks of the payload type's clock.
    pub timestamp: u32,
    /// Synchronization source.
    pub ssrc: u32,
    /// Contributing sources, which lie right after the fixed header.
    pub csrc_count: u8,
    /// Bytes before the payload: fixed header, CSRC list and extension block.
    pub header_len: usize,
    /// End of the payload; padding, if any, follows.
    pub payload_end: usize,
    /// Extension block, if the packet has one.
    pub extension: Option<ExtensionBlock>,
}

impl RtpHeader {
    /// Parses a decrypted packet.
    ///
    /// Elements of the extension block are not looked at; see [`RtpHeader::extensions`].
    ///
    /// # Errors
    ///
    /// [`RtpError`] naming the field that does not fit the packet.
    pub fn parse(packet: &[u8]) -> Result<RtpHeader, RtpError> {
        let mut header = RtpHeader::parse_protected(packet)?;
        if u8_at(packet, 0).is_some_and(|byte| byte & 0x20 != 0) {
            let padding = packet.last().copied().map_or(0, usize::from);
            if padding == 0 || padding > packet.len() - header.header_len {
                return Err(RtpError::Padding);
            }
            header.payload_end -= padding;
        }
        Ok(header)
    }

    /// Parses the header of a packet whose payload is encrypted or not there yet: the payload
    /// reaches to the end of `packet`, because the padding count cannot be read.
    ///
    /// # Errors
    ///
    /// As [`RtpHeader::parse`], but never [`RtpError::Padding`].
    pub fn parse_protected(packet: &[u8]) -> Result<RtpHeader, RtpError> {
        let fixed: &[u8; FIXED_HEADER_LEN] = packet.first_chunk().ok_or(RtpError::TooShort)?;
        if fixed[0] >> 6 != VERSION {
            return Err(RtpError::Version);
        }
        let csrc_count = fixed[0] & 0x0f;
        let mut header_len = FIXED_HEADER_LEN + 4 * usize::from(csrc_count);
        if header_len > packet.len() {
            return Err(RtpError::CsrcList);
        }
        let mut extension = None;
        if fixed[0] & 0x10 != 0 {
            let block = extension_block(packet, header_len).ok_or(RtpError::ExtensionLength)?;
            header_len = block.start + block.len;
            extension = Some(block);
        }
        Ok(RtpHeader {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence_number: SeqNo(u16::from_be_bytes([fixed[2], fixed[3]])),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            csrc_count,
            header_len,
            payload_end: packet.len(),
            extension,
        })
    }

    /// The fixed header alone: neither marker, CSRCs, extensions nor padding.
    pub fn fixed(&self) -> [u8; FIXED_HEADER_LEN] {
        let mut fixed = [0; FIXED_HEADER_LEN];
        fixed[0] = VERSION << 6;
        fixed[1] = self.payload_type;
        fixed[2..4].copy_from_slice(&self.sequence_number.0.to_be_bytes());
        fixed[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        fixed[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        fixed
    }

    /// Where the payload is, without padding.
    pub fn payload_range(&self) -> Range<usize> {
        self.header_len..self.payload_end
    }

    /// The payload of the packet this header was parsed from, without padding. Empty for
    /// another, shorter packet.
    pub fn payload<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        packet.get(self.payload_range()).unwrap_or_default()
    }

    /// The header extension elements of the packet this header was parsed from.
    pub fn extensions<'a>(&self, packet: &'a [u8]) -> Elements<'a> {
        let Some(block) = self.extension else { return Elements::empty() };
        let data = packet.get(block.start..block.start + block.len).unwrap_or_default();
        Elements::new(block.profile, data)
    }

    /// The contributing sources of the packet this header was parsed from.
    pub fn csrcs<'a>(&self, packet: &'a [u8]) -> impl Iterator<Item = u32> + 'a {
        let count = usize::from(self.csrc_count);
        (0..count).filter_map(move |index| u32_at(packet, FIXED_HEADER_LEN + 4 * index))
    }
}

fn extension_block(packet: &[u8], at: usize) -> Option<ExtensionBlock> {
    let profile = u16_at(packet, at)?;
    let len = 4 * usize::from(u16_at(packet, at + 2)?);
    let start = at + 4;
    (start + len <= packet.len()).then_some(ExtensionBlock { profile, start, len })
}

/// Fixed header of a packet to send. Neither CSRCs nor padding are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutgoingHeader {
    /// Marker bit.
    pub marker: bool,
    /// Seven bits.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence_number: SeqNo,
    /// In ticks of the payload type's clock.
    pub timestamp: u32,
    /// Synchronization source.
    pub ssrc: u32,
}

impl OutgoingHeader {
    /// Writes the header and `extensions` to the start of `out` and returns its length, which
    /// is a multiple of four. An empty builder writes no extension block.
    ///
    /// # Errors
    ///
    /// [`RtpError::PayloadType`] or [`RtpError::BufferTooSmall`].
    pub fn write(&self, extensions: &ExtensionBuilder, out: &mut [u8]) -> Result<usize, RtpError> {
        if self.payload_type > 0x7f {
            return Err(RtpError::PayloadType);
        }
        let (fixed, rest) =
            out.split_first_chunk_mut::<FIXED_HEADER_LEN>().ok_or(RtpError::BufferTooSmall)?;
        let has_extension = u8::from(!extensions.is_empty()) << 4;
        fixed[0] = VERSION << 6 | has_extension;
        fixed[1] = u8::from(self.marker) << 7 | self.payload_type;
        fixed[2..4].copy_from_slice(&self.sequence_number.0.to_be_bytes());
        fixed[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        fixed[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        Ok(FIXED_HEADER_LEN + extensions.write(rest)?)
    }
}

#[cfg(test)]
mod tests;
