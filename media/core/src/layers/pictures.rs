//! Picture numbers without gaps, although pictures are left out and sources change
//! (RFC 7741, section 4.2; RFC 9628, section 4.2).

use std::collections::VecDeque;

use crate::codec::numbers::{Field, PictureNumbers, PictureOffsets};

/// From `first` on, incoming picture ids lie `behind` above the outgoing ones.
#[derive(Debug, Clone, Copy)]
struct Segment {
    first: u64,
    behind: u64,
}

/// One number that only changes its offset when the source does.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    offset: u8,
    /// Newest outgoing value.
    last: Option<u8>,
}

impl Counter {
    fn join(&mut self, field: Option<Field>) {
        if let (Some(field), Some(last)) = (field, self.last) {
            self.offset = (field.value as u8).wrapping_sub(last.wrapping_add(1));
        }
    }

    fn advance(&mut self, field: Option<Field>) {
        if let Some(field) = field {
            self.last = Some((field.value as u8).wrapping_sub(self.offset));
        }
    }
}

/// Gives the pictures forwarded to one subscriber their numbers.
///
/// Pictures the source lost leave a gap in the ids, pictures left out on purpose leave none, and
/// a new source continues where the last one ended. Keeps the places of the last 128 left-out
/// pictures (2 KiB) for packets that come late.
#[derive(Debug, Clone, Default)]
pub struct PictureNumbering {
    segments: VecDeque<Segment>,
    /// Newest incoming id, extended, and its width.
    newest: Option<(u64, u8)>,
    /// One past the newest outgoing id; `None` before the first.
    next: Option<u64>,
    tl0: Counter,
    key: Counter,
    joins: bool,
}

impl PictureNumbering {
    const SEGMENTS: usize = 128;
    /// Extended ids start here, so that early ones before the first do not underflow.
    const BASE: u64 = 1 << 32;

    /// The next picture follows the last one sent, whatever its numbers are.
    pub fn join(&mut self) {
        self.joins = self.next.is_some();
    }

    /// The offsets of a packet that is sent. `None` if its picture was left out, or lies so far
    /// back that nothing is known of it.
    pub fn place(&mut self, numbers: &PictureNumbers) -> Option<PictureOffsets> {
        let is_new = match numbers.picture_id {
            Some(field) => self.place_picture(field, numbers)?,
            None => {
                if std::mem::take(&mut self.joins) {
                    self.join_counters(numbers);
                }
                true
            }
        };
        if is_new {
            self.tl0.advance(numbers.tl0_picture_index);
            self.key.advance(numbers.key_index);
        }
        let behind = numbers.picture_id.and_then(|field| self.behind(self.extend(field)));
        Some(PictureOffsets {
            picture_id: behind.unwrap_or(0) as u16,
            tl0_picture_index: self.tl0.offset,
            key_index: self.key.offset,
        })
    }

    /// Leaves out the picture of a packet. Later packets of it change nothing.
    pub fn skip(&mut self, numbers: &PictureNumbers) {
        let (Some(field), Some((newest, bits))) = (numbers.picture_id, self.newest) else { return };
        let id = self.extend(field);
        if self.joins || field.bits != bits || id <= newest {
            return;
        }
        self.newest = Some((id, bits));
        let Some(current) = self.segments.back_mut() else { return };
        let behind = current.behind.wrapping_add(1);
        if current.first == id {
            *current = Segment { first: id + 1, behind };
            return;
        }
        if self.segments.len() == Self::SEGMENTS {
            self.segments.pop_front();
        }
        self.segments.push_back(Segment { first: id + 1, behind });
    }

    /// Offsets of the numbers that follow the source: TL0PICIDX and KEYIDX.
    pub fn source_offsets(&self) -> (u8, u8) {
        (self.tl0.offset, self.key.offset)
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        self.segments.capacity() * size_of::<Segment>()
    }

    /// Returns whether the picture is the newest.
    fn place_picture(&mut self, field: Field, numbers: &PictureNumbers) -> Option<bool> {
        let same_width = self.newest.is_some_and(|(_, bits)| bits == field.bits);
        if !same_width || self.joins {
            let id = Self::BASE + u64::from(field.value);
            let next = self.next.unwrap_or(id);
            self.newest = Some((id, field.bits));
            self.segments.clear();
            self.segments.push_back(Segment { first: id, behind: id.wrapping_sub(next) });
            self.next = Some(next + 1);
            if std::mem::take(&mut self.joins) {
                self.join_counters(numbers);
            }
            return Some(true);
        }
        let (newest, bits) = self.newest?;
        let id = self.extend(field);
        let outgoing = id.wrapping_sub(self.behind(id)?);
        if id > newest {
            self.newest = Some((id, bits));
        }
        self.next = self.next.max(Some(outgoing + 1));
        Some(id >= newest)
    }

    fn join_counters(&mut self, numbers: &PictureNumbers) {
        self.tl0.join(numbers.tl0_picture_index);
        self.key.join(numbers.key_index);
    }

    /// The id next to the newest one that has these low bits.
    fn extend(&self, field: Field) -> u64 {
        let Some((newest, _)) = self.newest else { return Self::BASE + u64::from(field.value) };
        let modulus = 1_u64 << field.bits;
        let ahead = u64::from(field.value).wrapping_sub(newest) & (modulus - 1);
        if ahead < modulus / 2 { newest + ahead } else { newest + ahead - modulus }
    }

