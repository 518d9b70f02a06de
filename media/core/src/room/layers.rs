//! Which layer each subscription gets, and which encodings publishers are asked for.

use std::time::Duration;

use super::Room;
use crate::allocate::{Rung, Track, allocate};
use crate::api::{Event, Layer, LayerSwitchReason, LayerWish, MediaKind};
use crate::consumer::{Consumer, Interruption};
use crate::protect::Protection;
use crate::shared::{Cx, Location, TimerKey, TimerKind};
use crate::table::Key;

/// How often costs are measured, silence is noticed and targets are looked at again.
const TICK: Duration = Duration::from_millis(250);
/// What an audio track may need at any moment, whatever it sent lately (silence sends nothing).
const AUDIO_FLOOR_BPS: u64 = 40_000;
/// While nothing is known of a subscriber's path, the smallest encoding of a track is waited for
/// this long, although a larger one could be sent at once.
const SMALLEST_PATIENCE: Duration = Duration::from_millis(700);
/// A lone picture is sent at its lowest layer although that needs this share of the budget, in
/// tenths: what does not fit waits in the pacer, where audio does not wait with it.
const NEARLY_TENTHS: u64 = 15;
/// With less than this share of a subscriber's use to spare (in tenths), the smallest encodings
/// of what it watches are kept ready: falling back must not wait for an encoder to start.
const TIGHT_TENTHS: u64 = 15;

/// One video subscription about to be given a layer.
struct Wanting {
    consumer: Key,
    producer: Key,
    /// What is there, and what would be if the publisher sent everything.
    ladders: [Vec<Rung>; 2],
}

impl Room {
    /// Gives the subscriptions of a transport what its budget allows. Call it whenever
    /// `Transport::layers_bps` changes.
    pub(crate) fn allocate(&mut self, cx: &mut Cx, transport: Key) {
        self.allocate_because(cx, transport, LayerSwitchReason::Budget);
    }

    /// The same, with the reason for what changes.
    pub(super) fn allocate_because(
        &mut self,
        cx: &mut Cx,
        transport: Key,
        reason: LayerSwitchReason,
    ) {
        let Some(owner) = self.transports.get(transport) else { return };
        let is_settling = owner.is_settling(cx.now_us());
        let (budget, keys) = (owner.budget_for_layers(), owner.consumers.clone());
        let budget = budget.filter(|_| !is_settling);
        let (mut wanting, audio_bps, voices) = self.gather(cx, &keys);
        if let Some(owner) = self.transports.get_mut(transport) {
            owner.voices = voices;
        }
        if is_settling {
            wanting.iter_mut().for_each(|want| self.keep_smallest(cx, want));
        }
        let mut chosen = [Vec::new(), Vec::new()];
        for (ladder, chosen) in chosen.iter_mut().enumerate() {
            let tracks: Vec<Track<'_>> =
                wanting.iter().filter_map(|want| self.track(cx, want, ladder)).collect();
            let voices = [Rung { layer: Layer { spatial: 0, temporal: 0 }, bps: audio_bps }];
            let voices = Track {
                kind: MediaKind::Audio,
                priority: 0,
                ladder: &voices,
                current: None,
                may_rise: true,
            };
            let tracks: Vec<Track<'_>> = tracks.into_iter().chain([voices]).collect();
            allocate(&tracks, budget.unwrap_or(u64::MAX), chosen);
        }
        let [real, ideal] = chosen;
        let mut used = audio_bps;
        let mut wanted = audio_bps;
        let mut producers = Vec::new();
        let on_trial = self.on_trial(cx, &wanting, &real, (audio_bps, budget));
        for (want, (real, ideal)) in wanting.iter().zip(real.iter().zip(&ideal)) {
            let [there, all] = &want.ladders;
            let ideal = ideal.map(|index| all[index]);
            let mut target = real.map(|index| there[index].layer);
            used = used.saturating_add(ideal.map_or(0, |rung| rung.bps));
            wanted = wanted.saturating_add(all.last().map_or(0, |rung| rung.bps));
            let nothing_there = there.is_empty() && !all.is_empty();
            let mut is_new = false;
            if let Some(consumer) = self.consumers.get_mut(want.consumer) {
                let mut desired = ideal.map(|rung| rung.layer);
                if target.is_some() {
                    consumer.layers.trials.reset();
                } else if on_trial == Some(want.consumer) {
                    target = there.first().map(|rung| rung.layer);
                    desired = desired.or(all.first().map(|rung| rung.layer));
                }
                is_new = std::mem::replace(&mut consumer.layers.desired, desired) != desired;
            }
            // While all encodings are silent the last target stands.
            if !nothing_there {
                is_new |= self.retarget(cx, want.consumer, target, reason);
            }
            if is_new {
                producers.push(want.producer);
            }
        }
        if let Some(owner) = self.transports.get_mut(transport) {
            // The headroom for rising comes on top.
            owner.wanted_bps = wanted.saturating_add(wanted / 10);
            owner.is_tight = is_settling
                || budget.is_some_and(|budget| budget < used.saturating_mul(TIGHT_TENTHS) / 10);
        }
        // What became unwanted, or tight, is noticed within a tick.
        producers.sort_unstable();
        producers.dedup();
        for producer in producers {
            self.update_demand(cx, producer);
            self.send_keyframe_request(cx, producer);
        }
    }

