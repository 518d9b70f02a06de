//! Simulcast encodings, and streams that begin anew.

mod support;

use std::time::Duration;

use media_core::api::{EncodingParameters, MediaKind};
use media_core::rtp::SeqNo;
use support::World;
use support::media::{CLOCK_VIDEO, TrackConfig};
use support::producer_parameters;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn layer(ssrc: u32, rid: &str) -> TrackConfig {
    let mut track = TrackConfig::video(ssrc, ssrc + 1);
    track.extensions = vec![(4, b"v".to_vec()), (10, rid.as_bytes().to_vec())];
    track.first = SeqNo(ssrc as u16);
    track.first_timestamp = ssrc.wrapping_mul(77_777);
    track
}

/// A producer with encodings `q` and `h`, learnt by RID, and one subscriber.
fn simulcast() -> World {
    let mut world = World::pair();
    let mut parameters = producer_parameters(&layer(2_000, "q"), "v");
    parameters.encodings = ["q", "h"]
        .map(|rid| EncodingParameters { rid: Some(rid.into()), ssrc: None, rtx_ssrc: None })
        .to_vec();
    world.add_producer(0, 11, parameters);
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    world
}

fn start(world: &mut World, track: TrackConfig) {
    let now = world.now;
    world.client(0).media.add_track(track, now);
}

fn sources(world: &mut World) -> Vec<u32> {
    let inbound = &world.client(1).media.inbound[&8_000];
    assert_eq!(inbound.gaps(), Vec::<u64>::new());
    let mut sources: Vec<u32> = inbound.got.values().map(|got| got.ssrc_of_publisher).collect();
    sources.dedup();
    sources
}

#[test]
fn the_highest_living_encoding_is_forwarded_and_changes_at_keyframes() {
    let mut world = simulcast();
    start(&mut world, layer(2_000, "q"));
    world.run(s(2));
    start(&mut world, layer(3_000, "h"));
    world.run(s(2));
    world.client(0).media.tracks[1].active = false;
    world.run(s(4));
    assert_eq!(sources(&mut world), [2_000, 3_000, 2_000]);
    let inbound = &world.client(1).media.inbound[&8_000];
    let got: Vec<_> = inbound.got.values().collect();
    for pair in got.windows(2) {
        if pair[0].ssrc_of_publisher == pair[1].ssrc_of_publisher {
            continue;
        }
        assert!(pair[1].is_keyframe, "a change starts with a keyframe");
        let ticks = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        let passed = (pair[1].at - pair[0].at).as_secs_f64();
        let stepped = f64::from(ticks) / f64::from(CLOCK_VIDEO);
        assert!((stepped - passed).abs() < 0.05, "{stepped} s on the clock in {passed} s");
    }
}

#[test]
fn a_publisher_that_changes_its_ssrc_goes_on_by_mid() {
    let mut world = World::pair();
    let mut first = layer(2_000, "x");
    first.extensions.pop();
    let mut second = layer(3_000, "x");
    second.extensions.pop();
    world.add_producer(0, 11, producer_parameters(&first, "v"));
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    start(&mut world, first);
    world.run(s(1));
    world.client(0).media.tracks[0].active = false;
    start(&mut world, second);
    world.run(s(1));
    assert_eq!(sources(&mut world), [2_000, 3_000]);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.counters.rtp_lost, [0, 0]);
    let tracks = &world.client(0).media.tracks;
    let keyframes = tracks.iter().map(|track| track.keyframes).sum::<u64>();
    assert_eq!(snapshot.producers[0].keyframes, keyframes);
    world.client(0).media.tracks[1].active = false;
    let mut third = layer(4_000, "x");
    third.extensions.pop();
    start(&mut world, third);
    world.run(s(1));
    // Stragglers of the streams before do not bring these back.
    for old in [1, 0] {
        world.client(0).media.tracks[old].active = true;
        world.run(Duration::from_millis(200));
        world.client(0).media.tracks[old].active = false;
        world.run(s(1));
    }
    assert_eq!(sources(&mut world), [2_000, 3_000, 4_000]);
}

#[test]
fn nobody_takes_over_an_announced_ssrc_by_payload_type_alone() {
    let mut world = World::pair();
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    start(&mut world, TrackConfig::video(3_000, 3_001));
    world.run(s(1));
    assert_eq!(sources(&mut world), [2_000]);
    assert!(world.dropped(media_core::DropReason::UnknownSsrc) > 50);
}
