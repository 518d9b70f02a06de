use std::collections::BTreeMap;

use super::*;
use crate::netem::Rng;

const STARTS: [u16; 6] = [0, 1, 32767, 32768, 65534, 65535];

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

fn video(first: u16) -> StreamRewriter {
    StreamRewriter::new(90_000, SeqNo(first), 1_024)
}

/// Forwards `incoming` and returns its outgoing number relative to `first`.
fn send(rewriter: &mut StreamRewriter, first: u16, incoming: u64, now: Instant) -> u16 {
    let rewritten = rewriter.rewrite(incoming, incoming as u32 * 3_000, now).unwrap();
    assert_eq!(rewritten.seq.0, rewritten.ext_seq as u16);
    rewritten.seq.0.wrapping_sub(first)
}

#[test]
fn numbers_start_where_told_and_gaps_of_the_source_stay() {
    let now = Instant::now();
    for first in STARTS {
        for source in STARTS.map(u64::from) {
            let mut rewriter = video(first);
            assert_eq!(rewriter.newest(), None);
            for step in [0, 1, 4, 3, 7, 2, 70_000] {
                if step < 1_000 {
                    assert_eq!(send(&mut rewriter, first, source + step, now), step as u16);
                }
            }
            assert_eq!(rewriter.newest(), Some((1 << 16) + u64::from(first) + 7));
        }
    }
}

#[test]
fn timestamps_of_the_first_source_are_kept() {
    let now = Instant::now();
    let mut rewriter = video(5);
    assert_eq!(rewriter.timestamp_offset(), None);
    assert_eq!(rewriter.rewrite(9, u32::MAX, now).unwrap().timestamp, u32::MAX);
    assert_eq!(rewriter.rewrite(10, 2_999, now).unwrap().timestamp, 2_999);
    assert_eq!(rewriter.timestamp_offset(), Some(0));
}

#[test]
fn skipped_packets_leave_no_gap_but_lost_ones_do() {
    let now = Instant::now();
    for first in STARTS {
        let mut rewriter = video(first);
        assert_eq!(send(&mut rewriter, first, 100, now), 0);
        assert!(rewriter.skip(101) && rewriter.skip(102));
        // 103 is lost.
        assert!(rewriter.skip(104));
        assert_eq!(send(&mut rewriter, first, 105, now), 2);
        assert_eq!(send(&mut rewriter, first, 103, now), 1);
        for skipped in [101, 102, 104] {
            assert_eq!(rewriter.rewrite(skipped, 0, now), Err(Refused::Duplicate));
        }
        assert!(rewriter.skip(104), "skipped already");
        assert!(!rewriter.skip(103) && !rewriter.skip(105), "their places exist");
        assert_eq!(send(&mut rewriter, first, 106, now), 3);
    }
}

#[test]
fn skipping_before_the_first_packet_has_no_effect() {
    let now = Instant::now();
    let mut rewriter = video(7);
    rewriter.skip(10);
    assert_eq!(send(&mut rewriter, 7, 11, now), 0);
    rewriter.switch_source();
    rewriter.skip(90_000);
    assert_eq!(send(&mut rewriter, 7, 90_001, now), 1);
}

#[test]
fn another_source_continues_numbers_and_time() {
    let now = Instant::now();
    for first in STARTS {
        for source in STARTS.map(u64::from) {
            let mut rewriter = video(first);
            rewriter.rewrite(1_000, 5, now).unwrap();
            rewriter.rewrite(1_001, 3_005, now + ms(33)).unwrap();
            rewriter.switch_source();
            assert_eq!((rewriter.generation(), rewriter.timestamp_offset()), (1, None));
            let next = rewriter.rewrite(source + 40, 0x8000_0000, now + ms(533)).unwrap();
            assert_eq!(next.seq, SeqNo(first).add(2));
            assert_eq!(next.timestamp, 3_005 + 45_000);
            let offset = rewriter.timestamp_offset().unwrap();
            assert_eq!(offset.wrapping_add(0x8000_0000), 48_005);
            assert_eq!(rewriter.rewrite(source + 39, 0, now), Err(Refused::BeforeSwitch));
            let next = rewriter.rewrite(source + 42, 0x8000_0bb8, now + ms(566)).unwrap();
            assert_eq!((next.seq, next.timestamp), (SeqNo(first).add(4), 51_005));
        }
    }
}

