//! What the control side and the media thread share.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crossbeam_queue::ArrayQueue;
use media_capture::{CaptureEvent, RecorderControl, RecorderStats};
use media_core::{Command, Event, Snapshot, Stage};

use crate::error::CommandError;
use crate::schedule::Scheduling;
use crate::tap::{TapControl, TapStats};
use crate::tcp::TcpStats;
use crate::wake::Wake;

/// Commands waiting for the media thread; more are refused with [`CommandError::Busy`].
pub const COMMAND_QUEUE: usize = 4_096;

/// What an engine reports.
#[derive(Debug, Clone, PartialEq)]
pub enum EngineEvent {
    /// Reported by the plane.
    Plane(Event),
    /// Reported by the recorder.
    Capture(CaptureEvent),
    /// The media thread died; nothing of this engine works any more. Always the last event.
    Failed {
        /// Text of the panic.
        message: String,
    },
}

/// Datagrams of an engine's sockets, TCP included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SocketStats {
    /// Taken by the kernel since the engine started.
    pub sent: u64,
    /// Waiting now for room in a TCP connection.
    pub waiting: u64,
    /// Arrived since the engine started when a receive buffer was full, and lost by the kernel.
    /// Wraps at 2³² for each socket.
    pub overflowed: u64,
}

/// State of an engine, taken about once a second.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EngineSnapshot {
    /// State of the plane. `counters.forward_delay_*` run from the arrival of an RTP datagram in
    /// the kernel to the end of sending it to all subscribers.
    pub plane: Arc<Snapshot>,
    /// Share of the last second the media thread was busy, 0..=1.
    pub load: f64,
    /// Connections of ICE over TCP.
    pub tcp: TcpStats,
    /// What left and what could not.
    pub sockets: SocketStats,
    /// What was recorded; `None` where nothing can be.
    pub recorder: Option<RecorderStats>,
    /// What analytics were given.
    pub tap: TapStats,
    /// Events lost because nobody drained them.
    pub events_dropped: u64,
    /// Commands refused because the queue was full.
    pub commands_rejected: u64,
}

/// Everything both sides touch. The media thread never blocks on any of it.
pub(crate) struct Shared {
    pub(crate) commands: ArrayQueue<Command>,
    pub(crate) command_wake: Wake,
    pub(crate) events: ArrayQueue<Event>,
    pub(crate) event_wake: Wake,
    pub(crate) events_dropped: AtomicU64,
    commands_rejected: AtomicU64,
    /// Set by `close` or by the death of the thread: no more commands are taken.
    closed: AtomicBool,
    failure: Mutex<Option<String>>,
    published: Mutex<Arc<Published>>,
    /// Set before the media thread starts, if at all.
    pub(crate) recorder: OnceLock<RecorderControl>,
    /// The same.
    pub(crate) tap: OnceLock<TapControl>,
    /// Set by the media thread as it begins.
    pub(crate) scheduling: OnceLock<Scheduling>,
}

/// What the media thread hands over.
#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) load: f64,
    pub(crate) tcp: TcpStats,
    pub(crate) sockets: SocketStats,
}

impl EngineSnapshot {
    /// Datagrams that were handed to the sockets and neither left nor wait nor were dropped: more
    /// or less than zero is a bug.
    pub fn unaccounted(&self) -> i64 {
        let counters = &self.plane.counters;
        let left = self.sockets.sent + self.sockets.waiting;
        let dropped = counters.ledger.dropped_at(Stage::Socket);
        counters.entered(Stage::Socket) as i64 - (left + dropped) as i64
    }
}

impl Shared {
    pub(crate) fn new(event_queue: usize) -> io::Result<Shared> {
        Ok(Shared {
            commands: ArrayQueue::new(COMMAND_QUEUE),
            command_wake: Wake::new()?,
            events: ArrayQueue::new(event_queue),
            event_wake: Wake::new()?,
            events_dropped: AtomicU64::new(0),
            commands_rejected: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            failure: Mutex::new(None),
            published: Mutex::new(Arc::default()),
            recorder: OnceLock::new(),
            tap: OnceLock::new(),
            scheduling: OnceLock::new(),
        })
    }

