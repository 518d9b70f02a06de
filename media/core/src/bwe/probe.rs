//! Short bursts above the estimate: does the path carry more?

use std::collections::VecDeque;

use super::Delivered;

/// Length of one burst.
const CLUSTER_US: i64 = 20_000;
/// A burst has at least this many packets.
pub(super) const CLUSTER_PACKETS: u32 = 6;
/// A burst nothing was heard of for this long has failed.
const PATIENCE_US: i64 = 2_000_000;
/// A burst that cannot be filled ends after this.
const MAX_SENDING_US: i64 = 200_000;
/// A result of this share of what was tried lets the next try follow at once.
const SUCCESS: f64 = 0.7;
/// A burst that takes this many times as long to arrive as to leave has filled the link.
const FILLED: f64 = 1.5;
/// Time between two tries.
const INTERVAL_US: i64 = 4_000_000;
/// After the very first ones, which may have met anything.
const FIRST_INTERVAL_US: i64 = 1_000_000;
/// And after tries that brought nothing.
const MAX_INTERVAL_US: i64 = 20_000_000;
/// Beyond this share of what anyone wants nothing is tried.
const WANTED_SHARE: f64 = 1.5;
/// When so much more is wanted than at the last try, the next one comes at once.
const MUCH_MORE: f64 = 1.5;

/// A burst to send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cluster {
    /// From 1.
    pub(super) id: u16,
    pub(super) bps: f64,
}

/// What a burst has shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    pub(super) bps: f64,
    /// The link carries no more.
    pub(super) is_filled: bool,
}

/// A burst on its way.
#[derive(Debug, Clone)]
struct Flight {
    cluster: Cluster,
    began_us: i64,
    ended_us: Option<i64>,
    last_sent_us: i64,
    packets: u32,
    bytes: u64,
    first_size: u64,
    reported: u32,
    delivered: u32,
    delivered_bytes: u64,
    /// Send and arrival time of the first and last packet that arrived, and the last's size.
    first: Option<(i64, i64)>,
    last: Option<(i64, i64)>,
    last_size: u64,
}

/// Sends bursts, one at a time, and reads what became of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Prober {
    next_id: u16,
    waiting: VecDeque<f64>,
    flight: Option<Flight>,
    next_try_us: i64,
    interval_us: i64,
    /// What was wanted when a burst was sent last.
    wanted_bps: f64,
}

/// What bounds the tries.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProbeBounds {
    pub(super) estimate_bps: f64,
    pub(super) wanted_bps: f64,
    pub(super) most_bps: f64,
}

impl ProbeBounds {
    fn ceiling(&self) -> f64 {
        (WANTED_SHARE * self.wanted_bps).min(self.most_bps)
    }
}

impl Prober {
    /// Tries these rates, one after the other.
    pub(super) fn start(&mut self, rates: impl IntoIterator<Item = f64>) {
        self.waiting = rates.into_iter().collect();
    }

    /// Gives up what waits and what is under way.
    pub(super) fn stop(&mut self) {
        self.waiting.clear();
        self.flight = None;
    }

    /// Whether there are bursts to send or to hear of.
    pub(super) fn is_busy(&self) -> bool {
        self.flight.is_some() || !self.waiting.is_empty()
    }

    /// The burst being sent.
    pub(super) fn sending(&self) -> Option<Cluster> {
        let flight = self.flight.as_ref()?;
        flight.ended_us.is_none().then_some(flight.cluster)
    }

    /// Bytes that have to be sent by `now_us` to keep to the rate of the burst.
    pub(super) fn missing_bytes(&self, now_us: i64) -> u64 {
        let Some(flight) = self.flight.as_ref().filter(|flight| flight.ended_us.is_none()) else {
            return 0;
        };
        let elapsed_us = (now_us - flight.began_us) as f64;
        let due = (flight.cluster.bps * elapsed_us / 8e6) as u64;
        // The first packet starts the clock.
        (due + flight.first_size.max(1)).saturating_sub(flight.bytes)
    }

