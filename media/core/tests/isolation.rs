//! Rooms do not touch each other, tables stay bounded, and nothing remote makes the plane panic.

mod support;

use std::time::Duration;

use media_core::api::{CloseReason, Command, Event, MediaKind, TransportState};
use media_core::netem::Rng;
use media_core::{DropReason, PlaneConfig};
use support::client::ClientConfig;
use support::media::TrackConfig;
use support::{Datagram, World, consumer_parameters, test_config};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Two rooms with a pair each, all talking.
fn two_rooms() -> World {
    let mut world = World::new();
    world.execute(Command::CreateRoom { room: 2 });
    for index in 0..4 {
        let address = format!("198.51.100.{}:5000", index + 1);
        world.join(1 + index / 2, ClientConfig::at(&address));
    }
    world.connect();
    for pair in 0..2 {
        world.publish(2 * pair, 10 + pair as u64, TrackConfig::audio(1_000));
        world.subscribe(2 * pair + 1, 20 + pair as u64, 10 + pair as u64, MediaKind::Audio, 7_000);
    }
    world.run(s(1));
    world
}

#[test]
fn a_panic_in_one_room_leaves_the_other_alone() {
    let mut world = two_rooms();
    // The panic is expected; its message would only clutter the test's output.
    std::panic::set_hook(Box::new(|_| {}));
    world.execute(Command::InjectPanic { room: 1 });
    world.run(s(2));
    let _ = std::panic::take_hook();
    let panicked: Vec<_> =
        world.events.iter().filter(|event| matches!(event, Event::RoomPanicked { .. })).collect();
    let expected = Event::RoomPanicked { room: 1, message: "injected fault".into() };
    assert_eq!(panicked, [&expected]);
    let snapshot = world.snapshot();
    assert_eq!((snapshot.rooms, snapshot.counters.room_panics), (1, 1));
    assert_eq!(snapshot.transports.len(), 2);
    let got = world.client(3).media.inbound[&7_000].got.len();
    assert!(got > 140, "{got} packets in the other room");
    let count = world.client(1).media.inbound[&7_000].got.len();
    assert!(count < 60, "the room is gone");
    world.execute(Command::CreateRoom { room: 1 });
    world.execute(Command::SetProducerPaused { producer: 10, paused: true });
    world.run(Duration::from_millis(10));
    assert_eq!(world.failures(), ["set_producer_paused: no such producer"]);
}

#[test]
fn faults_are_injected_only_where_that_is_allowed() {
    let mut world = World::with_config(PlaneConfig { fault_injection: false, ..test_config() });
    world.execute(Command::InjectPanic { room: 1 });
    world.run(Duration::from_millis(1));
    assert_eq!(world.failures(), ["inject_panic: fault injection is off"]);
}

#[test]
fn tracks_do_not_cross_rooms() {
    let mut world = two_rooms();
    let transport = world.endpoints[3].transport;
    let parameters = consumer_parameters(MediaKind::Audio, 9_000, "x");
    world.execute(Command::AddConsumer { transport, consumer: 30, producer: 10, parameters });
    world.execute(Command::SetConsumerSource { consumer: 21, producer: 10 });
    world.run(Duration::from_millis(1));
    let reason = "producer and consumer are in different rooms";
    let expected = [format!("add_consumer: {reason}"), format!("set_consumer_source: {reason}")];
    assert_eq!(world.failures(), expected);
}

