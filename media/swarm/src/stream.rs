//! One published stream: what its packets contain and when they leave.

use std::time::{Duration, Instant};

use media_core::api::{ExtensionKind, MediaKind};
use media_core::ext::{ExtensionBuilder, ExtensionMap};
use media_core::rtp::{OutgoingHeader, SeqNo};

use crate::reports::ReportTimer;

/// Marks payloads that carry a time.
const MAGIC: [u8; 8] = *b"swarm\x01\x02\x03";
/// Where the mark and the time are in the payload: behind every codec's own header.
const STAMP_AT: usize = 16;
const STAMP_END: usize = STAMP_AT + 16;

/// VP8 payload descriptor (RFC 7741, section 4.2) of the first packet of a picture.
const VP8_START: u8 = 0x10;
/// VP8 keyframe header of 1280 × 720 (RFC 6386, section 9.1).
const VP8_KEYFRAME: [u8; 10] = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02];
/// Voice activity flag of the audio level (RFC 6464, section 3).
const VOICE: u8 = 0x80;
/// Three seconds of 20 ms packets.
const PACKETS_PER_TURN: u64 = 150;
/// First byte of any other VP8 frame.
const VP8_DELTA: u8 = 0x11;
/// Opus, CELT, fullband, 20 ms, mono (RFC 6716, section 3.1).
const OPUS_TOC: u8 = 0xf8;

/// What one participant publishes in one m-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamConfig {
    /// Audio or video.
    pub kind: MediaKind,
    /// SSRC.
    pub ssrc: u32,
    /// Of Opus or VP8.
    pub payload_type: u8,
    /// Index of the m-line; its decimal form is the MID.
    pub mid: u8,
    /// Of an encoding among others: its RID, one letter or digit.
    pub rid: Option<u8>,
}

/// What all streams of a kind send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traffic {
    /// Packets a second of each stream; zero is silence.
    pub packets_per_second: f64,
    /// RTP packet before protection, header included.
    pub packet_bytes: usize,
    /// Packets that leave at once: those of one picture.
    pub burst: u32,
}

impl Traffic {
    /// Nothing is sent.
    pub const SILENCE: Traffic = Traffic { packets_per_second: 0.0, packet_bytes: 0, burst: 1 };

    /// Time between two bursts; `None` if there are none.
    pub fn interval(&self) -> Option<Duration> {
        (self.packets_per_second > 0.0)
            .then(|| Duration::from_secs_f64(f64::from(self.burst) / self.packets_per_second))
    }
}

/// State of one published stream.
pub(crate) struct Stream {
    pub(crate) config: StreamConfig,
    clock_rate_hz: f64,
    sequence: SeqNo,
    started: Instant,
    extensions: ExtensionBuilder,
    twcc_id: Option<u8>,
    mid: [u8; 3],
    mid_len: usize,
    mid_id: Option<u8>,
    rid_id: Option<u8>,
    level_id: Option<u8>,
    needs_keyframe: bool,
    /// Nothing is sent for now.
    pub(crate) is_silent: bool,
    pub(crate) packets: u64,
    pub(crate) payload_bytes: u64,
    timer: ReportTimer,
    /// When it reported last, and the bytes until then.
    reported: (Instant, u64),
}

impl Stream {
    pub(crate) fn new(config: StreamConfig, map: &ExtensionMap, now: Instant) -> Stream {
        let text = config.mid.to_string();
        let mut mid = [0; 3];
        mid[..text.len()].copy_from_slice(text.as_bytes());
        Stream {
            clock_rate_hz: match config.kind {
                MediaKind::Audio => 48_000.0,
                MediaKind::Video => 90_000.0,
            },
            sequence: SeqNo((config.ssrc % 30_000) as u16),
            started: now,
            extensions: ExtensionBuilder::default(),
            twcc_id: map.id(ExtensionKind::TransportCc),
            mid,
            mid_len: text.len(),
            mid_id: map.id(ExtensionKind::Mid),
            rid_id: map.id(ExtensionKind::Rid),
            level_id: map.id(ExtensionKind::AudioLevel).filter(|_| config.kind == MediaKind::Audio),
            needs_keyframe: config.kind == MediaKind::Video,
            is_silent: false,
            timer: ReportTimer::of_sender(config.kind, config.ssrc),
            reported: (now, 0),
            config,
            packets: 0,
            payload_bytes: 0,
        }
    }

