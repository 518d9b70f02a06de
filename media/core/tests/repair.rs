//! Loss on the way up and down, and what is done about it.

mod support;

use std::time::Duration;

use media_core::api::{Command, MediaKind};
use media_core::netem::NetemConfig;
use support::media::TrackConfig;
use support::{World, consumer_parameters, good_network, lossy, opus, producer_parameters};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn calm_after(world: &mut World, up: NetemConfig, down: NetemConfig, seconds: u64) {
    world.set_network(0, up, good_network());
    world.set_network(1, good_network(), down);
    world.run(s(seconds));
    world.client(0).media.tracks[0].active = false;
    world.set_network(0, good_network(), good_network());
    world.set_network(1, good_network(), good_network());
    world.run(s(2));
}

#[test]
fn video_lost_on_the_way_down_is_repaired_over_rtx() {
    for loss in [0.1, 0.3] {
        let mut world = World::pair();
        world.publish(0, 11, TrackConfig::video(2_000, 2_001));
        world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
        world.run(s(1));
        calm_after(&mut world, good_network(), lossy(loss), 8);
        let inbound = &world.client(1).media.inbound[&8_000];
        let gaps = inbound.gaps();
        assert!(gaps.is_empty(), "loss {loss}: {} gaps of {}", gaps.len(), inbound.got.len());
        let repaired = inbound.got.values().filter(|got| got.by_rtx).count();
        let share = repaired as f64 / inbound.got.len() as f64;
        assert!(share > loss * 0.6, "loss {loss}: only {share} by rtx");
        let counters = world.snapshot().counters;
        assert!(counters.retransmissions_out >= repaired as u64);
        assert_eq!(counters.nack_sent, 0, "the publisher is not asked for what it sent well");
        assert!(counters.nack_received > 0);
    }
}

#[test]
fn video_lost_on_the_way_up_is_repaired_over_rtx() {
    for loss in [0.1, 0.3] {
        let mut world = World::pair();
        world.publish(0, 11, TrackConfig::video(2_000, 2_001));
        world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
        world.run(s(1));
        calm_after(&mut world, lossy(loss), good_network(), 8);
        let snapshot = world.snapshot();
        let producer = &snapshot.producers[0];
        assert_eq!(producer.lost, 0, "loss {loss}");
        let share = producer.repaired as f64 / producer.packets as f64;
        assert!(share > loss * 0.6, "loss {loss}: {} repaired", producer.repaired);
        assert!(snapshot.counters.retransmissions_in >= producer.repaired);
        assert_eq!(snapshot.counters.rtp_lost, [0, 0]);
        let inbound = &world.client(1).media.inbound[&8_000];
        assert_eq!(inbound.gaps(), Vec::<u64>::new(), "loss {loss}");
        // What comes on the media stream itself comes in time: players take it for the pace.
        let plain = inbound.got.values().filter(|got| !got.by_rtx);
        let mut in_time: Vec<_> = plain.map(|got| (got.at, got.ext_seq)).collect();
        in_time.sort_by_key(|(at, _)| *at);
        let sequences: Vec<_> = in_time.iter().map(|(_, ext_seq)| ext_seq).collect();
        assert!(sequences.is_sorted(), "loss {loss}: a repaired packet on the media stream");
        assert_eq!(snapshot.counters.retransmissions_out, 0, "none was lost after the server");
        // Both the plane and the subscriber ask; an answer may cross a late original.
        let (duplicates, got) = (inbound.duplicates, inbound.got.len() as u64);
        assert!(duplicates * 20 < got, "loss {loss}: {duplicates} duplicates, {got} packets");
    }
}

#[test]
fn video_survives_loss_both_ways_at_once() {
    let mut world = World::pair();
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    world.run(s(1));
    calm_after(&mut world, lossy(0.3), lossy(0.3), 8);
    let inbound = &world.client(1).media.inbound[&8_000];
    let (gaps, got) = (inbound.gaps().len(), inbound.got.len());
    assert!(gaps * 100 < got, "{gaps} gaps, {got} packets");
}

#[test]
fn audio_without_rtx_is_sent_again_as_it_was() {
    for loss in [0.1, 0.3] {
        let mut world = World::pair();
        world.publish(0, 10, TrackConfig::audio(1_000));
        world.subscribe(1, 20, 10, MediaKind::Audio, 7_000);
        world.run(s(1));
        calm_after(&mut world, good_network(), lossy(loss), 10);
        let inbound = &world.client(1).media.inbound[&7_000];
        let (gaps, got) = (inbound.gaps().len(), inbound.got.len());
        // Asked for during 400 ms, a request and its answer may be lost again.
        assert!(gaps * 100 <= got, "loss {loss}: {gaps} gaps, {got} packets");
        assert!(world.snapshot().counters.retransmissions_out > 0);
    }
}

#[test]
fn a_subscriber_without_nack_is_not_answered() {
    let mut world = World::pair();
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    let mut parameters = consumer_parameters(MediaKind::Video, 8_000, "v");
    parameters.nack = false;
    world.client(1).media.expect(8_000, Some(8_001), MediaKind::Video);
    let transport = world.endpoints[1].transport;
    world.execute(Command::AddConsumer { transport, consumer: 21, producer: 11, parameters });
    calm_after(&mut world, good_network(), lossy(0.1), 3);
    assert_eq!(world.snapshot().counters.retransmissions_out, 0);
    assert!(!world.client(1).media.inbound[&8_000].gaps().is_empty());
}

