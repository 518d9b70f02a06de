//! Answering requests for lost packets without drowning the subscriber.

use std::time::{Duration, Instant};

use media_prefetch::prefetch_all;

use crate::window::SlidingSum;

/// How much may be sent again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResendConfig {
    /// Bytes sent again per second, as a share of the bytes sent per second. Above 1 at heavy
    /// loss: each packet may have to be sent several times.
    pub share: f64,
    /// Always allowed per second, whatever was sent.
    pub floor_bytes: u64,
    /// Packets whose last answer is remembered; rounded up to a power of two, 24 bytes each.
    pub remembered: usize,
}

impl Default for ResendConfig {
    fn default() -> ResendConfig {
        ResendConfig { share: 2.0, floor_bytes: 32 * 1_024, remembered: 256 }
    }
}

/// Answer to one requested packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResendDecision {
    /// Send it; already charged.
    Send,
    /// The last copy is probably still under way.
    TooSoon,
    /// The budget of this second is spent.
    OverBudget,
}

/// Decides for one subscriber's stream which requested packets are sent again.
///
/// A packet is not sent again within 3/4 of a round trip (at least 10 ms), because a request
/// that comes earlier was made before the last copy could arrive. Memory: 6 KiB by default,
/// taken with the first request.
///
/// Fields lie in memory as they stand here: what is needed together lies together.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct NackResponder {
    sent: SlidingSum,
    config: ResendConfig,
    resent: SlidingSum,
    /// Last answer by sequence number modulo the size; a collision only forgets.
    answers: Vec<Option<(u64, Instant)>>,
    too_soon: u64,
    over_budget: u64,
}

impl NackResponder {
    const LEAST_GAP: Duration = Duration::from_millis(10);

    /// Starts with nothing sent.
    pub fn new(config: ResendConfig) -> NackResponder {
        NackResponder {
            config,
            sent: SlidingSum::default(),
            resent: SlidingSum::default(),
            answers: Vec::new(),
            too_soon: 0,
            over_budget: 0,
        }
    }

    /// Counts a packet sent for the first time.
    pub fn on_sent(&mut self, bytes: usize, now: Instant) {
        self.sent.add(bytes as u64, now);
    }

