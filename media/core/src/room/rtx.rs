//! RTX: what subscribers ask for, and what was repaired before it came here (RFC 4588).

use std::borrow::Cow;

use super::forward::{Lens, Source, enqueue, write_packet};
use super::receive::{Elements, Packet};
use super::{Room, audio, echo};
use crate::api::{DropReason, ExtensionKind, MediaKind};
use crate::codec;
use crate::codec::numbers::{PictureNumbers, PictureOffsets};
use crate::consumer::Consumer;
use crate::ext::transport_sequence;
use crate::ledger::Stage;
use crate::pacer::{Class, Queued, Stamps};
use crate::producer::Producer;
use crate::resend::ResendDecision;
use crate::rewrite::Rewritten;
use crate::rtp::{OutgoingHeader, RtpHeader, SeqNo};
use crate::shared::Cx;
use crate::table::{Key, Slab};
use crate::transport::Transport;

impl Room {
    /// Sends what the subscriber misses, as far as it is still there and the budget allows.
    pub(super) fn resend(
        &mut self,
        cx: &mut Cx,
        transport: Key,
        consumer: Option<Key>,
        lost: impl Iterator<Item = SeqNo>,
    ) {
        let mut numbers = std::mem::take(&mut cx.shared.scratch.lost);
        numbers.extend(lost);
        cx.ledger().enter(Stage::Nack, numbers.len() as u64);
        if let Some(consumer) = consumer.and_then(|key| self.consumers.get(key)) {
            let spared = audio::spare(consumer, &mut numbers);
            cx.ledger().discard(Stage::Nack, DropReason::CopySent, spared);
        }
        for number in numbers.drain(..) {
            let Some(key) = consumer else {
                cx.drop_packet(Stage::Nack, DropReason::UnknownSsrc);
                continue;
            };
            match self.resend_one(cx, transport, key, number) {
                Ok(()) => cx.ledger().pass(Stage::Nack),
                Err(reason) => {
                    cx.drop_packet(Stage::Nack, reason);
                    cx.shared.counters.retransmissions_missed +=
                        u64::from(reason == DropReason::NotCached);
                }
            }
        }
        cx.shared.scratch.lost = numbers;
    }

    /// Sends one packet again, at once or in its turn.
    fn resend_one(
        &mut self,
        cx: &mut Cx,
        transport: Key,
        key: Key,
        number: SeqNo,
    ) -> Result<(), DropReason> {
        let consumer = self.consumers.get_mut(key).ok_or(DropReason::ConsumerGone)?;
        if !consumer.parameters.nack {
            return Err(DropReason::RepairOff);
        }
        if consumer.kind == MediaKind::Video && consumer.encoding.is_none() {
            // It begins anew with a keyframe: what came before is of no use.
            return Err(DropReason::AwaitingKeyframe);
        }
        let closed = DropReason::TransportClosed;
        if consumer.sent.is_some() {
            let transport = self.transports.get_mut(transport).ok_or(closed)?;
            return resend_plain(cx, transport, consumer, number);
        }
        let lost = find_lost(consumer, number, &self.producers, &self.transports);
        let transport = self.transports.get_mut(transport).ok_or(closed)?;
        resend_rtx(cx, transport, consumer, key, &lost.ok_or(DropReason::NotCached)?)
    }
}

/// A packet asked for again.
pub(super) struct Lost<'a> {
    /// As the subscriber knows it.
    pub(super) number: SeqNo,
    pub(super) outgoing: u64,
    marker: bool,
    timestamp: u32,
    rtx: (u32, u8),
    pub(super) bytes: &'a [u8],
    payload: &'a [u8],
    elements: Cow<'a, Elements>,
    numbers: PictureNumbers,
    offsets: PictureOffsets,
}

