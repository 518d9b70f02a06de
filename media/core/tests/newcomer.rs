//! Who joins a running call over a path nothing is known of: how soon it sees, and what it hears meanwhile.
//! `cargo test -p witness-media-core --test newcomer -- --nocapture` prints what came out.

mod support;

use std::time::{Duration, Instant};

use media_core::PlaneConfig;
use media_core::api::{EncodingParameters, ExtensionId, ExtensionKind, MediaKind};
use media_core::netem::NetemConfig;
use media_core::rtcp::TwccWriter;
use media_core::twcc::TwccRecorder;
use support::inbound::Got;
use support::media::TrackConfig;
use support::simulcast::{
    PRODUCER, RIDS, STREAM, SlowPublisher, consumer, encoding, frames, inbound,
};
use support::{World, producer_parameters, test_config};

const VOICE: u32 = 9_000;
const TICK: Duration = Duration::from_millis(10);

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// What the first ten seconds were like.
#[derive(Debug)]
struct Outcome {
    /// 95 % of the time less than this stood in front of the link.
    queue: Duration,
    /// How long more than 150 ms stood there.
    crowded: Duration,
    first_picture: Duration,
    /// When 640 and 1280 were first shown, and what is shown at the end.
    larger: [Option<Duration>; 2],
    at_last: usize,
    /// Frames of sound that came more than 150 ms after others, or never.
    unheard: usize,
}

/// One encoding of a camera: 320, 640 and 1280 wide, 15 pictures a second.
fn picture(world: &World, index: usize) -> TrackConfig {
    TrackConfig {
        interval: Duration::from_micros(66_667),
        packets_per_frame: [2, 4, 12][index],
        packets_per_keyframe: Some([8, 22, 50][index]),
        payload_len: [680, 1_030, 1_040][index],
        ..encoding(world, index, 1)
    }
}

/// Joins behind a link of `rate_bps` (0: none) with a queue of 300 ms, 40 ms away and back.
fn join(rate_bps: u64) -> Outcome {
    let mut world = World::pair_with(PlaneConfig { start_bitrate_bps: 1_000_000, ..test_config() });
    let ids = [(ExtensionKind::Mid, 9), (ExtensionKind::TransportCc, 5)];
    let ids = ids.map(|(kind, id)| ExtensionId { kind, id });
    world.set_extensions(1, &ids);
    let near = NetemConfig { delay: ms(20), ..NetemConfig::default() };
    world.set_network(1, near, NetemConfig { rate_bps, queue_delay: ms(300), ..near });
    world.client(1).tolerates_replays = true;
    let media = &mut world.client(1).media;
    media.set_extensions(&ids);
    media.twcc = Some((TwccRecorder::new(ms(100)), TwccWriter::default()));
    let mut parameters = producer_parameters(&picture(&world, 0), "v");
    parameters.encodings = RIDS
        .iter()
        .map(|rid| EncodingParameters { rid: Some((*rid).into()), ssrc: None, rtx_ssrc: None })
        .collect();
    world.add_producer(0, PRODUCER, parameters);
    for index in 0..RIDS.len() {
        let (track, now) = (picture(&world, index), world.now);
        world.client(0).media.add_track(track, now);
    }
    world.publish(0, 12, TrackConfig::audio(7_000));
    let mut publisher = SlowPublisher::default();
    for _ in 0..300 {
        world.run(TICK);
        publisher.follow(&mut world);
    }
    let start = world.now;
    world.subscribe(1, consumer(0), PRODUCER, MediaKind::Video, STREAM);
    world.subscribe(1, 22, 12, MediaKind::Audio, VOICE);
    let mut queues = Vec::new();
    for _ in 0..1_000 {
        world.run(TICK);
        publisher.follow(&mut world);
        queues.push(world.endpoints[1].down.queueing());
        if std::env::var_os("NEWCOMER_TRACE").is_some() && queues.len() % 10 == 0 {
            let snapshot = world.snapshot();
            let stats = snapshot.transports.iter().find(|stats| stats.transport == 101);
            let estimate = stats.and_then(|stats| stats.estimate_bps).unwrap_or(0);
            println!("{:?} {:?} {estimate}", world.now - start, queues.last());
        }
    }
    let crowded = TICK * queues.iter().filter(|queue| **queue > ms(150)).count() as u32;
    queues.sort();
    let frames = frames(inbound(&world, 0));
    let size = |frame: &Vec<&Got>| (frame[0].ssrc_of_publisher as usize - 2_000) / 1_000;
    let shown = |frame: &Vec<&Got>| frame.iter().map(|got| got.at).max().unwrap() - start;
    let larger = [1, 2].map(|least| frames.iter().find(|frame| size(frame) >= least).map(shown));
    let voice = &world.endpoints[1].client.media.inbound[&VOICE];
    let first = *voice.frames.keys().next().unwrap();
    let sent = voice.frames.keys().next_back().unwrap() - first + 1;
    // Frames are 20 ms apart and as long under way, but for the queue.
    let lead = |(serial, (at, _)): (&u64, &(Instant, u32))| {
        (*at - start).saturating_sub(ms(20) * (serial - first) as u32)
    };
    let least = voice.frames.iter().map(lead).min().unwrap();
    let heard = voice.frames.iter().map(lead).filter(|lead| *lead <= least + ms(150)).count();
    Outcome {
        queue: queues[queues.len() * 95 / 100],
        crowded,
        first_picture: shown(&frames[0]),
        larger,
        at_last: size(frames.last().unwrap()),
        unheard: sent as usize - heard,
    }
}

#[test]
fn a_newcomer_sees_soon_and_hears_at_once() {
    for rate_kbps in [0, 1_000, 500, 300] {
        let outcome = join(rate_kbps * 1_000);
        println!("{rate_kbps} kb/s: {outcome:?}");
        assert!(outcome.first_picture < ms(700), "{rate_kbps} kb/s: {outcome:?}");
        assert!(outcome.queue < ms(80), "{rate_kbps} kb/s: {outcome:?}");
        // One keyframe of the smallest picture waits for no longer than this.
        assert!(outcome.crowded < ms(100) && outcome.unheard < 5, "{rate_kbps} kb/s: {outcome:?}");
        let width = match rate_kbps {
            0 => 2,
            1_000 => 1,
            _ => 0,
        };
        assert_eq!(outcome.at_last, width, "{rate_kbps} kb/s: {outcome:?}");
        assert!(rate_kbps > 0 || outcome.larger[1] < Some(ms(1_000)), "{outcome:?}");
    }
}
