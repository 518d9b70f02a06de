//! The receive side of one published track.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media_prefetch::{prefetch, prefetch_span};

use crate::allocate::{Rung, prune};
use crate::allowance::AudioAllowance;
use crate::api::{
    Codec, CodecParameters, EncodingParameters, EncodingStats, Layer, MediaKind, ProducerId,
    ProducerParameters, ProducerStats,
};
use crate::cache::{CacheConfig, PacketCache};
use crate::capture::{CaptureId, Withheld};
use crate::clock::SenderReports;
use crate::codec::PayloadInfo;
use crate::layers::demand::Demand;
use crate::layers::meter::LayerMeter;
use crate::lips::Lateness;
use crate::nack::{NackConfig, NackGenerator};
use crate::reception::{Arrival, Received, Reception};
use crate::rtp::RtpHeader;
use crate::table::Key;
use crate::tap::Tap;
use crate::throttle::KeyframeThrottle;
use crate::voice::{VoiceInput, VoiceWish};

/// Encodings of one track.
pub(crate) const MAX_ENCODINGS: usize = 8;
/// Payload types of one track.
pub(crate) const MAX_CODECS: usize = 64;

/// Packets that parameter sets and what goes with them take in front of a picture, at most.
const MAX_HEAD: u64 = 8;

/// SSRCs an encoding remembers to have had. Packets are late by seconds, sources change seldom.
const MAX_RETIRED: usize = 8;

/// A source keeps its place for at least so long: each change costs all who watch it up to 128
/// empty packets.
const LEAST_TENURE: Duration = Duration::from_secs(1);

/// An encoding that was silent for this long is not worth waiting for.
const ENCODING_TIMEOUT: Duration = Duration::from_millis(1_500);

/// What the smallest encoding is taken to cost until it was measured.
const FIRST_GUESS_BPS: u64 = 150_000;
/// How much more the next larger one is taken to cost.
const GUESSED_STEP: u64 = 3;
/// Beyond this loss on the way up all the publisher's bits go to the smallest picture, which fits
/// one packet or two; below the second it ends.
const SMALLEST_FROM: f64 = 0.5;
const SMALLEST_UNTIL: f64 = 0.35;
/// Weight of the loss of the last second each quarter of a second.
const LOSS_WEIGHT: f64 = 0.3;
/// An encoder that was just started sends little at first: for so long what it sends does not
/// count if it is less than the first guess.
const YOUNG: Duration = Duration::from_secs(3);

/// One simulcast stream, or the only one.
///
/// Fields lie in memory as they stand here: what is needed together lies together.
#[repr(C)]
pub(crate) struct Encoding {
    /// Packets before this number belong to a time in which the track was paused: they are not
    /// forwarded, however late they come.
    pub(crate) audible_from: u64,
    /// The next new packet is the first after such a time.
    pub(crate) resumes: bool,
    /// Media arrived lately.
    live: bool,
    last_keyframe: Option<u32>,
    last_media_at: Option<Instant>,
    /// Of audio somebody sends or takes copies of.
    pub(crate) voice: Option<Box<VoiceInput>>,
    pub(crate) ssrc: Option<u32>,
    /// Tells this stream from others that had its place in the track.
    pub(crate) instance: u32,
    pub(crate) lateness: Lateness,
    meter: LayerMeter,
    pub(crate) cache: PacketCache,
    pub(crate) nack: Option<NackGenerator>,
    pub(crate) reports: SenderReports,
    pub(crate) rid: Option<String>,
    pub(crate) rtx_ssrc: Option<u32>,
    pub(crate) reception: Reception,
    /// SSRCs before the present one, newest last: their stragglers do not bring them back.
    pub(crate) retired_ssrcs: VecDeque<u32>,
    /// When the present one took the place of another.
    pub(crate) changed_at: Option<Instant>,
    pub(crate) throttle: KeyframeThrottle,
    /// What of it is not for the recording.
    pub(crate) withheld: Withheld,
    /// When it last began to be.
    began_at: Option<Instant>,
    dimensions: Option<(u16, u16)>,
}

/// What all encodings of a track have in common.
struct EncodingDefaults {
    kind: MediaKind,
    nack: bool,
    clock_rate_hz: u32,
    keyframe_interval: Duration,
    instance: u32,
    patience: Option<Duration>,
}

