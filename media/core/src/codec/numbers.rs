//! Numbers in payload descriptors that count pictures, and writing others in their place.

/// A number in a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Position of its first byte in the payload.
    pub at: u8,
    /// What it says.
    pub value: u16,
    /// How many bits it has: 5, 7, 8 or 15.
    pub bits: u8,
}

impl Field {
    /// Writes another value, modulo the width of the field. Bits beside it stay.
    ///
    /// Payloads that are too short are left alone.
    pub fn write(&self, payload: &mut [u8], value: u16) {
        let at = usize::from(self.at);
        let bytes = if self.bits > 8 { 2 } else { 1 };
        let Some(place) = payload.get_mut(at..at + bytes) else { return };
        let mask = ((1_u32 << self.bits) - 1) as u16;
        match place {
            [byte] => *byte = *byte & !(mask as u8) | (value & mask) as u8,
            [high, low] => {
                *high = *high & !((mask >> 8) as u8) | ((value & mask) >> 8) as u8;
                *low = value as u8;
            }
            _ => {}
        }
    }
}

/// What counts pictures in one payload; `None` for what is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PictureNumbers {
    /// Counts all pictures of the stream.
    pub picture_id: Option<Field>,
    /// Counts those of the temporal base layer.
    pub tl0_picture_index: Option<Field>,
    /// Counts keyframes.
    pub key_index: Option<Field>,
}

/// What outgoing numbers lie behind the incoming ones, modulo their widths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PictureOffsets {
    /// Of the picture id.
    pub picture_id: u16,
    /// Of TL0PICIDX.
    pub tl0_picture_index: u8,
    /// Of KEYIDX.
    pub key_index: u8,
}

