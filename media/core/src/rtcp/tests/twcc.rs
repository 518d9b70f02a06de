use std::time::Duration;

use super::*;
use crate::rtp::SeqNo;

const STARTS: [u16; 6] = [0, 1, 32767, 32768, 65534, 65535];

fn ms(millis: u64) -> Option<Duration> {
    Some(Duration::from_millis(millis))
}

/// Rounded as on the wire.
fn rounded_us(arrival: Duration) -> i64 {
    (arrival.as_micros() as i64 + 125) / 250 * 250
}

fn feedback(data: &[u8]) -> TwccFeedback<'_> {
    match only(data) {
        Ok(RtcpPacket::TransportFeedback(feedback)) => feedback,
        other => panic!("no transport feedback: {other:?}"),
    }
}

/// Writes feedback until everything is reported and reads it back; checks each packet's form.
fn round_trip(base: SeqNo, arrivals: &[Option<Duration>]) -> Vec<Option<i64>> {
    let mut writer = TwccWriter::default();
    let mut received = Vec::new();
    let mut expected_count = 0;
    while received.len() < arrivals.len() {
        let from = received.len();
        let mut out = Vec::new();
        let reported = writer.write(&mut out, 1, 2, base.add(from as u16), &arrivals[from..]);
        assert!(reported > 0);
        if out.is_empty() {
            assert!(arrivals[from..from + reported].iter().all(Option::is_none));
            received.resize(from + reported, None);
            continue;
        }
        assert!(out.len() <= 924, "{}", out.len());
        let parsed = feedback(&out);
        assert_eq!((parsed.sender_ssrc, parsed.media_ssrc), (1, 2));
        assert_eq!(parsed.feedback_count, expected_count);
        expected_count = expected_count.wrapping_add(1);
        assert_eq!(usize::from(parsed.status_count), reported);
        for (index, packet) in parsed.packets().enumerate() {
            assert_eq!(packet.sequence, base.add((from + index) as u16));
            received.push(packet.arrival_us);
        }
        assert_eq!(received.len(), from + reported);
    }
    received
}

fn assert_survives(base: SeqNo, arrivals: &[Option<Duration>]) {
    let expected: Vec<_> = arrivals.iter().map(|arrival| arrival.map(rounded_us)).collect();
    assert_eq!(round_trip(base, arrivals), expected);
}

#[test]
fn feedback_has_the_layout_of_the_draft() {
    let mut out = Vec::new();
    let mut writer = TwccWriter::default();
    // 640 ms is ten reference steps; then +1 ms, lost, +100 ms.
    let arrivals = [ms(640), ms(641), None, ms(741)];
    assert_eq!(writer.write(&mut out, 1, 2, SeqNo(0xfffe), &arrivals), 4);
    let expected = [
        0x8f, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xfe, 0, 4, 0, 0, 10, 0,
        // Two-bit vector: small, small, lost, large.
        0xd4, 0x80, 0, 4, 0x01, 0x90, 0, 0,
    ];
    assert_eq!(out, expected);
    let numbers: Vec<_> = feedback(&out).packets().map(|packet| packet.sequence.0).collect();
    assert_eq!(numbers, [0xfffe, 0xffff, 0, 1]);
}

#[test]
fn all_kinds_of_chunks_are_parsed() {
    // Run of 2 small, one-bit vector with the first and last of 14, two-bit vector cut at 2.
    let data = [
        0x8f, 205, 0, 8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 100, 0, 18, 0xff, 0xff, 0xff, 7, 0x20, 2, 0xa0,
        1, 0xd8, 0, 4, 8, 12, 16, 20, 0xff, 0xf8, 0, 0, 0,
    ];
    let parsed = feedback(&data);
    assert_eq!((parsed.reference_time, parsed.feedback_count), (-1, 7));
    let arrivals: Vec<_> = parsed.packets().map(|packet| packet.arrival_us).collect();
    let mut expected = vec![None; 18];
    for (index, millis) in [(0, -63), (1, -61), (2, -58), (15, -54), (16, -49), (17, -51)] {
        expected[index] = Some(millis * 1000);
    }
    assert_eq!(arrivals, expected);
}

