//! Payloads of pictures as encoders of each codec send them, up to where test data lies.

use media_core::api::{Codec, CodecParameters};

use super::media::CLOCK_VIDEO;

/// Which codec a track is sent by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    #[default]
    Vp8,
    /// Without flexible mode, with picture numbers (RFC 9628, section 4.2).
    Vp9,
    /// Fragments; keyframes begin with a packet of parameter sets (RFC 6184, section 5).
    H264,
    /// The same with parameter sets that the decoder has from elsewhere.
    BareH264,
}

/// NAL unit type of what decoders leave out.
const FILLER_DATA: u8 = 12;
/// SPS and PPS in one packet.
const PARAMETER_SETS: [u8; 9] = [0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce];

impl Form {
    /// Payload types of the publisher.
    pub fn payload_types(self) -> (u8, u8) {
        match self {
            Form::Vp8 => (96, 97),
            Form::Vp9 => (98, 99),
            Form::H264 | Form::BareH264 => (102, 103),
        }
    }

    /// What is negotiated, with these payload types.
    pub fn parameters(self, (payload_type, rtx): (u8, u8)) -> CodecParameters {
        CodecParameters {
            codec: match self {
                Form::Vp8 => Codec::Vp8,
                Form::Vp9 => Codec::Vp9,
                Form::H264 | Form::BareH264 => Codec::H264,
            },
            payload_type,
            rtx_payload_type: Some(rtx),
            red_payload_type: None,
            clock_rate_hz: CLOCK_VIDEO,
            variant: String::new(),
        }
    }

    /// Writes the beginning of packet `part` of `parts` of a picture. `numbers` is a payload
    /// descriptor of VP8 for the later packets of the picture.
    pub fn write(
        self,
        payload: &mut [u8],
        numbers: Option<[u8; 6]>,
        keyframe: bool,
        (part, parts): (usize, usize),
    ) {
        let (first, last) = (part == 0, part + 1 == parts);
        match (self, numbers) {
            (Form::Vp8, Some(mut descriptor)) => {
                descriptor[0] |= if first { 0x10 } else { 0 };
                payload[..6].copy_from_slice(&descriptor);
                payload[6] = u8::from(!keyframe);
                payload[9..12].copy_from_slice(&[0x9d, 0x01, 0x2a]);
                payload[12..16].copy_from_slice(&[0x80, 0x02, 0x68, 0x01]);
            }
            (Form::Vp8, None) => {
                // The payload descriptor, then the first byte of the frame (RFC 7741, 4.2, 4.3).
                payload[0] = if first { 0x10 } else { 0x00 };
                payload[1] = u8::from(!keyframe);
                payload[4..7].copy_from_slice(&[0x9d, 0x01, 0x2a]);
            }
            (Form::Vp9, numbers) => {
                let [_, _, high, low, tl0, layer] = numbers.expect("picture numbers");
                let inter = if keyframe { 0 } else { 0x40 };
                let edges = if first { 0x08 } else { 0 } | if last { 0x04 } else { 0 };
                let layer = (layer >> 6) << 5;
                payload[..5].copy_from_slice(&[0xa0 | inter | edges, high, low, layer, tl0]);
            }
            (Form::H264, _) if keyframe && first => {
                let rest = (payload.len() - 11) as u16;
                payload[..9].copy_from_slice(&PARAMETER_SETS);
                payload[9..11].copy_from_slice(&rest.to_be_bytes());
                payload[11] = FILLER_DATA;
            }
            (Form::H264 | Form::BareH264, _) => {
                let unit = if keyframe { 5 } else { 1 };
                let begins = part == usize::from(keyframe && self == Form::H264);
                let edges = if begins { 0x80 } else { 0 } | if last { 0x40 } else { 0 };
                // A unit in one fragment is none.
                payload[..3].copy_from_slice(&match edges {
                    0xc0 => [0x60 | unit, 0x88, 0],
                    _ => [0x7c, edges | unit, 0x88],
                });
            }
        }
    }
}

/// Whether a payload begins with a packet of parameter sets.
pub fn has_parameter_sets(start: [u8; 8]) -> bool {
    start == PARAMETER_SETS[..8]
}