#[test]
fn a_switch_without_any_time_still_moves_the_timestamp() {
    let now = Instant::now();
    let mut rewriter = video(0);
    rewriter.rewrite(1, u32::MAX, now).unwrap();
    rewriter.switch_source();
    assert_eq!(rewriter.rewrite(1, 77, now).unwrap().timestamp, 0);
}

#[test]
fn a_resumed_source_keeps_its_timestamps_and_leaves_no_gap() {
    let now = Instant::now();
    let mut rewriter = video(0);
    rewriter.rewrite(1_000, 500, now).unwrap();
    rewriter.resume();
    let next = rewriter.rewrite(1_300, 900_500, now + ms(10_000)).unwrap();
    assert_eq!((next.ext_seq, next.timestamp), (65_537, 900_500));
    assert_eq!((rewriter.generation(), rewriter.timestamp_offset()), (1, Some(0)));
    assert_eq!(rewriter.rewrite(1_299, 0, now), Err(Refused::BeforeSwitch));
    assert_eq!(rewriter.lookup(SeqNo(0)).unwrap().incoming, 1_000);
}

#[test]
fn a_resumed_source_whose_clock_went_back_does_not_take_the_stream_with_it() {
    let now = Instant::now();
    let mut rewriter = video(0);
    rewriter.rewrite(1_000, 50_000, now).unwrap();
    rewriter.resume();
    let next = rewriter.rewrite(1_300, 100, now + ms(1_000)).unwrap();
    assert_eq!(next.timestamp, 140_000);
    let (before, after) = (rewriter.lookup(SeqNo(0)).unwrap(), rewriter.lookup(SeqNo(1)).unwrap());
    assert_eq!((before.timestamp_offset, after.timestamp_offset), (0, 139_900));
}

#[test]
fn a_switch_wins_over_a_resume() {
    let now = Instant::now();
    let mut rewriter = video(0);
    rewriter.rewrite(1_000, 500, now).unwrap();
    rewriter.switch_source();
    rewriter.resume();
    rewriter.switch_source();
    assert_eq!(rewriter.rewrite(5, 900_500, now + ms(100)).unwrap().timestamp, 9_500);
    assert_eq!(rewriter.generation(), 1);
}

#[test]
fn lookup_finds_the_last_packets_only() {
    let now = Instant::now();
    for first in STARTS {
        let mut rewriter = StreamRewriter::new(48_000, SeqNo(first), 256);
        assert_eq!(rewriter.lookup(SeqNo(first)), None);
        for step in 0..1_000 {
            rewriter.rewrite(70_000 + step, 0, now).unwrap();
        }
        for step in 0..1_000_u16 {
            let sent = rewriter.lookup(SeqNo(first).add(step));
            let expected = (step >= 744).then_some(70_000 + u64::from(step));
            assert_eq!(sent.map(|sent| sent.incoming), expected, "{first} {step}");
        }
        assert_eq!(rewriter.lookup(SeqNo(first).add(1_000)), None);
        assert_eq!(rewriter.lookup(SeqNo(first).sub(1)), None);
    }
}

#[test]
fn lookup_tells_the_source_and_its_offset() {
    let now = Instant::now();
    let mut rewriter = video(0);
    for source in 0..20_u32 {
        rewriter.rewrite(u64::from(source) * 1_000, source, now).unwrap();
        rewriter.switch_source();
    }
    assert_eq!(rewriter.lookup(SeqNo(12)), None, "too many switches ago");
    for source in 13..20_u32 {
        let sent = rewriter.lookup(SeqNo(source as u16)).unwrap();
        assert_eq!((sent.incoming, sent.generation), (u64::from(source) * 1_000, source));
        assert_eq!(sent.timestamp_offset, 0);
    }
}

