//! Packets that carry copies of earlier ones: redundant audio data (RFC 2198).
//!
//! A payload is a list of block headers, oldest block first, then the blocks in the same order.
//! All but the last header have four bytes: a one bit, seven bits of payload type, how many ticks
//! the block is older than the packet's timestamp (14 bits), and its length (10 bits). The last
//! has one byte: a zero bit and the payload type of the primary block, which takes what is left.

use std::fmt;

/// Blocks of one payload, the primary included. Browsers read no more.
pub const MAX_BLOCKS: usize = 32;
/// Longest redundant block.
pub const MAX_BLOCK_LEN: usize = (1 << 10) - 1;
/// Largest distance of a redundant block from the primary, in ticks.
pub const MAX_OFFSET: u32 = (1 << 14) - 1;
/// Bytes of the header of a redundant block.
pub const HEADER_LEN: usize = 4;

/// Why a payload is no RED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedError {
    /// It ends within its headers or before a block is complete.
    Truncated,
    /// It has more than [`MAX_BLOCKS`].
    TooManyBlocks,
    /// Its newest block is of another codec than the track.
    ForeignPrimary,
}

impl fmt::Display for RedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RedError::Truncated => f.write_str("the payload ends within a header or a block"),
            RedError::TooManyBlocks => write!(f, "more than {MAX_BLOCKS} blocks"),
            RedError::ForeignPrimary => f.write_str("the newest block is not of the track's codec"),
        }
    }
}

impl std::error::Error for RedError {}

/// One block of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RedBlock {
    /// What the block is, seven bits.
    pub payload_type: u8,
    /// How many ticks it is older than the packet says; zero for the primary.
    pub offset: u16,
    start: u16,
    len: u16,
}

impl RedBlock {
    /// Its bytes in the payload it was parsed from. Empty for another, shorter payload.
    pub fn bytes<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        payload.get(self.range()).unwrap_or_default()
    }

    /// Where it lies in the payload.
    pub fn range(&self) -> std::ops::Range<usize> {
        let start = usize::from(self.start);
        start..start + usize::from(self.len)
    }
}

/// Blocks of one payload. Refers to the payload by position, so that it can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedPayload {
    blocks: [RedBlock; MAX_BLOCKS],
    count: usize,
}

impl RedPayload {
    /// Reads the headers and checks that all blocks are there.
    ///
    /// # Errors
    ///
    /// [`RedError`].
    pub fn parse(payload: &[u8]) -> Result<RedPayload, RedError> {
        let mut red = RedPayload { blocks: [RedBlock::default(); MAX_BLOCKS], count: 0 };
        let mut at = 0;
        loop {
            let first = *payload.get(at).ok_or(RedError::Truncated)?;
            let block = red.blocks.get_mut(red.count).ok_or(RedError::TooManyBlocks)?;
            red.count += 1;
            block.payload_type = first & 0x7f;
            if first & 0x80 == 0 {
                at += 1;
                break;
            }
            let header = payload.get(at..at + HEADER_LEN).ok_or(RedError::Truncated)?;
            let low = u32::from_be_bytes([0, header[1], header[2], header[3]]);
            block.offset = (low >> 10) as u16;
            block.len = (low & 0x3ff) as u16;
            at += HEADER_LEN;
        }
        let (primary, redundant) =
            red.blocks[..red.count].split_last_mut().ok_or(RedError::Truncated)?;
        for block in redundant {
            block.start = u16::try_from(at).map_err(|_| RedError::Truncated)?;
            at += usize::from(block.len);
        }
        let rest = payload.len().checked_sub(at).ok_or(RedError::Truncated)?;
        primary.start = u16::try_from(at).map_err(|_| RedError::Truncated)?;
        primary.len = u16::try_from(rest).map_err(|_| RedError::Truncated)?;
        Ok(red)
    }

    /// The block the packet's timestamp belongs to.
    pub fn primary(&self) -> RedBlock {
        self.blocks[self.count - 1]
    }

    /// The copies, as they stand: oldest first where the sender keeps to the RFC.
    pub fn redundant(&self) -> &[RedBlock] {
        &self.blocks[..self.count - 1]
    }
}

