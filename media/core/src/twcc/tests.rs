use std::collections::BTreeMap;

use super::*;
use crate::netem::Rng;
use crate::rtcp::TwccWriter;

const STARTS: [u16; 6] = [0, 1, 32767, 32768, 65534, 65535];
const INTERVAL: Duration = Duration::from_millis(100);

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// Arrivals of one report in ticks since its first, by number.
fn content(report: TwccReport<'_>) -> (u16, Vec<Option<i64>>) {
    let ticks = |time: Duration| (time.as_micros() / 250) as i64;
    let first = ticks(report.arrivals.iter().flatten().next().copied().unwrap());
    let relative = |arrival: &Option<Duration>| arrival.map(|time| ticks(time) - first);
    (report.base.0, report.arrivals.iter().map(relative).collect())
}

#[test]
fn arrivals_and_losses_are_reported_from_every_start() {
    let now = Instant::now();
    for start in STARTS {
        let mut recorder = TwccRecorder::new(INTERVAL);
        let number = |step| SeqNo(start).add(step);
        recorder.on_packet(number(0), now);
        recorder.on_packet(number(3), now + ms(10));
        recorder.on_packet(number(2), now + ms(12));
        assert_eq!(recorder.next_timeout(), Some(now + INTERVAL));
        assert_eq!(recorder.poll(now + ms(99)), None);
        let report = recorder.poll(now + ms(100)).unwrap();
        assert_eq!(content(report), (start, vec![Some(0), None, Some(48), Some(40)]));
        assert_eq!(recorder.poll(now + ms(200)), None);
        assert_eq!(recorder.next_timeout(), None);
    }
}

#[test]
fn losses_between_two_reports_are_in_the_second() {
    let now = Instant::now();
    let mut recorder = TwccRecorder::new(INTERVAL);
    recorder.on_packet(SeqNo(10), now);
    recorder.poll(now + ms(100)).unwrap();
    recorder.on_packet(SeqNo(13), now + ms(110));
    let report = recorder.poll(now + ms(210)).unwrap();
    assert_eq!(content(report), (11, vec![None, None, Some(0)]));
}

#[test]
fn a_packet_reported_as_lost_is_reported_again_when_it_arrives() {
    let now = Instant::now();
    let mut recorder = TwccRecorder::new(INTERVAL);
    for number in [10, 12, 13] {
        recorder.on_packet(SeqNo(number), now);
    }
    recorder.poll(now + ms(100)).unwrap();
    recorder.on_packet(SeqNo(11), now + ms(150));
    let report = recorder.poll(now + ms(250)).unwrap();
    assert_eq!(content(report), (11, vec![Some(0), Some(-600), Some(-600)]));
}

#[test]
fn many_packets_are_reported_before_the_interval_is_over() {
    let now = Instant::now();
    let mut recorder = TwccRecorder::new(INTERVAL);
    for number in 0..128 {
        assert_eq!(recorder.poll(now), None);
        recorder.on_packet(SeqNo(number), now);
    }
    assert_eq!(recorder.poll(now).unwrap().arrivals.len(), 128);
}

#[test]
fn a_report_ends_where_a_difference_of_times_would_not_fit() {
    let now = Instant::now();
    let mut recorder = TwccRecorder::new(INTERVAL);
    for number in 0..1_000 {
        recorder.on_packet(SeqNo(number), now);
    }
    assert_eq!(recorder.poll(now).unwrap().arrivals.len(), 1_000);
    assert_eq!(recorder.poll(now), None);
    // Nine seconds apart: more than a 16-bit delta.
    recorder.on_packet(SeqNo(1_000), now);
    recorder.on_packet(SeqNo(1_001), now + ms(9_000));
    assert_eq!(recorder.poll(now + ms(9_000)).unwrap().arrivals.len(), 1);
    assert_eq!(recorder.poll(now + ms(9_000)).unwrap().arrivals.len(), 1);
    assert_eq!(recorder.poll(now + ms(9_000)), None);
}

#[test]
fn a_jump_pushes_out_what_was_not_reported() {
    let now = Instant::now();
    let mut recorder = TwccRecorder::new(INTERVAL);
    recorder.on_packet(SeqNo(0), now);
    recorder.on_packet(SeqNo(1), now);
    recorder.on_packet(SeqNo(20_000), now);
    assert_eq!(recorder.unreported(), 2);
    let report = recorder.poll(now + ms(100)).unwrap();
    assert_eq!(content(report), (20_000, vec![Some(0)]));
    recorder.on_packet(SeqNo(18_000), now + ms(101));
    assert_eq!(recorder.poll(now + ms(500)), None, "too late to be reported");
    assert!(recorder.memory_bytes() < 16 * 1_024);
}

