//! RTP header extensions (RFC 8285): elements in and out, and the values the plane knows.

mod builder;
mod elements;
mod map;
mod values;

use std::fmt;

pub use builder::ExtensionBuilder;
pub use elements::{Element, Elements};
pub use map::ExtensionMap;
pub use values::{AbsSendTime, AudioLevel, StreamId, transport_sequence, write_transport_sequence};

/// Profile of a block of one-byte elements.
pub const ONE_BYTE_PROFILE: u16 = 0xbede;
/// Profile of a block of two-byte elements; the low four bits are free for applications.
pub const TWO_BYTE_PROFILE: u16 = 0x1000;

/// Why an extension block or a value in it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtensionError {
    /// An element reaches beyond the block.
    ElementLength,
    /// Ids are 1..=14 or 16..=255.
    InvalidId,
    /// Two extensions share an id, or one kind has two ids.
    Duplicate,
    /// A value has another length than its kind demands.
    ValueLength,
    /// A stream id holds other bytes than RFC 8852 and RFC 8843 allow.
    StreamIdCharacter,
    /// More elements or bytes than the builder holds.
    Full,
    /// The output buffer is too small.
    BufferTooSmall,
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ExtensionError::ElementLength => "header extension element exceeds its block",
            ExtensionError::InvalidId => "header extension id is reserved",
            ExtensionError::Duplicate => "header extension id or kind occurs twice",
            ExtensionError::ValueLength => "header extension value has the wrong length",
            ExtensionError::StreamIdCharacter => "stream id holds a character that is not allowed",
            ExtensionError::Full => "too many header extensions",
            ExtensionError::BufferTooSmall => "buffer is too small for the header extensions",
        })
    }
}

impl std::error::Error for ExtensionError {}

#[cfg(test)]
mod tests;
