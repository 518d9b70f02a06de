//! What happens to a transport after it was connected: moves, attacks, silence, the end.

mod support;

use std::time::Duration;

use media_core::api::{CloseReason, Command, Event, MediaKind, ProducerParameters, TransportState};
use media_core::rtp::SeqNo;
use media_core::{DropReason, Protocol, Remote};
use support::client::ClientConfig;
use support::media::TrackConfig;
use support::{Datagram, World, ice, producer_parameters};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn udp(address: &str) -> Remote {
    address.parse::<std::net::SocketAddr>().unwrap().into()
}

/// A pair in which each publishes audio and hears the other.
fn talking() -> World {
    let mut world = World::pair();
    world.publish(0, 10, TrackConfig::audio(1_000));
    world.publish(1, 11, TrackConfig::audio(2_000));
    world.subscribe(1, 20, 10, MediaKind::Audio, 7_000);
    world.subscribe(0, 21, 11, MediaKind::Audio, 8_000);
    world.run(s(1));
    world
}

fn got(world: &mut World, index: usize) -> usize {
    let ssrc = if index == 1 { 7_000 } else { 8_000 };
    world.client(index).media.inbound[&ssrc].got.len()
}

fn bytes_out(world: &mut World, index: usize) -> u64 {
    let transport = world.endpoints[index].transport;
    let transports = world.snapshot().transports;
    transports.iter().find(|stats| stats.transport == transport).unwrap().bytes_out
}

fn last_state(world: &World, index: usize) -> Option<(TransportState, CloseReason)> {
    let id = world.endpoints[index].transport;
    world.events.iter().rev().find_map(|event| match event {
        Event::TransportStateChanged { transport, state, reason } if *transport == id => {
            Some((*state, *reason))
        }
        _ => None,
    })
}

#[test]
fn a_change_of_network_moves_the_transport_without_negotiation() {
    let mut world = talking();
    let now = world.now;
    world.client(1).move_to("203.0.113.50:7777", now);
    let before = (got(&mut world, 0), got(&mut world, 1));
    world.run(s(2));
    let remote = udp("203.0.113.50:7777");
    let transport = world.endpoints[1].transport;
    assert!(world.events.contains(&Event::TransportMoved { transport, remote }));
    assert!(got(&mut world, 1) - before.1 > 95, "downlink goes on");
    assert!(got(&mut world, 0) - before.0 > 95, "uplink goes on");
    let lost_on_the_old_path = world.strays.len();
    assert!(lost_on_the_old_path < 10, "{lost_on_the_old_path} packets to the old address");
    let reconnected = world.states(1);
    assert_eq!(reconnected, [TransportState::Connecting, TransportState::Connected]);
}

fn protocols(world: &mut World) -> Vec<Option<Protocol>> {
    world.snapshot().transports.iter().map(|transport| transport.protocol).collect()
}

#[test]
fn a_call_comes_up_and_goes_on_over_tcp_and_moves_to_udp_and_back() {
    let mut world = World::new();
    world.join(1, ClientConfig::at("198.51.100.1:5001"));
    world.join(1, ClientConfig::at("198.51.100.2:5002"));
    world.set_extensions(1, &support::SUBSCRIBER_EXTENSIONS);
    assert_eq!(protocols(&mut world), [None, None]);
    world.client(1).protocol = Protocol::Tcp;
    world.connect();
    world.publish(0, 10, TrackConfig::audio(1_000));
    world.publish(1, 11, TrackConfig::audio(2_000));
    world.subscribe(1, 20, 10, MediaKind::Audio, 7_000);
    world.subscribe(0, 21, 11, MediaKind::Audio, 8_000);
    world.run(s(1));
    assert_eq!(protocols(&mut world), [Some(Protocol::Udp), Some(Protocol::Tcp)]);
    for (port, protocol) in [(6_001, Protocol::Udp), (6_002, Protocol::Tcp)] {
        // Off the beat of the checks: none of the old path arrives together with the new one's.
        world.run(ms(50));
        let before = (got(&mut world, 0), got(&mut world, 1), world.strays.len());
        assert!(before.0 > 45 && before.1 > 45, "{before:?}");
        let now = world.now;
        world.client(1).move_to(&format!("198.51.100.2:{port}"), now);
        world.client(1).protocol = protocol;
        world.run(s(2));
        assert!(got(&mut world, 0) - before.0 > 95, "uplink over {protocol:?}");
        assert!(got(&mut world, 1) - before.1 > 95, "downlink over {protocol:?}");
        assert!(world.strays.len() - before.2 < 10);
        assert_eq!(protocols(&mut world)[1], Some(protocol));
        let (transport, remote) = (world.endpoints[1].transport, world.client(1).remote());
        assert!(world.events.contains(&Event::TransportMoved { transport, remote }));
    }
    let states = [TransportState::Connecting, TransportState::Connected];
    assert_eq!(world.states(1), states, "nothing was negotiated again");
}

