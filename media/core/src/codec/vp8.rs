//! VP8 payload descriptor and frame header (RFC 7741, sections 4.2 and 4.3).

use super::numbers::{Field, PictureNumbers};
use super::{MalformedPayload, PayloadInfo};
use crate::rtp::bytes::{u8_at, u16_at};

/// The payload descriptor, and what follows it if a frame starts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// No other frame needs this one.
    pub non_reference: bool,
    /// A partition starts with this packet.
    pub partition_start: bool,
    /// Number of the partition, 0..=7.
    pub partition: u8,
    /// 7 or 15 bits.
    pub picture_id: Option<u16>,
    /// The picture id has 15 bits.
    pub picture_id_is_long: bool,
    /// Counts the frames of the temporal base layer.
    pub tl0_picture_index: Option<u8>,
    /// Temporal layer and whether switching up to it is possible here.
    pub temporal_layer: Option<(u8, bool)>,
    /// Counts keyframes; 5 bits.
    pub key_index: Option<u8>,
    /// Bytes of the descriptor.
    pub len: usize,
}

impl Vp8Descriptor {
    /// Reads the descriptor.
    ///
    /// # Errors
    ///
    /// It ends early, or no payload follows it.
    pub fn parse(payload: &[u8]) -> Result<Vp8Descriptor, MalformedPayload> {
        parse(payload).ok_or(MalformedPayload)
    }

    /// Whether a frame starts with this packet.
    pub fn is_frame_start(&self) -> bool {
        self.partition_start && self.partition == 0
    }

    /// Where the numbers are. The extension bytes come in a fixed order.
    pub fn numbers(&self) -> PictureNumbers {
        let mut at = 2;
        let picture_id = self.picture_id.map(|value| {
            let is_long = self.picture_id_is_long;
            let field = Field { at, value, bits: if is_long { 15 } else { 7 } };
            at += if is_long { 2 } else { 1 };
            field
        });
        let tl0_picture_index = self.tl0_picture_index.map(|value| {
            at += 1;
            Field { at: at - 1, value: value.into(), bits: 8 }
        });
        let key_index = self.key_index.map(|value| Field { at, value: value.into(), bits: 5 });
        PictureNumbers { picture_id, tl0_picture_index, key_index }
    }
}

fn parse(payload: &[u8]) -> Option<Vp8Descriptor> {
    let first = u8_at(payload, 0)?;
    let extension = if first & 0x80 != 0 { u8_at(payload, 1)? } else { 0 };
    let mut len = if first & 0x80 != 0 { 2 } else { 1 };
    let (mut picture_id, mut picture_id_is_long) = (None, false);
    if extension & 0x80 != 0 {
        let short = u8_at(payload, len)?;
        let long = short & 0x80 != 0;
        picture_id_is_long = long;
        let value = if long { u16_at(payload, len)? & 0x7fff } else { short.into() };
        picture_id = Some(value);
        len += if long { 2 } else { 1 };
    }
    let mut tl0_picture_index = None;
    if extension & 0x40 != 0 {
        tl0_picture_index = Some(u8_at(payload, len)?);
        len += 1;
    }
    let (mut temporal_layer, mut key_index) = (None, None);
    if extension & 0x30 != 0 {
        let byte = u8_at(payload, len)?;
        len += 1;
        temporal_layer = (extension & 0x20 != 0).then_some((byte >> 6, byte & 0x20 != 0));
        key_index = (extension & 0x10 != 0).then_some(byte & 0x1f);
    }
    u8_at(payload, len)?;
    Some(Vp8Descriptor {
        non_reference: first & 0x20 != 0,
        partition_start: first & 0x10 != 0,
        partition: first & 0x07,
        picture_id,
        picture_id_is_long,
        tl0_picture_index,
        temporal_layer,
        key_index,
        len,
    })
}

