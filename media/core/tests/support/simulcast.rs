//! A publisher with several encodings of one picture, and what its subscribers must see.

use std::time::{Duration, Instant};

use media_core::api::{Command, EncodingParameters, Event, Layer, LayerWish, MediaKind};
use media_core::rtp::SeqNo;

use super::client::ClientConfig;
use super::form::Form;
use super::inbound::{Got, Inbound};
use super::media::{CLOCK_VIDEO, TrackConfig};
use super::{SUBSCRIBER_EXTENSIONS, World, consumer_parameters, good_network, producer_parameters};

pub const RIDS: [&str; 3] = ["q", "h", "f"];
pub const PRODUCER: u64 = 11;
/// SSRC of the subscribers' stream: each has its own transport.
pub const STREAM: u32 = 8_000;

/// An encoding with unrelated SSRC, sequence numbers, timestamps and picture numbers.
pub fn encoding(world: &World, index: usize, temporal_layers: u8) -> TrackConfig {
    let number = index as u32;
    let mut track = TrackConfig::video(2_000 + 1_000 * number, 2_001 + 1_000 * number);
    track.extensions = vec![(4, b"v".to_vec()), (10, RIDS[index].as_bytes().to_vec())];
    track.first = SeqNo([32_760, 65_500, 3][index]);
    track.first_timestamp = [77, u32::MAX - 90_000, 0x7fff_f000][index];
    track.first_picture = [(32_700, 250, 30), (5, 3, 1), (16_000, 128, 17)][index];
    track.packets_per_frame = [1, 2, 5][index];
    track.payload_len = [300, 1_000, 1_000][index];
    track.temporal_layers = Some(temporal_layers);
    track.captured_from = Some(world.start);
    track
}

/// A room with a publisher of `count` encodings, which all start now, and subscribers.
pub fn simulcast(count: usize, temporal_layers: u8, subscribers: usize) -> World {
    simulcast_in(World::new(), count, temporal_layers, subscribers)
}

/// The same in a world without people.
pub fn simulcast_in(
    mut world: World,
    count: usize,
    temporal_layers: u8,
    subscribers: usize,
) -> World {
    world.join(1, ClientConfig::at("198.51.100.1:5001"));
    for index in 0..subscribers {
        let number = index + 2;
        world.join(1, ClientConfig::at(&format!("198.51.100.{number}:5002")));
        world.set_extensions(index + 1, &SUBSCRIBER_EXTENSIONS);
    }
    world.connect();
    let mut parameters = producer_parameters(&encoding(&world, 0, 1), "v");
    parameters.encodings = RIDS[..count]
        .iter()
        .map(|rid| EncodingParameters { rid: Some((*rid).into()), ssrc: None, rtx_ssrc: None })
        .collect();
    world.add_producer(0, PRODUCER, parameters);
    for index in 0..subscribers {
        world.subscribe(index + 1, consumer(index), PRODUCER, MediaKind::Video, STREAM);
    }
    for index in 0..count {
        let (track, now) = (encoding(&world, index, temporal_layers), world.now);
        world.client(0).media.add_track(track, now);
    }
    world
}

/// A publisher of three encodings in any codec, of two temporal layers where it numbers them, and
/// one subscriber.
pub fn simulcast_by(form: Form) -> World {
    let mut world = World::new();
    for index in [1, 2] {
        world.join(1, ClientConfig::at(&format!("198.51.100.{index}:500{index}")));
    }
    world.set_extensions(1, &SUBSCRIBER_EXTENSIONS);
    world.connect();
    let mut parameters = producer_parameters(&encoding(&world, 0, 1), "v");
    parameters.codecs = vec![form.parameters(form.payload_types())];
    parameters.encodings = RIDS
        .iter()
        .map(|rid| EncodingParameters { rid: Some((*rid).into()), ssrc: None, rtx_ssrc: None })
        .collect();
    world.add_producer(0, PRODUCER, parameters);
    let mut parameters = consumer_parameters(MediaKind::Video, STREAM, "c");
    parameters.codecs = vec![form.parameters((120, 121))];
    world.subscribe_with(1, consumer(0), PRODUCER, MediaKind::Video, parameters);
    for index in 0..RIDS.len() {
        let mut track = encoding(&world, index, 2);
        let (payload_type, rtx) = form.payload_types();
        track.form = form;
        track.payload_type = payload_type;
        track.rtx = track.rtx.map(|(ssrc, _)| (ssrc, rtx));
        track.packets_per_keyframe = Some(track.packets_per_frame + 2);
        let now = world.now;
        world.client(0).media.add_track(track, now);
    }
    world
}

