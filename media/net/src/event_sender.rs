//! The media thread's end of the event queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use media_core::Event;

use crate::shared::Shared;

/// Queues events; what doesn't fit is counted and reported as soon as there is room.
pub(crate) struct EventSender {
    shared: Arc<Shared>,
    /// Lost since the last `EventsDropped`.
    unreported: u64,
}

impl EventSender {
    pub(crate) fn new(shared: Arc<Shared>) -> EventSender {
        EventSender { shared, unreported: 0 }
    }

    /// Queues one event, after the report of those lost before it.
    pub(crate) fn send(&mut self, event: Event) {
        self.report_lost();
        // While a loss is unreported nothing may overtake the report.
        if self.unreported > 0 || self.shared.events.push(event).is_err() {
            self.unreported += 1;
            self.shared.events_dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.shared.event_wake.raise();
    }

    /// Reports earlier losses if there is room by now.
    pub(crate) fn report_lost(&mut self) {
        if self.unreported == 0 {
            return;
        }
        let report = Event::EventsDropped { count: self.unreported };
        if self.shared.events.push(report).is_ok() {
            self.unreported = 0;
            self.shared.event_wake.raise();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::EngineEvent;

    fn started(consumer: u64) -> Event {
        Event::ConsumerStarted { consumer }
    }

    #[test]
    fn overflow_is_counted_and_reported_before_the_next_event() {
        let shared = Arc::new(Shared::new(4).unwrap());
        let mut sender = EventSender::new(Arc::clone(&shared));
        (0..10).for_each(|consumer| sender.send(started(consumer)));
        let kept: Vec<EngineEvent> =
            (0..4).map(|consumer| EngineEvent::Plane(started(consumer))).collect();
        assert_eq!(shared.drain(), kept);
        assert_eq!(shared.snapshot().events_dropped, 6);

        sender.send(started(10));
        assert_eq!(
            shared.drain(),
            [Event::EventsDropped { count: 6 }, started(10)].map(EngineEvent::Plane)
        );
    }

    #[test]
    fn loss_is_reported_without_another_event() {
        let shared = Arc::new(Shared::new(1).unwrap());
        let mut sender = EventSender::new(Arc::clone(&shared));
        (0..3).for_each(|consumer| sender.send(started(consumer)));
        sender.report_lost();
        assert_eq!(shared.drain(), [EngineEvent::Plane(started(0))]);
        sender.report_lost();
        sender.report_lost();
        assert_eq!(shared.drain(), [EngineEvent::Plane(Event::EventsDropped { count: 2 })]);
        assert_eq!(shared.snapshot().events_dropped, 2);
    }
}