    /// When the next sender report is due; `None` before the first packet.
    pub(crate) fn next_report(&self) -> Option<Instant> {
        self.timer.next()
    }

    /// Whether a sender report is due; the next one is set then.
    pub(crate) fn poll_report(&mut self, now: Instant) -> bool {
        let (at, bytes) = self.reported;
        if self.timer.next().is_none_or(|next| next > now) {
            return false;
        }
        let elapsed = now.saturating_duration_since(at).as_secs_f64().max(1e-3);
        let sent = self.payload_bytes - bytes;
        self.timer.set_rate(self.config.kind, sent as f64 * 8e-3 / elapsed);
        self.reported = (now, self.payload_bytes);
        // Who sends nothing has nothing to report.
        self.timer.poll(now) && sent > 0
    }

    /// Reports begin with the first packet.
    pub(crate) fn start_reports(&mut self, now: Instant) {
        if self.timer.next().is_none() {
            self.reported = (now, 0);
            self.timer.restart(now);
        }
    }

    /// The next picture is a keyframe.
    pub(crate) fn request_keyframe(&mut self) {
        self.needs_keyframe = self.config.kind == MediaKind::Video;
    }

    /// The RTP timestamp of a moment.
    pub(crate) fn timestamp(&self, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(self.started).as_secs_f64();
        (elapsed * self.clock_rate_hz) as u64 as u32
    }

    /// Writes packet `position` of a burst of `burst`; returns header length and length.
    /// `sent_at` is since the Unix epoch. `twcc` counts the packets of the transport.
    pub(crate) fn write(
        &mut self,
        out: &mut [u8],
        traffic: &Traffic,
        (position, timestamp): (u32, u32),
        sent_at: Duration,
        twcc: &mut u16,
    ) -> (usize, usize) {
        self.extensions.clear();
        if let Some(id) = self.mid_id {
            let _ = self.extensions.push(id, &self.mid[..self.mid_len]);
        }
        if let (Some(id), Some(rid)) = (self.rid_id, self.config.rid) {
            let _ = self.extensions.push(id, &[rid]);
        }
        if let Some(id) = self.twcc_id {
            let _ = self.extensions.push(id, &twcc.to_be_bytes());
            *twcc = twcc.wrapping_add(1);
        }
        if let Some(id) = self.level_id {
            let _ = self.extensions.push(id, &[VOICE | self.level()]);
        }
        let header = OutgoingHeader {
            marker: position + 1 == traffic.burst && self.config.kind == MediaKind::Video,
            payload_type: self.config.payload_type,
            sequence_number: self.sequence,
            timestamp,
            ssrc: self.config.ssrc,
        };
        self.sequence = self.sequence.next();
        let header_len = header.write(&self.extensions, out).expect("a header fits the buffer");
        let len = traffic.packet_bytes.max(header_len + STAMP_END);
        let payload = &mut out[header_len..len];
        self.write_codec(payload, position);
        payload[STAMP_AT..STAMP_AT + 8].copy_from_slice(&MAGIC);
        payload[STAMP_AT + 8..STAMP_END]
            .copy_from_slice(&(sent_at.as_nanos() as u64).to_be_bytes());
        self.packets += 1;
        self.payload_bytes += (len - header_len) as u64;
        (header_len, len)
    }

    /// In -dBov; each participant talks for a while and is then quiet for a while.
    fn level(&self) -> u8 {
        let turn = (self.packets + u64::from(self.config.ssrc)) / PACKETS_PER_TURN;
        if turn.is_multiple_of(3) { 25 } else { 70 }
    }

    fn write_codec(&mut self, payload: &mut [u8], position: u32) {
        match (self.config.kind, position) {
            (MediaKind::Audio, _) => payload[0] = OPUS_TOC,
            (MediaKind::Video, 0) => {
                payload[0] = VP8_START;
                if std::mem::take(&mut self.needs_keyframe) {
                    payload[1..11].copy_from_slice(&VP8_KEYFRAME);
                } else {
                    payload[1..11].fill(0);
                    payload[1] = VP8_DELTA;
                }
            }
            (MediaKind::Video, _) => payload[0] = 0,
        }
    }
}