/// Stops the publisher and waits until everything lost was sent again.
pub fn settle(world: &mut World) {
    for track in &mut world.client(0).media.tracks {
        track.active = false;
    }
    for index in 0..world.endpoints.len() {
        world.set_network(index, good_network(), good_network());
    }
    world.run(Duration::from_secs(2));
}

/// The consumer of a subscriber, by index.
pub fn consumer(subscriber: usize) -> u64 {
    21 + subscriber as u64
}

pub fn wish(world: &mut World, subscriber: usize, preferred: Option<(u8, u8)>, priority: u8) {
    let preferred = preferred.map(|(spatial, temporal)| Layer { spatial, temporal });
    let wish = LayerWish { preferred, priority };
    world.execute(Command::SetConsumerLayers { consumer: consumer(subscriber), wish });
}

pub fn inbound(world: &World, subscriber: usize) -> &Inbound {
    &world.endpoints[subscriber + 1].client.media.inbound[&STREAM]
}

/// Encodings in the order they were seen.
pub fn encodings_seen(world: &World, subscriber: usize) -> Vec<usize> {
    let got = inbound(world, subscriber).got.values().filter(|got| !got.is_empty);
    let mut seen: Vec<usize> =
        got.map(|got| (got.ssrc_of_publisher as usize - 2_000) / 1_000).collect();
    seen.dedup();
    seen
}

/// The frames a subscriber has, in the order of their numbers, each with its packets.
pub fn frames(inbound: &Inbound) -> Vec<Vec<&Got>> {
    let mut frames: Vec<Vec<&Got>> = Vec::new();
    for got in inbound.got.values().filter(|got| !got.is_empty) {
        match frames.last_mut() {
            Some(frame) if frame[0].timestamp == got.timestamp => frame.push(got),
            _ => frames.push(vec![got]),
        }
    }
    frames
}

/// What a decoder needs: no gap in any number, whole frames, switches at keyframes.
pub fn assert_decodable(inbound: &Inbound) {
    assert_eq!(inbound.gaps(), Vec::<u64>::new(), "sequence numbers");
    let frames = frames(inbound);
    assert!(frames[0][0].is_keyframe, "starts with a keyframe");
    for frame in &frames {
        let sources: Vec<u32> = frame.iter().map(|got| got.ssrc_of_publisher).collect();
        assert!(sources.iter().all(|source| *source == sources[0]), "a frame of two encodings");
        let (last, rest) = frame.split_last().unwrap();
        assert!(last.marker && rest.iter().all(|got| !got.marker), "marker");
        let numbers = |got: &Got| {
            let vp8 = got.vp8.unwrap();
            (vp8.picture_id, vp8.tl0_picture_index, vp8.key_index)
        };
        assert!(frame.iter().all(|got| numbers(got) == numbers(frame[0])));
        assert!(frame[0].vp8.unwrap().partition_start, "first packet");
    }
    for pair in frames.windows(2) {
        let (before, after) = (pair[0][0], pair[1][0]);
        let advance = after.timestamp.wrapping_sub(before.timestamp) as i32;
        assert!(advance > 0, "time goes back by {advance}");
        if before.ssrc_of_publisher != after.ssrc_of_publisher {
            assert!(after.is_keyframe, "a switch without a keyframe");
        }
        let (old, new) = (before.vp8.unwrap(), after.vp8.unwrap());
        let expected = (old.picture_id.unwrap() + 1) & 0x7fff;
        assert_eq!(new.picture_id, Some(expected), "picture id");
        let (layer, _) = new.temporal_layer.unwrap();
        let tl0 = old.tl0_picture_index.unwrap().wrapping_add(u8::from(layer == 0));
        assert_eq!(new.tl0_picture_index, Some(tl0), "TL0PICIDX");
        let key = (old.key_index.unwrap() + u8::from(after.is_keyframe)) & 0x1f;
        assert_eq!(new.key_index, Some(key), "KEYIDX");
    }
}

