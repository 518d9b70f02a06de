//! Whether lost packets are our own fault.
//!
//! A path may lose packets whatever is sent (radio), or because more is sent than it carries.
//! Only the second is a reason to send less. Loss alone cannot tell them apart, an experiment
//! can: send less for a moment. If the share that is lost stays, it has nothing to do with the
//! rate; if it falls as the model of a full link says it must, the link was full.

use std::ops::AddAssign;

/// Loss this far above what the path is known to have is not worth an experiment.
const TOLERANCE: f64 = 0.02;
/// Deviations of a binomial count that still are chance.
const SIGMAS: f64 = 2.5;
/// A verdict needs the one hypothesis to be this much more likely (natural logarithm).
const DECISIVE: f64 = 3.0;
const WINDOW_US: i64 = 500_000;
const WINDOW_PACKETS: u32 = 20;
/// Longest time a window is left open.
const MAX_WINDOW_US: i64 = 3_000_000;
/// Packets sent this soon after the rate was lowered do not count yet: senders need a moment.
const SETTLE_US: i64 = 150_000;
const TRIAL_PACKETS: u32 = 30;
const TRIAL_US: i64 = 400_000;
const MAX_TRIAL_US: i64 = 3_000_000;
/// Rest after an experiment.
const REST_US: i64 = 1_000_000;
/// The rate of an experiment, as a share of the rate before.
/// And of what the link seems to carry: enough below for its loss to go away.
const TRIAL_SHARE: f64 = 0.85;
const LEAST_TRIAL: f64 = 0.5;
const MOST_TRIAL: f64 = 0.8;

/// Packets whose fate is known, by the time they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Tally {
    pub(super) packets: u32,
    pub(super) lost: u32,
    pub(super) bytes: u64,
    pub(super) lost_bytes: u64,
}

impl Tally {
    /// Share of the packets that was lost.
    fn ratio(&self) -> f64 {
        f64::from(self.lost) / f64::from(self.packets.max(1))
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.packets += other.packets;
        self.lost += other.lost;
        self.bytes += other.bytes;
        self.lost_bytes += other.lost_bytes;
    }
}

/// What the loss of a window means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    /// The link carries this many bits per second and no more.
    Congested(f64),
    /// The path loses packets by itself.
    Inherent,
}

#[derive(Debug, Clone, Copy)]
struct Trial {
    began_us: i64,
    /// Loss and rate before.
    ratio: f64,
    sent_bps: f64,
    target_bps: f64,
    tally: Tally,
    /// Time of the first packets of the trial, and their bytes: the rate counts from there.
    first: Option<(i64, u64)>,
    last_us: i64,
}

/// Tells congestion loss from loss that comes with the path.
#[derive(Debug, Clone, Default)]
pub(super) struct LossJudge {
    /// Loss the path is known to have by itself.
    inherent: f64,
    /// The same when it was last established; it moves only a little by itself.
    established: f64,
    window: Tally,
    window_from_us: Option<i64>,
    suspicious: u32,
    trial: Option<Trial>,
    rest_until_us: i64,
    ratio: Option<f64>,
}

impl LossJudge {
    /// Share of the packets the path loses whatever is sent.
    pub(super) fn inherent(&self) -> f64 {
        self.inherent
    }

    /// Share of the packets lost in the last window.
    pub(super) fn ratio(&self) -> Option<f64> {
        self.ratio
    }

    /// The rate not to exceed while an experiment runs.
    pub(super) fn cap_bps(&self) -> Option<f64> {
        self.trial.map(|trial| trial.target_bps)
    }

    /// Forgets what is under way: the path was interrupted.
    pub(super) fn interrupt(&mut self) {
        self.window = Tally::default();
        self.window_from_us = None;
        self.suspicious = 0;
        self.trial = None;
    }

    /// Takes packets that were sent at about `sent_us`. `is_queued`: delays show that the link
    /// is full.
    pub(super) fn add(&mut self, sent_us: i64, tally: Tally, is_queued: bool) -> Option<Verdict> {
        if let Some(trial) = &mut self.trial {
            if sent_us >= trial.began_us + SETTLE_US {
                trial.first.get_or_insert((sent_us, tally.bytes));
                trial.last_us = trial.last_us.max(sent_us);
                trial.tally += tally;
            }
            return self.judge_trial(sent_us, is_queued);
        }
        let from_us = *self.window_from_us.get_or_insert(sent_us);
        let elapsed_us = sent_us - from_us;
        let is_full = elapsed_us >= WINDOW_US && self.window.packets >= WINDOW_PACKETS;
        if !is_full && elapsed_us < MAX_WINDOW_US {
            self.window += tally;
            return None;
        }
        let complete = std::mem::replace(&mut self.window, tally);
        self.window_from_us = Some(sent_us);
        self.judge_window(sent_us, complete, elapsed_us, is_queued)
    }

