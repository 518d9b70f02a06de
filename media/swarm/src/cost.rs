//! What a forwarded packet costs the plane alone, without sockets, in virtual time: participants of the
//! swarm around a plane of the same process, and the thread's CPU time while the plane works.
//!
//! The server's figures are those of `witness bench forward`. This one is for comparing two versions of
//! the plane on a machine that does other things: nobody is waited for, so what others do shows
//! only in the caches.
//!
//! ```sh
//! COST_ROOMS=300 cargo test --release -p witness-media-swarm cost -- --ignored --nocapture
//! ```
//!
//! `COST_ROUNDS` and `COST_WARM` are half seconds of virtual time, measured and before. How to count
//! the memory a packet needs, which no other process changes: `docs/performance.md`.

use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use media_core::api::{
    Codec, CodecParameters, Command, ConsumerParameters, DtlsRole, EncodingParameters, ExtensionId,
    ExtensionKind, IceCredentials, MediaKind, ProducerParameters,
};
use media_core::ext::ExtensionMap;
use media_core::{Certificate, DropReason, Output, Plane, PlaneConfig, Remote};

use crate::association::{Association, AssociationConfig};
use crate::participant::Participant;
use crate::raw::thread_cpu;
use crate::stream::{StreamConfig, Traffic};

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const PARTIES: u32 = 3;
/// Forwarded packets a second, as in the growth curve.
const RATE: f64 = 250_000.0;
const PICTURE: u32 = 6;
const PACKET_BYTES: usize = 1_100;
/// Between two turns, and least time timers wait for others: those of the media thread.
const TURN: Duration = Duration::from_micros(200);
const TIMERS_GATHER: Duration = Duration::from_millis(2);

/// Rounds of half a second, until everything participants are remembered by is full.
const WARM_ROUNDS: f64 = 14.0;

/// Datagrams the plane sent, each behind its destination and length.
#[derive(Default)]
struct Outbox {
    sent: Vec<(Remote, usize)>,
    bytes: Vec<u8>,
}

impl Output for Outbox {
    fn send(&mut self, _: Option<IpAddr>, to: Remote, datagram: &[u8]) -> Result<(), DropReason> {
        self.sent.push((to, datagram.len()));
        self.bytes.extend_from_slice(datagram);
        Ok(())
    }
}

struct Scene {
    plane: Plane,
    now: Instant,
    participants: Vec<Participant>,
    next_control: Vec<Instant>,
    next_burst: Vec<Instant>,
    /// Datagrams of one sender that go together.
    arriving: Vec<(Remote, Vec<Vec<u8>>)>,
    outbox: Outbox,
    received: u64,
    worked: Duration,
}

fn address(index: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x7f01_0000 + index)), 5_000)
}

fn ice(side: &str, index: u32) -> IceCredentials {
    IceCredentials { ufrag: format!("{side}{index}"), password: format!("{side:p>30}") }
}

fn vp8() -> Vec<CodecParameters> {
    vec![CodecParameters {
        codec: Codec::Vp8,
        payload_type: 96,
        rtx_payload_type: Some(97),
        red_payload_type: None,
        clock_rate_hz: 90_000,
        variant: String::new(),
    }]
}