#[test]
fn the_same_address_over_udp_and_over_tcp_belongs_to_two() {
    let mut world = World::pair();
    let same = world.client(0).address;
    let third = world.join(1, ClientConfig::at(&same.to_string()));
    world.client(third).protocol = Protocol::Tcp;
    world.connect();
    world.run(s(1));
    assert_eq!(world.dropped(DropReason::StunUnauthenticated), 0);
    assert_eq!(protocols(&mut world)[2], Some(Protocol::Tcp));
    let (mut check, from) = (world.client(0).check(true, true), Remote::tcp(same));
    let before = world.dropped(DropReason::StunUnauthenticated);
    world.deliver(Datagram { from, bytes: check.clone() });
    assert_eq!(world.dropped(DropReason::StunUnauthenticated), before + 1, "it is another's");
    check.truncate(20);
    world.deliver(Datagram { from: udp("192.0.2.9:9"), bytes: check });
    assert!(!world.plane.knows(udp("192.0.2.9:9")) && world.plane.knows(from));
}

#[test]
fn a_connection_that_ends_gives_way_to_the_path_that_is_left() {
    let mut world = talking();
    let now = world.now;
    let udp = world.client(1).remote();
    world.client(1).move_to("198.51.100.2:6001", now);
    world.client(1).protocol = Protocol::Tcp;
    world.run(s(1));
    assert_eq!(protocols(&mut world)[1], Some(Protocol::Tcp));
    let tcp = world.client(1).remote();
    world.client(1).alive = false;
    // A connection that is closed delivers nothing more.
    world.run(ms(20));
    (world.client(1).address, world.client(1).protocol) = (udp.address, udp.protocol);
    let entries = world.plane.table_entries();
    let now = world.now;
    world.plane.disconnect(now, tcp, &mut world.outbox);
    world.plane.disconnect(now, tcp, &mut world.outbox);
    assert_eq!(world.plane.table_entries(), entries - 1);
    assert_eq!(protocols(&mut world)[1], Some(Protocol::Udp));
    world.outbox.sent.clear();
    let strays = world.strays.len();
    world.run(ms(500));
    assert_eq!(world.strays.len(), strays, "nothing is sent to the connection that is gone");
    let transport = world.endpoints[1].transport;
    assert_eq!(
        world.events.iter().rev().find(|event| matches!(event, Event::TransportMoved { .. })),
        Some(&Event::TransportMoved { transport, remote: udp })
    );
}

#[test]
fn a_new_address_behind_a_nat_is_followed_although_nothing_nominates_it() {
    let mut world = talking();
    let now = world.now;
    world.client(1).nominates = false;
    world.client(1).move_to("203.0.113.50:7777", now);
    let before = (got(&mut world, 0), got(&mut world, 1));
    world.run(s(2));
    let remote = udp("203.0.113.50:7777");
    let transport = world.endpoints[1].transport;
    assert!(world.events.contains(&Event::TransportMoved { transport, remote }));
    assert!(got(&mut world, 0) - before.0 > 95, "uplink goes on");
    assert!(got(&mut world, 1) - before.1 > 70, "downlink comes back within half a second");
}

#[test]
fn media_from_an_address_that_was_not_checked_is_refused() {
    let mut world = talking();
    world.tap = true;
    world.client(0).checks = false;
    world.client(0).address = "203.0.113.66:1".parse().unwrap();
    let before = (got(&mut world, 1), world.dropped(DropReason::UnknownSource));
    world.run(s(1));
    assert!(got(&mut world, 1) - before.0 <= 2, "only what was under way");
    assert!(world.dropped(DropReason::UnknownSource) - before.1 > 40);
}