    /// Nothing is known of the path: of what is there only the smallest encoding is sent, and if
    /// that is not there yet, nothing for a moment.
    fn keep_smallest(&mut self, cx: &Cx, want: &mut Wanting) {
        let [there, all] = &mut want.ladders;
        let Some(consumer) = self.consumers.get_mut(want.consumer) else { return };
        let smallest = |ladder: &[Rung]| ladder.first().map(|rung| rung.layer.spatial);
        let since = *consumer.layers.settling_since.get_or_insert(cx.now);
        let waits = smallest(there) > smallest(all) && cx.now < since + SMALLEST_PATIENCE;
        // What is being sent already is not taken away for a guess.
        let current = consumer.encoding.map(|encoding| encoding as u8);
        let last = current.max(smallest(there).filter(|_| !waits));
        there.retain(|rung| Some(rung.layer.spatial) <= last);
    }

    /// The subscription that is sent though it does not fit. There is one only where no picture
    /// at all fits: else what is sent tells how much more the link takes.
    fn on_trial(
        &mut self,
        cx: &Cx,
        wanting: &[Wanting],
        real: &[Option<usize>],
        (audio_bps, budget): (u64, Option<u64>),
    ) -> Option<Key> {
        if wanting.iter().zip(real).any(|(_, index)| index.is_some()) {
            return None;
        }
        let priority = |want: &&Wanting| {
            self.consumers.get(want.consumer).map(|consumer| consumer.layers.wish.priority)
        };
        let first =
            wanting.iter().filter(|want| !want.ladders[1].is_empty()).min_by_key(priority)?;
        let needed = first.ladders[0].first().map(|rung| audio_bps.saturating_add(rung.bps));
        if needed.zip(budget).is_some_and(|(needed, bps)| needed <= bps / 10 * NEARLY_TENTHS) {
            return Some(first.consumer);
        }
        let consumer = self.consumers.get_mut(first.consumer)?;
        consumer.layers.trials.is_due(cx.now).then_some(first.consumer)
    }

