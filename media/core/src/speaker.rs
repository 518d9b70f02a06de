//! Who speaks in a room, from the audio levels the senders announce (RFC 6464).

use std::time::{Duration, Instant};

use crate::api::ProducerId;

/// Level of digital silence; 0 is full scale. The unit is −dBov.
pub const SILENCE: u8 = 127;

/// How levels become speakers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpeakerConfig {
    /// Smoothed levels above (numerically below) this are speech.
    pub speech_level: f32,
    /// How much louder than the current speaker another has to be, in dB.
    pub margin_db: f32,
    /// For how long another has to be louder while the current speaker still speaks.
    pub takeover: Duration,
    /// For how long another has to speak when the current speaker does not.
    pub handover: Duration,
    /// Silence of everybody after which there is no speaker.
    pub silence: Duration,
    /// Time between two summaries of the levels.
    pub summary_interval: Duration,
    /// Smallest change of a level that is reported, in dB.
    pub least_change: u8,
    /// Producers a room tracks; levels of others are ignored and counted. 40 bytes each.
    pub max_producers: usize,
}

impl Default for SpeakerConfig {
    fn default() -> SpeakerConfig {
        SpeakerConfig {
            speech_level: 55.0,
            margin_db: 4.0,
            takeover: Duration::from_millis(700),
            handover: Duration::from_millis(300),
            silence: Duration::from_millis(1_500),
            summary_interval: Duration::from_millis(200),
            least_change: 2,
            max_producers: 256,
        }
    }
}

/// Summaries of all rooms of an engine in a second, about: each is told to everybody in its room, which
/// costs the event loop some 40 µs a listener.
const SUMMARIES_PER_S: u32 = 400;

/// Time between two summaries of a room on an engine with so many rooms: that of the default, and
/// more from 80 rooms on. Who speaks is told at once in any case.
pub fn summary_interval(rooms: usize) -> Duration {
    let rooms = u32::try_from(rooms).unwrap_or(u32::MAX);
    let shared = Duration::from_secs(1).saturating_mul(rooms) / SUMMARIES_PER_S;
    shared.max(SpeakerConfig::default().summary_interval)
}

/// What [`SpeakerDetector::poll`] found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpeakerUpdate<'a> {
    /// The new speaker, if that changed; `Some(None)`: nobody speaks any more.
    pub speaker: Option<Option<ProducerId>>,
    /// Levels that changed since the last summary, by producer. Empty if none is due.
    pub levels: &'a [(ProducerId, u8)],
}

#[derive(Debug, Clone)]
struct Meter {
    producer: ProducerId,
    /// Smoothed level in −dBov.
    level: f32,
    updated: Instant,
    /// Since when it beats the current speaker.
    ahead_since: Option<Instant>,
    reported: u8,
}

impl Meter {
    /// Time constants: speech starts at once and ends slowly, so that pauses between words do
    /// not count.
    const ATTACK_S: f32 = 0.04;
    const DECAY_S: f32 = 0.25;
    /// Without packets for this long (discontinuous transmission, loss) a level fades.
    const STALE: Duration = Duration::from_millis(250);
    /// A pause between packets counts for no more than this.
    const LONGEST_STEP_S: f32 = 0.1;

    fn follow(&mut self, level: u8, now: Instant) {
        let elapsed = now.saturating_duration_since(self.updated).as_secs_f32();
        self.step(f32::from(level), elapsed.clamp(0.005, Self::LONGEST_STEP_S));
        self.updated = now;
    }

    fn step(&mut self, target: f32, elapsed_s: f32) {
        let constant = if target < self.level { Self::ATTACK_S } else { Self::DECAY_S };
        let weight = 1.0 - (-elapsed_s / constant).exp();
        self.level += (target - self.level) * weight;
    }

    /// Lets the level go to silence if no packets come. Called once per tick.
    fn fade(&mut self, now: Instant, tick: Duration) {
        if now.saturating_duration_since(self.updated) >= Self::STALE {
            self.step(f32::from(SILENCE), tick.as_secs_f32());
        }
    }

    fn rounded(&self) -> u8 {
        // Close to silence is silence: an exponential never gets there.
        if self.level > 125.5 { SILENCE } else { self.level.round() as u8 }
    }
}

/// Levels and dominant speaker of one room.
///
/// A packet costs one search in a sorted list of the room's audio producers.
#[derive(Debug, Clone)]
pub struct SpeakerDetector {
    config: SpeakerConfig,
    /// Sorted by producer.
    meters: Vec<Meter>,
    speaker: Option<ProducerId>,
    /// When anybody was last above the speech level.
    last_speech: Option<Instant>,
    speaker_changed: bool,
    next_tick: Option<Instant>,
    next_summary: Option<Instant>,
    summary: Vec<(ProducerId, u8)>,
    ignored: u64,
}

impl SpeakerDetector {
    /// Time between two decisions.
    const TICK: Duration = Duration::from_millis(50);

    /// Starts with nobody.
    pub fn new(config: SpeakerConfig) -> SpeakerDetector {
        SpeakerDetector {
            config,
            meters: Vec::new(),
            speaker: None,
            last_speech: None,
            speaker_changed: false,
            next_tick: None,
            next_summary: None,
            summary: Vec::new(),
            ignored: 0,
        }
    }

