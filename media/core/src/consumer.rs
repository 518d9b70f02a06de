//! The send side of one subscription.

use std::time::{Duration, Instant};

use media_prefetch::prefetch;

use crate::api::{ConsumerId, ConsumerParameters, ConsumerStats, Event, Layer, MediaKind};
use crate::codec::numbers::{PictureNumbers, PictureOffsets};
use crate::layers::LayerState;
use crate::layers::pictures::PictureNumbering;
use crate::lips::GivenUp;
use crate::producer::Producer;
use crate::resend::{NackResponder, ResendConfig};
use crate::rewrite::{Sent, StreamRewriter};
use crate::rtp::SeqNo;
use crate::sent::SentPackets;
use crate::shared::Cx;
use crate::table::Key;
use crate::transport::SentRtp;
use crate::voice::VoiceOutput;

/// Why forwarding stops for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// The same source goes on later.
    Pause,
    /// Another source comes next, whose numbers have nothing to do with those before.
    Switch,
}

/// Payload types of one codec, here and there.
#[derive(Debug, Clone, Copy)]
struct PayloadMapping {
    incoming: u8,
    outgoing: u8,
    rtx: Option<u8>,
    red: Option<u8>,
}

/// What the subscriber reported last.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reported {
    pub(crate) loss_ratio: Option<f64>,
    pub(crate) jitter_s: Option<f64>,
    pub(crate) round_trip: Option<Duration>,
}

/// A stream packets are forwarded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceId {
    pub(crate) producer: Key,
    pub(crate) encoding: usize,
    /// Of the encoding: the same place in the track can be taken by another stream.
    pub(crate) instance: u32,
}

/// What packets of one generation of the rewriter have in common.
#[derive(Debug, Clone, Copy)]
struct Era {
    generation: u32,
    source: SourceId,
    /// Offsets of TL0PICIDX and KEYIDX.
    offsets: (u8, u8),
}

/// Generations whose packets can be sent again.
const ERAS: usize = 8;

/// A subscription.
///
/// Fields lie in memory as they stand here: what is needed together lies together.
#[repr(C)]
pub(crate) struct Consumer {
    /// The encoding being forwarded; `None` until it can start.
    pub(crate) encoding: Option<usize>,
    pub(crate) transport: Key,
    /// Of audio.
    pub(crate) voice: Option<Box<VoiceOutput>>,
    pub(crate) kind: MediaKind,
    pub(crate) paused: bool,
    /// [`Event::ConsumerStarted`](crate::api::Event::ConsumerStarted) was sent.
    pub(crate) started: bool,
    payload_map: Vec<PayloadMapping>,
    /// Packets to send again as they were, where there is no RTX.
    pub(crate) sent: Option<SentPackets>,
    pub(crate) parameters: ConsumerParameters,
    pub(crate) layers: LayerState,
    pub(crate) packets: u64,
    pub(crate) payload_bytes: u64,
    /// What was forwarded last.
    pub(crate) source: Option<SourceId>,
    pub(crate) rewriter: StreamRewriter,
    pub(crate) responder: NackResponder,
    pub(crate) pictures: PictureNumbering,
    eras: [Option<Era>; ERAS],
    pub(crate) id: ConsumerId,
    pub(crate) producer: Option<Key>,
    pub(crate) rtx_sequence: SeqNo,
    pub(crate) retransmitted: u64,
    /// A sender report is due only for what was sent since the last one.
    pub(crate) packets_reported: u64,
    /// Of lip sync.
    pub(crate) given_up: GivenUp,
    pub(crate) reported: Reported,
    /// Packets and bytes at the last receiver report.
    sent_at_report: (u64, u64),
    /// Which of the recent packets was sent last as padding.
    pub(crate) padding_step: u16,
}

/// A packet that was forwarded.
pub(crate) struct Forwarded {
    pub(crate) sequence: SeqNo,
    pub(crate) len: usize,
    pub(crate) payload_len: usize,
}

