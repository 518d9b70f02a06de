//! A room: its transports and tracks, and nothing of any other room.

pub(crate) mod ahead;
mod audio;
mod bandwidth;
mod capture;
mod commands;
mod echo;
mod forward;
mod layers;
mod learn;
mod receive;
mod rtcp_in;
mod rtcp_out;
mod rtx;
mod stats;
mod tap;
mod timers;

pub(crate) use commands::{CommandResult, subject};

use crate::api::{CloseReason, RoomId};
use crate::consumer::Consumer;
use crate::producer::Producer;
use crate::shared::{Cx, Location, TIMER_RESOLUTION, TimerKey, TimerKind};
use crate::speaker::{SpeakerConfig, SpeakerDetector};
use crate::table::{Key, Slab};
use crate::timers::Deadline;
use crate::transport::Transport;

/// Everything that belongs together; forwarding never looks outside.
pub(crate) struct Room {
    pub(crate) id: RoomId,
    pub(crate) key: Key,
    pub(crate) transports: Slab<Transport>,
    producers: Slab<Producer>,
    consumers: Slab<Consumer>,
    speaker: SpeakerDetector,
    levels: Deadline,
    layers: Deadline,
    panic_armed: bool,
}

impl Room {
    pub(crate) fn new(id: RoomId, key: Key) -> Room {
        Room {
            id,
            key,
            transports: Slab::default(),
            producers: Slab::default(),
            consumers: Slab::default(),
            speaker: SpeakerDetector::new(SpeakerConfig::default()),
            levels: Deadline::default(),
            layers: Deadline::default(),
            panic_armed: false,
        }
    }

    fn location(&self, item: Key) -> Location {
        Location { room: self.key, item }
    }

    /// Makes the next packet panic.
    pub(crate) fn arm_panic(&mut self) {
        self.panic_armed = true;
    }

    /// Closes all transports; the room is dropped afterwards.
    pub(crate) fn close(&mut self, cx: &mut Cx) {
        for (_, transport) in self.transports.iter_mut() {
            transport.close(cx, CloseReason::RoomClosed);
        }
    }

    fn schedule_levels(&mut self, cx: &mut Cx) {
        if let Some(at) = self.speaker.next_timeout() {
            let location = Location { room: self.key, item: self.key };
            let key = TimerKey { location, kind: TimerKind::Levels };
            let at = at.max(cx.now + TIMER_RESOLUTION);
            cx.shared.timers.schedule(&mut self.levels, at, key);
        }
    }

    /// Everybody who receives the producer needs a keyframe of what they receive or wait for.
    fn request_keyframes(&mut self, cx: &mut Cx, key: Key) {
        let Some(producer) = self.producers.get_mut(key) else { return };
        let receivers = std::mem::take(&mut producer.consumers);
        for consumer in receivers.iter().filter_map(|key| self.consumers.get(*key)) {
            if let Some(encoding) = consumer.keyframe_encoding().filter(|_| !consumer.paused) {
                producer.want_keyframe(encoding);
            }
        }
        producer.consumers = receivers;
        if let Some(tap) = producer.tap {
            producer.want_keyframe(tap.encoding);
        }
        self.send_keyframe_request(cx, key);
    }

    /// Somebody needs a keyframe of one encoding.
    fn request_keyframe(&mut self, cx: &mut Cx, producer: Key, encoding: usize) {
        if let Some(producer) = self.producers.get_mut(producer) {
            producer.want_keyframe(encoding);
        }
        self.send_keyframe_request(cx, producer);
    }
}
