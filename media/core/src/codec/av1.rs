//! AV1 payloads: aggregation header and the first OBU
//! (RTP Payload Format For AV1 1.0, section 4.4).

use super::{MalformedPayload, PayloadInfo};
use crate::rtp::bytes::u8_at;

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;

/// The aggregation header and what the first OBU says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Av1Payload {
    /// The first element continues an OBU of the packet before (Z).
    pub continues: bool,
    /// The last element goes on in the next packet (Y).
    pub continued: bool,
    /// Elements, 1..=3; zero: each has its length (W).
    pub elements: u8,
    /// First packet of a coded video sequence (N).
    pub new_sequence: bool,
    /// Type of the first OBU, unless it is a continuation.
    pub first_obu: Option<u8>,
    /// Temporal and spatial layer of the first OBU.
    pub layer: Option<(u8, u8)>,
}

impl Av1Payload {
    /// Reads the aggregation header and the header of the first OBU.
    ///
    /// # Errors
    ///
    /// It ends early, its forbidden bit is set, or it continues an OBU and starts a sequence.
    pub fn parse(payload: &[u8]) -> Result<Av1Payload, MalformedPayload> {
        parse(payload).ok_or(MalformedPayload)
    }

    /// Whether a frame starts here, as far as the first OBU tells.
    pub fn is_frame_start(&self) -> bool {
        let starts = [SEQUENCE_HEADER, TEMPORAL_DELIMITER, FRAME_HEADER, FRAME];
        self.new_sequence || self.first_obu.is_some_and(|obu| starts.contains(&obu))
    }
}

fn parse(payload: &[u8]) -> Option<Av1Payload> {
    let header = u8_at(payload, 0)?;
    let (continues, new_sequence) = (header & 0x80 != 0, header & 0x08 != 0);
    let elements = header >> 4 & 3;
    // With W = 1 the only element has no length.
    let (len, at) =
        if elements == 1 { (payload.len().checked_sub(1)?, 1) } else { read_leb128(payload, 1)? };
    let element = payload.get(at..at.checked_add(len)?)?;
    let obu = u8_at(element, 0)?;
    if continues {
        let continuation = Av1Payload {
            continues,
            continued: header & 0x40 != 0,
            elements,
            new_sequence,
            first_obu: None,
            layer: None,
        };
        return (!new_sequence).then_some(continuation);
    }
    if obu & 0x80 != 0 {
        return None;
    }
    let layer = if obu & 0x04 != 0 {
        let extension = u8_at(element, 1)?;
        Some((extension >> 5, extension >> 3 & 3))
    } else {
        None
    };
    Some(Av1Payload {
        continues,
        continued: header & 0x40 != 0,
        elements,
        new_sequence,
        first_obu: Some(obu >> 3 & 0x0f),
        layer,
    })
}

/// A little-endian number of seven bits a byte; returns it and where it ends.
fn read_leb128(data: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut value: u64 = 0;
    for index in 0..8 {
        let byte = u8_at(data, at + index)?;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, at + index + 1));
        }
    }
    None
}

/// Says where frames and keyframes start: a new sequence starts with a keyframe.
///
/// # Errors
///
/// See [`Av1Payload::parse`].
pub fn inspect(payload: &[u8]) -> Result<PayloadInfo, MalformedPayload> {
    let parsed = Av1Payload::parse(payload)?;
    let starts_sequence = matches!(parsed.first_obu, Some(SEQUENCE_HEADER | TEMPORAL_DELIMITER));
    Ok(PayloadInfo {
        frame_start: parsed.is_frame_start(),
        keyframe_start: parsed.new_sequence && starts_sequence,
        temporal_layer: parsed.layer.map(|(temporal, _)| temporal),
        ..PayloadInfo::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const Z: u8 = 0x80;
    const Y: u8 = 0x40;
    const N: u8 = 0x08;
    const W1: u8 = 0x10;
    const W2: u8 = 0x20;

    fn obu(kind: u8) -> u8 {
        kind << 3
    }

    #[test]
    fn keyframes_start_new_sequences() {
        let table: [(&[u8], bool, bool); 9] = [
            (&[N | W2, 2, obu(1), 0, obu(6), 0], true, true),
            (&[N | W1 | Y, obu(1), 0], true, true),
            (&[N, 2, obu(1), 0, 2, obu(6), 0], true, true),
            // A sequence header may be repeated without a keyframe.
            (&[W2, 2, obu(1), 0, obu(6), 0], true, false),
            (&[W1, obu(6), 0], true, false),
            (&[W1, obu(3), 0], true, false),
            (&[W1, obu(4), 0], false, false),
            (&[Z | W1, 0xff, 0], false, false),
            (&[Z | Y, 1, 0xff], false, false),
        ];
        for (payload, frame_start, keyframe_start) in table {
            let info = inspect(payload).unwrap();
            let found = (info.frame_start, info.keyframe_start);
            assert_eq!(found, (frame_start, keyframe_start), "{payload:x?}");
        }
    }

    #[test]
    fn layers_are_in_the_extension() {
        let info = inspect(&[W1, obu(6) | 4, 2 << 5 | 1 << 3, 0]).unwrap();
        assert_eq!(info.temporal_layer, Some(2));
    }

    #[test]
    fn malformed_payloads_are_errors() {
        let table: [&[u8]; 11] = [
            &[],
            &[W1],
            &[W2],
            &[0],
            &[W2, 0],
            &[W2, 3, obu(1), 0],
            &[W1, 0x80],
            &[W1, obu(6) | 4],
            &[Z | N | W1, obu(1)],
            &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0],
        ];
        for payload in table {
            assert_eq!(inspect(payload), Err(MalformedPayload), "{payload:x?}");
        }
    }
}
