//! The load generator as Python sees it. It runs in the process that measures, never in a server.

use std::net::SocketAddr;

use media_core::api::{IceCredentials, MediaKind};
use media_swarm::{Remote, StreamConfig, SwarmConfig, Traffic, measure_raw_limit};
use pyo3::prelude::*;

use crate::errors::Error;
use crate::parse::{self, Int};

/// Many synthetic participants on one thread.
#[pyclass(module = "sfu._media", frozen)]
pub(crate) struct Swarm(media_swarm::Swarm);

/// Totals of a swarm; ``delays_s`` are the quantiles asked for, of packets since the last report.
#[pyclass(module = "sfu._media", frozen, get_all)]
pub(crate) struct SwarmReport {
    connected: u32,
    failed: u32,
    failure: Option<String>,
    packets_sent: u64,
    send_failures: u64,
    packets_received: u64,
    bytes_received: u64,
    packets_lost: u64,
    streams_received: u64,
    keyframe_requests: u64,
    nacks: u64,
    sampled: u64,
    delays_s: Vec<Option<f64>>,
}

const MAX_CPU: u64 = 1_023;

fn cpu(value: Option<Int>) -> Result<Option<usize>, Error> {
    value
        .map(|value| parse::integer("cpu", value, 0..=MAX_CPU).map(|value| value as usize))
        .transpose()
}

fn address(text: &str) -> Result<SocketAddr, Error> {
    text.parse().map_err(|_| Error::Parameter(format!("remote: {text:?} is no address with port")))
}

fn traffic(name: &str, (rate, bytes, burst): (f64, Int, Int)) -> Result<Traffic, Error> {
    if !(0.0..=1e6).contains(&rate) {
        return Err(Error::Parameter(format!("{name}: packets per second must be 0..=1000000")));
    }
    Ok(Traffic {
        packets_per_second: rate,
        packet_bytes: parse::integer(name, bytes, 0..=1_450)? as usize,
        burst: parse::integer(name, burst, 1..=64)? as u32,
    })
}