/// Says where frames and keyframes start.
///
/// # Errors
///
/// The descriptor ends early.
pub fn inspect(payload: &[u8]) -> Result<PayloadInfo, MalformedPayload> {
    let descriptor = Vp8Descriptor::parse(payload)?;
    let frame_start = descriptor.is_frame_start();
    let frame = payload.get(descriptor.len..).unwrap_or_default();
    let dimensions = if frame_start { keyframe_dimensions(frame) } else { None };
    Ok(PayloadInfo {
        frame_start,
        keyframe_start: dimensions.is_some(),
        needs_head: false,
        temporal_layer: descriptor.temporal_layer.map(|(layer, _)| layer),
        layer_sync: descriptor.temporal_layer.map(|(_, sync)| sync),
        numbers: descriptor.numbers(),
        dimensions,
    })
}

/// Width and height if a complete keyframe header starts here (RFC 6386, section 9.1).
fn keyframe_dimensions(frame: &[u8]) -> Option<(u16, u16)> {
    const START_CODE: [u8; 3] = [0x9d, 0x01, 0x2a];
    let header: &[u8; 10] = frame.first_chunk()?;
    // The lowest bit is zero for keyframes; sizes are little-endian, above them is the scale.
    if header[0] & 1 != 0 || header[3..6] != START_CODE {
        return None;
    }
    let size = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]) & 0x3fff;
    Some((size(6), size(8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keyframe header of 640 × 360 with a scale in the upper bits.
    const KEY: [u8; 10] = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0x68, 0x41];
    const DELTA: [u8; 10] = [0x11, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0x68, 0x41];

    fn joined(descriptor: &[u8], frame: &[u8]) -> Vec<u8> {
        [descriptor, frame].concat()
    }

    #[test]
    fn keyframes_start_where_partition_zero_does() {
        let table: [(&[u8], &[u8], bool, bool); 8] = [
            (&[0x10], &KEY, true, true),
            (&[0x10], &DELTA, true, false),
            (&[0x00], &KEY, false, false),
            (&[0x11], &KEY, false, false),
            (&[0x90, 0x80, 0x7f], &KEY, true, true),
            (&[0x90, 0x80, 0xff, 0xff], &KEY, true, true),
            (&[0x90, 0xe0, 0x81, 0x02, 0x33, 0x40], &KEY, true, true),
            (&[0x90, 0xf0, 0x81, 0x02, 0x33, 0x7f], &DELTA, true, false),
        ];
        for (descriptor, frame, frame_start, keyframe_start) in table {
            let info = inspect(&joined(descriptor, frame)).unwrap();
            let found = (info.frame_start, info.keyframe_start);
            assert_eq!(found, (frame_start, keyframe_start), "{descriptor:x?}");
            assert_eq!(info.dimensions, keyframe_start.then_some((640, 360)));
        }
    }

    #[test]
    fn the_descriptor_is_read_field_by_field() {
        let payload = joined(&[0xb5, 0xf0, 0x92, 0x34, 0x56, 0xa7], &[0]);
        let expected = Vp8Descriptor {
            non_reference: true,
            partition_start: true,
            partition: 5,
            picture_id: Some(0x1234),
            picture_id_is_long: true,
            tl0_picture_index: Some(0x56),
            temporal_layer: Some((2, true)),
            key_index: Some(7),
            len: 6,
        };
        assert_eq!(Vp8Descriptor::parse(&payload), Ok(expected));
        let short = Vp8Descriptor::parse(&[0x80, 0x80, 0x12, 0]).unwrap();
        assert_eq!((short.picture_id, short.len), (Some(0x12), 3));
        let only_key_index = Vp8Descriptor::parse(&[0x80, 0x10, 0xe9, 0]).unwrap();
        assert_eq!((only_key_index.temporal_layer, only_key_index.key_index), (None, Some(9)));
    }

    #[test]
    fn a_cut_payload_is_no_keyframe() {
        let whole = joined(&[0x90, 0xf0, 0x81, 0x02, 0x33, 0x7f], &KEY);
        for len in 0..whole.len() {
            match inspect(&whole[..len]) {
                Ok(info) => assert!(len > 6 && !info.keyframe_start, "{len}"),
                Err(MalformedPayload) => assert!(len <= 6, "{len}"),
            }
        }
    }

    #[test]
    fn a_keyframe_needs_its_start_code() {
        let mut frame = KEY;
        frame[4] = 0;
        assert!(!inspect(&joined(&[0x10], &frame)).unwrap().keyframe_start);
    }
}