#[test]
fn every_packet_is_reported_in_congestion_feedback() {
    let mut world = World::pair();
    let mut video = TrackConfig::video(2_000, 2_001);
    video.transport_cc = Some(3);
    world.publish(0, 11, video);
    world.run(s(4));
    world.client(0).media.tracks[0].active = false;
    world.run(s(1));
    let media = &world.client(0).media;
    let sent = media.tracks[0].packets as usize;
    assert_eq!(media.feedback_reported.len(), sent);
    assert!((30..=60).contains(&media.feedback_packets), "{}", media.feedback_packets);
}

#[test]
fn receiver_reports_tell_the_publisher_of_its_loss() {
    let mut world = World::pair();
    world.publish(0, 10, TrackConfig::audio(1_000));
    world.set_network(0, lossy(0.25), good_network());
    world.run(s(10));
    let reports = &world.client(0).media.receiver_reports;
    assert!((6..=16).contains(&reports.len()), "{} reports in 10 s", reports.len());
    assert!(reports.iter().all(|report| report.ssrc == 1_000));
    let mean = reports.iter().map(|r| f64::from(r.fraction_lost) / 256.0).sum::<f64>()
        / reports.len() as f64;
    assert!((0.15..0.35).contains(&mean), "reported {mean}");
    assert!(reports.last().unwrap().last_sr != 0);
    assert!(reports.last().unwrap().cumulative_lost > 50);
}

#[test]
fn round_trip_loss_and_jitter_of_a_subscriber_are_seen() {
    let mut world = World::pair();
    world.publish(0, 10, TrackConfig::audio(1_000));
    world.subscribe(1, 20, 10, MediaKind::Audio, 7_000);
    world.client(1).media.reported_loss = 64;
    world.run(s(6));
    let snapshot = world.snapshot();
    let consumer = &snapshot.consumers[0];
    assert_eq!(consumer.loss_ratio, Some(0.25));
    assert_eq!(consumer.jitter_s, Some(0.01));
    let rtt = consumer.rtt_s.expect("a round trip");
    assert!((0.029..0.033).contains(&rtt), "{rtt}");
    let transport = snapshot.transports.iter().find(|t| t.transport == 101).unwrap();
    assert!((0.029..0.033).contains(&transport.rtt_s.unwrap()));
    assert!((20_000..60_000).contains(&consumer.bitrate_bps), "{}", consumer.bitrate_bps);
}

#[test]
fn streams_are_learnt_by_mid_and_by_payload_type() {
    let mut world = World::pair();
    let mut by_mid = TrackConfig::audio(1_000);
    by_mid.extensions = vec![(4, b"m".to_vec())];
    let mut parameters = producer_parameters(&by_mid, "m");
    parameters.encodings[0].ssrc = None;
    world.add_producer(0, 10, parameters);
    let now = world.now;
    world.client(0).media.add_track(by_mid, now);
    let by_type = TrackConfig::video(2_000, 2_001);
    let mut parameters = producer_parameters(&by_type, "v");
    parameters.encodings[0].ssrc = None;
    parameters.encodings[0].rtx_ssrc = None;
    world.add_producer(0, 11, parameters);
    world.client(0).media.add_track(by_type, now);
    let unknown = TrackConfig {
        payload_type: 50,
        first: media_core::rtp::SeqNo(1),
        ..TrackConfig::audio(4_000)
    };
    world.client(0).media.add_track(unknown, now);
    world.subscribe(1, 20, 10, MediaKind::Audio, 7_000);
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    world.set_network(0, lossy(0.1), good_network());
    world.run(s(4));
    for index in 0..3 {
        world.client(0).media.tracks[index].active = false;
    }
    world.run(s(2));
    let media = &world.client(1).media;
    assert!(media.inbound[&7_000].got.len() > 150);
    assert!(media.inbound[&8_000].got.len() > 250);
    let snapshot = world.snapshot();
    let video = snapshot.producers.iter().find(|p| p.producer == 11).unwrap();
    assert!(video.repaired > 10, "RTX was assigned by its payload type");
    assert!(world.dropped(media_core::DropReason::UnknownSsrc) > 100);
}

#[test]
fn a_codec_the_subscriber_lacks_is_counted_and_not_sent() {
    let mut world = World::pair();
    let track = TrackConfig::audio(1_000);
    let mut parameters = producer_parameters(&track, "a");
    parameters
        .codecs
        .push(media_core::api::CodecParameters { variant: "other".into(), ..opus(112) });
    world.add_producer(0, 10, parameters);
    let now = world.now;
    world.client(0).media.add_track(TrackConfig { payload_type: 112, ..track }, now);
    world.subscribe(1, 20, 10, MediaKind::Audio, 7_000);
    world.run(s(1));
    assert!(world.client(1).media.inbound[&7_000].got.is_empty());
    assert!(world.dropped(media_core::DropReason::CodecMismatch) > 40);
}