    /// Begins the next burst if there is reason to. `may_try`: the path is not in trouble.
    pub(super) fn poll(&mut self, now_us: i64, bounds: &ProbeBounds, may_try: bool) {
        self.expire(now_us);
        if self.flight.is_some() {
            return;
        }
        if !may_try {
            self.waiting.clear();
            return;
        }
        while let Some(wanted) = self.waiting.pop_front() {
            let bps = wanted.min(bounds.ceiling());
            self.wanted_bps = bounds.wanted_bps;
            if bps > bounds.estimate_bps * 1.05 {
                return self.begin(now_us, bps);
            }
        }
        if self.wanted_bps > 0.0 && bounds.wanted_bps > MUCH_MORE * self.wanted_bps {
            // There is something new to see: it shall not wait for the usual time.
            self.next_try_us = self.next_try_us.min(now_us);
        }
        if now_us >= self.next_try_us && bounds.estimate_bps < bounds.wanted_bps {
            let bps = (2.0 * bounds.estimate_bps).min(bounds.ceiling());
            self.interval_us = (self.interval_us * 2).clamp(FIRST_INTERVAL_US, MAX_INTERVAL_US);
            self.wanted_bps = bounds.wanted_bps;
            if bps > bounds.estimate_bps * 1.05 {
                self.begin(now_us, bps);
            }
        }
    }

    /// The path got worse or was freed of something: the next try comes after the usual time.
    pub(super) fn hold_off(&mut self, now_us: i64) {
        self.interval_us = INTERVAL_US;
        self.next_try_us = self.next_try_us.max(now_us + INTERVAL_US / 2);
    }

    fn begin(&mut self, now_us: i64, bps: f64) {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.interval_us = self.interval_us.max(FIRST_INTERVAL_US);
        self.next_try_us = now_us + self.interval_us;
        self.flight = Some(Flight {
            cluster: Cluster { id: self.next_id, bps },
            began_us: now_us,
            ended_us: None,
            last_sent_us: now_us,
            packets: 0,
            bytes: 0,
            first_size: 0,
            reported: 0,
            delivered: 0,
            delivered_bytes: 0,
            first: None,
            last: None,
            last_size: 0,
        });
    }

    /// Counts a packet of any kind that was sent during a burst; returns the burst's id.
    #[inline]
    pub(super) fn on_sent(&mut self, now_us: i64, size: usize) -> u16 {
        match &mut self.flight {
            Some(flight) if flight.ended_us.is_none() => flight.on_sent(now_us, size),
            _ => 0,
        }
    }

    /// Nothing more can be sent for the burst.
    pub(super) fn end_burst(&mut self, now_us: i64) {
        if let Some(flight) = &mut self.flight {
            flight.ended_us.get_or_insert(now_us);
        }
    }

    fn expire(&mut self, now_us: i64) {
        let Some(flight) = &mut self.flight else { return };
        if flight.ended_us.is_none() && now_us - flight.began_us > MAX_SENDING_US {
            flight.ended_us = Some(now_us);
        }
        if flight.ended_us.is_some_and(|ended_us| now_us - ended_us > PATIENCE_US) {
            self.flight = None;
        }
    }

    /// Takes what became of a packet of burst `id`; `None` was lost.
    pub(super) fn on_result(&mut self, id: u16, packet: Option<&Delivered>) {
        let Some(flight) = self.flight.as_mut().filter(|flight| flight.cluster.id == id) else {
            return;
        };
        flight.reported += 1;
        let Some(packet) = packet else { return };
        flight.delivered += 1;
        flight.delivered_bytes += u64::from(packet.size);
        let at = (packet.sent_us, packet.arrival_us);
        if flight.first.is_none_or(|first| at.1 < first.1) {
            flight.first = Some(at);
        }
        if flight.last.is_none_or(|last| at.1 >= last.1) {
            flight.last = Some(at);
            flight.last_size = u64::from(packet.size);
        }
    }

