//! Asking for lost packets, again and again until it is too late for them (RFC 4585, 6.2.1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::protect::requests::RequestPlan;
use crate::rtp::SeqNo;

/// How a lost packet is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NackConfig {
    /// A packet is given up this long after it was found missing.
    pub deadline: Duration,
    /// Waiting time before the first request, because packets may overtake each other.
    pub reorder_wait: Duration,
    /// Packets after the gap that end the waiting time early.
    pub reorder_packets: u64,
    /// Shortest time between two requests for one packet.
    pub min_retry: Duration,
    /// Time between two requests while the round-trip time is unknown.
    pub default_retry: Duration,
    /// Missing packets kept; 48 bytes each. When full, the oldest are given up.
    pub max_missing: usize,
    /// Giving up means that a keyframe is needed.
    pub keyframe_on_loss: bool,
    /// Requests go on for so long after the gap was seen, less often, when a packet is of no use
    /// to those who watch any more; zero: they do not.
    pub patience: Duration,
}

impl NackConfig {
    /// For video: up to one second, then a keyframe.
    pub fn video() -> NackConfig {
        NackConfig {
            deadline: Duration::from_secs(1),
            reorder_wait: Duration::from_millis(10),
            reorder_packets: 2,
            min_retry: Duration::from_millis(20),
            default_retry: Duration::from_millis(100),
            max_missing: 1_024,
            keyframe_on_loss: true,
            patience: Duration::ZERO,
        }
    }

    /// For audio: later than 400 ms nobody plays it any more.
    pub fn audio() -> NackConfig {
        NackConfig {
            deadline: Duration::from_millis(400),
            max_missing: 128,
            keyframe_on_loss: false,
            ..NackConfig::video()
        }
    }
}

/// Time between two requests for one packet that only a recording waits for, at least.
const OVERDUE_RETRY: Duration = Duration::from_millis(400);
/// Missing packets kept for a recording, at least.
const LEAST_MISSING_OF_PATIENT: usize = 512;

/// What a packet was to the [`NackGenerator`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NackArrival {
    /// Newer than all before.
    New,
    /// Was missing. `after` counts from when that was noticed.
    Recovered {
        /// Time since the gap was seen.
        after: Duration,
    },
    /// Neither: known already, given up, or from before the first packet.
    NotMissing,
}

/// What [`NackGenerator::poll`] found besides the packets to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NackOutcome {
    /// Packets given up since the last call.
    pub given_up: u64,
    /// One of them was needed for decoding: ask for a keyframe.
    pub needs_keyframe: bool,
}

#[derive(Debug, Clone, Copy)]
struct Missing {
    ext_seq: u64,
    since: Instant,
    due: Instant,
    /// Value of `NackGenerator::arrived` when it was found missing.
    arrived_before: u32,
    requests: u16,
    recovered: bool,
    /// Players have given it up; it is still asked for.
    is_overdue: bool,
}

/// Finds gaps in one RTP stream and says when to ask for what.
///
/// A packet costs constant time, plus one step for each packet newly found missing.
///
/// Fields lie in memory as they stand here: what is needed together lies together.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct NackGenerator {
    newest: Option<u64>,
    /// Packets that moved `newest`. Wraps.
    arrived: u32,
    /// `arrived_before` of the oldest packet never asked for.
    unasked: Option<u32>,
    next_due: Option<Instant>,
    /// Sorted by sequence number; recovered ones stay until they are the oldest.
    missing: VecDeque<Missing>,
    config: NackConfig,
    /// Takes the place of what the configuration says of intervals and deadlines.
    plan: Option<RequestPlan>,
    open: usize,
    /// First packet of the newest keyframe, and its timestamp.
    keyframe: Option<(u64, u32)>,
    outcome: NackOutcome,
}

impl NackGenerator {
    /// Starts before the first packet. Memory is taken when packets are lost.
    pub fn new(config: NackConfig) -> NackGenerator {
        NackGenerator {
            config,
            plan: None,
            newest: None,
            missing: VecDeque::new(),
            open: 0,
            arrived: 0,
            unasked: None,
            next_due: None,
            keyframe: None,
            outcome: NackOutcome::default(),
        }
    }

    /// Takes a packet that arrived, as an original or by repair of any kind.
    pub fn on_packet(&mut self, ext_seq: u64, now: Instant) -> NackArrival {
        let Some(newest) = self.newest else {
            self.newest = Some(ext_seq);
            return NackArrival::New;
        };
        if ext_seq <= newest {
            return self.recover(ext_seq, now);
        }
        self.arrived = self.arrived.wrapping_add(1);
        self.end_waiting(now);
        self.add_gap(newest + 1, ext_seq, now);
        self.newest = Some(ext_seq);
        NackArrival::New
    }