#[test]
fn steady_reception_takes_one_run() {
    let arrivals: Vec<_> = (0..500).map(|index| ms(1000 + index)).collect();
    let mut out = Vec::new();
    let reported = TwccWriter::default().write(&mut out, 1, 2, SeqNo(0), &arrivals);
    assert_eq!(reported, 500);
    assert_eq!(out.len(), (20 + 2_usize + 500).next_multiple_of(4));
    assert_survives(SeqNo(0), &arrivals);
}

#[test]
fn loss_patterns_survive_from_every_start() {
    for start in STARTS {
        for period in 1..40 {
            let arrivals: Vec<_> = (0..300)
                .map(|index| if index % period == 0 { ms(5 * index) } else { None })
                .collect();
            assert_survives(SeqNo(start), &arrivals);
        }
    }
}

#[test]
fn reordering_gives_negative_deltas() {
    assert_survives(SeqNo(7), &[ms(500), ms(300), None, ms(301), ms(64), ms(0), ms(900)]);
}

#[test]
fn arrivals_too_far_apart_are_split() {
    let arrivals = [ms(0), None, ms(9000), ms(9001), None, None, ms(100), ms(100_000)];
    let mut out = Vec::new();
    assert_eq!(TwccWriter::default().write(&mut out, 1, 2, SeqNo(0), &arrivals), 2);
    assert_survives(SeqNo(65535), &arrivals);
}

#[test]
fn rounding_does_not_add_up() {
    let arrivals: Vec<_> =
        (0..700).map(|index| Some(Duration::from_micros(1_000_000 + index * 333))).collect();
    assert_survives(SeqNo(0), &arrivals);
}

#[test]
fn nothing_received_is_not_reported() {
    let mut out = Vec::new();
    let mut writer = TwccWriter::default();
    assert_eq!(writer.write(&mut out, 1, 2, SeqNo(0), &[]), 0);
    assert_eq!(writer.write(&mut out, 1, 2, SeqNo(0), &[None; 30]), 30);
    assert!(out.is_empty());
    let mut arrivals = vec![None; 30_000];
    arrivals.push(ms(5));
    assert_survives(SeqNo(65535), &arrivals);
}

#[test]
fn long_feedback_is_split_to_fit_a_datagram() {
    // All deltas large, so 900 bytes hold fewer than 450 packets.
    let arrivals: Vec<_> = (0..5000).map(|index| ms(100 * index)).collect();
    let mut out = Vec::new();
    let reported = TwccWriter::default().write(&mut out, 1, 2, SeqNo(0), &arrivals);
    assert!((400..450).contains(&reported), "{reported}");
    assert_survives(SeqNo(40_000), &arrivals);
}

#[test]
fn reference_time_wraps_after_twelve_days() {
    let wrap = Duration::from_millis(64 << 24);
    let mut out = Vec::new();
    let arrivals = [Some(wrap - Duration::from_millis(64)), Some(wrap + Duration::from_millis(5))];
    assert_eq!(TwccWriter::default().write(&mut out, 1, 2, SeqNo(0), &arrivals), 2);
    let parsed = feedback(&out);
    assert_eq!(parsed.reference_time, -1);
    let arrivals: Vec<_> = parsed.packets().map(|packet| packet.arrival_us.unwrap()).collect();
    assert_eq!(arrivals, [-64_000, 5_000]);
}

#[test]
fn random_arrivals_survive() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    for _ in 0..300 {
        let loss = next(100);
        let spread = 1 << next(24);
        let mut at = Duration::from_secs(60);
        let arrivals: Vec<_> = (0..next(1500) + 1)
            .map(|_| {
                at += Duration::from_micros(next(spread));
                (next(100) >= loss).then(|| at - Duration::from_micros(next(spread)))
            })
            .collect();
        assert_survives(SeqNo(next(65536) as u16), &arrivals);
    }
}
