//! Traffic of others that shares the link of a path.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Someone else's traffic over the same link. It takes room in the queue and time on the link
/// and arrives nowhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Flow {
    /// Packets of `packet_bytes` in even distances.
    Constant {
        /// Bits per second.
        rate_bps: u64,
        /// Size of one packet.
        packet_bytes: u64,
    },
    /// A download over TCP with endless data: slow start, then one packet more per round trip,
    /// half the window after a loss (RFC 5681). Acknowledgements are never lost.
    Tcp {
        /// Round trip without the queue.
        round_trip: Duration,
        /// Size of one packet.
        packet_bytes: u64,
    },
}

/// What comes back to a TCP sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Signal {
    Acknowledged,
    Lost,
}

/// A flow at work.
#[derive(Debug)]
pub(super) struct RunningFlow {
    flow: Flow,
    until: Instant,
    next: Instant,
    window: f64,
    threshold: f64,
    in_flight: f64,
    /// One reduction per round trip.
    reduced_until: Instant,
    signals: BinaryHeap<Reverse<(Instant, Signal)>>,
    /// Bytes that passed the link.
    pub(super) delivered: u64,
}

impl RunningFlow {
    pub(super) fn new(flow: Flow, from: Instant, until: Instant) -> RunningFlow {
        RunningFlow {
            flow,
            until,
            next: from,
            window: 2.0,
            threshold: f64::MAX,
            in_flight: 0.0,
            reduced_until: from,
            signals: BinaryHeap::new(),
            delivered: 0,
        }
    }

    /// When the flow does something next.
    pub(super) fn next_event(&self) -> Option<Instant> {
        let signal = self.signals.peek().map(|Reverse((at, _))| *at);
        let can_send = match self.flow {
            Flow::Constant { .. } => true,
            Flow::Tcp { .. } => self.in_flight < self.window.max(1.0),
        };
        let send = (can_send && self.next < self.until).then_some(self.next);
        [signal, send].into_iter().flatten().min()
    }

    /// Does what is due at `at`: returns the size of a packet to send.
    pub(super) fn step(&mut self, at: Instant) -> Option<u64> {
        if let Some(Reverse((due, signal))) = self.signals.peek().copied()
            && due <= at
        {
            self.signals.pop();
            self.on_signal(due, signal);
            return None;
        }
        match self.flow {
            Flow::Constant { rate_bps, packet_bytes } => {
                self.next =
                    at + Duration::from_secs_f64(packet_bytes as f64 * 8.0 / rate_bps as f64);
                Some(packet_bytes)
            }
            Flow::Tcp { packet_bytes, .. } => {
                self.in_flight += 1.0;
                self.next = at;
                Some(packet_bytes)
            }
        }
    }

    /// Says what became of the packet of [`RunningFlow::step`]: when it left the link, or `None`.
    pub(super) fn on_sent(&mut self, at: Instant, leaves: Option<Instant>, bytes: u64) {
        if leaves.is_some() {
            self.delivered += bytes;
        }
        let Flow::Tcp { round_trip, .. } = self.flow else { return };
        // A loss is noticed when the packets behind it arrive: about a round trip later.
        let signal = match leaves {
            Some(leaves) => (leaves + round_trip, Signal::Acknowledged),
            None => (at + round_trip * 2, Signal::Lost),
        };
        self.signals.push(Reverse(signal));
    }

    fn on_signal(&mut self, at: Instant, signal: Signal) {
        let Flow::Tcp { round_trip, .. } = self.flow else { return };
        self.in_flight -= 1.0;
        self.next = self.next.max(at);
        match signal {
            Signal::Acknowledged if self.window < self.threshold => self.window += 1.0,
            Signal::Acknowledged => self.window += 1.0 / self.window,
            Signal::Lost if at >= self.reduced_until => {
                self.window = (self.window / 2.0).max(2.0);
                self.threshold = self.window;
                self.reduced_until = at + round_trip * 2;
            }
            Signal::Lost => {}
        }
    }
}
