//! Snapshots as Python sees them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use media_capture::{Cause, RecorderStats};
use media_core::api::{self, LayerSwitchReason};
use media_core::{DropReason, Protocol, Stage};
use media_net::tap::TapDrop;
use media_net::{Closed, EngineSnapshot, Refused};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{IntoPyDict, PyDict, PyList};

use crate::names;

/// Totals of one engine since it started. Pairs are ``(audio, video)``.
#[pyclass(module = "sfu._media", frozen, get_all)]
pub(crate) struct Counters {
    rtp_packets_in: (u64, u64),
    rtp_packets_out: (u64, u64),
    rtp_bytes_in: (u64, u64),
    rtp_bytes_out: (u64, u64),
    rtcp_packets_in: u64,
    rtcp_packets_out: u64,
    rtp_lost: (u64, u64),
    nack_sent: u64,
    nack_received: u64,
    pli_sent: u64,
    pli_received: u64,
    retransmissions_in: u64,
    retransmissions_out: u64,
    retransmissions_missed: u64,
    keyframes_repaired: u64,
    losses_untold: u64,
    echoes_out: u64,
    echoes_missed: u64,
    echoes_postponed: u64,
    padding_out: u64,
    dropped: Py<PyDict>,
    stages: Py<PyDict>,
    unclassified: i64,
    receive_overflows: u64,
    layer_switches_up: Py<PyDict>,
    layer_switches_down: Py<PyDict>,
    fillers_out: u64,
    red_packets_in: u64,
    audio_frames_recovered: u64,
    audio_copies_out: Py<PyList>,
    forward_delay_buckets: Py<PyList>,
    forward_delay_sum_s: f64,
    dtls_handshakes: u64,
    dtls_failures: u64,
    room_panics: u64,
    events_dropped: u64,
    commands_rejected: u64,
}

/// What became of the packets of one stage.
#[pyclass(module = "sfu._media", frozen, get_all)]
pub(crate) struct StageStats {
    entered: u64,
    passed: u64,
    waiting: u64,
    dropped: Py<PyDict>,
    unaccounted: i64,
}

impl StageStats {
    fn new(py: Python<'_>, snapshot: &EngineSnapshot, stage: Stage) -> PyResult<Py<StageStats>> {
        let counters = &snapshot.plane.counters;
        let dropped = PyDict::new(py);
        for reason in DropReason::ALL {
            let count = counters.ledger.dropped(stage, reason);
            if count > 0 {
                dropped.set_item(reason.as_str(), count)?;
            }
        }
        let (passed, waiting, unaccounted) = match stage {
            Stage::Socket => {
                (snapshot.sockets.sent, snapshot.sockets.waiting, snapshot.unaccounted())
            }
            Stage::Send => {
                (counters.passed(stage), counters.ledger.waiting, counters.unaccounted(stage))
            }
            _ => (counters.passed(stage), 0, counters.unaccounted(stage)),
        };
        let entered = counters.entered(stage);
        Py::new(py, StageStats { entered, passed, waiting, dropped: dropped.unbind(), unaccounted })
    }
}

/// State of one transport.
#[pyclass(module = "sfu._media", frozen, get_all)]
pub(crate) struct TransportStats {
    transport: u64,
    room: u64,
    state: &'static str,
    protocol: Option<&'static str>,
    rtt_s: Option<f64>,
    bytes_in: u64,
    bytes_out: u64,
    estimate_bps: Option<u64>,
    acked_bps: Option<u64>,
    pacer_queue_ms: f64,
    send_loss_ratio: Option<f64>,
    wanted_bps: u64,
    memory_bytes: u64,
}

/// State of one producer.
#[pyclass(module = "sfu._media", frozen, get_all)]
pub(crate) struct ProducerStats {
    producer: u64,
    transport: u64,
    kind: &'static str,
    packets: u64,
    bytes: u64,
    lost: u64,
    repaired: u64,
    loss_ratio: f64,
    jitter_s: f64,
    bitrate_bps: u64,
    keyframes: u64,
    encodings: Vec<EncodingStats>,
}

/// State of one encoding of a producer.
#[pyclass(module = "sfu._media", frozen, get_all)]
#[derive(Clone)]
pub(crate) struct EncodingStats {
    rid: Option<String>,
    live: bool,
    wanted: bool,
    bitrate_bps: u64,
    temporal_layers: u8,
    width: Option<u16>,
    height: Option<u16>,
}

/// State of one consumer.
#[pyclass(module = "sfu._media", frozen, get_all)]
pub(crate) struct ConsumerStats {
    consumer: u64,
    transport: u64,
    producer: Option<u64>,
    packets: u64,
    bytes: u64,
    retransmitted: u64,
    loss_ratio: Option<f64>,
    jitter_s: Option<f64>,
    rtt_s: Option<f64>,
    bitrate_bps: u64,
    preferred: Option<(u8, u8)>,
    target: Option<(u8, u8)>,
    current: Option<(u8, u8)>,
    priority: u8,
}