/// Sender reports place every picture where it was taken: the difference never moves by a
/// millisecond, whichever encoding it came from.
pub fn assert_in_sync(inbound: &Inbound) {
    let mut differences = Vec::new();
    for frame in frames(inbound) {
        let got = frame[0];
        let seen = got.at + Duration::from_millis(5);
        let report = inbound.sender_reports.iter().rev().find(|(at, _)| *at <= seen);
        let Some((_, report)) = report else { continue };
        let ticks = got.timestamp.wrapping_sub(report.rtp_timestamp) as i32;
        let shown = report.ntp.offset_ns(i64::from(ticks) * 1_000_000_000 / i64::from(CLOCK_VIDEO));
        differences.push((shown, got.captured.as_nanos() as i64));
    }
    assert!(differences.len() > 20, "{}", differences.len());
    let (first, captured) = differences[0];
    for (shown, at) in &differences {
        let error = shown.ns_since(first) - (at - captured);
        assert!(error.abs() < 1_000_000, "{error} ns at {at} ns");
    }
}

/// The longest time without a new frame from `since` on.
pub fn longest_freeze(inbound: &Inbound, since: std::time::Instant) -> Duration {
    let arrivals: Vec<_> = frames(inbound)
        .iter()
        .map(|frame| frame.iter().map(|got| got.at).max().unwrap())
        .filter(|at| *at >= since)
        .collect();
    arrivals.windows(2).map(|pair| pair[1].saturating_duration_since(pair[0])).max().unwrap()
}

/// The publisher sends what is wanted of its encodings, and nothing else.
pub fn follow_demand(world: &mut World, wanted: &[bool]) {
    let now = world.now;
    for (track, wanted) in world.client(0).media.tracks.iter_mut().zip(wanted) {
        if *wanted && !track.active {
            track.restart(now);
        }
        track.active = *wanted;
    }
}

/// From demand to what it changes: a message on the WebSocket, and an encoder that starts.
const PUBLISHER_DELAY: Duration = Duration::from_millis(300);

/// A publisher that follows demand as late as a browser does.
#[derive(Default)]
pub struct SlowPublisher {
    /// What it was told so far, and when.
    told: Vec<(Instant, Vec<bool>)>,
}

impl SlowPublisher {
    /// Hears what was demanded meanwhile, and does what it was told long enough ago.
    pub fn follow(&mut self, world: &mut World) {
        let now = world.now;
        let news = demands(world).into_iter().skip(self.told.len());
        self.told.extend(news.map(|wanted| (now, wanted)));
        let known = |(at, _): &&(Instant, Vec<bool>)| *at + PUBLISHER_DELAY <= now;
        if let Some((_, wanted)) = self.told.iter().rev().find(known) {
            follow_demand(world, wanted);
        }
    }
}

pub fn demands(world: &World) -> Vec<Vec<bool>> {
    let told = |event: &Event| match event {
        Event::ProducerDemand { producer: PRODUCER, encodings } => Some(encodings.clone()),
        _ => None,
    };
    world.events.iter().filter_map(told).collect()
}
