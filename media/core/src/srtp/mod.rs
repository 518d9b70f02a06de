//! SRTP and SRTCP (RFC 3711, RFC 7714) with keys from DTLS (RFC 5764).

mod cipher;
mod context;
mod index;
mod keys;
mod sources;

use std::fmt;

pub use context::SrtpContext;
pub use keys::SrtpKeys;

/// Most bytes protection adds to a packet: room a caller leaves behind the plaintext.
pub const MAX_OVERHEAD: usize = 20;

/// Sources a context keeps state for, unless told otherwise.
pub const DEFAULT_MAX_SSRCS: usize = 256;

/// Why a packet was not protected or not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SrtpError {
    /// The authentication tag is wrong.
    Authentication,
    /// The packet was seen before, or is too old to tell. When sending: the index was used
    /// before, and AES-GCM must not use it again.
    Replay,
    /// Too short, not version 2, or without room for the tag.
    Malformed,
    /// Too many sources, or the packet index is used up and new keys are needed.
    LimitReached,
    /// Key material has the wrong length for the profile.
    KeyLength,
}

impl fmt::Display for SrtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SrtpError::Authentication => "srtp authentication failed",
            SrtpError::Replay => "srtp packet index was used before",
            SrtpError::Malformed => "srtp packet is malformed",
            SrtpError::LimitReached => "srtp source or index limit reached",
            SrtpError::KeyLength => "srtp key material has the wrong length",
        })
    }
}

impl std::error::Error for SrtpError {}

#[cfg(test)]
mod tests;
