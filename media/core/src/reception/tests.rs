use std::collections::BTreeSet;

use super::*;
use crate::netem::Rng;

const STARTS: [u16; 6] = [0, 1, 32767, 32768, 65534, 65535];

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

#[test]
fn a_perfect_stream_has_no_loss_from_every_start() {
    let start = Instant::now();
    for first in STARTS {
        let mut reception = Reception::new(48_000);
        assert_eq!(reception.report(), None);
        for step in 0..70_000_u64 {
            let seq = SeqNo(first.wrapping_add(step as u16));
            let now = start + ms(20 * step);
            let received = reception.on_packet(seq, 960 * step as u32, 100, now);
            assert_eq!(received.arrival, Arrival::Newest);
        }
        let report = reception.report().unwrap();
        let highest = u32::from(first) + 69_999;
        let expected =
            ReportBlock { fraction_lost: 0, cumulative_lost: 0, highest_seq: highest, jitter: 0 };
        assert_eq!(report, expected);
        assert_eq!((reception.packets(), reception.lost()), (70_000, 0));
    }
}

#[test]
fn the_fraction_counts_from_one_report_to_the_next() {
    let now = Instant::now();
    let mut reception = Reception::new(90_000);
    for seq in [10, 11, 13, 15] {
        reception.on_packet(SeqNo(seq), 0, 1, now);
    }
    let report = reception.report().unwrap();
    assert_eq!((report.fraction_lost, report.cumulative_lost), ((2 * 256 / 6) as u8, 2));
    assert_eq!(reception.report().unwrap().fraction_lost, 0);
    for seq in [16, 17, 12] {
        reception.on_packet(SeqNo(seq), 0, 1, now);
    }
    let report = reception.report().unwrap();
    assert_eq!((report.fraction_lost, report.cumulative_lost), (0, 1));
    reception.on_packet(SeqNo(10_017), 0, 1, now);
    assert_eq!(reception.report().unwrap().fraction_lost, 255);
}

#[test]
fn cumulative_loss_stays_within_24_bits() {
    let now = Instant::now();
    let mut reception = Reception::new(90_000);
    for step in 0..400_u16 {
        reception.on_packet(SeqNo(step.wrapping_mul(32_767)), 0, 1, now);
    }
    assert_eq!(reception.report().unwrap().cumulative_lost, 0x7f_ffff);
    let mut reception = Reception::new(90_000);
    for _ in 0..9_000_000 {
        reception.received += 1;
    }
    reception.on_packet(SeqNo(1), 0, 1, now);
    assert_eq!(reception.report().unwrap().cumulative_lost, -0x80_0000);
}

#[test]
fn repaired_packets_are_no_loss_but_stay_in_the_report() {
    let now = Instant::now();
    let mut reception = Reception::new(90_000);
    for seq in [65_534, 65_535, 2, 3] {
        reception.on_packet(SeqNo(seq), 0, 100, now);
    }
    assert_eq!(reception.lost(), 2);
    assert_eq!(reception.on_repaired(SeqNo(0), 80, now).arrival, Arrival::Late);
    assert_eq!(reception.on_repaired(SeqNo(0), 80, now).arrival, Arrival::Duplicate);
    assert_eq!(reception.on_repaired(SeqNo(3), 80, now).arrival, Arrival::Duplicate);
    assert_eq!((reception.lost(), reception.repaired(), reception.duplicates()), (1, 1, 2));
    assert_eq!(reception.report().unwrap().cumulative_lost, 2);
    assert!((reception.loss_ratio(now) - 2.0 / 6.0).abs() < 1e-9);
    // The original was only late: it is received, not repaired.
    assert_eq!(reception.on_packet(SeqNo(0), 0, 100, now).arrival, Arrival::Duplicate);
    assert_eq!((reception.lost(), reception.repaired(), reception.packets()), (1, 0, 5));
}

#[test]
fn a_repaired_packet_may_be_the_newest() {
    let now = Instant::now();
    let mut reception = Reception::new(90_000);
    reception.on_packet(SeqNo(7), 0, 100, now);
    assert_eq!(reception.on_repaired(SeqNo(9), 100, now).arrival, Arrival::Newest);
    assert_eq!(reception.on_packet(SeqNo(8), 0, 100, now).arrival, Arrival::Late);
    assert_eq!((reception.lost(), reception.packets()), (0, 3));
}

#[test]
fn packets_from_before_the_window_count_as_duplicates() {
    let now = Instant::now();
    let mut reception = Reception::new(90_000);
    reception.on_packet(SeqNo(100), 0, 1, now);
    reception.on_packet(SeqNo(100 + WINDOW as u16), 0, 1, now);
    assert_eq!(reception.on_packet(SeqNo(101), 0, 1, now).arrival, Arrival::Late);
    assert_eq!(reception.on_packet(SeqNo(100), 0, 1, now).arrival, Arrival::Duplicate);
    assert_eq!(reception.on_packet(SeqNo(99), 0, 1, now).arrival, Arrival::Duplicate);
}

#[test]
fn jitter_converges_to_the_mean_deviation() {
    let start = Instant::now();
    let mut reception = Reception::new(90_000);
    // Alternately 5 ms early and late: |D| is 10 ms each time.
    for step in 0..400_u64 {
        let late = if step % 2 == 0 { 10 } else { 0 };
        let now = start + ms(33 * step + late);
        reception.on_packet(SeqNo(step as u16), 2_970 * step as u32, 1, now);
    }
    let jitter = reception.jitter();
    assert!(jitter.abs_diff(ms(10)) < Duration::from_micros(100), "{jitter:?}");
    assert!((895..=900).contains(&reception.report().unwrap().jitter));
}

