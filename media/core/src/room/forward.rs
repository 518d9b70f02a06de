//! From one packet in to many packets out.

use super::layers::report;
use super::receive::{Elements, Packet};
use super::rtx::forward_recovered;
use super::{Room, audio, echo};
use crate::api::{DropReason, ExtensionKind, MediaKind};
use crate::codec;
use crate::codec::numbers::{PictureNumbers, PictureOffsets};
use crate::consumer::{Consumer, Forwarded, Interruption, SourceId};
use crate::ledger::Stage;
use crate::pacer::{Class, Queued, Stamps};
use crate::producer::Producer;
use crate::protect::Offsets;
use crate::rewrite::{Refused, Rewritten};
use crate::rtp::{OutgoingHeader, RtpHeader, SeqNo};
use crate::shared::{Cx, TimerKind};
use crate::srtp::MAX_OVERHEAD;
use crate::table::Key;
use crate::transport::{Stream, Transport};
use crate::voice::VoiceInput;

/// Places before a change of sources that are filled if nothing was sent in them.
const FILLED_WINDOW: u64 = 128;

/// What becomes of a packet for one subscriber.
enum Admission {
    /// It is sent.
    Pass,
    /// It is the first of a source, or after a pause.
    Start,
    /// It belongs to the stream that is sent, but its layer is left out.
    LeaveOut,
    /// It is not for this subscriber now.
    Drop(DropReason),
}

/// Where the first header extension element begins: behind the fixed header and the header of
/// the extension block.
const FIRST_ELEMENT: usize = 12 + 4;
/// Bytes of a transport-wide number.
const NUMBER_LEN: usize = 2;

impl Room {
    /// Sends the packet to every subscriber that can take it.
    pub(super) fn forward(&mut self, cx: &mut Cx, key: Key, packet: &Packet<'_>) {
        let Some(producer) = self.producers.get(key) else { return };
        let voice = producer.encodings.get(packet.encoding).and_then(|e| e.voice.as_deref());
        let mut started_late = Vec::new();
        let mut is_broken = false;
        cx.ledger().enter(Stage::Copy, producer.consumers.len() as u64);
        for consumer_key in &producer.consumers {
            let Some(consumer) = self.consumers.get_mut(*consumer_key) else {
                cx.drop_packet(Stage::Copy, DropReason::ConsumerGone);
                continue;
            };
            let Some(transport) = self.transports.get_mut(consumer.transport) else {
                cx.drop_packet(Stage::Copy, DropReason::TransportClosed);
                continue;
            };
            match admit(consumer, transport, packet) {
                Admission::Pass => {
                    let outcome = forward_to(cx, transport, consumer, *consumer_key, packet, voice);
                    is_broken |= outcome == Outcome::Broken;
                }
                Admission::Start => {
                    start(cx, transport, consumer, (key, producer), packet.encoding);
                    audio::begin(consumer, packet.ext_seq);
                    let outcome = forward_to(cx, transport, consumer, *consumer_key, packet, voice);
                    is_broken |= outcome == Outcome::Broken;
                    if packet.is_late {
                        started_late.push(*consumer_key);
                    }
                }
                Admission::LeaveOut => {
                    consumer.pictures.skip(&packet.info.numbers);
                    leave_out(cx, transport, consumer, packet.ext_seq);
                    cx.drop_packet(Stage::Copy, DropReason::LayerNotWanted);
                }
                Admission::Drop(reason) => cx.drop_packet(Stage::Copy, reason),
            }
        }
        for consumer in started_late {
            self.catch_up(cx, key, consumer, packet.encoding, packet.ext_seq);
        }
        if is_broken {
            self.request_keyframe(cx, key, packet.encoding);
        }
    }

