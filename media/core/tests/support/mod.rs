//! A plane and its clients over an emulated network, in virtual time.
#![allow(dead_code)]

pub mod client;
pub mod form;
pub mod inbound;
pub mod media;
pub mod simulcast;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use media_core::api::{
    Codec, CodecParameters, Command, ConsumerParameters, DtlsRole, EncodingParameters, Event,
    ExtensionId, ExtensionKind, Fingerprint, IceCredentials, MediaKind, ProducerParameters,
    Snapshot, TransportState,
};
use media_core::netem::{Loss, Netem, NetemConfig};
use media_core::{
    Certificate, DropReason, EngineCounters, Output, Plane, PlaneConfig, Remote, Stage,
};

use client::{Client, ClientConfig};
use media::{CLOCK_AUDIO, CLOCK_VIDEO, TrackConfig};

pub const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 100));

/// Extension ids publishers use.
pub const PUBLISHER_EXTENSIONS: [ExtensionId; 5] = [
    ExtensionId { kind: ExtensionKind::Mid, id: 4 },
    ExtensionId { kind: ExtensionKind::Rid, id: 10 },
    ExtensionId { kind: ExtensionKind::AudioLevel, id: 1 },
    ExtensionId { kind: ExtensionKind::TransportCc, id: 3 },
    ExtensionId { kind: ExtensionKind::VideoOrientation, id: 13 },
];

/// Extension ids subscribers use: all different.
pub const SUBSCRIBER_EXTENSIONS: [ExtensionId; 4] = [
    ExtensionId { kind: ExtensionKind::Mid, id: 9 },
    ExtensionId { kind: ExtensionKind::AudioLevel, id: 2 },
    ExtensionId { kind: ExtensionKind::AbsSendTime, id: 5 },
    ExtensionId { kind: ExtensionKind::VideoOrientation, id: 20 },
];

/// A datagram and where it comes from.
#[derive(Debug, Clone)]
pub struct Datagram {
    pub from: Remote,
    pub bytes: Vec<u8>,
}

impl AsRef<[u8]> for Datagram {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Collects what the plane sends.
#[derive(Default)]
pub struct Outbox {
    pub sent: Vec<(Remote, Vec<u8>)>,
    /// How many that were in all.
    pub taken: u64,
}

impl Output for Outbox {
    fn send(
        &mut self,
        source: Option<IpAddr>,
        destination: Remote,
        datagram: &[u8],
    ) -> Result<(), DropReason> {
        assert_eq!(source, Some(SERVER), "answers leave from the address they were asked at");
        assert!(datagram.len() <= 1_472, "datagram of {} bytes", datagram.len());
        self.sent.push((destination, datagram.to_vec()));
        self.taken += 1;
        Ok(())
    }
}

pub struct Endpoint {
    pub client: Client,
    pub up: Netem<Datagram>,
    pub down: Netem<Datagram>,
    pub transport: u64,
}

pub struct World {
    pub plane: Plane,
    pub now: Instant,
    pub start: Instant,
    pub endpoints: Vec<Endpoint>,
    pub events: Vec<Event>,
    pub outbox: Outbox,
    /// Datagrams to addresses no client has.
    pub strays: Vec<(Remote, Vec<u8>)>,
    /// Every RTP packet that reached the plane, for replays.
    pub tapped: Vec<Datagram>,
    pub tap: bool,
}

pub fn certificate() -> Arc<Certificate> {
    static CERTIFICATE: OnceLock<Arc<Certificate>> = OnceLock::new();
    CERTIFICATE.get_or_init(|| Arc::new(Certificate::generate().unwrap())).clone()
}

pub fn ice(name: &str) -> IceCredentials {
    IceCredentials { ufrag: name.into(), password: format!("password-of-{name}-long-enough") }
}

pub fn test_config() -> PlaneConfig {
    PlaneConfig { seed: 7, fault_injection: true, ..PlaneConfig::default() }
}

/// A path of 15 ms each way that loses nothing.
pub fn good_network() -> NetemConfig {
    NetemConfig { delay: Duration::from_millis(15), ..NetemConfig::default() }
}

/// The same path, losing packets at random.
pub fn lossy(probability: f64) -> NetemConfig {
    NetemConfig { loss: Loss::Random(probability), ..good_network() }
}

impl World {
    pub fn new() -> World {
        World::with_config(test_config())
    }

