//! From feedback to the budget of a transport, and what the budget lets pass.

use super::Room;
use super::echo::LEAST_SHARE;
use super::rtx::{find_lost, write_rtx};
use crate::api::{DropReason, ExtensionKind};
use crate::bwe::{BandwidthEstimator, Bounds};
use crate::ledger::Stage;
use crate::pacer::{Class, Queued};
use crate::rtcp::TwccFeedback;
use crate::rtp::SeqNo;
use crate::shared::{Cx, TimerKind};
use crate::table::Key;
use crate::transport::Transport;

/// The pacing rate is this many times the budget, in tenths, while nobody knows where the path's
/// limit is.
const PACING_TENTHS: u64 = 25;
/// But at least this, so that a keyframe does not take seconds.
const LEAST_PACING_BPS: u64 = 400_000;
/// Once the limit is known, what is sent faster than that only waits elsewhere, where audio waits
/// with it.
const LIMITED_PACING_TENTHS: u64 = 11;
/// Recent packets that are sent again as padding, one after the other.
const PADDING_CYCLE: u16 = 16;

impl Room {
    /// Transport-wide feedback about what was sent to the transport.
    pub(super) fn on_transport_feedback(
        &mut self,
        cx: &mut Cx,
        key: Key,
        feedback: &TwccFeedback<'_>,
    ) {
        let Some(transport) = self.transports.get(key) else { return };
        if transport.extensions.id(ExtensionKind::TransportCc).is_none() {
            // It is about packets from before an offer took the numbers away.
            return;
        }
        cx.shared.scratch.fates.read(feedback);
        self.on_audio_fates(cx, key);
        self.on_video_fates(cx, key);
        let Some(transport) = self.transports.get_mut(key) else { return };
        let round_trip_us = transport.rtt.get().map(|rtt| rtt.as_micros() as i64);
        let now_us = cx.now_us();
        if let Some(estimator) = &mut transport.estimator {
            estimator.swap_memory(&mut cx.shared.scratch.delivered);
            estimator.on_feedback(now_us, feedback, round_trip_us);
            estimator.swap_memory(&mut cx.shared.scratch.delivered);
            self.on_pace(cx, key);
        }
    }

