//! Looks at everything there is, some rooms at a time.
//!
//! A look at a room reads all of its transports, producers and consumers: with 300 rooms of three
//! that takes milliseconds, for which packets would wait. So a [`Survey`] goes from room to room
//! as often as its caller likes, and what holds for the whole engine is read at its end.

use std::time::Instant;
use std::vec;

use crate::api::Snapshot;
use crate::plane::Plane;
use crate::table::Key;

/// A [`Snapshot`] on its way. Each room is as it was when it was looked at; rooms that came since
/// the beginning are not in it.
pub struct Survey {
    /// Rooms that are still to be looked at.
    ahead: vec::IntoIter<Key>,
    /// So far. Of its counters only `rtp_lost` is there before the end.
    snapshot: Snapshot,
}

impl Survey {
    /// Rooms that are still to be looked at; some may be closed before.
    pub fn rooms_ahead(&self) -> usize {
        self.ahead.len()
    }
}

impl Plane {
    /// Begins to look at all rooms there are now.
    pub fn begin_survey(&self) -> Survey {
        let [transports, producers, consumers] = self.surveyed;
        let mut snapshot = Snapshot {
            transports: Vec::with_capacity(transports),
            producers: Vec::with_capacity(producers),
            consumers: Vec::with_capacity(consumers),
            ..Snapshot::default()
        };
        // Now: what a track that ends meanwhile has lost counts once.
        snapshot.counters.rtp_lost = self.shared.lost_before;
        let keys: Vec<Key> = self.rooms.iter().map(|(key, _)| key).collect();
        Survey { ahead: keys.into_iter(), snapshot }
    }

    /// Looks at the next `rooms` of them.
    pub fn survey(&mut self, now: Instant, survey: &mut Survey, rooms: usize) {
        for key in survey.ahead.by_ref().take(rooms) {
            if let Some(room) = self.rooms.get_mut(key) {
                room.snapshot(now, &mut survey.snapshot);
            }
        }
    }

    /// The snapshot, with the counters of this moment. Rooms that were not looked at are missing.
    pub fn finish_survey(&mut self, survey: Survey) -> Snapshot {
        let Survey { mut snapshot, .. } = survey;
        self.surveyed =
            [snapshot.transports.len(), snapshot.producers.len(), snapshot.consumers.len()];
        // Late packets and repairs lower what is lost; a counter must not fall.
        let reported = &mut self.shared.counters.rtp_lost;
        for (reported, lost) in reported.iter_mut().zip(snapshot.counters.rtp_lost) {
            *reported = lost.max(*reported);
        }
        snapshot.rooms = self.rooms.len() as u64;
        snapshot.counters = self.shared.counters.clone();
        snapshot.counters.dropped = snapshot.counters.ledger.dropped_by_reason();
        snapshot.counters.ledger.waiting = self.rooms.iter().map(|(_, room)| room.waiting()).sum();
        snapshot
    }

    /// All of it at once. Takes time in proportion to the number of transports, producers and
    /// consumers, for which no packet is forwarded.
    pub fn snapshot(&mut self, now: Instant) -> Snapshot {
        let mut survey = self.begin_survey();
        self.survey(now, &mut survey, usize::MAX);
        self.finish_survey(survey)
    }
}