/// Connections of ICE over TCP: those open now, and totals.
#[pyclass(module = "sfu._media", frozen, get_all)]
pub(crate) struct TcpStats {
    connections: u64,
    accepted: u64,
    refused: Py<PyDict>,
    closed: Py<PyDict>,
}

/// State of one engine. Transports, producers and consumers become Python objects when they are
/// asked for: of thousands, most never are.
#[pyclass(module = "sfu._media", frozen)]
pub(crate) struct Snapshot {
    #[pyo3(get)]
    counters: Py<Counters>,
    #[pyo3(get)]
    rooms: u64,
    #[pyo3(get)]
    load: f64,
    #[pyo3(get)]
    tcp: Py<TcpStats>,
    #[pyo3(get)]
    tap: Py<TapStats>,
    #[pyo3(get)]
    capture: Option<Py<CaptureStats>>,
    plane: Arc<api::Snapshot>,
    places: OnceLock<Places>,
    connections: OnceLock<HashMap<u64, Connection>>,
    transports: PyOnceLock<Py<PyList>>,
    producers: PyOnceLock<Py<PyList>>,
    consumers: PyOnceLock<Py<PyList>>,
}

/// Where in the snapshot what is, by identifier.
struct Places {
    transports: HashMap<u64, usize>,
    producers: HashMap<u64, usize>,
    consumers: HashMap<u64, usize>,
}

impl Places {
    fn new(plane: &api::Snapshot) -> Places {
        let numbered = |ids: &mut dyn Iterator<Item = u64>| ids.zip(0..).collect();
        Places {
            transports: numbered(&mut plane.transports.iter().map(|stats| stats.transport)),
            producers: numbered(&mut plane.producers.iter().map(|stats| stats.producer)),
            consumers: numbered(&mut plane.consumers.iter().map(|stats| stats.consumer)),
        }
    }
}

/// Loss upwards and downwards, 0..1, and the round trip in seconds, as far as they are known.
type Connection = (Option<f64>, Option<f64>, Option<f64>);

/// The connection of every transport; the worst of its tracks counts in each direction.
fn connections(plane: &api::Snapshot) -> HashMap<u64, Connection> {
    let round_trips = plane.transports.iter().map(|stats| (stats.transport, stats.rtt_s));
    let mut found: HashMap<u64, Connection> =
        round_trips.map(|(transport, rtt_s)| (transport, (None, None, rtt_s))).collect();
    // What never sent a packet has lost none.
    for stats in plane.producers.iter().filter(|stats| stats.packets > 0) {
        if let Some((uplink, _, _)) = found.get_mut(&stats.transport) {
            *uplink = Some(uplink.map_or(stats.loss_ratio, |loss| loss.max(stats.loss_ratio)));
        }
    }
    for stats in &plane.consumers {
        if let Some((_, downlink, _)) = found.get_mut(&stats.transport)
            && let Some(ratio) = stats.loss_ratio
        {
            *downlink = Some(downlink.map_or(ratio, |loss| loss.max(ratio)));
        }
    }
    found
}

impl Snapshot {
    pub(crate) fn new(py: Python<'_>, snapshot: EngineSnapshot) -> PyResult<Snapshot> {
        Ok(Snapshot {
            counters: Py::new(py, Counters::new(py, &snapshot)?)?,
            rooms: snapshot.plane.rooms,
            load: snapshot.load,
            tcp: Py::new(py, TcpStats::new(py, &snapshot.tcp)?)?,
            tap: Py::new(py, TapStats::new(py, &snapshot.tap)?)?,
            capture: match &snapshot.recorder {
                Some(stats) => Some(Py::new(py, CaptureStats::new(py, stats)?)?),
                None => None,
            },
            plane: snapshot.plane,
            places: OnceLock::new(),
            connections: OnceLock::new(),
            transports: PyOnceLock::new(),
            producers: PyOnceLock::new(),
            consumers: PyOnceLock::new(),
        })
    }

    fn places(&self) -> &Places {
        self.places.get_or_init(|| Places::new(&self.plane))
    }
}

#[pymethods]
impl Snapshot {
    #[getter]
    fn transports(&self, py: Python<'_>) -> PyResult<Py<PyList>> {
        let items = self.plane.transports.iter().map(TransportStats::from);
        self.transports.get_or_try_init(py, || list(py, items)).map(|list| list.clone_ref(py))
    }

