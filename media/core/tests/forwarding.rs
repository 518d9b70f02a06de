//! Media from one participant to another.

mod support;

use std::time::Duration;

use media_core::api::{Command, Event, MediaKind};
use support::client::ClientConfig;
use support::media::{CLOCK_AUDIO, CLOCK_VIDEO, TrackConfig};
use support::{SUBSCRIBER_EXTENSIONS, World};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn audio_and_video() -> (TrackConfig, TrackConfig) {
    let mut audio = TrackConfig::audio(1_000);
    audio.audio_level = Some((1, 30));
    let mut video = TrackConfig::video(2_000, 2_001);
    video.extensions = vec![(4, b"p11".to_vec()), (13, vec![1])];
    (audio, video)
}

#[test]
fn two_participants_exchange_rewritten_audio_and_video() {
    let mut world = World::pair();
    let (audio, video) = audio_and_video();
    world.publish(0, 10, audio);
    world.publish(0, 11, video);
    world.subscribe(1, 20, 10, MediaKind::Audio, 7_000);
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    world.publish(1, 12, TrackConfig::audio(3_000));
    world.subscribe(0, 22, 12, MediaKind::Audio, 9_000);
    world.run(s(3));
    assert_eq!(world.failures(), Vec::<String>::new());

    for (client, ssrc, payload_type, publisher, at_least) in
        [(1, 7_000, 109, 1_000, 140), (1, 8_000, 120, 2_000, 200), (0, 9_000, 109, 3_000, 140)]
    {
        let inbound = &world.client(client).media.inbound[&ssrc];
        assert!(inbound.got.len() > at_least, "{ssrc}: {} packets", inbound.got.len());
        assert_eq!(inbound.gaps(), Vec::<u64>::new());
        assert_eq!(inbound.duplicates, 0);
        let serials = inbound.serials();
        assert!(serials.windows(2).all(|pair| pair[1] == pair[0] + 1), "packets in order");
        for got in inbound.got.values() {
            assert_eq!(got.payload_type, payload_type);
            assert_eq!(got.ssrc_of_publisher, publisher);
        }
        assert_eq!(inbound.cname.as_deref(), Some("publisher-0"));
    }
    let video = &world.client(1).media.inbound[&8_000];
    assert!(video.got.values().next().unwrap().is_keyframe);
    assert!(video.got.values().skip(2).step_by(3).all(|got| got.marker));
    let counters = world.snapshot().counters;
    assert_eq!(counters.rtp_lost, [0, 0]);
    assert_eq!(counters.nack_sent, 0);
}

#[test]
fn extensions_are_translated_to_the_ids_of_the_subscriber() {
    let mut world = World::pair();
    let (audio, video) = audio_and_video();
    world.publish(0, 10, audio);
    world.publish(0, 11, video);
    world.subscribe(1, 20, 10, MediaKind::Audio, 7_000);
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    world.run(s(1));
    let value = |extensions: &[(u8, Vec<u8>)], id: u8| {
        extensions.iter().find(|(other, _)| *other == id).map(|(_, value)| value.clone())
    };
    let media = &world.client(1).media;
    let audio = media.inbound[&7_000].got.values().next_back().unwrap();
    assert_eq!(value(&audio.extensions, 9), Some(b"c20".to_vec()));
    assert_eq!(value(&audio.extensions, 2), Some(vec![0x80 | 30]));
    assert_eq!(value(&audio.extensions, 5).unwrap().len(), 3);
    assert_eq!(audio.extensions.len(), 3);
    let video = media.inbound[&8_000].got.values().next_back().unwrap();
    assert_eq!(value(&video.extensions, 9), Some(b"c21".to_vec()));
    assert_eq!(value(&video.extensions, 20), Some(vec![1]));
    assert_eq!(video.extensions.len(), 3);
}

#[test]
fn events_tell_when_tracks_start_and_who_speaks() {
    let mut world = World::pair();
    let (audio, video) = audio_and_video();
    world.publish(0, 10, audio);
    world.publish(0, 11, video);
    world.subscribe(1, 20, 10, MediaKind::Audio, 7_000);
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    world.run(s(3));
    let count = |wanted: &dyn Fn(&Event) -> bool| world.events.iter().filter(|e| wanted(e)).count();
    assert_eq!(count(&|e| matches!(e, Event::ProducerStarted { producer: 10, .. })), 1);
    assert_eq!(count(&|e| matches!(e, Event::ProducerStarted { producer: 11, .. })), 1);
    assert_eq!(count(&|e| *e == Event::ConsumerStarted { consumer: 20 }), 1);
    assert_eq!(count(&|e| *e == Event::ConsumerStarted { consumer: 21 }), 1);
    assert_eq!(count(&|e| *e == Event::ActiveSpeaker { room: 1, producer: Some(10) }), 1);
    let levels = count(&|e| matches!(e, Event::AudioLevels { room: 1, .. }));
    assert!((1..=15).contains(&levels), "{levels} level events in 3 s");
}

