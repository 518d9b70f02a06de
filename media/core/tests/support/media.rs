//! Tracks a client sends and streams it receives.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use media_core::api::{ExtensionId, ExtensionKind, MediaKind};
use media_core::codec::vp8::Vp8Descriptor;
use media_core::ext::{
    AudioLevel, ExtensionBuilder, ExtensionMap, transport_sequence, write_transport_sequence,
};
use media_core::nack::{NackConfig, NackGenerator};
use media_core::ntp::{NtpTime, WallClock};
use media_core::red::write_red;
use media_core::rtcp::{self, ReportBlock, RtcpPacket, SenderInfo, TwccWriter};
use media_core::rtp::{OutgoingHeader, RtpHeader, SeqNo, SeqUnwrapper};
use media_core::srtp::MAX_OVERHEAD;
use media_core::twcc::TwccRecorder;

use super::client::Srtp;
use super::form::Form;
use super::inbound::{Got, Inbound};

const REPORT_INTERVAL: Duration = Duration::from_secs(1);
const NACK_INTERVAL: Duration = Duration::from_millis(10);
pub const CLOCK_AUDIO: u32 = 48_000;
pub const CLOCK_VIDEO: u32 = 90_000;

/// How a track is sent.
#[derive(Debug, Clone)]
pub struct TrackConfig {
    pub kind: MediaKind,
    pub ssrc: u32,
    pub rtx: Option<(u32, u8)>,
    pub payload_type: u8,
    pub first: SeqNo,
    pub first_timestamp: u32,
    pub interval: Duration,
    pub packets_per_frame: usize,
    /// Of a keyframe, where it has more.
    pub packets_per_keyframe: Option<usize>,
    pub payload_len: usize,
    /// Sent with every packet.
    pub extensions: Vec<(u8, Vec<u8>)>,
    pub audio_level: Option<(u8, u8)>,
    /// Id of the transport-wide sequence number.
    pub transport_cc: Option<u8>,
    /// A keyframe every so many frames, without being asked.
    pub keyframe_every: Option<u64>,
    /// Of video.
    pub form: Form,
    /// With picture numbers, in 1 to 3 temporal layers, as browsers send it.
    pub temporal_layers: Option<u8>,
    /// First picture id, TL0PICIDX and KEYIDX.
    pub first_picture: (u16, u8, u8),
    /// Pictures are known by when they were taken: all tracks with the same value here look
    /// through the same lens.
    pub captured_from: Option<Instant>,
    /// Payload type of packets with copies, where it sends any.
    pub red: Option<u8>,
    /// Timestamps grow by so much with each frame, however long it took: a clock that lies.
    pub frame_ticks: Option<u32>,
}

impl TrackConfig {
    /// Opus in frames of 20 ms.
    pub fn audio(ssrc: u32) -> TrackConfig {
        TrackConfig {
            kind: MediaKind::Audio,
            ssrc,
            rtx: None,
            payload_type: 111,
            first: SeqNo(65_530),
            first_timestamp: 4_000_000_000,
            interval: Duration::from_millis(20),
            packets_per_frame: 1,
            packets_per_keyframe: None,
            payload_len: 80,
            extensions: Vec::new(),
            audio_level: None,
            transport_cc: None,
            keyframe_every: None,
            form: Form::Vp8,
            temporal_layers: None,
            first_picture: (32_760, 250, 30),
            captured_from: None,
            red: None,
            frame_ticks: None,
        }
    }

    /// VP8 with 25 frames a second of three packets.
    pub fn video(ssrc: u32, rtx_ssrc: u32) -> TrackConfig {
        TrackConfig {
            kind: MediaKind::Video,
            rtx: Some((rtx_ssrc, 97)),
            payload_type: 96,
            first: SeqNo(32_760),
            first_timestamp: 77,
            interval: Duration::from_millis(40),
            packets_per_frame: 3,
            packets_per_keyframe: None,
            payload_len: 1_000,
            ..TrackConfig::audio(ssrc)
        }
    }

