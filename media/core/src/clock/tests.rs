use super::*;
use crate::netem::Rng;

const MS: i64 = 1_000_000;
const S: i64 = 1_000_000_000;

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// Server time `ns` after an arbitrary start, close to the wrap of 2036.
fn server(ns: i64) -> NtpTime {
    NtpTime(u64::from(u32::MAX - 2) << 32).offset_ns(ns)
}

/// Publisher time at server time `ns`: 100 s behind and drifting.
fn publisher(ns: i64, drift_ppm: i64) -> NtpTime {
    server(ns).offset_ns(-100 * S + ns / 1_000_000 * drift_ppm)
}

#[test]
fn nothing_is_invented_before_the_first_report() {
    let clock = PublisherClock::default();
    let reports = SenderReports::new(90_000);
    assert_eq!(clock.offset_ns(), None);
    assert_eq!(reports.server_ntp_for(0, &clock), None);
    assert_eq!(reports.outgoing(server(0), &clock, 0), None);
    assert_eq!(reports.last(Instant::now()), None);
}

#[test]
fn the_least_delayed_report_wins_while_settling() {
    let mut clock = PublisherClock::default();
    for second in 0..5 {
        let delay = if second == 0 { 60 * MS } else { 20 * MS };
        let sent = second * S;
        clock.on_sender_report(publisher(sent, 0), server(sent + delay));
    }
    let error = clock.offset_ns().unwrap() - (100 * S + 20 * MS);
    assert!(error.abs() < 1_000, "{error}");
}

#[test]
fn a_drift_of_50_ppm_is_followed_without_steps() {
    for drift in [-50, 50] {
        let mut clock = PublisherClock::default();
        let mut rng = Rng::new(7);
        let mut last: Option<i64> = None;
        for second in 0..3_600 {
            let sent = second * S;
            let delay = 20 * MS + rng.below(30) as i64 * MS;
            clock.on_sender_report(publisher(sent, drift), server(sent + delay));
            let offset = clock.offset_ns().unwrap();
            if second > 10 {
                let step = offset - last.unwrap();
                assert!(step.abs() <= 600_000, "step of {step} ns at {second} s");
            }
            let error = offset - (100 * S + 20 * MS - second * 1_000 * drift);
            assert!(second < 60 || error.abs() < 12 * MS, "off by {error} ns at {second} s");
            last = Some(offset);
        }
    }
}

#[test]
fn a_clock_that_was_set_is_adopted_at_once() {
    let mut clock = PublisherClock::default();
    clock.on_sender_report(publisher(0, 0), server(0));
    clock.on_sender_report(publisher(S, 0).offset_ns(3_600 * S), server(S));
    assert!((clock.offset_ns().unwrap() + 3_500 * S).abs() <= 2);
}

#[test]
fn hostile_report_times_do_no_harm() {
    let mut clock = PublisherClock::default();
    let mut reports = SenderReports::new(1);
    let now = Instant::now();
    for ntp in [0, 1, u64::MAX, 1 << 63, (1 << 63) - 1, 1 << 32] {
        for arrival in [0, u64::MAX, 1 << 63] {
            clock.on_sender_report(NtpTime(ntp), NtpTime(arrival));
            reports.on_sender_report(NtpTime(ntp), u32::MAX, now);
            let _ = reports.outgoing(NtpTime(arrival), &clock, 1 << 31);
            let _ = reports.server_ntp_for(0, &clock);
        }
    }
}