    /// Video subscriptions that can be served, what the audio ones may need, and how many those are.
    fn gather(&mut self, cx: &Cx, keys: &[Key]) -> (Vec<Wanting>, u64, u64) {
        let (mut audio_bps, mut voices) = (0_u64, 0);
        let mut wanting = Vec::new();
        for key in keys {
            let Some(consumer) = self.consumers.get_mut(*key) else { continue };
            let Some(producer_key) = consumer.producer.filter(|_| !consumer.paused) else {
                continue;
            };
            let Some(producer) = self.producers.get(producer_key) else { continue };
            if producer.paused {
                continue;
            }
            if consumer.kind == MediaKind::Audio {
                let rate = consumer.responder.sent_bps(cx.now);
                audio_bps = audio_bps.saturating_add(rate.max(AUDIO_FLOOR_BPS));
                voices += 1;
                continue;
            }
            let mut ladders = [Vec::new(), Vec::new()];
            if let Some(preferred) = consumer.layers.wish.preferred {
                producer.ladder(preferred, false, &mut ladders[0], cx.now);
                producer.ladder(preferred, true, &mut ladders[1], cx.now);
            }
            if let Some(owner) = self.transports.get(consumer.transport) {
                protect(&owner.protection, &mut ladders);
            }
            wanting.push(Wanting { consumer: *key, producer: producer_key, ladders });
        }
        (wanting, audio_bps, voices)
    }

    fn track<'a>(&self, cx: &Cx, want: &'a Wanting, ladder: usize) -> Option<Track<'a>> {
        let layers = &self.consumers.get(want.consumer)?.layers;
        Some(Track {
            kind: MediaKind::Video,
            priority: layers.wish.priority,
            ladder: &want.ladders[ladder],
            current: if ladder == 0 { layers.target } else { layers.desired },
            may_rise: layers.may_rise(cx.now),
        })
    }

    /// Sets what a subscription shall get, and asks for the keyframe it begins with. Returns
    /// whether that is new.
    fn retarget(
        &mut self,
        cx: &mut Cx,
        key: Key,
        target: Option<Layer>,
        reason: LayerSwitchReason,
    ) -> bool {
        let Some(consumer) = self.consumers.get_mut(key) else { return false };
        if !consumer.layers.retarget(target, consumer.encoding, reason, cx.now) {
            return false;
        }
        match target {
            None => {
                consumer.interrupt(Interruption::Pause);
                report(cx, consumer);
            }
            Some(layer) => {
                let encoding = usize::from(layer.spatial);
                if consumer.encoding == Some(encoding) {
                    report(cx, consumer);
                } else if let Some(key) = consumer.producer
                    && let Some(producer) = self.producers.get_mut(key)
                {
                    producer.want_keyframe(encoding);
                }
            }
        }
        true
    }

    /// All transports that receive the producer.
    pub(super) fn allocate_subscribers(
        &mut self,
        cx: &mut Cx,
        producer: Key,
        reason: LayerSwitchReason,
    ) {
        let Some(producer) = self.producers.get(producer) else { return };
        let mut transports: Vec<Key> = producer
            .consumers
            .iter()
            .filter_map(|key| self.consumers.get(*key))
            .map(|consumer| consumer.transport)
            .collect();
        transports.sort_unstable();
        transports.dedup();
        for transport in transports {
            self.allocate_because(cx, transport, reason);
        }
    }

    /// The subscriber says what is of use to it.
    pub(crate) fn set_consumer_layers(
        &mut self,
        cx: &mut Cx,
        key: Key,
        wish: LayerWish,
    ) -> super::CommandResult {
        let consumer = self.consumers.get_mut(key).ok_or("no such consumer")?;
        if consumer.kind != MediaKind::Video {
            return Err("audio has no layers");
        }
        if consumer.layers.wish == wish {
            return Ok(());
        }
        consumer.layers.wish = wish;
        // A person's wish is not held up by what the link did before.
        consumer.layers.hold_until = None;
        let transport = consumer.transport;
        self.allocate_because(cx, transport, LayerSwitchReason::Wish);
        Ok(())
    }

    /// Tells the publisher which encodings anybody wants, where that is new.
    pub(super) fn update_demand(&mut self, cx: &mut Cx, key: Key) {
        let Some(producer) = self.producers.get_mut(key) else { return };
        if producer.kind != MediaKind::Video {
            return;
        }
        let mut wanted = vec![false; producer.encodings.len()];
        for consumer in producer.consumers.iter().filter_map(|key| self.consumers.get(*key)) {
            let owner = self.transports.get(consumer.transport).filter(|owner| owner.is_open());
            let Some(owner) = owner.filter(|_| !consumer.paused) else { continue };
            if consumer.layers.wish.preferred.is_none() {
                continue;
            }
            let layers = [consumer.layers.desired, consumer.layers.target];
            let in_use = layers.iter().flatten().map(|layer| usize::from(layer.spatial));
            for index in in_use.chain(consumer.encoding).chain(owner.is_tight.then_some(0)) {
                if let Some(wanted) = wanted.get_mut(index) {
                    *wanted = true;
                }
            }
        }
        // What is recorded is watched later, by people who shall see the best there was.
        if let Some(largest) = wanted.last_mut().filter(|_| producer.capture.is_some()) {
            *largest = true;
        }
        if let Some(tap) = &producer.tap {
            wanted[producer.encoding_wanted_by_tap(&tap.wish)] = true;
        }
        if let Some(encodings) = producer.demand.update(&wanted, cx.now) {
            cx.shared.events.push(Event::ProducerDemand { producer: producer.id, encodings });
        }
    }

    /// Makes sure [`Room::on_layers`] comes round while there is video.
    pub(super) fn schedule_layers(&mut self, cx: &mut Cx) {
        let has_video = self.producers.iter().any(|(_, p)| p.kind == MediaKind::Video);
        if has_video {
            let location = Location { room: self.key, item: self.key };
            let key = TimerKey { location, kind: TimerKind::Layers };
            cx.shared.timers.schedule(&mut self.layers, cx.now + TICK, key);
        }
    }

    /// Measures, notices silence, ends overshoots and looks at targets again.
    pub(super) fn on_layers(&mut self, cx: &mut Cx) {
        let mut silenced = Vec::new();
        let mut videos = Vec::new();
        for (key, producer) in self.producers.iter_mut() {
            if producer.kind == MediaKind::Video {
                videos.push(key);
                if producer.tick(cx.now) {
                    silenced.push(key);
                }
            }
        }
        for producer in silenced {
            self.allocate_subscribers(cx, producer, LayerSwitchReason::Encoding);
        }
        let transports: Vec<Key> = self.transports.iter().map(|(key, _)| key).collect();
        for transport in transports {
            self.allocate(cx, transport);
        }
        for (_, consumer) in self.consumers.iter_mut() {
            if consumer.layers.is_over(cx.now) {
                consumer.layers.over_since = None;
                consumer.interrupt(Interruption::Pause);
                report(cx, consumer);
            }
        }
        for producer in videos {
            self.retarget_tap(cx, producer);
            self.update_demand(cx, producer);
        }
        self.schedule_layers(cx);
    }
}