    /// A picture that needs none before it starts at `ext_seq`: what was lost before it does
    /// not call for a keyframe any more. It is still asked for, others may have use for it.
    /// Parameter sets in packets of their own say so before the picture of the same `timestamp`
    /// does: they belong to it.
    pub fn on_keyframe(&mut self, ext_seq: u64, timestamp: u32) {
        self.keyframe = match self.keyframe {
            Some((first, known)) if known == timestamp => Some((first.min(ext_seq), timestamp)),
            Some((first, _)) if first > ext_seq => self.keyframe,
            _ => Some((ext_seq, timestamp)),
        };
    }

    fn newest_keyframe(&self) -> u64 {
        self.keyframe.map_or(0, |(first, _)| first)
    }

    /// Appends the packets to ask for now to `due` and gives up those past the deadline.
    pub fn poll(
        &mut self,
        now: Instant,
        round_trip: Option<Duration>,
        due: &mut Vec<SeqNo>,
    ) -> NackOutcome {
        self.poll_unless(now, round_trip, due, |_| false)
    }

    /// The same, without asking for what is held back for now: it is looked at again soon.
    pub fn poll_unless(
        &mut self,
        now: Instant,
        round_trip: Option<Duration>,
        due: &mut Vec<SeqNo>,
        is_held: impl Fn(u64) -> bool,
    ) -> NackOutcome {
        if self.next_due.is_some_and(|next| next <= now) {
            self.expire(now);
            let retry = self.retry_interval(round_trip);
            self.collect(now, retry, due, is_held);
        }
        std::mem::take(&mut self.outcome)
    }

    /// Whether the packet is missing and was asked for.
    pub fn was_asked(&self, ext_seq: u64) -> bool {
        let at = self.missing.partition_point(|entry| entry.ext_seq < ext_seq);
        let entry = self.missing.get(at).filter(|entry| entry.ext_seq == ext_seq);
        entry.is_some_and(|entry| !entry.recovered && entry.requests > 0)
    }

    /// Asks for packets for this long from now on.
    pub fn set_deadline(&mut self, deadline: Duration) {
        self.config.deadline = deadline;
    }

    /// Asks for packets for at least this long, but after the deadline only for those who can wait:
    /// a recording. `None`: until the deadline.
    pub fn set_patience(&mut self, patience: Option<Duration>) {
        self.config.patience = patience.unwrap_or_default();
        if patience.is_some() {
            self.config.max_missing = self.config.max_missing.max(LEAST_MISSING_OF_PATIENT);
        }
    }

    /// Asks like this from now on.
    pub fn set_plan(&mut self, plan: RequestPlan) {
        self.config.deadline = plan.deadline;
        self.plan = Some(plan);
    }

