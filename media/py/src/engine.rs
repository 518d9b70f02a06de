//! The engine as Python sees it.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::time::Duration;

use media_capture::{MasterKey, RecorderConfig, SessionClock, TrackSpec};
use media_core::api::{Layer, LayerWish};
use media_core::tap::TapWish;
use media_core::{Command, PlaneConfig};
use media_net::{EngineConfig, Scheduling, TcpConfig};
use pyo3::prelude::*;
use pyo3::types::PyMapping;

use crate::errors::Error;
use crate::event::Event;
use crate::names;
use crate::parameters::{self, Certificate, CodecParameters, EncodingParameters};
use crate::parse::{self, Int};
use crate::stats::Snapshot;

/// One media thread with one UDP port.
#[pyclass(module = "sfu._media", frozen)]
pub(crate) struct Engine {
    engine: media_net::Engine,
    fault_injection: bool,
}

impl Engine {
    fn send(&self, command: Command) -> Result<(), Error> {
        self.engine.command(command).map_err(Error::Command)
    }
}

/// Largest value of a limit: bounds what a typing error can allocate.
const MAX_LIMIT: u64 = 1_000_000;

fn limit(name: &str, value: Int) -> Result<usize, Error> {
    parse::integer(name, value, 1..=MAX_LIMIT).map(|value| value as usize).map_err(Error::of_config)
}

/// In bits per second, enough for a few words at least.
fn bitrate(name: &str, value: Int) -> Result<u64, Error> {
    parse::integer(name, value, 10_000..=100_000_000_000).map_err(Error::of_config)
}

/// A TCP port; zero stands for the one of UDP.
fn port(name: &str, value: Int) -> Result<Option<NonZeroU16>, Error> {
    let port = parse::integer(name, value, 0..=u16::MAX.into()).map_err(Error::of_config)?;
    Ok(NonZeroU16::new(port as u16))
}

/// Where and how tracks are recorded.
fn recorder(
    directory: PathBuf,
    segment_s: f64,
    buffer_bytes: Int,
    key: Option<&[u8]>,
) -> Result<RecorderConfig, Error> {
    let segment = Duration::try_from_secs_f64(segment_s)
        .map_err(|_| Error::Config("capture_segment_s: must be 1 to 600".into()))?;
    let range = RecorderConfig::BUFFER_BYTES;
    let range = *range.start() as u64..=*range.end() as u64;
    let buffer_bytes = parse::integer("capture_buffer_bytes", buffer_bytes, range)
        .map_err(Error::of_config)? as usize;
    let key = key
        .map(MasterKey::new)
        .transpose()
        .map_err(|error| Error::Config(format!("capture_key: {error}")))?;
    Ok(RecorderConfig { directory, segment, buffer_bytes, key })
}

