//! What RTP payloads tell without being decoded: where frames and keyframes start.
//!
//! Nothing in here panics or allocates, whatever the bytes. A payload that ends early or
//! contradicts itself is an error of its parser and "nothing known" to [`inspect`].

pub mod av1;
pub mod h264;
pub mod numbers;
pub mod opus;
pub mod vp8;
pub mod vp9;

use std::fmt;

use crate::api::Codec;
pub use numbers::PictureNumbers;

/// The payload ends before its headers do, or they contradict themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedPayload;

impl fmt::Display for MalformedPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed payload")
    }
}

impl std::error::Error for MalformedPayload {}

/// What forwarding needs to know of a payload. The default says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PayloadInfo {
    /// The packet is the first of a frame, as far as the payload tells.
    pub frame_start: bool,
    /// Decoding can start with this packet. True for more than one packet of a frame where
    /// parameter sets travel apart: count keyframes by timestamp.
    pub keyframe_start: bool,
    /// Of a keyframe's start: what a decoder cannot do without may lie in packets of the same
    /// picture before this one (H.264: the parameter sets in front of an IDR slice).
    pub needs_head: bool,
    /// Temporal layer, where the payload names one.
    pub temporal_layer: Option<u8>,
    /// Of a temporal layer that can be left out by itself (VP8): whether receiving it may begin
    /// with this frame. `None` where layers cannot be left out here.
    pub layer_sync: Option<bool>,
    /// What counts pictures, for forwarders that leave some out (VP8, VP9).
    pub numbers: PictureNumbers,
    /// Width and height in pixels, where a keyframe names them in plain bytes.
    pub dimensions: Option<(u16, u16)>,
}

/// Looks into a payload. Malformed ones give the default.
pub fn inspect(codec: Codec, payload: &[u8]) -> PayloadInfo {
    let info = match codec {
        Codec::Opus => opus::inspect(payload),
        Codec::Vp8 => vp8::inspect(payload),
        Codec::Vp9 => vp9::inspect(payload),
        Codec::H264 => h264::inspect(payload),
        Codec::Av1 => av1::inspect(payload),
    };
    info.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netem::Rng;

    const ALL: [Codec; 5] = [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];

    #[test]
    fn empty_payloads_say_nothing() {
        for codec in ALL {
            assert_eq!(inspect(codec, &[]), PayloadInfo::default(), "{codec:?}");
        }
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut rng = Rng::new(1);
        for _ in 0..200_000 {
            let len = rng.below(40) as usize;
            let payload: Vec<u8> = (0..len).map(|_| rng.bits() as u8).collect();
            for codec in ALL {
                let info = inspect(codec, &payload);
                assert!(!info.keyframe_start || info.frame_start, "{codec:?} {payload:?}");
                assert!(!info.needs_head || info.keyframe_start, "{codec:?} {payload:?}");
            }
            let _ = opus::packet_duration(&payload);
        }
    }

    #[test]
    fn every_two_byte_payload_is_answered() {
        for word in 0..=u16::MAX {
            for codec in ALL {
                let info = inspect(codec, &word.to_be_bytes());
                let _ = inspect(codec, &word.to_be_bytes()[..1]);
                assert_eq!(info.dimensions, None);
            }
        }
    }
}