#[test]
fn audio_and_video_stay_in_sync_through_the_server() {
    let now = Instant::now();
    let mut clock = PublisherClock::default();
    let mut audio = SenderReports::new(48_000);
    let mut video = SenderReports::new(90_000);
    // Reports of the two streams at different times, with different delays.
    clock.on_sender_report(publisher(0, 0), server(25 * MS));
    audio.on_sender_report(publisher(0, 0), 1_000, now);
    clock.on_sender_report(publisher(400 * MS, 0), server(455 * MS));
    video.on_sender_report(publisher(400 * MS, 0), u32::MAX - 10, now);
    // A word and a lip movement, both 2 s after the start.
    let word = audio.server_ntp_for(1_000 + 96_000, &clock).unwrap();
    let lips = video.server_ntp_for((u32::MAX - 10).wrapping_add(144_000), &clock).unwrap();
    assert!(word.ns_since(lips).abs() < 20_000);
    // The subscriber's reports, sent at different times and with offsets, say the same.
    let (at_a, at_v) = (server(3 * S), server(3 * S + 700 * MS));
    let a = audio.outgoing(at_a, &clock, 5_000).unwrap();
    let v = video.outgoing(at_v, &clock, 77).unwrap();
    let word_ticks = (1_000 + 96_000 + 5_000_u32).wrapping_sub(a) as i32;
    let lips_ticks = (u32::MAX - 10).wrapping_add(144_000 + 77).wrapping_sub(v) as i32;
    let word_at = at_a.offset_ns(i64::from(word_ticks) * S / 48_000);
    let lips_at = at_v.offset_ns(i64::from(lips_ticks) * S / 90_000);
    assert!(word_at.ns_since(lips_at).abs() < 40_000, "{}", word_at.ns_since(lips_at));
}

#[test]
fn outgoing_reports_invert_the_mapping_from_every_timestamp() {
    let now = Instant::now();
    for start in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX] {
        let mut clock = PublisherClock::default();
        clock.on_sender_report(publisher(0, 0), server(10 * MS));
        let mut reports = SenderReports::new(90_000);
        reports.on_sender_report(publisher(0, 0), start, now);
        for ticks in [-90_000_i32, -1, 0, 1, 90_000, 9_000_000] {
            let timestamp = start.wrapping_add_signed(ticks);
            let ntp = reports.server_ntp_for(timestamp, &clock).unwrap();
            assert_eq!(reports.outgoing(ntp, &clock, 0), Some(timestamp));
        }
    }
}

#[test]
fn streams_of_one_publisher_are_compared_at_one_moment() {
    let now = Instant::now();
    let (mut small, mut large) = (SenderReports::new(90_000), SenderReports::new(90_000));
    assert_eq!(large.ahead_of(&small), None);
    small.on_sender_report(publisher(0, 0), u32::MAX - 100, now);
    assert_eq!((large.ahead_of(&small), small.ahead_of(&large)), (None, None));
    // Half a second later on the publisher's clock, whenever it arrives.
    large.on_sender_report(publisher(500 * MS, 0), 1_000_000, now);
    let ahead = large.ahead_of(&small).unwrap();
    let expected = 1_000_000_u32.wrapping_sub((u32::MAX - 100).wrapping_add(45_000));
    assert!((ahead.wrapping_sub(expected) as i32).abs() <= 1, "{ahead} {expected}");
    let back = small.ahead_of(&large).unwrap();
    assert!((ahead.wrapping_add(back) as i32).abs() <= 1);
}

#[test]
fn last_report_fields_count_the_delay() {
    let now = Instant::now();
    let mut reports = SenderReports::new(48_000);
    reports.on_sender_report(NtpTime(0x1111_2222_3333_4444), 0, now);
    assert_eq!(reports.last(now), Some((0x2222_3333, 0)));
    assert_eq!(reports.last(now + ms(1_500)), Some((0x2222_3333, 3 << 15)));
    let years = now + Duration::from_secs(1 << 27);
    assert_eq!(reports.last(years), Some((0x2222_3333, u32::MAX)));
}

#[test]
fn the_estimate_follows_slowly() {
    let mut estimate = RttEstimate::default();
    assert_eq!(estimate.get(), None);
    estimate.on_sample(ms(80));
    assert_eq!(estimate.get(), Some(ms(80)));
    estimate.on_sample(ms(160));
    assert_eq!(estimate.get(), Some(ms(90)));
    estimate.on_sample(ms(30_001));
    assert_eq!(estimate.get(), Some(ms(90)), "nobody is that far away");
}
