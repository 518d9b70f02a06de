//! ICE over TCP, over real loopback sockets.

mod support;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use is::stun::{StunMessage, TransId};
use media_core::api::TransportState;
use media_core::{Certificate, Command, DropReason, Event, Protocol};
use media_net::{Closed, Engine, EngineConfig, EngineError, Refused, TcpConfig};
use support::audio::{connect_audio, receive, send};
use support::link::{self, Link, TcpLink};
use support::participant::{Participant, RtpPacket};
use support::*;

fn tcp_config(tcp: TcpConfig) -> EngineConfig {
    EngineConfig { tcp: Some(tcp), ..config(&["127.0.0.1:0"]) }
}

fn engine(tcp: TcpConfig) -> (Engine, SocketAddr) {
    let engine = start(tcp_config(tcp));
    let server = SocketAddr::new(engine.local_addresses()[0].ip(), engine.tcp_port().unwrap());
    (engine, server)
}

fn assert_answered(link: &mut TcpLink) {
    let (id, local) = (TransId::new(), link.stream.local_addr().unwrap());
    link.send(&binding_request(id, LOCAL_PASSWORD));
    let mut buffer = [0; 2_048];
    let length = link.receive(&mut buffer).unwrap();
    let reply = StunMessage::parse(&buffer[..length]).unwrap();
    assert!(reply.is_successful_binding_response());
    assert_eq!((reply.trans_id(), reply.mapped_address()), (id, Some(local)));
}

#[test]
fn the_port_is_that_of_udp_in_both_families_or_its_own() {
    let listen: &[&str] = if has_ipv6() { &["0.0.0.0:0", "[::]:0"] } else { &["0.0.0.0:0"] };
    let engine = start(EngineConfig { tcp: Some(TcpConfig::default()), ..config(listen) });
    assert_eq!(engine.tcp_port(), Some(engine.port()));
    create_transport(&engine, 1, 10);
    for host in listen.iter().map(|a| if a.starts_with('[') { "[::1]" } else { "127.0.0.1" }) {
        let server = format!("{host}:{}", engine.port()).parse().unwrap();
        assert_answered(&mut TcpLink::connect(server));
    }
    assert_eq!(start(config(&["127.0.0.1:0"])).tcp_port(), None);
    // Free at this moment: it belonged to an engine that is closed.
    let port = engine.port();
    engine.close().unwrap();
    let own = engine_on(port).unwrap();
    assert_ne!(own.port(), port);
    assert_eq!(own.tcp_port(), Some(port));
    match engine_on(port) {
        Err(EngineError::BindTcp { address, .. }) => assert_eq!(address.port(), port),
        other => panic!("two engines on one port: {:?}", other.err()),
    }
}

fn engine_on(tcp_port: u16) -> Result<Engine, EngineError> {
    let tcp = TcpConfig { port: Some(tcp_port.try_into().unwrap()), ..TcpConfig::default() };
    Engine::start(tcp_config(tcp), Certificate::generate().unwrap().into())
}

#[test]
fn media_flows_between_a_participant_on_tcp_and_one_on_udp() {
    let (engine, server) = engine(TcpConfig::default());
    engine.command(Command::CreateRoom { room: 1 }).unwrap();
    engine.command(Command::CreateRoom { room: 2 }).unwrap();
    let link = || TcpLink::connect(server);
    let mut tcp = [
        Participant::join_by(&engine, 1, 10, link()),
        Participant::join_by(&engine, 2, 21, link()),
    ];
    let mut udp = [
        Participant::join(&engine, 1, 11, engine.local_addresses()[0]),
        Participant::join(&engine, 2, 20, engine.local_addresses()[0]),
    ];
    connect_audio(&engine, 1, 10, 11);
    connect_audio(&engine, 2, 20, 21);
    for index in 0..200 {
        send(&mut tcp[0], index);
        receive(&mut udp[0], index);
        send(&mut udp[1], index);
        receive(&mut tcp[1], index);
    }
    tcp.iter().for_each(Participant::renew_consent);
    let snapshot = wait_snapshot(&engine, |s| s.plane.counters.rtp_packets_in[0] >= 400);
    assert_eq!((snapshot.tcp.connections, snapshot.tcp.accepted), (2, 2));
    let protocol = |id| {
        snapshot.plane.transports.iter().find(|t| t.transport == id).unwrap().protocol.unwrap()
    };
    assert_eq!([10, 21, 11, 20].map(protocol), {
        use Protocol::{Tcp, Udp};
        [Tcp, Tcp, Udp, Udp]
    });
    assert!(snapshot.plane.counters.forward_delay_buckets.iter().sum::<u64>() >= 400);
    // The remote side hangs up; the transport lives on without a path.
    let [gone, _] = tcp;
    drop(gone);
    let snapshot = wait_snapshot(&engine, |snapshot| snapshot.tcp.connections == 1);
    assert_eq!(snapshot.tcp.closed[Closed::Remote as usize], 1);
    let transport = snapshot.plane.transports.iter().find(|t| t.transport == 10).unwrap();
    assert_eq!((transport.protocol, transport.state), (None, TransportState::Connected));
    // A transport that ends takes its connection along.
    engine.command(Command::CloseTransport { transport: 21 }).unwrap();
    let snapshot = wait_snapshot(&engine, |snapshot| snapshot.tcp.connections == 0);
    assert_eq!(snapshot.tcp.closed[Closed::Unused as usize], 1);
}