#[test]
fn a_jump_of_the_timestamps_is_no_jitter() {
    let start = Instant::now();
    let mut reception = Reception::new(48_000);
    for step in 0..100_u64 {
        let jump = if step >= 50 { 0x4000_0000 } else { 0 };
        let timestamp = (960 * step as u32).wrapping_add(jump);
        reception.on_packet(SeqNo(step as u16), timestamp, 1, start + ms(20 * step));
    }
    assert_eq!(reception.jitter(), Duration::ZERO);
}

#[test]
fn loss_and_bitrate_are_those_of_the_last_second() {
    let start = Instant::now();
    let mut reception = Reception::new(48_000);
    for step in 0..300_u64 {
        let now = start + ms(step * 10);
        if step < 100 || step % 2 == 0 {
            reception.on_packet(SeqNo(step as u16), 0, 125, now);
        }
        let rate = reception.bitrate_bps(now) as f64;
        match step {
            60..100 => {
                assert_eq!(reception.loss_ratio(now), 0.0);
                assert!((rate - 100_000.0).abs() < 6_000.0, "{rate}");
            }
            210.. => {
                assert!((reception.loss_ratio(now) - 0.5).abs() < 0.02);
                assert!((rate - 50_000.0).abs() < 2_000.0, "{rate}");
            }
            _ => {}
        }
    }
    assert_eq!(reception.loss_ratio(start + ms(60_000)), 0.0);
    assert_eq!(reception.bitrate_bps(start + ms(60_000)), 0);
}

/// Everything recomputed from all packets ever seen.
#[derive(Default)]
struct Oracle {
    originals: Vec<u64>,
    repaired: BTreeSet<u64>,
    last_expected: u64,
    last_received: u64,
}

impl Oracle {
    fn report(&mut self) -> (u8, i32) {
        let all = self.originals.iter().chain(&self.repaired);
        let (low, high) = (all.clone().min().unwrap(), all.max().unwrap());
        let (expected, received) = (high - low + 1, self.originals.len() as u64);
        let interval = (expected - self.last_expected) as i64;
        let lost = interval - (received - self.last_received) as i64;
        (self.last_expected, self.last_received) = (expected, received);
        let fraction = if interval == 0 || lost < 0 { 0 } else { (lost * 256 / interval).min(255) };
        (fraction as u8, (expected as i64 - received as i64) as i32)
    }
}

#[test]
fn numbers_agree_with_a_naive_count_over_random_streams() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut now = Instant::now();
        let first = STARTS[seed as usize % 6];
        let mut reception = Reception::new(90_000);
        let mut oracle = Oracle::default();
        let mut sent: u64 = 0;
        let loss = rng.unit();
        for _ in 0..3_000 {
            now += ms(rng.below(10));
            sent += 1;
            let late = if rng.chance(0.1) { rng.below(sent.min(60)) } else { 0 };
            let number = sent - late;
            let seq = SeqNo(first.wrapping_add(number as u16));
            let known = oracle.originals.contains(&number) || oracle.repaired.contains(&number);
            let newest = oracle.originals.iter().chain(&oracle.repaired).max();
            let expected = match newest {
                _ if known => Arrival::Duplicate,
                Some(newest) if number < *newest => Arrival::Late,
                _ => Arrival::Newest,
            };
            if rng.chance(loss) {
                if rng.chance(0.3) && newest.is_some() {
                    assert_eq!(reception.on_repaired(seq, 10, now).arrival, expected);
                    if !known {
                        oracle.repaired.insert(number);
                    }
                }
            } else {
                assert_eq!(reception.on_packet(seq, 0, 10, now).arrival, expected);
                oracle.originals.push(number);
            }
            if rng.chance(0.02) && !oracle.originals.is_empty() {
                let report = reception.report().unwrap();
                let (fraction, cumulative) = oracle.report();
                // A first packet that was overtaken moves the start, not the last report.
                assert_eq!((report.fraction_lost, report.cumulative_lost), (fraction, cumulative));
            }
        }
        let unique: BTreeSet<u64> =
            oracle.originals.iter().chain(&oracle.repaired).copied().collect();
        assert_eq!(reception.packets(), unique.len() as u64);
        let span = unique.last().unwrap() - unique.first().unwrap() + 1;
        assert_eq!(reception.lost(), span - unique.len() as u64);
    }
}

#[test]
fn what_has_not_come_is_missing_until_it_comes_or_is_forgotten() {
    let now = Instant::now();
    for first in STARTS {
        let mut reception = Reception::new(90_000);
        assert!(!reception.is_missing(0), "nothing came");
        let seq = |step: u16| SeqNo(first.wrapping_add(step));
        let begin = reception.on_packet(seq(0), 0, 100, now).ext_seq;
        reception.on_packet(seq(3), 0, 100, now);
        let missing: Vec<u64> =
            (begin - 2..begin + 6).filter(|number| reception.is_missing(*number)).collect();
        assert_eq!(missing, [begin + 1, begin + 2]);
        reception.on_packet(seq(2), 0, 100, now);
        reception.on_repaired(seq(1), 100, now);
        assert!((begin..begin + 4).all(|number| !reception.is_missing(number)));
        reception.on_packet(seq(5), 0, 100, now);
        reception.on_packet(seq(4 + 2_047), 0, 100, now);
        assert!(reception.is_missing(begin + 4));
        reception.on_packet(seq(4 + 2_048), 0, 100, now);
        assert!(!reception.is_missing(begin + 4), "beyond memory");
    }
}