    fn clock_rate_hz(&self) -> u32 {
        match self.kind {
            MediaKind::Audio => CLOCK_AUDIO,
            MediaKind::Video => CLOCK_VIDEO,
        }
    }
}

/// A track being sent.
pub struct Track {
    pub config: TrackConfig,
    pub active: bool,
    next_frame: Instant,
    started: Instant,
    pub frames: u64,
    pub packets: u64,
    pub next: SeqNo,
    rtx_next: SeqNo,
    cache: HashMap<u16, (usize, Vec<u8>)>,
    resent_at: HashMap<u16, Instant>,
    pub plis: u64,
    pub nacked: u64,
    pub resent: u64,
    pub keyframes: u64,
    wants_keyframe: bool,
    picture: (u16, u8, u8),
    /// Frame within the pattern of temporal layers.
    step: u64,
    /// Copies of which frames before go with each.
    pub offsets: Vec<u8>,
    /// Timestamps and payloads of the last frames, the newest first.
    frames_sent: VecDeque<(u32, Vec<u8>)>,
    pub bytes_sent: u64,
    /// How long frames wait in the sender's pacer.
    pub held: Duration,
}

impl Track {
    fn timestamp(&self, at: Instant) -> u32 {
        if let Some(ticks) = self.config.frame_ticks {
            return self
                .config
                .first_timestamp
                .wrapping_add((self.frames as u32).wrapping_mul(ticks));
        }
        let ticks = (at - self.config.captured_from.unwrap_or(self.started)).as_secs_f64()
            * f64::from(self.config.clock_rate_hz());
        self.config.first_timestamp.wrapping_add(ticks.round() as u32)
    }

    /// Goes on after a pause with a keyframe, at the pace of its lens.
    pub fn restart(&mut self, now: Instant) {
        while self.next_frame < now {
            self.next_frame += self.config.interval;
        }
        self.wants_keyframe = true;
    }

    /// The encoder begins anew: a keyframe, and other numbers for pictures.
    pub fn renumber(&mut self, picture: (u16, u8, u8)) {
        self.picture = picture;
        self.wants_keyframe = true;
    }

    /// The payload descriptor of the next picture (RFC 7741, section 4.2), for its later packets.
    fn next_picture(&mut self, keyframe: bool) -> Option<[u8; 6]> {
        let layers = self.config.temporal_layers?;
        if keyframe {
            self.step = 0;
        }
        // Each with whether it needs the base layer only.
        let pattern: &[(u8, bool)] = match layers {
            1 => &[(0, false)],
            2 => &[(0, false), (1, true)],
            _ => &[
                (0, false),
                (2, true),
                (1, true),
                (2, false),
                (0, false),
                (2, false),
                (1, false),
                (2, false),
            ],
        };
        let (layer, sync) = pattern[(self.step % pattern.len() as u64) as usize];
        self.step += 1;
        let (id, tl0, key) = &mut self.picture;
        *id = (*id + 1) & 0x7fff;
        *tl0 = tl0.wrapping_add(u8::from(layer == 0));
        *key = (*key + u8::from(keyframe)) & 0x1f;
        let last = layer << 6 | u8::from(sync) << 5 | *key;
        Some([0x80, 0xf0, 0x80 | (*id >> 8) as u8, *id as u8, *tl0, last])
    }
}

/// Where test data lies in a payload, behind what the plane reads.
const fn stamp_of(kind: MediaKind) -> usize {
    match kind {
        MediaKind::Audio => 1,
        MediaKind::Video => 40,
    }
}

/// First byte of an Opus frame of 20 ms.
const OPUS_20_MS: u8 = 0x78;
/// Payload type under which subscribers of these tests take copies.
pub const SUBSCRIBER_RED: u8 = 99;

