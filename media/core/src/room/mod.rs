//! A room: its transports and tracks, and nothing of any other room.

mod allocate;
mod bandwidth;
mod commands;
mod forward;
mod learn;
mod receive;
mod rtcp_in;
mod rtcp_out;
mod stats;
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

    /// Somebody needs a keyframe of the producer.
    fn request_keyframe(&mut self, cx: &mut Cx, producer: Key) {
        if let Some(producer) = self.producers.get_mut(producer) {
            producer.throttle.request();
        }
        self.send_keyframe_request(cx, producer);
    }
}