impl Scene {
    fn new(rooms: u32) -> Scene {
        let now = Instant::now();
        let config = PlaneConfig { max_bitrate_bps: 1_000_000_000, ..PlaneConfig::default() };
        let certificate = Arc::new(Certificate::generate().unwrap());
        let plane = Plane::new(config, Arc::clone(&certificate), now, SystemTime::now());
        let mut scene = Scene {
            plane,
            now,
            participants: Vec::new(),
            next_control: Vec::new(),
            next_burst: Vec::new(),
            arriving: Vec::new(),
            outbox: Outbox::default(),
            received: 0,
            worked: Duration::ZERO,
        };
        let ours = dimpl::certificate::generate_self_signed_certificate().unwrap();
        let dtls = AssociationConfig::dtls_settings().unwrap();
        let extensions = [
            ExtensionId { kind: ExtensionKind::Mid, id: 4 },
            ExtensionId { kind: ExtensionKind::TransportCc, id: 3 },
        ];
        let theirs = Association::fingerprint(&ours);
        for index in 0..rooms * PARTIES {
            let room = u64::from(index / PARTIES);
            if index % PARTIES == 0 {
                scene.execute(Command::CreateRoom { room });
            }
            let transport = u64::from(index);
            scene.execute(Command::CreateTransport {
                room,
                transport,
                local_ice: ice("server", index),
                remote_ice: ice("client", index),
                remote_fingerprints: vec![media_core::api::Fingerprint {
                    algorithm: "sha-256".into(),
                    digest: theirs.to_vec(),
                }],
                dtls_role: DtlsRole::Server,
            });
            scene.execute(Command::SetExtensions { transport, extensions: extensions.to_vec() });
            let association = Association::new(
                AssociationConfig {
                    local_ice: ice("client", index),
                    remote_ice: ice("server", index),
                    fingerprint: certificate.fingerprint().digest.try_into().unwrap(),
                    certificate: ours.clone(),
                    dtls: Arc::clone(&dtls),
                },
                now,
            );
            let map = ExtensionMap::new(&extensions).unwrap();
            let at = (address(index).ip(), SocketAddr::new(SERVER, 4_000));
            let mut participant = Participant::new(at, association, map, index);
            let ssrc = 1_000_000 + 10 * index;
            participant.publish(
                StreamConfig { kind: MediaKind::Video, ssrc, payload_type: 96, mid: 0, rid: None },
                now,
            );
            scene.participants.push(participant);
            scene.add_tracks(index, ssrc);
        }
        let count = scene.participants.len();
        scene.next_control = vec![now; count];
        scene.next_burst = vec![now; count];
        scene
    }

    fn add_tracks(&mut self, index: u32, ssrc: u32) {
        let mine = u64::from(index);
        self.execute(Command::AddProducer {
            transport: mine,
            producer: mine,
            parameters: ProducerParameters {
                kind: MediaKind::Video,
                mid: "0".into(),
                codecs: vp8(),
                encodings: vec![EncodingParameters {
                    rid: None,
                    ssrc: Some(ssrc),
                    rtx_ssrc: Some(ssrc + 1),
                }],
                nack: true,
            },
        });
        for other in index - index % PARTIES..index {
            for (to, from) in [(index, other), (other, index)] {
                let consumer = u64::from(to * PARTIES + from % PARTIES);
                self.execute(Command::AddConsumer {
                    transport: to.into(),
                    consumer,
                    producer: from.into(),
                    parameters: ConsumerParameters {
                        mid: format!("{consumer}"),
                        ssrc: 50_000_000 + 10 * consumer as u32,
                        rtx_ssrc: Some(50_000_001 + 10 * consumer as u32),
                        codecs: vp8(),
                        nack: true,
                        cname: "publisher".into(),
                        paused: false,
                    },
                });
            }
        }
    }

    fn execute(&mut self, command: Command) {
        self.plane.execute(self.now, command, &mut self.outbox);
    }

    /// Does what is due and goes on to the next turn.
    fn turn(&mut self, traffic: Option<&Traffic>) {
        self.poll_participants(traffic);
        let before = thread_cpu();
        self.feed_plane();
        self.worked += thread_cpu() - before;
        self.arriving.clear();
        while let Some(event) = self.plane.poll_event() {
            assert!(!matches!(event, media_core::api::Event::CommandFailed { .. }), "{event:?}");
        }
        self.deliver();
        self.now += TURN;
    }

    fn poll_participants(&mut self, traffic: Option<&Traffic>) {
        let mut buffer = [0; 2_048];
        for (index, participant) in self.participants.iter_mut().enumerate() {
            let from = Remote::from(address(index as u32));
            if self.next_control[index] <= self.now {
                let mut datagrams = Vec::new();
                participant.poll(self.now, Duration::ZERO, |sent| datagrams.push(sent.to_vec()));
                self.next_control[index] =
                    participant.next_timeout(self.now).max(self.now + Duration::from_millis(1));
                let alone = datagrams.into_iter().map(|datagram| (from, vec![datagram]));
                self.arriving.extend(alone);
            }
            let Some(traffic) = traffic.filter(|_| self.next_burst[index] <= self.now) else {
                continue;
            };
            let interval = traffic.interval().unwrap();
            self.next_burst[index] += interval;
            let timestamp = participant.streams[0].timestamp(self.now);
            participant.streams[0].start_reports(self.now);
            let packets = (0..traffic.burst).map(|position| {
                let place = (position, timestamp);
                let len = participant.media(0, traffic, place, Duration::ZERO, &mut buffer);
                buffer[..len.unwrap()].to_vec()
            });
            self.arriving.push((from, packets.collect()));
        }
    }

