use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::netem::{Loss, Netem, NetemConfig, Rng};
use crate::rtp::SeqUnwrapper;

const STARTS: [u16; 6] = [0, 1, 32767, 32768, 65534, 65535];

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

fn poll(generator: &mut NackGenerator, now: Instant, rtt_ms: u64) -> (Vec<u16>, NackOutcome) {
    let mut due = Vec::new();
    let outcome = generator.poll(now, Some(ms(rtt_ms)), &mut due);
    (due.into_iter().map(u16::from).collect(), outcome)
}

#[test]
fn gaps_are_found_from_every_start() {
    let now = Instant::now();
    for start in STARTS {
        let mut unwrapper = SeqUnwrapper::default();
        let mut generator = NackGenerator::new(NackConfig::video());
        for step in [0, 1, 4, 5] {
            let ext_seq = unwrapper.unwrap(SeqNo(start).add(step));
            assert_eq!(generator.on_packet(ext_seq, now), NackArrival::New);
        }
        assert_eq!(generator.missing(), 2);
        let (due, _) = poll(&mut generator, now + ms(10), 50);
        assert_eq!(due, [SeqNo(start).add(2).0, SeqNo(start).add(3).0]);
    }
}

#[test]
fn a_packet_that_was_only_overtaken_is_not_asked_for() {
    let now = Instant::now();
    let mut generator = NackGenerator::new(NackConfig::video());
    generator.on_packet(100, now);
    generator.on_packet(102, now);
    assert_eq!(poll(&mut generator, now + ms(3), 50).0, []);
    let arrival = generator.on_packet(101, now + ms(4));
    assert_eq!(arrival, NackArrival::Recovered { after: ms(4) });
    assert_eq!(generator.next_timeout(), None);
    assert_eq!(poll(&mut generator, now + ms(500), 50), (vec![], NackOutcome::default()));
}

#[test]
fn two_packets_after_the_gap_end_the_wait() {
    let now = Instant::now();
    let mut generator = NackGenerator::new(NackConfig::video());
    for ext_seq in [100, 102] {
        generator.on_packet(ext_seq, now);
    }
    assert_eq!(generator.next_timeout(), Some(now + ms(10)));
    generator.on_packet(103, now + ms(1));
    assert_eq!(poll(&mut generator, now + ms(1), 50).0, []);
    generator.on_packet(104, now + ms(2));
    assert_eq!(generator.next_timeout(), Some(now + ms(2)));
    assert_eq!(poll(&mut generator, now + ms(2), 50).0, [101]);
}

#[test]
fn requests_repeat_slower_and_slower_until_the_deadline_and_never_after() {
    let now = Instant::now();
    let mut generator = NackGenerator::new(NackConfig::video());
    generator.on_packet(9, now);
    generator.on_packet(11, now);
    let mut asked = Vec::new();
    let mut end = None;
    for at in 0..3_000 {
        let (due, outcome) = poll(&mut generator, now + ms(at), 40);
        if !due.is_empty() {
            asked.push(at);
        }
        if outcome.given_up > 0 {
            assert_eq!(outcome, NackOutcome { given_up: 1, needs_keyframe: true });
            assert_eq!(end.replace(at), None);
        }
    }
    assert_eq!(asked[..4], [10, 54, 104, 159]);
    let gaps: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.is_sorted() && gaps.iter().all(|gap| (44..=88).contains(gap)), "{gaps:?}");
    assert_eq!(end, Some(1_000));
    assert!(*asked.last().unwrap() < 1_000);
    assert_eq!(generator.on_packet(10, now + ms(3_000)), NackArrival::NotMissing);
}

#[test]
fn short_and_unknown_round_trips_have_a_least_interval() {
    let now = Instant::now();
    for (rtt, expected) in [(Some(ms(2)), 20), (None, 100)] {
        let mut generator = NackGenerator::new(NackConfig::audio());
        generator.on_packet(9, now);
        generator.on_packet(11, now);
        generator.poll(now + ms(10), rtt, &mut Vec::new());
        assert_eq!(generator.next_timeout(), Some(now + ms(10 + expected)));
    }
}

#[test]
fn audio_is_given_up_without_asking_for_a_keyframe() {
    let now = Instant::now();
    let mut generator = NackGenerator::new(NackConfig::audio());
    generator.on_packet(9, now);
    generator.on_packet(11, now);
    let (due, outcome) = poll(&mut generator, now + ms(400), 40);
    assert_eq!(due, []);
    assert_eq!(outcome, NackOutcome { given_up: 1, needs_keyframe: false });
}