#[pymethods]
impl Swarm {
    #[new]
    #[pyo3(
        signature = (*, sockets = Int::of(4), cpu = None, sample = Int::of(16)),
        text_signature = "(*, sockets=4, cpu=None, sample=16)"
    )]
    fn new(py: Python<'_>, sockets: Int, cpu: Option<Int>, sample: Int) -> Result<Swarm, Error> {
        let config = SwarmConfig {
            sockets: parse::integer("sockets", sockets, 1..=64)? as usize,
            cpu: self::cpu(cpu)?,
            sample: parse::integer("sample", sample, 0..=1_000_000)? as u32,
        };
        Ok(Swarm(py.detach(|| media_swarm::Swarm::start(&config)).map_err(Error::Swarm)?))
    }

    /// SHA-256 of the certificate all participants share, as in SDP.
    #[getter]
    fn fingerprint(&self) -> String {
        let hex: Vec<_> = self.0.fingerprint().iter().map(|byte| format!("{byte:02X}")).collect();
        hex.join(":")
    }

    /// Adds a participant, which connects at once; returns its number.
    #[pyo3(signature = (
        *, remote, local_ufrag, local_password, remote_ufrag, remote_password, remote_fingerprint,
        extensions, streams
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only arguments of one command")]
    fn connect(
        &self,
        remote: &str,
        local_ufrag: String,
        local_password: String,
        remote_ufrag: String,
        remote_password: String,
        remote_fingerprint: &str,
        extensions: Vec<(String, Int)>,
        streams: Vec<(String, Int, Int, Int)>,
    ) -> Result<u32, Error> {
        let local = IceCredentials { ufrag: local_ufrag, password: local_password };
        let remote = Remote {
            address: address(remote)?,
            ice: IceCredentials { ufrag: remote_ufrag, password: remote_password },
            fingerprint: fingerprint(remote_fingerprint)?,
            extensions: parse::extensions(extensions)?,
        };
        let streams = streams.into_iter().map(stream).collect::<Result<_, _>>()?;
        self.0.connect(local, remote, streams).map_err(Error::Swarm)
    }

    /// Changes what is sent. ``audio`` and ``video`` are packets per second, bytes and packets
    /// of a burst.
    #[pyo3(signature = (*, participants, audio, video, busy))]
    fn load(
        &self,
        participants: Int,
        audio: (f64, Int, Int),
        video: (f64, Int, Int),
        busy: bool,
    ) -> Result<(), Error> {
        let participants = parse::integer("participants", participants, 0..=u64::from(u32::MAX))?;
        let (audio, video) = (traffic("audio", audio)?, traffic("video", video)?);
        self.0.load(participants as u32, audio, video, busy).map_err(Error::Swarm)
    }

    /// Gives a participant another address.
    fn relocate(&self, participant: Int) -> Result<(), Error> {
        self.0.relocate(number(participant)?).map_err(Error::Swarm)
    }

    /// Has a share of a participant's datagrams lost, each way.
    #[pyo3(signature = (participant, *, loss))]
    fn impair(&self, participant: Int, loss: f64) -> Result<(), Error> {
        self.0.impair(number(participant)?, loss).map_err(Error::Swarm)
    }

    /// A participant sends one more stream; with a RID, one encoding of several.
    #[pyo3(signature = (participant, *, stream, rid = None))]
    fn publish(
        &self,
        participant: Int,
        stream: (String, Int, Int, Int),
        rid: Option<&str>,
    ) -> Result<(), Error> {
        let rid = rid.map(self::rid).transpose()?;
        let stream = StreamConfig { rid, ..self::stream(stream)? };
        self.0.publish(number(participant)?, stream).map_err(Error::Swarm)
    }

    /// A participant's stream falls silent, or goes on.
    #[pyo3(signature = (participant, *, ssrc, silent))]
    fn silence(&self, participant: Int, ssrc: Int, silent: bool) -> Result<(), Error> {
        let ssrc = parse::ssrc("ssrc", ssrc)?;
        self.0.silence(number(participant)?, ssrc, silent).map_err(Error::Swarm)
    }

    /// A participant is gone without a word, for good.
    fn disconnect(&self, participant: Int) -> Result<(), Error> {
        self.0.disconnect(number(participant)?).map_err(Error::Swarm)
    }

    /// All participants, in the order of their numbers: whether they have keys, why not, and
    /// ``(SSRC, packets, seconds since the last one)`` of what arrives.
    fn statuses(&self, py: Python<'_>) -> Result<Vec<Status>, Error> {
        let statuses = py.detach(|| self.0.statuses()).map_err(Error::Swarm)?;
        let streams = |streams: Vec<(u32, u64, std::time::Duration)>| {
            streams.into_iter().map(|(ssrc, packets, at)| (ssrc, packets, at.as_secs_f64()))
        };
        let status = |status: media_swarm::Status| {
            (status.is_connected, status.failure, streams(status.streams).collect())
        };
        Ok(statuses.into_iter().map(status).collect())
    }

    /// Totals up to now.
    #[pyo3(signature = (quantiles = Vec::new()), text_signature = "($self, quantiles=())")]
    fn report(&self, py: Python<'_>, quantiles: Vec<f64>) -> Result<SwarmReport, Error> {
        let report = py.detach(|| self.0.report()).map_err(Error::Swarm)?;
        let delay = |share: &f64| report.delays.quantile(*share).map(|delay| delay.as_secs_f64());
        Ok(SwarmReport {
            connected: report.connected,
            failed: report.failed,
            packets_sent: report.packets_sent,
            send_failures: report.send_failures,
            packets_received: report.packets_received,
            bytes_received: report.bytes_received,
            packets_lost: report.packets_lost,
            streams_received: report.streams_received,
            keyframe_requests: report.keyframe_requests,
            nacks: report.nacks,
            sampled: report.delays.total(),
            delays_s: quantiles.iter().map(delay).collect(),
            failure: report.failure,
        })
    }

    /// CPU seconds of ``(AES-GCM, AES-GCM and one sendto)`` for one packet to the participants.
    #[pyo3(signature = (*, packet_bytes, packets, cpu = None))]
    fn raw_limit(
        &self,
        py: Python<'_>,
        packet_bytes: Int,
        packets: Int,
        cpu: Option<Int>,
    ) -> Result<(f64, f64), Error> {
        let bytes = parse::integer("packet_bytes", packet_bytes, 28..=1_450)? as usize;
        let packets = parse::integer("packets", packets, 1..=10_000_000)? as u32;
        let cpu = self::cpu(cpu)?;
        let addresses = self.0.addresses();
        let limit = py
            .detach(|| measure_raw_limit(&addresses, bytes, packets, cpu))
            .map_err(|error| Error::Swarm(error.into()))?;
        Ok((limit.protect.as_secs_f64(), limit.total.as_secs_f64()))
    }

    /// Ends the thread. Idempotent.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}

/// Whether it has keys, why not, and what arrives.
type Status = (bool, Option<String>, Vec<(u32, u64, f64)>);

fn number(participant: Int) -> Result<u32, Error> {
    let number = parse::integer("participant", participant, 0..=u64::from(u32::MAX))?;
    Ok(number as u32)
}

fn stream((kind, ssrc, payload_type, mid): (String, Int, Int, Int)) -> Result<StreamConfig, Error> {
    Ok(StreamConfig {
        kind: match kind.as_str() {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            _ => return Err(Error::Parameter("streams: kind must be audio or video".into())),
        },
        ssrc: parse::ssrc("streams: ssrc", ssrc)?,
        payload_type: parse::payload_type("streams: payload_type", payload_type)?,
        mid: parse::integer("streams: mid", mid, 0..=255)? as u8,
        rid: None,
    })
}

fn rid(text: &str) -> Result<u8, Error> {
    match *text.as_bytes() {
        [letter] if letter.is_ascii_alphanumeric() => Ok(letter),
        _ => Err(Error::Parameter("rid: must be one letter or digit".into())),
    }
}

fn fingerprint(text: &str) -> Result<[u8; 32], Error> {
    let bytes: Option<Vec<u8>> =
        text.split(':').map(|hex| u8::from_str_radix(hex, 16).ok()).collect();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Error::Parameter("remote_fingerprint: must be SHA-256 as in SDP".into()))
}
