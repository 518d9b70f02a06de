//! Protection of audio against loss: taking copies, adding copies, and deciding on them.

use std::time::{Duration, Instant};

use super::Room;
use super::receive::{Elements, Packet};
use crate::api::{DropReason, Event, MediaKind};
use crate::capture::How;
use crate::codec::opus;
use crate::consumer::Consumer;
use crate::ledger::Stage;
use crate::pacer::Stamps;
use crate::producer::{Encoding, Producer};
use crate::protect::{LinkLoss, MAX_SPAN, Offsets, bitrate_for, choose, copies_that_fit};
use crate::reception::Received;
use crate::red::RedError;
use crate::rtp::{RtpHeader, SeqNo};
use crate::shared::Cx;
use crate::table::Key;
use crate::transport::{Stream, Transport};
use crate::voice::{Recovered, Repair, VoiceInput, Waits, Way};

/// Requests of a subscriber looked at: more than its packets that are kept.
const MAX_REQUESTS: usize = 128;
/// Bytes of a packet around its payload: IP, UDP, RTP with extensions, authentication tag.
const OVERHEAD: u64 = 68;
/// Share of the budget audio may take with its copies, in tenths. Words come first, but the
/// smallest picture needs a hundred kilobits a second with what is lost of it.
const BUDGET_TENTHS: u64 = 5;
/// Speech where a subscriber's link has no room for all copies: more of them for the same bits.
const NARROW_SPEECH_BPS: u32 = 24_000;
/// A frame of speech nobody restrains.
const FREE_FRAME_LEN: usize = 100;
/// A queue this long is one.
const LONG_QUEUE_US: i64 = 20_000;
/// How long it is remembered.
const QUEUE_MEMORY: Duration = Duration::from_secs(5);
/// Copies sent to whom a frame in three does not reach, whatever the budget seems to be.
const LEAST_COPIES: u8 = 2;
/// Jitter playout waits for on top of copies, at most.
const MAX_JITTER: Duration = Duration::from_millis(60);
/// Lost packets are asked for at least this long.
const LEAST_DEADLINE: Duration = Duration::from_millis(400);
/// And longer than playout waits: for what is on its way.
const GRACE: Duration = Duration::from_millis(50);

/// A payload with copies; its memory goes back to the scratch buffers.
pub(super) struct Redundant {
    pub(super) payload_type: u8,
    pub(super) payload: Vec<u8>,
    pub(super) copies: Offsets,
}

/// Whether the packet of an audio stream was asked for: without RTX, answers look like originals.
pub(super) fn is_answer(encoding: &Encoding, number: SeqNo) -> bool {
    let ext_seq = encoding.reception.extend(number);
    encoding.nack.as_ref().is_some_and(|nack| nack.was_asked(ext_seq))
}

/// Takes an audio packet: keeps its frames and makes a plain packet out of it.
///
/// # Errors
///
/// Its RED is malformed.
pub(super) fn take(
    cx: &mut Cx,
    producer: &mut Producer,
    index: usize,
    (header, packet): (&mut RtpHeader, &mut [u8]),
    received: Received,
) -> Result<Recovered, RedError> {
    let copied = producer.copied(header.payload_type);
    let (keeps, paused) = (producer.keeps_frames, producer.paused);
    let Some(encoding) = producer.encodings.get_mut(index).filter(|_| keeps) else { return Ok(0) };
    let paused = paused || encoding.resumes;
    let voice = encoding.voice.get_or_insert_default();
    let mut recovered = 0;
    if let Some(payload_type) = copied {
        let (reception, nack) = (&mut encoding.reception, encoding.nack.as_mut());
        let audible_from = encoding.audible_from;
        let repair = Repair { reception, nack, audible_from, now: cx.now };
        recovered = voice.on_red((received.ext_seq, payload_type), header, packet, repair)?;
        let counters = &mut cx.shared.counters;
        counters.red_packets_in += 1;
        counters.audio_frames_recovered += u64::from(recovered.count_ones());
    } else {
        voice.on_plain(received.ext_seq, header.timestamp, header.payload(packet));
    }
    if paused {
        // What is said while muted must never be heard, not as a copy either.
        voice.history.clear();
        return Ok(0);
    }
    Ok(recovered)
}