pub struct Media {
    pub tracks: Vec<Track>,
    pub inbound: BTreeMap<u32, Inbound>,
    /// Packets under an SSRC nobody announced.
    pub unknown: u64,
    pub feedback_packets: u64,
    pub feedback_reported: BTreeSet<u16>,
    pub receiver_reports: Vec<ReportBlock>,
    wall: WallClock,
    next_report: Instant,
    next_nack: Instant,
    /// Answers with transport-wide feedback where the extension is negotiated.
    pub twcc: Option<(TwccRecorder, TwccWriter)>,
    /// Asks for what is lost.
    pub sends_nacks: bool,
    /// Share of the packets it says were lost, of 256.
    pub reported_loss: u8,
    /// Bytes of RTP that arrived, retransmissions included.
    pub received_bytes: u64,
    newest_number: Option<SeqNo>,
    /// Transport-wide numbers that did not follow the one before.
    pub unexpected_numbers: u64,
    /// Keeps what arrived in full.
    pub keeps: bool,
    transport_sequence: SeqNo,
    last_reports: HashMap<u32, (NtpTime, Instant)>,
    pub extensions: ExtensionMap,
    /// Sends sender reports.
    pub reports: bool,
    /// A packet is sent again no sooner than this after the last time, as in Chromium.
    pub resend_pause: Duration,
}

impl Media {
    pub fn new(now: Instant) -> Media {
        // A wall clock that is wrong by years: only differences may count.
        let wall: SystemTime = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        Media {
            tracks: Vec::new(),
            inbound: BTreeMap::new(),
            unknown: 0,
            feedback_packets: 0,
            feedback_reported: BTreeSet::new(),
            receiver_reports: Vec::new(),
            wall: WallClock::new(now, wall),
            next_report: now + Duration::from_millis(200),
            next_nack: now,
            twcc: None,
            sends_nacks: true,
            reported_loss: 0,
            received_bytes: 0,
            newest_number: None,
            unexpected_numbers: 0,
            keeps: true,
            transport_sequence: SeqNo(65_000),
            last_reports: HashMap::new(),
            extensions: ExtensionMap::default(),
            reports: true,
            resend_pause: Duration::ZERO,
        }
    }

    pub fn set_extensions(&mut self, extensions: &[ExtensionId]) {
        self.extensions = ExtensionMap::new(extensions).unwrap();
    }

    pub fn add_track(&mut self, config: TrackConfig, now: Instant) -> usize {
        self.tracks.push(Track {
            active: true,
            next_frame: now,
            started: now,
            frames: 0,
            packets: 0,
            next: config.first,
            rtx_next: SeqNo(100),
            cache: HashMap::new(),
            resent_at: HashMap::new(),
            plis: 0,
            nacked: 0,
            resent: 0,
            keyframes: 0,
            wants_keyframe: true,
            picture: config.first_picture,
            step: 0,
            offsets: Vec::new(),
            frames_sent: VecDeque::new(),
            held: Duration::ZERO,
            bytes_sent: 0,
            config,
        });
        self.tracks.len() - 1
    }

    pub fn expect(&mut self, ssrc: u32, rtx_ssrc: Option<u32>, kind: MediaKind) {
        let nack = match kind {
            MediaKind::Audio => NackConfig::audio(),
            MediaKind::Video => NackConfig::video(),
        };
        self.inbound.insert(
            ssrc,
            Inbound {
                kind,
                frames: BTreeMap::new(),
                misdated: 0,
                longest_payload: 0,
                by_copy: 0,
                rtx_ssrc,
                unwrapper: SeqUnwrapper::default(),
                nack: Some(NackGenerator::new(nack)),
                got: BTreeMap::new(),
                duplicates: 0,
                sender_reports: Vec::new(),
                cname: None,
                requests_keyframes: false,
            },
        );
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        let frames = self.tracks.iter().filter(|track| track.active).map(|track| track.next_frame);
        let reports = [self.next_report, self.next_nack];
        let feedback = self.twcc.as_ref().and_then(|(recorder, _)| recorder.next_timeout());
        frames.chain(reports).chain(feedback).min()
    }