    /// As the media thread does it. The name is what `callgrind` counts by.
    #[inline(never)]
    fn feed_plane(&mut self) {
        for start in (0..self.arriving.len()).step_by(Plane::GROUP) {
            let ahead = self.arriving[start..].iter();
            self.plane.prefetch(ahead.map(|(from, datagrams)| (*from, &datagrams[0][..])));
            for (from, datagrams) in self.arriving[start..].iter_mut().take(Plane::GROUP) {
                let datagrams = datagrams.iter_mut().map(|datagram| &mut datagram[..]);
                self.plane.receive_all(self.now, Some(SERVER), *from, datagrams, &mut self.outbox);
            }
        }
        if self.plane.poll_timeout().is_some_and(|due| due + TIMERS_GATHER <= self.now) {
            self.plane.handle_timeout(self.now, &mut self.outbox);
        }
    }

    fn deliver(&mut self) {
        let mut rest = &mut self.outbox.bytes[..];
        for (to, len) in self.outbox.sent.drain(..) {
            let (datagram, others) = rest.split_at_mut(len);
            rest = others;
            let IpAddr::V4(ip) = to.address.ip() else { panic!("no such address") };
            let index = (ip.to_bits() - 0x7f01_0000) as usize;
            let from = Remote::from(address(index as u32));
            let arriving = &mut self.arriving;
            let answer = |sent: &[u8]| arriving.push((from, vec![sent.to_vec()]));
            let arrived = self.participants[index].receive(self.now, datagram, false, answer);
            self.received += u64::from(arrived != crate::participant::Arrived::Other);
            self.next_control[index] = match arrived {
                crate::participant::Arrived::Other => self.now,
                crate::participant::Arrived::Media(_) => self.next_control[index],
            };
        }
        self.outbox.bytes.clear();
    }

    /// First bursts, evenly over the interval between two.
    fn spread(&mut self, interval: Duration) {
        for (index, next) in self.next_burst.iter_mut().enumerate() {
            *next = self.now + interval.mul_f64((index as f64 * 0.618_034).fract());
        }
    }

    fn run(&mut self, seconds: f64, traffic: Option<&Traffic>) {
        for _ in 0..(seconds / TURN.as_secs_f64()) as u64 {
            self.turn(traffic);
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn cost_of_a_packet() {
    let number = |name: &str, default: f64| {
        env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    // As the server does.
    media_heap::ask_for_huge_pages();
    let rooms = number("COST_ROOMS", 300.0) as u32;
    let mut scene = Scene::new(rooms);
    while !scene.participants.iter().all(Participant::is_connected) {
        scene.run(0.01, None);
    }
    let participants = f64::from(rooms * PARTIES);
    let traffic = Traffic {
        packets_per_second: RATE / participants / f64::from(PARTIES - 1),
        packet_bytes: PACKET_BYTES,
        burst: PICTURE,
    };
    let expected = RATE / 2.0;
    scene.spread(traffic.interval().unwrap());
    scene.run(0.5 * number("COST_WARM", WARM_ROUNDS), Some(&traffic));
    // Whoever counts instructions begins here.
    eprintln!("warm");
    let mut costs = Vec::new();
    for _ in 0..number("COST_ROUNDS", 15.0) as u32 {
        (scene.received, scene.worked) = (0, Duration::ZERO);
        scene.run(0.5, Some(&traffic));
        assert!(scene.received as f64 > 0.99 * expected, "{} of {expected}", scene.received);
        let us = scene.worked.as_secs_f64() * 1e6 / scene.received as f64;
        costs.push(us);
    }
    costs.sort_by(f64::total_cmp);
    let [least, median, most] = [0, costs.len() / 2, costs.len() - 1].map(|place| costs[place]);
    println!("{rooms} rooms: {median:.3} µs a packet ({least:.3} to {most:.3})");
}
