//! How lossy a way is, and whether losses come alone or in runs.

/// Loss of a way as a good and a bad state that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LinkLoss {
    /// Share of the packets lost, 0..=1.
    pub ratio: f64,
    /// How much of its state the way keeps from packet to packet, 0..1; zero: losses are
    /// independent. With mean runs of `b` lost packets it is `1 − 1 / (b (1 − ratio))`.
    pub memory: f64,
}

/// Packets over which the mean that shows what is new is taken: 640 ms in frames of 20 ms.
const FAST: f64 = 32.0;
/// And the one that is believed.
const SLOW: f64 = 128.0;
/// Runs of losses: they are fewer than packets.
const RUNS: f64 = 400.0;
/// Smaller values are noise.
const LEAST_MEMORY: f64 = 0.2;
/// A longer run is an interruption: it says nothing about what comes after it.
const LONGEST_RUN: u64 = 32;
/// What is new is believed at once if it is this many standard deviations above what was.
const SURPRISE: f64 = 3.0;

/// Share with exponential forgetting, right from the first packet on.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    hits: f64,
    total: f64,
}

impl Share {
    fn add(&mut self, hit: bool, span: f64) {
        let keep = 1.0 - 1.0 / span;
        self.hits = self.hits * keep + f64::from(u8::from(hit));
        self.total = self.total * keep + 1.0;
    }

    fn get(&self) -> f64 {
        if self.total > 0.0 { self.hits / self.total } else { 0.0 }
    }
}

/// Measures the loss of one way by the fates of packets, in the order they were sent.
///
/// Constant time and memory. A rise is seen within a second, a fall within some seconds.
#[derive(Debug, Clone, Default)]
pub struct LossMeter {
    fast: Share,
    slow: Share,
    lost: f64,
    runs: f64,
    run: u64,
}

impl LossMeter {
    /// Takes one packet.
    pub fn on_packet(&mut self, is_lost: bool) {
        if is_lost && self.run >= LONGEST_RUN {
            return;
        }
        let starts = is_lost && self.run == 0;
        self.run = if is_lost { self.run + 1 } else { 0 };
        self.fast.add(is_lost, FAST);
        self.slow.add(is_lost, SLOW);
        let keep = 1.0 - 1.0 / RUNS;
        self.lost = self.lost * keep + f64::from(u8::from(is_lost));
        self.runs = self.runs * keep + f64::from(u8::from(starts));
    }

    /// Takes a packet that arrived after `missing` others that didn't.
    pub fn on_gap(&mut self, missing: u64) {
        (0..missing.min(LONGEST_RUN)).for_each(|_| self.on_packet(true));
        self.on_packet(false);
    }

    /// What comes next follows `lost` packets of its stream that were lost one after the other;
    /// returns the same of what came before. For streams that share a way.
    pub fn switch_run(&mut self, lost: u64) -> u64 {
        std::mem::replace(&mut self.run, lost)
    }

    /// Takes a share reported of so many packets, where fates are not known one by one.
    pub fn on_report(&mut self, ratio: f64, packets: u32) {
        let packets = packets.min(FAST as u32);
        let mut owed = 0.5;
        for _ in 0..packets {
            owed += ratio.clamp(0.0, 1.0);
            self.on_packet(owed >= 1.0);
            owed -= f64::from(u8::from(owed >= 1.0));
        }
        // Nothing is known of the runs.
        (self.lost, self.runs) = (0.0, 0.0);
    }

    /// The loss now.
    pub fn loss(&self) -> LinkLoss {
        let (fast, slow) = (self.fast.get(), self.slow.get());
        let noise = (slow * (1.0 - slow) / (2.0 * FAST)).sqrt().max(0.01);
        let ratio = if fast - slow > SURPRISE * noise { fast } else { slow };
        LinkLoss { ratio, memory: self.memory(slow) }
    }

    fn memory(&self, ratio: f64) -> f64 {
        // Few runs say little.
        if self.runs < 3.0 || ratio >= 0.99 {
            return 0.0;
        }
        let mean_run = self.lost / self.runs;
        let memory = 1.0 - 1.0 / (mean_run * (1.0 - ratio));
        if memory < LEAST_MEMORY { 0.0 } else { memory.min(0.98) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netem::Rng;

    /// After so many packets with mean runs of `burst`, or independent ones.
    fn measured(ratio: f64, burst: Option<f64>, packets: u32, seed: u64) -> LinkLoss {
        let mut rng = Rng::new(seed);
        let mut meter = LossMeter::default();
        let mut is_bad = false;
        for _ in 0..packets {
            let change = match (burst, is_bad) {
                (None, _) => ratio,
                (Some(mean), true) => 1.0 / mean,
                (Some(mean), false) => ratio / (mean * (1.0 - ratio)),
            };
            let flips = rng.chance(change);
            is_bad = if burst.is_none() { flips } else { is_bad ^ flips };
            meter.on_packet(is_bad);
        }
        meter.loss()
    }

    #[test]
    fn a_rise_is_seen_within_a_second_and_a_fall_within_some() {
        let mut meter = LossMeter::default();
        (0..1_000).for_each(|_| meter.on_packet(false));
        assert_eq!(meter.loss(), LinkLoss::default());
        let mut rng = Rng::new(1);
        (0..50).for_each(|_| meter.on_packet(rng.chance(0.7)));
        assert!(meter.loss().ratio > 0.35, "{:?}", meter.loss());
        (0..500).for_each(|_| meter.on_packet(rng.chance(0.7)));
        assert!((meter.loss().ratio - 0.7).abs() < 0.1, "{:?}", meter.loss());
        (0..1_000).for_each(|_| meter.on_packet(false));
        assert!(meter.loss().ratio < 0.001, "{:?}", meter.loss());
    }

    #[test]
    fn random_and_bursty_loss_are_told_apart() {
        for seed in 0..20 {
            for ratio in [0.1, 0.3, 0.5, 0.7] {
                let loss = measured(ratio, None, 1_500, seed);
                assert!((loss.ratio - ratio).abs() < 0.16, "{ratio} {loss:?}");
                assert!(loss.memory <= 0.35, "{ratio} {loss:?}");
            }
            let loss = measured(0.5, Some(8.0), 1_500, seed);
            assert!(loss.memory > 0.4, "{loss:?}");
        }
    }

    #[test]
    fn an_interruption_is_no_loss_to_come() {
        let mut meter = LossMeter::default();
        (0..500).for_each(|_| meter.on_packet(false));
        meter.on_gap(1_500);
        let after = meter.loss().ratio;
        assert!(after < 0.8);
        let mut rest = LossMeter::default();
        rest.on_gap(u64::MAX);
        assert!(rest.loss().ratio < 1.0);
    }

    #[test]
    fn reports_give_the_share_without_runs() {
        let mut meter = LossMeter::default();
        (0..20).for_each(|_| meter.on_report(0.3, 50));
        assert!((meter.loss().ratio - 0.3).abs() < 0.02, "{:?}", meter.loss());
        assert_eq!(meter.loss().memory, 0.0);
    }
}