/// The subscriber gets the stream from this packet on; copies of what was before are not for it.
pub(super) fn begin(consumer: &mut Consumer, ext_seq: u64) {
    if let Some(voice) = &mut consumer.voice {
        voice.from = ext_seq;
    }
}

/// The packet's payload with the copies the subscriber needs; `None`: as it is.
pub(super) fn add_copies(
    cx: &mut Cx,
    consumer: &Consumer,
    input: &VoiceInput,
    packet: &Packet<'_>,
) -> Option<Redundant> {
    let incoming = packet.header.payload_type;
    let payload_type = consumer.red_payload_type(incoming)?;
    let voice = consumer.voice.as_deref()?;
    let mut copies = Offsets::NONE;
    let mut payload = Vec::new();
    if !voice.offsets.is_empty() {
        payload = std::mem::take(&mut cx.shared.scratch.red);
        let frame = packet.header.payload(packet.bytes);
        let plain = consumer.outgoing_payload_type(incoming)?;
        let place = (packet.ext_seq, voice.from);
        let primary = (packet.header.timestamp, frame);
        copies = input.history.write(&mut payload, place, primary, voice.offsets, plain);
    }
    cx.shared.counters.audio_copies_out[usize::from(copies.count())] += 1;
    if copies.is_empty() {
        if payload.capacity() > 0 {
            cx.shared.scratch.red = payload;
        }
        return None;
    }
    Some(Redundant { payload_type, payload, copies })
}

/// The transport-wide number the next packet of an audio subscription gets.
#[inline]
pub(super) fn next_number(
    consumer: &Consumer,
    transport: &Transport,
    stamps: Stamps,
) -> Option<SeqNo> {
    let is_numbered = consumer.voice.is_some() && stamps.number_at > 0;
    is_numbered.then(|| transport.next_number())
}

/// Remembers an audio packet that was sent: its transport-wide number, and what it had copies of.
#[inline]
pub(super) fn note_sent(
    consumer: &mut Consumer,
    number: Option<SeqNo>,
    (sequence, ext_seq): (SeqNo, u64),
    copies: Offsets,
) {
    if let Some(voice) = &mut consumer.voice {
        number.inspect(|number| voice.on_sent(*number));
        voice.carried.on_sent(sequence, ext_seq, copies);
    }
}

/// Leaves out of what a subscriber asks for what it has by copies. Returns how much that was.
pub(super) fn spare(consumer: &Consumer, numbers: &mut Vec<SeqNo>) -> u64 {
    let asked = numbers.len();
    if let Some(voice) = &consumer.voice {
        // RTX brings the frame alone.
        voice.carried.select(numbers, MAX_REQUESTS, consumer.sent.is_some());
    }
    (asked - numbers.len()) as u64
}

impl Room {
    /// Sends frames that came as copies of the packet `ext_seq` as packets of their own, in order.
    pub(super) fn forward_recovered(
        &mut self,
        cx: &mut Cx,
        stream: Stream,
        ext_seq: u64,
        recovered: Recovered,
    ) {
        let mut left = recovered;
        while left != 0 {
            let back = u64::from(u64::BITS - 1 - left.leading_zeros());
            left &= !(1 << back);
            self.forward_frame(cx, stream, ext_seq - back);
        }
    }