/// What layers cost on a way that loses packets, and which of them are worth that.
fn protect(protection: &Protection, ladders: &mut [Vec<Rung>; 2]) {
    if !protection.is_needed() {
        return;
    }
    for ladder in ladders {
        if let (true, Some(smallest)) = (protection.only_smallest(), ladder.first().copied()) {
            ladder.retain(|rung| rung.layer.spatial == smallest.layer.spatial);
        }
        ladder.iter_mut().for_each(|rung| rung.bps = protection.priced(rung.bps));
    }
}

/// Tells what a subscription gets now, if that is new, and counts it.
pub(super) fn report(cx: &mut Cx, consumer: &mut Consumer) {
    let current = consumer.current_layer();
    let before = std::mem::replace(&mut consumer.layers.reported, current);
    if current == before {
        return;
    }
    let reason = consumer.layers.reason;
    // A start is no switch.
    if before.is_some() || reason == LayerSwitchReason::Budget {
        let counters = &mut cx.shared.counters;
        let switches = match current > before {
            true => &mut counters.layer_switches_up,
            false => &mut counters.layer_switches_down,
        };
        switches[reason as usize] += 1;
    }
    cx.shared.events.push(Event::ConsumerLayersChanged {
        consumer: consumer.id,
        current,
        target: consumer.layers.target,
        reason,
    });
}