    /// What a burst that is over has shown, once. `inherent_loss` is the path's own.
    pub(super) fn take_result(
        &mut self,
        now_us: i64,
        inherent_loss: f64,
        bounds: &ProbeBounds,
    ) -> Option<Found> {
        let flight = self.flight.as_ref()?;
        let ended_us = flight.ended_us?;
        let is_complete = flight.reported >= flight.packets;
        let is_late = now_us - ended_us > PATIENCE_US / 4;
        if !(is_complete || is_late && flight.reported * 2 >= flight.packets) {
            return None;
        }
        let flight = self.flight.take()?;
        let found = flight.found(inherent_loss)?;
        let rate = found.bps;
        if rate >= SUCCESS * flight.cluster.bps {
            self.interval_us = INTERVAL_US;
            self.next_try_us = now_us + INTERVAL_US;
            let next = 2.0 * rate;
            if self.waiting.is_empty() && rate < bounds.wanted_bps {
                self.waiting.push_back(next);
            }
        } else {
            self.waiting.clear();
        }
        Some(found)
    }

    /// When [`Prober::poll`] or the sending of padding is due.
    pub(super) fn next_timeout_us(&self, now_us: i64, bounds: &ProbeBounds) -> Option<i64> {
        match &self.flight {
            Some(flight) if flight.ended_us.is_none() => Some(now_us),
            Some(flight) => flight.ended_us.map(|ended_us| ended_us + PATIENCE_US),
            None if !self.waiting.is_empty() => Some(now_us),
            None => (bounds.estimate_bps < bounds.wanted_bps).then_some(self.next_try_us),
        }
    }
}

impl Flight {
    fn on_sent(&mut self, now_us: i64, size: usize) -> u16 {
        if self.packets == 0 {
            self.began_us = now_us;
            self.first_size = size as u64;
        }
        self.last_sent_us = now_us;
        self.packets += 1;
        self.bytes += size as u64;
        let is_long = now_us - self.began_us >= CLUSTER_US;
        if is_long && self.packets >= CLUSTER_PACKETS {
            self.ended_us = Some(now_us);
        }
        self.cluster.id
    }

