//! A lossy network in virtual time, for tests.
//!
//! One direction of a path: loss, then a link with a rate and a queue that drops what does not
//! fit (drop-tail), then delay. The link can be shared with other traffic ([`Flow`]) and the
//! whole path can change at given times ([`Netem::set_schedule`]). Everything random comes from
//! one seed, so a failing run can be repeated.

mod flow;

use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

pub use flow::Flow;
use flow::RunningFlow;

/// Small seeded generator (SplitMix64). Not for keys.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number in `0..limit`; `limit` must not be zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(limit)) >> 64) as u64
    }

    /// A number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `true` with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }
}

/// Which packets vanish.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each with this probability, independently.
    Random(f64),
    /// Two states, changed before each packet, each with its own loss.
    GilbertElliott {
        /// Probability to go from good to bad.
        to_bad: f64,
        /// Probability to go from bad to good: 1 / mean burst length in packets.
        to_good: f64,
        /// Loss in the good state.
        good: f64,
        /// Loss in the bad state.
        bad: f64,
    },
}

/// One direction of a path. The default is perfect and without delay.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct NetemConfig {
    /// Loss before the link.
    pub loss: Loss,
    /// Constant part of the delay.
    pub delay: Duration,
    /// Up to this much is added to the delay, evenly distributed. Order is kept, so a packet
    /// that waited long holds up those behind it, unless [`NetemConfig::jitter_reorders`].
    pub jitter: Duration,
    /// Packets with less jitter overtake others.
    pub jitter_reorders: bool,
    /// Share of the packets that are delayed by [`NetemConfig::reorder_delay`] more and
    /// overtaken by others.
    pub reorder: f64,
    /// Extra delay of a packet that others overtake.
    pub reorder_delay: Duration,
    /// Share of the packets that arrive twice.
    pub duplicate: f64,
    /// Rate of the link in bits per second; zero means no limit.
    pub rate_bps: u64,
    /// Bytes waiting for the link beyond which packets are dropped. Zero: only
    /// [`NetemConfig::queue_delay`] counts, where given.
    pub queue_bytes: u64,
    /// Time a packet would wait for the link beyond which it is dropped; zero means no limit.
    pub queue_delay: Duration,
}

/// What became of the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetemCounters {
    /// Offered by the sender.
    pub pushed: u64,
    /// Handed to the receiver, duplicates included.
    pub delivered: u64,
    /// Dropped by the loss model.
    pub lost: u64,
    /// Dropped because the queue of the link was full.
    pub queue_full: u64,
    /// Second copies.
    pub duplicated: u64,
    /// Packets of other flows that were dropped because the queue was full.
    pub others_queue_full: u64,
}

struct InFlight<D> {
    due: Instant,
    order: u64,
    datagram: D,
}

impl<D> PartialEq for InFlight<D> {
    fn eq(&self, other: &Self) -> bool {
        (self.due, self.order) == (other.due, other.order)
    }
}

impl<D> Eq for InFlight<D> {}

impl<D> PartialOrd for InFlight<D> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<D> Ord for InFlight<D> {
    /// Earliest first out of a max-heap.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.due, other.order).cmp(&(self.due, self.order))
    }
}

/// One direction of an impaired path.
pub struct Netem<D> {
    config: NetemConfig,
    rng: Rng,
    in_flight: BinaryHeap<InFlight<D>>,
    order: u64,
    bad_state: bool,
    /// When the link has sent everything given to it so far.
    link_free: Option<Instant>,
    /// Arrival of the newest packet that was not held back: jitter does not reorder.
    newest_due: Option<Instant>,
    flows: Vec<RunningFlow>,
    schedule: VecDeque<(Instant, NetemConfig)>,
    queueing: Duration,
    counters: NetemCounters,
}

impl<D: AsRef<[u8]> + Clone> Netem<D> {
    /// Makes an empty path.
    pub fn new(config: NetemConfig, seed: u64) -> Netem<D> {
        Netem {
            config,
            rng: Rng::new(seed),
            in_flight: BinaryHeap::new(),
            order: 0,
            bad_state: false,
            link_free: None,
            newest_due: None,
            flows: Vec::new(),
            schedule: VecDeque::new(),
            queueing: Duration::ZERO,
            counters: NetemCounters::default(),
        }
    }

    /// Changes the path; what is under way keeps its time.
    pub fn set_config(&mut self, config: NetemConfig) {
        self.config = config;
    }

    /// Changes the path at the given times, earliest first; replaces an earlier schedule.
    pub fn set_schedule(&mut self, steps: impl IntoIterator<Item = (Instant, NetemConfig)>) {
        self.schedule = steps.into_iter().collect();
    }