    /// A receiver's own estimate.
    pub(super) fn on_remb(&mut self, cx: &mut Cx, key: Key, bitrate_bps: u64) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        let now_us = cx.now_us();
        transport.estimator(cx).on_remb(now_us, bitrate_bps);
        self.on_pace(cx, key);
    }

    /// The share of a subscription's packets that was lost since its last report.
    pub(super) fn on_reported_loss(&mut self, cx: &mut Cx, key: Key, consumer: Key, ratio: f64) {
        self.on_video_report(cx, key, consumer, ratio);
        let Some(consumer) = self.consumers.get_mut(consumer) else { return };
        let (packets, bytes) = consumer.take_unreported();
        let Some(transport) = self.transports.get_mut(key) else { return };
        let now_us = cx.now_us();
        transport.estimator(cx).on_report(now_us, packets, bytes, ratio);
        self.on_pace(cx, key);
    }

    /// Sends what may leave the queue, pads a probe and passes on what the estimator found.
    pub(super) fn on_pace(&mut self, cx: &mut Cx, key: Key) {
        self.flush(cx, key);
        self.send_echoes(cx, key);
        let Some(transport) = self.transports.get_mut(key) else { return };
        let (now_us, wanted_bps) = (cx.now_us(), transport.wanted());
        let Some(estimator) = &mut transport.estimator else { return };
        estimator.poll(now_us, wanted_bps);
        let change = estimator.take_change();
        transport.budget_bps = estimator.budget_bps();
        if let Some(estimate_bps) = change {
            transport.layers_bps = estimate_bps;
        }
        let is_settled = std::mem::replace(&mut transport.was_settling, false) && {
            transport.was_settling = transport.is_settling(now_us);
            !transport.was_settling
        };
        transport.set_pacing(cx);
        self.pad(cx, key);
        self.end_thinning(key);
        if change.is_some() || is_settled {
            self.allocate(cx, key);
        }
        if let Some(transport) = self.transports.get_mut(key) {
            transport.schedule_pace(cx);
        }
    }

    /// Nothing will be heard of the path any more in the way it was until now.
    pub(super) fn end_estimate(&mut self, cx: &mut Cx, key: Key) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        transport.pacer.set_budget(None);
        transport.pacer.set_rate(0, cx.now);
        // What waits was numbered.
        self.flush(cx, key);
        let Some(transport) = self.transports.get_mut(key) else { return };
        transport.forget_estimate();
        self.set_resend_share(key, LEAST_SHARE);
        self.end_thinning(key);
        self.allocate(cx, key);
    }

    /// Nothing waits any more for long: temporal layers return.
    fn end_thinning(&mut self, key: Key) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        if !transport.pacer.take_relief() {
            return;
        }
        for consumer in &transport.consumers {
            if let Some(consumer) = self.consumers.get_mut(*consumer) {
                consumer.layers.filter.set_thinned(false);
            }
        }
    }

    /// Sends what waited long enough.
    fn flush(&mut self, cx: &mut Cx, key: Key) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        while let Some(mut queued) = transport.pacer.pop(cx.now) {
            let Queued { consumer, lens, stamps, flight, .. } = queued;
            if let Some(consumer) = self.consumers.get_mut(consumer) {
                let forwarded = queued.as_forwarded();
                let packet = &mut queued.bytes[..];
                let sent = transport.send_followed(cx, packet, (lens, stamps), flight);
                match queued.class {
                    Class::Video => consumer.on_sent(cx, sent, &forwarded, packet),
                    Class::Retransmission => consumer.on_resent(cx, sent),
                    Class::Recovered => consumer.on_recovered(cx, sent, lens.1),
                }
            } else {
                cx.drop_packet(Stage::Send, DropReason::ConsumerGone);
            }
            transport.pacer.recycle(queued.bytes);
        }
    }

    /// Fills the burst of a probe with packets the subscriber has already, over RTX. Without
    /// RTX there is nothing to fill it with.
    fn pad(&mut self, cx: &mut Cx, key: Key) {
        let now_us = cx.now_us();
        loop {
            let Some(transport) = self.transports.get_mut(key) else { return };
            let Some(estimator) = &mut transport.estimator else { return };
            // What waits leaves first, at the rate of the probe; and the RTX streams stay in order.
            let missing = estimator.padding_bytes(now_us);
            if missing == 0 || !transport.pacer.is_empty() {
                return;
            }
            let is_sent = self.send_padding(cx, key);
            let Some(transport) = self.transports.get_mut(key) else { return };
            let Some(estimator) = &mut transport.estimator else { return };
            // Packets without a number don't count, when an offer took the extension away.
            if !is_sent || estimator.padding_bytes(now_us) >= missing {
                return estimator.end_burst(now_us);
            }
        }
    }

    /// Sends one recent packet of one subscription again. Returns whether one was sent.
    fn send_padding(&mut self, cx: &mut Cx, key: Key) -> bool {
        let Some(transport) = self.transports.get(key) else { return false };
        for consumer_key in transport.consumers.iter().rev() {
            let Some(consumer) = self.consumers.get_mut(*consumer_key) else { continue };
            if !consumer.has_rtx() || consumer.paused {
                continue;
            }
            let Some(newest) = consumer.rewriter.newest() else { continue };
            let lost = (0..PADDING_CYCLE).find_map(|_| {
                consumer.padding_step = (consumer.padding_step + 1) % PADDING_CYCLE;
                let number = SeqNo(newest as u16).sub(consumer.padding_step);
                find_lost(consumer, number, &self.producers, &self.transports)
                    .filter(|lost| !lost.is_empty())
            });
            let Some(lost) = lost else { continue };
            let Some(target) = self.transports.get(key) else { return false };
            let Some((lens, stamps, _)) = write_rtx(cx, target, consumer, &lost) else { continue };
            let Some(target) = self.transports.get_mut(key) else { return false };
            cx.ledger().made += 1;
            let sent = target.send_scratch(cx, lens, stamps);
            consumer.on_padded(cx, sent);
            return sent.is_sent;
        }
        false
    }
}