    /// Queues a command and wakes the media thread.
    pub(crate) fn submit(&self, command: Command) -> Result<(), CommandError> {
        if self.is_closed() {
            return Err(CommandError::Closed);
        }
        if self.commands.push(command).is_err() {
            self.commands_rejected.fetch_add(1, Ordering::Relaxed);
            return Err(CommandError::Busy);
        }
        self.command_wake.raise();
        Ok(())
    }

    /// Takes all events queued so far.
    pub(crate) fn drain(&self) -> Vec<EngineEvent> {
        self.event_wake.clear();
        // Bounded by the queue's size: the media thread may push on while this side pops.
        let mut drained: Vec<EngineEvent> = std::iter::from_fn(|| self.events.pop())
            .take(self.events.capacity())
            .map(EngineEvent::Plane)
            .collect();
        if let Some(recorder) = self.recorder.get() {
            drained.extend(recorder.drain().into_iter().map(EngineEvent::Capture));
        }
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        drained.extend(failure.take().map(|message| EngineEvent::Failed { message }));
        drained
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Refuses further commands and asks the media thread to end.
    pub(crate) fn request_close(&self) {
        self.closed.store(true, Ordering::Release);
        self.command_wake.raise();
    }

    /// Called once by the dying media thread.
    pub(crate) fn fail(&self, message: String) {
        self.closed.store(true, Ordering::Release);
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
        self.event_wake.raise();
    }

    /// Replaces the published snapshot; false if the control side is just reading it.
    pub(crate) fn publish(&self, news: Published) -> bool {
        match self.published.try_lock() {
            Ok(mut published) => {
                *published = Arc::new(news);
                true
            }
            Err(_) => false,
        }
    }

    pub(crate) fn snapshot(&self) -> EngineSnapshot {
        let published = Arc::clone(&self.published.lock().unwrap_or_else(PoisonError::into_inner));
        EngineSnapshot {
            plane: Arc::clone(&published.snapshot),
            load: published.load,
            tcp: published.tcp,
            sockets: published.sockets,
            recorder: self.recorder.get().map(RecorderControl::stats),
            tap: self.tap.get().map(TapControl::stats).unwrap_or_default(),
            events_dropped: self.events_dropped.load(Ordering::Relaxed),
            commands_rejected: self.commands_rejected.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> Shared {
        Shared::new(16).unwrap()
    }

    #[test]
    fn full_command_queue_refuses_and_counts() {
        let shared = shared();
        for room in 0..COMMAND_QUEUE as u64 {
            shared.submit(Command::CreateRoom { room }).unwrap();
        }
        assert_eq!(shared.submit(Command::CreateRoom { room: 0 }), Err(CommandError::Busy));
        assert_eq!(shared.snapshot().commands_rejected, 1);
    }

    #[test]
    fn closed_engine_refuses_commands() {
        let shared = shared();
        shared.request_close();
        assert_eq!(shared.submit(Command::CreateRoom { room: 0 }), Err(CommandError::Closed));
    }

    #[test]
    fn failure_is_reported_once_after_all_events_even_if_the_queue_is_full() {
        let shared = shared();
        for consumer in 0..16 {
            shared.events.push(Event::ConsumerStarted { consumer }).unwrap();
        }
        shared.fail("boom".into());
        let drained = shared.drain();
        assert_eq!(drained.len(), 17);
        assert_eq!(drained.last(), Some(&EngineEvent::Failed { message: "boom".into() }));
        assert!(shared.drain().is_empty());
        assert_eq!(shared.submit(Command::CreateRoom { room: 0 }), Err(CommandError::Closed));
    }

    #[test]
    fn snapshot_being_read_is_not_replaced() {
        let shared = shared();
        let reading = shared.published.lock().unwrap();
        let news = || Published { load: 0.5, ..Published::default() };
        assert!(!shared.publish(news()));
        drop(reading);
        assert!(shared.publish(news()));
        assert_eq!(shared.snapshot().load, 0.5);
    }
}