    fn judge_window(
        &mut self,
        now_us: i64,
        window: Tally,
        elapsed_us: i64,
        is_queued: bool,
    ) -> Option<Verdict> {
        let ratio = window.ratio();
        self.ratio = Some(ratio);
        if ratio <= self.inherent + self.margin(window.packets) {
            self.suspicious = 0;
            if !is_queued {
                self.follow(ratio);
            }
            return None;
        }
        self.suspicious += 1;
        let sent_bps = window.bytes as f64 * 8e6 / elapsed_us.max(1) as f64;
        let carried_bps = sent_bps * (1.0 - ratio) / (1.0 - self.inherent);
        if is_queued {
            self.suspicious = 0;
            return Some(Verdict::Congested(carried_bps));
        }
        if self.suspicious >= 2 && now_us >= self.rest_until_us && sent_bps > 0.0 {
            self.suspicious = 0;
            let target =
                (TRIAL_SHARE * carried_bps).clamp(LEAST_TRIAL * sent_bps, MOST_TRIAL * sent_bps);
            self.trial = Some(Trial {
                began_us: now_us,
                ratio,
                sent_bps,
                target_bps: target,
                tally: Tally::default(),
                first: None,
                last_us: now_us,
            });
        }
        None
    }

    fn margin(&self, packets: u32) -> f64 {
        let p = self.inherent.max(0.01);
        TOLERANCE + SIGMAS * (p * (1.0 - p) / f64::from(packets.max(1))).sqrt()
    }

    fn follow(&mut self, ratio: f64) {
        self.inherent += 0.1 * (ratio - self.inherent);
        self.inherent = self.inherent.min(self.established + TOLERANCE);
        self.established = self.established.min(self.inherent + TOLERANCE);
    }

    fn judge_trial(&mut self, now_us: i64, is_queued: bool) -> Option<Verdict> {
        let trial = self.trial?;
        let (first_us, first_bytes) = trial.first.unwrap_or((trial.last_us, 0));
        let elapsed_us = trial.last_us - first_us;
        let is_late = now_us - trial.began_us >= MAX_TRIAL_US;
        if !is_late && (trial.tally.packets < TRIAL_PACKETS || elapsed_us < TRIAL_US) {
            return None;
        }
        let bytes = trial.tally.bytes - first_bytes;
        let sent_bps = bytes as f64 * 8e6 / elapsed_us.max(TRIAL_US) as f64;
        let evidence = self.evidence(&trial, sent_bps);
        if !is_late && evidence.abs() < DECISIVE {
            return None;
        }
        let (ratio, packets) = (trial.tally.ratio(), trial.tally.packets);
        self.end_trial(now_us);
        // Without a decision only delays are left to say something.
        let is_congested = if evidence.abs() < DECISIVE { is_queued } else { evidence > 0.0 };
        if is_congested {
            let carried = trial.sent_bps * (1.0 - trial.ratio) / (1.0 - self.inherent);
            return Some(Verdict::Congested(carried));
        }
        let known = if packets > 0 { ratio.min(trial.ratio) } else { trial.ratio };
        self.inherent = known.min(0.95);
        self.established = self.inherent;
        Some(Verdict::Inherent)
    }

    fn end_trial(&mut self, now_us: i64) {
        self.trial = None;
        self.rest_until_us = now_us + REST_US;
        self.window = Tally::default();
        self.window_from_us = None;
    }

