//! From a datagram to media: decryption, RTX, loss accounting.

use crate::api::{DropReason, Event, ExtensionKind, LayerSwitchReason, MediaKind};
use crate::capture::How;
use crate::codec::{self, PayloadInfo};
use crate::demux::PacketKind;
use crate::ext::{AbsSendTime, AudioLevel, ExtensionMap, StreamId, transport_sequence};
use crate::ledger::Stage;
use crate::producer::Encoding;
use crate::reception::Arrival;
use crate::remote::Remote;
use crate::rtp::{RtpHeader, SeqNo};
use crate::shared::{Cx, TimerKind};
use crate::table::Key;
use crate::transport::{Checked, Stream, Transport};

use super::{Room, audio};

/// Header extensions passed on to subscribers under their own ids.
const MAX_PASSED: usize = 6;

/// An element that is passed on: where it is in the packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    pub(super) kind: ExtensionKind,
    start: u16,
    len: u8,
}

impl Passed {
    /// The value in the packet the element was found in.
    pub(super) fn value<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        let start = usize::from(self.start);
        packet.get(start..start + usize::from(self.len)).unwrap_or_default()
    }
}

/// What the header extensions of one packet say.
#[derive(Debug, Clone, Default)]
pub(super) struct Elements {
    pub(super) mid: Option<StreamId>,
    pub(super) rid: Option<StreamId>,
    pub(super) repaired_rid: Option<StreamId>,
    transport_sequence: Option<SeqNo>,
    sent: Option<AbsSendTime>,
    audio_level: Option<AudioLevel>,
    passed: [Option<Passed>; MAX_PASSED],
    passed_count: usize,
}

impl Elements {
    /// Reads the elements the map knows. Values that do not fit their kind are ignored.
    pub(super) fn read(header: &RtpHeader, packet: &[u8], map: &ExtensionMap) -> Elements {
        let mut elements = Elements::default();
        for element in header.extensions(packet).map_while(Result::ok) {
            let Some(kind) = map.kind(element.id) else { continue };
            let data = element.data;
            match kind {
                ExtensionKind::Mid => elements.mid = StreamId::parse(data).ok(),
                ExtensionKind::Rid => elements.rid = StreamId::parse(data).ok(),
                ExtensionKind::RepairedRid => elements.repaired_rid = StreamId::parse(data).ok(),
                ExtensionKind::TransportCc => {
                    elements.transport_sequence = transport_sequence(data).ok();
                }
                ExtensionKind::AbsSendTime => elements.sent = AbsSendTime::parse(data).ok(),
                ExtensionKind::AudioLevel => {
                    elements.audio_level = AudioLevel::parse(data).ok();
                    elements.pass(kind, packet, data);
                }
                ExtensionKind::VideoOrientation
                | ExtensionKind::PlayoutDelay
                | ExtensionKind::AbsCaptureTime
                | ExtensionKind::DependencyDescriptor => elements.pass(kind, packet, data),
            }
        }
        elements
    }

    fn pass(&mut self, kind: ExtensionKind, packet: &[u8], data: &[u8]) {
        let start = (data.as_ptr() as usize).wrapping_sub(packet.as_ptr() as usize);
        let Some(slot) = self.passed.get_mut(self.passed_count) else { return };
        if let (Ok(start), Ok(len)) = (start.try_into(), data.len().try_into()) {
            *slot = Some(Passed { kind, start, len });
            self.passed_count += 1;
        }
    }

    /// What subscribers get.
    pub(super) fn passed(&self) -> impl Iterator<Item = Passed> {
        self.passed.iter().map_while(|passed| *passed)
    }
}

/// A decrypted media packet, RTX undone, without padding.
pub(super) struct Packet<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) header: RtpHeader,
    pub(super) elements: Elements,
    pub(super) encoding: usize,
    pub(super) ext_seq: u64,
    /// What the payload says of frames and layers.
    pub(super) info: PayloadInfo,
    /// It belongs to a keyframe.
    pub(super) is_key: bool,
    /// A decoder can begin here.
    pub(super) can_start: bool,
    /// Newer packets came before it.
    pub(super) is_late: bool,
}

