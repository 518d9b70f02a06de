//! A process without descriptors left. Alone in its process, whose limit it changes.

mod support;

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use is::stun::TransId;
use media_net::{EngineConfig, Refused, TcpConfig};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::link::{Link, TcpLink};
use support::*;

fn limit_descriptors(current: Option<u64>) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

#[test]
fn a_connection_waits_without_spinning_until_there_is_a_descriptor() {
    let tcp = Some(TcpConfig::default());
    let engine = start(EngineConfig { tcp, ..config(&["127.0.0.1:0"]) });
    create_transport(&engine, 1, 10);
    let server = SocketAddr::new(engine.local_addresses()[0].ip(), engine.tcp_port().unwrap());
    let before = getrlimit(Resource::Nofile).current;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    limit_descriptors(Some(3));
    socket.connect(&server.into()).unwrap();
    let refused =
        |snapshot: &media_net::EngineSnapshot| snapshot.tcp.refused[Refused::NoDescriptor as usize];
    let since = Instant::now();
    let mut tries = 0;
    while tries < 2 {
        tries = refused(&engine.snapshot());
        assert!(since.elapsed() < Duration::from_secs(60), "{tries} tries in a minute");
        thread::sleep(Duration::from_millis(20));
    }
    let seconds = since.elapsed().as_secs();
    assert!(tries <= seconds + 2, "about one a second, not {tries} in {seconds} s");
    limit_descriptors(before);
    let mut link = TcpLink::new(TcpStream::from(socket));
    link.send(&binding_request(TransId::new(), LOCAL_PASSWORD));
    assert!(link.receive(&mut [0; 2_048]).unwrap() > 20);
    assert_eq!(engine.snapshot().tcp.refused[Refused::TotalLimit as usize], 0);
}
