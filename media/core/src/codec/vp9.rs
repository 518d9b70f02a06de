//! VP9 payload descriptor (RFC 9628, section 4.2).

use super::numbers::{Field, PictureNumbers};
use super::{MalformedPayload, PayloadInfo};
use crate::rtp::bytes::{u8_at, u16_at};

/// Place of a packet among the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vp9Layer {
    /// Temporal layer, 0..=7.
    pub temporal: u8,
    /// Switching up to this temporal layer is possible here.
    pub switching_up: bool,
    /// Spatial layer, 0..=7.
    pub spatial: u8,
    /// Depends on the next lower spatial layer of the same picture.
    pub inter_layer_predicted: bool,
}

/// The payload descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vp9Descriptor {
    /// 7 or 15 bits.
    pub picture_id: Option<u16>,
    /// The picture id has 15 bits.
    pub picture_id_is_long: bool,
    /// Depends on earlier pictures.
    pub inter_predicted: bool,
    /// The packet is the first of a layer frame.
    pub frame_start: bool,
    /// The packet is the last of a layer frame.
    pub frame_end: bool,
    /// No higher spatial layer needs this frame.
    pub not_for_higher: bool,
    /// Where the stream has layers.
    pub layer: Option<Vp9Layer>,
    /// Counts the frames of the temporal base layer; only without flexible mode.
    pub tl0_picture_index: Option<u8>,
    /// Width and height of the largest spatial layer, from the scalability structure.
    pub dimensions: Option<(u16, u16)>,
    /// Bytes of the descriptor.
    pub len: usize,
}

impl Vp9Descriptor {
    /// Reads the descriptor.
    ///
    /// # Errors
    ///
    /// It ends early, names more references than allowed, or no payload follows it.
    pub fn parse(payload: &[u8]) -> Result<Vp9Descriptor, MalformedPayload> {
        let mut reader = Reader { payload, at: 0 };
        let descriptor = read(&mut reader).ok_or(MalformedPayload)?;
        u8_at(payload, descriptor.len).ok_or(MalformedPayload)?;
        Ok(descriptor)
    }

    /// Where the numbers are: the picture id comes first, the index after the layer byte.
    pub fn numbers(&self) -> PictureNumbers {
        let bits = if self.picture_id_is_long { 15 } else { 7 };
        let picture_id = self.picture_id.map(|value| Field { at: 1, value, bits });
        let id_len = if picture_id.is_none() { 0 } else { 1 + u8::from(self.picture_id_is_long) };
        let tl0_picture_index = self.tl0_picture_index.map(|value| Field {
            at: 1 + id_len + 1,
            value: value.into(),
            bits: 8,
        });
        PictureNumbers { picture_id, tl0_picture_index, key_index: None }
    }

    /// Whether decoding can start here: a picture without references, at its lowest layer.
    pub fn is_keyframe_start(&self) -> bool {
        let lowest = self.layer.is_none_or(|layer| layer.spatial == 0);
        self.frame_start && !self.inter_predicted && lowest
    }
}

struct Reader<'a> {
    payload: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = u8_at(self.payload, self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn word(&mut self) -> Option<u16> {
        let word = u16_at(self.payload, self.at)?;
        self.at += 2;
        Some(word)
    }
}

fn read(reader: &mut Reader<'_>) -> Option<Vp9Descriptor> {
    let first = reader.byte()?;
    let has = |mask: u8| first & mask != 0;
    let (inter_predicted, flexible) = (has(0x40), has(0x10));
    let (picture_id, picture_id_is_long) = match has(0x80) {
        true => read_picture_id(reader).map(|(value, is_long)| (Some(value), is_long))?,
        false => (None, false),
    };
    let (mut layer, mut tl0_picture_index) = (None, None);
    if has(0x20) {
        let byte = reader.byte()?;
        layer = Some(Vp9Layer {
            temporal: byte >> 5,
            switching_up: byte & 0x10 != 0,
            spatial: byte >> 1 & 7,
            inter_layer_predicted: byte & 1 != 0,
        });
        if !flexible {
            tl0_picture_index = Some(reader.byte()?);
        }
    }
    if flexible && inter_predicted {
        skip_references(reader)?;
    }
    let dimensions = if has(0x02) { read_structure(reader)? } else { None };
    Some(Vp9Descriptor {
        picture_id,
        picture_id_is_long,
        inter_predicted,
        frame_start: has(0x08),
        frame_end: has(0x04),
        not_for_higher: has(0x01),
        layer,
        tl0_picture_index,
        dimensions,
        len: reader.at,
    })
}

/// The id and whether it has 15 bits.
fn read_picture_id(reader: &mut Reader<'_>) -> Option<(u16, bool)> {
    let short = reader.byte()?;
    if short & 0x80 == 0 {
        return Some((short.into(), false));
    }
    Some((u16::from(short & 0x7f) << 8 | u16::from(reader.byte()?), true))
}