    /// Has fetched what [`NackResponder::on_sent`] will need.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch_all(&self.sent);
    }

    /// Rate of what is sent for the first time, in bits per second.
    pub fn sent_bps(&mut self, now: Instant) -> u64 {
        self.sent.bits_per_second(now)
    }

    /// Whether to send the packet `outgoing` (extended, as sent) of `bytes` again.
    pub fn request(
        &mut self,
        outgoing: u64,
        bytes: usize,
        round_trip: Option<Duration>,
        now: Instant,
    ) -> ResendDecision {
        if self.answers.is_empty() {
            self.answers = vec![None; self.config.remembered.max(1).next_power_of_two()];
        }
        let gap = round_trip.map_or(Self::LEAST_GAP, |rtt| (rtt * 3 / 4).max(Self::LEAST_GAP));
        let slot = outgoing as usize & (self.answers.len() - 1);
        let last = self.answers[slot].filter(|(seq, _)| *seq == outgoing);
        if last.is_some_and(|(_, at)| now < at + gap) {
            self.too_soon += 1;
            return ResendDecision::TooSoon;
        }
        if !self.has_budget(bytes, now) {
            self.over_budget += 1;
            return ResendDecision::OverBudget;
        }
        self.resent.add(bytes as u64, now);
        self.answers[slot] = Some((outgoing, now));
        ResendDecision::Send
    }

    /// Whether so many bytes may be sent again now.
    pub fn has_budget(&mut self, bytes: usize, now: Instant) -> bool {
        let allowed = (self.sent.sum(now) as f64 * self.config.share) as u64;
        self.resent.sum(now) + bytes as u64 <= allowed.max(self.config.floor_bytes)
    }

    /// The packet is sent again without a request: it counts as much as an answer, and a request
    /// that comes soon was made before.
    pub fn note(&mut self, outgoing: u64, bytes: usize, now: Instant) {
        if self.answers.is_empty() {
            self.answers = vec![None; self.config.remembered.max(1).next_power_of_two()];
        }
        let slot = outgoing as usize & (self.answers.len() - 1);
        self.answers[slot] = Some((outgoing, now));
        self.resent.add(bytes as u64, now);
    }

    /// Sets [`ResendConfig::share`].
    pub fn set_share(&mut self, share: f64) {
        self.config.share = share;
    }

    /// Counts a request that is not answered because the path takes no more.
    pub fn refuse(&mut self) {
        self.over_budget += 1;
    }

    /// Requests not answered because the last copy was under way.
    pub fn dropped_too_soon(&self) -> u64 {
        self.too_soon
    }

    /// Requests not answered for lack of budget.
    pub fn dropped_over_budget(&self) -> u64 {
        self.over_budget
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        self.answers.capacity() * size_of::<Option<(u64, Instant)>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn one_packet_is_not_sent_twice_within_a_round_trip() {
        let start = Instant::now();
        let mut responder = NackResponder::new(ResendConfig::default());
        let rtt = Some(ms(80));
        assert_eq!(responder.request(7, 1_000, rtt, start), ResendDecision::Send);
        assert_eq!(responder.request(7, 1_000, rtt, start + ms(59)), ResendDecision::TooSoon);
        assert_eq!(responder.request(8, 1_000, rtt, start + ms(59)), ResendDecision::Send);
        assert_eq!(responder.request(7, 1_000, rtt, start + ms(60)), ResendDecision::Send);
        assert_eq!(responder.dropped_too_soon(), 1);
    }

    #[test]
    fn ten_milliseconds_are_the_least_gap() {
        let start = Instant::now();
        for rtt in [None, Some(Duration::ZERO), Some(ms(3))] {
            let mut responder = NackResponder::new(ResendConfig::default());
            assert_eq!(responder.request(7, 10, rtt, start), ResendDecision::Send);
            assert_eq!(responder.request(7, 10, rtt, start + ms(9)), ResendDecision::TooSoon);
            assert_eq!(responder.request(7, 10, rtt, start + ms(10)), ResendDecision::Send);
        }
    }

    #[test]
    fn the_budget_is_a_share_of_what_was_sent_and_recovers() {
        let start = Instant::now();
        let config = ResendConfig { share: 0.5, floor_bytes: 1_000, remembered: 64 };
        let mut responder = NackResponder::new(config);
        for at in 0..100 {
            responder.on_sent(1_000, start + ms(at * 10));
        }
        let now = start + ms(990);
        let sent = (0..200)
            .filter(|seq| responder.request(*seq, 1_000, None, now) == ResendDecision::Send);
        assert_eq!(sent.count(), 50);
        assert_eq!(responder.dropped_over_budget(), 150);
        let later = now + ms(1_000);
        assert_eq!(responder.request(500, 1_000, None, later), ResendDecision::Send);
        assert_eq!(responder.request(501, 1_000, None, later), ResendDecision::OverBudget);
    }

    #[test]
    fn what_is_sent_unasked_is_charged_as_answers_are() {
        let start = Instant::now();
        let config = ResendConfig { share: 2.0, floor_bytes: 2_000, remembered: 64 };
        let mut responder = NackResponder::new(config);
        responder.note(7, 1_500, start);
        assert_eq!(responder.request(7, 400, None, start + ms(9)), ResendDecision::TooSoon);
        assert!(responder.has_budget(500, start) && !responder.has_budget(501, start));
        assert_eq!(responder.request(8, 501, None, start), ResendDecision::OverBudget);
        assert_eq!(responder.request(8, 500, None, start), ResendDecision::Send);
        responder.on_sent(1_500, start);
        assert!(responder.has_budget(1_000, start) && !responder.has_budget(1_001, start));
    }

    #[test]
    fn memory_is_taken_with_the_first_request_and_bounded() {
        let start = Instant::now();
        let mut responder = NackResponder::new(ResendConfig::default());
        assert_eq!(responder.memory_bytes(), 0);
        for seq in 0..100_000 {
            responder.request(seq, 1, None, start);
        }
        assert!(responder.memory_bytes() <= 8 * 1_024, "{}", responder.memory_bytes());
    }
}