#[test]
fn replayed_packets_are_refused() {
    let mut world = talking();
    world.tap = true;
    world.run(ms(500));
    world.tap = false;
    let replayed: Vec<Datagram> = std::mem::take(&mut world.tapped)
        .into_iter()
        .filter(|datagram| datagram.bytes[0] >= 128)
        .collect();
    assert!(replayed.len() > 40);
    let before = world.snapshot().counters;
    for datagram in replayed.clone() {
        world.deliver(datagram);
    }
    let after = world.snapshot().counters;
    let refused = after.dropped[DropReason::SrtpReplay as usize]
        - before.dropped[DropReason::SrtpReplay as usize];
    assert_eq!(refused, replayed.len() as u64);
    assert_eq!(after.rtp_packets_in, before.rtp_packets_in);
    assert_eq!(after.rtp_packets_out, before.rtp_packets_out);
}

/// Publishes a screen for a moment, announced by SSRC or learnt by MID, and ends it.
fn share_screen(world: &mut World, number: u64, is_announced: bool) -> Vec<Datagram> {
    let ssrc = 100_000 + 2 * number as u32;
    let mut track = TrackConfig::video(ssrc, ssrc + 1);
    track.first = SeqNo(65_533);
    track.extensions = vec![(4, b"screen".to_vec())];
    let mut parameters = producer_parameters(&track, "screen");
    if !is_announced {
        parameters.encodings[0].ssrc = None;
        parameters.encodings[0].rtx_ssrc = None;
    }
    world.add_producer(0, 1_000 + number, parameters);
    world.subscribe(1, 5_000 + number, 1_000 + number, MediaKind::Video, 500_000 + 2 * ssrc);
    let now = world.now;
    let track = world.client(0).media.add_track(track, now);
    world.tapped.clear();
    world.run(ms(130));
    world.client(0).media.tracks[track].active = false;
    world.run(ms(30));
    let received = world.client(1).media.inbound.remove(&(500_000 + 2 * ssrc)).unwrap();
    assert!(received.got.len() >= 6, "share {number}: {} packets", received.got.len());
    world.execute(Command::RemoveConsumer { consumer: 5_000 + number });
    world.execute(Command::RemoveProducer { producer: 1_000 + number });
    for index in [0, 1] {
        let srtp = world.client(index).srtp.as_mut().unwrap();
        srtp.local.end_ssrc(ssrc);
        srtp.remote.end_ssrc(500_000 + 2 * ssrc);
    }
    let is_of_share = |datagram: &Datagram| datagram.bytes[8..12] == ssrc.to_be_bytes();
    world.tapped.iter().filter(|datagram| is_of_share(datagram)).cloned().collect()
}

#[test]
fn a_thousand_screen_shares_fit_into_one_transport_and_none_can_be_replayed() {
    let mut world = talking();
    world.tap = true;
    let memory = |world: &mut World| -> Vec<u64> {
        world.snapshot().transports.iter().map(|transport| transport.memory_bytes).collect()
    };
    let mut last: Vec<Datagram> = Vec::new();
    let mut settled = Vec::new();
    for number in 0..1_000 {
        let recorded = share_screen(&mut world, number, number % 2 == 0);
        assert!(recorded.len() >= 9, "share {number}: {} packets", recorded.len());
        // Now that nobody claims them, and again where the next share could.
        let next = parameters_of_screen();
        world.add_producer(0, 9_000, next);
        let before = world.snapshot().counters;
        for datagram in recorded.iter().chain(&last) {
            world.deliver(datagram.clone());
        }
        let after = world.snapshot().counters;
        world.execute(Command::RemoveProducer { producer: 9_000 });
        let refused = DropReason::SrtpReplay as usize;
        let replayed = (recorded.len() + last.len()) as u64;
        assert_eq!(after.dropped[refused] - before.dropped[refused], replayed, "share {number}");
        assert_eq!(after.rtp_packets_in, before.rtp_packets_in, "share {number}");
        assert_eq!(after.rtp_packets_out, before.rtp_packets_out, "share {number}");
        last = recorded;
        if number == 20 {
            settled = memory(&mut world);
        }
    }
    assert_eq!(world.failures(), Vec::<String>::new());
    // Per SSRC its number and newest index: 16 bytes, in tables that double as they grow.
    for (before, after) in settled.iter().zip(memory(&mut world)) {
        assert!(after <= before + 2 * 16 * 2 * 1_000, "from {before} to {after} bytes");
    }
    let heard = got(&mut world, 1);
    world.run(s(1));
    assert!(got(&mut world, 1) - heard > 45, "the call goes on");
}

/// A producer of screens that learns its SSRC from the MID.
fn parameters_of_screen() -> ProducerParameters {
    let mut parameters = producer_parameters(&TrackConfig::video(1, 2), "screen");
    parameters.encodings[0].ssrc = None;
    parameters.encodings[0].rtx_ssrc = None;
    parameters
}