    pub fn poll(&mut self, now: Instant, srtp: &mut Srtp, out: &mut Vec<Vec<u8>>) {
        for index in 0..self.tracks.len() {
            while self.tracks[index].active && self.tracks[index].next_frame <= now {
                self.send_frame(index, srtp, out);
            }
        }
        if self.next_nack <= now {
            self.next_nack = now + NACK_INTERVAL;
            if self.sends_nacks {
                self.send_nacks(now, srtp, out);
            }
        }
        self.send_feedback(now, srtp, out);
        if self.next_report <= now {
            self.next_report = now + REPORT_INTERVAL;
            self.send_reports(now, srtp, out);
        }
    }

    fn send_frame(&mut self, index: usize, srtp: &mut Srtp, out: &mut Vec<Vec<u8>>) {
        let track = &mut self.tracks[index];
        let at = track.next_frame;
        track.next_frame += track.config.interval;
        let timestamp = track.timestamp(at - track.held);
        let periodic =
            track.config.keyframe_every.is_some_and(|every| track.frames.is_multiple_of(every));
        let is_video = track.config.kind == MediaKind::Video;
        let keyframe = is_video && (std::mem::take(&mut track.wants_keyframe) || periodic);
        track.keyframes += u64::from(keyframe);
        track.frames += 1;
        let descriptor = track.next_picture(keyframe);
        let usual = track.config.packets_per_frame;
        let parts = track.config.packets_per_keyframe.filter(|_| keyframe).unwrap_or(usual);
        for part in 0..parts {
            let track = &mut self.tracks[index];
            let mut payload = vec![0xa5; track.config.payload_len];
            match is_video {
                true => track.config.form.write(&mut payload, descriptor, keyframe, (part, parts)),
                false => payload[0] = OPUS_20_MS,
            }
            let stamp = stamp_of(track.config.kind);
            payload[stamp] = u8::from(keyframe);
            payload[stamp + 1..stamp + 9].copy_from_slice(&track.packets.to_be_bytes());
            payload[stamp + 9..stamp + 13].copy_from_slice(&track.config.ssrc.to_be_bytes());
            let captured = at - track.config.captured_from.unwrap_or(track.started);
            let captured = captured.as_micros() as u64;
            payload[stamp + 13..stamp + 21].copy_from_slice(&captured.to_be_bytes());
            track.packets += 1;
            let header = OutgoingHeader {
                marker: part + 1 == parts,
                payload_type: track.config.payload_type,
                sequence_number: track.next,
                timestamp,
                ssrc: track.config.ssrc,
            };
            track.next = track.next.next();
            let extensions = extensions(&track.config, &mut self.transport_sequence);
            let header = wrap(track, header, &mut payload);
            let (header_len, packet) = assemble(&header, &extensions, &payload);
            track.bytes_sent += packet.len() as u64 + OVERHEAD;
            track.cache.insert(header.sequence_number.0, (header_len, packet.clone()));
            out.push(protect(srtp, header_len, packet));
        }
    }

    fn send_feedback(&mut self, now: Instant, srtp: &mut Srtp, out: &mut Vec<Vec<u8>>) {
        let Some((recorder, writer)) = &mut self.twcc else { return };
        while let Some(report) = recorder.poll(now) {
            let (mut base, mut rest) = (report.base, report.arrivals);
            while !rest.is_empty() {
                let mut compound = Vec::new();
                rtcp::write_receiver_report(&mut compound, 1, &[]);
                let written = writer.write(&mut compound, 1, 2, base, rest);
                base = base.add(written as u16);
                rest = &rest[written.clamp(1, rest.len())..];
                out.push(protect_rtcp(srtp, compound));
            }
        }
    }

