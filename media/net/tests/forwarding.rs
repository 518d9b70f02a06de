//! Media between synthetic participants over real sockets.

mod support;

use media_core::api::TransportState;
use media_core::{Command, Event};
use media_net::{Engine, EngineEvent};
use support::audio::{connect_audio, receive, send};
use support::participant::Participant;
use support::*;

/// A room with a publisher and a subscriber, connected.
fn room(engine: &Engine, room: u64) -> (Participant, Participant) {
    let server = engine.local_addresses()[0];
    engine.command(Command::CreateRoom { room }).unwrap();
    let (from, to) = (10 * room, 10 * room + 1);
    let publisher = Participant::join(engine, room, from, server);
    let subscriber = Participant::join(engine, room, to, server);
    connect_audio(engine, room, from, to);
    (publisher, subscriber)
}

fn talk(listen: &str) {
    let engine = start(config(&[listen]));
    let (mut publisher, mut subscriber) = room(&engine, 1);
    for index in 0..50 {
        send(&mut publisher, index);
        receive(&mut subscriber, index);
    }
    let snapshot =
        wait_snapshot(&engine, |snapshot| snapshot.plane.counters.rtp_packets_out == [50, 0]);
    let counters = &snapshot.plane.counters;
    assert_eq!(counters.rtp_packets_in, [50, 0]);
    assert_eq!(counters.dtls_handshakes, 2);
    assert_eq!(counters.forward_delay_buckets.iter().sum::<u64>(), 50);
    assert!(counters.forward_delay_sum_s > 0.0);
    assert!(counters.forward_delay_sum_s < 50.0);

    engine.close().unwrap();
    let closed = engine
        .drain_events()
        .into_iter()
        .filter(|event| {
            matches!(
                event,
                EngineEvent::Plane(Event::TransportStateChanged {
                    state: TransportState::Closed,
                    ..
                })
            )
        })
        .count();
    assert_eq!(closed, 2);
}

#[test]
fn audio_is_forwarded_over_ipv4() {
    talk("127.0.0.1:0");
}

#[test]
fn audio_is_forwarded_over_ipv6() {
    if has_ipv6() {
        talk("[::1]:0");
    }
}

#[test]
fn panic_in_one_room_leaves_the_other_talking() {
    let mut config = config(&["127.0.0.1:0"]);
    config.plane.fault_injection = true;
    let engine = start(config);
    let (mut doomed, _) = room(&engine, 1);
    let (mut publisher, mut subscriber) = room(&engine, 2);
    engine.command(Command::InjectPanic { room: 1 }).unwrap();
    fence(&engine);
    send(&mut doomed, 0);
    wait_event(&engine, |event| matches!(event, Event::RoomPanicked { room: 1, .. }));
    for index in 0..5 {
        send(&mut publisher, index);
        receive(&mut subscriber, index);
    }
    let snapshot = wait_snapshot(&engine, |snapshot| snapshot.plane.counters.room_panics == 1);
    assert_eq!(snapshot.plane.rooms, 1);
    assert!(!engine.is_closed());
}
