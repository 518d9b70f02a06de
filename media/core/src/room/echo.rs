//! Protection of video against loss: sending packets again before they are asked for.

use std::time::Duration;

use super::Room;
use super::receive::Packet;
use super::rtx::{Lost, find_lost, write_rtx};
use crate::api::MediaKind;
use crate::consumer::Consumer;
use crate::echoes::{Due, Echoes, POSTPONED, Plan};
use crate::protect::LinkLoss;
use crate::protect::video::{LEAST_LOSS, Weight};
use crate::rtp::SeqNo;
use crate::shared::{Cx, TimerKind};
use crate::table::Key;
use crate::transport::Transport;

/// A queue seen within this time may be what the losses come from.
const QUEUE_MEMORY: Duration = Duration::from_secs(2);
/// What may be sent again, asked for or not, in bytes sent for the first time: without loss, and
/// where nothing is known of what the path takes.
pub(super) const LEAST_SHARE: f64 = 2.0;
/// And at most, whatever a subscriber says of its losses.
const MOST_SHARE: f64 = 6.0;
/// Copies that wait for others to leave are looked at no more often.
const LEAST_HOLD: Duration = Duration::from_millis(1);
/// A keyframe on its way is hurried once in a round trip, and no more often than this.
const LEAST_HURRY: Duration = Duration::from_millis(50);
/// While the round trip is unknown.
const DEFAULT_ROUND_TRIP: Duration = Duration::from_millis(100);

/// A packet is about to be sent for the first time. Returns its flight, zero if it has none.
#[inline]
pub(super) fn begin(
    cx: &mut Cx,
    transport: &mut Transport,
    consumer: &Consumer,
    key: Key,
    packet: &Packet<'_>,
    number: SeqNo,
) -> u64 {
    match &transport.echoes {
        Some(_) if consumer.kind == MediaKind::Video && consumer.has_rtx() => {
            follow(cx, transport, key, packet, number)
        }
        _ => 0,
    }
}

#[cold]
fn follow(
    cx: &mut Cx,
    transport: &mut Transport,
    key: Key,
    packet: &Packet<'_>,
    number: SeqNo,
) -> u64 {
    let Some(echoes) = &mut transport.echoes else { return 0 };
    if packet.can_start && !packet.is_late {
        echoes.on_keyframe(key, number, packet.header.timestamp);
    }
    let weight = match packet.info.temporal_layer {
        _ if packet.is_key => Weight::Keyframe,
        None | Some(0) => Weight::Base,
        Some(_) => Weight::Rest,
    };
    let flight = echoes.begin(key, number, weight, packet.header.timestamp, cx.now);
    cx.shared.counters.echoes_missed += echoes.take_given_up();
    flight
}

/// A packet is about to be sent again because the subscriber asked for it. Returns its flight.
pub(super) fn ask(
    cx: &mut Cx,
    transport: &mut Transport,
    consumer: &Consumer,
    key: Key,
    lost: &Lost<'_>,
) -> u64 {
    if consumer.kind != MediaKind::Video || lost.is_empty() {
        return 0;
    }
    let Some(echoes) = &mut transport.echoes else { return 0 };
    echoes.ask(key, lost.number, cx.now)
}

/// There was no room for a packet of a flight: it goes as a copy, later.
#[cold]
pub(super) fn defer(cx: &mut Cx, transport: &mut Transport, flight: u64) {
    if let Some(echoes) = &mut transport.echoes {
        echoes.defer(flight, cx.now);
        schedule(cx, transport);
    }
}

fn schedule(cx: &mut Cx, transport: &mut Transport) {
    if let Some(at) = transport.echoes.as_ref().and_then(|echoes| echoes.next_timeout()) {
        transport.schedule(cx, TimerKind::Pace, at);
    }
}