impl Room {
    /// Takes a datagram from `remote`, an address of the transport.
    pub(crate) fn receive(
        &mut self,
        cx: &mut Cx,
        transport: Key,
        remote: Remote,
        kind: PacketKind,
        datagram: &mut [u8],
    ) {
        assert!(!std::mem::take(&mut self.panic_armed), "injected fault");
        match kind {
            PacketKind::Rtp => self.receive_rtp(cx, transport, remote, datagram),
            PacketKind::Rtcp => self.receive_rtcp(cx, transport, remote, datagram),
            PacketKind::Dtls => self.receive_dtls(cx, transport, datagram),
            // Checks go another way.
            PacketKind::Stun => cx.drop_packet(Stage::Stun, DropReason::Malformed),
        }
    }

    fn receive_dtls(&mut self, cx: &mut Cx, key: Key, datagram: &[u8]) {
        let Some(transport) = self.transports.get_mut(key) else {
            return cx.drop_packet(Stage::Dtls, DropReason::TransportClosed);
        };
        if transport.on_dtls(cx, datagram) == Checked::Connected {
            self.on_connected(cx, key);
        }
    }

    fn receive_rtp(&mut self, cx: &mut Cx, key: Key, remote: Remote, datagram: &mut [u8]) {
        let Some(transport) = self.transports.get_mut(key) else {
            return cx.drop_packet(Stage::Rtp, DropReason::TransportClosed);
        };
        let protected_len = datagram.len();
        let Some(opened) = transport.unprotect_rtp(cx, remote, datagram) else { return };
        let len = opened.len;
        let datagram = &mut datagram[..len];
        let Ok(header) = RtpHeader::parse(datagram) else {
            return cx.drop_packet(Stage::Rtp, DropReason::Malformed);
        };
        let elements = Elements::read(&header, datagram, &transport.extensions);
        if opened.is_fresh {
            count_arrival(cx, transport, &elements, len);
        }
        let stream = match opened.stream {
            Some(stream) => stream,
            None => match self.learn(cx, key, &header, &elements) {
                Ok(stream) => stream,
                Err(reason) => return cx.drop_packet(Stage::Rtp, reason),
            },
        };
        if !opened.is_fresh {
            let Some(transport) = self.transports.get_mut(key) else {
                return cx.drop_packet(Stage::Rtp, DropReason::TransportClosed);
            };
            if let Err(reason) = transport.adopt_stream(cx, remote, &header, protected_len) {
                return cx.drop_packet(Stage::Rtp, reason);
            }
            count_arrival(cx, transport, &elements, len);
        }
        if !self.count_incoming(cx, stream, len) {
            return cx.drop_packet(Stage::Rtp, DropReason::UnknownSsrc);
        }
        match self.unwrap_rtx(stream, header, datagram) {
            Ok(Some(header)) => self.on_media(cx, key, stream, header, elements, datagram),
            Ok(None) => cx.ledger().empty_in += 1,
            Err(reason) => cx.drop_packet(Stage::Media, reason),
        }
    }

    /// Counts a packet of a track. Returns whether there is one.
    fn count_incoming(&self, cx: &mut Cx, stream: Stream, len: usize) -> bool {
        let Some(producer) = self.producers.get(stream.producer) else { return false };
        let kind = producer.kind as usize;
        cx.shared.counters.rtp_packets_in[kind] += 1;
        cx.shared.counters.rtp_bytes_in[kind] += len as u64;
        cx.shared.counters.retransmissions_in += u64::from(stream.is_rtx);
        true
    }