#[test]
fn packets_nobody_claims_neither_allocate_nor_count_as_life() {
    let mut world = talking();
    let transport = world.endpoints[0].transport;
    let memory = |world: &mut World| {
        let transports = world.snapshot().transports;
        transports.iter().find(|stats| stats.transport == transport).unwrap().memory_bytes
    };
    world.client(0).checks = false;
    world.client(0).media.tracks[0].active = false;
    world.run(s(1));
    let before = (memory(&mut world), world.dropped(DropReason::UnknownSsrc));
    let from = world.client(0).remote();
    let srtp = world.client(0).srtp.as_mut().unwrap();
    let strays: Vec<Datagram> = (0..5_000_u32)
        .map(|ssrc| {
            let mut bytes = vec![0x80, 50, 0, 1, 0, 0, 0, 0];
            bytes.extend_from_slice(&(1_000_000 + ssrc).to_be_bytes());
            bytes.resize(60 + media_core::srtp::MAX_OVERHEAD, 0);
            let len = srtp.local.protect_rtp(12, &mut bytes, 60).unwrap();
            srtp.local.end_ssrc(1_000_000 + ssrc);
            bytes.truncate(len);
            Datagram { from, bytes }
        })
        .collect();
    for stray in &strays {
        world.deliver(stray.clone());
    }
    let after = (memory(&mut world), world.dropped(DropReason::UnknownSsrc));
    assert_eq!((after.0, after.1 - before.1), (before.0, 5_000));
}

#[test]
fn a_copied_check_moves_not_even_a_silent_transport() {
    for is_silent in [true, false] {
        let mut world = talking();
        world.client(0).media.tracks[0].active = !is_silent;
        world.run(s(1));
        world.client(1).checks = false;
        let client = world.client(0).remote();
        let check = world.client(0).check(true, true);
        let answers = world.client(0).answers;
        world.deliver(Datagram { from: client, bytes: check.clone() });
        world.deliver(Datagram { from: client, bytes: check.clone() });
        world.run(ms(40));
        assert!(world.client(0).answers - answers >= 2, "one sent again is answered");
        let before = world.dropped(DropReason::StunReplay);
        let strays = world.strays.len();
        world.deliver(Datagram { from: udp("203.0.113.66:1"), bytes: check });
        assert_eq!(world.dropped(DropReason::StunReplay), before + 1);
        let heard = got(&mut world, 0);
        world.run(s(1));
        assert!(got(&mut world, 0) - heard > 45, "silent: {is_silent}");
        assert_eq!(world.strays.len(), strays, "nothing went to where the copy came from");
    }
}

#[test]
fn forged_packets_from_the_right_address_are_refused() {
    let mut world = talking();
    let from = world.client(0).remote();
    let before = world.snapshot().counters;
    for number in 0..100_u16 {
        let mut bytes = vec![0x80, 111, 0, 0, 0, 0, 0, 0, 0, 0, 0x03, 0xe8];
        bytes[2..4].copy_from_slice(&(number + 2_000).to_be_bytes());
        bytes.extend_from_slice(&[7; 60]);
        world.deliver(Datagram { from, bytes });
    }
    let after = world.snapshot().counters;
    let reason = DropReason::SrtpAuthentication as usize;
    assert_eq!(after.dropped[reason] - before.dropped[reason], 100);
    assert_eq!(after.rtp_packets_out, before.rtp_packets_out);
}

#[test]
fn nobody_takes_over_the_address_of_a_living_transport() {
    let mut world = talking();
    world.events.clear();
    let victim = world.client(0).remote();
    let before = world.dropped(DropReason::StunUnauthenticated);
    let bytes = world.client(1).check(true, true);
    world.deliver(Datagram { from: victim, bytes });
    assert_eq!(world.dropped(DropReason::StunUnauthenticated), before + 1);
    let count = got(&mut world, 1);
    world.run(s(1));
    assert!(got(&mut world, 1) - count > 45);
    assert!(!world.events.iter().any(|event| matches!(event, Event::TransportMoved { .. })));
}