    /// How much likelier than loss of the path itself it is that the link was full.
    fn evidence(&self, trial: &Trial, sent_bps: f64) -> f64 {
        let known = self.inherent;
        let carried = trial.sent_bps * (1.0 - trial.ratio) / (1.0 - known);
        let excess = (1.0 - carried / sent_bps.max(1.0)).max(0.0);
        let if_full = (known + (1.0 - known) * excess).clamp(0.005, 0.99);
        let if_inherent = trial.ratio.clamp(0.01, 0.99);
        let (lost, packets) = (f64::from(trial.tally.lost), f64::from(trial.tally.packets));
        lost * (if_full / if_inherent).ln()
            + (packets - lost) * ((1.0 - if_full) / (1.0 - if_inherent)).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netem::Rng;

    const STEP_US: i64 = 100_000;

    /// Sends for a while at `wanted` or the judge's cap; returns verdicts and the mean rate.
    fn run(
        judge: &mut LossJudge,
        from_s: i64,
        to_s: i64,
        wanted: f64,
        inherent: f64,
        capacity: f64,
    ) -> (Vec<Verdict>, f64) {
        let mut rng = Rng::new(from_s as u64 + (inherent * 100.0) as u64);
        let mut wanted = wanted;
        let mut verdicts = Vec::new();
        let mut sent = 0.0;
        for step in from_s * 10..to_s * 10 {
            let rate = judge.cap_bps().map_or(wanted, |cap| cap.min(wanted));
            let packets = (rate / 10.0 / 8_000.0).round() as u32;
            sent += f64::from(packets) * 8_000.0;
            let excess = (1.0 - capacity / rate).max(0.0);
            let loss = inherent + (1.0 - inherent) * excess;
            let lost = (0..packets).filter(|_| rng.chance(loss)).count() as u32;
            let tally = Tally {
                packets,
                lost,
                bytes: u64::from(packets) * 1_000,
                lost_bytes: u64::from(lost) * 1_000,
            };
            if let Some(verdict) = judge.add(step * STEP_US, tally, false) {
                if let Verdict::Congested(carried) = verdict {
                    wanted = wanted.min(carried);
                }
                verdicts.push(verdict);
            }
        }
        (verdicts, sent / (to_s - from_s) as f64)
    }

    #[test]
    fn loss_that_does_not_follow_the_rate_belongs_to_the_path() {
        for inherent in [0.1, 0.3, 0.5, 0.7] {
            let mut judge = LossJudge::default();
            let (verdicts, _) = run(&mut judge, 0, 10, 1e6, inherent, 1e9);
            assert_eq!(verdicts[..], [Verdict::Inherent], "{inherent}");
            assert!((judge.inherent() - inherent).abs() < 0.12, "{inherent}: {judge:?}");
            let (verdicts, rate) = run(&mut judge, 10, 130, 1e6, inherent, 1e9);
            assert!(verdicts.len() <= 2, "{inherent}: {verdicts:?}");
            assert!(rate > 0.95e6, "{inherent}: {rate}");
        }
    }

    #[test]
    fn loss_that_goes_away_at_a_lower_rate_is_congestion() {
        for capacity in [300e3, 500e3, 800e3] {
            let mut judge = LossJudge::default();
            let (verdicts, _) = run(&mut judge, 0, 10, 1e6, 0.0, capacity);
            let Some(Verdict::Congested(carried)) = verdicts.last().copied() else {
                panic!("{capacity}: {verdicts:?}");
            };
            assert!((carried / capacity - 1.0).abs() < 0.2, "{capacity}: {carried}");
            assert!(judge.inherent() < 0.05);
        }
    }

    #[test]
    fn congestion_on_a_lossy_path_is_told_from_its_loss() {
        let mut judge = LossJudge::default();
        run(&mut judge, 0, 10, 1e6, 0.3, 1e9);
        let (verdicts, _) = run(&mut judge, 10, 20, 1e6, 0.3, 500e3);
        let Some(Verdict::Congested(carried)) = verdicts.last().copied() else {
            panic!("{verdicts:?}");
        };
        assert!((carried / 500e3 - 1.0).abs() < 0.3, "{carried}");
    }

    #[test]
    fn a_path_that_gets_better_is_noticed() {
        let mut judge = LossJudge::default();
        run(&mut judge, 0, 10, 1e6, 0.5, 1e9);
        run(&mut judge, 10, 60, 1e6, 0.0, 1e9);
        assert!(judge.inherent() < 0.02, "{judge:?}");
    }

    #[test]
    fn delays_that_show_a_full_link_need_no_experiment() {
        let mut judge = LossJudge::default();
        let tally = Tally { packets: 30, lost: 10, bytes: 30_000, lost_bytes: 10_000 };
        let mut verdicts = (0..10).filter_map(|step| judge.add(step * STEP_US, tally, true));
        let Some(Verdict::Congested(carried)) = verdicts.next() else { panic!() };
        assert!((carried / (2.4e6 * 2.0 / 3.0) - 1.0).abs() < 0.01, "{carried}");
    }
}