#[test]
fn ticks_go_on_across_their_wrap_after_twelve_days() {
    let epoch = Instant::now();
    let mut recorder = TwccRecorder::new(INTERVAL);
    recorder.on_packet(SeqNo(1), epoch);
    recorder.poll(epoch + ms(100)).unwrap();
    let wrap = epoch + Duration::from_micros(250) * u32::MAX;
    recorder.on_packet(SeqNo(2), wrap);
    recorder.on_packet(SeqNo(3), wrap + ms(1));
    let report = recorder.poll(wrap + ms(200)).unwrap();
    // The last tick before the wrap is told as the first after it.
    assert_eq!(content(report), (2, vec![Some(0), Some(3)]));
}

#[test]
fn every_report_is_written_in_full_packet_by_packet() {
    let start = Instant::now();
    let mut rng = Rng::new(11);
    let mut recorder = TwccRecorder::new(INTERVAL);
    for number in 0..1_000 {
        if !rng.chance(0.3) {
            recorder.on_packet(SeqNo(number), start + ms(70 * u64::from(number)));
        }
    }
    let mut writer = TwccWriter::default();
    let (mut packets, mut statuses) = (0, 0);
    while let Some(report) = recorder.poll(start + ms(100_000)) {
        let (mut base, mut rest) = (report.base, report.arrivals);
        while !rest.is_empty() {
            let mut packet = Vec::new();
            let written = writer.write(&mut packet, 1, 2, base, rest);
            assert!(written > 0 && packet.len() < 1_000, "{written} {}", packet.len());
            base = base.add(written as u16);
            rest = &rest[written..];
            (packets, statuses) = (packets + 1, statuses + written);
        }
    }
    assert!(statuses > 990 && packets == 2, "{statuses} {packets}");
}

#[test]
fn over_random_arrivals_every_packet_is_reported_once_with_its_time() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let start = Instant::now();
        let mut now = start;
        let mut recorder = TwccRecorder::new(ms(50 + rng.below(50)));
        let mut unwrapper = SeqUnwrapper::default();
        let mut arrived = BTreeMap::new();
        let mut reported: BTreeMap<u64, Duration> = BTreeMap::new();
        let loss = rng.unit() * 0.9;
        let mut number = u64::from(STARTS[seed as usize % 6]) + 65_536;
        unwrapper.unwrap(SeqNo(number as u16));
        for _ in 0..4_000 {
            now += Duration::from_micros(rng.below(6_000));
            number += 1;
            let late = if rng.chance(0.05) { rng.below(20) } else { 0 };
            if !rng.chance(loss) && number - late > 65_536 {
                let ext_seq = unwrapper.peek(SeqNo((number - late) as u16));
                recorder.on_packet(SeqNo(ext_seq as u16), now);
                arrived.entry(ext_seq).or_insert((now - start).as_micros() as u64);
                unwrapper.unwrap(SeqNo(ext_seq as u16));
            }
            while let Some(report) = recorder.poll(now) {
                let base = unwrapper.peek(report.base);
                assert!(
                    report.arrivals.len() <= 1_024 && report.arrivals.last().unwrap().is_some()
                );
                for (number, tick) in (base..).zip(report.arrivals) {
                    match tick {
                        Some(tick) => assert_eq!(*reported.entry(number).or_insert(*tick), *tick),
                        None => assert!(!arrived.contains_key(&number)),
                    }
                }
            }
        }
        while recorder.poll(now + ms(1_000)).is_some() {}
        assert_eq!(recorder.unreported(), 0);
        let mut times = reported.iter().map(|(number, tick)| (arrived[number], *tick));
        let (at, tick) = times.next().unwrap();
        for (other_at, other_tick) in times {
            let measured = other_tick.as_micros() as i64 - tick.as_micros() as i64;
            assert!((measured - (other_at as i64 - at as i64)).abs() <= 250);
        }
        assert!(arrived.len() - reported.len() < 140, "{} {}", arrived.len(), reported.len());
    }
}
