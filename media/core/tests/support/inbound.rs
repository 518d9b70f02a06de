//! What a client received.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use media_core::api::MediaKind;
use media_core::codec::vp8::Vp8Descriptor;
use media_core::nack::NackGenerator;
use media_core::red::RedPayload;
use media_core::rtcp::SenderInfo;
use media_core::rtp::{RtpHeader, SeqUnwrapper};

/// A packet as a subscriber got it.
#[derive(Debug, Clone)]
pub struct Got {
    pub at: Instant,
    pub payload_type: u8,
    pub marker: bool,
    pub ext_seq: u64,
    pub timestamp: u32,
    /// Number the publisher counted it by, over all its tracks' lives.
    pub serial: u64,
    pub ssrc_of_publisher: u32,
    pub extensions: Vec<(u8, Vec<u8>)>,
    pub by_rtx: bool,
    pub is_keyframe: bool,
    /// No payload: a place was filled.
    pub is_empty: bool,
    /// When the publisher took the picture, since its track or its lens began.
    pub captured: Duration,
    pub vp8: Option<Vp8Descriptor>,
    /// First bytes of the payload.
    pub start: [u8; 8],
}

/// A stream being received.
pub struct Inbound {
    pub kind: MediaKind,
    /// First arrival and timestamp of every frame of audio, by any way, by its serial.
    pub frames: BTreeMap<u64, (Instant, u32)>,
    /// Frames that came again under another timestamp.
    pub misdated: u64,
    /// Bytes of the largest payload.
    pub longest_payload: usize,
    /// Frames that came as a copy first.
    pub by_copy: u64,
    pub rtx_ssrc: Option<u32>,
    pub(super) unwrapper: SeqUnwrapper,
    pub(super) nack: Option<NackGenerator>,
    pub got: BTreeMap<u64, Got>,
    pub duplicates: u64,
    pub sender_reports: Vec<(Instant, SenderInfo)>,
    pub cname: Option<String>,
    pub requests_keyframes: bool,
}

impl Inbound {
    /// Takes all blocks and returns the primary.
    pub(super) fn on_red<'a>(
        &mut self,
        now: Instant,
        header: &RtpHeader,
        payload: &'a [u8],
    ) -> &'a [u8] {
        let red = RedPayload::parse(payload).expect("well-formed red");
        let mut last = u16::MAX;
        for block in red.redundant() {
            assert!(block.offset > 0 && block.offset < last, "oldest first, each once");
            last = block.offset;
            let timestamp = header.timestamp.wrapping_sub(block.offset.into());
            self.by_copy += u64::from(self.on_frame(now, timestamp, block.bytes(payload)));
        }
        self.on_frame(now, header.timestamp, red.primary().bytes(payload));
        red.primary().bytes(payload)
    }

    /// Returns whether the frame is new.
    pub(super) fn on_frame(&mut self, now: Instant, timestamp: u32, frame: &[u8]) -> bool {
        let serial = frame.get(2..10).map(|bytes| bytes.try_into().unwrap());
        let Some(serial) = serial.map(u64::from_be_bytes) else { return false };
        let known = *self.frames.entry(serial).or_insert((now, timestamp));
        self.misdated += u64::from(known.1 != timestamp);
        known.0 == now
    }

    /// Sequence numbers missing between the first and the last.
    pub fn gaps(&self) -> Vec<u64> {
        let (Some(first), Some(last)) = (self.got.keys().next(), self.got.keys().next_back())
        else {
            return Vec::new();
        };
        (*first..*last).filter(|number| !self.got.contains_key(number)).collect()
    }

    pub fn serials(&self) -> Vec<u64> {
        self.got.values().map(|got| got.serial).collect()
    }
}