    /// Takes the level of one packet: 0 (full scale) to 127 (silence).
    pub fn on_level(&mut self, producer: ProducerId, level: u8, now: Instant) {
        let level = level.min(SILENCE);
        match self.meters.binary_search_by_key(&producer, |meter| meter.producer) {
            Ok(at) => self.meters[at].follow(level, now),
            Err(_) if self.meters.len() >= self.config.max_producers => {
                self.ignored += 1;
                return;
            }
            Err(at) => {
                let silent = f32::from(SILENCE);
                let mut meter = Meter {
                    producer,
                    level: silent,
                    updated: now,
                    ahead_since: None,
                    reported: SILENCE,
                };
                meter.step(f32::from(level), 0.02);
                self.meters.insert(at, meter);
            }
        }
        if self.next_tick.is_none() {
            self.next_tick = Some(now + Self::TICK);
            self.next_summary.get_or_insert(now + self.config.summary_interval);
        }
    }

    /// Sets the time between two summaries, from the next one on.
    pub fn set_summary_interval(&mut self, interval: Duration) {
        self.config.summary_interval = interval;
    }

    /// Forgets a producer that went away. If it spoke, nobody does now.
    pub fn remove(&mut self, producer: ProducerId) {
        if let Ok(at) = self.meters.binary_search_by_key(&producer, |meter| meter.producer) {
            self.meters.remove(at);
        }
        if self.speaker == Some(producer) {
            self.change_speaker(None);
        }
    }

    /// The current speaker.
    pub fn speaker(&self) -> Option<ProducerId> {
        self.speaker
    }

    /// Levels ignored because the room has too many producers.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// When [`SpeakerDetector::poll`] has something to do; `None` while all are silent.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.next_tick
    }

    /// Decides who speaks and whose level to report. Calling it early is harmless.
    pub fn poll(&mut self, now: Instant) -> SpeakerUpdate<'_> {
        self.summary.clear();
        if self.next_tick.is_some_and(|tick| tick <= now) {
            self.meters.iter_mut().for_each(|meter| meter.fade(now, Self::TICK));
            self.choose(now);
            self.summarise(now);
            self.schedule(now);
        }
        let changed = std::mem::take(&mut self.speaker_changed);
        SpeakerUpdate { speaker: changed.then_some(self.speaker), levels: &self.summary }
    }

    fn choose(&mut self, now: Instant) {
        let config = self.config;
        let speaks = |meter: &Meter| meter.level < config.speech_level;
        if self.meters.iter().any(speaks) {
            self.last_speech = Some(now);
        }
        let current = self.meters.iter().find(|meter| Some(meter.producer) == self.speaker);
        let current_speaks = current.is_some_and(speaks);
        let bar = current
            .filter(|meter| speaks(meter))
            .map_or(config.speech_level, |meter| meter.level - config.margin_db);
        let patience = if current_speaks { config.takeover } else { config.handover };
        let speaker = self.speaker;
        let mut loudest: Option<(f32, ProducerId)> = None;
        for meter in self.meters.iter_mut().filter(|meter| Some(meter.producer) != speaker) {
            if meter.level >= bar {
                meter.ahead_since = None;
                continue;
            }
            let since = *meter.ahead_since.get_or_insert(now);
            let patient = speaker.is_none() || now.saturating_duration_since(since) >= patience;
            if patient && loudest.is_none_or(|(level, _)| meter.level < level) {
                loudest = Some((meter.level, meter.producer));
            }
        }
        if let Some((_, producer)) = loudest {
            self.change_speaker(Some(producer));
        } else if self.last_speech.is_none_or(|last| now >= last + config.silence) {
            self.change_speaker(None);
        }
    }

    fn change_speaker(&mut self, speaker: Option<ProducerId>) {
        if self.speaker != speaker {
            self.speaker = speaker;
            self.speaker_changed = true;
            self.meters.iter_mut().for_each(|meter| meter.ahead_since = None);
        }
    }

    fn summarise(&mut self, now: Instant) {
        if self.next_summary.is_none_or(|due| due > now) {
            return;
        }
        self.next_summary = Some(now + self.config.summary_interval);
        for meter in &mut self.meters {
            let level = meter.rounded();
            let fell_silent = level == SILENCE && meter.reported != SILENCE;
            if level.abs_diff(meter.reported) >= self.config.least_change || fell_silent {
                meter.reported = level;
                self.summary.push((meter.producer, level));
            }
        }
    }

    /// Rests once nobody speaks, all levels are reported as silence and no packets come.
    fn schedule(&mut self, now: Instant) {
        let asleep = |meter: &Meter| {
            meter.reported == SILENCE
                && meter.rounded() == SILENCE
                && now.saturating_duration_since(meter.updated) >= Meter::STALE
        };
        let rest = self.speaker.is_none() && self.meters.iter().all(asleep);
        self.next_tick = (!rest).then(|| now + Self::TICK);
    }
}

#[cfg(test)]
mod tests;