#[test]
fn a_late_joiner_gets_a_keyframe_within_a_second() {
    let mut world = World::pair();
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    world.run(s(5));
    let track = &world.client(0).media.tracks[0];
    let (keyframes, plis) = (track.keyframes, track.plis);
    let late = world.join(1, ClientConfig::at("203.0.113.9:6000"));
    world.set_extensions(late, &SUBSCRIBER_EXTENSIONS);
    world.subscribe(late, 31, 11, MediaKind::Video, 9_000);
    let joined = world.now;
    world.run(s(2));
    let inbound = &world.client(late).media.inbound[&9_000];
    let first = inbound.got.values().next().expect("media");
    assert!(first.is_keyframe);
    assert!(first.at - joined < s(1), "{:?}", first.at - joined);
    assert_eq!(inbound.gaps(), Vec::<u64>::new());
    let track = &world.client(0).media.tracks[0];
    assert!((1..=2).contains(&(track.plis - plis)), "{} requests", track.plis - plis);
    assert_eq!(track.keyframes - keyframes, track.plis - plis);
    assert!(
        world.snapshot().counters.dropped[media_core::DropReason::AwaitingKeyframe as usize] > 0
    );
}

#[test]
fn a_burst_of_keyframe_requests_reaches_the_publisher_once_per_interval() {
    let mut world = World::pair();
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    world.run(s(2));
    let before = world.client(0).media.tracks[0].plis;
    for _ in 0..100 {
        let client = &mut world.endpoints[1].client;
        let pli = client.media.send_pli(8_000, client.srtp.as_mut().unwrap());
        let from = client.remote();
        world.deliver(support::Datagram { from, bytes: pli });
        world.run(ms(20));
    }
    let sent = world.client(0).media.tracks[0].plis - before;
    assert!((3..=5).contains(&sent), "{sent} requests in two seconds");
    assert_eq!(world.snapshot().counters.pli_received, 100);
}

/// Server time that a report maps the timestamp of a packet to, in seconds.
fn server_time(info: &media_core::rtcp::SenderInfo, timestamp: u32, clock_rate_hz: u32) -> f64 {
    let ticks = timestamp.wrapping_sub(info.rtp_timestamp) as i32;
    let ntp = (info.ntp.0 as f64) / f64::from(1_u32 << 16) / f64::from(1_u32 << 16);
    ntp + f64::from(ticks) / f64::from(clock_rate_hz)
}

#[test]
fn reports_of_audio_and_video_map_to_the_same_server_time() {
    let mut world = World::pair();
    world.publish(0, 10, TrackConfig::audio(1_000));
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    world.run(ms(1_500));
    world.subscribe(1, 20, 10, MediaKind::Audio, 7_000);
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    world.run(s(6));
    let mut capture_errors = Vec::new();
    let media = &world.client(1).media;
    let [audio, video] = [&media.inbound[&7_000], &media.inbound[&8_000]];
    assert!(audio.sender_reports.len() >= 4 && video.sender_reports.len() >= 4);
    assert_eq!(audio.cname, video.cname);
    let (_, audio_info) = audio.sender_reports.last().unwrap();
    let (_, video_info) = video.sender_reports.last().unwrap();
    for video_got in video.got.values().filter(|got| got.marker) {
        // Frames of both are captured at multiples of 20 ms since the start, and delayed alike.
        let same_moment = audio.got.values().find(|audio_got| audio_got.at == video_got.at);
        let Some(audio_got) = same_moment else { continue };
        let video_time = server_time(video_info, video_got.timestamp, CLOCK_VIDEO);
        let audio_time = server_time(audio_info, audio_got.timestamp, CLOCK_AUDIO);
        capture_errors.push((video_time - audio_time).abs());
    }
    assert!(capture_errors.len() > 50, "{} frames compared", capture_errors.len());
    let worst = capture_errors.iter().copied().fold(0.0, f64::max);
    assert!(worst < 0.002, "audio and video are {worst} s apart");
}

/// What the last reports say how much later than the voice of the same moment pictures were taken.
fn lips_behind(world: &mut World) -> f64 {
    let start = world.start;
    let media = &world.client(1).media;
    let [voice, pictures] = [(7_000, CLOCK_AUDIO), (8_000, CLOCK_VIDEO)].map(|(ssrc, clock)| {
        let inbound = &media.inbound[&ssrc];
        let got = inbound.got.values().next_back().unwrap();
        let (_, info) = inbound.sender_reports.last().unwrap();
        server_time(info, got.timestamp, clock) - (got.at - start).as_secs_f64()
    });
    pictures - voice
}

