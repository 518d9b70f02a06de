//! What happens to a transport after it was connected: moves, attacks, silence, the end.

mod support;

use std::time::Duration;

use media_core::DropReason;
use media_core::api::{CloseReason, Command, Event, MediaKind, TransportState};
use support::client::ClientConfig;
use support::media::TrackConfig;
use support::{Datagram, World, ice};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
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
    let remote = "203.0.113.50:7777".parse().unwrap();
    let transport = world.endpoints[1].transport;
    assert!(world.events.contains(&Event::TransportMoved { transport, remote }));
    assert!(got(&mut world, 1) - before.1 > 95, "downlink goes on");
    assert!(got(&mut world, 0) - before.0 > 95, "uplink goes on");
    let lost_on_the_old_path = world.strays.len();
    assert!(lost_on_the_old_path < 10, "{lost_on_the_old_path} packets to the old address");
    let reconnected = world.states(1);
    assert_eq!(reconnected, [TransportState::Connecting, TransportState::Connected]);
}

#[test]
fn a_new_address_behind_a_nat_is_followed_although_nothing_nominates_it() {
    let mut world = talking();
    let now = world.now;
    world.client(1).nominates = false;
    world.client(1).move_to("203.0.113.50:7777", now);
    let before = (got(&mut world, 0), got(&mut world, 1));
    world.run(s(2));
    let remote = "203.0.113.50:7777".parse().unwrap();
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

#[test]
fn forged_packets_from_the_right_address_are_refused() {
    let mut world = talking();
    let from = world.client(0).address;
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
    let victim = world.client(0).address;
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
    world.run(s(40));
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
        let from = std::net::SocketAddr::from(([203, 0, 113, 9], port));
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
    let moved = "203.0.113.51:8888".parse().unwrap();
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
    world.run(s(31));
    assert_eq!(last_state(&world, 1), Some((TransportState::Failed, CloseReason::ConsentExpired)));
    assert_eq!(world.states(0).last(), Some(&TransportState::Connected));
    let before = world.strays.len();
    world.run(s(2));
    assert_eq!(world.strays.len(), before);
    let sent = world.snapshot().transports.iter().find(|t| t.transport == 101).unwrap().bytes_out;
    world.run(s(2));
    let later = world.snapshot().transports.iter().find(|t| t.transport == 101).unwrap().bytes_out;
    assert_eq!(sent, later, "nothing is sent without consent");
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
