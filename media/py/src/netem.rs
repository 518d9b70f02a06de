//! The network emulator as Python sees it, in virtual time and between two descriptors.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use media_core::netem::Loss;
use media_swarm::{NOT_UDP, OTHER_UDP, Path, PathConfig, PathCounters, RTCP, Steps};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::Error;
use crate::parse::{self, Int};

/// Longest delay, jitter or step, in seconds.
const LONGEST_S: f64 = 86_400.0;
const MAX_RATE: u64 = 1_000_000_000_000;
const MAX_FD: u64 = i32::MAX as u64;

fn share(name: &str, value: f64) -> Result<f64, Error> {
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    Err(Error::Parameter(format!("{name}: must be 0..=1")))
}

fn seconds(name: &str, value: f64) -> Result<Duration, Error> {
    if (0.0..=LONGEST_S).contains(&value) {
        return Ok(Duration::from_secs_f64(value));
    }
    Err(Error::Parameter(format!("{name}: must be 0..={LONGEST_S} seconds")))
}

fn loss(values: &[f64]) -> Result<Loss, Error> {
    let checked: Vec<f64> =
        values.iter().map(|value| share("loss", *value)).collect::<Result<_, _>>()?;
    match checked[..] {
        [] => Ok(Loss::None),
        [p] => Ok(Loss::Random(p)),
        [to_bad, to_good, good, bad] => Ok(Loss::GilbertElliott { to_bad, to_good, good, bad }),
        _ => Err(Error::Parameter("loss: must have no, one or four numbers".into())),
    }
}

/// One direction of a path.
#[pyclass(module = "sfu._media", frozen, eq)]
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct NetemConfig(media_core::netem::NetemConfig);

#[pymethods]
impl NetemConfig {
    #[new]
    #[pyo3(
        signature = (
            *, loss = Vec::new(), delay_s = 0.0, jitter_s = 0.0, jitter_reorders = false,
            reorder = 0.0, reorder_delay_s = 0.0, duplicate = 0.0, rate_bps = Int::of(0),
            queue_bytes = Int::of(0), queue_delay_s = 0.0
        ),
        text_signature = "(*, loss=(), delay_s=0.0, jitter_s=0.0, jitter_reorders=False, \
                          reorder=0.0, reorder_delay_s=0.0, duplicate=0.0, rate_bps=0, \
                          queue_bytes=0, queue_delay_s=0.0)"
    )]
    #[expect(clippy::too_many_arguments, reason = "keyword-only settings")]
    fn new(
        loss: Vec<f64>,
        delay_s: f64,
        jitter_s: f64,
        jitter_reorders: bool,
        reorder: f64,
        reorder_delay_s: f64,
        duplicate: f64,
        rate_bps: Int,
        queue_bytes: Int,
        queue_delay_s: f64,
    ) -> Result<NetemConfig, Error> {
        Ok(NetemConfig(media_core::netem::NetemConfig {
            loss: self::loss(&loss)?,
            delay: seconds("delay_s", delay_s)?,
            jitter: seconds("jitter_s", jitter_s)?,
            jitter_reorders,
            reorder: share("reorder", reorder)?,
            reorder_delay: seconds("reorder_delay_s", reorder_delay_s)?,
            duplicate: share("duplicate", duplicate)?,
            rate_bps: parse::integer("rate_bps", rate_bps, 0..=MAX_RATE)?,
            queue_bytes: parse::integer("queue_bytes", queue_bytes, 0..=MAX_RATE)?,
            queue_delay: seconds("queue_delay_s", queue_delay_s)?,
        }))
    }
}

/// What became of packets.
#[pyclass(module = "sfu._media", frozen, get_all)]
pub(crate) struct NetemCounters {
    pushed: u64,
    delivered: u64,
    lost: u64,
    queue_full: u64,
    duplicated: u64,
}

impl From<media_core::netem::NetemCounters> for NetemCounters {
    fn from(counters: media_core::netem::NetemCounters) -> NetemCounters {
        NetemCounters {
            pushed: counters.pushed,
            delivered: counters.delivered,
            lost: counters.lost,
            queue_full: counters.queue_full,
            duplicated: counters.duplicated,
        }
    }
}

/// One direction of a path; time is an argument.
#[pyclass(module = "sfu._media", frozen)]
pub(crate) struct Netem {
    netem: Mutex<media_core::netem::Netem<Vec<u8>>>,
    start: Instant,
}

impl Netem {
    fn lock(&self) -> std::sync::MutexGuard<'_, media_core::netem::Netem<Vec<u8>>> {
        self.netem.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at(&self, now_s: f64) -> Result<Instant, Error> {
        Ok(self.start + seconds("now_s", now_s)?)
    }
}