#[test]
fn the_address_of_a_dead_transport_can_be_used_again() {
    let mut world = World::pair();
    let address = world.client(0).address;
    world.client(0).alive = false;
    world.run(s(10));
    world.client(0).address = "192.0.2.1:1".parse().unwrap();
    let again = world.join(1, ClientConfig::at(&address.to_string()));
    world.run(s(2));
    assert!(world.client(again).is_connected());
    world.run(s(120));
    assert_eq!(last_state(&world, 0), Some((TransportState::Failed, CloseReason::ConsentExpired)));
    let count = world.snapshot().transports.iter().find(|t| t.transport == 102).unwrap().bytes_in;
    world.run(s(1));
    let later = world.snapshot().transports.iter().find(|t| t.transport == 102).unwrap().bytes_in;
    assert_eq!(world.client(again).unverified_answers, 0);
    assert!(later > count, "the end of the first did not take the address from the second");
}

#[test]
fn the_addresses_of_a_transport_are_bounded() {
    let mut world = talking();
    for port in 1..=200_u16 {
        let bytes = world.client(1).check(false, true);
        let from = std::net::SocketAddr::from(([203, 0, 113, 9], port)).into();
        world.deliver(Datagram { from, bytes });
    }
    // Room, its key, and per participant: transport, ufrag, producer, consumer, addresses.
    let entries = world.plane.table_entries();
    assert_eq!(entries, 2 + 2 * 4 + 1 + media_core::transport::ice::MAX_PATHS);
    let count = got(&mut world, 1);
    world.run(s(1));
    assert!(got(&mut world, 1) - count > 45, "the nominated path is kept");
}

#[test]
fn an_ice_restart_keeps_the_old_credentials_until_the_new_ones_are_used() {
    let mut world = talking();
    let transport = world.endpoints[1].transport;
    let (local, remote) = (ice("srv1b"), ice("cli1b"));
    world.execute(Command::RestartIce {
        transport,
        local_ice: local.clone(),
        remote_ice: remote.clone(),
    });
    let answers = world.client(1).answers;
    let count = got(&mut world, 1);
    world.run(s(1));
    assert!(world.client(1).answers - answers >= 4, "old credentials still work");
    assert!(got(&mut world, 1) - count > 45);
    let (old_local, old_remote) =
        (world.client(1).local_ice.clone(), world.client(1).remote_ice.clone());
    world.client(1).local_ice = remote.clone();
    world.client(1).remote_ice = local.clone();
    let now = world.now;
    world.client(1).move_to("203.0.113.51:8888", now);
    let count = got(&mut world, 1);
    world.run(s(1));
    assert!(got(&mut world, 1) - count > 40, "media goes on");
    let moved = udp("203.0.113.51:8888");
    assert!(world.events.contains(&Event::TransportMoved { transport, remote: moved }));
    let refused = world.dropped(DropReason::StunUnauthenticated);
    world.client(1).local_ice = old_local;
    world.client(1).remote_ice = old_remote;
    let answers = world.client(1).answers;
    world.run(s(1));
    assert!(world.client(1).answers - answers <= 1, "old credentials are retired");
    assert!(world.dropped(DropReason::StunUnauthenticated) - refused >= 4);
}

#[test]
fn silence_disconnects_and_then_fails_and_traffic_brings_it_back() {
    let mut world = talking();
    world.client(1).alive = false;
    world.run(s(5));
    assert_eq!(world.states(1).last(), Some(&TransportState::Connected));
    world.run(s(2));
    assert_eq!(world.states(1).last(), Some(&TransportState::Disconnected));
    world.client(1).alive = true;
    world.run(s(1));
    assert_eq!(world.states(1).last(), Some(&TransportState::Connected));
    world.client(1).alive = false;
    world.run(s(121));
    assert_eq!(last_state(&world, 1), Some((TransportState::Failed, CloseReason::ConsentExpired)));
    assert_eq!(world.states(0).last(), Some(&TransportState::Connected));
    let sent = bytes_out(&mut world, 1);
    world.run(s(2));
    assert_eq!(sent, bytes_out(&mut world, 1), "nothing is sent any more");
}

#[test]
fn media_alone_keeps_a_transport_alive() {
    let mut world = talking();
    world.client(0).checks = false;
    world.run(s(60));
    assert_eq!(world.states(0).last(), Some(&TransportState::Connected));
}

#[test]
fn closing_says_goodbye_both_ways() {
    let mut world = talking();
    let transport = world.endpoints[1].transport;
    world.execute(Command::CloseTransport { transport });
    world.run(ms(100));
    assert!(world.client(1).close_notified);
    assert_eq!(last_state(&world, 1), Some((TransportState::Closed, CloseReason::Command)));
    let now = world.now;
    world.client(0).close(now);
    world.run(ms(100));
    assert_eq!(last_state(&world, 0), Some((TransportState::Closed, CloseReason::RemoteClosed)));
}
