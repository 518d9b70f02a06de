//! Engines over real loopback sockets.

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use is::stun::{StunMessage, TransId};
use media_core::{Certificate, Command, DropReason, Event};
use media_net::{CommandError, Engine, EngineError, EngineEvent};
use support::*;

/// The loopback address of one family with the engine's port.
fn loopback(engine: &Engine, ipv4: bool) -> SocketAddr {
    let host = if ipv4 { "127.0.0.1" } else { "[::1]" };
    format!("{host}:{}", engine.port()).parse().unwrap()
}

fn families() -> Vec<bool> {
    if has_ipv6() { vec![true, false] } else { vec![true] }
}

/// Listens on the wildcard addresses of all families there are.
fn start_everywhere() -> Engine {
    start(config(if has_ipv6() { &["0.0.0.0:0", "[::]:0"] } else { &["0.0.0.0:0"] }))
}

#[test]
fn both_families_share_one_port() {
    let engine = start_everywhere();
    assert_ne!(engine.port(), 0);
    assert!(engine.local_addresses().iter().all(|address| address.port() == engine.port()));
    assert_eq!(engine.local_addresses().len(), families().len());
    assert!(engine.socket_buffers().receive > 0 && engine.socket_buffers().send > 0);
}

#[test]
fn taken_port_is_refused_by_address() {
    let engine = start(config(&["127.0.0.1:0"]));
    let address = format!("127.0.0.1:{}", engine.port());
    let certificate = Certificate::generate().unwrap().into();
    match Engine::start(config(&[&address]), certificate) {
        Err(EngineError::Bind { address: refused, .. }) => {
            assert_eq!(refused.to_string(), address);
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("two engines on one port"),
    }
}

#[test]
fn authenticated_binding_request_is_answered_from_the_address_it_was_sent_to() {
    let engine = start_everywhere();
    create_transport(&engine, 1, 10);
    for ipv4 in families() {
        let server = loopback(&engine, ipv4);
        let client = client(server);
        let id = TransId::new();
        client.send_to(&binding_request(id, LOCAL_PASSWORD), server).unwrap();
        let mut buffer = [0; 512];
        let (length, source) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(source, server);
        let reply = StunMessage::parse(&buffer[..length]).unwrap();
        assert!(reply.is_successful_binding_response());
        assert_eq!(reply.trans_id(), id);
        assert_eq!(reply.mapped_address(), Some(client.local_addr().unwrap()));
        assert!(reply.verify(LOCAL_PASSWORD.as_bytes(), hmac));
    }
}

#[test]
fn second_address_of_a_host_answers_as_itself() {
    let engine = start(config(&["0.0.0.0:0"]));
    create_transport(&engine, 1, 10);
    let server: SocketAddr = format!("127.0.0.2:{}", engine.port()).parse().unwrap();
    let client = client(server);
    client.send_to(&binding_request(TransId::new(), LOCAL_PASSWORD), server).unwrap();
    let (_, source) = client.recv_from(&mut [0; 512]).unwrap();
    assert_eq!(source, server);
}

#[test]
fn wrong_password_and_garbage_get_no_answer_and_are_counted() {
    let engine = start(config(&["127.0.0.1:0"]));
    create_transport(&engine, 1, 10);
    let server = loopback(&engine, true);
    let client = client(server);
    client.send_to(&binding_request(TransId::new(), REMOTE_PASSWORD), server).unwrap();
    let unanswered: [&[u8]; 4] = [b"", b"\x05garbage", &[0xff; 1_400], &[0x05; 4_000]];
    for datagram in unanswered {
        client.send_to(datagram, server).unwrap();
    }
    let snapshot =
        wait_snapshot(&engine, |snapshot| snapshot.plane.counters.dropped.iter().sum::<u64>() >= 5);
    let dropped = snapshot.plane.counters.dropped;
    assert_eq!(dropped[DropReason::StunUnauthenticated as usize], 1);
    assert_eq!(dropped[DropReason::Malformed as usize], 4);
    // The socket is empty: nothing came back before the correct request's answer.
    let id = TransId::new();
    client.send_to(&binding_request(id, LOCAL_PASSWORD), server).unwrap();
    let mut buffer = [0; 512];
    let length = client.recv(&mut buffer).unwrap();
    assert_eq!(StunMessage::parse(&buffer[..length]).unwrap().trans_id(), id);
}

#[test]
fn event_descriptor_is_readable_from_an_event_until_drained() {
    let engine = start(config(&["127.0.0.1:0"]));
    assert!(!readable(&engine, Duration::ZERO));
    engine.command(failing(7)).unwrap();
    assert!(readable(&engine, PATIENCE));
    let events = engine.drain_events();
    assert!(matches!(events.as_slice(), [EngineEvent::Plane(Event::CommandFailed { id: 7, .. })]));
    assert!(!readable(&engine, Duration::ZERO));
}

#[test]
fn undrained_events_are_dropped_counted_and_reported() {
    let mut config = config(&["127.0.0.1:0"]);
    config.event_queue = 16;
    let engine = start(config);
    for id in 0..100 {
        engine.command(failing(id)).unwrap();
    }
    wait_snapshot(&engine, |snapshot| snapshot.events_dropped == 84);
    assert_eq!(engine.drain_events().len(), 16);
    let report = wait_event(&engine, |event| matches!(event, Event::EventsDropped { .. }));
    assert_eq!(report, Event::EventsDropped { count: 84 });
}

#[test]
fn flood_of_garbage_does_not_stall_commands() {
    const DATAGRAMS: usize = 10_000;
    let engine = start(config(&["127.0.0.1:0"]));
    let server = loopback(&engine, true);
    let flooding = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let client = client(server);
            let mut sent = 0;
            while sent < DATAGRAMS || flooding.load(Ordering::Relaxed) {
                // A full socket buffer refuses some; that is what a flood is.
                sent += usize::from(client.send_to(&[0x05; 1_200], server).is_ok());
            }
        });
        let mut slowest = Duration::ZERO;
        for id in 0..200 {
            let asked = Instant::now();
            engine.command(failing(id)).unwrap();
            wait_event(&engine, |event| failed(event, id));
            slowest = slowest.max(asked.elapsed());
        }
        flooding.store(false, Ordering::Relaxed);
        assert!(slowest < Duration::from_secs(1), "slowest command took {slowest:?}");
    });
    let snapshot = wait_snapshot(&engine, |snapshot| {
        snapshot.plane.counters.dropped[DropReason::Malformed as usize] >= 1_000
    });
    assert!((0.0..=1.0).contains(&snapshot.load));
}