/// Appends a payload to `out`.
///
/// `redundant` are offsets in ticks (at most [`MAX_OFFSET`]) and blocks (at most
/// [`MAX_BLOCK_LEN`]), oldest first; all blocks are of `payload_type`.
pub fn write_red(out: &mut Vec<u8>, payload_type: u8, redundant: &[(u16, &[u8])], primary: &[u8]) {
    for (offset, block) in redundant {
        debug_assert!(u32::from(*offset) <= MAX_OFFSET && block.len() <= MAX_BLOCK_LEN);
        let low = u32::from(*offset) << 10 | block.len() as u32;
        let [_, high, middle, low] = low.to_be_bytes();
        out.extend_from_slice(&[0x80 | payload_type, high, middle, low]);
    }
    out.push(payload_type & 0x7f);
    redundant.iter().for_each(|(_, block)| out.extend_from_slice(block));
    out.extend_from_slice(primary);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netem::Rng;

    #[test]
    fn what_was_written_is_read() {
        let mut rng = Rng::new(5);
        for count in 0..MAX_BLOCKS {
            let blocks: Vec<(u16, Vec<u8>)> = (0..count)
                .map(|_| {
                    (rng.below(1 << 14) as u16, vec![rng.bits() as u8; rng.below(1_024) as usize])
                })
                .collect();
            let redundant: Vec<(u16, &[u8])> = blocks.iter().map(|(o, b)| (*o, &b[..])).collect();
            let mut payload = Vec::new();
            write_red(&mut payload, 111, &redundant, b"primary");
            let red = RedPayload::parse(&payload).unwrap();
            assert_eq!(red.redundant().len(), count);
            for (block, (offset, bytes)) in red.redundant().iter().zip(&blocks) {
                assert_eq!((block.payload_type, block.offset), (111, *offset));
                assert_eq!(block.bytes(&payload), bytes);
            }
            assert_eq!((red.primary().payload_type, red.primary().offset), (111, 0));
            assert_eq!(red.primary().bytes(&payload), b"primary");
        }
    }

    #[test]
    fn malformed_payloads_are_errors() {
        let many = |count: usize| [[0x80 | 111, 0, 0, 0].repeat(count), vec![111]].concat();
        let table: [(&str, Vec<u8>, RedError); 9] = [
            ("nothing", vec![], RedError::Truncated),
            ("one byte of a header", vec![0xef], RedError::Truncated),
            ("three bytes of a header", vec![0xef, 0, 0], RedError::Truncated),
            ("no primary header", vec![0xef, 0, 0, 0], RedError::Truncated),
            ("block beyond the end", vec![0xef, 0, 0, 2, 111, 1], RedError::Truncated),
            (
                "second block beyond",
                vec![0xef, 0, 0, 1, 0xef, 0, 0, 1, 111, 1],
                RedError::Truncated,
            ),
            ("longest block missing", vec![0xef, 0xff, 0xff, 0xff, 111, 1, 2], RedError::Truncated),
            ("33 blocks", many(32), RedError::TooManyBlocks),
            ("endless headers", vec![0xff; 1_400], RedError::TooManyBlocks),
        ];
        for (what, payload, expected) in table {
            assert_eq!(RedPayload::parse(&payload), Err(expected), "{what}");
        }
        assert_eq!(RedPayload::parse(&many(31)).map(|red| red.redundant().len()), Ok(31));
    }

    #[test]
    fn empty_blocks_are_blocks() {
        let red = RedPayload::parse(&[0xef, 0x0f, 0, 0, 111]).unwrap();
        assert_eq!(red.redundant()[0].offset, 960);
        assert_eq!(red.redundant()[0].bytes(&[0xef, 0x0f, 0, 0, 111]), b"");
        assert_eq!(red.primary().range(), 5..5);
    }

    #[test]
    fn random_bytes_never_panic_and_blocks_lie_within() {
        let mut rng = Rng::new(9);
        for _ in 0..100_000 {
            let payload: Vec<u8> = (0..rng.below(60)).map(|_| rng.bits() as u8 | 0x40).collect();
            if let Ok(red) = RedPayload::parse(&payload) {
                assert!(red.primary().range().end == payload.len());
                assert!(red.redundant().iter().all(|b| b.range().end <= payload.len()));
            }
        }
    }
}
