use super::*;
use crate::netem::Rng;
use crate::rtcp::{self, RtcpPacket, TwccWriter};
use std::time::Duration;

const BOUNDS: Bounds = Bounds { start_bps: 500_000, least_bps: 30_000, most_bps: 20_000_000 };

/// Feedback about `arrivals` from `base` on, as it comes over the wire.
fn feedback(writer: &mut TwccWriter, base: SeqNo, arrivals: &[Option<Duration>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = arrivals;
    let mut base = base;
    while !rest.is_empty() {
        let written = writer.write(&mut out, 1, 2, base, rest);
        rest = &rest[written.max(1)..];
        base = base.add(written as u16);
    }
    out
}

fn take(bwe: &mut BandwidthEstimator, now_us: i64, bytes: &[u8]) {
    for packet in rtcp::parse(bytes).flatten() {
        if let RtcpPacket::TransportFeedback(feedback) = packet {
            bwe.on_feedback(now_us, &feedback, Some(40_000));
        }
    }
    bwe.poll(now_us, 2_000_000);
}

/// Sends 1,000 bytes each `gap_us`; reports each 100 ms arrivals as `deliver` tells.
fn drive(
    bwe: &mut BandwidthEstimator,
    from_us: i64,
    to_us: i64,
    gap_us: i64,
    mut deliver: impl FnMut(i64) -> Option<i64>,
) {
    let mut writer = TwccWriter::default();
    let mut pending: Vec<Option<Duration>> = Vec::new();
    let mut base = bwe.next_number();
    let mut now_us = from_us;
    while now_us < to_us {
        pending.push(deliver(now_us).map(|at| Duration::from_micros(at as u64)));
        bwe.on_sent(now_us, 1_000, true);
        now_us += gap_us;
        if pending.len() as i64 * gap_us >= 100_000 {
            let known = pending.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            let bytes = feedback(&mut writer, base, &pending[..known]);
            base = base.add(pending.len() as u16);
            pending.clear();
            take(bwe, now_us + 40_000, &bytes);
        }
    }
}

#[test]
fn before_feedback_bursts_are_spread_for_a_while_and_nothing_is_limited() {
    let mut bwe = BandwidthEstimator::new(BOUNDS, SeqNo(5));
    assert_eq!((bwe.pacing_bps(0), bwe.is_settling(0)), (None, false));
    bwe.on_sent(0, 1_000, true);
    assert_eq!((bwe.budget_bps(), bwe.pacing_bps(0)), (None, Some(BOUNDS.start_bps)));
    assert!(bwe.is_settling(SETTLING_US - 1) && !bwe.is_settling(SETTLING_US));
    assert_eq!(bwe.next_timeout_us(0), Some(SETTLING_US));
    for step in 0..1_000 {
        bwe.on_sent(step * 10_000, 1_000, true);
        bwe.poll(step * 10_000, 1_000_000);
    }
    let end_us = 10_000_000;
    assert_eq!((bwe.pacing_bps(end_us), bwe.next_timeout_us(end_us)), (None, None));
}

#[test]
fn the_estimate_grows_with_what_is_sent_and_no_further() {
    let mut bwe = BandwidthEstimator::new(BOUNDS, SeqNo(65_530));
    drive(&mut bwe, 0, 60_000_000, 10_000, |at| Some(at + 20_000));
    let budget = bwe.budget_bps().unwrap();
    assert!((1_100_000..1_300_000).contains(&budget), "1.5 times 800 kb/s: {budget}");
    assert!(bwe.acked_bps().unwrap().abs_diff(800_000) < 40_000);
    assert_eq!(bwe.loss_ratio(), Some(0.0));
}

#[test]
fn half_of_the_packets_lost_at_random_do_not_lower_it() {
    let mut rng = Rng::new(3);
    let mut bwe = BandwidthEstimator::new(BOUNDS, SeqNo(0));
    drive(&mut bwe, 0, 60_000_000, 10_000, |at| (!rng.chance(0.5)).then_some(at + 20_000));
    let budget = bwe.budget_bps().unwrap();
    assert!(budget > 800_000, "{budget}");
}

#[test]
fn silence_lowers_the_budget_and_its_end_brings_it_back() {
    let mut bwe = BandwidthEstimator::new(BOUNDS, SeqNo(0));
    drive(&mut bwe, 0, 20_000_000, 10_000, |at| Some(at + 20_000));
    let before = bwe.budget_bps().unwrap();
    drive(&mut bwe, 20_000_000, 50_000_000, 10_000, |_| None);
    let mut now_us = 20_000_000;
    while now_us < 50_000_000 {
        bwe.poll(now_us, 2_000_000);
        now_us += 100_000;
    }
    assert_eq!(bwe.budget_bps(), Some(100_000));
    drive(&mut bwe, 50_000_000, 52_000_000, 10_000, |at| Some(at + 20_000));
    assert!(bwe.budget_bps().unwrap() > before / 2 - 1, "{:?}", bwe.budget_bps());
}

#[test]
fn remb_counts_only_without_better_feedback() {
    let mut bwe = BandwidthEstimator::new(BOUNDS, SeqNo(0));
    bwe.on_remb(0, 300_000);
    assert_eq!(bwe.budget_bps(), Some(300_000));
    bwe.on_remb(0, u64::MAX);
    assert_eq!(bwe.budget_bps(), Some(500_000), "no more than the start or twice what is sent");
    bwe.on_remb(0, 0);
    assert_eq!(bwe.budget_bps(), Some(30_000));
    drive(&mut bwe, 0, 5_000_000, 10_000, |at| Some(at + 20_000));
    let estimated = bwe.budget_bps();
    bwe.on_remb(0, 50_000);
    assert_eq!(bwe.budget_bps(), estimated);
}

#[test]
fn reports_limit_only_a_path_that_is_too_narrow() {
    for (capacity, inherent, expected) in
        [(1e9, 0.0, None), (1e9, 0.25, None), (400e3, 0.0, Some(400e3))]
    {
        let mut bwe = BandwidthEstimator::new(BOUNDS, SeqNo(0));
        let mut budgets = 0.0;
        for step in 0..60_i64 {
            let now_us = step * 1_000_000;
            let rate = bwe.budget_bps().map_or(1e6, |budget| (budget as f64).min(1e6));
            for part in 0..10 {
                bwe.on_sent(now_us + part * 100_000, (rate / 80.0) as usize, false);
            }
            let loss = inherent + (1.0 - inherent) * (1.0 - capacity / rate).max(0.0);
            bwe.on_report(now_us + 999_999, (rate / 8e3) as u32, (rate / 8.0) as u64, loss);
            if step >= 20 {
                budgets += bwe.budget_bps().unwrap_or(0) as f64 / 40.0;
            }
        }
        match expected {
            None => assert_eq!(bwe.budget_bps(), None),
            Some(expected) => {
                let share = budgets / expected;
                assert!((0.7..1.3).contains(&share), "{budgets}");
            }
        }
    }
}

/// Feedback with every field at random, about packets that were and were not sent.
#[test]
fn malicious_feedback_neither_panics_nor_raises_the_estimate() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut bwe = BandwidthEstimator::new(BOUNDS, SeqNo(rng.bits() as u16));
        let mut now_us = 0;
        for _ in 0..2_000 {
            now_us += rng.below(20_000) as i64;
            bwe.on_sent(now_us, 1_000, true);
            let count = 1 + rng.below(60) as usize;
            let mut at = rng.below(1 << 24) * 64_000;
            let arrivals: Vec<Option<Duration>> = (0..count)
                .map(|index| {
                    at = (at + rng.below(8_000_000)).saturating_sub(rng.below(8_000_000));
                    (index + 1 == count || rng.chance(0.5)).then(|| Duration::from_micros(at))
                })
                .collect();
            let base = match rng.below(3) {
                0 => SeqNo(rng.bits() as u16),
                1 => bwe.next_number().sub(count as u16),
                _ => bwe.next_number().sub(rng.below(200) as u16),
            };
            let bytes = feedback(&mut TwccWriter::default(), base, &arrivals);
            take(&mut bwe, now_us, &bytes);
            let _ = (bwe.acked_bps(), bwe.next_timeout_us(now_us));
            // About 800 kb/s are sent; nobody is allowed more than 1.5 × 1.5 of it.
            let budget = bwe.budget_bps().unwrap_or(0);
            assert!(budget <= 2_000_000, "seed {seed}: {budget}");
        }
    }
}

#[test]
fn the_same_feedback_again_or_late_changes_nothing() {
    let mut bwe = BandwidthEstimator::new(BOUNDS, SeqNo(0));
    drive(&mut bwe, 0, 3_000_000, 10_000, |at| Some(at + 20_000));
    let acked = bwe.acked_bps();
    let arrivals: Vec<_> = (0..20_u64).map(|at| Some(Duration::from_millis(at))).collect();
    for base in [0, 100, 200, 279] {
        let bytes = feedback(&mut TwccWriter::default(), SeqNo(base), &arrivals);
        take(&mut bwe, 3_100_000, &bytes);
    }
    assert_eq!(bwe.acked_bps(), acked);
}
