//! Values of the header extensions the plane reads or writes.

use std::fmt;
use std::time::Duration;

use super::ExtensionError;
use crate::rtp::SeqNo;

/// Loudness of the audio in a packet (RFC 6464).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioLevel {
    /// Level in -dBov: 0 is the loudest, 127 silence.
    pub level: u8,
    /// The encoder believes the packet holds voice.
    pub voice: bool,
}

impl AudioLevel {
    /// Parses an element's value. The two-byte form may be padded to more than one byte.
    ///
    /// # Errors
    ///
    /// [`ExtensionError::ValueLength`] if empty.
    pub fn parse(data: &[u8]) -> Result<AudioLevel, ExtensionError> {
        let &byte = data.first().ok_or(ExtensionError::ValueLength)?;
        Ok(AudioLevel { level: byte & 0x7f, voice: byte & 0x80 != 0 })
    }

    /// The element's value.
    pub fn to_bytes(self) -> [u8; 1] {
        [u8::from(self.voice) << 7 | self.level.min(127)]
    }
}

/// MID or RID of a packet, kept inline: 1 to 16 bytes.
///
/// Comparable with the strings of the session description.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamId {
    bytes: [u8; StreamId::MAX_LEN],
    len: u8,
}

impl StreamId {
    /// Longest id that is kept.
    pub const MAX_LEN: usize = 16;

    /// Parses an element's value: printable ASCII without spaces.
    ///
    /// # Errors
    ///
    /// [`ExtensionError::ValueLength`] if empty or above 16 bytes,
    /// [`ExtensionError::StreamIdCharacter`] for other bytes.
    pub fn parse(data: &[u8]) -> Result<StreamId, ExtensionError> {
        if data.is_empty() || data.len() > StreamId::MAX_LEN {
            return Err(ExtensionError::ValueLength);
        }
        if !data.iter().all(u8::is_ascii_graphic) {
            return Err(ExtensionError::StreamIdCharacter);
        }
        let mut bytes = [0; StreamId::MAX_LEN];
        bytes[..data.len()].copy_from_slice(data);
        Ok(StreamId { bytes, len: data.len() as u8 })
    }

    /// The element's value.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Only ASCII gets in, see `parse`.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl PartialEq<str> for StreamId {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({:?})", self.as_str())
    }
}

/// Send time in seconds, 6 bits before and 18 after the point: wraps every 64 s.
///
/// Spec: `http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbsSendTime(pub u32);

impl AbsSendTime {
    /// The time since any fixed epoch, rounded to the nearest step of 3.8 µs.
    pub fn from_duration(since_epoch: Duration) -> AbsSendTime {
        let seconds = since_epoch.as_secs() & 0x3f;
        let nanos = (seconds * 1_000_000_000) + u64::from(since_epoch.subsec_nanos());
        let steps = ((nanos << 18) + 500_000_000) / 1_000_000_000;
        AbsSendTime(steps as u32 & 0x00ff_ffff)
    }

    /// Parses an element's value.
    ///
    /// # Errors
    ///
    /// [`ExtensionError::ValueLength`] unless three bytes.
    pub fn parse(data: &[u8]) -> Result<AbsSendTime, ExtensionError> {
        let &[a, b, c] = data else { return Err(ExtensionError::ValueLength) };
        Ok(AbsSendTime(u32::from_be_bytes([0, a, b, c])))
    }

    /// The element's value.
    pub fn to_bytes(self) -> [u8; 3] {
        let [_, a, b, c] = self.0.to_be_bytes();
        [a, b, c]
    }

    /// Time within the current 64 s.
    pub fn to_duration(self) -> Duration {
        Duration::from_nanos((u64::from(self.0 & 0x00ff_ffff) * 1_000_000_000) >> 18)
    }
}

/// Parses a transport-wide sequence number; version 2 of the extension may add two bytes.
///
/// # Errors
///
/// [`ExtensionError::ValueLength`] unless two or four bytes.
///
/// Spec: draft-holmer-rmcat-transport-wide-cc-extensions-01, section 2.
pub fn transport_sequence(data: &[u8]) -> Result<SeqNo, ExtensionError> {
    match *data {
        [a, b] | [a, b, _, _] => Ok(SeqNo(u16::from_be_bytes([a, b]))),
        _ => Err(ExtensionError::ValueLength),
    }
}

/// The value of a transport-wide sequence number element.
pub fn write_transport_sequence(number: SeqNo) -> [u8; 2] {
    number.0.to_be_bytes()
}
