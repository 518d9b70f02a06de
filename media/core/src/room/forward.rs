//! From one packet in to many packets out.

use super::Room;
use super::receive::{Elements, Packet};
use crate::api::{DropReason, ExtensionKind, MediaKind};
use crate::consumer::{Consumer, Forwarded};
use crate::ext::transport_sequence;
use crate::pacer::{Class, Queued, Stamps};
use crate::producer::Encoding;
use crate::resend::ResendDecision;
use crate::rewrite::{Refused, Sent};
use crate::rtp::{OutgoingHeader, RtpHeader, SeqNo};
use crate::shared::Cx;
use crate::srtp::MAX_OVERHEAD;
use crate::table::Key;
use crate::transport::Transport;

/// Where the first header extension element begins: behind the fixed header and the header of
/// the extension block.
const FIRST_ELEMENT: usize = 12 + 4;
/// Bytes of a transport-wide number.
const NUMBER_LEN: usize = 2;

impl Room {
    /// Sends the packet to every subscriber that can take it.
    pub(super) fn forward(&mut self, cx: &mut Cx, producer: Key, packet: &Packet<'_>) {
        let source = producer;
        let Some(producer) = self.producers.get(source) else { return };
        let mut is_broken = false;
        for key in &producer.consumers {
            let Some(consumer) = self.consumers.get_mut(*key) else { continue };
            let Some(transport) = self.transports.get_mut(consumer.transport) else { continue };
            if let Err(reason) = admit(consumer, transport, producer.selected, packet) {
                if let Some(reason) = reason {
                    cx.drop_packet(reason);
                }
                continue;
            }
            is_broken |= forward_to(cx, transport, consumer, *key, packet) == Outcome::Broken;
        }
        if is_broken {
            self.request_keyframe(cx, source);
        }
    }

    /// Sends what the subscriber misses, as far as it is still there and the budget allows.
    pub(super) fn resend(
        &mut self,
        cx: &mut Cx,
        transport: Key,
        consumer: Key,
        lost: impl Iterator<Item = SeqNo>,
    ) {
        let consumer_key = consumer;
        let Some(consumer) = self.consumers.get_mut(consumer_key) else { return };
        if !consumer.parameters.nack {
            return;
        }
        let producer = consumer.producer.and_then(|key| self.producers.get(key));
        let encoding = producer
            .zip(consumer.encoding)
            .and_then(|(producer, index)| producer.encodings.get(index));
        let publisher = producer.map(|producer| producer.transport);
        for number in lost {
            let is_answered = if consumer.sent.is_some() {
                let Some(transport) = self.transports.get_mut(transport) else { return };
                resend_plain(cx, transport, consumer, number)
            } else {
                let publisher = publisher.and_then(|key| self.transports.get(key));
                let lost = encoding.zip(publisher).and_then(|(encoding, publisher)| {
                    find_lost(consumer, encoding, publisher, number)
                });
                let Some(transport) = self.transports.get_mut(transport) else { return };
                lost.is_some_and(|lost| {
                    resend_rtx(cx, transport, consumer, consumer_key, &lost);
                    true
                })
            };
            cx.shared.counters.retransmissions_missed += u64::from(!is_answered);
        }
    }
}

/// What became of a packet for one subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Fine,
    /// It was dropped from a video stream, which needs a keyframe now.
    Broken,
}

/// A packet asked for again.
pub(super) struct Lost<'a> {
    /// As the subscriber knows it.
    number: SeqNo,
    outgoing: u64,
    timestamp_offset: u32,
    bytes: &'a [u8],
    header: RtpHeader,
    elements: Elements,
}

/// The packet a subscriber knows by `number`, if it is still there.
pub(super) fn find_lost<'a>(
    consumer: &Consumer,
    encoding: &'a Encoding,
    publisher: &Transport,
    number: SeqNo,
) -> Option<Lost<'a>> {
    let sent = consumer.rewriter.lookup(number)?;
    if sent.generation != consumer.rewriter.generation() {
        return None;
    }
    let bytes = encoding.cache.get(sent.incoming)?;
    let header = RtpHeader::parse(bytes).ok()?;
    let elements = Elements::read(&header, bytes, &publisher.extensions);
    let Sent { outgoing, timestamp_offset, .. } = sent;
    Some(Lost { number, outgoing, timestamp_offset, bytes, header, elements })
}

/// Whether a consumer takes the packet. `Err(None)` for another simulcast layer.
#[inline]
fn admit(
    consumer: &mut Consumer,
    transport: &Transport,
    selected: usize,
    packet: &Packet<'_>,
) -> Result<(), Option<DropReason>> {
    if consumer.paused {
        return Err(Some(DropReason::ConsumerPaused));
    }
    if transport.srtp.is_none() {
        return Err(Some(DropReason::NotSecured));
    }
    if consumer.encoding == Some(packet.encoding) {
        return Ok(());
    }
    if packet.encoding != selected {
        return Err(None);
    }
    if !packet.can_start {
        let waits = consumer.encoding.is_none();
        return Err(waits.then_some(DropReason::AwaitingKeyframe));
    }
    if consumer.encoding.is_some() {
        consumer.rewriter.switch_source();
    }
    consumer.encoding = Some(packet.encoding);
    Ok(())
}