    /// A keyframe whose first packet came late starts a subscription: what came after it was not
    /// sent and is sent now.
    #[cold]
    fn catch_up(&mut self, cx: &mut Cx, key: Key, consumer_key: Key, encoding: usize, first: u64) {
        let Some(producer) = self.producers.get(key) else { return };
        let Some(publisher) = self.transports.get(producer.transport) else { return };
        let extensions = publisher.extensions.clone();
        let Some(source) = producer.encodings.get(encoding) else { return };
        let newest = source.reception.highest().unwrap_or(first);
        for ext_seq in first + 1..=newest {
            let Some(bytes) = source.cache.get(ext_seq) else { continue };
            let Ok(header) = RtpHeader::parse(bytes) else { continue };
            let Some(codec) = producer.codec(header.payload_type) else { continue };
            let info = codec::inspect(codec, header.payload(bytes));
            let elements = Elements::read(&header, bytes, &extensions);
            let can_start = info.keyframe_start;
            let is_key = producer.is_key(encoding, header.timestamp);
            let packet = Packet {
                bytes,
                header,
                elements,
                encoding,
                ext_seq,
                info,
                is_key,
                can_start,
                is_late: false,
            };
            let Some(consumer) = self.consumers.get_mut(consumer_key) else { return };
            let Some(transport) = self.transports.get_mut(consumer.transport) else { return };
            cx.ledger().enter(Stage::Copy, 1);
            match admit(consumer, transport, &packet) {
                Admission::Pass => {
                    // Whoever waits for more than fits asks for a keyframe by itself.
                    let _ = forward_to(cx, transport, consumer, consumer_key, &packet, None);
                }
                Admission::LeaveOut => {
                    consumer.pictures.skip(&info.numbers);
                    leave_out(cx, transport, consumer, ext_seq);
                    cx.drop_packet(Stage::Copy, DropReason::LayerNotWanted);
                }
                Admission::Start => {
                    return cx.drop_packet(Stage::Copy, DropReason::LayerNotWanted);
                }
                Admission::Drop(reason) => return cx.drop_packet(Stage::Copy, reason),
            }
        }
    }

