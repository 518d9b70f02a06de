//! From one packet in to many packets out.

use super::Room;
use super::receive::{Elements, Packet};
use crate::api::{DropReason, Event, ExtensionKind, MediaKind};
use crate::consumer::Consumer;
use crate::ext::AbsSendTime;
use crate::producer::Encoding;
use crate::resend::ResendDecision;
use crate::rewrite::{Refused, Sent};
use crate::rtp::{OutgoingHeader, RtpHeader, SeqNo};
use crate::shared::Cx;
use crate::srtp::MAX_OVERHEAD;
use crate::table::Key;
use crate::transport::Transport;

impl Room {
    /// Sends the packet to every subscriber that can take it.
    pub(super) fn forward(&mut self, cx: &mut Cx, producer: Key, packet: &Packet<'_>) {
        let Some(producer) = self.producers.get(producer) else { return };
        let kind = producer.kind;
        for key in &producer.consumers {
            let Some(consumer) = self.consumers.get_mut(*key) else { continue };
            let Some(transport) = self.transports.get_mut(consumer.transport) else { continue };
            if let Err(reason) = admit(consumer, transport, producer.selected, packet) {
                if let Some(reason) = reason {
                    cx.drop_packet(reason);
                }
                continue;
            }
            forward_to(cx, transport, consumer, packet, kind);
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
        let Some(consumer) = self.consumers.get_mut(consumer) else { return };
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
                    resend_rtx(cx, transport, consumer, &lost);
                    true
                })
            };
            cx.shared.counters.retransmissions_missed += u64::from(!is_answered);
        }
    }
}

/// A packet asked for again.
struct Lost<'a> {
    /// As the subscriber knows it.
    number: SeqNo,
    outgoing: u64,
    timestamp_offset: u32,
    bytes: &'a [u8],
    header: RtpHeader,
    elements: Elements,
}

fn find_lost<'a>(
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
    packet: &Packet<'_>,
    kind: MediaKind,
) {
    let Some(payload_type) = consumer.outgoing_payload_type(packet.header.payload_type) else {
        consumer.rewriter.skip(packet.ext_seq);
        return cx.drop_packet(DropReason::CodecMismatch);
    };
    let header = &packet.header;
    let rewritten = match consumer.rewriter.rewrite(packet.ext_seq, header.timestamp, cx.now) {
        Ok(rewritten) => rewritten,
        Err(Refused::Duplicate | Refused::BeforeSwitch | Refused::TooOld) => {
            return cx.drop_packet(DropReason::Duplicate);
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
    let Some(lens) = write_packet(cx, transport, consumer, outgoing, &source, None) else {
        return cx.drop_packet(DropReason::TooLarge);
    };
    let shared = &mut *cx.shared;
    let limit = shared.config.max_forwarded_len;
    let packet_buffer = &mut shared.scratch.packet[..];
    let sent = transport.send_rtp(cx.output, &mut shared.counters, limit, packet_buffer, lens);
    if let Some(ring) = &mut consumer.sent
        && let Some(len) = sent.protected_len
    {
        ring.insert(rewritten.seq, &shared.scratch.packet[..len]);
    }
    if !sent.is_sent {
        return;
    }
    let payload_len = header.payload_end - header.header_len;
    shared.counters.rtp_packets_out[kind as usize] += 1;
    shared.counters.rtp_bytes_out[kind as usize] += lens.1 as u64;
    consumer.packets += 1;
    consumer.payload_bytes += payload_len as u64;
    consumer.rate.add(lens.1 as u64, cx.now);
    consumer.responder.on_sent(lens.1, cx.now);
    if packet.is_late {
        // It answers the subscriber's requests that are still under way.
        let rtt = transport.rtt.get();
        let _ = consumer.responder.request(rewritten.ext_seq, lens.1, rtt, cx.now);
    }
    if !consumer.started {
        consumer.started = true;
        shared.events.push(Event::ConsumerStarted { consumer: consumer.id });
    }
}

/// A packet to build another from.
struct Source<'a> {
    bytes: &'a [u8],
    header: &'a RtpHeader,
    elements: &'a Elements,
}

/// Writes an outgoing packet into the scratch buffer: `(header length, length)`. `original` is
/// the sequence number an RTX payload starts with. `None` if it does not fit.
#[inline]
fn write_packet(
    cx: &mut Cx,
    transport: &Transport,
    consumer: &Consumer,
    outgoing: OutgoingHeader,
    source: &Source<'_>,
    original: Option<SeqNo>,
) -> Option<(usize, usize)> {
    let since_epoch = cx.now.saturating_duration_since(cx.shared.epoch);
    let scratch = &mut cx.shared.scratch;
    let extensions = &mut scratch.extensions;
    extensions.clear();
    if let Some(id) = transport.extensions.id(ExtensionKind::Mid) {
        extensions.push(id, consumer.parameters.mid.as_bytes()).ok()?;
    }
    if let Some(id) = transport.extensions.id(ExtensionKind::AbsSendTime) {
        extensions.push(id, &AbsSendTime::from_duration(since_epoch).to_bytes()).ok()?;
    }
    for passed in source.elements.passed() {
        if let Some(id) = transport.extensions.id(passed.kind) {
            extensions.push(id, passed.value(source.bytes)).ok()?;
        }
    }
    let header_len = outgoing.write(extensions, &mut *scratch.packet).ok()?;
    let mut at = header_len;
    if let Some(original) = original {
        scratch.packet.get_mut(at..at + 2)?.copy_from_slice(&original.0.to_be_bytes());
        at += 2;
    }
    let payload = source.header.payload(source.bytes);
    let end = at + payload.len();
    scratch.packet.get_mut(at..end)?.copy_from_slice(payload);
    (end + MAX_OVERHEAD <= scratch.packet.len()).then_some((header_len, end))
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
    match transport.send_raw(cx.output, packet) {
        Ok(()) => {
            consumer.retransmitted += 1;
            cx.shared.counters.retransmissions_out += 1;
        }
        Err(reason) => cx.drop_packet(reason),
    }
    true
}

/// Sends a cached packet again as RTX (RFC 4588, section 4).
fn resend_rtx(cx: &mut Cx, transport: &mut Transport, consumer: &mut Consumer, lost: &Lost<'_>) {
    let Some((ssrc, payload_type)) = consumer.rtx(lost.header.payload_type) else { return };
    let rtt = transport.rtt.get();
    let len = lost.bytes.len();
    if consumer.responder.request(lost.outgoing, len, rtt, cx.now) != ResendDecision::Send {
        return;
    }
    let outgoing = OutgoingHeader {
        marker: lost.header.marker,
        payload_type,
        sequence_number: consumer.rtx_sequence,
        timestamp: lost.header.timestamp.wrapping_add(lost.timestamp_offset),
        ssrc,
    };
    consumer.rtx_sequence = consumer.rtx_sequence.next();
    let source = Source { bytes: lost.bytes, header: &lost.header, elements: &lost.elements };
    let number = Some(lost.number);
    let Some(lens) = write_packet(cx, transport, consumer, outgoing, &source, number) else {
        return cx.drop_packet(DropReason::TooLarge);
    };
    let shared = &mut *cx.shared;
    let limit = shared.config.max_forwarded_len;
    let packet = &mut shared.scratch.packet[..];
    let sent = transport.send_rtp(cx.output, &mut shared.counters, limit, packet, lens);
    if sent.is_sent {
        consumer.retransmitted += 1;
        shared.counters.retransmissions_out += 1;
    }
}
