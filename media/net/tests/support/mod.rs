//! Helpers of the socket tests. Waits are bounded polls, never sleeps.
#![allow(dead_code, reason = "each test binary uses its share")]

pub mod audio;
pub mod link;
pub mod participant;

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use is::stun::{StunMessage, TransId};
use is::{DefaultSha1HmacProvider, Sha1HmacProvider};
use media_core::api::{DtlsRole, Fingerprint, IceCredentials};
use media_core::{Certificate, Command, Event, PlaneConfig};
use media_net::{Engine, EngineConfig, EngineEvent};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longest any test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub const LOCAL_UFRAG: &str = "srvu";
pub const LOCAL_PASSWORD: &str = "serverpasswordserverpass";
pub const REMOTE_UFRAG: &str = "cliu";
pub const REMOTE_PASSWORD: &str = "clientpasswordclientpass";

pub fn config(listen: &[&str]) -> EngineConfig {
    EngineConfig {
        name: "engine-test".into(),
        listen: listen.iter().map(|text| text.parse().unwrap()).collect(),
        event_queue: 1_024,
        plane: PlaneConfig::default(),
        tcp: None,
        recorder: None,
        realtime: false,
    }
}

pub fn start(config: EngineConfig) -> Engine {
    Engine::start(config, Arc::new(Certificate::generate().unwrap())).unwrap()
}

/// Whether this machine has an IPv6 loopback.
pub fn has_ipv6() -> bool {
    UdpSocket::bind("[::1]:0").is_ok()
}

/// Waits until the descriptor is readable; false after `timeout`.
pub fn readable(fd: &impl AsFd, timeout: Duration) -> bool {
    let timeout = Timespec::try_from(timeout).unwrap();
    poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout)).unwrap() == 1
}

/// Drains events until `found` accepts one.
pub fn wait_event(engine: &Engine, mut found: impl FnMut(&Event) -> bool) -> Event {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        readable(engine, deadline - Instant::now());
        for event in engine.drain_events() {
            match event {
                EngineEvent::Plane(event) if found(&event) => return event,
                EngineEvent::Plane(_) | EngineEvent::Capture(_) => {}
                EngineEvent::Failed { message } => panic!("the engine failed: {message}"),
            }
        }
    }
    panic!("no such event within {PATIENCE:?}");
}

/// Asks for snapshots until `found` accepts one.
pub fn wait_snapshot(
    engine: &Engine,
    mut found: impl FnMut(&media_net::EngineSnapshot) -> bool,
) -> media_net::EngineSnapshot {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let snapshot = engine.snapshot();
        check_ledger(&snapshot);
        if found(&snapshot) {
            return snapshot;
        }
        let idle = UdpSocket::bind("127.0.0.1:0").unwrap();
        readable(&idle, Duration::from_millis(20));
    }
    panic!("no such snapshot within {PATIENCE:?}: {:?}", engine.snapshot());
}

/// No packet is lost sight of, up to the kernel.
fn check_ledger(snapshot: &media_net::EngineSnapshot) {
    let counters = &snapshot.plane.counters;
    for stage in media_core::Stage::ALL {
        assert_eq!(counters.unaccounted(stage), 0, "{}: {counters:#?}", stage.as_str());
    }
    assert_eq!(counters.unclassified(), 0, "{counters:#?}");
    assert_eq!(snapshot.unaccounted(), 0, "{:?} {counters:#?}", snapshot.sockets);
}

/// A command that always fails, with `id` in the event.
pub fn failing(id: u64) -> Command {
    Command::CloseTransport { transport: id }
}

pub fn failed(event: &Event, wanted: u64) -> bool {
    matches!(event, Event::CommandFailed { id, .. } if *id == wanted)
}

/// A room with one transport that uses the credentials above.
pub fn create_transport(engine: &Engine, room: u64, transport: u64) {
    create_transport_with(engine, room, transport, credentials(LOCAL_UFRAG, LOCAL_PASSWORD));
}

/// The same, known by other credentials: an engine has those of one transport once.
pub fn create_transport_with(
    engine: &Engine,
    room: u64,
    transport: u64,
    local_ice: IceCredentials,
) {
    let fingerprint = Fingerprint { algorithm: "sha-256".into(), digest: vec![7; 32] };
    engine.command(Command::CreateRoom { room }).unwrap();
    engine
        .command(Command::CreateTransport {
            room,
            transport,
            local_ice,
            remote_ice: credentials(REMOTE_UFRAG, REMOTE_PASSWORD),
            remote_fingerprints: vec![fingerprint],
            dtls_role: DtlsRole::Server,
        })
        .unwrap();
    fence(engine);
}

/// Returns when all commands given so far were executed. Discards their events.
pub fn fence(engine: &Engine) {
    engine.command(failing(u64::MAX)).unwrap();
    wait_event(engine, |event| failed(event, u64::MAX));
}

pub fn credentials(ufrag: &str, password: &str) -> IceCredentials {
    IceCredentials { ufrag: ufrag.into(), password: password.into() }
}

/// A client socket on the loopback of the server's family.
pub fn client(server: SocketAddr) -> UdpSocket {
    let local = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(local).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A connectivity check for the transport above, protected with `password`.
pub fn binding_request(id: TransId, password: &str) -> Vec<u8> {
    binding_request_for(&format!("{LOCAL_UFRAG}:{REMOTE_UFRAG}"), id, password)
}

/// A nominating connectivity check.
pub fn binding_request_for(username: &str, id: TransId, password: &str) -> Vec<u8> {
    let request = StunMessage::binding_request(username, id, true, 1, 1, true);
    let mut buffer = vec![0; 512];
    let length = request.to_bytes(Some(password.as_bytes()), &mut buffer, hmac).unwrap();
    buffer.truncate(length);
    buffer
}

pub fn hmac(key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
    DefaultSha1HmacProvider.sha1_hmac(key, payloads)
}