const AUDIO_HISTORY: usize = 256;
const VIDEO_HISTORY: usize = 1_024;

impl Consumer {
    pub(crate) fn new(
        id: ConsumerId,
        transport: Key,
        kind: MediaKind,
        parameters: ConsumerParameters,
        first: (SeqNo, SeqNo),
    ) -> Consumer {
        let clock_rate_hz = parameters.codecs.first().map_or(90_000, |codec| codec.clock_rate_hz);
        let history = match kind {
            MediaKind::Audio => AUDIO_HISTORY,
            MediaKind::Video => VIDEO_HISTORY,
        };
        let mut consumer = Consumer {
            id,
            transport,
            producer: None,
            kind,
            paused: parameters.paused,
            parameters,
            payload_map: Vec::new(),
            rewriter: StreamRewriter::new(clock_rate_hz, first.0, history),
            responder: NackResponder::new(ResendConfig::default()),
            sent: None,
            rtx_sequence: first.1,
            encoding: None,
            source: None,
            layers: LayerState::new(),
            pictures: PictureNumbering::default(),
            eras: [None; ERAS],
            started: false,
            packets: 0,
            payload_bytes: 0,
            retransmitted: 0,
            packets_reported: 0,
            given_up: GivenUp::default(),
            reported: Reported::default(),
            sent_at_report: (0, 0),
            padding_step: 0,
            voice: (kind == MediaKind::Audio).then(Box::default),
        };
        consumer.update_resending();
        consumer
    }

    /// Takes over renegotiated parameters. The stream itself goes on.
    pub(crate) fn update(&mut self, parameters: ConsumerParameters) {
        self.parameters = parameters;
        self.update_resending();
    }

    /// Whether lost packets are sent again in a stream of their own.
    pub(crate) fn has_rtx(&self) -> bool {
        self.parameters.rtx_ssrc.is_some()
            && self.parameters.codecs.iter().any(|codec| codec.rtx_payload_type.is_some())
    }

    fn update_resending(&mut self) {
        if !self.parameters.nack || self.has_rtx() {
            self.sent = None;
        } else if self.sent.is_none() {
            self.sent = Some(SentPackets::new(self.kind));
        }
    }

    /// Attaches the consumer to a producer whose payload types it maps to its own.
    pub(crate) fn attach(&mut self, key: Key, producer: &Producer) {
        self.producer = Some(key);
        self.interrupt(Interruption::Switch);
        self.map_payload_types(producer);
    }

    /// Maps each payload type of the producer to that of the same codec and variant.
    pub(crate) fn map_payload_types(&mut self, producer: &Producer) {
        let wanted = &self.parameters.codecs;
        self.payload_map = producer
            .codecs
            .iter()
            .filter_map(|theirs| {
                let ours = wanted.iter().find(|ours| {
                    ours.codec == theirs.codec
                        && ours.variant == theirs.variant
                        && ours.clock_rate_hz == theirs.clock_rate_hz
                })?;
                Some(PayloadMapping {
                    incoming: theirs.payload_type,
                    outgoing: ours.payload_type,
                    rtx: ours.rtx_payload_type,
                    red: ours.red_payload_type,
                })
            })
            .collect();
    }

    /// Forwarding stops; going on begins with a keyframe and leaves no gap.
    pub(crate) fn interrupt(&mut self, interruption: Interruption) {
        match interruption {
            Interruption::Pause => self.rewriter.resume(),
            Interruption::Switch => self.rewriter.switch_source(),
        }
        self.encoding = None;
        self.started = false;
    }

    /// The encoding a keyframe is needed of when the picture is broken.
    pub(crate) fn keyframe_encoding(&self) -> Option<usize> {
        self.encoding.or(self.layers.target.map(|target| target.spatial.into()))
    }

    /// What is being sent; the temporal layer is the highest that passes.
    pub(crate) fn current_layer(&self) -> Option<Layer> {
        let temporal = self.layers.filter.current().min(self.layers.filter.target());
        self.encoding.map(|encoding| Layer { spatial: encoding as u8, temporal })
    }