impl Room {
    /// Takes over which packets reached the subscriber: the fates were just read.
    pub(super) fn on_video_fates(&mut self, cx: &mut Cx, key: Key) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        let fates = &cx.shared.scratch.fates;
        fates.measure(&mut transport.loss);
        transport.has_fates = true;
        if let Some(echoes) = &mut transport.echoes {
            let round_trip = transport.rtt.get().unwrap_or(DEFAULT_ROUND_TRIP);
            echoes.on_fates(fates, round_trip, cx.now);
        }
        self.protect_video(cx, key);
    }

    /// A subscriber without transport-wide feedback reports a share of loss.
    pub(super) fn on_video_report(&mut self, cx: &mut Cx, key: Key, consumer: Key, ratio: f64) {
        let Some(transport) = self.transports.get_mut(key).filter(|t| !t.has_fates) else { return };
        let Some(consumer) = self.consumers.get(consumer) else { return };
        transport.loss.on_report(ratio, consumer.unreported());
        self.protect_video(cx, key);
    }

    /// Decides how the video of a subscriber is protected.
    fn protect_video(&mut self, cx: &mut Cx, key: Key) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        let mut loss = transport.loss.loss();
        if transport.echoes.is_none() && loss.ratio < LEAST_LOSS {
            // Nearly always; what the way back loses is of no matter then.
            return transport.protection.update(loss, 0.0);
        }
        let mut back = 0.0_f64;
        for producer in &transport.producers {
            let Some(producer) = self.producers.get_mut(*producer) else { continue };
            for encoding in &mut producer.encodings {
                back = back.max(encoding.reception.loss_ratio(cx.now));
            }
        }
        let is_full = transport
            .queue_seen
            .is_some_and(|at| cx.now.saturating_duration_since(at) < QUEUE_MEMORY);
        if let (true, Some(estimator)) = (is_full, &transport.estimator) {
            // Sending more would only make it worse.
            loss = LinkLoss { ratio: loss.ratio.min(estimator.inherent_loss()), ..loss };
        }
        transport.protection.update(loss, back);
        let protection = transport.protection;
        let plan = Plan { copies: protection.copies(), gap: protection.gap() };
        match (&mut transport.echoes, protection.is_needed()) {
            (Some(echoes), true) => echoes.set_plan(plan),
            (Some(_), false) => transport.echoes = None,
            (None, true) => transport.echoes = Some(Box::new(Echoes::new(plan))),
            (None, false) => return,
        }
        let share = match (&transport.echoes, transport.budget_bps) {
            (Some(_), Some(_)) => (LEAST_SHARE * protection.price()).min(MOST_SHARE),
            _ => LEAST_SHARE,
        };
        schedule(cx, transport);
        self.set_resend_share(key, share);
    }

    /// Sets what may be sent again to a subscriber, in bytes sent for the first time.
    pub(super) fn set_resend_share(&mut self, key: Key, share: f64) {
        let Some(transport) = self.transports.get(key) else { return };
        for consumer in &transport.consumers {
            if let Some(consumer) = self.consumers.get_mut(*consumer) {
                consumer.responder.set_share(share);
            }
        }
    }

    /// Repairs the keyframe that is on its way to a subscriber who asks for one. Returns whether
    /// there is one.
    pub(super) fn hurry(&mut self, cx: &mut Cx, key: Key, consumer: Option<Key>) -> bool {
        let (Some(transport), Some(consumer)) = (self.transports.get_mut(key), consumer) else {
            return false;
        };
        let every = transport.rtt.get().unwrap_or(DEFAULT_ROUND_TRIP).max(LEAST_HURRY);
        let Some(echoes) = &mut transport.echoes else { return false };
        let is_repaired = echoes.hurry(consumer, every, cx.now);
        if is_repaired {
            cx.shared.counters.keyframes_repaired += 1;
            schedule(cx, transport);
        }
        is_repaired
    }

    /// Sends the copies that are due, as far as the budget allows, behind all that waits.
    pub(super) fn send_echoes(&mut self, cx: &mut Cx, key: Key) {
        loop {
            let Some(transport) = self.transports.get_mut(key) else { return };
            let Some(echoes) = &mut transport.echoes else { return };
            if echoes.next_timeout().is_none_or(|at| at > cx.now) {
                return;
            }
            if !transport.pacer.admits(cx.now) {
                return echoes.hold(transport.pacer.next_vacancy(cx.now).max(cx.now + LEAST_HOLD));
            }
            if !transport.pacer.may_resend(cx.now) {
                cx.shared.counters.echoes_postponed += 1;
                return echoes.hold(cx.now + POSTPONED);
            }
            let Some(due) = echoes.pop(cx.now) else { return };
            if !self.send_echo(cx, key, due)
                && let Some(transport) = self.transports.get_mut(key)
                && let Some(echoes) = &mut transport.echoes
            {
                echoes.forget(due.id);
                cx.shared.counters.echoes_missed += 1;
            }
        }
    }

    /// Returns whether the packet is still there.
    fn send_echo(&mut self, cx: &mut Cx, key: Key, due: Due) -> bool {
        let consumer = self.consumers.get_mut(due.consumer);
        let Some(consumer) = consumer.filter(|c| !c.paused && c.encoding.is_some()) else {
            return false;
        };
        let Some(transport) = self.transports.get_mut(key) else { return false };
        if !consumer.responder.has_budget(1, cx.now) {
            if let Some(echoes) = &mut transport.echoes {
                echoes.postpone(due, cx.now);
            }
            cx.shared.counters.echoes_postponed += 1;
            return true;
        }
        let lost = find_lost(consumer, due.number, &self.producers, &self.transports);
        let Some(lost) = lost.filter(|lost| !lost.is_empty()) else { return false };
        let Some(transport) = self.transports.get_mut(key) else { return false };
        let written = write_rtx(cx, transport, consumer, &lost);
        let Some((lens, stamps, _)) = written else { return false };
        consumer.responder.note(lost.outgoing, lost.bytes.len(), cx.now);
        transport.pacer.note_resent(lost.bytes.len(), cx.now);
        cx.ledger().made += 1;
        let mut packet = std::mem::take(&mut cx.shared.scratch.packet);
        let sent = transport.send_followed(cx, &mut packet, (lens, stamps), due.id);
        cx.shared.scratch.packet = packet;
        consumer.on_echoed(cx, sent);
        true
    }
}