    /// Turns an RTX packet into the one it repairs, in place (RFC 4588, section 4). `None` for
    /// RTX without content, which only probes for bandwidth.
    fn unwrap_rtx(
        &self,
        stream: Stream,
        mut header: RtpHeader,
        packet: &mut [u8],
    ) -> Result<Option<RtpHeader>, DropReason> {
        if !stream.is_rtx {
            return Ok(Some(header));
        }
        let payload = header.payload_range();
        let Some(&[high, low]) = packet[payload.clone()].first_chunk() else { return Ok(None) };
        let producer = self.producers.get(stream.producer).ok_or(DropReason::UnknownSsrc)?;
        let payload_type =
            producer.repaired(header.payload_type).ok_or(DropReason::UnknownPayloadType)?;
        let ssrc = producer
            .encodings
            .get(stream.encoding)
            .and_then(|encoding| encoding.ssrc)
            .ok_or(DropReason::UnknownSsrc)?;
        packet.copy_within(payload.start + 2..payload.end, payload.start);
        header.payload_end -= 2;
        header.payload_type = payload_type;
        header.sequence_number = SeqNo(u16::from_be_bytes([high, low]));
        header.ssrc = ssrc;
        packet[1] = packet[1] & 0x80 | payload_type;
        packet[2..4].copy_from_slice(&[high, low]);
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
        Ok(Some(header))
    }