#[test]
fn two_hundred_joins_and_leaves_leave_nothing_behind() {
    let mut world = World::pair();
    world.publish(0, 10, TrackConfig::audio(1_000));
    world.subscribe(1, 20, 10, MediaKind::Audio, 7_000);
    world.run(s(1));
    let entries = world.plane.table_entries();
    let memory = |world: &mut World| -> u64 {
        world.snapshot().transports.iter().map(|transport| transport.memory_bytes).sum()
    };
    let before = memory(&mut world);
    for round in 0..20_u64 {
        let mut joined = Vec::new();
        for seat in 0..10_u64 {
            let index =
                world.join(1, ClientConfig::at(&format!("203.0.113.{seat}:{}", 6_000 + round)));
            let id = 1_000 + round * 100 + seat * 10;
            world.publish(index, id, TrackConfig::video(50_000, 50_001));
            world.subscribe(index, id, 10, MediaKind::Audio, 7_000);
            joined.push((index, id));
        }
        let last = joined[9].0;
        for (seat, (_, id)) in joined.iter().enumerate() {
            let ssrc = 90_000 + 10 * (round * 10 + seat as u64) as u32;
            world.subscribe(1, id + 1, *id, MediaKind::Video, ssrc);
        }
        world.run_while(s(5), |world| !world.endpoints[last].client.is_connected());
        world.run(Duration::from_millis(200));
        for (index, id) in joined {
            world.client(index).alive = false;
            let transport = world.endpoints[index].transport;
            world.execute(Command::RemoveConsumer { consumer: id + 1 });
            world.execute(Command::CloseTransport { transport });
        }
        world.endpoints.truncate(2);
        // Transport identifiers stay unique.
        world.strays.clear();
    }
    world.run(s(1));
    assert_eq!(world.failures(), Vec::<String>::new());
    assert_eq!(world.plane.table_entries(), entries);
    // What stays are the SRTP states of SSRCs that were sent, which must never start over.
    let growth = memory(&mut world) - before;
    assert!(growth < 120_000, "{growth} bytes");
    assert_eq!(world.snapshot().producers.len(), 1);
    world.execute(Command::CloseRoom { room: 1 });
    assert_eq!(world.plane.table_entries(), 0);
    world.run(s(1));
    let closed = world.events.iter().rev().find_map(|event| match event {
        Event::TransportStateChanged { state, reason, .. } => Some((*state, *reason)),
        _ => None,
    });
    assert_eq!(closed, Some((TransportState::Closed, CloseReason::RoomClosed)));
    world.endpoints.clear();
    world.run(s(60));
    assert_eq!(world.plane.poll_timeout(), None);
}

#[test]
fn limits_are_told_and_kept() {
    let mut world = World::with_config(PlaneConfig {
        max_rooms: 2,
        max_transports_per_room: 2,
        max_transports: 3,
        max_producers_per_transport: 1,
        max_consumers_per_transport: 1,
        ..test_config()
    });
    world.execute(Command::CreateRoom { room: 2 });
    world.execute(Command::CreateRoom { room: 3 });
    for index in 0..3 {
        world.join(1, ClientConfig::at(&format!("198.51.100.{index}:1")));
    }
    world.endpoints.truncate(2);
    world.join(2, ClientConfig::at("198.51.100.7:1"));
    world.publish(0, 10, TrackConfig::audio(1));
    world.publish(0, 11, TrackConfig::audio(2));
    world.subscribe(1, 20, 10, MediaKind::Audio, 5);
    world.subscribe(1, 21, 10, MediaKind::Audio, 6);
    world.run(Duration::from_millis(1));
    let failures = world.failures();
    let expected = [
        "create_room: the engine has too many rooms",
        "create_transport: the room is full",
        "add_producer: the transport has too many producers",
        "add_consumer: the transport has too many consumers",
    ];
    for message in expected {
        assert!(failures.iter().any(|failure| failure == message), "{message}: {failures:?}");
    }
}

#[test]
fn commands_about_nothing_fail_by_name() {
    let mut world = World::new();
    world.execute(Command::CreateRoom { room: 1 });
    world.execute(Command::CloseRoom { room: 9 });
    world.execute(Command::CloseTransport { transport: 9 });
    world.execute(Command::RemoveProducer { producer: 9 });
    world.execute(Command::RemoveConsumer { consumer: 9 });
    world.execute(Command::RequestKeyframe { producer: 9 });
    world.run(Duration::from_millis(1));
    let expected = [
        "create_room: the room exists",
        "close_room: no such room",
        "close_transport: no such transport",
        "remove_producer: no such producer",
        "remove_consumer: no such consumer",
        "request_keyframe: no such producer",
    ];
    assert_eq!(world.failures(), expected);
}

/// Changes a datagram the way a hostile sender would.
fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=rng.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.below(bytes.len() as u64) as usize;
        match rng.below(5) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = [0, 1, 127, 128, 255][rng.below(5) as usize],
            2 => bytes.truncate(at),
            3 => bytes.insert(at, rng.bits() as u8),
            _ => {
                let early = rng.below(bytes.len().min(24) as u64) as usize;
                bytes[early] = rng.bits() as u8;
            }
        }
    }
}