impl Lost<'_> {
    /// Whether it only filled a place.
    pub(super) fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }

    fn source(&self) -> Source<'_> {
        let Lost { bytes, payload, elements, numbers, offsets, .. } = self;
        let (numbers, offsets) = (*numbers, *offsets);
        Source { bytes, payload, elements: Some(elements), numbers, offsets }
    }
}

/// The packet a subscriber knows by `number`, if it is still there.
pub(super) fn find_lost<'a>(
    consumer: &Consumer,
    number: SeqNo,
    producers: &'a Slab<Producer>,
    transports: &Slab<Transport>,
) -> Option<Lost<'a>> {
    let sent = consumer.rewriter.lookup(number)?;
    if sent.is_filler {
        return Some(Lost {
            number,
            outgoing: sent.outgoing,
            marker: false,
            timestamp: consumer.rewriter.newest_timestamp()?,
            rtx: consumer.any_rtx()?,
            bytes: &[],
            payload: &[],
            elements: Cow::default(),
            numbers: PictureNumbers::default(),
            offsets: PictureOffsets::default(),
        });
    }
    let (id, offsets) = consumer.recall(&sent)?;
    let producer = producers.get(id.producer)?;
    let publisher = transports.get(producer.transport)?;
    let encoding = producer.encodings.get(id.encoding).filter(|e| e.instance == id.instance)?;
    let bytes = encoding.cache.get(sent.incoming)?;
    let header = RtpHeader::parse(bytes).ok()?;
    let payload = header.payload(bytes);
    let numbers = match producer.codec(header.payload_type) {
        Some(codec) if offsets != PictureOffsets::default() => {
            codec::inspect(codec, payload).numbers
        }
        _ => PictureNumbers::default(),
    };
    Some(Lost {
        number,
        outgoing: sent.outgoing,
        marker: header.marker,
        timestamp: header.timestamp.wrapping_add(sent.timestamp_offset),
        rtx: consumer.rtx(header.payload_type)?,
        bytes,
        payload,
        elements: Cow::Owned(Elements::read(&header, bytes, &publisher.extensions)),
        numbers,
        offsets,
    })
}

