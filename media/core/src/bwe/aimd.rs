//! From "the queue grows" to a rate: additive or multiplicative increase, multiplicative decrease
//! (draft-ietf-rmcat-gcc-02, section 5.5).

use super::delay::Usage;

/// Share of what arrives that is kept when the path is overused.
const BETA: f64 = 0.85;
/// Time beyond a round trip until a decrease shows in the trend.
const EFFECT_US: i64 = 250_000;
/// Growth per second far from the limit of the path.
const GROWTH_PER_S: f64 = 1.08;
/// Least growth near it.
const LEAST_GROWTH_BPS: f64 = 4_000.0;
/// Bits of one packet: the growth near the limit is one per response time.
const PACKET_BITS: f64 = 1_200.0 * 8.0;
/// Growth against a competing TCP, as a share of its own.
const COMPETING_SHARE: f64 = 1.0;
/// The estimate grows no further than this beyond what arrives.
const HEADROOM: f64 = 1.5;
const HEADROOM_BPS: f64 = 10_000.0;
/// So long after a decrease the limit is taken to be known whatever seems to get through.
const CAUTION_US: i64 = 10_000_000;
/// Share of what arrives that the path is known to carry.
const SHOWN: f64 = 0.85;

/// Mean and spread of what arrived when the path was overused: where its limit is.
#[derive(Debug, Clone, Copy)]
struct Limit {
    mean: f64,
    /// Normalised by the mean.
    variance: f64,
}

impl Limit {
    const WEIGHT: f64 = 0.05;

    fn new(rate: f64) -> Limit {
        Limit { mean: rate, variance: 0.4 }
    }

    fn add(&mut self, rate: f64) {
        let error = self.mean - rate;
        self.mean += Self::WEIGHT * (rate - self.mean);
        let normalised = error * error / self.mean.max(1.0);
        self.variance =
            ((1.0 - Self::WEIGHT) * self.variance + Self::WEIGHT * normalised).clamp(0.4, 2.5);
    }

    /// `variance` is in kbit/s per kbit/s, so deviations grow with the root of the rate.
    fn deviation(&self) -> f64 {
        (self.variance * self.mean / 1_000.0).sqrt() * 1_000.0
    }
}

/// The delay-based rate.
#[derive(Debug, Clone)]
pub(super) struct RateControl {
    bps: f64,
    limit: Option<Limit>,
    updated_us: Option<i64>,
    decreased_us: Option<i64>,
    grows: bool,
}

/// What the path is like at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observation {
    pub(super) usage: Usage,
    /// What gets through, were it not for loss that has nothing to do with the rate.
    pub(super) throughput_bps: Option<f64>,
    pub(super) round_trip_us: i64,
    /// The rate must not grow now.
    pub(super) hold: bool,
    /// Someone else keeps the link full.
    pub(super) competes: bool,
}

impl RateControl {
    pub(super) fn new(bps: f64) -> RateControl {
        RateControl { bps, limit: None, updated_us: None, decreased_us: None, grows: true }
    }

    pub(super) fn bps(&self) -> f64 {
        self.bps
    }

    /// Whether the path was overused lately, or earlier and not seen to carry more since.
    pub(super) fn knows_limit(&self, now_us: i64) -> bool {
        self.limit.is_some() || self.decreased_us.is_some_and(|at| now_us - at < CAUTION_US)
    }

    /// When the rate was lowered last.
    pub(super) fn decreased_us(&self) -> Option<i64> {
        self.decreased_us
    }

    /// Takes what the newest feedback says. Returns whether the rate was lowered.
    pub(super) fn update(&mut self, now_us: i64, seen: &Observation) -> bool {
        let elapsed_us = now_us - self.updated_us.replace(now_us).unwrap_or(now_us);
        match seen.usage {
            Usage::Overuse => {
                self.grows = false;
                return self.decrease(now_us, seen);
            }
            Usage::Underuse => self.grows = false,
            Usage::Normal if seen.hold => {}
            Usage::Normal if !self.grows => self.grows = true,
            Usage::Normal => self.increase(elapsed_us as f64 / 1e6, seen),
        }
        false
    }

    /// Once per round trip, unless the rate is far too high.
    fn decrease(&mut self, now_us: i64, seen: &Observation) -> bool {
        let Some(throughput) = seen.throughput_bps else { return false };
        let pause_us = seen.round_trip_us.clamp(10_000, 500_000) + EFFECT_US;
        let is_too_soon = self.decreased_us.is_some_and(|at| now_us - at < pause_us);
        if is_too_soon && throughput > self.bps / 2.0 {
            return false;
        }
        self.cut(now_us, throughput, BETA);
        true
    }

    /// The path carries `throughput` and no more: the rate falls to `share` of it.
    pub(super) fn cut(&mut self, now_us: i64, throughput: f64, share: f64) {
        if let Some(limit) = &self.limit
            && throughput < limit.mean - 3.0 * limit.deviation()
        {
            self.limit = None;
        }
        match &mut self.limit {
            Some(limit) => limit.add(throughput),
            None => self.limit = Some(Limit::new(throughput)),
        }
        self.bps = self.bps.min(throughput * share);
        self.decreased_us = Some(now_us);
        self.grows = false;
    }