/// When a decrypted packet was sent, since the Unix epoch; `None` if it is not one of ours.
pub(crate) fn sent_at(payload: &[u8]) -> Option<Duration> {
    let stamp = payload.get(STAMP_AT..STAMP_END)?;
    let (magic, time) = stamp.split_at(8);
    let time = u64::from_be_bytes(time.try_into().ok()?);
    (magic == MAGIC).then_some(Duration::from_nanos(time))
}

#[cfg(test)]
mod tests {
    use media_core::api::{Codec, ExtensionId};
    use media_core::codec;
    use media_core::rtp::RtpHeader;

    use super::*;

    fn map() -> ExtensionMap {
        ExtensionMap::new(&[
            ExtensionId { kind: ExtensionKind::Mid, id: 4 },
            ExtensionId { kind: ExtensionKind::TransportCc, id: 3 },
            ExtensionId { kind: ExtensionKind::Rid, id: 10 },
        ])
        .unwrap()
    }

    fn stream(kind: MediaKind) -> Stream {
        let config = StreamConfig { kind, ssrc: 7, payload_type: 96, mid: 12, rid: None };
        Stream::new(config, &map(), Instant::now())
    }

    #[test]
    fn packets_parse_and_carry_their_time() {
        let traffic = Traffic { packets_per_second: 50.0, packet_bytes: 1_100, burst: 3 };
        let mut stream = stream(MediaKind::Video);
        let mut out = [0; 2_048];
        let mut twcc = 65_535;
        let at = Duration::from_nanos(1_234_567_890_123_456_789);
        for position in 0..3 {
            let (header_len, len) = stream.write(&mut out, &traffic, (position, 5), at, &mut twcc);
            assert_eq!(len, 1_100);
            let header = RtpHeader::parse(&out[..len]).unwrap();
            assert_eq!(header.header_len, header_len);
            assert_eq!(header.marker, position == 2);
            assert_eq!(header.sequence_number, SeqNo(7 + position as u16));
            let elements: Vec<_> = header.extensions(&out[..len]).map(Result::unwrap).collect();
            assert_eq!((elements[0].id, elements[0].data), (4, &b"12"[..]));
            assert_eq!(elements[1].id, 3);
            let payload = header.payload(&out[..len]);
            assert_eq!(sent_at(payload), Some(at));
            let info = codec::inspect(Codec::Vp8, payload);
            assert_eq!(info.keyframe_start, position == 0);
        }
        assert_eq!(twcc, 2);
        stream.write(&mut out, &traffic, (0, 6), at, &mut twcc);
        let header = RtpHeader::parse(&out[..1_100]).unwrap();
        let info = codec::inspect(Codec::Vp8, header.payload(&out[..1_100]));
        assert!(info.frame_start && !info.keyframe_start);
    }

    #[test]
    fn an_encoding_among_others_says_which_it_is() {
        let config = StreamConfig {
            kind: MediaKind::Video,
            ssrc: 7,
            payload_type: 96,
            mid: 1,
            rid: Some(b'h'),
        };
        let mut stream = Stream::new(config, &map(), Instant::now());
        let traffic = Traffic { packets_per_second: 50.0, packet_bytes: 1_100, burst: 1 };
        let mut out = [0; 2_048];
        let (_, len) = stream.write(&mut out, &traffic, (0, 0), Duration::ZERO, &mut 0);
        let header = RtpHeader::parse(&out[..len]).unwrap();
        let elements: Vec<_> = header.extensions(&out[..len]).map(Result::unwrap).collect();
        assert_eq!((elements[1].id, elements[1].data), (10, &b"h"[..]));
    }

    #[test]
    fn small_packets_have_room_for_their_time() {
        let traffic = Traffic { packets_per_second: 50.0, packet_bytes: 1, burst: 1 };
        let mut stream = stream(MediaKind::Audio);
        let mut out = [0; 2_048];
        let (header_len, len) = stream.write(&mut out, &traffic, (0, 0), Duration::ZERO, &mut 0);
        assert_eq!(sent_at(&out[header_len..len]), Some(Duration::ZERO));
        assert_eq!(sent_at(&out[header_len..len - 1]), None);
        assert_eq!(sent_at(&[1; 40]), None);
    }

    #[test]
    fn a_burst_lasts_as_long_as_its_packets() {
        let traffic = Traffic { packets_per_second: 170.0, packet_bytes: 1_100, burst: 6 };
        assert_eq!(traffic.interval(), Some(Duration::from_secs_f64(6.0 / 170.0)));
        assert_eq!(Traffic::SILENCE.interval(), None);
    }
}