#[test]
fn packets_older_than_the_history_are_refused() {
    let now = Instant::now();
    let mut rewriter = StreamRewriter::new(48_000, SeqNo(0), 256);
    send(&mut rewriter, 0, 10, now);
    send(&mut rewriter, 0, 300, now);
    assert_eq!(rewriter.rewrite(44, 0, now), Err(Refused::TooOld));
    assert_eq!(send(&mut rewriter, 0, 45, now), 35);
    assert_eq!(rewriter.rewrite(45, 0, now), Err(Refused::Duplicate));
}

#[test]
fn thinning_for_hours_needs_bounded_memory() {
    let now = Instant::now();
    let mut rewriter = video(65_000);
    assert_eq!(rewriter.memory_bytes(), 0);
    for incoming in 0..200_000 {
        if incoming % 2 == 0 {
            assert_eq!(send(&mut rewriter, 65_000, incoming, now), (incoming / 2) as u16);
        } else {
            rewriter.skip(incoming);
        }
    }
    assert_eq!(rewriter.rewrite(200_000 - 300, 0, now), Err(Refused::TooOld));
    assert!(rewriter.memory_bytes() <= 19 * 1_024, "{}", rewriter.memory_bytes());
}

/// One packet the subscriber was sent.
struct Forwarded {
    source: u32,
    incoming: u64,
    timestamp: u32,
}

#[test]
fn over_random_sources_no_number_is_given_twice_and_order_and_lookup_hold() {
    for seed in 0..120 {
        let mut rng = Rng::new(seed);
        let mut now = Instant::now();
        let first = STARTS[seed as usize % 6];
        let mut rewriter = video(first);
        let mut sent: BTreeMap<u64, Forwarded> = BTreeMap::new();
        let mut newest = 65_536 + u64::from(STARTS[rng.below(6) as usize]);
        // Sent or skipped since the last switch or pause.
        let mut decided: BTreeMap<u64, ()> = BTreeMap::new();
        let mut source = 0;
        for _ in 0..4_000 {
            now += ms(rng.below(12));
            if rng.chance(0.003) {
                rewriter.switch_source();
                newest = 65_536 + rng.below(200_000);
                if rng.chance(0.5) {
                    rewriter.align(rng.bits() as u32);
                }
                decided.clear();
            } else if rng.chance(0.003) {
                rewriter.resume();
                newest += 100;
                decided.clear();
            }
            newest += 1 + u64::from(rng.chance(0.1)) * rng.below(5);
            let late = if rng.chance(0.2) { rng.below(40) } else { 0 };
            let incoming = newest - late;
            if rng.chance(0.2) {
                let is_newest = decided.last_key_value().is_some_and(|(last, ())| incoming > *last);
                let is_left_out = rewriter.skip(incoming);
                if is_newest {
                    assert!(is_left_out);
                    decided.insert(incoming, ());
                }
                continue;
            }
            let timestamp = (incoming as u32).wrapping_mul(1_000);
            if let Ok(rewritten) = rewriter.rewrite(incoming, timestamp, now) {
                assert!(rewriter.generation() >= source, "generations only grow");
                source = rewriter.generation();
                let forwarded = Forwarded { source, incoming, timestamp: rewritten.timestamp };
                let twice = sent.insert(rewritten.ext_seq, forwarded).is_some();
                assert!(!twice, "number {} given twice", rewritten.ext_seq);
                assert!(decided.insert(incoming, ()).is_none(), "packet sent twice or after skip");
                let found = rewriter.lookup(rewritten.seq).unwrap();
                assert_eq!((found.outgoing, found.incoming), (rewritten.ext_seq, incoming));
                assert_eq!(timestamp.wrapping_add(found.timestamp_offset), rewritten.timestamp);
            }
        }
        let in_order: Vec<_> = sent.values().collect();
        for pair in in_order.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            assert!((before.source, before.incoming) < (after.source, after.incoming));
            let advance = after.timestamp.wrapping_sub(before.timestamp) as i32;
            assert!(advance > 0, "timestamp goes back by {advance}");
        }
        for (outgoing, forwarded) in sent.iter().rev().take(500) {
            let Some(found) = rewriter.lookup(SeqNo(*outgoing as u16)) else {
                assert!(forwarded.source + 8 <= rewriter.generation());
                continue;
            };
            assert_eq!((found.outgoing, found.incoming), (*outgoing, forwarded.incoming));
            assert_eq!(found.generation, forwarded.source);
        }
    }
}