    /// When [`NackGenerator::poll`] has something to do; may lie in the past.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.next_due
    }

    /// Packets missing and not given up.
    pub fn missing(&self) -> usize {
        self.open
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        self.missing.capacity() * size_of::<Missing>()
    }

    fn recover(&mut self, ext_seq: u64, now: Instant) -> NackArrival {
        let at = self.missing.partition_point(|entry| entry.ext_seq < ext_seq);
        match self.missing.get_mut(at) {
            Some(entry) if entry.ext_seq == ext_seq && !entry.recovered => {
                entry.recovered = true;
                let after = now.saturating_duration_since(entry.since);
                self.open -= 1;
                self.trim();
                NackArrival::Recovered { after }
            }
            _ => NackArrival::NotMissing,
        }
    }

    /// Makes the unasked packets due if enough others came after them.
    fn end_waiting(&mut self, now: Instant) {
        if self.unasked.is_some_and(|before| self.waited_enough(before)) {
            self.next_due = self.next_due.map(|next| next.min(now));
        }
    }

    fn waited_enough(&self, arrived_before: u32) -> bool {
        u64::from(self.arrived.wrapping_sub(arrived_before)) >= self.config.reorder_packets
    }

    fn add_gap(&mut self, from: u64, to: u64, now: Instant) {
        let count = to - from;
        if count == 0 {
            return;
        }
        if count > self.config.max_missing as u64 {
            self.give_up_all(count, now);
            return;
        }
        while self.missing.len() + count as usize > self.config.max_missing {
            self.give_up_oldest();
        }
        self.trim();
        let due = now + self.config.reorder_wait;
        let arrived_before = self.arrived;
        self.missing.extend((from..to).map(|ext_seq| Missing {
            ext_seq,
            since: now,
            due,
            arrived_before,
            requests: 0,
            recovered: false,
            is_overdue: false,
        }));
        self.open += count as usize;
        self.unasked.get_or_insert(arrived_before);
        self.next_due = Some(self.next_due.map_or(due, |next| next.min(due)));
    }

    fn give_up_all(&mut self, beyond: u64, now: Instant) {
        let overdue = self.missing.iter().filter(|e| !e.recovered && e.is_overdue).count();
        self.outcome.given_up += (self.open - overdue) as u64 + beyond;
        self.outcome.needs_keyframe = self.config.keyframe_on_loss;
        self.missing.clear();
        self.open = 0;
        self.trim();
        // Nothing is asked for, but that is to be told: a keyframe may be needed.
        self.next_due = Some(now);
    }

    fn give_up_oldest(&mut self) {
        let Some(entry) = self.missing.pop_front() else { return };
        if !entry.recovered {
            self.open -= 1;
            if !entry.is_overdue {
                self.give_up(entry.ext_seq);
            }
        }
    }

    fn give_up(&mut self, ext_seq: u64) {
        self.outcome.given_up += 1;
        self.outcome.needs_keyframe |=
            self.config.keyframe_on_loss && ext_seq >= self.newest_keyframe();
    }

    /// Removes recovered packets from the old end.
    fn trim(&mut self) {
        while self.missing.front().is_some_and(|entry| entry.recovered) {
            self.missing.pop_front();
        }
        if self.missing.is_empty() {
            self.next_due = None;
            self.unasked = None;
        }
    }

    /// Entries are sorted by sequence number and thereby by age.
    fn expire(&mut self, now: Instant) {
        let NackConfig { deadline, patience, .. } = self.config;
        let keyframe = self.newest_keyframe();
        let outdated = self.plan.map_or(deadline, |plan| plan.outdated);
        // Falls with age, so that what is over lies before what is not.
        let deadline_of = |entry: &Missing| {
            if entry.ext_seq < keyframe { outdated.min(deadline) } else { deadline }
        };
        let is_over = |entry: &Missing| {
            entry.recovered || now >= entry.since + deadline_of(entry).max(patience)
        };
        while self.missing.front().is_some_and(is_over) {
            self.give_up_oldest();
        }
        let late = self.missing.partition_point(|entry| now >= entry.since + deadline_of(entry));
        for index in 0..late {
            let entry = &mut self.missing[index];
            if !entry.recovered && !std::mem::replace(&mut entry.is_overdue, true) {
                let ext_seq = entry.ext_seq;
                self.give_up(ext_seq);
            }
        }
        self.trim();
    }

    fn retry_interval(&self, round_trip: Option<Duration>) -> Duration {
        if let Some(plan) = self.plan {
            return plan.interval;
        }
        round_trip.map_or(self.config.default_retry, |rtt| rtt * 11 / 10).max(self.config.min_retry)
    }

    fn collect(
        &mut self,
        now: Instant,
        retry: Duration,
        due: &mut Vec<SeqNo>,
        is_held: impl Fn(u64) -> bool,
    ) {
        let (arrived, enough) = (self.arrived, self.config.reorder_packets);
        let grows = self.plan.is_none_or(|plan| plan.grows);
        let mut unasked = None;
        let mut next: Option<Instant> = None;
        for entry in self.missing.iter_mut().filter(|entry| !entry.recovered) {
            let overtaken = u64::from(arrived.wrapping_sub(entry.arrived_before)) >= enough;
            if (entry.due <= now || entry.requests == 0 && overtaken) && is_held(entry.ext_seq) {
                entry.due = now + self.config.min_retry;
            } else if entry.due <= now || entry.requests == 0 && overtaken {
                due.push(SeqNo(entry.ext_seq as u16));
                // Each further request waits an eighth longer, up to twice the interval.
                let growth = if grows { u32::from(entry.requests.min(8)) } else { 0 };
                let wait = retry + retry * growth / 8;
                entry.due = now + if entry.is_overdue { wait.max(OVERDUE_RETRY) } else { wait };
                entry.requests = entry.requests.saturating_add(1);
            } else if entry.requests == 0 {
                unasked = unasked.or(Some(entry.arrived_before));
            }
            let last = match entry.is_overdue {
                true => self.config.deadline.max(self.config.patience),
                false => self.config.deadline,
            };
            let wake = entry.due.min(entry.since + last);
            next = Some(next.map_or(wake, |next| next.min(wake)));
        }
        self.unasked = unasked;
        self.next_due = next;
    }
}

#[cfg(test)]
mod tests;