#[test]
fn close_executes_accepted_commands_frees_the_port_and_is_idempotent() {
    let engine = start(config(&["127.0.0.1:0"]));
    create_transport(&engine, 1, 10);
    engine.command(failing(99)).unwrap();
    engine.close().unwrap();
    engine.close().unwrap();
    assert!(engine.is_closed());
    assert_eq!(engine.command(failing(1)), Err(CommandError::Closed));
    UdpSocket::bind(loopback(&engine, true)).unwrap();

    let events = engine.drain_events();
    let has = |wanted: fn(&Event) -> bool| {
        events.iter().any(|event| matches!(event, EngineEvent::Plane(event) if wanted(event)))
    };
    assert!(has(|event| failed(event, 99)));
    assert!(has(|event| matches!(event, Event::TransportStateChanged { transport: 10, .. })));
    assert!(engine.snapshot().plane.transports.is_empty());
}

#[test]
fn snapshot_comes_about_once_a_second() {
    let engine = start(config(&["127.0.0.1:0"]));
    create_transport(&engine, 1, 10);
    let asked = Instant::now();
    let snapshot = wait_snapshot(&engine, |snapshot| snapshot.plane.transports.len() == 1);
    assert!(asked.elapsed() < Duration::from_secs(3));
    assert_eq!((snapshot.plane.rooms, snapshot.plane.transports[0].transport), (1, 10));
    assert!((0.0..=1.0).contains(&snapshot.load));
    engine.close().unwrap();
}

#[test]
fn snapshot_of_many_rooms_has_them_all() {
    let engine = start(config(&["127.0.0.1:0"]));
    for room in 1..=50 {
        let ice = credentials(&format!("{LOCAL_UFRAG}{room}"), LOCAL_PASSWORD);
        create_transport_with(&engine, room, 1_000 + room, ice);
    }
    let snapshot = wait_snapshot(&engine, |snapshot| snapshot.plane.transports.len() == 50);
    assert_eq!(snapshot.plane.rooms, 50);
    (1..=50).for_each(|room| engine.command(Command::CloseRoom { room }).unwrap());
    wait_snapshot(&engine, |snapshot| snapshot.plane.transports.is_empty());
    engine.close().unwrap();
}