    #[getter]
    fn producers(&self, py: Python<'_>) -> PyResult<Py<PyList>> {
        let items = self.plane.producers.iter().map(ProducerStats::from);
        self.producers.get_or_try_init(py, || list(py, items)).map(|list| list.clone_ref(py))
    }

    #[getter]
    fn consumers(&self, py: Python<'_>) -> PyResult<Py<PyList>> {
        let items = self.plane.consumers.iter().map(ConsumerStats::from);
        self.consumers.get_or_try_init(py, || list(py, items)).map(|list| list.clone_ref(py))
    }

    fn transport(&self, transport: u64) -> Option<TransportStats> {
        let place = self.places().transports.get(&transport)?;
        self.plane.transports.get(*place).map(TransportStats::from)
    }

    fn connection(&self, transport: u64) -> Option<Connection> {
        self.connections.get_or_init(|| connections(&self.plane)).get(&transport).copied()
    }

    fn producer(&self, producer: u64) -> Option<ProducerStats> {
        let place = self.places().producers.get(&producer)?;
        self.plane.producers.get(*place).map(ProducerStats::from)
    }

    fn consumer(&self, consumer: u64) -> Option<ConsumerStats> {
        let place = self.places().consumers.get(&consumer)?;
        self.plane.consumers.get(*place).map(ConsumerStats::from)
    }
}

fn list<'py>(
    py: Python<'py>,
    items: impl ExactSizeIterator<Item: IntoPyObject<'py>>,
) -> PyResult<Py<PyList>> {
    Ok(PyList::new(py, items)?.unbind())
}

impl TcpStats {
    fn new(py: Python<'_>, stats: &media_net::TcpStats) -> PyResult<TcpStats> {
        let refused = Refused::ALL.map(|reason| (reason.as_str(), stats.refused[reason as usize]));
        let closed = Closed::ALL.map(|reason| (reason.as_str(), stats.closed[reason as usize]));
        Ok(TcpStats {
            connections: stats.connections,
            accepted: stats.accepted,
            refused: refused.into_py_dict(py)?.unbind(),
            closed: closed.into_py_dict(py)?.unbind(),
        })
    }
}

/// What an engine's taps did so far.
#[pyclass(module = "sfu._media", frozen, get_all)]
pub(crate) struct TapStats {
    packets: u64,
    delivered: u64,
    waiting: u64,
    dropped: Py<PyDict>,
}

impl TapStats {
    fn new(py: Python<'_>, stats: &media_net::tap::TapStats) -> PyResult<TapStats> {
        let dropped = TapDrop::ALL.map(|reason| (reason.as_str(), stats.dropped[reason as usize]));
        Ok(TapStats {
            packets: stats.packets,
            delivered: stats.delivered,
            waiting: stats.waiting,
            dropped: dropped.into_py_dict(py)?.unbind(),
        })
    }
}

/// What an engine's recorder did so far.
#[pyclass(module = "sfu._media", frozen, get_all)]
pub(crate) struct CaptureStats {
    packets: u64,
    bytes: u64,
    dropped: u64,
    written_packets: u64,
    written_bytes: u64,
    segments: u64,
    failures: Py<PyDict>,
    gaps: Py<PyDict>,
    missing: Py<PyDict>,
    lag_s: f64,
    tracks: u64,
    failing: u64,
}

impl CaptureStats {
    fn new(py: Python<'_>, stats: &RecorderStats) -> PyResult<CaptureStats> {
        let by_cause = |counts: &[u64; Cause::ALL.len()]| {
            let pairs = Cause::ALL.map(|cause| (cause.as_str(), counts[cause as usize]));
            pairs.into_py_dict(py).map(Bound::unbind)
        };
        Ok(CaptureStats {
            packets: stats.packets,
            bytes: stats.bytes,
            dropped: stats.dropped,
            written_packets: stats.written_packets,
            written_bytes: stats.written_bytes,
            segments: stats.segments,
            failures: by_cause(&stats.failures)?,
            gaps: by_cause(&stats.gaps)?,
            missing: by_cause(&stats.missing)?,
            lag_s: stats.lag_us as f64 / 1e6,
            tracks: stats.tracks,
            failing: stats.failing,
        })
    }
}