    /// A plane with room 1.
    pub fn with_config(config: PlaneConfig) -> World {
        let now = Instant::now();
        let plane = Plane::new(config, certificate(), now, SystemTime::now());
        let mut world = World {
            plane,
            now,
            start: now,
            endpoints: Vec::new(),
            events: Vec::new(),
            outbox: Outbox::default(),
            strays: Vec::new(),
            tapped: Vec::new(),
            tap: false,
        };
        world.execute(Command::CreateRoom { room: 1 });
        world
    }

    pub fn execute(&mut self, command: Command) {
        self.plane.execute(self.now, command, &mut self.outbox);
        self.route();
    }

    /// Creates a transport for a client that announces its real fingerprint.
    pub fn join(&mut self, room: u64, config: ClientConfig) -> usize {
        self.join_with(room, config, |client| vec![client.fingerprint("sha-256")])
    }

    pub fn join_with(
        &mut self,
        room: u64,
        config: ClientConfig,
        fingerprints: impl FnOnce(&Client) -> Vec<Fingerprint>,
    ) -> usize {
        let index = self.endpoints.len();
        let transport = 100 + index as u64;
        let (ours, theirs) = (ice(&format!("srv{index}")), ice(&format!("cli{index}")));
        let role = match config.is_dtls_client {
            true => DtlsRole::Server,
            false if config.like_chromium => DtlsRole::AeadClient,
            false => DtlsRole::Client,
        };
        let client = Client::new(config, theirs.clone(), ours.clone(), self.now);
        let remote_fingerprints = fingerprints(&client);
        let network = good_network();
        self.endpoints.push(Endpoint {
            client,
            up: Netem::new(network, 1_000 + index as u64),
            down: Netem::new(network, 2_000 + index as u64),
            transport,
        });
        self.execute(Command::CreateTransport {
            room,
            transport,
            local_ice: ours,
            remote_ice: theirs,
            remote_fingerprints,
            dtls_role: role,
        });
        self.set_extensions(index, &PUBLISHER_EXTENSIONS);
        index
    }

    pub fn set_extensions(&mut self, index: usize, extensions: &[ExtensionId]) {
        let transport = self.endpoints[index].transport;
        self.execute(Command::SetExtensions { transport, extensions: extensions.to_vec() });
    }

    /// A subscriber that reports what arrived by transport-wide numbers, and takes replays.
    pub fn feed_back(&mut self, index: usize) {
        let ids = [(ExtensionKind::Mid, 9), (ExtensionKind::TransportCc, 5)];
        let ids = ids.map(|(kind, id)| ExtensionId { kind, id });
        self.set_extensions(index, &ids);
        let client = self.client(index);
        client.tolerates_replays = true;
        client.media.set_extensions(&ids);
        let recorder = media_core::twcc::TwccRecorder::new(Duration::from_millis(100));
        client.media.twcc = Some((recorder, Default::default()));
    }

    /// Two connected participants in room 1; the second has subscriber extension ids.
    pub fn pair() -> World {
        World::pair_with(test_config())
    }

    /// The same on a plane of that configuration.
    pub fn pair_with(config: PlaneConfig) -> World {
        let mut world = World::with_config(config);
        world.join(1, ClientConfig::at("198.51.100.1:5001"));
        world.join(1, ClientConfig::at("198.51.100.2:5002"));
        world.set_extensions(1, &SUBSCRIBER_EXTENSIONS);
        world.connect();
        world
    }