#[test]
fn losses_before_a_keyframe_need_no_other() {
    let now = Instant::now();
    let mut generator = NackGenerator::new(NackConfig::video());
    for ext_seq in [9, 11, 13] {
        generator.on_packet(ext_seq, now);
    }
    generator.on_keyframe(11, 90);
    generator.on_packet(12, now);
    let (_, outcome) = poll(&mut generator, now + ms(1_000), 40);
    assert_eq!(outcome, NackOutcome { given_up: 1, needs_keyframe: false });
}

#[test]
fn what_lies_between_parameter_sets_and_their_picture_is_needed() {
    let now = Instant::now();
    for keyframes in [[(10, 90), (12, 90)], [(12, 90), (10, 90)]] {
        let mut generator = NackGenerator::new(NackConfig::video());
        for ext_seq in [9, 10, 12] {
            generator.on_packet(ext_seq, now);
        }
        for (ext_seq, timestamp) in keyframes {
            generator.on_keyframe(ext_seq, timestamp);
        }
        // A late one of an older keyframe.
        generator.on_keyframe(3, 80);
        let (_, outcome) = poll(&mut generator, now + ms(1_000), 40);
        assert_eq!(outcome, NackOutcome { given_up: 1, needs_keyframe: true });
    }
}

#[test]
fn a_jump_beyond_the_list_is_given_up_at_once() {
    let now = Instant::now();
    let mut generator = NackGenerator::new(NackConfig::video());
    generator.on_packet(9, now);
    generator.on_packet(11, now);
    let later = now + ms(5);
    generator.on_packet(12 + 1_025, later);
    assert_eq!((generator.missing(), generator.next_timeout()), (0, Some(later)));
    let (due, outcome) = poll(&mut generator, later, 40);
    assert_eq!(due, []);
    assert_eq!(outcome, NackOutcome { given_up: 1_026, needs_keyframe: true });
    assert_eq!(generator.next_timeout(), None);
}

#[test]
fn a_full_list_gives_up_the_oldest() {
    let now = Instant::now();
    let mut generator = NackGenerator::new(NackConfig::video());
    generator.on_packet(0, now);
    for step in 1..=2_000_u64 {
        generator.on_packet(step * 3, now);
        assert!(generator.missing.len() <= 1_024);
    }
    assert_eq!(generator.missing(), 1_024);
    let (due, outcome) = poll(&mut generator, now, 40);
    assert_eq!(outcome, NackOutcome { given_up: 4_000 - 1_024, needs_keyframe: true });
    assert_eq!(due.last(), Some(&5_993));
    assert!(generator.memory_bytes() <= 1_024 * 48, "{}", generator.memory_bytes());
}

#[test]
fn calling_poll_early_changes_nothing() {
    let now = Instant::now();
    let mut generator = NackGenerator::new(NackConfig::video());
    generator.on_packet(9, now);
    generator.on_packet(11, now);
    for _ in 0..10 {
        assert_eq!(poll(&mut generator, now, 40), (vec![], NackOutcome::default()));
    }
    assert_eq!(generator.next_timeout(), Some(now + ms(10)));
}

/// What became of a call over a lossy path with retransmission.
struct Survey {
    sent: usize,
    first_try: usize,
    arrived: usize,
    requests: BTreeMap<u16, Vec<Instant>>,
    found: BTreeMap<u16, Instant>,
}

/// 100 packets/s for 20 s; requests go back over a path with the same loss.
fn survive(loss: f64, one_way: Duration, config: NackConfig, start_seq: u16, seed: u64) -> Survey {
    let start = Instant::now();
    let path = NetemConfig { loss: Loss::Random(loss), delay: one_way, ..Default::default() };
    let mut forth: Netem<Vec<u8>> = Netem::new(path, seed);
    let mut back: Netem<Vec<u8>> = Netem::new(path, seed + 1);
    let mut unwrapper = SeqUnwrapper::default();
    let mut generator = NackGenerator::new(config);
    let mut arrived = BTreeSet::new();
    let mut survey = Survey {
        sent: 2_000,
        first_try: 0,
        arrived: 0,
        requests: BTreeMap::new(),
        found: BTreeMap::new(),
    };
    let mut newest_seen: Option<u64> = None;
    for at in 0..24_000 {
        let now = start + ms(at);
        if at % 10 == 0 && at < 20_000 {
            let seq = start_seq.wrapping_add((at / 10) as u16);
            forth.push(now, seq.to_be_bytes().to_vec());
        }
        while let Some(request) = back.pop(now) {
            forth.push(now, request);
        }
        while let Some(packet) = forth.pop(now) {
            let seq = SeqNo(u16::from_be_bytes([packet[0], packet[1]]));
            let ext_seq = unwrapper.unwrap(seq);
            let before = newest_seen;
            let fresh = arrived.insert(ext_seq);
            match generator.on_packet(ext_seq, now) {
                NackArrival::New => survey.first_try += 1,
                NackArrival::Recovered { .. } => assert!(fresh),
                NackArrival::NotMissing => {}
            }
            newest_seen = newest_seen.max(Some(ext_seq));
            for lost in before.map_or(0..0, |before| before + 1..ext_seq.max(before + 1)) {
                survey.found.insert(lost as u16, now);
            }
        }
        let mut due = Vec::new();
        generator.poll(now, Some(one_way * 2), &mut due);
        for seq in due {
            assert!(!arrived.contains(&unwrapper.peek(seq)), "asked for what is there");
            survey.requests.entry(seq.0).or_default().push(now);
            back.push(now, seq.0.to_be_bytes().to_vec());
        }
    }
    survey.arrived = arrived.len();
    survey
}

