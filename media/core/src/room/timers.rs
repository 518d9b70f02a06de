//! What is due without a packet.

use std::time::Instant;

use super::Room;
use super::rtcp_out::send_congestion_feedback;
use crate::api::Event;
use crate::shared::{Cx, TimerKey, TimerKind};
use crate::speaker::summary_interval;
use crate::table::Key;
use crate::transport::Checked;

impl Room {
    /// Handles one entry of the timers; leftovers do nothing.
    pub(crate) fn on_timer(&mut self, cx: &mut Cx, key: TimerKey, at: Instant) {
        let item = key.location.item;
        match key.kind {
            TimerKind::Levels => {
                if self.levels.take(at) {
                    self.report_levels(cx);
                }
            }
            TimerKind::Layers => {
                if self.layers.take(at) {
                    self.on_layers(cx);
                }
            }
            TimerKind::Control => {
                if self.transports.get_mut(item).is_some_and(|t| t.control.take(at)) {
                    self.on_control(cx, item);
                }
            }
            TimerKind::Pace => {
                if self.transports.get_mut(item).is_some_and(|t| t.pace.take(at)) {
                    self.on_pace(cx, item);
                }
            }
            TimerKind::Repair => {
                if self.transports.get_mut(item).is_some_and(|t| t.repair.take(at)) {
                    self.on_repair(cx, item);
                }
            }
        }
    }

    fn on_control(&mut self, cx: &mut Cx, key: Key) {
        // First: what is scheduled later than that needs no entry of its own.
        self.report_if_due(cx, key);
        let Some(transport) = self.transports.get_mut(key) else { return };
        if transport.on_control_timeout(cx) == Checked::Connected {
            self.on_connected(cx, key);
        }
        let Some(transport) = self.transports.get_mut(key) else { return };
        if transport.take_return() {
            self.on_return(cx, key);
        }
    }

    fn report_if_due(&mut self, cx: &mut Cx, key: Key) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        let Some(mut next_report) = transport.next_report else { return };
        if next_report <= cx.now {
            self.send_reports(cx, key);
            let quick = self.transports.get_mut(key).and_then(|one| one.quick_reports.next());
            let usual = cx.shared.random.spread(cx.shared.config.report_interval);
            next_report = cx.now + quick.unwrap_or(usual);
        }
        if let Some(transport) = self.transports.get_mut(key) {
            transport.next_report = Some(next_report);
            transport.schedule(cx, TimerKind::Control, next_report);
        }
    }

    fn on_repair(&mut self, cx: &mut Cx, key: Key) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        if transport.srtp.is_none() {
            return;
        }
        send_congestion_feedback(cx, transport);
        if let Some(at) = transport.twcc.next_timeout() {
            transport.schedule(cx, TimerKind::Repair, at);
        }
        let Some(due) = transport.requests_due.take() else { return };
        if due > cx.now {
            return transport.schedule_requests(cx, due);
        }
        let count = transport.producers.len();
        for index in 0..count {
            let producer = self.transports.get(key).and_then(|t| t.producers.get(index).copied());
            let Some(producer) = producer else { continue };
            self.send_nacks(cx, producer);
            self.send_keyframe_request(cx, producer);
            let next = self.producers.get(producer).and_then(|producer| producer.next_repair());
            if let (Some(at), Some(transport)) = (next, self.transports.get_mut(key)) {
                transport.schedule_requests(cx, at);
            }
        }
    }

    fn report_levels(&mut self, cx: &mut Cx) {
        let room = self.id;
        self.speaker.set_summary_interval(summary_interval(cx.shared.rooms));
        let update = self.speaker.poll(cx.now);
        if !update.levels.is_empty() {
            let levels = update.levels.to_vec();
            cx.shared.events.push(Event::AudioLevels { room, levels });
        }
        if let Some(producer) = update.speaker {
            cx.shared.events.push(Event::ActiveSpeaker { room, producer });
        }
        self.schedule_levels(cx);
    }
}