#[inline]
fn forward_to(
    cx: &mut Cx,
    transport: &mut Transport,
    consumer: &mut Consumer,
    key: Key,
    packet: &Packet<'_>,
) -> Outcome {
    let Some(payload_type) = consumer.outgoing_payload_type(packet.header.payload_type) else {
        consumer.rewriter.skip(packet.ext_seq);
        cx.drop_packet(DropReason::CodecMismatch);
        return Outcome::Fine;
    };
    let header = &packet.header;
    let rewritten = match consumer.rewriter.rewrite(packet.ext_seq, header.timestamp, cx.now) {
        Ok(rewritten) => rewritten,
        Err(Refused::Duplicate | Refused::BeforeSwitch | Refused::TooOld) => {
            cx.drop_packet(DropReason::Duplicate);
            return Outcome::Fine;
        }
    };
    let outgoing = OutgoingHeader {
        marker: header.marker,
        payload_type,
        sequence_number: rewritten.seq,
        timestamp: rewritten.timestamp,
        ssrc: consumer.parameters.ssrc,
    };
    let source = Source { bytes: packet.bytes, header, elements: &packet.elements };
    let Some((lens, stamps)) = write_packet(cx, transport, consumer, outgoing, &source, None)
    else {
        cx.drop_packet(DropReason::TooLarge);
        return Outcome::Fine;
    };
    if packet.is_late {
        // It answers the subscriber's requests that are still under way.
        let rtt = transport.rtt.get();
        let _ = consumer.responder.request(rewritten.ext_seq, lens.1, rtt, cx.now);
    }
    let payload_len = header.payload_end - header.header_len;
    if consumer.kind == MediaKind::Video && !transport.pacer.admits(cx.now) {
        let queued = Queued {
            class: Class::Video,
            consumer: key,
            lens,
            stamps,
            sequence: rewritten.seq,
            payload_len,
            bytes: Vec::new(),
        };
        let is_dropped = !enqueue(cx, transport, queued);
        let is_broken = is_dropped && transport.pacer.may_ask_for_keyframe(cx.now);
        return if is_broken { Outcome::Broken } else { Outcome::Fine };
    }
    let forwarded = Forwarded { sequence: rewritten.seq, len: lens.1, payload_len };
    let mut buffer = std::mem::take(&mut cx.shared.scratch.packet);
    let sent = transport.send_media(cx, &mut buffer, lens, stamps);
    consumer.on_sent(cx, sent, &forwarded, &buffer);
    cx.shared.scratch.packet = buffer;
    Outcome::Fine
}

/// Lets the packet in the scratch buffer wait. Returns whether there was room.
#[cold]
fn enqueue(cx: &mut Cx, transport: &mut Transport, queued: Queued) -> bool {
    let len = queued.lens.1;
    let has_room = transport.pacer.push(queued, &cx.shared.scratch.packet[..len]);
    if !has_room {
        cx.drop_packet(DropReason::PacerOverflow);
    }
    transport.schedule_pace(cx);
    has_room
}

/// A packet to build another from.
struct Source<'a> {
    bytes: &'a [u8],
    header: &'a RtpHeader,
    elements: &'a Elements,
}

/// Header length and length of an unprotected packet.
type Lens = (usize, usize);

/// Writes an outgoing packet into the scratch buffer, without what depends on when it leaves.
/// `original` is the sequence number an RTX payload starts with. `None` if it does not fit.
#[inline]
fn write_packet(
    cx: &mut Cx,
    transport: &Transport,
    consumer: &Consumer,
    outgoing: OutgoingHeader,
    source: &Source<'_>,
    original: Option<SeqNo>,
) -> Option<(Lens, Stamps)> {
    let scratch = &mut cx.shared.scratch;
    let extensions = &mut scratch.extensions;
    extensions.clear();
    // First, so that it is known where they are.
    let number_id = transport.extensions.id(ExtensionKind::TransportCc);
    if let Some(id) = number_id {
        extensions.push(id, &[0; NUMBER_LEN]).ok()?;
    }
    let time_id = transport.extensions.id(ExtensionKind::AbsSendTime);
    if let Some(id) = time_id {
        extensions.push(id, &[0; 3]).ok()?;
    }
    if let Some(id) = transport.extensions.id(ExtensionKind::Mid) {
        extensions.push(id, consumer.parameters.mid.as_bytes()).ok()?;
    }
    for passed in source.elements.passed() {
        if let Some(id) = transport.extensions.id(passed.kind) {
            extensions.push(id, passed.value(source.bytes)).ok()?;
        }
    }
    let header_len = outgoing.write(extensions, &mut scratch.packet).ok()?;
    let mut stamps = Stamps::default();
    let mut next_at = FIRST_ELEMENT;
    if number_id.is_some() {
        stamps.number_at = (next_at + extensions.element_header_len()) as u16;
        next_at += extensions.element_header_len() + NUMBER_LEN;
    }
    if time_id.is_some() {
        stamps.time_at = (next_at + extensions.element_header_len()) as u16;
    }
    let mut at = header_len;
    if let Some(original) = original {
        scratch.packet.get_mut(at..at + 2)?.copy_from_slice(&original.0.to_be_bytes());
        at += 2;
    }
    let payload = source.header.payload(source.bytes);
    let end = at + payload.len();
    scratch.packet.get_mut(at..end)?.copy_from_slice(payload);
    (end + MAX_OVERHEAD <= scratch.packet.len()).then_some(((header_len, end), stamps))
}