impl Counters {
    fn new(py: Python<'_>, snapshot: &EngineSnapshot) -> PyResult<Counters> {
        let counters = &snapshot.plane.counters;
        let pair = |[audio, video]: [u64; 2]| (audio, video);
        let dropped =
            DropReason::ALL.map(|reason| (reason.as_str(), counters.dropped[reason as usize]));
        let switches = |counts: [u64; LayerSwitchReason::ALL.len()]| {
            LayerSwitchReason::ALL.map(|reason| (reason.as_str(), counts[reason as usize]))
        };
        let stages = PyDict::new(py);
        for stage in Stage::ALL {
            stages.set_item(stage.as_str(), StageStats::new(py, snapshot, stage)?)?;
        }
        Ok(Counters {
            stages: stages.unbind(),
            unclassified: counters.unclassified(),
            keyframes_repaired: counters.keyframes_repaired,
            losses_untold: counters.losses_untold,
            echoes_out: counters.echoes_out,
            echoes_missed: counters.echoes_missed,
            echoes_postponed: counters.echoes_postponed,
            padding_out: counters.padding_out,
            receive_overflows: snapshot.sockets.overflowed,
            layer_switches_up: switches(counters.layer_switches_up).into_py_dict(py)?.unbind(),
            layer_switches_down: switches(counters.layer_switches_down).into_py_dict(py)?.unbind(),
            fillers_out: counters.fillers_out,
            red_packets_in: counters.red_packets_in,
            audio_frames_recovered: counters.audio_frames_recovered,
            audio_copies_out: PyList::new(py, counters.audio_copies_out)?.unbind(),
            rtp_packets_in: pair(counters.rtp_packets_in),
            rtp_packets_out: pair(counters.rtp_packets_out),
            rtp_bytes_in: pair(counters.rtp_bytes_in),
            rtp_bytes_out: pair(counters.rtp_bytes_out),
            rtcp_packets_in: counters.rtcp_packets_in,
            rtcp_packets_out: counters.rtcp_packets_out,
            rtp_lost: pair(counters.rtp_lost),
            nack_sent: counters.nack_sent,
            nack_received: counters.nack_received,
            pli_sent: counters.pli_sent,
            pli_received: counters.pli_received,
            retransmissions_in: counters.retransmissions_in,
            retransmissions_out: counters.retransmissions_out,
            retransmissions_missed: counters.retransmissions_missed,
            dropped: dropped.into_py_dict(py)?.unbind(),
            forward_delay_buckets: PyList::new(py, counters.forward_delay_buckets)?.unbind(),
            forward_delay_sum_s: counters.forward_delay_sum_s,
            dtls_handshakes: counters.dtls_handshakes,
            dtls_failures: counters.dtls_failures,
            room_panics: counters.room_panics,
            events_dropped: snapshot.events_dropped,
            commands_rejected: snapshot.commands_rejected,
        })
    }
}

impl From<&api::TransportStats> for TransportStats {
    fn from(stats: &api::TransportStats) -> TransportStats {
        TransportStats {
            transport: stats.transport,
            room: stats.room,
            state: names::state(stats.state),
            protocol: stats.protocol.map(Protocol::as_str),
            rtt_s: stats.rtt_s,
            bytes_in: stats.bytes_in,
            bytes_out: stats.bytes_out,
            estimate_bps: stats.estimate_bps,
            acked_bps: stats.acked_bps,
            pacer_queue_ms: stats.pacer_queue_ms,
            send_loss_ratio: stats.send_loss_ratio,
            wanted_bps: stats.wanted_bps,
            memory_bytes: stats.memory_bytes,
        }
    }
}

impl From<&api::ProducerStats> for ProducerStats {
    fn from(stats: &api::ProducerStats) -> ProducerStats {
        ProducerStats {
            producer: stats.producer,
            transport: stats.transport,
            kind: names::kind(stats.kind),
            packets: stats.packets,
            bytes: stats.bytes,
            lost: stats.lost,
            repaired: stats.repaired,
            loss_ratio: stats.loss_ratio,
            jitter_s: stats.jitter_s,
            bitrate_bps: stats.bitrate_bps,
            keyframes: stats.keyframes,
            encodings: stats.encodings.iter().map(EncodingStats::from).collect(),
        }
    }
}

impl From<&api::EncodingStats> for EncodingStats {
    fn from(stats: &api::EncodingStats) -> EncodingStats {
        EncodingStats {
            rid: stats.rid.clone(),
            live: stats.live,
            wanted: stats.wanted,
            bitrate_bps: stats.bitrate_bps,
            temporal_layers: stats.temporal_layers,
            width: stats.width,
            height: stats.height,
        }
    }
}

impl From<&api::ConsumerStats> for ConsumerStats {
    fn from(stats: &api::ConsumerStats) -> ConsumerStats {
        ConsumerStats {
            consumer: stats.consumer,
            transport: stats.transport,
            producer: stats.producer,
            packets: stats.packets,
            bytes: stats.bytes,
            retransmitted: stats.retransmitted,
            loss_ratio: stats.loss_ratio,
            jitter_s: stats.jitter_s,
            rtt_s: stats.rtt_s,
            bitrate_bps: stats.bitrate_bps,
            preferred: names::layer(stats.preferred),
            target: names::layer(stats.target),
            current: names::layer(stats.current),
            priority: stats.priority,
        }
    }
}