#[test]
fn a_hundred_thousand_malformed_datagrams_of_each_class_do_no_harm() {
    let mut world = World::new();
    world.tap = true;
    world.join(1, ClientConfig::at("198.51.100.1:5001"));
    world.join(1, ClientConfig::at("198.51.100.2:5002"));
    world.connect();
    // One that never gets further than the first record.
    let stuck = world.join(1, ClientConfig::at("198.51.100.3:5003"));
    world.run(Duration::from_millis(20));
    world.client(stuck).alive = false;
    let stuck = world.client(stuck).remote();
    world.publish(0, 10, TrackConfig::audio(1_000));
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    world.subscribe(1, 20, 10, MediaKind::Audio, 7_000);
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    world.run(s(3));
    world.tap = false;
    let classes = [0..=3_u8, 20..=63, 128..=191];
    let mut rng = Rng::new(42);
    for class in classes {
        let seeds: Vec<Datagram> = world
            .tapped
            .iter()
            .filter(|datagram| class.contains(&datagram.bytes[0]))
            .cloned()
            .collect();
        assert!(seeds.len() > 3, "{class:?}: {} seeds", seeds.len());
        for _ in 0..100_000 {
            let mut datagram = seeds[rng.below(seeds.len() as u64) as usize].clone();
            mutate(&mut rng, &mut datagram.bytes);
            if rng.chance(0.3) {
                datagram.from = stuck;
            }
            world.deliver(datagram);
        }
    }
    let counters = world.snapshot().counters;
    assert_eq!(counters.room_panics, 0);
    for reason in
        [DropReason::Malformed, DropReason::StunUnauthenticated, DropReason::SrtpAuthentication]
    {
        assert!(counters.dropped[reason as usize] > 1_000, "{}", reason.as_str());
    }
    let count = world.client(1).media.inbound[&7_000].got.len();
    world.run(s(1));
    assert!(world.client(1).media.inbound[&7_000].got.len() - count > 45, "the call goes on");
}

#[test]
fn hostile_content_that_is_authentic_does_no_harm() {
    let mut world = World::pair();
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    world.run(s(1));
    let mut rng = Rng::new(43);
    for index in [0, 1] {
        for _ in 0..50_000 {
            let client = world.client(index);
            let from = client.remote();
            let srtp = client.srtp.as_mut().unwrap();
            let len = 12 + rng.below(120) as usize;
            let mut bytes: Vec<u8> = (0..len).map(|_| rng.bits() as u8).collect();
            bytes[0] = 0x80 | (bytes[0] & 0x3f);
            let is_rtcp = rng.chance(0.5);
            if is_rtcp {
                bytes[1] = 200 + rng.below(8) as u8;
                let words = if rng.chance(0.7) { (len / 4 - 1) as u16 } else { rng.bits() as u16 };
                bytes[2..4].copy_from_slice(&words.to_be_bytes());
                bytes[4..8].copy_from_slice(&1_u32.to_be_bytes());
                if rng.chance(0.5) && len >= 12 {
                    bytes[8..12].copy_from_slice(&8_000_u32.to_be_bytes());
                }
            } else {
                bytes[1] = [96, 97, 111, 96 | 0x80][rng.below(4) as usize];
                bytes[8..12]
                    .copy_from_slice(&[2_000_u32, 2_001][rng.below(2) as usize].to_be_bytes());
            }
            bytes.resize(len + media_core::srtp::MAX_OVERHEAD, 0);
            let protected = match is_rtcp {
                true => srtp.local.protect_rtcp(&mut bytes, len),
                false => srtp.local.protect_rtp(12, &mut bytes, len),
            };
            let Ok(len) = protected else { continue };
            bytes.truncate(len);
            world.deliver(Datagram { from, bytes });
            if rng.chance(0.01) {
                let now = world.now;
                world.plane.handle_timeout(now, &mut world.outbox);
                world.outbox.sent.clear();
            }
        }
    }
    let counters = world.snapshot().counters;
    assert_eq!(counters.room_panics, 0);
    assert!(counters.rtcp_packets_in > 10_000);
}
