//! Transport-wide feedback: whatever arrivals are written are read back the same.
//!
//! Input: base number in two bytes, then three bytes per packet: 0xff first means lost, else
//! a signed step in µs, scaled by the first byte.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use media_core::rtcp::{self, RtcpPacket, TwccWriter};
use media_core::rtp::SeqNo;

fuzz_target!(|data: &[u8]| {
    let Some((base, steps)) = data.split_first_chunk() else { return };
    let base = SeqNo(u16::from_be_bytes(*base));
    let arrivals = arrivals(steps);
    let mut writer = TwccWriter::default();
    let mut at = 0;
    while at < arrivals.len() {
        let mut out = Vec::new();
        let first = base.add(at as u16);
        let reported = writer.write(&mut out, 1, 2, first, &arrivals[at..]);
        assert!(reported > 0 && out.len() <= 924);
        let expected = &arrivals[at..at + reported];
        at += reported;
        if out.is_empty() {
            assert!(expected.iter().all(Option::is_none));
        } else {
            compare(&out, first, expected);
        }
    }
});

fn arrivals(steps: &[u8]) -> Vec<Option<Duration>> {
    let mut at_us = 60_000_000_i64;
    let mut arrivals = Vec::new();
    for step in steps.chunks_exact(3) {
        if step[0] == 0xff {
            arrivals.push(None);
            continue;
        }
        let step_us = i64::from(i16::from_be_bytes([step[1], step[2]])) << (step[0] % 12);
        at_us = (at_us + step_us).clamp(0, 1_000_000_000_000);
        arrivals.push(Some(Duration::from_micros(at_us as u64)));
    }
    arrivals
}

fn compare(packet: &[u8], first: SeqNo, expected: &[Option<Duration>]) {
    let Some(Ok(RtcpPacket::TransportFeedback(feedback))) = rtcp::parse(packet).next() else {
        panic!("what is written can be parsed");
    };
    assert_eq!(feedback.base_sequence, first);
    assert_eq!(usize::from(feedback.status_count), expected.len());
    for (status, expected) in feedback.packets().zip(expected) {
        let expected = expected.map(|arrival| (arrival.as_micros() as i64 + 125) / 250 * 250);
        // The reference time wraps after 2^24 steps of 64 ms.
        let cycle = 64_000_i64 << 24;
        match (status.arrival_us, expected) {
            (None, None) => {}
            (Some(read), Some(written)) => assert_eq!((read - written) % cycle, 0),
            other => panic!("{other:?}"),
        }
    }
}
