//! The control side's face of an engine.

use std::any::Any;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use media_capture::{LocalDisk, Recorder, RecorderConfig, RecorderError, TrackSpec};
use media_core::{Certificate, Command, Plane, PlaneConfig};

use crate::bind::{self, Bound, SocketBuffers};
use crate::config::EngineConfig;
use crate::endpoint::{Endpoint, Merging};
use crate::error::{CloseTimeout, CommandError, EngineError};
use crate::schedule::{self, Scheduling};
use crate::shared::{EngineEvent, EngineSnapshot, Shared};
use crate::tap::{self, TapWriter};
use crate::tcp::Tcp;
use crate::worker::Worker;

/// How long [`Engine::close`] waits for the media thread: it says goodbye within milliseconds, but
/// has to be given a processor for that.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(15);

/// A running engine. All methods may be called from any thread; dropping it closes it.
pub struct Engine {
    shared: Arc<Shared>,
    thread: Mutex<Option<Running>>,
    local_addresses: Vec<SocketAddr>,
    tcp_port: Option<u16>,
    buffers: SocketBuffers,
    recorder: Option<Recorder>,
    tap: Mutex<TapWriter>,
}

/// The media thread and the news of its end.
struct Running {
    thread: JoinHandle<()>,
    /// Disconnects when the thread is done.
    ended: Receiver<()>,
}

impl Engine {
    /// Binds the sockets and starts the media thread.
    pub fn start(
        config: EngineConfig,
        certificate: Arc<Certificate>,
    ) -> Result<Engine, EngineError> {
        config.validate()?;
        let Bound { udp: sockets, tcp, tcp_port } =
            bind::bind(&config.listen, config.tcp.as_ref())?;
        let buffers = bind::granted_buffers(&sockets);
        let local_addresses = local_addresses(&sockets)?;
        let endpoints = endpoints(sockets)?;
        let tcp = Tcp::new(tcp, config.tcp.unwrap_or_default())
            .map_err(|source| EngineError::Resource { what: "epoll", source })?;
        let shared = Shared::new(config.event_queue)
            .map(Arc::new)
            .map_err(|source| EngineError::Resource { what: "eventfd", source })?;
        let (recorder, intake) = match config.recorder {
            Some(config) => start_recorder(config, &shared).map(|(r, i)| (Some(r), Some(i)))?,
            None => (None, None),
        };
        let (tap, tap_intake) = tap::start(&tap_name(&config.name))
            .map_err(|source| EngineError::Resource { what: "the tap's thread", source })?;
        // There is one, made here.
        let _ = shared.tap.set(tap.control());
        let (end, ended) = mpsc::channel::<()>();
        let for_thread = Arc::clone(&shared);
        let realtime = config.realtime;
        let plane_config = PlaneConfig { seed: random_seed(), ..config.plane };
        let thread = thread::Builder::new()
            .name(config.name)
            .spawn(move || {
                let _end = end;
                supervise(&Arc::clone(&for_thread), move || {
                    let (now, wall) = (Instant::now(), SystemTime::now());
                    let mut plane = Plane::new(plane_config, certificate, now, wall);
                    plane.set_tap(Box::new(tap_intake));
                    if let Some(intake) = intake {
                        plane.set_capture(Box::new(intake));
                    }
                    let _ = for_thread.scheduling.set(schedule::come_first(realtime));
                    Worker::new(plane, endpoints, tcp, for_thread).run();
                });
            })
            .map_err(|source| EngineError::Resource { what: "the media thread", source })?;
        Ok(Engine {
            shared,
            thread: Mutex::new(Some(Running { thread, ended })),
            local_addresses,
            tcp_port,
            buffers,
            recorder,
            tap: Mutex::new(tap),
        })
    }