fn address(text: &str) -> Result<SocketAddr, Error> {
    text.parse().map_err(|_| {
        Error::Config(format!(
            "listen: must be an address like 0.0.0.0:3478 or [::]:3478, not {text:?}"
        ))
    })
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(
        signature = (
            *, certificate, listen, name = "engine", max_rooms = Int::of(1000),
            max_transports = Int::of(5000), event_queue = Int::of(16384),
            min_bitrate_bps = Int::of(30_000), start_bitrate_bps = Int::of(1_000_000),
            max_bitrate_bps = Int::of(30_000_000),
            tcp = false,
            tcp_port = Int::of(0), max_tcp_connections = Int::of(1000),
            max_tcp_connections_per_address = Int::of(250), fault_injection = false,
            capture_directory = None, capture_segment_s = 10.0,
            capture_buffer_bytes = Int::of(64 << 20), capture_key = None, realtime = false,
        ),
        text_signature = "(*, certificate, listen, name='engine', max_rooms=1000, \
                          max_transports=5000, event_queue=16384, \
                          min_bitrate_bps=30000, \
                          start_bitrate_bps=1000000, max_bitrate_bps=30000000, tcp=False, tcp_port=0, \
                          max_tcp_connections=1000, max_tcp_connections_per_address=250, \
                          fault_injection=False, capture_directory=None, \
                          capture_segment_s=10.0, capture_buffer_bytes=67108864, \
                          capture_key=None, realtime=False)"
    )]
    #[expect(clippy::too_many_arguments, reason = "keyword-only settings")]
    fn new(
        py: Python<'_>,
        certificate: &Certificate,
        listen: Vec<String>,
        name: &str,
        max_rooms: Int,
        max_transports: Int,
        event_queue: Int,
        min_bitrate_bps: Int,
        start_bitrate_bps: Int,
        max_bitrate_bps: Int,
        tcp: bool,
        tcp_port: Int,
        max_tcp_connections: Int,
        max_tcp_connections_per_address: Int,
        fault_injection: bool,
        capture_directory: Option<PathBuf>,
        capture_segment_s: f64,
        capture_buffer_bytes: Int,
        capture_key: Option<&[u8]>,
        realtime: bool,
    ) -> Result<Engine, Error> {
        let recorder = match capture_directory {
            Some(directory) => {
                Some(recorder(directory, capture_segment_s, capture_buffer_bytes, capture_key)?)
            }
            None => None,
        };
        let min_bitrate_bps = bitrate("min_bitrate_bps", min_bitrate_bps)?;
        let start_bitrate_bps = bitrate("start_bitrate_bps", start_bitrate_bps)?;
        let max_bitrate_bps = bitrate("max_bitrate_bps", max_bitrate_bps)?;
        let tcp_config = TcpConfig {
            port: port("tcp_port", tcp_port)?,
            max_connections: limit("max_tcp_connections", max_tcp_connections)?,
            max_connections_per_address: limit(
                "max_tcp_connections_per_address",
                max_tcp_connections_per_address,
            )?,
            ..TcpConfig::default()
        };
        let config = EngineConfig {
            name: name.to_owned(),
            listen: listen.iter().map(|text| address(text)).collect::<Result<_, _>>()?,
            event_queue: parse::id("event_queue", event_queue)
                .map_err(Error::of_config)?
                .try_into()
                .unwrap_or(usize::MAX),
            plane: PlaneConfig {
                max_rooms: limit("max_rooms", max_rooms)?,
                max_transports: limit("max_transports", max_transports)?,
                min_bitrate_bps: min_bitrate_bps.min(max_bitrate_bps),
                start_bitrate_bps: start_bitrate_bps.min(max_bitrate_bps),
                max_bitrate_bps,
                fault_injection,
                ..PlaneConfig::default()
            },
            tcp: tcp.then_some(tcp_config),
            recorder,
            realtime,
        };
        let certificate = certificate.0.clone();
        let engine =
            py.detach(|| media_net::Engine::start(config, certificate)).map_err(Error::Engine)?;
        Ok(Engine { engine, fault_injection })
    }

    #[getter]
    fn port(&self) -> u16 {
        self.engine.port()
    }

    /// The port of ICE over TCP, where that is offered.
    #[getter]
    fn tcp_port(&self) -> Option<u16> {
        self.engine.tcp_port()
    }

    /// The bound addresses, as ``host:port``.
    #[getter]
    fn local_addresses(&self) -> Vec<String> {
        self.engine.local_addresses().iter().map(SocketAddr::to_string).collect()
    }

    /// ``(receive, send)`` buffer of the sockets as granted by the kernel, in bytes.
    #[getter]
    fn socket_buffers(&self) -> (usize, usize) {
        let buffers = self.engine.socket_buffers();
        (buffers.receive, buffers.send)
    }

    /// What the kernel granted the media thread; ``None`` until it has asked.
    #[getter]
    fn scheduling(&self) -> Option<&'static str> {
        self.engine.scheduling().map(|scheduling| match scheduling {
            Scheduling::RealTime => "realtime",
            Scheduling::Nicer => "nicer",
            Scheduling::ShortSlices => "short_slices",
            Scheduling::Usual => "usual",
        })
    }

    fn fileno(&self) -> i32 {
        self.engine.as_fd().as_raw_fd()
    }

    fn drain_events(&self) -> Vec<Event> {
        self.engine.drain_events().into_iter().map(Event::from).collect()
    }

    /// The latest snapshot, at most about a second old; never blocks on the media thread.
    fn snapshot(&self, py: Python<'_>) -> PyResult<Snapshot> {
        let snapshot = py.detach(|| self.engine.snapshot());
        Snapshot::new(py, snapshot)
    }

    /// Closes all transports (DTLS close_notify), stops the thread, frees the port. Idempotent.
    fn close(&self, py: Python<'_>) -> Result<(), Error> {
        py.detach(|| self.engine.close()).map_err(Error::Close)
    }

    #[pyo3(signature = (*, room))]
    fn create_room(&self, room: Int) -> Result<(), Error> {
        self.send(Command::CreateRoom { room: parse::id("room", room)? })
    }

    #[pyo3(signature = (*, room))]
    fn close_room(&self, room: Int) -> Result<(), Error> {
        self.send(Command::CloseRoom { room: parse::id("room", room)? })
    }

    /// Adds an association.
    #[pyo3(signature = (
        *, room, transport, local_ufrag, local_password, remote_ufrag, remote_password,
        remote_fingerprints, dtls_role
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only arguments of one command")]
    fn create_transport(
        &self,
        room: Int,
        transport: Int,
        local_ufrag: &str,
        local_password: &str,
        remote_ufrag: &str,
        remote_password: &str,
        remote_fingerprints: Vec<(String, String)>,
        dtls_role: &str,
    ) -> Result<(), Error> {
        self.send(Command::CreateTransport {
            room: parse::id("room", room)?,
            transport: parse::id("transport", transport)?,
            local_ice: parse::credentials("local", local_ufrag, local_password)?,
            remote_ice: parse::credentials("remote", remote_ufrag, remote_password)?,
            remote_fingerprints: parse::fingerprints(&remote_fingerprints)?,
            dtls_role: parse::word("dtls_role", dtls_role, names::DTLS_ROLES)?,
        })
    }

    #[pyo3(signature = (
        *, transport, local_ufrag, local_password, remote_ufrag, remote_password
    ))]
    fn restart_ice(
        &self,
        transport: Int,
        local_ufrag: &str,
        local_password: &str,
        remote_ufrag: &str,
        remote_password: &str,
    ) -> Result<(), Error> {
        self.send(Command::RestartIce {
            transport: parse::id("transport", transport)?,
            local_ice: parse::credentials("local", local_ufrag, local_password)?,
            remote_ice: parse::credentials("remote", remote_ufrag, remote_password)?,
        })
    }

    /// Replaces the header extension table.
    #[pyo3(signature = (*, transport, extensions))]
    fn set_extensions(&self, transport: Int, extensions: &Bound<'_, PyMapping>) -> PyResult<()> {
        let pairs: Vec<(String, Int)> = extensions.items()?.extract()?;
        Ok(self.send(Command::SetExtensions {
            transport: parse::id("transport", transport)?,
            extensions: parse::extensions(pairs)?,
        })?)
    }

    #[pyo3(signature = (*, transport))]
    fn close_transport(&self, transport: Int) -> Result<(), Error> {
        self.send(Command::CloseTransport { transport: parse::id("transport", transport)? })
    }

    #[pyo3(signature = (*, transport, producer, kind, mid, codecs, encodings, nack))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only arguments of one command")]
    fn add_producer(
        &self,
        transport: Int,
        producer: Int,
        kind: &str,
        mid: &str,
        codecs: Vec<Py<CodecParameters>>,
        encodings: Vec<Py<EncodingParameters>>,
        nack: bool,
    ) -> Result<(), Error> {
        self.send(Command::AddProducer {
            transport: parse::id("transport", transport)?,
            producer: parse::id("producer", producer)?,
            parameters: parameters::producer(kind, mid, &codecs, &encodings, nack)?,
        })
    }

    #[pyo3(signature = (*, producer, kind, mid, codecs, encodings, nack))]
    fn update_producer(
        &self,
        producer: Int,
        kind: &str,
        mid: &str,
        codecs: Vec<Py<CodecParameters>>,
        encodings: Vec<Py<EncodingParameters>>,
        nack: bool,
    ) -> Result<(), Error> {
        self.send(Command::UpdateProducer {
            producer: parse::id("producer", producer)?,
            parameters: parameters::producer(kind, mid, &codecs, &encodings, nack)?,
        })
    }

    #[pyo3(signature = (*, producer))]
    fn remove_producer(&self, producer: Int) -> Result<(), Error> {
        self.send(Command::RemoveProducer { producer: parse::id("producer", producer)? })
    }

    #[pyo3(signature = (*, producer, paused))]
    fn set_producer_paused(&self, producer: Int, paused: bool) -> Result<(), Error> {
        self.send(Command::SetProducerPaused { producer: parse::id("producer", producer)?, paused })
    }

    #[pyo3(signature = (*, producer))]
    fn request_keyframe(&self, producer: Int) -> Result<(), Error> {
        self.send(Command::RequestKeyframe { producer: parse::id("producer", producer)? })
    }

    /// Announces a track to be recorded under this name.
    #[pyo3(signature = (
        *, capture, directory, name, description, about, zero_ns, wall_us, first_segment
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only arguments of one command")]
    fn open_capture(
        &self,
        capture: Int,
        directory: PathBuf,
        name: String,
        description: String,
        about: String,
        zero_ns: Int,
        wall_us: i64,
        first_segment: Int,
    ) -> Result<(), Error> {
        let first = parse::integer("first_segment", first_segment, 1..=u64::from(u32::MAX))?;
        let track = TrackSpec {
            capture: parse::id("capture", capture)?,
            directory,
            name,
            description,
            about,
            clock: SessionClock { zero_ns: parse::id("zero_ns", zero_ns)?, wall_us },
            first_segment: first as u32,
        };
        self.engine.open_capture(track).map_err(Error::Command)
    }

    /// Captures a producer's packets under a name, or no longer.
    #[pyo3(signature = (*, producer, capture))]
    fn set_capture(&self, producer: Int, capture: Option<Int>) -> Result<(), Error> {
        self.send(Command::SetCapture {
            producer: parse::id("producer", producer)?,
            capture: capture.map(|id| parse::id("capture", id)).transpose()?,
        })
    }

    /// Where tapped packets go: a connected ``SOCK_SEQPACKET`` socket, of which a copy is made.
    #[pyo3(signature = (*, socket))]
    fn set_tap_reader(&self, socket: Option<i32>) -> Result<(), Error> {
        self.engine
            .set_tap_reader(socket)
            .map_err(|error| Error::Parameter(format!("socket: {error}")))
    }

    /// Taps a producer under a name, changes what is tapped of it, or ends that.
    #[pyo3(
        signature = (
            *, producer, tap, spatial = Int::of(0), temporal = Int::of(0), zero_ns = Int::of(0)
        ),
        text_signature = "($self, *, producer, tap, spatial=0, temporal=0, zero_ns=0)"
    )]
    fn set_tap(
        &self,
        producer: Int,
        tap: Option<Int>,
        spatial: Int,
        temporal: Int,
        zero_ns: Int,
    ) -> Result<(), Error> {
        let byte = |name, value, most| parse::integer(name, value, 0..=most).map(|v| v as u8);
        let layer = Layer {
            spatial: byte("spatial", spatial, u8::MAX.into())?,
            temporal: byte("temporal", temporal, Layer::ALL_TEMPORAL.into())?,
        };
        let zero_ns = parse::id("zero_ns", zero_ns)?;
        let tap = tap.map(|id| parse::id("tap", id)).transpose()?;
        self.send(Command::SetTap {
            producer: parse::id("producer", producer)?,
            wish: tap.map(|tap| TapWish { tap, layer, zero_ns }),
        })
    }

    #[pyo3(signature = (*, producer, paused))]
    fn pause_capture(&self, producer: Int, paused: bool) -> Result<(), Error> {
        self.send(Command::PauseCapture { producer: parse::id("producer", producer)?, paused })
    }

    #[pyo3(signature = (*, capture))]
    fn close_capture(&self, capture: Int) -> Result<(), Error> {
        self.send(Command::CloseCapture { capture: parse::id("capture", capture)? })
    }

    #[pyo3(signature = (
        *, transport, consumer, producer, mid, ssrc, rtx_ssrc, codecs, nack, cname, paused = false
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only arguments of one command")]
    fn add_consumer(
        &self,
        transport: Int,
        consumer: Int,
        producer: Int,
        mid: &str,
        ssrc: Int,
        rtx_ssrc: Option<Int>,
        codecs: Vec<Py<CodecParameters>>,
        nack: bool,
        cname: &str,
        paused: bool,
    ) -> Result<(), Error> {
        self.send(Command::AddConsumer {
            transport: parse::id("transport", transport)?,
            consumer: parse::id("consumer", consumer)?,
            producer: parse::id("producer", producer)?,
            parameters: parameters::consumer(mid, ssrc, rtx_ssrc, &codecs, nack, cname, paused)?,
        })
    }

    #[pyo3(signature = (
        *, consumer, mid, ssrc, rtx_ssrc, codecs, nack, cname, paused = false
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only arguments of one command")]
    fn update_consumer(
        &self,
        consumer: Int,
        mid: &str,
        ssrc: Int,
        rtx_ssrc: Option<Int>,
        codecs: Vec<Py<CodecParameters>>,
        nack: bool,
        cname: &str,
        paused: bool,
    ) -> Result<(), Error> {
        self.send(Command::UpdateConsumer {
            consumer: parse::id("consumer", consumer)?,
            parameters: parameters::consumer(mid, ssrc, rtx_ssrc, &codecs, nack, cname, paused)?,
        })
    }

    #[pyo3(signature = (*, consumer, producer))]
    fn set_consumer_source(&self, consumer: Int, producer: Int) -> Result<(), Error> {
        self.send(Command::SetConsumerSource {
            consumer: parse::id("consumer", consumer)?,
            producer: parse::id("producer", producer)?,
        })
    }

    #[pyo3(signature = (*, consumer, paused))]
    fn set_consumer_paused(&self, consumer: Int, paused: bool) -> Result<(), Error> {
        self.send(Command::SetConsumerPaused { consumer: parse::id("consumer", consumer)?, paused })
    }

    /// Says what of a video track is of use; ``spatial=None``: nothing.
    #[pyo3(signature = (*, consumer, spatial, temporal, priority))]
    fn set_consumer_layers(
        &self,
        consumer: Int,
        spatial: Option<Int>,
        temporal: Int,
        priority: Int,
    ) -> Result<(), Error> {
        let byte = |name, value, most| parse::integer(name, value, 0..=most).map(|v| v as u8);
        let temporal = byte("temporal", temporal, Layer::ALL_TEMPORAL.into())?;
        let spatial = spatial.map(|value| byte("spatial", value, u8::MAX.into())).transpose()?;
        let preferred = spatial.map(|spatial| Layer { spatial, temporal });
        let wish = LayerWish { preferred, priority: byte("priority", priority, u8::MAX.into())? };
        self.send(Command::SetConsumerLayers { consumer: parse::id("consumer", consumer)?, wish })
    }

    #[pyo3(signature = (*, consumer))]
    fn remove_consumer(&self, consumer: Int) -> Result<(), Error> {
        self.send(Command::RemoveConsumer { consumer: parse::id("consumer", consumer)? })
    }

    /// Makes the room's next packet panic; only with ``fault_injection``.
    #[pyo3(signature = (*, room))]
    fn inject_panic(&self, room: Int) -> Result<(), Error> {
        if !self.fault_injection {
            return Err(Error::Config("inject_panic: needs fault_injection=True".into()));
        }
        self.send(Command::InjectPanic { room: parse::id("room", room)? })
    }
}
