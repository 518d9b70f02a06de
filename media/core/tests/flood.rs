//! Whoever publishes sound can't fill the links of those who listen.

mod support;

use std::time::Duration;

use media_core::api::{EngineCounters, MediaKind};
use media_core::netem::{Loss, NetemConfig};
use media_core::{DropReason, Stage};
use support::media::TrackConfig;
use support::{World, consumer_parameters, good_network, opus, producer_parameters};

const FLOODED: u32 = 7_000;
const QUIET: u32 = 8_000;
const SECONDS: u64 = 10;
/// A second of the rate, and two for the burst.
const MOST_PACKETS: usize = 500 * (SECONDS as usize + 2);

fn exceeded(counters: &EngineCounters, stage: Stage) -> u64 {
    counters.ledger.dropped(stage, DropReason::RateExceeded)
}

/// Two people who hear each other, the first of whom floods.
fn flooded(flood: TrackConfig, offsets: Vec<u8>, up: NetemConfig) -> World {
    let mut world = World::pair();
    world.set_network(0, up, good_network());
    let mut parameters = producer_parameters(&flood, "0");
    if let Some(red) = flood.red {
        let mut codec = opus(flood.payload_type);
        codec.red_payload_type = Some(red);
        parameters.codecs = vec![codec];
    }
    world.add_producer(0, 11, parameters);
    let now = world.now;
    let media = &mut world.client(0).media;
    media.add_track(flood, now);
    media.tracks[0].offsets = offsets;
    world.publish(1, 12, TrackConfig::audio(5_000));
    let parameters = consumer_parameters(MediaKind::Audio, FLOODED, "a");
    world.subscribe_with(1, 21, 11, MediaKind::Audio, parameters);
    world.subscribe(0, 22, 12, MediaKind::Audio, QUIET);
    world.run(Duration::from_secs(SECONDS));
    world
}

#[test]
fn floods_of_sound_are_cut_and_others_are_heard() {
    // Many packets; large ones.
    for (interval_us, payload_len, most) in [(200, 80, MOST_PACKETS), (1_000, 1_000, 1_600)] {
        let flood = TrackConfig {
            interval: Duration::from_micros(interval_us),
            payload_len,
            ..TrackConfig::audio(1_000)
        };
        let mut world = flooded(flood, Vec::new(), good_network());
        let counters = world.snapshot().counters;
        let sent = world.client(0).media.tracks[0].packets;
        let heard = world.client(1).media.inbound[&FLOODED].got.len();
        assert!(heard <= most && heard > most / 2, "{heard}");
        let cut = exceeded(&counters, Stage::Media);
        assert!(cut + heard as u64 + 100 >= sent, "{sent} sent, {heard} heard, {cut} cut");
        let quiet = world.client(0).media.inbound[&QUIET].got.len();
        assert!(quiet >= 50 * SECONDS as usize - 10, "{quiet}");
    }
}

#[test]
fn floods_of_copies_are_cut_too() {
    // Frames of 20 ms that come every one: eight in ten are lost and come as copies.
    let flood = TrackConfig {
        interval: Duration::from_millis(1),
        payload_len: 40,
        red: Some(63),
        frame_ticks: Some(960),
        ..TrackConfig::audio(1_000)
    };
    let up = NetemConfig { loss: Loss::Random(0.8), ..good_network() };
    let mut world = flooded(flood, (1..=8).collect(), up);
    let counters = world.snapshot().counters;
    let heard = world.client(1).media.inbound[&FLOODED].got.len();
    assert!(heard <= MOST_PACKETS && heard > MOST_PACKETS / 2, "{heard}");
    let [whole, copies] = [Stage::Media, Stage::Copy].map(|stage| exceeded(&counters, stage));
    assert!(whole > 100 && copies > 1_000, "{whole} {copies}");
}
