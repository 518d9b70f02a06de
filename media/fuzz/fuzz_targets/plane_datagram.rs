//! A whole plane under arbitrary datagrams, commands and timeouts.
//!
//! The input is a list of steps: kind, length, that many bytes. Two transports of one room
//! are created when first used; connectivity checks can be made authentic, so that DTLS is reached.

#![no_main]

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};

use is::stun::{StunMessage, TransId};
use is::{DefaultSha1HmacProvider, Sha1HmacProvider};
use libfuzzer_sys::fuzz_target;
use media_core::api::{
    Codec, CodecParameters, Command, ConsumerParameters, DropReason, DtlsRole, EncodingParameters,
    ExtensionId, ExtensionKind, Fingerprint, IceCredentials, Layer, LayerWish, MediaKind,
    ProducerParameters,
};
use media_core::{Certificate, Output, Plane, PlaneConfig, Remote};

static CERTIFICATE: LazyLock<Arc<Certificate>> =
    LazyLock::new(|| Arc::new(Certificate::generate().expect("the system has randomness")));

const ROOM: u64 = 1;
const PASSWORD: &str = "a password of 24 letters";

/// Counts what is sent and refuses it when told to.
struct Sink {
    refuse: bool,
    sent: u64,
}

impl Output for Sink {
    fn send(
        &mut self,
        _source: Option<IpAddr>,
        _destination: Remote,
        datagram: &[u8],
    ) -> Result<(), DropReason> {
        assert!(!datagram.is_empty());
        self.sent += 1;
        if self.refuse { Err(DropReason::SendBufferFull) } else { Ok(()) }
    }
}

/// The plane and its clock. Kept for the next input, because a plane checks its cryptography
/// when it is made; each input has a room of its own, which is closed at the end.
struct World {
    plane: Plane,
    now: Instant,
    sink: Sink,
    created: [bool; 2],
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

fuzz_target!(|data: &[u8]| {
    WORLD.with_borrow_mut(|world| {
        world.execute(Command::CreateRoom { room: ROOM });
        let mut rest = data;
        while let [kind, len, tail @ ..] = rest {
            let (bytes, next) = tail.split_at(tail.len().min(usize::from(*len)));
            rest = next;
            world.step(*kind, *len, bytes);
        }
        world.finish();
    });
});

impl World {
    fn new() -> World {
        let now = Instant::now();
        let config = PlaneConfig { seed: 1, ..PlaneConfig::default() };
        let plane = Plane::new(config, CERTIFICATE.clone(), now, SystemTime::UNIX_EPOCH);
        World { plane, now, sink: Sink { refuse: false, sent: 0 }, created: [false; 2] }
    }

    fn execute(&mut self, command: Command) {
        self.plane.execute(self.now, command, &mut self.sink);
    }

    fn receive(&mut self, transport: u64, bytes: &[u8]) {
        let mut datagram = bytes.to_vec();
        let remote = remote(transport);
        self.plane.prefetch([(remote, &datagram[..])]);
        self.plane.receive(self.now, None, remote, &mut datagram, &mut self.sink);
    }

    fn step(&mut self, kind: u8, len: u8, bytes: &[u8]) {
        let transport = u64::from(kind >> 7);
        // Only when needed: each makes keys, which takes longer than most inputs.
        if !std::mem::replace(&mut self.created[usize::from(kind >> 7)], true) {
            self.create_transport(transport);
        }
        match kind % 8 {
            0..=2 => self.receive(transport, bytes),
            3 => self.receive(transport, &check(transport, bytes)),
            4 => {
                self.now += Duration::from_millis(u64::from(len) * u64::from(len));
                self.plane.handle_timeout(self.now, &mut self.sink);
            }
            5 => {
                if let Some(command) = command(transport, bytes) {
                    self.execute(command);
                }
            }
            6 => self.receive(transport, &dtls_record(bytes)),
            _ => {
                self.sink.refuse = !self.sink.refuse;
                self.plane.disconnect(self.now, remote(transport), &mut self.sink);
                let _ = self.plane.snapshot(self.now);
            }
        }
        while self.plane.poll_event().is_some() {}
    }

    fn create_transport(&mut self, transport: u64) {
        let digest = vec![7; 32];
        self.execute(Command::CreateTransport {
            room: ROOM,
            transport,
            local_ice: credentials("local", transport),
            remote_ice: credentials("remote", transport),
            remote_fingerprints: vec![Fingerprint { algorithm: "sha-256".into(), digest }],
            dtls_role: if transport == 0 { DtlsRole::Server } else { DtlsRole::Client },
        });
        let id = |kind, id| ExtensionId { kind, id };
        let extensions = vec![
            id(ExtensionKind::Mid, 1),
            id(ExtensionKind::AudioLevel, 2),
            id(ExtensionKind::TransportCc, 3),
        ];
        self.execute(Command::SetExtensions { transport, extensions });
    }