#[test]
fn connections_without_an_authentic_check_are_closed_in_time() {
    let (engine, server) =
        engine(TcpConfig { authenticate_within: Duration::ZERO, ..TcpConfig::default() });
    create_transport(&engine, 1, 10);
    let mut good = TcpLink::connect(server);
    assert_answered(&mut good);
    let mut silent = TcpLink::connect(server);
    let mut wrong = TcpLink::connect(server);
    wrong.send(&binding_request(TransId::new(), REMOTE_PASSWORD));
    silent.expect_end();
    wrong.expect_end();
    wait_snapshot(&engine, |snapshot| snapshot.tcp.closed[Closed::Unused as usize] == 2);
    assert_answered(&mut good);
}

#[test]
fn what_is_no_stream_of_frames_is_closed() {
    let (engine, server) = engine(TcpConfig::default());
    create_transport(&engine, 1, 10);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 0x03, 0x01, 2, 0, 1], &[8, 0]] {
        let mut link = TcpLink::connect(server);
        assert_answered(&mut link);
        link.stream.write_all(garbage).unwrap();
        link.expect_end();
    }
    wait_snapshot(&engine, |snapshot| snapshot.tcp.closed[Closed::Malformed as usize] == 3);
    let mut slow = TcpLink::connect(server);
    let request = binding_request(TransId::new(), LOCAL_PASSWORD);
    for byte in [&(request.len() as u16).to_be_bytes(), &request[..]].concat() {
        slow.stream.write_all(&[byte]).unwrap();
    }
    let length = slow.receive(&mut [0; 2_048]).unwrap();
    assert!(length > 20, "a check in single bytes is answered");
}

#[test]
fn connections_are_bounded_and_those_without_a_check_make_room() {
    let limits = [
        (TcpConfig { max_connections: 3, ..TcpConfig::default() }, Refused::TotalLimit),
        (
            TcpConfig { max_connections_per_address: 3, ..TcpConfig::default() },
            Refused::AddressLimit,
        ),
    ];
    for (tcp, refused) in limits {
        let (engine, server) = engine(tcp);
        create_transport(&engine, 1, 10);
        let mut first = TcpLink::connect(server);
        assert_answered(&mut first);
        let mut unknown = TcpLink::connect(server);
        let mut third = TcpLink::connect(server);
        assert_answered(&mut third);
        let mut fourth = TcpLink::connect(server);
        assert_answered(&mut fourth);
        unknown.expect_end();
        TcpLink::connect(server).expect_end();
        let snapshot = wait_snapshot(&engine, |s| s.tcp.refused[refused as usize] == 1);
        assert_eq!(snapshot.tcp.connections, 3);
        assert_eq!(snapshot.tcp.closed[Closed::MadeRoom as usize], 1);
        drop(first);
        wait_snapshot(&engine, |snapshot| snapshot.tcp.connections == 2);
        assert_answered(&mut TcpLink::connect(server));
    }
}

#[test]
fn a_reader_too_slow_loses_whole_packets_and_still_gets_its_answers() {
    let (engine, server) = engine(TcpConfig::default());
    engine.command(Command::CreateRoom { room: 1 }).unwrap();
    let mut publisher = Participant::join(&engine, 1, 10, engine.local_addresses()[0]);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(&server.into()).unwrap();
    let link = TcpLink::new(TcpStream::from(socket));
    let mut subscriber = Participant::join_by(&engine, 1, 11, link);
    connect_audio(&engine, 1, 10, 11);
    for sequence_number in 0..1_000 {
        publisher.send_rtp(&RtpPacket {
            payload_type: 111,
            ssrc: support::audio::PUBLISHED_SSRC,
            sequence_number,
            timestamp: 960 * u32::from(sequence_number),
            marker: false,
            payload: &[1; 1_000],
        });
        if sequence_number % 100 == 99 {
            fence(&engine);
        }
    }
    let dropped = DropReason::TcpBufferFull as usize;
    wait_snapshot(&engine, |snapshot| snapshot.plane.counters.dropped[dropped] > 100);
    // Behind all that waits; then what waited is read, packet by packet, and all are authentic.
    subscriber.renew_consent();
    let mut buffer = [0; 2_048];
    let (mut media, mut answers) = (0, 0);
    while answers == 0 {
        let length = subscriber.socket.receive(&mut buffer).unwrap();
        match buffer[0] {
            0..=3 => answers += 1,
            128..=191 if support::participant::is_rtp(&buffer[..length]) => media += 1,
            _ => {}
        }
    }
    assert!((20..900).contains(&media), "{media} of 1000");
    assert_eq!(engine.snapshot().tcp.connections, 1);
}

#[test]
fn a_check_over_tcp_moves_a_transport_from_udp() {
    let (engine, server) = engine(TcpConfig::default());
    engine.command(Command::CreateRoom { room: 1 }).unwrap();
    let mut publisher = Participant::join(&engine, 1, 10, engine.local_addresses()[0]);
    let udp: Box<dyn Link> = Box::new(link::udp(engine.local_addresses()[0]));
    let mut subscriber = Participant::join_by(&engine, 1, 11, udp);
    connect_audio(&engine, 1, 10, 11);
    send(&mut publisher, 0);
    receive(&mut subscriber, 0);
    let link = TcpLink::connect(server);
    let remote = link.stream.local_addr().unwrap();
    subscriber.socket = Box::new(link);
    subscriber.renew_consent();
    wait_event(&engine, |event| {
        matches!(event, Event::TransportMoved { transport: 11, remote: to }
            if to.protocol == Protocol::Tcp && to.address == remote)
    });
    for index in 1..20 {
        send(&mut publisher, index);
        receive(&mut subscriber, index);
    }
}