    fn send_nacks(&mut self, now: Instant, srtp: &mut Srtp, out: &mut Vec<Vec<u8>>) {
        for (ssrc, inbound) in &mut self.inbound {
            let Some(nack) = &mut inbound.nack else { continue };
            let mut lost = Vec::new();
            nack.poll(now, Some(Duration::from_millis(60)), &mut lost);
            if lost.is_empty() {
                continue;
            }
            let mut compound = Vec::new();
            rtcp::write_receiver_report(&mut compound, 1, &[]);
            rtcp::write_nack(&mut compound, 1, *ssrc, &lost);
            out.push(protect_rtcp(srtp, compound));
        }
    }

    fn send_reports(&mut self, now: Instant, srtp: &mut Srtp, out: &mut Vec<Vec<u8>>) {
        let ntp = self.wall.ntp(now);
        let blocks: Vec<ReportBlock> = self
            .inbound
            .keys()
            .map(|ssrc| {
                let last = self.last_reports.get(ssrc);
                ReportBlock {
                    ssrc: *ssrc,
                    fraction_lost: self.reported_loss,
                    jitter: 480,
                    last_sr: last.map_or(0, |(ntp, _)| ntp.middle()),
                    delay_since_last_sr: last
                        .map_or(0, |(_, at)| rtcp::duration_to_short(now - *at)),
                    ..ReportBlock::default()
                }
            })
            .collect();
        for track in self.tracks.iter().filter(|track| track.active && self.reports) {
            let info = SenderInfo {
                ssrc: track.config.ssrc,
                ntp,
                rtp_timestamp: track.timestamp(now),
                packet_count: track.packets as u32,
                octet_count: 0,
            };
            let mut compound = Vec::new();
            rtcp::write_sender_report(&mut compound, &info, &[]);
            rtcp::write_cnames(&mut compound, &[(info.ssrc, "client")]).unwrap();
            out.push(protect_rtcp(srtp, compound));
        }
        let mut compound = Vec::new();
        rtcp::write_receiver_report(&mut compound, 1, &blocks);
        out.push(protect_rtcp(srtp, compound));
    }

    /// Asks for a keyframe of a stream.
    pub fn send_pli(&mut self, ssrc: u32, srtp: &mut Srtp) -> Vec<u8> {
        let mut compound = Vec::new();
        rtcp::write_receiver_report(&mut compound, 1, &[]);
        rtcp::write_pli(&mut compound, rtcp::Pli { sender_ssrc: 1, media_ssrc: ssrc });
        protect_rtcp(srtp, compound)
    }

    pub fn on_rtp(&mut self, now: Instant, packet: &[u8]) {
        let header = RtpHeader::parse(packet).unwrap();
        self.received_bytes += packet.len() as u64;
        if let (Some((recorder, _)), Some(id)) =
            (&mut self.twcc, self.extensions.id(ExtensionKind::TransportCc))
            && let Some(element) =
                header.extensions(packet).map_while(Result::ok).find(|element| element.id == id)
        {
            let number = transport_sequence(element.data).unwrap();
            let expected = self.newest_number.replace(number).map(SeqNo::next);
            self.unexpected_numbers += u64::from(expected.is_some_and(|next| next != number));
            recorder.on_packet(number, now);
        }
        let rtx = self.inbound.values().any(|inbound| inbound.rtx_ssrc == Some(header.ssrc));
        let found = self
            .inbound
            .iter_mut()
            .find(|(ssrc, inbound)| **ssrc == header.ssrc || inbound.rtx_ssrc == Some(header.ssrc));
        let Some((_, inbound)) = found else {
            self.unknown += 1;
            return;
        };
        let mut payload = header.payload(packet);
        let mut number = header.sequence_number;
        if rtx {
            number = SeqNo(u16::from_be_bytes([payload[0], payload[1]]));
            payload = &payload[2..];
        }
        let ext_seq = inbound.unwrapper.unwrap(number);
        if let Some(nack) = &mut inbound.nack {
            nack.on_packet(ext_seq, now);
        }
        let is_empty = payload.is_empty();
        let red_payload = payload;
        if header.payload_type == SUBSCRIBER_RED {
            payload = inbound.on_red(now, &header, payload);
        } else if inbound.kind == MediaKind::Audio && !is_empty {
            inbound.on_frame(now, header.timestamp, payload);
        }
        inbound.longest_payload = inbound.longest_payload.max(red_payload.len());
        let at = stamp_of(inbound.kind);
        let stamp = payload.get(at..at + 21).unwrap_or(&[0; 21]);
        let got = Got {
            at: now,
            payload_type: header.payload_type,
            marker: header.marker,
            ext_seq,
            timestamp: header.timestamp,
            serial: u64::from_be_bytes(stamp[1..9].try_into().unwrap()),
            ssrc_of_publisher: u32::from_be_bytes(stamp[9..13].try_into().unwrap()),
            extensions: header
                .extensions(packet)
                .map(|element| element.unwrap())
                .map(|element| (element.id, element.data.to_vec()))
                .collect(),
            by_rtx: rtx,
            is_keyframe: stamp[0] == 1,
            is_empty,
            captured: Duration::from_micros(u64::from_be_bytes(stamp[13..21].try_into().unwrap())),
            vp8: Vp8Descriptor::parse(payload).ok(),
            start: payload.first_chunk().copied().unwrap_or_default(),
        };
        if !self.keeps {
            return;
        }
        match inbound.got.entry(ext_seq) {
            Entry::Occupied(_) => inbound.duplicates += 1,
            Entry::Vacant(place) => {
                place.insert(got);
            }
        }
    }