    fn increase(&mut self, elapsed_s: f64, seen: &Observation) {
        let Some(throughput) = seen.throughput_bps else { return };
        if let Some(limit) = &self.limit
            && throughput > limit.mean + 3.0 * limit.deviation()
        {
            self.limit = None;
        }
        let ceiling = HEADROOM * throughput + HEADROOM_BPS;
        if self.bps >= ceiling {
            return;
        }
        let elapsed_s = elapsed_s.clamp(0.0, 1.0);
        if self.decreased_us.is_none() {
            // The path was never full. What arrives is carried, whoever believed less: bursts and
            // the first pictures show it before any probe does.
            self.bps = self.bps.max(SHOWN * throughput);
        }
        let grown = match self.limit {
            _ if seen.competes => {
                // Of what TCP adds: a packet per round trip, each round trip.
                let response_s = (seen.round_trip_us as f64 / 1e6).clamp(0.05, 1.0) + 0.1;
                self.bps + COMPETING_SHARE * PACKET_BITS / (response_s * response_s) * elapsed_s
            }
            Some(_) => {
                let response_s = (seen.round_trip_us as f64 / 1e6).clamp(0.01, 1.0) + 0.1;
                self.bps + (PACKET_BITS / response_s).max(LEAST_GROWTH_BPS) * elapsed_s
            }
            None => (self.bps * GROWTH_PER_S.powf(elapsed_s)).max(self.bps + 1_000.0 * elapsed_s),
        };
        self.bps = grown.min(ceiling);
    }

    /// Takes a rate that was measured otherwise.
    pub(super) fn set(&mut self, bps: f64) {
        self.bps = bps;
        if self.limit.is_some_and(|limit| bps > limit.mean + 3.0 * limit.deviation()) {
            self.limit = None;
        }
    }

    /// Keeps the rate within the bounds.
    pub(super) fn clamp(&mut self, least: f64, most: f64) {
        self.bps = self.bps.clamp(least, most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(usage: Usage, throughput: f64) -> Observation {
        Observation {
            usage,
            throughput_bps: Some(throughput),
            round_trip_us: 50_000,
            hold: false,
            competes: false,
        }
    }

    #[test]
    fn the_rate_grows_by_eight_percent_a_second_far_from_the_limit() {
        let mut control = RateControl::new(500e3);
        for step in 0..=100 {
            let bps = control.bps();
            control.update(step * 100_000, &seen(Usage::Normal, bps));
        }
        let expected = 500e3 * 1.08_f64.powi(10);
        assert!((control.bps() / expected - 1.0).abs() < 0.01, "{}", control.bps());
    }

    #[test]
    fn what_arrives_is_believed_at_once_until_the_path_was_full() {
        let mut control = RateControl::new(300e3);
        control.update(0, &seen(Usage::Normal, 1e6));
        assert!((0.85e6..0.9e6).contains(&control.bps()) && !control.knows_limit(0));
        assert!(control.update(1_000_000, &seen(Usage::Overuse, 500e3)));
        for second in 2..=4 {
            control.update(second * 1_000_000, &seen(Usage::Normal, 1e6));
        }
        assert!(control.bps() < 0.6e6 && control.limit.is_none(), "{}", control.bps());
        assert!(control.knows_limit(10_999_999) && !control.knows_limit(11_000_000));
    }

    #[test]
    fn near_the_limit_it_grows_by_a_packet_per_response_time() {
        let mut control = RateControl::new(2e6);
        assert!(control.update(0, &seen(Usage::Overuse, 1e6)));
        assert_eq!(control.bps(), 850e3);
        control.update(100_000, &seen(Usage::Normal, 850e3));
        for step in 2..=11 {
            control.update(step * 100_000, &seen(Usage::Normal, 850e3));
        }
        let grown = control.bps() - 850e3;
        assert!((grown - 64e3).abs() < 7e3, "{grown}");
    }

    #[test]
    fn it_never_grows_far_beyond_what_arrives() {
        let mut control = RateControl::new(500e3);
        for step in 0..10_000 {
            control.update(step * 100_000, &seen(Usage::Normal, 400e3));
        }
        assert_eq!(control.bps(), 610e3);
        // And does not fall because less is sent.
        control.update(1_001_000_000, &seen(Usage::Normal, 10e3));
        assert_eq!(control.bps(), 610e3);
    }

    #[test]
    fn one_overuse_lowers_it_once_per_round_trip() {
        let mut control = RateControl::new(2e6);
        assert!(control.update(0, &seen(Usage::Overuse, 1.9e6)));
        assert!(!control.update(100_000, &seen(Usage::Overuse, 1.8e6)));
        assert!(!control.update(290_000, &seen(Usage::Overuse, 1.8e6)));
        assert!(control.update(310_000, &seen(Usage::Overuse, 1.8e6)));
        assert_eq!(control.bps(), 1.8e6 * BETA);
        assert!(control.update(350_000, &seen(Usage::Overuse, 300e3)), "far too high");
    }
}