#[pymethods]
impl Netem {
    #[new]
    #[pyo3(signature = (config, *, seed))]
    fn new(config: &NetemConfig, seed: Int) -> Result<Netem, Error> {
        let seed = parse::integer("seed", seed, 0..=u64::MAX)?;
        Ok(Netem {
            netem: Mutex::new(media_core::netem::Netem::new(config.0, seed)),
            start: Instant::now(),
        })
    }

    /// Changes the path; what is under way keeps its time.
    fn set_config(&self, config: &NetemConfig) {
        self.lock().set_config(config.0);
    }

    /// Sends one datagram into the path.
    fn push(&self, now_s: f64, datagram: &[u8]) -> Result<(), Error> {
        let now = self.at(now_s)?;
        self.lock().push(now, datagram.to_vec());
        Ok(())
    }

    /// The next datagram that has arrived by then.
    fn pop<'py>(&self, py: Python<'py>, now_s: f64) -> Result<Option<Bound<'py, PyBytes>>, Error> {
        let now = self.at(now_s)?;
        let datagram: Option<Vec<u8>> = self.lock().pop(now);
        Ok(datagram.map(|datagram| PyBytes::new(py, &datagram)))
    }

    /// When the next datagram arrives.
    fn next_timeout(&self) -> Option<f64> {
        self.lock().next_timeout().map(|at| (at - self.start).as_secs_f64())
    }

    /// What became of the packets so far.
    #[getter]
    fn counters(&self) -> NetemCounters {
        self.lock().counters().into()
    }
}

/// Packets of one direction of a path.
#[pyclass(module = "sfu._media", frozen, get_all)]
pub(crate) struct PathReport {
    netem: Py<NetemCounters>,
    refused: u64,
    /// By RTP payload type.
    rtp: Vec<(u8, (u64, u64, u64, u64))>,
    rtcp: (u64, u64, u64, u64),
    other_udp: (u64, u64, u64, u64),
    not_udp: (u64, u64, u64, u64),
}

fn path_report(py: Python<'_>, counters: &PathCounters) -> PyResult<PathReport> {
    let class = |index: usize| {
        let c = counters.classes[index];
        (c.offered_packets, c.offered_bytes, c.delivered_packets, c.delivered_bytes)
    };
    Ok(PathReport {
        netem: Py::new(py, NetemCounters::from(counters.netem))?,
        refused: counters.refused,
        rtp: (0..=127_u8)
            .map(|number| (number, class(usize::from(number))))
            .filter(|(_, counted)| counted.0 > 0)
            .collect(),
        rtcp: class(RTCP),
        other_udp: class(OTHER_UDP),
        not_udp: class(NOT_UDP),
    })
}

/// A thread that carries packets between two descriptors.
#[pyclass(module = "sfu._media", frozen)]
pub(crate) struct NetemPath(Path);

type Change<'py> = (f64, PyRef<'py, NetemConfig>);

fn steps(name: &str, changes: &[Change<'_>]) -> Result<Steps, Error> {
    changes.iter().map(|(at, config)| Ok((seconds(name, *at)?, config.0))).collect()
}

#[pymethods]
impl NetemPath {
    #[new]
    #[pyo3(signature = (first, second, *, down, up, others, seed))]
    fn new(
        first: Int,
        second: Int,
        down: &NetemConfig,
        up: &NetemConfig,
        others: Option<PyRef<'_, NetemConfig>>,
        seed: Int,
    ) -> PyResult<NetemPath> {
        let ends = [
            parse::integer("first", first, 0..=MAX_FD)? as i32,
            parse::integer("second", second, 0..=MAX_FD)? as i32,
        ];
        let config = PathConfig {
            down: down.0,
            up: up.0,
            others: others.map(|config| config.0),
            seed: parse::integer("seed", seed, 0..=u64::MAX)?,
        };
        Ok(NetemPath(Path::start(ends, &config)?))
    }

    /// Changes the directions from now on.
    #[pyo3(signature = (*, down, up))]
    fn begin(
        &self,
        py: Python<'_>,
        down: Vec<Change<'_>>,
        up: Vec<Change<'_>>,
    ) -> Result<(), Error> {
        let (down, up) = (steps("down", &down)?, steps("up", &up)?);
        py.detach(|| self.0.begin(down, up));
        Ok(())
    }

    /// What became of the packets so far: down, up.
    fn report(&self, py: Python<'_>) -> PyResult<(PathReport, PathReport)> {
        let (down, up) = self.0.report();
        Ok((path_report(py, &down)?, path_report(py, &up)?))
    }

    /// Ends the thread. Idempotent.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}