    fn finish(&mut self) {
        self.execute(Command::CloseRoom { room: ROOM });
        while self.plane.poll_event().is_some() {}
        let snapshot = self.plane.snapshot(self.now);
        assert_eq!(snapshot.rooms, 0);
        assert!(snapshot.transports.is_empty());
        assert!(snapshot.producers.is_empty());
        assert!(snapshot.consumers.is_empty());
        assert_eq!(snapshot.counters.room_panics, 0);
        self.sink.refuse = false;
        self.created = [false; 2];
    }
}

/// The first transport's remote side uses UDP, the second one's TCP.
fn remote(transport: u64) -> Remote {
    match transport {
        0 => address(transport).into(),
        _ => Remote::tcp(address(transport)),
    }
}

fn address(transport: u64) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), 5000 + transport as u16)
}

fn credentials(side: &str, transport: u64) -> IceCredentials {
    IceCredentials { ufrag: format!("{side}{transport}"), password: PASSWORD.into() }
}

/// An authentic connectivity check; the first byte says whether it nominates.
fn check(transport: u64, bytes: &[u8]) -> Vec<u8> {
    let flags = bytes.first().copied().unwrap_or_default();
    let username = format!("local{transport}:remote{transport}");
    let controlling = flags & 2 == 0;
    let message =
        StunMessage::binding_request(&username, TransId::new(), controlling, 1, 1, flags & 1 == 1);
    let mut out = vec![0; 256];
    let hmac = |key: &[u8], parts: &[&[u8]]| DefaultSha1HmacProvider.sha1_hmac(key, parts);
    let len = message.to_bytes(Some(PASSWORD.as_bytes()), &mut out, hmac).expect("it fits");
    out.truncate(len);
    out
}

/// A DTLS 1.2 record in epoch 0, whose type is the first byte.
fn dtls_record(bytes: &[u8]) -> Vec<u8> {
    let (kind, body) = bytes.split_first().unwrap_or((&22, &[]));
    let mut record = vec![20 + kind % 8, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0];
    record.extend_from_slice(&(body.len() as u16).to_be_bytes());
    record.extend_from_slice(body);
    record
}

fn codec(number: u8) -> CodecParameters {
    CodecParameters {
        codec: if number % 2 == 0 { Codec::Opus } else { Codec::Vp8 },
        payload_type: number & 0x7f,
        rtx_payload_type: (number & 4 != 0).then_some(97),
        red_payload_type: None,
        clock_rate_hz: if number % 2 == 0 { 48_000 } else { 90_000 },
        variant: String::new(),
    }
}

/// A command about the numbered transport; the second byte varies its values.
fn command(transport: u64, bytes: &[u8]) -> Option<Command> {
    let &[choice, value, ..] = bytes else { return None };
    let (producer, consumer) = (transport, transport);
    let kind = if value % 2 == 0 { MediaKind::Audio } else { MediaKind::Video };
    Some(match choice % 13 {
        0 => Command::AddProducer {
            transport,
            producer,
            parameters: ProducerParameters {
                kind,
                mid: format!("{}", value % 3),
                codecs: vec![codec(value)],
                encodings: vec![EncodingParameters { ssrc: Some(1), ..Default::default() }],
                nack: value & 8 != 0,
            },
        },
        1 => Command::AddConsumer {
            transport,
            consumer,
            producer: 1 - producer,
            parameters: ConsumerParameters {
                mid: "9".into(),
                ssrc: u32::from(value),
                rtx_ssrc: (value & 16 != 0).then_some(99),
                codecs: vec![codec(value)],
                nack: value & 32 != 0,
                cname: "name".into(),
                paused: value & 64 != 0,
            },
        },
        2 => Command::RemoveProducer { producer },
        3 => Command::RemoveConsumer { consumer },
        4 => Command::SetProducerPaused { producer, paused: value % 2 == 0 },
        5 => Command::SetConsumerPaused { consumer, paused: value % 2 == 0 },
        6 => Command::SetConsumerSource { consumer, producer: u64::from(value) },
        7 => Command::RequestKeyframe { producer },
        8 => Command::RestartIce {
            transport,
            local_ice: credentials("local", transport),
            remote_ice: credentials("other", transport),
        },
        9 => Command::CloseTransport { transport },
        10 => Command::CloseRoom { room: ROOM },
        11 => Command::SetConsumerLayers {
            consumer,
            wish: LayerWish {
                preferred: (value % 5 != 0)
                    .then_some(Layer { spatial: value % 4, temporal: value / 4 % 4 }),
                priority: value / 16,
            },
        },
        _ => Command::SetExtensions { transport, extensions: Vec::new() },
    })
}