    /// Remembers what is needed to send a packet again: `outgoing` was just given to one of the
    /// present source.
    #[inline]
    pub(crate) fn remember(&mut self, outgoing: u64, offsets: PictureOffsets) {
        if offsets.picture_id != 0 {
            self.rewriter.annotate(outgoing, offsets.picture_id);
        }
        let generation = self.rewriter.generation();
        let era = &mut self.eras[generation as usize % ERAS];
        if era.is_none_or(|era| era.generation != generation)
            && let Some(source) = self.source
        {
            *era = Some(Era { generation, source, offsets: self.pictures.source_offsets() });
        }
    }

    /// Where a packet came from and its picture offsets, by what the rewriter remembers of it.
    pub(crate) fn recall(&self, sent: &Sent) -> Option<(SourceId, PictureOffsets)> {
        let era = self.eras[sent.generation as usize % ERAS]?;
        let (tl0_picture_index, key_index) = era.offsets;
        let offsets = PictureOffsets { picture_id: sent.note, tl0_picture_index, key_index };
        (era.generation == sent.generation).then_some((era.source, offsets))
    }

    /// Pictures go on with the next number, whatever the source counts from now on.
    pub(crate) fn renumber_pictures(&mut self) {
        self.pictures.join();
        // What is remembered of the generation from now on are the new offsets.
        self.eras[self.rewriter.generation() as usize % ERAS] = None;
    }

    /// The picture offsets of a packet that is sent for the first time.
    #[inline]
    pub(crate) fn place_picture(&mut self, numbers: &PictureNumbers) -> Option<PictureOffsets> {
        if *numbers == PictureNumbers::default() {
            return Some(PictureOffsets::default());
        }
        self.pictures.place(numbers)
    }

    #[inline]
    pub(crate) fn outgoing_payload_type(&self, incoming: u8) -> Option<u8> {
        self.payload_map.iter().find(|m| m.incoming == incoming).map(|m| m.outgoing)
    }

    /// Has fetched how payload types are mapped.
    #[inline]
    pub(crate) fn prefetch_payload_types(&self) {
        prefetch(&self.payload_map[..]);
    }

    /// Has fetched what the next packets have in common with those before.
    #[inline]
    pub(crate) fn prefetch_era(&self) {
        prefetch(&self.eras[self.rewriter.generation() as usize % ERAS]);
    }

    /// The payload type the subscriber knows packets with copies by.
    pub(crate) fn red_payload_type(&self, incoming: u8) -> Option<u8> {
        self.payload_map.iter().find(|m| m.incoming == incoming)?.red
    }

    /// Whether the subscriber takes packets with copies.
    pub(crate) fn has_red(&self) -> bool {
        self.payload_map.iter().any(|mapping| mapping.red.is_some())
    }

    /// Whether losses of audio on the way to the subscriber can be repaired.
    pub(crate) fn repairs_voice(&self) -> bool {
        self.has_red() || self.parameters.nack && self.kind == MediaKind::Audio
    }

    /// A payload type the subscriber knows, for packets without payload.
    pub(crate) fn any_payload_type(&self) -> Option<u8> {
        self.payload_map.first().map(|mapping| mapping.outgoing)
    }

    /// SSRC and payload type for sending a packet without payload again.
    pub(crate) fn any_rtx(&self) -> Option<(u32, u8)> {
        let mapping = self.payload_map.first()?;
        Some((self.parameters.rtx_ssrc?, mapping.rtx?))
    }

    /// SSRC and payload type for sending a packet of this payload type again.
    pub(crate) fn rtx(&self, incoming: u8) -> Option<(u32, u8)> {
        let mapping = self.payload_map.iter().find(|m| m.incoming == incoming)?;
        Some((self.parameters.rtx_ssrc?, mapping.rtx?))
    }