impl Encoding {
    fn new(parameters: &EncodingParameters, defaults: &EncodingDefaults) -> Encoding {
        let EncodingDefaults { kind, nack, clock_rate_hz, keyframe_interval, instance, patience } =
            *defaults;
        let (nack_config, cache_config) = match kind {
            MediaKind::Audio => (NackConfig::audio(), CacheConfig::audio()),
            MediaKind::Video => (NackConfig::video(), CacheConfig::video()),
        };
        Encoding {
            rid: parameters.rid.clone(),
            ssrc: parameters.ssrc,
            rtx_ssrc: parameters.rtx_ssrc,
            reception: Reception::new(clock_rate_hz),
            nack: nack.then(|| {
                let mut nack = NackGenerator::new(nack_config);
                nack.set_patience(patience);
                nack
            }),
            cache: PacketCache::new(cache_config),
            reports: SenderReports::new(clock_rate_hz),
            lateness: Lateness::default(),
            retired_ssrcs: VecDeque::new(),
            changed_at: None,
            instance,
            throttle: KeyframeThrottle::new(keyframe_interval),
            voice: None,
            audible_from: 0,
            resumes: false,
            withheld: Withheld::default(),
            live: false,
            began_at: None,
            meter: LayerMeter::default(),
            last_media_at: None,
            last_keyframe: None,
            dimensions: None,
        }
    }

    /// Whether another source may take the place of the present one.
    pub(crate) fn may_change(&self, now: Instant) -> bool {
        self.changed_at.is_none_or(|at| now >= at + LEAST_TENURE)
    }

    /// Whether a packet that just arrived belongs to a time in which the track was paused.
    #[inline]
    pub(crate) fn is_muted(&mut self, received: Received) -> bool {
        if self.resumes && received.arrival == Arrival::Newest {
            self.resumes = false;
            self.audible_from = received.ext_seq;
        }
        self.resumes || received.ext_seq < self.audible_from
    }

    /// Has fetched what every packet needs.
    #[inline]
    pub(crate) fn prefetch(&self) {
        self.reception.prefetch();
        prefetch_span(&self.audible_from, &self.cache);
        prefetch(&self.nack);
        if let Some(newest) = self.reception.highest() {
            self.cache.prefetch(newest);
        }
    }

