//! RTP packets (RFC 3550): headers in and out, wrapping sequence numbers and timestamps.

pub(crate) mod bytes;
mod header;
mod seq;

pub use header::{ExtensionBlock, OutgoingHeader, RtpError, RtpHeader};
pub use seq::{SeqNo, SeqUnwrapper, TimestampUnwrapper};

/// Bytes of the fixed header, without CSRCs and extensions.
pub const FIXED_HEADER_LEN: usize = 12;