    #[cold]
    fn forward_frame(&mut self, cx: &mut Cx, stream: Stream, ext_seq: u64) {
        let Some(producer) = self.producers.get_mut(stream.producer) else { return };
        if !producer.allowance.admits(0, cx.now) {
            let copies = producer.consumers.len() as u64;
            cx.ledger().enter(Stage::Copy, copies);
            return cx.ledger().discard(Stage::Copy, DropReason::RateExceeded, copies);
        }
        let plain = producer.codecs.iter().find(|codec| codec.red_payload_type.is_some());
        let Some(payload_type) = plain.map(|codec| codec.payload_type) else { return };
        let encoding = producer.encodings.get(stream.encoding);
        let Some(voice) = encoding.and_then(|encoding| encoding.voice.as_deref()) else { return };
        let Some((timestamp, bytes)) = voice.history.get(ext_seq) else { return };
        let mut frame = std::mem::take(&mut cx.shared.scratch.frame);
        frame.clear();
        frame.extend_from_slice(bytes);
        let packet = Packet {
            bytes: &frame,
            header: RtpHeader {
                marker: false,
                payload_type,
                sequence_number: SeqNo(ext_seq as u16),
                timestamp,
                ssrc: stream.ssrc,
                csrc_count: 0,
                header_len: 0,
                payload_end: frame.len(),
                extension: None,
            },
            elements: Elements::default(),
            encoding: stream.encoding,
            ext_seq,
            info: opus::inspect(&frame).unwrap_or_default(),
            is_key: false,
            can_start: true,
            is_late: false,
        };
        self.capture(cx, stream.producer, &packet, How::Copy);
        self.tap(cx, stream.producer, &packet, How::Copy);
        self.forward(cx, stream.producer, &packet);
        cx.shared.scratch.frame = frame;
    }

    /// Takes over which of its audio packets reached a subscriber: the fates were just read.
    pub(super) fn on_audio_fates(&mut self, cx: &mut Cx, key: Key) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        for consumer in &transport.consumers {
            let Some(consumer) = self.consumers.get_mut(*consumer) else { continue };
            let Some(voice) = &mut consumer.voice else { continue };
            voice.on_fates(&cx.shared.scratch.fates, &mut transport.audio_loss);
            transport.has_audio_fates = true;
        }
        let queue_us = transport.estimator.as_ref().map_or(0, |e| e.standing_queue_us());
        if queue_us > LONG_QUEUE_US {
            transport.queue_seen = Some(cx.now);
        }
    }

    /// A subscriber without transport-wide feedback reports a share of loss.
    pub(super) fn on_audio_report(&mut self, key: Key, consumer: Key, ratio: f64) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        let Some(consumer) = self.consumers.get(consumer) else { return };
        if consumer.kind == MediaKind::Audio && !transport.has_audio_fates {
            transport.audio_loss.on_report(ratio, consumer.unreported());
        }
    }

    /// Decides on the copies of an audio track, on both ways, and on what playout waits for.
    pub(super) fn protect(&mut self, cx: &mut Cx, key: Key, encoding: usize) {
        let Some(producer) = self.producers.get_mut(key) else { return };
        if !producer.wish.is_due(cx.now) {
            return;
        }
        let Some(input) = producer.encodings.get(encoding).and_then(|e| e.voice.as_deref()) else {
            return;
        };
        let (uplink, reach) = (input.meter.loss(), input.history.reach().min(MAX_SPAN));
        let (frame, mean_len) = (input.history.frame(), input.history.mean_len());
        producer.wish.steering.update(choose(uplink, MAX_SPAN, reach), cx.now);
        let mut most = match producer.has_red() {
            true => producer.wish.steering.offsets().count(),
            false => 0,
        };
        let mut is_narrow = false;
        for consumer in &producer.consumers {
            let Some(consumer) = self.consumers.get_mut(*consumer) else { continue };
            let Some(transport) = self.transports.get(consumer.transport) else { continue };
            let has_red = consumer.has_red();
            let Some(voice) = consumer.voice.as_deref_mut() else { continue };
            if !has_red {
                voice.offsets = Offsets::NONE;
                continue;
            }
            let downlink = transport.audio_loss.loss();
            voice.steering.update(choose(downlink, MAX_SPAN, reach), cx.now);
            let wanted = voice.steering.offsets();
            most = most.max(wanted.count());
            // Not by what speech takes now: it would take turns.
            is_narrow |= affordable(transport, (FREE_FRAME_LEN, frame), cx.now) < wanted.count();
            let fit =
                copies_that_fit(mean_len).min(affordable(transport, (mean_len, frame), cx.now));
            voice.offsets = limited(wanted, fit);
        }
        let bitrate_bps = bitrate_for(most, frame);
        let narrow_bps = is_narrow.then_some(NARROW_SPEECH_BPS);
        self.tell_publisher(cx, key, bitrate_bps.into_iter().chain(narrow_bps).min());
        self.tell_subscribers(cx, key, encoding, uplink);
    }

    fn tell_publisher(&mut self, cx: &mut Cx, key: Key, bitrate_bps: Option<u32>) {
        let Some(producer) = self.producers.get_mut(key) else { return };
        let offsets = match producer.has_red() {
            true => producer.wish.steering.offsets(),
            false => Offsets::NONE,
        };
        if producer.wish.tell((offsets, bitrate_bps), cx.now) {
            let (producer, offsets) = (producer.id, offsets.iter().collect());
            cx.shared.events.push(Event::AudioProtection { producer, offsets, bitrate_bps });
        }
    }

    fn tell_subscribers(&mut self, cx: &mut Cx, key: Key, index: usize, loss: LinkLoss) {
        let Some(producer) = self.producers.get_mut(key) else { return };
        let publisher = self.transports.get(producer.transport);
        let Some(encoding) = producer.encodings.get_mut(index) else { return };
        let Some(input) = encoding.voice.as_deref() else { return };
        let round_trip =
            |transport: &Transport| transport.rtt.get().map_or(100, |rtt| rtt.as_millis() as u32);
        let uplink = Way {
            loss,
            // What was asked for may not be done yet, or never.
            span: if input.sent.is_empty() { 0 } else { producer.wish.steering.offsets().span() },
            round_trip_ms: publisher.filter(|_| encoding.nack.is_some()).map(round_trip),
        };
        let jitter_ms = encoding.reception.jitter().min(MAX_JITTER).as_millis() as u32;
        let frame = input.history.frame();
        let mut longest_ms = 0;
        for consumer in &producer.consumers {
            let Some(consumer) = self.consumers.get_mut(*consumer) else { continue };
            let Some(transport) = self.transports.get(consumer.transport) else { continue };
            let nack = consumer.parameters.nack;
            let Some(voice) = consumer.voice.as_deref_mut() else { continue };
            let downlink = Way {
                loss: transport.audio_loss.loss(),
                span: voice.offsets.span(),
                round_trip_ms: nack.then(|| round_trip(transport)),
            };
            let delay_ms = Waits { frame, uplink, downlink, jitter_ms }.delay_ms();
            if voice.tell(delay_ms, cx.now) {
                let consumer = consumer.id;
                cx.shared.events.push(Event::PlayoutDelay { consumer, delay_ms });
            }
            longest_ms = longest_ms.max(voice.told_delay_ms());
        }
        if let Some(nack) = &mut encoding.nack {
            let longest = Duration::from_millis(longest_ms.into());
            nack.set_deadline((longest + GRACE).max(LEAST_DEADLINE));
        }
    }
}