    /// A packet that carries nothing leaves no gap for subscribers.
    pub(super) fn skip(&mut self, cx: &mut Cx, stream: Stream, ext_seq: u64) {
        let Some(producer) = self.producers.get(stream.producer) else { return };
        for key in &producer.consumers {
            let Some(consumer) = self.consumers.get_mut(*key) else { continue };
            let Some(transport) = self.transports.get_mut(consumer.transport) else { continue };
            if consumer.encoding == Some(stream.encoding) {
                leave_out(cx, transport, consumer, ext_seq);
            }
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

/// Whether a consumer takes the packet.
#[inline]
fn admit(consumer: &mut Consumer, transport: &Transport, packet: &Packet<'_>) -> Admission {
    if consumer.paused {
        return Admission::Drop(DropReason::ConsumerPaused);
    }
    if transport.srtp.is_none() {
        return Admission::Drop(DropReason::NotSecured);
    }
    if consumer.encoding == Some(packet.encoding) {
        return match consumer.layers.filter.admit(&packet.info, packet.header.timestamp) {
            true => Admission::Pass,
            false => Admission::LeaveOut,
        };
    }
    let target = consumer.layers.target.map(|layer| usize::from(layer.spatial));
    if target != Some(packet.encoding) {
        return Admission::Drop(DropReason::LayerNotWanted);
    }
    if packet.can_start {
        return Admission::Start;
    }
    // Until the keyframe comes the present encoding goes on, if there is one.
    Admission::Drop(match consumer.encoding {
        None => DropReason::AwaitingKeyframe,
        Some(_) => DropReason::LayerNotWanted,
    })
}

/// Makes an encoding the one that is forwarded, beginning with the next packet.
#[cold]
fn start(
    cx: &mut Cx,
    transport: &mut Transport,
    consumer: &mut Consumer,
    (key, producer): (Key, &Producer),
    index: usize,
) {
    let Some(encoding) = producer.encodings.get(index) else { return };
    let source = SourceId { producer: key, encoding: index, instance: encoding.instance };
    let last = consumer.source.replace(source);
    if last == Some(source) {
        consumer.rewriter.resume();
    } else {
        consumer.rewriter.switch_source();
        let previous = last.filter(|last| last.producer == key).and_then(|last| {
            producer.encodings.get(last.encoding).filter(|e| e.instance == last.instance)
        });
        if let Some(ahead) = previous.and_then(|e| e.reports.ahead_of(&encoding.reports)) {
            consumer.rewriter.align(ahead);
        }
        if last.is_some() && consumer.kind == MediaKind::Video {
            // What its clock says may have moved by a frame: the subscriber shall not have to
            // wait for the next report to keep lips and voice together.
            transport.next_report = Some(cx.now);
            transport.schedule(cx, TimerKind::Control, cx.now);
        }
    }
    while let Some(place) = consumer.rewriter.fill(FILLED_WINDOW) {
        send_filler(cx, transport, consumer, place);
    }
    consumer.pictures.join();
    let temporal = consumer.layers.target.map_or(0, |target| target.temporal);
    consumer.layers.filter.restart(temporal);
    consumer.layers.over_since = None;
    consumer.encoding = Some(index);
    if consumer.kind == MediaKind::Video {
        report(cx, consumer);
    }
}

/// Leaves no gap where a packet is not sent: its number is not given, or, where newer ones were
/// sent already, goes to an empty packet.
fn leave_out(cx: &mut Cx, transport: &mut Transport, consumer: &mut Consumer, ext_seq: u64) {
    if !consumer.rewriter.skip(ext_seq)
        && let Some(place) = consumer.rewriter.fill_place_of(ext_seq)
    {
        send_filler(cx, transport, consumer, place);
    }
}

/// Sends a packet without payload.
#[cold]
fn send_filler(cx: &mut Cx, transport: &mut Transport, consumer: &mut Consumer, place: Rewritten) {
    let Some(payload_type) = consumer.any_payload_type() else { return };
    let outgoing = OutgoingHeader {
        marker: false,
        payload_type,
        sequence_number: place.seq,
        timestamp: place.timestamp,
        ssrc: consumer.parameters.ssrc,
    };
    let Some((lens, stamps)) =
        write_packet(cx, transport, consumer, outgoing, &Source::EMPTY, None)
    else {
        return;
    };
    cx.ledger().made += 1;
    // Too small to wait for its turn; a subscriber takes it before or after what waits.
    let mut buffer = std::mem::take(&mut cx.shared.scratch.packet);
    let sent = transport.send_media(cx, &mut buffer, lens, stamps);
    if let Some(ring) = &mut consumer.sent
        && let Some(len) = sent.protected_len
    {
        ring.insert(place.seq, &buffer[..len]);
    }
    cx.shared.scratch.packet = buffer;
    if sent.is_sent {
        cx.shared.counters.fillers_out += 1;
        consumer.packets += 1;
    }
}

#[inline]
fn forward_to(
    cx: &mut Cx,
    transport: &mut Transport,
    consumer: &mut Consumer,
    key: Key,
    packet: &Packet<'_>,
    voice: Option<&VoiceInput>,
) -> Outcome {
    let Some(payload_type) = consumer.outgoing_payload_type(packet.header.payload_type) else {
        consumer.rewriter.skip(packet.ext_seq);
        cx.drop_packet(Stage::Copy, DropReason::CodecMismatch);
        return Outcome::Fine;
    };
    let header = &packet.header;
    let rewritten = match consumer.rewriter.rewrite(packet.ext_seq, header.timestamp, cx.now) {
        Ok(rewritten) => rewritten,
        Err(Refused::Duplicate | Refused::BeforeSwitch | Refused::TooOld) => {
            cx.drop_packet(Stage::Copy, DropReason::Duplicate);
            return Outcome::Fine;
        }
    };
    let Some(offsets) = place_picture(consumer, packet) else {
        // Its picture was left out, or too long ago: the place must not stay empty.
        send_filler(cx, transport, consumer, rewritten);
        cx.drop_packet(Stage::Copy, DropReason::Duplicate);
        return Outcome::Fine;
    };
    consumer.remember(rewritten.ext_seq, offsets);
    if packet.is_late
        && !packet.can_start
        && consumer.kind == MediaKind::Video
        && let Some(rtx) = consumer.rtx(header.payload_type)
    {
        forward_recovered(cx, transport, consumer, key, (packet, &rewritten, offsets, rtx));
        return Outcome::Fine;
    }
    let mut payload = header.payload(packet.bytes);
    let red = voice.and_then(|voice| audio::add_copies(cx, consumer, voice, packet));
    let payload_type = red.as_ref().map_or(payload_type, |red| red.payload_type);
    if let Some(red) = &red {
        payload = &red.payload;
    }
    let outgoing = OutgoingHeader {
        marker: header.marker,
        payload_type,
        sequence_number: rewritten.seq,
        timestamp: rewritten.timestamp,
        ssrc: consumer.parameters.ssrc,
    };
    let payload_len = payload.len();
    let numbers = packet.info.numbers;
    let elements = Some(&packet.elements);
    let source = Source { bytes: packet.bytes, payload, elements, numbers, offsets };
    let written = write_packet(cx, transport, consumer, outgoing, &source, None);
    let mut copies = Offsets::NONE;
    if let Some(red) = red {
        copies = red.copies;
        cx.shared.scratch.red = red.payload;
    }
    let Some((lens, stamps)) = written else {
        cx.drop_packet(Stage::Copy, DropReason::TooLarge);
        return Outcome::Fine;
    };
    cx.ledger().pass(Stage::Copy);
    let flight = echo::begin(cx, transport, consumer, key, packet, rewritten.seq);
    if packet.is_late {
        // It answers the subscriber's requests that are still under way.
        let rtt = transport.rtt.get();
        let _ = consumer.responder.request(rewritten.ext_seq, lens.1, rtt, cx.now);
    }
    if consumer.kind == MediaKind::Video && !transport.pacer.admits(cx.now) {
        let queued = Queued {
            class: Class::Video,
            consumer: key,
            lens,
            stamps,
            sequence: rewritten.seq,
            payload_len,
            flight,
            bytes: Vec::new(),
        };
        let is_dropped = !enqueue(cx, transport, queued);
        if is_dropped {
            echo::defer(cx, transport, flight);
        }
        if transport.pacer.is_long() {
            relieve(cx, transport, consumer, key);
        }
        let is_broken = is_dropped && transport.pacer.may_ask_for_keyframe(cx.now);
        return if is_broken { Outcome::Broken } else { Outcome::Fine };
    }
    let forwarded = Forwarded { sequence: rewritten.seq, len: lens.1, payload_len };
    let mut buffer = std::mem::take(&mut cx.shared.scratch.packet);
    let number = audio::next_number(consumer, transport, stamps);
    let sent = transport.send_followed(cx, &mut buffer, (lens, stamps), flight);
    if sent.is_sent {
        audio::note_sent(consumer, number, (rewritten.seq, packet.ext_seq), copies);
    }
    consumer.on_sent(cx, sent, &forwarded, &buffer);
    cx.shared.scratch.packet = buffer;
    Outcome::Fine
}

/// The picture offsets of a packet. Numbers that jump back with a keyframe are those of an encoder
/// that began anew.
#[inline]
fn place_picture(consumer: &mut Consumer, packet: &Packet<'_>) -> Option<PictureOffsets> {
    let numbers = &packet.info.numbers;
    let offsets = consumer.place_picture(numbers);
    if offsets.is_none() && packet.can_start && !packet.is_late {
        consumer.renumber_pictures();
        return consumer.place_picture(numbers);
    }
    offsets
}

/// Video waits for too long: what can be left out is left out. If it is to go on at a lower
/// encoding anyway, it stops until that one's keyframe comes, and what waits is given up.
#[cold]
fn relieve(cx: &mut Cx, transport: &mut Transport, consumer: &mut Consumer, key: Key) {
    consumer.layers.filter.set_thinned(true);
    if consumer.layers.over_since.take().is_some() {
        transport.pacer.strip(key);
        consumer.interrupt(Interruption::Pause);
        report(cx, consumer);
    }
}

/// Lets the packet in the scratch buffer wait. Returns whether there was room.
#[cold]
pub(super) fn enqueue(cx: &mut Cx, transport: &mut Transport, queued: Queued) -> bool {
    let len = queued.lens.1;
    let has_room = transport.pacer.push(queued, &cx.shared.scratch.packet[..len]);
    if !has_room {
        cx.drop_packet(Stage::Send, DropReason::PacerOverflow);
    }
    transport.schedule_pace(cx);
    has_room
}

/// A packet to build another from.
pub(super) struct Source<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) payload: &'a [u8],
    pub(super) elements: Option<&'a Elements>,
    pub(super) numbers: PictureNumbers,
    pub(super) offsets: PictureOffsets,
}

impl Source<'_> {
    /// A packet with nothing in it.
    const EMPTY: Source<'static> = Source {
        bytes: &[],
        payload: &[],
        elements: None,
        numbers: PictureNumbers { picture_id: None, tl0_picture_index: None, key_index: None },
        offsets: PictureOffsets { picture_id: 0, tl0_picture_index: 0, key_index: 0 },
    };
}

/// Header length and length of an unprotected packet.
pub(super) type Lens = (usize, usize);

/// Writes an outgoing packet into the scratch buffer, without what depends on when it leaves.
/// `original` is the sequence number an RTX payload starts with. `None` if it does not fit.
#[inline]
pub(super) fn write_packet(
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
    for passed in source.elements.iter().flat_map(|elements| elements.passed()) {
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
    let end = at + source.payload.len();
    let payload = scratch.packet.get_mut(at..end)?;
    payload.copy_from_slice(source.payload);
    source.numbers.rewrite(payload, source.offsets);
    (end + MAX_OVERHEAD <= scratch.packet.len()).then_some(((header_len, end), stamps))
}