#[test]
fn a_voice_that_comes_in_time_does_not_wait_for_pictures_that_do_not() {
    let mut world = World::pair();
    world.publish(0, 10, TrackConfig::audio(1_000));
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    world.run(ms(500));
    world.subscribe(1, 20, 10, MediaKind::Audio, 7_000);
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    world.run(s(6));
    assert!(lips_behind(&mut world).abs() < 0.045, "in sync: {}", lips_behind(&mut world));
    // Their way up gets narrow: pictures wait in the publisher's pacer, more and more.
    for _ in 0..75 {
        world.endpoints[0].client.media.tracks[1].held += ms(20);
        world.run(ms(40));
    }
    world.run(s(9));
    // Pictures are 1.5 s late, and 0.2 are all that receivers make the voice wait for.
    assert!((-0.26..-0.14).contains(&lips_behind(&mut world)), "{}", lips_behind(&mut world));
    let reports = &world.client(1).media.inbound[&8_000].sender_reports;
    let quick = reports.windows(2).filter(|two| two[1].0 - two[0].0 < ms(150)).count();
    assert!((20..=45).contains(&quick), "receivers go by the last twenty reports: {quick}");
    // It recovers: lips get back to the voice, and none of them hurries.
    for _ in 0..150 {
        let track = &mut world.endpoints[0].client.media.tracks[1];
        track.held = track.held.saturating_sub(ms(10));
        world.run(ms(40));
    }
    world.run(s(45));
    assert!(lips_behind(&mut world).abs() < 0.13, "back in sync: {}", lips_behind(&mut world));
}

#[test]
fn another_source_continues_the_stream_of_a_subscriber() {
    let mut world = World::pair();
    let second = world.join(1, ClientConfig::at("203.0.113.7:6000"));
    world.connect();
    let mut other = TrackConfig::video(5_000, 5_001);
    other.first = media_core::rtp::SeqNo(65_534);
    other.first_timestamp = 123;
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    world.publish(second, 13, other);
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    world.run(s(2));
    world.execute(Command::RemoveProducer { producer: 11 });
    world.client(0).media.tracks[0].active = false;
    world.run(ms(700));
    world.execute(Command::SetConsumerSource { consumer: 21, producer: 13 });
    world.run(s(2));
    let inbound = &world.client(1).media.inbound[&8_000];
    assert_eq!(inbound.gaps(), Vec::<u64>::new(), "sequence numbers go on");
    assert_eq!(inbound.duplicates, 0);
    let got: Vec<_> = inbound.got.values().collect();
    let joint = got.iter().position(|got| got.ssrc_of_publisher == 5_000).expect("switched");
    assert!(got[joint].is_keyframe, "begins with a keyframe");
    assert!(got[joint..].iter().all(|got| got.ssrc_of_publisher == 5_000));
    let pause = (got[joint].at - got[joint - 1].at).as_secs_f64();
    let ticks = got[joint].timestamp.wrapping_sub(got[joint - 1].timestamp);
    let stepped = f64::from(ticks) / f64::from(CLOCK_VIDEO);
    assert!((stepped - pause).abs() < 0.05, "timestamp went on by {stepped} s in {pause} s");
}

#[test]
fn muting_and_unmuting_leaves_no_gap_and_starts_with_a_keyframe() {
    let mut world = World::pair();
    world.publish(0, 10, TrackConfig::audio(1_000));
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    world.subscribe(1, 20, 10, MediaKind::Audio, 7_000);
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    world.run(s(1));
    for producer in [10, 11] {
        world.execute(Command::SetProducerPaused { producer, paused: true });
    }
    world.run(ms(100));
    let counts = |world: &mut World| {
        let media = &world.client(1).media;
        [media.inbound[&7_000].got.len(), media.inbound[&8_000].got.len()]
    };
    let muted = counts(&mut world);
    world.run(s(1));
    assert_eq!(counts(&mut world), muted);
    for producer in [10, 11] {
        world.execute(Command::SetProducerPaused { producer, paused: false });
    }
    world.run(s(1));
    for consumer in [20, 21] {
        world.execute(Command::SetConsumerPaused { consumer, paused: true });
    }
    world.run(ms(500));
    for consumer in [20, 21] {
        world.execute(Command::SetConsumerPaused { consumer, paused: false });
    }
    world.run(s(1));
    let media = &world.client(1).media;
    for ssrc in [7_000, 8_000] {
        let inbound = &media.inbound[&ssrc];
        assert_eq!(inbound.gaps(), Vec::<u64>::new());
        let got: Vec<_> = inbound.got.values().collect();
        let joints = got.windows(2).filter(|pair| pair[1].serial != pair[0].serial + 1);
        let joints: Vec<_> = joints.map(|pair| pair[1].is_keyframe).collect();
        assert_eq!(joints, [ssrc == 8_000; 2], "two interruptions of {ssrc}");
    }
    let started = world.events.iter().filter(|e| **e == Event::ConsumerStarted { consumer: 21 });
    assert_eq!(started.count(), 3);
}