    pub fn on_rtcp(
        &mut self,
        now: Instant,
        datagram: &[u8],
        srtp: &mut Srtp,
        out: &mut Vec<Vec<u8>>,
    ) {
        let packets: Vec<RtcpPacket<'_>> =
            rtcp::parse(datagram).collect::<Result<_, _>>().expect("well-formed rtcp");
        let starts_with_report = matches!(
            packets.first(),
            Some(RtcpPacket::SenderReport(_) | RtcpPacket::ReceiverReport(_))
        );
        let has_names = packets.iter().any(|packet| matches!(packet, RtcpPacket::Sdes(_)));
        assert!(starts_with_report && has_names, "not a compound packet");
        for packet in packets {
            match packet {
                RtcpPacket::SenderReport(report) => {
                    let info = report.info;
                    self.last_reports.insert(info.ssrc, (info.ntp, now));
                    if let Some(inbound) = self.inbound.get_mut(&info.ssrc) {
                        inbound.sender_reports.push((now, info));
                    }
                }
                RtcpPacket::ReceiverReport(report) => self.receiver_reports.extend(report.blocks()),
                RtcpPacket::Sdes(names) => {
                    for (ssrc, name) in names.cnames() {
                        if let Some(inbound) = self.inbound.get_mut(&ssrc) {
                            inbound.cname = Some(String::from_utf8(name.to_vec()).unwrap());
                        }
                    }
                }
                RtcpPacket::Nack(nack) => {
                    let Some(track) =
                        self.tracks.iter_mut().find(|t| t.config.ssrc == nack.media_ssrc)
                    else {
                        panic!("nack for an unknown ssrc");
                    };
                    for number in nack.lost() {
                        track.nacked += 1;
                        let last = track.resent_at.get(&number.0);
                        if last.is_some_and(|last| now < *last + self.resend_pause) {
                            continue;
                        }
                        track.resent_at.insert(number.0, now);
                        resend(track, number, srtp, out, &mut self.transport_sequence);
                    }
                }
                RtcpPacket::Pli(pli) => {
                    for track in &mut self.tracks {
                        if track.config.ssrc == pli.media_ssrc {
                            track.plis += 1;
                            track.wants_keyframe = true;
                        }
                    }
                }
                RtcpPacket::TransportFeedback(feedback) => {
                    self.feedback_packets += 1;
                    let arrived = feedback.packets().filter(|status| status.arrival_us.is_some());
                    self.feedback_reported.extend(arrived.map(|status| status.sequence.0));
                }
                _ => {}
            }
        }
    }
}

/// IP, UDP and the authentication tag.
const OVERHEAD: u64 = 44;