/// Copies a subscriber's link allows for each of its audio tracks.
///
/// The budget counts where a queue was seen lately. Where there is none, losses are not of our
/// making, whatever the estimate makes of them, and copies are what gets words through.
fn affordable(transport: &Transport, (mean_len, frame): (usize, Duration), now: Instant) -> u8 {
    let is_full =
        transport.queue_seen.is_some_and(|at| now.saturating_duration_since(at) < QUEUE_MEMORY);
    let Some(budget_bps) = transport.budget_bps.filter(|_| is_full) else { return MAX_SPAN };
    let voices = transport.voices.max(1);
    let in_a_frame = budget_bps.saturating_mul(frame.as_micros() as u64) / 8_000_000;
    let bytes = in_a_frame * BUDGET_TENTHS / 10 / voices;
    let copy = mean_len as u64 + 4;
    let copies = bytes.saturating_sub(OVERHEAD + copy) / copy;
    (copies.min(MAX_SPAN.into()) as u8).max(LEAST_COPIES)
}

/// As many of the wanted copies as may be sent, as far apart as they were meant to be.
fn limited(wanted: Offsets, most: u8) -> Offsets {
    let (count, span) = (wanted.count(), wanted.span());
    match count {
        _ if count <= most => wanted,
        // Next to each other: losses are independent, so the nearest do as well and wait less.
        _ if count == span => Offsets::spread(most, most),
        _ => Offsets::spread(most, span),
    }
}