/// Sends the same bytes again. Returns whether the packet was still there.
fn resend_plain(
    cx: &mut Cx,
    transport: &mut Transport,
    consumer: &mut Consumer,
    number: SeqNo,
) -> bool {
    let Some(packet) = consumer.sent.as_ref().and_then(|sent| sent.get(number)) else {
        return false;
    };
    let Some(outgoing) = consumer.rewriter.lookup(number).map(|sent| sent.outgoing) else {
        return false;
    };
    let rtt = transport.rtt.get();
    if consumer.responder.request(outgoing, packet.len(), rtt, cx.now) != ResendDecision::Send {
        return true;
    }
    let number = transport_number(transport, packet);
    match transport.send_raw(cx.output, packet) {
        Ok(()) => {
            transport.pacer.charge(packet.len());
            if let (Some(number), Some(estimator)) = (number, &mut transport.estimator) {
                estimator.on_repeated(number);
            }
            consumer.retransmitted += 1;
            cx.shared.counters.retransmissions_out += 1;
        }
        Err(reason) => cx.drop_packet(reason),
    }
    true
}

/// The transport-wide number in a protected packet.
fn transport_number(transport: &Transport, packet: &[u8]) -> Option<SeqNo> {
    let id = transport.extensions.id(ExtensionKind::TransportCc)?;
    let header = RtpHeader::parse_protected(packet).ok()?;
    let mut elements = header.extensions(packet).map_while(Result::ok);
    transport_sequence(elements.find(|element| element.id == id)?.data).ok()
}

/// Sends a cached packet again as RTX (RFC 4588, section 4).
fn resend_rtx(
    cx: &mut Cx,
    transport: &mut Transport,
    consumer: &mut Consumer,
    key: Key,
    lost: &Lost<'_>,
) {
    if consumer.rtx(lost.header.payload_type).is_none() {
        return;
    }
    let (rtt, len) = (transport.rtt.get(), lost.bytes.len());
    if !transport.pacer.may_resend(len, cx.now) {
        return consumer.responder.refuse();
    }
    if consumer.responder.request(lost.outgoing, len, rtt, cx.now) != ResendDecision::Send {
        return;
    }
    let Some((lens, stamps, sequence)) = write_rtx(cx, transport, consumer, lost) else {
        return cx.drop_packet(DropReason::TooLarge);
    };
    if transport.pacer.admits(cx.now) {
        let sent = transport.send_scratch(cx, lens, stamps);
        return consumer.on_resent(cx, sent);
    }
    let queued = Queued {
        class: Class::Retransmission,
        consumer: key,
        lens,
        stamps,
        sequence,
        payload_len: 0,
        bytes: Vec::new(),
    };
    enqueue(cx, transport, queued);
}

/// Writes a cached packet as RTX into the scratch buffer, with the sequence number it gets.
pub(super) fn write_rtx(
    cx: &mut Cx,
    transport: &Transport,
    consumer: &mut Consumer,
    lost: &Lost<'_>,
) -> Option<(Lens, Stamps, SeqNo)> {
    let (ssrc, payload_type) = consumer.rtx(lost.header.payload_type)?;
    let sequence_number = consumer.rtx_sequence;
    let outgoing = OutgoingHeader {
        marker: lost.header.marker,
        payload_type,
        sequence_number,
        timestamp: lost.header.timestamp.wrapping_add(lost.timestamp_offset),
        ssrc,
    };
    let source = Source { bytes: lost.bytes, header: &lost.header, elements: &lost.elements };
    let number = Some(lost.number);
    let (lens, stamps) = write_packet(cx, transport, consumer, outgoing, &source, number)?;
    consumer.rtx_sequence = sequence_number.next();
    Some((lens, stamps, sequence_number))
}