#[test]
fn at_70_percent_loss_both_ways_requests_repeat_until_the_deadline() {
    for (round, start_seq) in STARTS.into_iter().enumerate() {
        let config = NackConfig::video();
        let survey = survive(0.7, ms(10), config, start_seq, 77 + round as u64);
        let before = survey.first_try as f64 / survey.sent as f64;
        let after = survey.arrived as f64 / survey.sent as f64;
        assert!((before - 0.3).abs() < 0.04, "{before}");
        assert!(after > 0.88, "only {after} arrived");
        let mut most = 0;
        for (seq, asked) in &survey.requests {
            most = most.max(asked.len());
            assert!(asked.iter().all(|at| *at < survey.found[seq] + config.deadline));
            assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= ms(20)));
        }
        assert!(most > 20, "at most {most} requests for a packet");
    }
}

#[test]
fn random_arrivals_keep_the_books_straight() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut now = Instant::now();
        let mut generator = NackGenerator::new(NackConfig::audio());
        let mut newest = 70_000;
        let mut known = BTreeSet::new();
        for _ in 0..3_000 {
            now += Duration::from_micros(rng.below(8_000));
            let step = if rng.chance(0.005) { rng.below(300) } else { rng.below(4) };
            let ext_seq = if rng.chance(0.3) { newest - rng.below(40) } else { newest + step };
            let arrival = generator.on_packet(ext_seq, now);
            let first = known.insert(ext_seq);
            assert!(first || !matches!(arrival, NackArrival::Recovered { .. }));
            newest = newest.max(ext_seq);
            if rng.chance(0.5) {
                let (due, _) = poll(&mut generator, now, 30);
                let unique: BTreeSet<_> = due.iter().collect();
                assert_eq!(unique.len(), due.len());
                let open = generator.missing.iter().filter(|entry| !entry.recovered).count();
                assert_eq!(open, generator.missing());
                assert_eq!(generator.next_timeout().is_some(), open > 0);
            }
            assert!(generator.missing.len() <= 128);
        }
    }
}

#[test]
fn a_recording_asks_on_when_players_have_given_up() {
    let now = Instant::now();
    let mut generator = NackGenerator::new(NackConfig::video());
    generator.set_patience(Some(ms(4_000)));
    for ext_seq in [100, 102] {
        generator.on_packet(ext_seq, now);
    }
    let (mut requests, mut given_up, mut keyframes) = (Vec::new(), 0, 0);
    while let Some(at) = generator.next_timeout() {
        let (due, outcome) = poll(&mut generator, at, 50);
        requests.extend(due.iter().map(|_| (at - now).as_millis() as u64));
        given_up += outcome.given_up;
        keyframes += u64::from(outcome.needs_keyframe);
        assert!(!outcome.needs_keyframe || at == now + ms(1_000), "at the players' deadline");
    }
    assert_eq!((given_up, keyframes), (1, 1), "once, not again at the end");
    let late: Vec<u64> = requests.iter().copied().filter(|at| *at > 1_000).collect();
    assert!(late.len() >= 6 && *late.last().unwrap() > 3_500, "{late:?}");
    assert!(late.windows(2).all(|pair| pair[1] - pair[0] >= 400), "{late:?}");
    assert_eq!(generator.missing(), 0);
}

#[test]
fn what_a_recording_waits_for_is_recovered_late() {
    let now = Instant::now();
    let mut generator = NackGenerator::new(NackConfig::audio());
    generator.set_patience(Some(ms(4_000)));
    for ext_seq in [100, 102] {
        generator.on_packet(ext_seq, now);
    }
    poll(&mut generator, now + ms(2_000), 50);
    assert!(generator.was_asked(101));
    let arrival = generator.on_packet(101, now + ms(3_900));
    assert_eq!(arrival, NackArrival::Recovered { after: ms(3_900) });
    assert_eq!(poll(&mut generator, now + ms(4_500), 50), (vec![], NackOutcome::default()));
}