/// Adds the copies that are wanted, as an encoded transform does.
fn wrap(track: &mut Track, header: OutgoingHeader, payload: &mut Vec<u8>) -> OutgoingHeader {
    let Some(payload_type) = track.config.red else { return header };
    let mut blocks = Vec::new();
    let mut len = 1 + payload.len();
    for offset in &track.offsets {
        let Some((timestamp, frame)) = track.frames_sent.get(usize::from(*offset) - 1) else {
            break;
        };
        len += 4 + frame.len();
        if len > 1_000 {
            break;
        }
        blocks.insert(0, (header.timestamp.wrapping_sub(*timestamp) as u16, &frame[..]));
    }
    let mut red = Vec::new();
    write_red(&mut red, header.payload_type, &blocks, payload);
    let frame = std::mem::replace(payload, red);
    track.frames_sent.push_front((header.timestamp, frame));
    track.frames_sent.truncate(17);
    OutgoingHeader { payload_type, ..header }
}

fn extensions(config: &TrackConfig, transport_sequence: &mut SeqNo) -> ExtensionBuilder {
    let mut builder = ExtensionBuilder::default();
    for (id, value) in &config.extensions {
        builder.push(*id, value).unwrap();
    }
    if let Some((id, level)) = config.audio_level {
        builder.push(id, &AudioLevel { level, voice: true }.to_bytes()).unwrap();
    }
    if let Some(id) = config.transport_cc {
        builder.push(id, &write_transport_sequence(*transport_sequence)).unwrap();
        *transport_sequence = transport_sequence.next();
    }
    builder
}

fn resend(
    track: &mut Track,
    number: SeqNo,
    srtp: &mut Srtp,
    out: &mut Vec<Vec<u8>>,
    transport_sequence: &mut SeqNo,
) {
    let Some((header_len, packet)) = track.cache.get(&number.0) else { return };
    track.resent += 1;
    let Some((ssrc, payload_type)) = track.config.rtx else {
        // Only AES-CM may protect the same index again.
        let mut copy = packet.clone();
        let len = copy.len();
        copy.resize(len + MAX_OVERHEAD, 0);
        if let Ok(len) = srtp.local.protect_rtp(*header_len, &mut copy, len) {
            out.push(copy[..len].to_vec());
        }
        return;
    };
    let original = RtpHeader::parse(packet).unwrap();
    let mut payload = number.0.to_be_bytes().to_vec();
    payload.extend_from_slice(original.payload(packet));
    let header = OutgoingHeader {
        marker: original.marker,
        payload_type,
        sequence_number: track.rtx_next,
        timestamp: original.timestamp,
        ssrc,
    };
    track.rtx_next = track.rtx_next.next();
    let extensions = extensions(&track.config, transport_sequence);
    let (header_len, packet) = assemble(&header, &extensions, &payload);
    out.push(protect(srtp, header_len, packet));
}

pub fn assemble(
    header: &OutgoingHeader,
    extensions: &ExtensionBuilder,
    payload: &[u8],
) -> (usize, Vec<u8>) {
    let mut packet = vec![0; 12 + 600 + payload.len()];
    let header_len = header.write(extensions, &mut packet).unwrap();
    packet.truncate(header_len);
    packet.extend_from_slice(payload);
    (header_len, packet)
}

fn protect(srtp: &mut Srtp, header_len: usize, mut packet: Vec<u8>) -> Vec<u8> {
    let len = packet.len();
    packet.resize(len + MAX_OVERHEAD, 0);
    let len = srtp.local.protect_rtp(header_len, &mut packet, len).unwrap();
    packet.truncate(len);
    packet
}

fn protect_rtcp(srtp: &mut Srtp, mut compound: Vec<u8>) -> Vec<u8> {
    let len = compound.len();
    compound.resize(len + MAX_OVERHEAD, 0);
    let len = srtp.local.protect_rtcp(&mut compound, len).unwrap();
    compound.truncate(len);
    compound
}
