//! From silence to much at once, over a path nothing is known of.
//! `cargo test -p witness-media-core --test jump -- --nocapture` prints what came out.

mod support;

use std::time::Duration;

use media_core::api::{ExtensionId, ExtensionKind, MediaKind};
use media_core::netem::NetemConfig;
use media_core::rtcp::TwccWriter;
use media_core::twcc::TwccRecorder;
use media_core::{DropReason, PlaneConfig};
use support::media::TrackConfig;
use support::{World, test_config};

const TRANSPORT: u64 = 101;

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// What a jump did.
#[derive(Debug)]
struct Outcome {
    /// Packets of video that found no place in the queue.
    dropped: u64,
    /// When the last of them did, after the jump.
    until: Duration,
    estimate_bps: u64,
}

/// A publisher of sound switches a camera of one encoding on after `silence`.
fn jump(rate_bps: u64, link_bps: u64, silence: Duration) -> Outcome {
    let config = PlaneConfig { start_bitrate_bps: 1_000_000, ..test_config() };
    let mut world = World::pair_with(config);
    let ids = [(ExtensionKind::Mid, 9), (ExtensionKind::TransportCc, 5)];
    let ids = ids.map(|(kind, id)| ExtensionId { kind, id });
    world.set_extensions(1, &ids);
    let wide = NetemConfig { delay: ms(20), ..NetemConfig::default() };
    world.set_network(1, wide, NetemConfig { rate_bps: link_bps, queue_delay: ms(300), ..wide });
    world.client(1).tolerates_replays = true;
    let media = &mut world.client(1).media;
    media.set_extensions(&ids);
    media.twcc = Some((TwccRecorder::new(ms(100)), TwccWriter::default()));
    let track = TrackConfig {
        interval: Duration::from_micros(33_333),
        payload_len: 1_100,
        packets_per_frame: rate_bps as usize / 30 / 8 / 1_100,
        ..TrackConfig::video(2_000, 2_001)
    };
    world.publish(0, 11, track);
    world.publish(0, 12, TrackConfig::audio(3_000));
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    world.subscribe(1, 22, 12, MediaKind::Audio, 9_000);
    world.client(0).media.tracks[0].active = false;
    world.run(silence);
    let start = world.now;
    let camera = &mut world.client(0).media.tracks[0];
    camera.active = true;
    camera.restart(start);
    let mut outcome = Outcome { dropped: 0, until: Duration::ZERO, estimate_bps: 0 };
    for _ in 0..50 {
        world.run(ms(100));
        let dropped = world.dropped(DropReason::PacerOverflow);
        if dropped > std::mem::replace(&mut outcome.dropped, dropped) {
            outcome.until = world.now - start;
        }
    }
    let snapshot = world.snapshot();
    let stats = snapshot.transports.iter().find(|stats| stats.transport == TRANSPORT).unwrap();
    outcome.estimate_bps = stats.estimate_bps.unwrap_or(0);
    outcome
}

#[test]
fn a_wide_path_takes_three_cameras_at_once_and_any_number_after_a_second() {
    // Rate, and the packets that may be lost.
    for (mbps, most) in [(2, 0), (4, 0), (6, 0), (10, 150), (20, 600)] {
        for silence in [ms(0), ms(1_000), ms(10_000)] {
            let outcome = jump(mbps * 1_000_000, 100_000_000, silence);
            println!("{mbps} Mb/s after {silence:?}: {outcome:?}");
            assert!(outcome.dropped <= most, "{mbps} Mb/s after {silence:?}: {outcome:?}");
            assert!(outcome.until < ms(1_000), "{mbps} Mb/s after {silence:?}: {outcome:?}");
            assert!(outcome.estimate_bps > mbps * 1_000_000, "{mbps} Mb/s: {outcome:?}");
        }
    }
}

#[test]
fn a_narrow_path_is_found_to_be_one() {
    for mbps in [4, 20] {
        let outcome = jump(mbps * 1_000_000, 3_000_000, ms(1_000));
        println!("{mbps} Mb/s: {outcome:?}");
        assert!(outcome.dropped > 100, "{outcome:?}");
        assert!((1_500_000..3_300_000).contains(&outcome.estimate_bps), "{outcome:?}");
    }
}