    /// What got through, were it not for the path's own loss; never more than was sent.
    fn found(&self, inherent_loss: f64) -> Option<Found> {
        let (first, last) = (self.first?, self.last?);
        let sending_us = self.last_sent_us - self.began_us;
        let (sent_us, arrived_us) = (last.0 - first.0, last.1 - first.1);
        if self.packets < CLUSTER_PACKETS || self.delivered < 3 || sending_us < CLUSTER_US / 4 {
            return None;
        }
        if sent_us <= 0 || arrived_us < sent_us / 2 {
            // Something on the way collected and released them: nothing can be read from it.
            return None;
        }
        let send_bps = (self.bytes - self.first_size) as f64 * 8e6 / sending_us as f64;
        let stretch = (arrived_us as f64 / sent_us as f64).max(1.0);
        let kept = f64::from(self.delivered) / f64::from(self.reported.max(1));
        let kept = (kept / (1.0 - inherent_loss).max(0.05)).min(1.0);
        let rate = send_bps.min(self.cluster.bps) / stretch * kept;
        // A link that was filled shows its rate, and has to be left some room.
        let bps = if stretch > 1.11 { rate * 0.95 } else { rate };
        Some(Found { bps, is_filled: stretch > FILLED })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: ProbeBounds =
        ProbeBounds { estimate_bps: 500e3, wanted_bps: 2e6, most_bps: 50e6 };

    /// Sends one burst over a link of `link_bps`; returns what it shows.
    fn burst(
        prober: &mut Prober,
        start_us: i64,
        link_bps: f64,
        lose: impl Fn(u32) -> bool,
    ) -> Option<f64> {
        let mut now_us = start_us;
        let mut packets: Vec<(u16, i64)> = Vec::new();
        while prober.sending().is_some() {
            while prober.missing_bytes(now_us) > 0 && prober.sending().is_some() {
                packets.push((prober.on_sent(now_us, 1_000), now_us));
            }
            now_us += 1_000;
            assert!(now_us < start_us + 1_000_000, "the burst ends");
        }
        let mut free = 0.0_f64;
        for (index, (id, sent_us)) in packets.iter().enumerate() {
            free = free.max(*sent_us as f64) + 8e9 / link_bps;
            let packet =
                Delivered { sent_us: *sent_us, arrival_us: free as i64 + 20_000, size: 1_000 };
            prober.on_result(*id, (!lose(index as u32)).then_some(&packet));
        }
        prober.take_result(now_us + 100_000, 0.0, &BOUNDS).map(|found| found.bps)
    }

    #[test]
    fn a_wide_link_shows_the_rate_of_the_burst() {
        let mut prober = Prober::default();
        prober.start([1.5e6]);
        prober.poll(0, &BOUNDS, true);
        let rate = burst(&mut prober, 0, 100e6, |_| false).unwrap();
        assert!((rate / 1.5e6 - 1.0).abs() < 0.15, "{rate}");
        // The next follows at once, up to what is wanted.
        prober.poll(200_000, &BOUNDS, true);
        let next = prober.sending().unwrap();
        assert!(next.bps > 2.4e6 && next.bps <= 3e6, "{next:?}");
    }

    #[test]
    fn a_narrow_link_shows_its_own_rate_and_ends_the_tries() {
        let mut prober = Prober::default();
        prober.start([3e6, 3e6]);
        prober.poll(0, &BOUNDS, true);
        let rate = burst(&mut prober, 0, 1e6, |_| false).unwrap();
        assert!((0.75e6..1.1e6).contains(&rate), "{rate}");
        prober.poll(200_000, &BOUNDS, true);
        assert_eq!(prober.sending(), None);
    }

    #[test]
    fn a_link_without_a_queue_shows_its_rate_by_loss() {
        let mut prober = Prober::default();
        prober.start([2e6]);
        prober.poll(0, &BOUNDS, true);
        let rate = burst(&mut prober, 0, 100e6, |index| index % 2 == 1).unwrap();
        assert!((0.8e6..1.2e6).contains(&rate), "{rate}");
    }

    #[test]
    fn nothing_is_tried_beyond_what_is_wanted_or_in_trouble() {
        let content = ProbeBounds { wanted_bps: 400e3, ..BOUNDS };
        let mut prober = Prober::default();
        prober.poll(100_000_000, &content, true);
        assert_eq!(prober.sending(), None);
        prober.poll(100_000_000, &ProbeBounds { wanted_bps: 0.0, ..BOUNDS }, true);
        assert_eq!(prober.sending(), None);
        prober.poll(100_000_000, &BOUNDS, false);
        assert_eq!(prober.sending(), None);
        prober.poll(100_000_000, &BOUNDS, true);
        assert!(prober.sending().is_some());
    }

    #[test]
    fn tries_without_success_become_rare() {
        let mut prober = Prober::default();
        let mut tries = Vec::new();
        let mut now_us = 0;
        while now_us < 120_000_000 {
            prober.poll(now_us, &BOUNDS, true);
            if prober.sending().is_some() {
                tries.push(now_us);
                assert!(burst(&mut prober, now_us, 500e3, |_| false).unwrap() < 0.7e6);
            }
            now_us += 100_000;
        }
        let last = tries.windows(2).last().unwrap();
        assert_eq!(last[1] - last[0], MAX_INTERVAL_US, "{tries:?}");
    }

    #[test]
    fn a_burst_nobody_answers_is_given_up() {
        let mut prober = Prober::default();
        prober.start([1e6]);
        prober.poll(0, &BOUNDS, true);
        for step in 0..30 {
            prober.on_sent(step * 1_000, 1_000);
        }
        assert_eq!(prober.sending(), None);
        prober.poll(1_000_000, &BOUNDS, true);
        assert_eq!(prober.sending(), None, "one at a time");
        prober.poll(5_000_000, &BOUNDS, true);
        assert!(prober.sending().is_some());
    }
}