    fn on_media(
        &mut self,
        cx: &mut Cx,
        transport: Key,
        stream: Stream,
        mut header: RtpHeader,
        elements: Elements,
        packet: &mut [u8],
    ) {
        let now = cx.now;
        let Some(producer) = self.producers.get_mut(stream.producer) else {
            return cx.drop_packet(Stage::Media, DropReason::UnknownSsrc);
        };
        let Some(codec) = producer.codec(header.payload_type) else {
            self.capture_unknown(cx, stream, header.sequence_number);
            return cx.drop_packet(Stage::Media, DropReason::UnknownPayloadType);
        };
        let is_audio = producer.kind == MediaKind::Audio;
        if is_audio && !producer.allowance.admits(packet.len(), now) {
            // As if the network had lost it: copies and requests may still bring it.
            return cx.drop_packet(Stage::Media, DropReason::RateExceeded);
        }
        let Some(encoding) = producer.encodings.get_mut(stream.encoding) else {
            return cx.drop_packet(Stage::Media, DropReason::UnknownSsrc);
        };
        let (number, mut len) = (header.sequence_number, header.payload_end);
        let is_repair = stream.is_rtx || is_audio && audio::is_answer(encoding, number);
        let received = match is_repair {
            true => encoding.reception.on_repaired(number, len, now),
            false => encoding.reception.on_packet(number, header.timestamp, len, now),
        };
        if !is_repair && received.arrival == Arrival::Newest && encoding.lateness.is_due(now) {
            note_lateness(cx, encoding, self.transports.get(transport), header.timestamp);
        }
        let ext_seq = received.ext_seq;
        let is_muted = producer.paused || encoding.is_muted(received);
        let mut taken = Ok(0);
        if is_audio {
            taken = audio::take(cx, producer, stream.encoding, (&mut header, packet), received);
            len = header.payload_end;
        }
        let Some(encoding) = producer.encodings.get_mut(stream.encoding) else {
            return cx.drop_packet(Stage::Media, DropReason::UnknownSsrc);
        };
        if let Some(nack) = &mut encoding.nack
            && received.arrival != Arrival::Duplicate
        {
            // One that can't be read is not asked for either: the same would come again.
            nack.on_packet(ext_seq, now);
            if let Some(at) = nack.next_timeout()
                && let Some(transport) = self.transports.get_mut(transport)
            {
                transport.schedule_requests(cx, at);
            }
        }
        let Ok(recovered) = taken else {
            self.capture_nothing(cx, stream, ext_seq);
            return cx.drop_packet(Stage::Media, DropReason::Malformed);
        };
        if received.arrival == Arrival::Duplicate {
            self.forward_recovered(cx, stream, ext_seq, recovered);
            return cx.drop_packet(Stage::Media, DropReason::Duplicate);
        }
        // Padding is not forwarded; the P bit goes with it.
        packet[0] &= !0x20;
        let bytes = &packet[..len];
        let payload = header.payload(bytes);
        if payload.is_empty() {
            cx.ledger().empty_in += 1;
            self.capture_nothing(cx, stream, ext_seq);
            return self.skip(cx, stream, ext_seq);
        }
        let mut can_start = true;
        let mut info = PayloadInfo::default();
        if producer.kind == MediaKind::Video {
            info = codec::inspect(codec, payload);
            if info.needs_head && !producer.has_head(stream.encoding, ext_seq, header.timestamp) {
                // A decoder would take it for a picture of other parameters. They may come late.
                info.keyframe_start = false;
            }
            can_start = info.keyframe_start;
            let encoding = &mut producer.encodings[stream.encoding];
            if can_start {
                if let Some(nack) = &mut encoding.nack {
                    nack.on_keyframe(ext_seq, header.timestamp);
                }
                producer.on_keyframe(stream.encoding, header.timestamp);
            }
        }
        let is_key = producer.is_key(stream.encoding, header.timestamp);
        let has_begun = producer.on_media(stream.encoding, &info, (header.timestamp, len), now);
        let is_one_of_several = producer.encodings.len() > 1;
        if is_muted {
            // What was sent before is for the recording all the same.
            let packet = Packet {
                bytes,
                header,
                elements,
                encoding: stream.encoding,
                ext_seq,
                info,
                is_key,
                can_start,
                is_late: true,
            };
            let how = if is_repair { How::Retransmitted } else { How::Original };
            self.capture(cx, stream.producer, &packet, how);
            return cx.drop_packet(Stage::Media, DropReason::ProducerPaused);
        }
        if !producer.started {
            producer.started = true;
            cx.shared.events.push(Event::ProducerStarted { producer: producer.id, codec });
        }
        if producer.keeps_packets {
            producer.encodings[stream.encoding].cache.insert(ext_seq, bytes, now);
        }
        if let Some(level) = elements.audio_level {
            self.speaker.on_level(producer.id, level.level, now);
            self.schedule_levels(cx);
        }
        let is_late = received.arrival == Arrival::Late;
        let encoding = stream.encoding;
        let packet =
            Packet { bytes, header, elements, encoding, ext_seq, info, is_key, can_start, is_late };
        if has_begun && is_one_of_several {
            self.allocate_subscribers(cx, stream.producer, LayerSwitchReason::Encoding);
        }
        cx.ledger().pass(Stage::Media);
        let how = if is_repair { How::Retransmitted } else { How::Original };
        self.capture(cx, stream.producer, &packet, how);
        self.tap(cx, stream.producer, &packet, how);
        self.forward_recovered(cx, stream, ext_seq, recovered);
        self.forward(cx, stream.producer, &packet);
        if is_audio {
            self.protect(cx, stream.producer, encoding);
        }
    }
}

/// Takes how late a packet is that was sent for the first time.
#[inline(never)]
fn note_lateness(cx: &Cx, encoding: &mut Encoding, transport: Option<&Transport>, timestamp: u32) {
    let clock = transport.map(|transport| &transport.publisher_clock);
    if let Some(taken) = clock.and_then(|clock| encoding.reports.server_ntp_for(timestamp, clock)) {
        encoding.lateness.on_packet(cx.ntp().ns_since(taken), cx.now);
    }
}

/// Notes the packet for the transport-wide congestion feedback.
#[inline]
fn count_arrival(cx: &mut Cx, transport: &mut Transport, elements: &Elements, len: usize) {
    let Some(sequence) = elements.transport_sequence else { return };
    transport.twcc.on_packet(sequence, cx.now);
    transport.uplink.on_packet(elements.sent, len, cx.now_us());
    if let Some(at) = transport.twcc.next_timeout() {
        transport.schedule(cx, TimerKind::Repair, at);
    }
}