/// Forwards a packet that was recovered on its way to the server, as RTX.
///
/// It looks to the subscriber like the answer to a request of its own, and so it should: browsers
/// take packets of the media stream for the pace at which pictures arrive, hold back what comes
/// after them accordingly, and the voice with it, for the sake of lips. With two pictures in three
/// repaired that grew to seconds. Packets over RTX are not counted there.
pub(super) fn forward_recovered(
    cx: &mut Cx,
    transport: &mut Transport,
    consumer: &mut Consumer,
    key: Key,
    (packet, rewritten, offsets, rtx): (&Packet<'_>, &Rewritten, PictureOffsets, (u32, u8)),
) {
    let recovered = Lost {
        number: rewritten.seq,
        outgoing: rewritten.ext_seq,
        marker: packet.header.marker,
        timestamp: rewritten.timestamp,
        rtx,
        bytes: packet.bytes,
        payload: packet.header.payload(packet.bytes),
        elements: Cow::Borrowed(&packet.elements),
        numbers: packet.info.numbers,
        offsets,
    };
    let Some(written) = write_rtx(cx, transport, consumer, &recovered) else {
        return cx.drop_packet(Stage::Copy, DropReason::TooLarge);
    };
    cx.ledger().pass(Stage::Copy);
    let flight = echo::begin(cx, transport, consumer, key, packet, rewritten.seq);
    // It answers the subscriber's requests that are still under way.
    let rtt = transport.rtt.get();
    let _ = consumer.responder.request(rewritten.ext_seq, written.0.1, rtt, cx.now);
    send_rtx(cx, transport, consumer, key, (Class::Recovered, written, flight));
}

/// Sends the same bytes again.
fn resend_plain(
    cx: &mut Cx,
    transport: &mut Transport,
    consumer: &mut Consumer,
    number: SeqNo,
) -> Result<(), DropReason> {
    let packet = consumer.sent.as_ref().and_then(|sent| sent.get(number));
    let packet = packet.ok_or(DropReason::NotCached)?;
    let outgoing = consumer.rewriter.lookup(number).map(|sent| sent.outgoing);
    let outgoing = outgoing.ok_or(DropReason::NotCached)?;
    let rtt = transport.rtt.get();
    decided(consumer.responder.request(outgoing, packet.len(), rtt, cx.now))?;
    let number = transport_number(transport, packet);
    match transport.send_raw(cx.output, packet) {
        Ok(()) => {
            transport.pacer.charge(packet.len());
            if let (Some(number), Some(estimator)) = (number, &mut transport.estimator) {
                estimator.on_repeated(number);
            }
            if let (Some(number), Some(voice)) = (number, &mut consumer.voice) {
                voice.on_repeated(number);
            }
            consumer.retransmitted += 1;
            cx.shared.counters.retransmissions_out += 1;
            cx.ledger().pass(Stage::Send);
        }
        Err(reason) => cx.drop_packet(Stage::Send, reason),
    }
    Ok(())
}

/// Why a request is not answered, if it is not.
fn decided(decision: ResendDecision) -> Result<(), DropReason> {
    match decision {
        ResendDecision::Send => Ok(()),
        ResendDecision::TooSoon => Err(DropReason::TooSoon),
        ResendDecision::OverBudget => Err(DropReason::OverBudget),
    }
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
) -> Result<(), DropReason> {
    let (rtt, len) = (transport.rtt.get(), lost.bytes.len());
    if !transport.pacer.may_resend(cx.now) {
        consumer.responder.refuse();
        return Err(DropReason::OverBudget);
    }
    decided(consumer.responder.request(lost.outgoing, len, rtt, cx.now))?;
    transport.pacer.note_resent(len, cx.now);
    let written = write_rtx(cx, transport, consumer, lost).ok_or(DropReason::TooLarge)?;
    let flight = echo::ask(cx, transport, consumer, key, lost);
    send_rtx(cx, transport, consumer, key, (Class::Retransmission, written, flight));
    Ok(())
}

/// Sends the RTX packet in the scratch buffer, at once or in its turn.
fn send_rtx(
    cx: &mut Cx,
    transport: &mut Transport,
    consumer: &mut Consumer,
    key: Key,
    (class, (lens, stamps, sequence), flight): (Class, (Lens, Stamps, SeqNo), u64),
) {
    if transport.pacer.admits(cx.now) {
        let mut packet = std::mem::take(&mut cx.shared.scratch.packet);
        let sent = transport.send_followed(cx, &mut packet, (lens, stamps), flight);
        cx.shared.scratch.packet = packet;
        return match class {
            Class::Recovered => consumer.on_recovered(cx, sent, lens.1),
            Class::Retransmission | Class::Video => consumer.on_resent(cx, sent),
        };
    }
    let queued = Queued {
        class,
        consumer: key,
        lens,
        stamps,
        sequence,
        payload_len: 0,
        flight,
        bytes: Vec::new(),
    };
    if !enqueue(cx, transport, queued) {
        echo::defer(cx, transport, flight);
    }
}

/// Writes a cached packet as RTX into the scratch buffer, with the sequence number it gets.
pub(super) fn write_rtx(
    cx: &mut Cx,
    transport: &Transport,
    consumer: &mut Consumer,
    lost: &Lost<'_>,
) -> Option<(Lens, Stamps, SeqNo)> {
    let (ssrc, payload_type) = lost.rtx;
    let sequence_number = consumer.rtx_sequence;
    let outgoing = OutgoingHeader {
        marker: lost.marker,
        payload_type,
        sequence_number,
        timestamp: lost.timestamp,
        ssrc,
    };
    let number = Some(lost.number);
    let (lens, stamps) = write_packet(cx, transport, consumer, outgoing, &lost.source(), number)?;
    consumer.rtx_sequence = sequence_number.next();
    Some((lens, stamps, sequence_number))
}