    /// Runs until all clients are connected.
    pub fn connect(&mut self) {
        self.run_while(Duration::from_secs(30), |world| {
            world.endpoints.iter().any(|endpoint| !endpoint.client.is_connected())
        });
        for endpoint in &self.endpoints {
            let error = &endpoint.client.dtls_error;
            assert!(endpoint.client.is_connected(), "not connected: {error:?}");
        }
        self.run(Duration::from_millis(100));
    }

    pub fn set_network(&mut self, index: usize, up: NetemConfig, down: NetemConfig) {
        self.endpoints[index].up.set_config(up);
        self.endpoints[index].down.set_config(down);
    }

    pub fn client(&mut self, index: usize) -> &mut Client {
        &mut self.endpoints[index].client
    }

    /// Publishes a track whose SSRCs are announced.
    pub fn publish(&mut self, index: usize, producer: u64, track: TrackConfig) -> usize {
        let parameters = producer_parameters(&track, &format!("p{producer}"));
        self.add_producer(index, producer, parameters);
        let now = self.now;
        self.client(index).media.add_track(track, now)
    }

    pub fn add_producer(&mut self, index: usize, producer: u64, parameters: ProducerParameters) {
        let transport = self.endpoints[index].transport;
        self.execute(Command::AddProducer { transport, producer, parameters });
    }

    /// Subscribes with SSRC `ssrc`, and `ssrc + 1` for RTX of video.
    pub fn subscribe(
        &mut self,
        index: usize,
        consumer: u64,
        producer: u64,
        kind: MediaKind,
        ssrc: u32,
    ) {
        let parameters = consumer_parameters(kind, ssrc, &format!("c{consumer}"));
        self.subscribe_with(index, consumer, producer, kind, parameters);
    }

    pub fn subscribe_with(
        &mut self,
        index: usize,
        consumer: u64,
        producer: u64,
        kind: MediaKind,
        parameters: ConsumerParameters,
    ) {
        let (ssrc, rtx_ssrc) = (parameters.ssrc, parameters.rtx_ssrc);
        self.endpoints[index].client.media.expect(ssrc, rtx_ssrc, kind);
        let transport = self.endpoints[index].transport;
        self.execute(Command::AddConsumer { transport, consumer, producer, parameters });
    }

    pub fn set_budget(&mut self, index: usize, budget_bps: Option<u64>) {
        let transport = self.endpoints[index].transport;
        self.plane.set_budget(self.now, transport, budget_bps, &mut self.outbox);
        self.route();
    }

    pub fn run(&mut self, duration: Duration) {
        self.run_while(duration, |_| true);
    }

