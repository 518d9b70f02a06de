//! The receive side of one published track.

use std::time::{Duration, Instant};

use crate::api::{
    Codec, CodecParameters, EncodingParameters, MediaKind, ProducerId, ProducerParameters,
    ProducerStats,
};
use crate::cache::{CacheConfig, PacketCache};
use crate::clock::SenderReports;
use crate::nack::{NackConfig, NackGenerator};
use crate::reception::Reception;
use crate::table::Key;
use crate::throttle::KeyframeThrottle;

/// Encodings of one track.
pub(crate) const MAX_ENCODINGS: usize = 8;
/// Payload types of one track.
pub(crate) const MAX_CODECS: usize = 64;

/// An encoding that was silent for this long is not worth waiting for.
const ENCODING_TIMEOUT: Duration = Duration::from_millis(1_500);

/// One simulcast stream, or the only one.
pub(crate) struct Encoding {
    pub(crate) rid: Option<String>,
    pub(crate) ssrc: Option<u32>,
    pub(crate) rtx_ssrc: Option<u32>,
    pub(crate) reception: Reception,
    pub(crate) nack: Option<NackGenerator>,
    pub(crate) cache: PacketCache,
    pub(crate) reports: SenderReports,
    /// The SSRC before the present one: its stragglers do not bring it back.
    pub(crate) retired_ssrc: Option<u32>,
    last_media_at: Option<Instant>,
    last_keyframe: Option<u32>,
}

impl Encoding {
    fn new(
        parameters: &EncodingParameters,
        kind: MediaKind,
        nack: bool,
        clock_rate_hz: u32,
    ) -> Encoding {
        let (nack_config, cache_config) = match kind {
            MediaKind::Audio => (NackConfig::audio(), CacheConfig::audio()),
            MediaKind::Video => (NackConfig::video(), CacheConfig::video()),
        };
        Encoding {
            rid: parameters.rid.clone(),
            ssrc: parameters.ssrc,
            rtx_ssrc: parameters.rtx_ssrc,
            reception: Reception::new(clock_rate_hz),
            nack: nack.then(|| NackGenerator::new(nack_config)),
            cache: PacketCache::new(cache_config),
            reports: SenderReports::new(clock_rate_hz),
            retired_ssrc: None,
            last_media_at: None,
            last_keyframe: None,
        }
    }
}

/// A published track.
pub(crate) struct Producer {
    pub(crate) id: ProducerId,
    pub(crate) transport: Key,
    pub(crate) kind: MediaKind,
    pub(crate) mid: String,
    pub(crate) codecs: Vec<CodecParameters>,
    pub(crate) encodings: Vec<Encoding>,
    pub(crate) consumers: Vec<Key>,
    pub(crate) paused: bool,
    /// [`Event::ProducerStarted`](crate::api::Event::ProducerStarted) was sent.
    pub(crate) started: bool,
    pub(crate) throttle: KeyframeThrottle,
    pub(crate) keyframes: u64,
    /// The encoding subscribers shall get: the highest that is alive.
    pub(crate) selected: usize,
    /// A subscriber repairs from the caches of the encodings.
    pub(crate) keeps_packets: bool,
    nack: bool,
}

/// Why parameters are refused.
pub(crate) fn check_parameters(parameters: &ProducerParameters) -> Result<(), &'static str> {
    let ProducerParameters { codecs, encodings, .. } = parameters;
    if codecs.is_empty() || codecs.len() > MAX_CODECS {
        return Err("a producer needs 1 to 64 codecs");
    }
    if encodings.is_empty() || encodings.len() > MAX_ENCODINGS {
        return Err("a producer needs 1 to 8 encodings");
    }
    check_codecs(codecs)
}

/// Why codecs are refused.
pub(crate) fn check_codecs(codecs: &[CodecParameters]) -> Result<(), &'static str> {
    if codecs.len() > MAX_CODECS {
        return Err("too many codecs");
    }
    if codecs.iter().any(|codec| codec.clock_rate_hz == 0) {
        return Err("a clock rate must not be zero");
    }
    let is_payload_type = |value: u8| value < 128;
    let are_payload_types = codecs.iter().all(|codec| {
        is_payload_type(codec.payload_type) && codec.rtx_payload_type.is_none_or(is_payload_type)
    });
    are_payload_types.then_some(()).ok_or("a payload type exceeds 127")
}

impl Producer {
    /// Parameters must have passed [`check_parameters`].
    pub(crate) fn new(
        id: ProducerId,
        transport: Key,
        parameters: ProducerParameters,
        keyframe_interval: Duration,
    ) -> Producer {
        let mut producer = Producer {
            id,
            transport,
            kind: parameters.kind,
            mid: String::new(),
            codecs: Vec::new(),
            encodings: Vec::new(),
            consumers: Vec::new(),
            paused: false,
            started: false,
            throttle: KeyframeThrottle::new(keyframe_interval),
            keyframes: 0,
            selected: 0,
            keeps_packets: parameters.kind == MediaKind::Video,
            nack: false,
        };
        producer.update(parameters);
        producer
    }