    /// Shares the link with other traffic for a while. Returns a number to ask with.
    pub fn add_flow(&mut self, flow: Flow, from: Instant, until: Instant) -> usize {
        self.flows.push(RunningFlow::new(flow, from, until));
        self.flows.len() - 1
    }

    /// Bytes of other traffic that passed the link so far.
    pub fn flow_bytes(&self, flow: usize) -> u64 {
        self.flows.get(flow).map_or(0, |flow| flow.delivered)
    }

    /// How long the newest datagram that got into the queue waits there, its own transmission
    /// included.
    pub fn queueing(&self) -> Duration {
        self.queueing
    }

    /// Sends one datagram into the path.
    pub fn push(&mut self, now: Instant, datagram: D) {
        self.advance(now);
        self.counters.pushed += 1;
        if self.is_lost() {
            self.counters.lost += 1;
            return;
        }
        let Some(leaves) = self.pass_link(now, datagram.as_ref().len() as u64) else {
            self.counters.queue_full += 1;
            return;
        };
        self.queueing = leaves - now;
        if self.rng.chance(self.config.duplicate) {
            self.counters.duplicated += 1;
            self.schedule(leaves, datagram.clone());
        }
        self.schedule(leaves, datagram);
    }

    /// The next datagram that has arrived by `now`.
    pub fn pop(&mut self, now: Instant) -> Option<D> {
        if self.next_timeout()? > now {
            return None;
        }
        self.counters.delivered += 1;
        self.in_flight.pop().map(|packet| packet.datagram)
    }

    /// When the next datagram arrives.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.in_flight.peek().map(|packet| packet.due)
    }

    /// What became of the packets so far.
    pub fn counters(&self) -> NetemCounters {
        self.counters
    }

    /// Lets pass what happens before `now`: steps of the schedule and packets of others.
    fn advance(&mut self, now: Instant) {
        loop {
            let flow = self
                .flows
                .iter()
                .enumerate()
                .filter_map(|(index, flow)| Some((flow.next_event()?, index)))
                .min()
                .filter(|(at, _)| *at <= now);
            let step = self.schedule.front().map(|(at, _)| *at).filter(|at| *at <= now);
            match (flow, step) {
                (Some((at, index)), step) if step.is_none_or(|step| at < step) => {
                    self.step_flow(at, index);
                }
                (_, Some(_)) => {
                    if let Some((_, config)) = self.schedule.pop_front() {
                        self.config = config;
                    }
                }
                (_, None) => return,
            }
        }
    }

    fn step_flow(&mut self, at: Instant, index: usize) {
        let Some(bytes) = self.flows[index].step(at) else { return };
        let leaves = self.pass_link(at, bytes);
        self.counters.others_queue_full += u64::from(leaves.is_none());
        self.flows[index].on_sent(at, leaves, bytes);
    }

    fn is_lost(&mut self) -> bool {
        match self.config.loss {
            Loss::None => false,
            Loss::Random(p) => self.rng.chance(p),
            Loss::GilbertElliott { to_bad, to_good, good, bad } => {
                let leave = if self.bad_state { to_good } else { to_bad };
                self.bad_state ^= self.rng.chance(leave);
                self.rng.chance(if self.bad_state { bad } else { good })
            }
        }
    }

    /// When the packet has left the link, or `None` if its queue is full.
    fn pass_link(&mut self, now: Instant, bytes: u64) -> Option<Instant> {
        let rate = self.config.rate_bps;
        if rate == 0 {
            return Some(now);
        }
        let start = self.link_free.map_or(now, |free| free.max(now));
        let NetemConfig { queue_bytes, queue_delay, .. } = self.config;
        let waiting = (start - now).as_secs_f64() * rate as f64 / 8.0;
        let is_timed = !queue_delay.is_zero();
        if is_timed && start - now > queue_delay {
            return None;
        }
        if !(is_timed && queue_bytes == 0) && waiting + bytes as f64 > queue_bytes as f64 {
            return None;
        }
        let leaves = start + Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64);
        self.link_free = Some(leaves);
        Some(leaves)
    }

    fn schedule(&mut self, leaves: Instant, datagram: D) {
        let mut due = leaves + self.config.delay + self.config.jitter.mul_f64(self.rng.unit());
        if self.rng.chance(self.config.reorder) {
            due += self.config.reorder_delay;
        } else if !self.config.jitter_reorders {
            due = self.newest_due.map_or(due, |newest| newest.max(due));
            self.newest_due = Some(due);
        }
        self.in_flight.push(InFlight { due, order: self.order, datagram });
        self.order += 1;
    }
}

#[cfg(test)]
mod tests;
