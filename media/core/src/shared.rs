//! What all rooms of an engine share, and what one call works with.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::api::{
    CloseReason, DropReason, EngineCounters, Event, FORWARD_DELAY_BOUNDS_S, TransportState,
};
use crate::bwe::DeliveredPackets;
use crate::capture::CaptureSink;
use crate::certificate::Certificate;
use crate::config::PlaneConfig;
use crate::ext::ExtensionBuilder;
use crate::ledger::{Ledger, Stage};
use crate::ntp::{NtpTime, WallClock};
use crate::plane::Output;
use crate::remote::Remote;
use crate::rtcp::TwccWriter;
use crate::rtp::SeqNo;
use crate::table::{FastMap, FastState, Key};
use crate::tap::TapSink;
use crate::timers::Timers;
use crate::transport::dtls::SharedConfig;
use crate::voice::Fates;

/// Events kept until they are polled; more are lost and counted.
pub(crate) const MAX_EVENTS: usize = 65_536;

/// Largest UDP payload handled.
pub(crate) const MAX_DATAGRAM: usize = 2_048;

/// Nothing is due sooner than this after the present call, so that no timer can spin.
pub(crate) const TIMER_RESOLUTION: Duration = Duration::from_millis(1);

/// Where a transport, producer or consumer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Location {
    pub(crate) room: Key,
    pub(crate) item: Key,
}

/// Which work of an item is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKind {
    /// Liveness, handshake, reports of a transport.
    Control,
    /// NACKs, keyframe requests and congestion feedback of a transport.
    Repair,
    /// Packets that wait to be sent, probes and the estimate of a transport.
    Pace,
    /// Audio levels of a room.
    Levels,
    /// Layers of a room's video.
    Layers,
}

/// One entry of the timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    pub(crate) location: Location,
    pub(crate) kind: TimerKind,
}

/// Events in order, bounded: the newest are lost when it is full, and their number is told.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    events: VecDeque<Event>,
    dropped: u64,
}

impl EventQueue {
    pub(crate) fn push(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS {
            self.dropped += 1;
        } else {
            self.events.push_back(event);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if event.is_none() && self.dropped > 0 {
            return Some(Event::EventsDropped { count: std::mem::take(&mut self.dropped) });
        }
        event
    }
}

/// Random numbers for SSRCs, sequence numbers and the spread of reports. Not for keys.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A seed of zero takes one from the operating system.
    pub(crate) fn new(seed: u64) -> Random {
        Random(if seed == 0 { RandomState::new().hash_one(0) } else { seed })
    }

    /// SplitMix64.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    pub(crate) fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// A first sequence number, in the lower half, so that early reordering around it cannot
    /// be taken for a rollover (RFC 3711, section 3.3.1).
    pub(crate) fn first_sequence(&mut self) -> SeqNo {
        SeqNo((self.next_u32() & 0x7fff) as u16)
    }

    /// `mean` spread evenly by half of it to both sides (RFC 3550, section 6.3.1).
    pub(crate) fn spread(&mut self, mean: Duration) -> Duration {
        mean / 2 + mean.mul_f64(f64::from(self.next_u32()) / f64::from(u32::MAX))
    }
}

/// Buffers that are reused, so that no packet allocates.
pub(crate) struct Scratch {
    /// One outgoing RTP packet.
    pub(crate) packet: Vec<u8>,
    /// One outgoing compound RTCP packet.
    pub(crate) rtcp: Vec<u8>,
    pub(crate) extensions: ExtensionBuilder,
    /// Sequence numbers to ask for.
    pub(crate) lost: Vec<SeqNo>,
    /// A payload with copies.
    pub(crate) red: Vec<u8>,
    /// A frame that came as a copy.
    pub(crate) frame: Vec<u8>,
    pub(crate) fates: Fates,
    /// Working memory of feedback that is written.
    pub(crate) arrivals: Vec<Option<Duration>>,
    pub(crate) twcc_writer: TwccWriter,
    /// And of feedback that is read.
    pub(crate) delivered: DeliveredPackets,
}

impl Scratch {
    fn new() -> Scratch {
        Scratch {
            packet: vec![0; MAX_DATAGRAM],
            rtcp: Vec::with_capacity(MAX_DATAGRAM),
            extensions: ExtensionBuilder::default(),
            lost: Vec::with_capacity(256),
            red: Vec::new(),
            frame: Vec::new(),
            fates: Fates::default(),
            arrivals: Vec::new(),
            twcc_writer: TwccWriter::default(),
            delivered: DeliveredPackets::default(),
        }
    }
}

/// Everything but the rooms.
pub(crate) struct Shared {
    pub(crate) config: PlaneConfig,
    pub(crate) certificate: Arc<Certificate>,
    pub(crate) dtls: SharedConfig,
    pub(crate) wall: WallClock,
    pub(crate) epoch: Instant,
    pub(crate) counters: EngineCounters,
    /// Losses of producers that are gone, per kind.
    pub(crate) lost_before: [u64; 2],
    pub(crate) events: EventQueue,
    pub(crate) timers: Timers<TimerKey>,
    pub(crate) random: Random,
    pub(crate) scratch: Scratch,
    pub(crate) addresses: FastMap<Remote, Location>,
    /// Keyed by what strangers write into checks, so with the standard, resistant hash.
    pub(crate) ufrags: HashMap<String, Location>,
    /// How many there are.
    pub(crate) rooms: usize,
    pub(crate) transports: FastMap<u64, Location>,
    pub(crate) producers: FastMap<u64, Location>,
    pub(crate) consumers: FastMap<u64, Location>,
    /// Where captured packets go.
    pub(crate) capture: Option<Box<dyn CaptureSink>>,
    /// Where tapped packets go.
    pub(crate) tap: Option<Box<dyn TapSink>>,
}