    /// Takes over new parameters. Encodings that keep their SSRC, or that had none announced
    /// before and now, keep their state.
    pub(crate) fn update(&mut self, parameters: ProducerParameters) {
        let clock_rate_hz = parameters.codecs.first().map_or(90_000, |codec| codec.clock_rate_hz);
        let nack = parameters.nack;
        let kind = self.kind;
        let mut previous = std::mem::take(&mut self.encodings);
        let keeps_nack = self.nack == nack;
        self.encodings = parameters
            .encodings
            .iter()
            .map(|wanted| {
                let position = previous.iter().position(|known| {
                    keeps_nack
                        && known.rid == wanted.rid
                        && (wanted.ssrc.is_none() || known.ssrc == wanted.ssrc)
                });
                match position {
                    Some(position) => {
                        let mut kept = previous.swap_remove(position);
                        kept.rtx_ssrc = wanted.rtx_ssrc.or(kept.rtx_ssrc);
                        kept
                    }
                    None => Encoding::new(wanted, kind, nack, clock_rate_hz),
                }
            })
            .collect();
        self.nack = nack;
        self.mid = parameters.mid;
        self.codecs = parameters.codecs;
        self.selected = self.selected.min(self.encodings.len().saturating_sub(1));
    }

    /// Starts an encoding over because its SSRC changed.
    pub(crate) fn restart_encoding(&mut self, index: usize, ssrc: u32) {
        let Some(encoding) = self.encodings.get_mut(index) else { return };
        if encoding.ssrc == Some(ssrc) {
            return;
        }
        let clock_rate_hz = self.codecs.first().map_or(90_000, |codec| codec.clock_rate_hz);
        let parameters = EncodingParameters {
            rid: encoding.rid.take(),
            ssrc: Some(ssrc),
            rtx_ssrc: encoding.rtx_ssrc,
        };
        let retired_ssrc = encoding.ssrc;
        *encoding = Encoding::new(&parameters, self.kind, self.nack, clock_rate_hz);
        encoding.retired_ssrc = retired_ssrc;
    }

    /// The codec of a payload type that carries media.
    #[inline]
    pub(crate) fn codec(&self, payload_type: u8) -> Option<Codec> {
        self.codecs.iter().find(|codec| codec.payload_type == payload_type).map(|c| c.codec)
    }

    /// The payload type an RTX payload type repairs.
    pub(crate) fn repaired(&self, rtx_payload_type: u8) -> Option<u8> {
        self.codecs
            .iter()
            .find(|codec| codec.rtx_payload_type == Some(rtx_payload_type))
            .map(|codec| codec.payload_type)
    }

    /// Whether a payload type belongs to the track, as media or RTX.
    pub(crate) fn claims(&self, payload_type: u8) -> bool {
        self.codec(payload_type).is_some() || self.repaired(payload_type).is_some()
    }

    /// Media of an encoding arrived. Returns whether another encoding is now selected, for
    /// which subscribers need a keyframe.
    #[inline]
    pub(crate) fn on_media(&mut self, index: usize, now: Instant) -> bool {
        if let Some(encoding) = self.encodings.get_mut(index) {
            encoding.last_media_at = Some(now);
        }
        self.encodings.len() > 1 && self.select(now)
    }

    fn select(&mut self, now: Instant) -> bool {
        let is_live = |encoding: &Encoding| {
            encoding
                .last_media_at
                .is_some_and(|at| now.saturating_duration_since(at) < ENCODING_TIMEOUT)
        };
        let Some(best) = self.encodings.iter().rposition(is_live) else { return false };
        let changed = best != self.selected;
        self.selected = best;
        changed
    }

    /// A packet that starts a keyframe arrived; several may do so for one picture.
    pub(crate) fn on_keyframe(&mut self, index: usize, timestamp: u32) {
        let Some(encoding) = self.encodings.get_mut(index) else { return };
        if encoding.last_keyframe != Some(timestamp) {
            encoding.last_keyframe = Some(timestamp);
            self.keyframes += 1;
        }
        if index == self.selected {
            self.throttle.on_keyframe();
        }
    }

    /// The stream to ask for a keyframe.
    pub(crate) fn keyframe_ssrc(&self) -> Option<u32> {
        self.encodings.get(self.selected)?.ssrc
    }

    /// When NACKs or keyframe requests are due.
    pub(crate) fn next_repair(&self) -> Option<Instant> {
        let nacks = self.encodings.iter().filter_map(|e| e.nack.as_ref()?.next_timeout());
        let may_ask = !self.paused && self.keyframe_ssrc().is_some();
        nacks.chain(self.throttle.next_timeout().filter(|_| may_ask)).min()
    }

    /// Packets that never came, so far.
    pub(crate) fn lost(&self) -> u64 {
        self.encodings.iter().map(|encoding| encoding.reception.lost()).sum()
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        let encodings: usize = self
            .encodings
            .iter()
            .map(|encoding| size_of::<Encoding>() + encoding.cache.memory_bytes())
            .sum();
        let tables = self.consumers.capacity() * size_of::<Key>()
            + self.codecs.capacity() * size_of::<CodecParameters>();
        (size_of::<Producer>() + encodings + tables) as u64
    }

    pub(crate) fn stats(&mut self, transport: u64, now: Instant) -> ProducerStats {
        let sum = |value: fn(&Reception) -> u64| -> u64 {
            self.encodings.iter().map(|encoding| value(&encoding.reception)).sum()
        };
        let (packets, bytes) = (sum(Reception::packets), sum(Reception::bytes));
        let (lost, repaired) = (sum(Reception::lost), sum(Reception::repaired));
        let bitrate_bps = self.encodings.iter_mut().map(|e| e.reception.bitrate_bps(now)).sum();
        let best = self.encodings.get_mut(self.selected).map(|encoding| &mut encoding.reception);
        let (loss_ratio, jitter_s) = best.map_or((0.0, 0.0), |reception| {
            (reception.loss_ratio(now), reception.jitter().as_secs_f64())
        });
        ProducerStats {
            producer: self.id,
            transport,
            kind: self.kind,
            packets,
            bytes,
            lost,
            repaired,
            loss_ratio,
            jitter_s,
            bitrate_bps,
            keyframes: self.keyframes,
        }
    }
}