/// Up to three reference indices; the lowest bit announces another.
fn skip_references(reader: &mut Reader<'_>) -> Option<()> {
    for _ in 0..3 {
        if reader.byte()? & 1 == 0 {
            return Some(());
        }
    }
    None
}

/// The scalability structure: sizes of the spatial layers, then the picture group.
#[expect(clippy::option_option, reason = "outer: complete, inter: has sizes")]
fn read_structure(reader: &mut Reader<'_>) -> Option<Option<(u16, u16)>> {
    let header = reader.byte()?;
    let mut largest = None;
    if header & 0x10 != 0 {
        for _ in 0..=header >> 5 {
            largest = Some((reader.word()?, reader.word()?));
        }
    }
    if header & 0x08 != 0 {
        for _ in 0..reader.byte()? {
            let references = reader.byte()? >> 2 & 3;
            for _ in 0..references {
                reader.byte()?;
            }
        }
    }
    Some(largest)
}

/// Says where frames and keyframes start.
///
/// # Errors
///
/// The descriptor ends early.
pub fn inspect(payload: &[u8]) -> Result<PayloadInfo, MalformedPayload> {
    let descriptor = Vp9Descriptor::parse(payload)?;
    let keyframe_start = descriptor.is_keyframe_start();
    Ok(PayloadInfo {
        frame_start: descriptor.frame_start,
        keyframe_start,
        needs_head: false,
        temporal_layer: descriptor.layer.map(|layer| layer.temporal),
        layer_sync: None,
        numbers: descriptor.numbers(),
        dimensions: descriptor.dimensions.filter(|_| keyframe_start),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const I: u8 = 0x80;
    const P: u8 = 0x40;
    const L: u8 = 0x20;
    const F: u8 = 0x10;
    const B: u8 = 0x08;
    const E: u8 = 0x04;
    const V: u8 = 0x02;
    const Z: u8 = 0x01;

    /// One spatial layer of 1,280 × 720 and a group of two pictures.
    const STRUCTURE: [u8; 9] = [0x18, 5, 0, 2, 0xd0, 2, 0x04, 1, 0x20];

    #[test]
    fn keyframes_start_without_references_at_the_lowest_layer() {
        let table: [(&[u8], bool, bool); 9] = [
            (&[B, 9], true, true),
            (&[B | P, 9], true, false),
            (&[E, 9], false, false),
            (&[I | B, 0x7f, 9], true, true),
            (&[I | B, 0xff, 0xff, 9], true, true),
            (&[I | L | B, 0x12, 0x00, 0x05, 9], true, true),
            (&[I | L | B, 0x12, 0x03, 0x05, 9], true, false),
            (&[I | L | F | B, 0x12, 0x00, 9], true, true),
            (&[I | P | F | B, 0x12, 0x03, 0x03, 0x02, 9], true, false),
        ];
        for (payload, frame_start, keyframe_start) in table {
            let info = inspect(payload).unwrap();
            let found = (info.frame_start, info.keyframe_start);
            assert_eq!(found, (frame_start, keyframe_start), "{payload:x?}");
        }
    }

    #[test]
    fn the_descriptor_is_read_field_by_field() {
        let payload = [I | P | L | E | Z, 0x92, 0x34, 0x5d, 0x77, 0];
        let expected = Vp9Descriptor {
            picture_id: Some(0x1234),
            picture_id_is_long: true,
            inter_predicted: true,
            frame_start: false,
            frame_end: true,
            not_for_higher: true,
            layer: Some(Vp9Layer {
                temporal: 2,
                switching_up: true,
                spatial: 6,
                inter_layer_predicted: true,
            }),
            tl0_picture_index: Some(0x77),
            dimensions: None,
            len: 5,
        };
        assert_eq!(Vp9Descriptor::parse(&payload), Ok(expected));
    }

    #[test]
    fn the_structure_names_the_largest_size() {
        let payload = [&[I | B | V, 0x01][..], &STRUCTURE, &[0]].concat();
        let info = inspect(&payload).unwrap();
        assert!(info.keyframe_start);
        assert_eq!(info.dimensions, Some((1_280, 720)));
        let delta = [&[I | P | B | V, 0x01][..], &STRUCTURE, &[0]].concat();
        assert_eq!(inspect(&delta).unwrap().dimensions, None);
    }

    #[test]
    fn a_cut_payload_is_malformed() {
        let two_layers = [0x38, 1, 0x40, 0, 0xb4, 2, 0x80, 1, 0x68, 2, 0x04, 1, 0x20];
        let whole = [&[I | B | V, 0x01][..], &two_layers, &[0]].concat();
        assert_eq!(inspect(&whole).unwrap().dimensions, Some((640, 360)));
        for len in 0..whole.len() {
            assert_eq!(inspect(&whole[..len]), Err(MalformedPayload), "{len}");
        }
    }

    #[test]
    fn endless_references_are_malformed() {
        assert_eq!(inspect(&[P | F | B, 1, 1, 1, 0, 0]), Err(MalformedPayload));
    }
}