    /// Counts a packet that was forwarded; `packet` is the buffer it was protected in.
    #[inline]
    pub(crate) fn on_sent(
        &mut self,
        cx: &mut Cx,
        sent: SentRtp,
        forwarded: &Forwarded,
        packet: &[u8],
    ) {
        if let Some(ring) = &mut self.sent
            && let Some(len) = sent.protected_len
        {
            ring.insert(forwarded.sequence, &packet[..len]);
        }
        if !sent.is_sent {
            return;
        }
        let Forwarded { len, payload_len, .. } = *forwarded;
        let counters = &mut cx.shared.counters;
        counters.rtp_packets_out[self.kind as usize] += 1;
        counters.rtp_bytes_out[self.kind as usize] += len as u64;
        self.packets += 1;
        self.payload_bytes += payload_len as u64;
        self.responder.on_sent(len, cx.now);
        if !self.started {
            self.started = true;
            cx.shared.events.push(Event::ConsumerStarted { consumer: self.id });
        }
    }

    /// Counts a packet of `len` bytes that was forwarded over RTX, because it came late.
    pub(crate) fn on_recovered(&mut self, cx: &mut Cx, sent: SentRtp, len: usize) {
        if sent.is_sent {
            let counters = &mut cx.shared.counters;
            counters.rtp_packets_out[self.kind as usize] += 1;
            counters.rtp_bytes_out[self.kind as usize] += len as u64;
            self.responder.on_sent(len, cx.now);
        }
    }

    /// Counts a packet that was sent again over RTX.
    pub(crate) fn on_resent(&mut self, cx: &mut Cx, sent: SentRtp) {
        if sent.is_sent {
            self.retransmitted += 1;
            cx.shared.counters.retransmissions_out += 1;
        }
    }

    /// Counts a packet that was sent again before it was asked for.
    pub(crate) fn on_echoed(&mut self, cx: &mut Cx, sent: SentRtp) {
        if sent.is_sent {
            self.retransmitted += 1;
            cx.shared.counters.echoes_out += 1;
        }
    }

    /// Counts a packet that was sent again as padding.
    pub(crate) fn on_padded(&mut self, cx: &mut Cx, sent: SentRtp) {
        if sent.is_sent {
            self.retransmitted += 1;
            cx.shared.counters.padding_out += 1;
        }
    }

    /// Packets sent since [`Consumer::take_unreported`] was asked last.
    pub(crate) fn unreported(&self) -> u32 {
        (self.packets - self.sent_at_report.0) as u32
    }

    /// Packets and bytes of payload sent since this was asked last.
    pub(crate) fn take_unreported(&mut self) -> (u32, u64) {
        let now = (self.packets, self.payload_bytes);
        let before = std::mem::replace(&mut self.sent_at_report, now);
        ((now.0 - before.0) as u32, now.1 - before.1)
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        let sent = self.sent.as_ref().map_or(0, SentPackets::memory_bytes);
        let repair = self.rewriter.memory_bytes()
            + self.responder.memory_bytes()
            + self.pictures.memory_bytes();
        let voice = self.voice.as_ref().map_or(0, |voice| voice.memory_bytes());
        (size_of::<Consumer>() + repair + sent + voice) as u64
    }

    pub(crate) fn stats(
        &mut self,
        transport: u64,
        producer: Option<u64>,
        now: Instant,
    ) -> ConsumerStats {
        ConsumerStats {
            consumer: self.id,
            transport,
            producer,
            packets: self.packets,
            bytes: self.payload_bytes,
            retransmitted: self.retransmitted,
            loss_ratio: self.reported.loss_ratio,
            jitter_s: self.reported.jitter_s,
            rtt_s: self.reported.round_trip.map(|rtt| rtt.as_secs_f64()),
            bitrate_bps: self.responder.sent_bps(now),
            preferred: self.layers.wish.preferred,
            target: self.layers.target,
            current: self.current_layer(),
            priority: self.layers.wish.priority,
        }
    }
}