    /// Runs until the time is over or the condition no longer holds.
    pub fn run_while(&mut self, duration: Duration, mut goes_on: impl FnMut(&World) -> bool) {
        let end = self.now + duration;
        while goes_on(self) {
            self.step();
            match self.next_timeout() {
                Some(next) if next <= end => self.now = next.max(self.now),
                _ => {
                    self.now = end;
                    return;
                }
            }
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let clients = self.endpoints.iter().flat_map(|endpoint| {
            let client = endpoint.client.next_timeout();
            [client, endpoint.up.next_timeout(), endpoint.down.next_timeout()]
        });
        clients.chain([self.plane.poll_timeout()]).flatten().min()
    }

    /// Does everything that is due now.
    pub fn step(&mut self) {
        let now = self.now;
        for index in 0..self.endpoints.len() {
            while let Some(datagram) = self.endpoints[index].up.pop(now) {
                self.deliver(datagram);
            }
        }
        self.plane.handle_timeout(now, &mut self.outbox);
        self.route();
        for endpoint in &mut self.endpoints {
            while let Some(datagram) = endpoint.down.pop(now) {
                endpoint.client.handle(now, datagram.bytes);
            }
            let from = endpoint.client.remote();
            for bytes in endpoint.client.poll(now) {
                endpoint.up.push(now, Datagram { from, bytes });
            }
        }
        while let Some(event) = self.plane.poll_event() {
            self.events.push(event);
        }
    }

    /// Hands a datagram to the plane as if it came from that address.
    pub fn deliver(&mut self, mut datagram: Datagram) {
        if self.tap {
            self.tapped.push(datagram.clone());
        }
        let Datagram { from, bytes } = &mut datagram;
        self.plane.prefetch([(*from, bytes.as_slice())]);
        self.plane.receive(self.now, Some(SERVER), *from, bytes, &mut self.outbox);
        self.route();
    }

    fn route(&mut self) {
        for (destination, bytes) in self.outbox.sent.drain(..) {
            let found = self.endpoints.iter_mut().find(|e| e.client.remote() == destination);
            match found {
                Some(endpoint) => {
                    let from = SocketAddr::new(SERVER, 4_000).into();
                    endpoint.down.push(self.now, Datagram { from, bytes });
                }
                None => self.strays.push((destination, bytes)),
            }
        }
    }

    pub fn snapshot(&mut self) -> Snapshot {
        let snapshot = self.plane.snapshot(self.now);
        self.check_ledger(&snapshot.counters);
        snapshot
    }

    /// No packet is lost sight of.
    fn check_ledger(&self, counters: &EngineCounters) {
        for stage in Stage::ALL {
            assert_eq!(counters.unaccounted(stage), 0, "{}: {counters:#?}", stage.as_str());
        }
        assert_eq!(counters.unclassified(), 0, "{counters:#?}");
        assert_eq!(counters.entered(Stage::Socket), self.outbox.taken, "{counters:#?}");
    }

    pub fn dropped(&mut self, reason: DropReason) -> u64 {
        self.snapshot().counters.dropped[reason as usize]
    }

    pub fn states(&self, index: usize) -> Vec<TransportState> {
        let id = self.endpoints[index].transport;
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::TransportStateChanged { transport, state, .. } if *transport == id => {
                    Some(*state)
                }
                _ => None,
            })
            .collect()
    }

    pub fn failures(&self) -> Vec<String> {
        let failed = |event: &Event| match event {
            Event::CommandFailed { command, message, .. } => Some(format!("{command}: {message}")),
            _ => None,
        };
        self.events.iter().filter_map(failed).collect()
    }
}

/// Whatever a scenario did, the equations hold at its end.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.snapshot();
        }
    }
}

pub fn opus(payload_type: u8) -> CodecParameters {
    CodecParameters {
        codec: Codec::Opus,
        payload_type,
        rtx_payload_type: None,
        red_payload_type: None,
        clock_rate_hz: CLOCK_AUDIO,
        variant: String::new(),
    }
}

pub fn vp8(payload_type: u8, rtx: u8) -> CodecParameters {
    CodecParameters {
        codec: Codec::Vp8,
        payload_type,
        rtx_payload_type: Some(rtx),
        red_payload_type: None,
        clock_rate_hz: CLOCK_VIDEO,
        variant: String::new(),
    }
}

pub fn producer_parameters(track: &TrackConfig, mid: &str) -> ProducerParameters {
    let codecs = match track.kind {
        MediaKind::Audio => vec![opus(111)],
        MediaKind::Video => vec![vp8(96, 97)],
    };
    ProducerParameters {
        kind: track.kind,
        mid: mid.into(),
        codecs,
        encodings: vec![EncodingParameters {
            rid: None,
            ssrc: Some(track.ssrc),
            rtx_ssrc: track.rtx.map(|(ssrc, _)| ssrc),
        }],
        nack: true,
    }
}

pub fn consumer_parameters(kind: MediaKind, ssrc: u32, mid: &str) -> ConsumerParameters {
    let (codecs, rtx_ssrc) = match kind {
        MediaKind::Audio => (vec![opus(109)], None),
        MediaKind::Video => (vec![vp8(120, 121)], Some(ssrc + 1)),
    };
    ConsumerParameters {
        mid: mid.into(),
        ssrc,
        rtx_ssrc,
        codecs,
        nack: true,
        cname: "publisher-0".into(),
        paused: false,
    }
}