    /// What the picture's outgoing id lies behind. `None` if it was left out.
    fn behind(&self, id: u64) -> Option<u64> {
        let after = self.segments.partition_point(|segment| segment.first <= id);
        let segment = *self.segments.get(after.checked_sub(1)?)?;
        match self.segments.get(after) {
            // It lies among the ones left out before the next segment.
            Some(next)
                if id.wrapping_sub(segment.behind) >= next.first.wrapping_sub(next.behind) =>
            {
                None
            }
            _ => Some(segment.behind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(id: u16, tl0: u8, key: u8) -> PictureNumbers {
        PictureNumbers {
            picture_id: Some(Field { at: 2, value: id & 0x7fff, bits: 15 }),
            tl0_picture_index: Some(Field { at: 4, value: tl0.into(), bits: 8 }),
            key_index: Some(Field { at: 5, value: (key & 0x1f).into(), bits: 5 }),
        }
    }

    fn out(pictures: &mut PictureNumbering, numbers: PictureNumbers) -> (u16, u8, u8) {
        let offsets = pictures.place(&numbers).unwrap();
        let mut payload = [0x90, 0xf0, 0x80, 0, 0, 0, 9];
        let id = numbers.picture_id.unwrap();
        id.write(&mut payload, id.value);
        numbers.rewrite(&mut payload, offsets);
        let written = crate::codec::vp8::Vp8Descriptor::parse(&payload).unwrap();
        let tl0 = (numbers.tl0_picture_index.unwrap().value as u8)
            .wrapping_sub(offsets.tl0_picture_index);
        let key = (numbers.key_index.unwrap().value as u8).wrapping_sub(offsets.key_index) & 0x1f;
        let id = id.value.wrapping_sub(offsets.picture_id) & 0x7fff;
        assert!(written.picture_id == Some(id));
        (id, tl0, key)
    }

    #[test]
    fn the_first_source_keeps_its_numbers() {
        let mut pictures = PictureNumbering::default();
        pictures.join();
        assert_eq!(out(&mut pictures, numbers(7, 9, 3)), (7, 9, 3));
        assert_eq!(out(&mut pictures, numbers(8, 9, 3)), (8, 9, 3));
        assert_eq!(out(&mut pictures, numbers(10, 10, 3)), (10, 10, 3), "one was lost");
        assert_eq!(out(&mut pictures, numbers(9, 10, 3)), (9, 10, 3), "and came late");
    }

    #[test]
    fn left_out_pictures_leave_no_gap_across_the_wrap() {
        for first in [0_u16, 1, 126, 127, 32_766, 32_767] {
            let mut pictures = PictureNumbering::default();
            let mut expected = first;
            for step in 0..40_u16 {
                let (id, tl0) = (first.wrapping_add(step) & 0x7fff, (step / 4) as u8);
                if step % 2 == 1 {
                    pictures.skip(&numbers(id, tl0, 0));
                    pictures.skip(&numbers(id, tl0, 0));
                } else {
                    for _ in 0..3 {
                        assert_eq!(out(&mut pictures, numbers(id, tl0, 0)), (expected, tl0, 0));
                    }
                    expected = (expected + 1) & 0x7fff;
                }
            }
            let skipped = first.wrapping_add(37) & 0x7fff;
            assert_eq!(pictures.place(&numbers(skipped, 9, 0)), None, "was left out");
            let late = first.wrapping_add(36) & 0x7fff;
            assert_eq!(out(&mut pictures, numbers(late, 9, 0)).0, (first + 18) & 0x7fff);
        }
    }

    #[test]
    fn another_source_continues_all_numbers() {
        let mut pictures = PictureNumbering::default();
        out(&mut pictures, numbers(32_767, 255, 31));
        pictures.join();
        assert_eq!(out(&mut pictures, numbers(500, 77, 4)), (0, 0, 0));
        assert_eq!(out(&mut pictures, numbers(501, 77, 4)), (1, 0, 0));
        assert_eq!(out(&mut pictures, numbers(502, 78, 4)), (2, 1, 0));
        pictures.join();
        assert_eq!(out(&mut pictures, numbers(3, 3, 3)), (3, 2, 1));
    }

    #[test]
    fn what_is_left_out_before_a_new_source_starts_does_not_count() {
        let mut pictures = PictureNumbering::default();
        pictures.skip(&numbers(1, 1, 1));
        out(&mut pictures, numbers(5, 0, 0));
        pictures.join();
        pictures.skip(&numbers(900, 0, 0));
        assert_eq!(out(&mut pictures, numbers(901, 9, 9)), (6, 1, 1));
    }

    #[test]
    fn ids_of_seven_bits_wrap_at_128() {
        let mut pictures = PictureNumbering::default();
        let short = |value: u16| PictureNumbers {
            picture_id: Some(Field { at: 2, value: value & 0x7f, bits: 7 }),
            ..PictureNumbers::default()
        };
        for step in 0..400_u16 {
            let numbers = short(100 + step);
            if step % 3 == 2 {
                pictures.skip(&numbers);
                continue;
            }
            let offsets = pictures.place(&numbers).unwrap();
            let expected = (100 + step - step / 3) & 0x7f;
            let id = numbers.picture_id.unwrap().value.wrapping_sub(offsets.picture_id) & 0x7f;
            assert_eq!(id, expected);
        }
        assert!(pictures.memory_bytes() <= 4_096);
    }

    #[test]
    fn streams_without_picture_ids_keep_their_other_numbers_continuous() {
        let mut pictures = PictureNumbering::default();
        let only_tl0 = |value: u16| PictureNumbers {
            tl0_picture_index: Some(Field { at: 2, value, bits: 8 }),
            ..PictureNumbers::default()
        };
        assert_eq!(pictures.place(&only_tl0(9)), Some(PictureOffsets::default()));
        assert_eq!(pictures.place(&PictureNumbers::default()), Some(PictureOffsets::default()));
    }
}