#[test]
fn an_aligned_source_goes_on_by_the_capture_clock() {
    let now = Instant::now();
    for start in [0, 1, u32::MAX - 4_000, u32::MAX] {
        let mut rewriter = video(0);
        rewriter.rewrite(1_000, start, now).unwrap();
        rewriter.switch_source();
        // The new source's clock reads 777 where the old one's read `start`.
        rewriter.align(start.wrapping_sub(777));
        // Taken 3,000 ticks later, arriving 300 ms late.
        let next = rewriter.rewrite(5, 777 + 3_000, now + ms(333)).unwrap();
        assert_eq!(next.timestamp, start.wrapping_add(3_000));
    }
}

#[test]
fn an_earlier_picture_of_another_source_lies_a_tick_ahead_until_the_next_switch() {
    let now = Instant::now();
    let mut rewriter = video(0);
    rewriter.rewrite(1_000, 90_000, now).unwrap();
    rewriter.switch_source();
    rewriter.align(0);
    // Taken one frame before the last picture of the old source.
    assert_eq!(rewriter.rewrite(5, 87_000, now + ms(10)).unwrap().timestamp, 90_001);
    assert_eq!(rewriter.rewrite(6, 90_000, now + ms(43)).unwrap().timestamp, 93_001);
    rewriter.switch_source();
    rewriter.align(0);
    assert_eq!(rewriter.rewrite(2_000, 96_000, now + ms(100)).unwrap().timestamp, 96_000);
}

#[test]
fn an_alignment_more_than_a_second_off_is_not_believed() {
    let now = Instant::now();
    for behind in [99_100, 0x8000_0000, u32::MAX - 90_100] {
        let mut rewriter = video(0);
        rewriter.rewrite(1_000, 90_000, now).unwrap();
        rewriter.switch_source();
        rewriter.align(behind);
        assert_eq!(rewriter.rewrite(5, 90_000, now + ms(100)).unwrap().timestamp, 99_000);
    }
}

#[test]
fn empty_places_are_found_once_and_known_again() {
    let now = Instant::now();
    let mut rewriter = video(7);
    assert_eq!(rewriter.fill(100), None);
    for incoming in [10, 11, 13, 16] {
        rewriter.rewrite(incoming, 5, now).unwrap();
    }
    rewriter.switch_source();
    let filled: Vec<u64> =
        std::iter::from_fn(|| rewriter.fill(100)).map(|place| place.ext_seq - 65_543).collect();
    assert_eq!(filled, [2, 4, 5]);
    assert!(rewriter.lookup(SeqNo(9)).unwrap().is_filler);
    assert!(!rewriter.lookup(SeqNo(8)).unwrap().is_filler);
    let next = rewriter.rewrite(900, 5, now + ms(10)).unwrap();
    assert_eq!(next.ext_seq - 65_543, 7);
}

#[test]
fn the_place_of_a_late_packet_that_is_left_out_is_filled() {
    let now = Instant::now();
    let mut rewriter = video(0);
    for incoming in [10, 12] {
        rewriter.rewrite(incoming, 5, now).unwrap();
    }
    assert!(!rewriter.skip(11));
    let place = rewriter.fill_place_of(11).unwrap();
    assert_eq!((place.ext_seq, place.timestamp), (65_537, 5));
    assert_eq!(rewriter.fill_place_of(11), None);
    assert_eq!(rewriter.rewrite(11, 5, now), Err(Refused::Duplicate));
}

#[test]
fn notes_come_back_with_their_packet() {
    let now = Instant::now();
    let mut rewriter = video(0);
    let sent = rewriter.rewrite(10, 5, now).unwrap();
    rewriter.annotate(sent.ext_seq, 4_711);
    rewriter.annotate(sent.ext_seq + 1, 1);
    rewriter.rewrite(11, 5, now).unwrap();
    assert_eq!(rewriter.lookup(SeqNo(0)).unwrap().note, 4_711);
    assert_eq!(rewriter.lookup(SeqNo(1)).unwrap().note, 0);
}
