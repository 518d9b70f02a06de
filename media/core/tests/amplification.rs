//! What a subscriber can make the plane send that lies about what it lost.

mod support;

use std::time::Duration;

use media_core::api::MediaKind;
use media_core::netem::{Loss, NetemConfig};
use media_core::rtcp::{self, ReportBlock};
use media_core::rtp::SeqNo;
use media_core::srtp::MAX_OVERHEAD;
use support::media::TrackConfig;
use support::{Datagram, Endpoint, World, good_network};

const STREAM: u32 = 8_000;
/// All that may be sent for one byte of media, whatever is reported and asked for.
const MOST: u64 = 7;
/// The same where nothing is known of the way but what the subscriber says.
const MOST_UNKNOWN: u64 = 4;
/// Lies go on for so long.
const TIME: Duration = Duration::from_secs(8);
const STEP: Duration = Duration::from_millis(20);

/// What a subscriber says.
#[derive(Debug, Clone, Copy)]
struct Lies {
    /// Share of loss, in 256ths.
    loss: u8,
    /// Asks for the last 300 packets.
    asks: bool,
    /// Asks for keyframes.
    wants_keyframes: bool,
}

/// A publisher of video and a subscriber, with transport-wide feedback or without.
fn call(has_feedback: bool) -> World {
    let mut world = World::pair();
    if has_feedback {
        world.feed_back(1);
    }
    world.client(1).tolerates_replays = true;
    world.client(1).media.sends_nacks = false;
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    world.subscribe(1, 21, 11, MediaKind::Video, STREAM);
    world
}

/// The subscriber tells its lies once.
fn lie(world: &mut World, lies: Lies) {
    let now = world.now;
    let Endpoint { client, up, .. } = &mut world.endpoints[1];
    let newest = client.media.inbound[&STREAM].got.keys().next_back().copied().unwrap();
    let block = ReportBlock { ssrc: STREAM, fraction_lost: lies.loss, ..ReportBlock::default() };
    let mut compound = Vec::new();
    rtcp::write_receiver_report(&mut compound, 1, &[block]);
    if lies.asks {
        let lost: Vec<SeqNo> = (newest - 300..=newest).map(|n| SeqNo(n as u16)).collect();
        rtcp::write_nack(&mut compound, 1, STREAM, &lost);
    }
    let len = compound.len();
    compound.resize(len + MAX_OVERHEAD, 0);
    let srtp = client.srtp.as_mut().unwrap();
    let len = srtp.local.protect_rtcp(&mut compound, len).unwrap();
    compound.truncate(len);
    up.push(now, Datagram { from: client.remote(), bytes: compound });
    if lies.wants_keyframes {
        let bytes = client.media.send_pli(STREAM, client.srtp.as_mut().unwrap());
        up.push(now, Datagram { from: client.remote(), bytes });
    }
}

/// Bytes of media and bytes in all that the lies brought.
fn sent(world: &mut World, lies: Lies) -> (u64, u64) {
    world.client(1).media.reported_loss = lies.loss;
    let media = world.snapshot().counters.rtp_bytes_out[MediaKind::Video as usize];
    let all = world.snapshot().transports[1].bytes_out;
    let end = world.now + TIME;
    while world.now < end {
        world.run(STEP);
        lie(world, lies);
    }
    let snapshot = world.snapshot();
    let media = snapshot.counters.rtp_bytes_out[MediaKind::Video as usize] - media;
    (media, snapshot.transports[1].bytes_out - all)
}

#[test]
fn lies_bring_no_more_than_some_times_the_media() {
    for (loss, asks, wants_keyframes) in [
        (0, false, false),
        (0, true, false),
        (250, false, false),
        (250, true, false),
        (250, false, true),
        (250, true, true),
        (60, true, true),
    ] {
        let lies = Lies { loss, asks, wants_keyframes };
        let mut world = call(false);
        world.run(Duration::from_secs(2));
        let (media, all) = sent(&mut world, lies);
        println!("{lies:?}: {media} bytes of media, {all} in all");
        assert!(media > 100_000, "{lies:?}");
        assert!(all <= MOST_UNKNOWN * media, "{lies:?}: {all} of {media}");
        assert_eq!(world.failures(), Vec::<String>::new());
    }
}

#[test]
fn a_flood_of_requests_on_a_lossy_way_stays_within_the_estimate() {
    for loss in [0.5, 0.9] {
        let mut world = call(true);
        world.run(Duration::from_secs(10));
        let lossy = NetemConfig { loss: Loss::Random(loss), ..good_network() };
        world.set_network(1, good_network(), lossy);
        world.run(Duration::from_secs(5));
        let (media, all) = sent(&mut world, Lies { loss: 250, asks: true, wants_keyframes: true });
        let estimate = world.snapshot().transports[1].estimate_bps;
        println!("{loss}: {media} bytes of media, {all} in all, {estimate:?} bit/s");
        assert!(all <= MOST * media, "{loss}: {all} of {media}");
    }
}