impl PictureNumbers {
    /// Writes the numbers less `offsets` into the payload they were read from.
    pub fn rewrite(&self, payload: &mut [u8], offsets: PictureOffsets) {
        let pairs = [
            (self.picture_id, offsets.picture_id),
            (self.tl0_picture_index, offsets.tl0_picture_index.into()),
            (self.key_index, offsets.key_index.into()),
        ];
        for (field, offset) in pairs {
            if let Some(field) = field
                && offset != 0
            {
                field.write(payload, field.value.wrapping_sub(offset));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::vp8::Vp8Descriptor;
    use crate::codec::vp9::Vp9Descriptor;
    use crate::netem::Rng;

    fn offsets(picture_id: u16, tl0_picture_index: u8, key_index: u8) -> PictureOffsets {
        PictureOffsets { picture_id, tl0_picture_index, key_index }
    }

    #[test]
    fn vp8_numbers_are_written_in_their_width_and_place() {
        let table: [(&[u8], PictureOffsets, &[u8]); 8] = [
            // 15 bits, TL0PICIDX, TID + Y + KEYIDX.
            (
                &[0x90, 0xf0, 0x81, 0x02, 0x33, 0x7f, 9],
                offsets(3, 1, 2),
                &[0x90, 0xf0, 0x80, 0xff, 0x32, 0x7d, 9],
            ),
            (
                &[0x90, 0xf0, 0x80, 0x00, 0x00, 0xa0, 9],
                offsets(1, 1, 1),
                &[0x90, 0xf0, 0xff, 0xff, 0xff, 0xbf, 9],
            ),
            // 7 bits.
            (&[0x90, 0x80, 0x00, 9], offsets(1, 0, 0), &[0x90, 0x80, 0x7f, 9]),
            (&[0x90, 0x80, 0x05, 9], offsets(300, 7, 7), &[0x90, 0x80, 0x59, 9]),
            // Only TL0PICIDX and TID.
            (&[0x90, 0x60, 0x05, 0x40, 9], offsets(1, 6, 1), &[0x90, 0x60, 0xff, 0x40, 9]),
            // Only KEYIDX.
            (&[0x90, 0x10, 0xe3, 9], offsets(1, 1, 4), &[0x90, 0x10, 0xff, 9]),
            // Nothing to write.
            (&[0x10, 9], offsets(1, 1, 1), &[0x10, 9]),
            (
                &[0x90, 0xf0, 0x81, 0x02, 0x33, 0x7f, 9],
                offsets(0, 0, 0),
                &[0x90, 0xf0, 0x81, 0x02, 0x33, 0x7f, 9],
            ),
        ];
        for (payload, offsets, expected) in table {
            let mut payload = payload.to_vec();
            Vp8Descriptor::parse(&payload).unwrap().numbers().rewrite(&mut payload, offsets);
            assert_eq!(payload, expected);
        }
    }

    #[test]
    fn vp9_numbers_are_written_in_their_width_and_place() {
        let table: [(&[u8], PictureOffsets, &[u8]); 4] = [
            (
                &[0xa8, 0x80, 0x00, 0x20, 0x00, 9],
                offsets(1, 1, 1),
                &[0xa8, 0xff, 0xff, 0x20, 0xff, 9],
            ),
            (&[0xa8, 0x05, 0x20, 0x07, 9], offsets(6, 3, 0), &[0xa8, 0x7f, 0x20, 0x04, 9]),
            // Flexible mode has no index.
            (&[0xb8, 0x05, 0x20, 9], offsets(1, 3, 0), &[0xb8, 0x04, 0x20, 9]),
            (&[0x08, 9], offsets(1, 3, 0), &[0x08, 9]),
        ];
        for (payload, offsets, expected) in table {
            let mut payload = payload.to_vec();
            Vp9Descriptor::parse(&payload).unwrap().numbers().rewrite(&mut payload, offsets);
            assert_eq!(payload, expected);
        }
    }

    #[test]
    fn rewriting_changes_the_numbers_and_nothing_else() {
        let mut rng = Rng::new(5);
        let mut read = [0_u32; 2];
        for _ in 0..200_000 {
            let len = 1 + rng.below(16) as usize;
            let payload: Vec<u8> = (0..len).map(|_| rng.bits() as u8).collect();
            let offsets = offsets(rng.bits() as u16, rng.bits() as u8, rng.bits() as u8);
            if let Ok(before) = Vp8Descriptor::parse(&payload) {
                read[0] += 1;
                let mut written = payload.clone();
                before.numbers().rewrite(&mut written, offsets);
                let after = Vp8Descriptor::parse(&written).unwrap();
                let mask = if before.picture_id_is_long { 0x7fff } else { 0x7f };
                let expected = Vp8Descriptor {
                    picture_id: before
                        .picture_id
                        .map(|id| id.wrapping_sub(offsets.picture_id) & mask),
                    tl0_picture_index: before
                        .tl0_picture_index
                        .map(|index| index.wrapping_sub(offsets.tl0_picture_index)),
                    key_index: before
                        .key_index
                        .map(|index| index.wrapping_sub(offsets.key_index) & 0x1f),
                    ..before
                };
                assert_eq!(after, expected, "{payload:x?}");
                assert_eq!(written[before.len..], payload[before.len..]);
            }
            if let Ok(before) = Vp9Descriptor::parse(&payload) {
                read[1] += 1;
                let mut written = payload.clone();
                before.numbers().rewrite(&mut written, offsets);
                let after = Vp9Descriptor::parse(&written).unwrap();
                let mask = if before.picture_id_is_long { 0x7fff } else { 0x7f };
                let expected = Vp9Descriptor {
                    picture_id: before
                        .picture_id
                        .map(|id| id.wrapping_sub(offsets.picture_id) & mask),
                    tl0_picture_index: before
                        .tl0_picture_index
                        .map(|index| index.wrapping_sub(offsets.tl0_picture_index)),
                    ..before
                };
                assert_eq!(after, expected, "{payload:x?}");
                assert_eq!(written[before.len..], payload[before.len..]);
            }
        }
        assert!(read.iter().all(|read| *read > 50_000), "{read:?}");
    }
}
