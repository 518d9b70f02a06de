//! What can be seen of a room.

use std::time::Instant;

use super::Room;
use crate::api::Snapshot;

impl Room {
    /// Packets that wait for their turn to be sent.
    pub(crate) fn waiting(&self) -> u64 {
        self.transports.iter().map(|(_, transport)| transport.pacer.len() as u64).sum()
    }

    /// Adds the room to the snapshot.
    pub(crate) fn snapshot(&mut self, now: Instant, snapshot: &mut Snapshot) {
        for (_, transport) in self.transports.iter() {
            let producers = transport.producers.iter().filter_map(|key| self.producers.get(*key));
            let consumers = transport.consumers.iter().filter_map(|key| self.consumers.get(*key));
            let memory = transport.memory_bytes()
                + producers.map(|producer| producer.memory_bytes()).sum::<u64>()
                + consumers.map(|consumer| consumer.memory_bytes()).sum::<u64>();
            snapshot.transports.push(transport.stats(self.id, memory));
        }
        for (_, producer) in self.producers.iter_mut() {
            let Some(owner) = self.transports.get(producer.transport) else { continue };
            snapshot.producers.push(producer.stats(owner.id, now));
            snapshot.counters.rtp_lost[producer.kind as usize] += producer.lost();
        }
        for (_, consumer) in self.consumers.iter_mut() {
            let Some(owner) = self.transports.get(consumer.transport) else { continue };
            let source = consumer.producer.and_then(|key| self.producers.get(key));
            let source = source.map(|producer| producer.id);
            snapshot.consumers.push(consumer.stats(owner.id, source, now));
        }
    }
}