    /// The bound addresses, one per family, all with one port.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.local_addresses
    }

    /// The UDP port.
    pub fn port(&self) -> u16 {
        self.local_addresses[0].port()
    }

    /// The port of ICE over TCP, where that is offered.
    pub fn tcp_port(&self) -> Option<u16> {
        self.tcp_port
    }

    /// What the kernel granted of the buffers asked for.
    pub fn socket_buffers(&self) -> SocketBuffers {
        self.buffers
    }

    /// What the kernel granted the media thread; `None` until it has asked.
    pub fn scheduling(&self) -> Option<Scheduling> {
        self.shared.scheduling.get().copied()
    }

    /// Hands a command to the media thread; what becomes of it is reported by events.
    pub fn command(&self, command: Command) -> Result<(), CommandError> {
        self.shared.submit(command)
    }

    /// Announces a track to the recorder: do so before [`Command::SetCapture`] names it.
    pub fn open_capture(&self, track: TrackSpec) -> Result<(), CommandError> {
        let recorder = self.shared.recorder.get().ok_or(CommandError::NoRecorder)?;
        recorder.open(track).map_err(|error| match error {
            RecorderError::Busy => CommandError::Busy,
            _ => CommandError::Closed,
        })
    }

    /// Where tapped packets go from now on: a connected `SOCK_SEQPACKET` socket, of which a copy is
    /// made. `None`: nowhere.
    ///
    /// # Errors
    ///
    /// The number is none of an open file.
    pub fn set_tap_reader(&self, socket: Option<RawFd>) -> std::io::Result<()> {
        let socket = socket.map(tap::duplicate).transpose()?;
        self.tap.lock().unwrap_or_else(PoisonError::into_inner).control().set_reader(socket);
        Ok(())
    }

    /// Takes all events queued so far. Works after [`Engine::close`], too.
    pub fn drain_events(&self) -> Vec<EngineEvent> {
        self.shared.drain()
    }

    /// The latest snapshot. Never waits for the media thread.
    pub fn snapshot(&self) -> EngineSnapshot {
        self.shared.snapshot()
    }

    /// Whether the engine was closed or its thread died.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Executes the commands accepted so far, closes all transports (DTLS `close_notify`), ends
    /// the thread and frees the port. Blocks for at most [`CLOSE_TIMEOUT`], and where the disk is
    /// slow to take what was recorded as long as [`Recorder::join`] says; idempotent.
    pub fn close(&self) -> Result<(), CloseTimeout> {
        self.shared.request_close();
        let mut slot = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = slot.take() else { return Ok(()) };
        match running.ended.recv_timeout(CLOSE_TIMEOUT) {
            Err(RecvTimeoutError::Timeout) => {
                *slot = Some(running);
                Err(CloseTimeout::Media)
            }
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                // Panics were caught and reported inside the thread.
                let _ = running.thread.join();
                self.tap.lock().unwrap_or_else(PoisonError::into_inner).join();
                self.recorder
                    .as_ref()
                    .map_or(Ok(()), Recorder::join)
                    .map_err(CloseTimeout::Recorder)
            }
        }
    }
}

/// Readable while there are events: watch it and call [`Engine::drain_events`] then.
impl AsFd for Engine {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.event_wake.as_fd()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A thread that doesn't end keeps its share of the state alive: nothing dangles.
        let _ = self.close();
    }
}

/// Starts the recorder and says where the events of it are found.
fn start_recorder(
    config: RecorderConfig,
    shared: &Arc<Shared>,
) -> Result<(Recorder, media_capture::Intake), EngineError> {
    let directory = config.directory.clone();
    let refuse = |source| EngineError::Recorder { directory: directory.clone(), source };
    let disk = LocalDisk::new(directory.clone()).map_err(|e| refuse(RecorderError::Io(e)))?;
    let for_notify = Arc::clone(shared);
    let notify = Arc::new(move || for_notify.event_wake.raise());
    let (recorder, intake) = Recorder::start(config, Arc::new(disk), notify).map_err(refuse)?;
    // There is one recorder, made here.
    let _ = shared.recorder.set(recorder.control());
    Ok((recorder, intake))
}

/// Of the thread that writes what is tapped; names have at most
/// [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES).
fn tap_name(engine: &str) -> String {
    let room = crate::MAX_NAME_BYTES - "-tap".len();
    let end = (0..=room.min(engine.len())).rev().find(|end| engine.is_char_boundary(*end));
    format!("{}-tap", &engine[..end.unwrap_or(0)])
}

/// Runs the thread's work and reports its panic as the engine's last event.
fn supervise(shared: &Shared, work: impl FnOnce()) {
    // Nothing of `work` is used after a panic; `Shared` holds no broken state (see its queues).
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        shared.fail(panic_text(&*panic));
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned())
}

fn local_addresses(sockets: &[UdpSocket]) -> Result<Vec<SocketAddr>, EngineError> {
    sockets
        .iter()
        .map(UdpSocket::local_addr)
        .collect::<Result<_, _>>()
        .map_err(|source| EngineError::Resource { what: "a UDP socket", source })
}

fn endpoints(sockets: Vec<UdpSocket>) -> Result<Vec<Endpoint>, EngineError> {
    sockets
        .into_iter()
        .map(|socket| Endpoint::new(socket, Merging::On))
        .collect::<Result<_, _>>()
        .map_err(|source| EngineError::Resource { what: "a UDP socket", source })
}

/// Differs between engines and runs. Not for keys.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_of_the_thread_is_the_last_event() {
        for (panic, message) in [
            (Box::new("text") as Box<dyn Any + Send>, "text"),
            (Box::new("owned".to_owned()), "owned"),
            (Box::new(7), "panic without a message"),
        ] {
            let shared = Shared::new(16).unwrap();
            supervise(&shared, || std::panic::resume_unwind(panic));
            assert!(shared.is_closed());
            assert_eq!(shared.drain(), [EngineEvent::Failed { message: message.into() }]);
        }
    }

    #[test]
    fn orderly_end_reports_nothing() {
        let shared = Shared::new(16).unwrap();
        supervise(&shared, || ());
        assert!(shared.drain().is_empty());
    }
}