    fn stats(&mut self, wanted: bool, now: Instant) -> EncodingStats {
        EncodingStats {
            rid: self.rid.clone(),
            live: self.live,
            wanted,
            bitrate_bps: self.reception.bitrate_bps(now),
            temporal_layers: self.meter.temporal_layers() as u8,
            width: self.dimensions.map(|(width, _)| width),
            height: self.dimensions.map(|(_, height)| height),
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
    pub(crate) keyframes: u64,
    pub(crate) demand: Demand,
    keyframe_interval: Duration,
    next_instance: u32,
    /// A subscriber repairs from the caches of the encodings.
    pub(crate) keeps_packets: bool,
    /// Its audio can be repaired on one of the ways, by copies or requests.
    pub(crate) keeps_frames: bool,
    /// Of audio: what it may bring, whatever its sources are.
    pub(crate) allowance: AudioAllowance,
    pub(crate) wish: VoiceWish,
    /// What it is captured as.
    pub(crate) capture: Option<CaptureId>,
    /// The recording pauses, whether or not the track is muted.
    pub(crate) capture_paused: bool,
    /// What analytics are given of it.
    pub(crate) tap: Option<Tap>,
    patience: Option<Duration>,
    nack: bool,
    /// Share lost on the way up, lately.
    loss: f64,
    /// All its bits go to the smallest picture.
    only_smallest: bool,
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
        is_payload_type(codec.payload_type)
            && codec.rtx_payload_type.is_none_or(is_payload_type)
            && codec.red_payload_type.is_none_or(is_payload_type)
    });
    if codecs.iter().any(|codec| codec.red_payload_type.is_some() && codec.codec != Codec::Opus) {
        return Err("only opus has a red payload type");
    }
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
            keyframes: 0,
            demand: Demand::default(),
            keyframe_interval,
            next_instance: 0,
            keeps_packets: parameters.kind == MediaKind::Video,
            keeps_frames: false,
            allowance: AudioAllowance::default(),
            wish: VoiceWish::default(),
            capture: None,
            capture_paused: false,
            tap: None,
            patience: None,
            nack: false,
            loss: 0.0,
            only_smallest: false,
        };
        producer.update(parameters);
        producer
    }

    /// Takes over new parameters. Encodings that keep their SSRC, or that had none announced
    /// before and now, keep their state.
    pub(crate) fn update(&mut self, parameters: ProducerParameters) {
        let nack = parameters.nack;
        let rids = |encodings: &[EncodingParameters]| -> Vec<Option<String>> {
            encodings.iter().map(|encoding| encoding.rid.clone()).collect()
        };
        let rids_before: Vec<Option<String>> =
            self.encodings.iter().map(|encoding| encoding.rid.clone()).collect();
        if rids_before != rids(&parameters.encodings) {
            self.demand = Demand::new(parameters.encodings.len());
        }
        let mut defaults = self.defaults(&parameters.codecs, nack);
        let mut previous = std::mem::take(&mut self.encodings);
        let keeps_nack = self.nack == nack;
        let is_withheld = self.is_withheld();
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
                    None => {
                        defaults.instance += 1;
                        let mut encoding = Encoding::new(wanted, &defaults);
                        if is_withheld {
                            encoding.withheld.pause(None);
                        }
                        encoding
                    }
                }
            })
            .collect();
        self.next_instance = defaults.instance;
        self.nack = nack;
        self.mid = parameters.mid;
        self.codecs = parameters.codecs;
        self.keeps_frames |= self.has_red() || nack && self.kind == MediaKind::Audio;
    }

    fn defaults(&self, codecs: &[CodecParameters], nack: bool) -> EncodingDefaults {
        EncodingDefaults {
            kind: self.kind,
            nack,
            clock_rate_hz: codecs.first().map_or(90_000, |codec| codec.clock_rate_hz),
            keyframe_interval: self.keyframe_interval,
            instance: self.next_instance,
            patience: self.patience,
        }
    }

    /// Starts an encoding over because its SSRC changed.
    pub(crate) fn restart_encoding(&mut self, index: usize, ssrc: u32, now: Instant) {
        self.next_instance += 1;
        let defaults = self.defaults(&self.codecs, self.nack);
        let is_withheld = self.is_withheld();
        let Some(encoding) = self.encodings.get_mut(index) else { return };
        if encoding.ssrc == Some(ssrc) {
            return;
        }
        let parameters = EncodingParameters {
            rid: encoding.rid.take(),
            ssrc: Some(ssrc),
            rtx_ssrc: encoding.rtx_ssrc,
        };
        let mut retired = std::mem::take(&mut encoding.retired_ssrcs);
        if retired.len() == MAX_RETIRED {
            retired.pop_front();
        }
        retired.extend(encoding.ssrc);
        *encoding = Encoding::new(&parameters, &defaults);
        encoding.retired_ssrcs = retired;
        encoding.changed_at = Some(now);
        if is_withheld {
            encoding.withheld.pause(None);
        }
    }

    /// The codec of a payload type that carries media, with or without copies.
    #[inline]
    pub(crate) fn codec(&self, payload_type: u8) -> Option<Codec> {
        let is_it = |codec: &&CodecParameters| {
            codec.payload_type == payload_type || codec.red_payload_type == Some(payload_type)
        };
        self.codecs.iter().find(is_it).map(|codec| codec.codec)
    }

    /// The payload type of what packets of this one carry copies of.
    pub(crate) fn copied(&self, red_payload_type: u8) -> Option<u8> {
        self.codecs
            .iter()
            .find(|codec| codec.red_payload_type == Some(red_payload_type))
            .map(|codec| codec.payload_type)
    }

    /// Whether the publisher can be asked for copies.
    pub(crate) fn has_red(&self) -> bool {
        self.codecs.iter().any(|codec| codec.red_payload_type.is_some())
    }

    /// Whether nothing of it is for the recording now.
    pub(crate) fn is_withheld(&self) -> bool {
        self.paused || self.capture_paused
    }

    /// Asks for lost packets for so long, whatever players wait for; `None`: as long as they do.
    pub(crate) fn set_patience(&mut self, patience: Option<Duration>) {
        self.patience = patience;
        for nack in self.encodings.iter_mut().filter_map(|encoding| encoding.nack.as_mut()) {
            nack.set_patience(patience);
        }
    }

    /// Forgets the frames copies are made of: what comes next must not be mixed with them.
    pub(crate) fn forget_frames(&mut self) {
        for encoding in &mut self.encodings {
            encoding.resumes = true;
            if let Some(voice) = &mut encoding.voice {
                voice.history.clear();
            }
        }
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

    /// Media of an encoding arrived. Returns whether the encoding was not there before: some
    /// subscribers may want it.
    #[inline]
    pub(crate) fn on_media(
        &mut self,
        index: usize,
        info: &PayloadInfo,
        (timestamp, len): (u32, usize),
        now: Instant,
    ) -> bool {
        let is_video = self.kind == MediaKind::Video;
        let Some(encoding) = self.encodings.get_mut(index) else { return false };
        encoding.last_media_at = Some(now);
        if is_video {
            // Where layers cannot be left out, what each of them costs is of no use.
            let temporal = info.temporal_layer.filter(|_| info.layer_sync.is_some());
            if info.keyframe_start {
                encoding.meter.on_keyframe(timestamp, now);
            }
            encoding.meter.add_of(timestamp, temporal, len, now);
            if let Some(dimensions) = info.dimensions {
                encoding.dimensions = Some(dimensions);
            }
        }
        let has_begun = !std::mem::replace(&mut encoding.live, true);
        if has_begun {
            encoding.began_at = Some(now);
        }
        has_begun
    }

    /// Measures the encodings. Returns whether one of several has fallen silent.
    pub(crate) fn tick(&mut self, now: Instant) -> bool {
        self.measure_loss(now);
        let mut has_ended = false;
        for encoding in &mut self.encodings {
            encoding.meter.tick(now);
            let is_silent = encoding
                .last_media_at
                .is_none_or(|at| now.saturating_duration_since(at) >= ENCODING_TIMEOUT);
            has_ended |= is_silent && std::mem::replace(&mut encoding.live, !is_silent);
        }
        has_ended && self.encodings.len() > 1
    }

    fn measure_loss(&mut self, now: Instant) {
        let reports = self.encodings.iter_mut().filter(|encoding| encoding.live);
        let ratio = reports.map(|encoding| encoding.reception.loss_ratio(now)).reduce(f64::max);
        let Some(ratio) = ratio else { return };
        self.loss += LOSS_WEIGHT * (ratio - self.loss);
        let least = if self.only_smallest { SMALLEST_UNTIL } else { SMALLEST_FROM };
        self.only_smallest = self.loss >= least;
        // Keyframes are being repaired for a while; the next would be no smaller.
        let pause = self.keyframe_interval.mul_f64(1.0 + 3.0 * self.loss);
        for encoding in &mut self.encodings {
            encoding.throttle.set_pause(pause);
        }
    }

    /// Share of the packets lost on the way up, before repair, 0..=1.
    pub(crate) fn loss(&self) -> f64 {
        self.loss
    }

    /// Whether an encoding can be expected to send. The only one always can.
    pub(crate) fn is_live(&self, index: usize) -> bool {
        self.encodings.len() == 1 || self.encodings.get(index).is_some_and(|e| e.live)
    }

    /// Writes the layers up to `preferred` with their costs into `ladder`: those that are there,
    /// or (`all`) those that would be if the publisher sent everything. If nothing that small is
    /// there, the smallest that is. Empty if nothing is there.
    pub(crate) fn ladder(&self, preferred: Layer, all: bool, ladder: &mut Vec<Rung>, now: Instant) {
        ladder.clear();
        let wanted = if self.only_smallest { 0 } else { usize::from(preferred.spatial) };
        let mut there = (0..self.encodings.len()).filter(|index| all || self.is_live(*index));
        let Some(smallest) = there.clone().next() else { return };
        let count = there.by_ref().take_while(|index| *index <= wanted.max(smallest)).count();
        let there = (0..self.encodings.len()).filter(|index| all || self.is_live(*index));
        for (place, index) in there.take(count.max(1)).enumerate() {
            self.add_rungs(index, (place == 0, preferred.temporal), ladder, now);
        }
        prune(ladder);
    }

    /// The temporal layers of an encoding. All of the smallest one; of larger ones only those
    /// of at least half the frame rate, because a larger picture that jerks is no gain.
    fn add_rungs(
        &self,
        index: usize,
        (is_first, most): (bool, u8),
        ladder: &mut Vec<Rung>,
        now: Instant,
    ) {
        let Some(encoding) = self.encodings.get(index) else { return };
        let is_young = encoding.began_at.is_none_or(|at| now < at + YOUNG);
        let least = match is_young && self.encodings.len() > 1 {
            true => FIRST_GUESS_BPS * GUESSED_STEP.pow(index as u32),
            false => 0,
        };
        let top = encoding.meter.temporal_layers() - 1;
        let last = top.min(most.into());
        let first = if is_first { 0 } else { top.saturating_sub(1).min(last) };
        for temporal in first..=last {
            let bps = match encoding.meter.up_to(temporal) {
                0 => self.guess_bps(index).max(least),
                measured => measured.max(least),
            };
            let temporal = if temporal == top { most } else { temporal as u8 };
            let spatial = index as u8;
            ladder.push(Rung { layer: Layer { spatial, temporal }, bps });
        }
    }

    /// What an encoding that was not measured yet may cost, by its neighbours.
    fn guess_bps(&self, index: usize) -> u64 {
        let measured = |other: &usize| self.encodings[*other].meter.total();
        let steps = |count: usize| GUESSED_STEP.pow(count as u32);
        let below = (0..index).rev().find(|other| measured(other) > 0);
        let above = (index + 1..self.encodings.len()).find(|other| measured(other) > 0);
        match (below, above) {
            (Some(other), _) => measured(&other).saturating_mul(steps(index - other)),
            (None, Some(other)) => measured(&other) / steps(other - index),
            (None, None) => FIRST_GUESS_BPS * steps(index),
        }
    }

    /// Whether a packet with this timestamp belongs to the newest keyframe of an encoding.
    #[inline]
    pub(crate) fn is_key(&self, index: usize, timestamp: u32) -> bool {
        self.encodings.get(index).is_some_and(|e| e.last_keyframe == Some(timestamp))
    }

    /// Whether everything of a picture before the packet `ext_seq` has arrived, or at least what
    /// a decoder begins with.
    pub(crate) fn has_head(&self, index: usize, ext_seq: u64, timestamp: u32) -> bool {
        let Some(encoding) = self.encodings.get(index) else { return false };
        if encoding.last_keyframe == Some(timestamp) {
            return true;
        }
        for number in (ext_seq.saturating_sub(MAX_HEAD)..ext_seq).rev() {
            if encoding.reception.is_missing(number) {
                return false;
            }
            let before = encoding.cache.get(number).and_then(|bytes| RtpHeader::parse(bytes).ok());
            if before.is_none_or(|header| header.timestamp != timestamp) {
                return true;
            }
        }
        true
    }

    /// A packet that starts a keyframe arrived; several may do so for one picture.
    pub(crate) fn on_keyframe(&mut self, index: usize, timestamp: u32) {
        let Some(encoding) = self.encodings.get_mut(index) else { return };
        if encoding.last_keyframe != Some(timestamp) {
            encoding.last_keyframe = Some(timestamp);
            self.keyframes += 1;
        }
        encoding.throttle.on_keyframe();
    }

    /// Somebody needs a keyframe of an encoding.
    pub(crate) fn want_keyframe(&mut self, index: usize) {
        if let Some(encoding) = self.encodings.get_mut(index) {
            encoding.throttle.request();
        }
    }

    /// Nobody waits for keyframes any more.
    pub(crate) fn cancel_keyframes(&mut self) {
        self.encodings.iter_mut().for_each(|encoding| encoding.throttle.cancel());
    }

    /// The largest encoding that is there.
    pub(crate) fn best(&self) -> usize {
        (0..self.encodings.len()).rev().find(|index| self.is_live(*index)).unwrap_or(0)
    }

    /// When NACKs or keyframe requests are due.
    pub(crate) fn next_repair(&self) -> Option<Instant> {
        let nacks = self.encodings.iter().filter_map(|e| e.nack.as_ref()?.next_timeout());
        let asked = self.encodings.iter().filter(|e| !self.paused && e.ssrc.is_some());
        nacks.chain(asked.filter_map(|e| e.throttle.next_timeout())).min()
    }

    /// Packets that never came, so far.
    pub(crate) fn lost(&self) -> u64 {
        self.encodings.iter().map(|encoding| encoding.reception.lost()).sum()
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        let encodings: usize = self
            .encodings
            .iter()
            .map(|e| {
                let voice = e.voice.as_ref().map_or(0, |voice| voice.memory_bytes());
                size_of::<Encoding>() + e.cache.memory_bytes() + e.meter.memory_bytes() + voice
            })
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
        let best = self.best();
        let best = self.encodings.get_mut(best).map(|encoding| &mut encoding.reception);
        let (loss_ratio, jitter_s) = best.map_or((0.0, 0.0), |reception| {
            (reception.loss_ratio(now), reception.jitter().as_secs_f64())
        });
        let demand = &self.demand;
        let encodings = self.encodings.iter_mut().enumerate();
        let encodings = encodings.map(|(index, e)| e.stats(demand.is_wanted(index), now)).collect();
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
            encodings,
        }
    }
}