impl Shared {
    pub(crate) fn new(
        config: PlaneConfig,
        certificate: Arc<Certificate>,
        dtls: SharedConfig,
        now: Instant,
        wall: SystemTime,
    ) -> Shared {
        let mut random = Random::new(config.seed);
        let hash = FastState::new(random.next_u64());
        Shared {
            config,
            certificate,
            dtls,
            wall: WallClock::new(now, wall),
            epoch: now,
            counters: EngineCounters::default(),
            lost_before: [0; 2],
            events: EventQueue::default(),
            timers: Timers::new(now),
            random,
            scratch: Scratch::new(),
            addresses: FastMap::with_hasher(hash),
            ufrags: HashMap::new(),
            rooms: 0,
            transports: FastMap::with_hasher(hash),
            producers: FastMap::with_hasher(hash),
            consumers: FastMap::with_hasher(hash),
            capture: None,
            tap: None,
        }
    }

    /// Counts a packet that goes no further.
    #[inline]
    pub(crate) fn drop_packet(&mut self, stage: Stage, reason: DropReason) {
        self.counters.ledger.discard(stage, reason, 1);
    }

    /// Reports what a command could not do.
    pub(crate) fn fail(&mut self, command: &'static str, id: u64, message: &str) {
        self.events.push(Event::CommandFailed { command, id, message: message.into() });
    }

    pub(crate) fn report_state(&mut self, id: u64, state: TransportState, reason: CloseReason) {
        self.events.push(Event::TransportStateChanged { transport: id, state, reason });
    }

    /// Buffers may be half written after a panic.
    pub(crate) fn reset_scratch(&mut self) {
        self.scratch = Scratch::new();
    }

    /// Forgets an address, unless it belongs to another transport by now.
    pub(crate) fn forget_address(&mut self, address: Remote, location: Location) {
        if self.addresses.get(&address) == Some(&location) {
            self.addresses.remove(&address);
        }
    }

    /// Forgets everything that leads to a room.
    pub(crate) fn forget_room(&mut self, room: Key) {
        self.addresses.retain(|_, location| location.room != room);
        self.ufrags.retain(|_, location| location.room != room);
        self.transports.retain(|_, location| location.room != room);
        self.producers.retain(|_, location| location.room != room);
        self.consumers.retain(|_, location| location.room != room);
    }

    pub(crate) fn record_forward_delay(&mut self, delay: Duration, packets: u64) {
        let seconds = delay.as_secs_f64();
        let bucket = FORWARD_DELAY_BOUNDS_S.partition_point(|bound| *bound < seconds);
        self.counters.forward_delay_buckets[bucket] += packets;
        self.counters.forward_delay_sum_s += seconds * packets as f64;
    }
}

/// One call: the time, the engine and where packets go.
pub(crate) struct Cx<'a> {
    pub(crate) now: Instant,
    pub(crate) shared: &'a mut Shared,
    pub(crate) output: &'a mut dyn Output,
}

impl Cx<'_> {
    /// The wall-clock time of this call.
    pub(crate) fn ntp(&self) -> NtpTime {
        self.shared.wall.ntp(self.now)
    }

    /// Time since the plane was made.
    #[inline]
    pub(crate) fn since_epoch(&self) -> Duration {
        self.now.saturating_duration_since(self.shared.epoch)
    }

    /// The same in µs.
    #[inline]
    pub(crate) fn now_us(&self) -> i64 {
        self.since_epoch().as_micros() as i64
    }

    /// The time that is `us` after the plane was made.
    pub(crate) fn instant_of(&self, us: i64) -> Instant {
        self.shared.epoch + Duration::from_micros(us.max(0) as u64)
    }

    #[inline]
    pub(crate) fn drop_packet(&mut self, stage: Stage, reason: DropReason) {
        self.shared.drop_packet(stage, reason);
    }

    /// What every packet's fate is written into.
    #[inline]
    pub(crate) fn ledger(&mut self) -> &mut Ledger {
        &mut self.shared.counters.ledger
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_event_queue_tells_how_many_were_lost() {
        let mut queue = EventQueue::default();
        for room in 0..MAX_EVENTS as u64 + 3 {
            queue.push(Event::ActiveSpeaker { room, producer: None });
        }
        for room in 0..MAX_EVENTS as u64 {
            assert_eq!(queue.pop(), Some(Event::ActiveSpeaker { room, producer: None }));
        }
        assert_eq!(queue.pop(), Some(Event::EventsDropped { count: 3 }));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn spread_stays_within_half_of_the_mean() {
        let mut random = Random::new(1);
        let mean = Duration::from_secs(1);
        for _ in 0..10_000 {
            let spread = random.spread(mean);
            assert!(spread >= mean / 2 && spread <= mean + mean / 2, "{spread:?}");
            assert!(random.first_sequence().0 < 0x8000);
        }
    }
}