impl Transport {
    /// The estimator, made when it is needed first.
    pub(crate) fn estimator(&mut self, cx: &Cx) -> &mut BandwidthEstimator {
        let config = &cx.shared.config;
        let bounds = Bounds {
            start_bps: config.start_bitrate_bps,
            least_bps: config.min_bitrate_bps,
            most_bps: config.max_bitrate_bps,
        };
        let first = self.first_number;
        self.estimator.get_or_insert_with(|| Box::new(BandwidthEstimator::new(bounds, first)))
    }

    /// The transport-wide number the next packet gets.
    #[inline]
    pub(crate) fn next_number(&self) -> SeqNo {
        self.estimator.as_ref().map_or(self.first_number, |estimator| estimator.next_number())
    }

    /// Goes back to knowing nothing of the path; numbers go on where they were.
    fn forget_estimate(&mut self) {
        self.first_number = self.next_number();
        self.estimator = None;
        (self.budget_bps, self.layers_bps) = (None, None);
        (self.was_settling, self.has_audio_fates) = (false, false);
        self.queue_seen = None;
        // Reports say now what is lost; nothing says which packets are.
        (self.has_fates, self.echoes) = (false, None);
    }

    /// What the subscriber's tracks could use.
    fn wanted(&self) -> u64 {
        #[cfg(any(test, feature = "testing"))]
        if let Some(pinned_bps) = self.pinned_wanted_bps {
            return pinned_bps;
        }
        self.wanted_bps
    }

    /// What layers are chosen by.
    pub(super) fn budget_for_layers(&self) -> Option<u64> {
        #[cfg(any(test, feature = "testing"))]
        if self.pinned_wanted_bps.is_some() {
            return None;
        }
        self.layers_bps
    }

    /// Whether nothing is known of the path yet, but soon will be.
    pub(super) fn is_settling(&self, now_us: i64) -> bool {
        #[cfg(any(test, feature = "testing"))]
        if self.pinned_wanted_bps.is_some() {
            return false;
        }
        match &self.estimator {
            Some(estimator) => estimator.is_settling(now_us),
            None => self.extensions.id(ExtensionKind::TransportCc).is_some(),
        }
    }

    /// Sets what the pacer goes by.
    pub(crate) fn set_pacing(&mut self, cx: &Cx) {
        let Some(estimator) = &self.estimator else { return };
        let paced_bps = estimator.pacing_bps(cx.now_us());
        let rate_bps = paced_bps.map_or(0, |budget_bps| {
            let drains = estimator.estimate_bps() > Some(budget_bps);
            let paced = match estimator.knows_limit(cx.now_us()) {
                true if drains => budget_bps,
                true => budget_bps / 10 * LIMITED_PACING_TENTHS,
                false => (budget_bps / 10 * PACING_TENTHS).max(LEAST_PACING_BPS),
            };
            paced.max(estimator.probe_bps().unwrap_or(0))
        });
        // What is sent again has to fit even what is only roughly known.
        self.pacer.set_budget(paced_bps.or(estimator.budget_bps()));
        self.pacer.set_rate(rate_bps, cx.now);
    }

    /// Makes sure [`Room::on_pace`] comes when there is something to do.
    pub(crate) fn schedule_pace(&mut self, cx: &mut Cx) {
        let now_us = cx.now_us();
        let estimator = self.estimator.as_ref();
        let estimator = estimator.and_then(|estimator| estimator.next_timeout_us(now_us));
        let estimator = estimator.map(|at_us| cx.instant_of(at_us));
        let echoes = self.echoes.as_ref().and_then(|echoes| echoes.next_timeout());
        let due = estimator.into_iter().chain(self.pacer.next_timeout(cx.now)).chain(echoes);
        if let Some(at) = due.min() {
            self.schedule(cx, TimerKind::Pace, at);
        }
    }
}
