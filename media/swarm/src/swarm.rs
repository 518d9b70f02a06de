//! The control side of the load generator.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dimpl::DtlsCertificate;
use media_core::api::{ExtensionId, IceCredentials};
use media_core::ext::ExtensionMap;
use media_net::{Endpoint, Merging};
use socket2::{Domain, Protocol, Socket, Type};

use crate::association::{Association, AssociationConfig, AssociationError};
use crate::histogram::DelayHistogram;
use crate::stream::{StreamConfig, Traffic};
use crate::worker::{Change, Command, Worker};

/// First address of participants that moved; the others follow.
const FIRST_MOVED: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 1);
/// Moves of one swarm.
const MAX_MOVES: u32 = 1 << 20;
/// First address of the participants; the others follow.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);
/// Most participants of one swarm.
const MAX_PARTICIPANTS: u32 = 60_000;
/// Receive buffer of each socket, in bytes.
const RECEIVE_BUFFER: usize = 64 << 20;
/// How long a report may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can go wrong on the control side.
#[derive(Debug)]
pub enum SwarmError {
    /// The kernel refuses sockets, thread or CPU.
    Io(io::Error),
    /// A parameter is out of range; the text says which.
    Parameter(String),
    /// Handshakes can't be prepared.
    Association(AssociationError),
    /// The thread ended.
    Ended,
}

impl fmt::Display for SwarmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SwarmError::Io(error) => write!(f, "{error}"),
            SwarmError::Parameter(text) => f.write_str(text),
            SwarmError::Association(error) => write!(f, "{error}"),
            SwarmError::Ended => f.write_str("the swarm's thread has ended"),
        }
    }
}

impl std::error::Error for SwarmError {}

impl From<io::Error> for SwarmError {
    fn from(error: io::Error) -> SwarmError {
        SwarmError::Io(error)
    }
}

/// Settings of a [`Swarm`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwarmConfig {
    /// Sockets the participants are spread over, 1 to 64.
    pub sockets: usize,
    /// CPU its thread is bound to.
    pub cpu: Option<usize>,
    /// One packet of so many is decrypted, for its delay. Zero: none.
    pub sample: u32,
}

/// What a description says of the local side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// ICE.
    pub ice: IceCredentials,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
}

/// What the server's answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The server's candidate; loopback, IPv4.
    pub address: SocketAddr,
    /// ICE.
    pub ice: IceCredentials,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// Header extensions as negotiated.
    pub extensions: Vec<ExtensionId>,
}

/// Totals since the swarm started, but for the delays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Participants with keys.
    pub connected: u32,
    /// Participants whose handshake failed, and the first reason.
    pub failed: u32,
    /// The first reason.
    pub failure: Option<String>,
    /// Media packets sent.
    pub packets_sent: u64,
    /// Datagrams the kernel did not take.
    pub send_failures: u64,
    /// Media packets that arrived.
    pub packets_received: u64,
    /// Bytes of them, as UDP payload.
    pub bytes_received: u64,
    /// Packets missing in the numbers of the streams that arrive.
    pub packets_lost: u64,
    /// SSRCs that arrive.
    pub streams_received: u64,
    /// Keyframe requests that arrived.
    pub keyframe_requests: u64,
    /// Packets asked for again.
    pub nacks: u64,
    /// From before sending to arrival of the forwarded packet in the kernel, of sampled packets
    /// since the last report.
    pub delays: DelayHistogram,
}

/// One participant as it is now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    /// It has keys.
    pub is_connected: bool,
    /// Why its handshake failed.
    pub failure: Option<String>,
    /// SSRC, packets that arrived, and the time since the last one.
    pub streams: Vec<(u32, u64, Duration)>,
}

/// Many participants on one thread. All methods may be called from any thread; dropping it ends
/// the thread.
pub struct Swarm {
    commands: Mutex<Sender<Command>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    is_over: Arc<AtomicBool>,
    ports: Vec<u16>,
    certificate: DtlsCertificate,
    dtls: Arc<dimpl::Config>,
    participants: AtomicU32,
    moves: AtomicU32,
}

impl Swarm {
    /// Opens the sockets and starts the thread.
    ///
    /// # Errors
    ///
    /// [`SwarmError::Parameter`] or [`SwarmError::Io`].
    pub fn start(config: &SwarmConfig) -> Result<Swarm, SwarmError> {
        if !(1..=64).contains(&config.sockets) {
            return Err(SwarmError::Parameter("sockets: must be 1 to 64".into()));
        }
        let certificate = dimpl::certificate::generate_self_signed_certificate()
            .map_err(|error| AssociationError::Dtls(error.to_string()))
            .map_err(SwarmError::Association)?;
        let dtls = AssociationConfig::dtls_settings().map_err(SwarmError::Association)?;
        let sockets: Vec<UdpSocket> =
            (0..config.sockets).map(|_| open()).collect::<Result<_, _>>()?;
        let ports = sockets
            .iter()
            .map(|socket| Ok(socket.local_addr()?.port()))
            .collect::<io::Result<_>>()?;
        let endpoints = sockets
            .into_iter()
            .map(|socket| Endpoint::new(socket, Merging::Off))
            .collect::<io::Result<Vec<_>>>()?;
        let (sender, receiver) = mpsc::channel();
        let (started, outcome) = mpsc::channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let (cpu, sample, over) = (config.cpu, config.sample, Arc::clone(&is_over));
        let thread = thread::Builder::new().name("swarm".into()).spawn(move || {
            let pinned = cpu.map_or(Ok(()), crate::worker::pin_to);
            let is_fine = pinned.is_ok();
            let _ = started.send(pinned);
            if is_fine {
                Worker::new(endpoints, receiver, over, sample).run();
            }
        })?;
        outcome.recv().map_err(|_| SwarmError::Ended)??;
        Ok(Swarm {
            commands: Mutex::new(sender),
            thread: Mutex::new(Some(thread)),
            is_over,
            ports,
            certificate,
            dtls,
            participants: AtomicU32::new(0),
            moves: AtomicU32::new(0),
        })
    }

    /// SHA-256 of the certificate all participants share.
    pub fn fingerprint(&self) -> [u8; 32] {
        Association::fingerprint(&self.certificate)
    }

    /// Where the participants are reached, for a measurement that only sends.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let count = self.participants.load(Ordering::Relaxed).max(self.ports.len() as u32);
        (0..count).map(|index| self.address(index)).collect()
    }

    fn address(&self, index: u32) -> SocketAddr {
        let ip = Ipv4Addr::from_bits(FIRST_ADDRESS.to_bits() + index);
        SocketAddr::new(IpAddr::V4(ip), self.ports[index as usize % self.ports.len()])
    }

    /// Adds a participant, which connects at once; returns its number, counted from 0.
    ///
    /// # Errors
    ///
    /// [`SwarmError::Parameter`] or [`SwarmError::Ended`].
    pub fn connect(
        &self,
        local: IceCredentials,
        remote: Remote,
        streams: Vec<StreamConfig>,
    ) -> Result<u32, SwarmError> {
        if !remote.address.ip().is_loopback() || !remote.address.is_ipv4() {
            return Err(SwarmError::Parameter(format!(
                "{}: the swarm's addresses are on the IPv4 loopback network only",
                remote.address
            )));
        }
        let extensions = ExtensionMap::new(&remote.extensions)
            .map_err(|error| SwarmError::Parameter(format!("extensions: {error}")))?;
        // Held until the command is sent: the thread numbers participants as they come.
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        let index = self.participants.load(Ordering::Relaxed);
        if index >= MAX_PARTICIPANTS {
            return Err(SwarmError::Parameter(format!(
                "more than {MAX_PARTICIPANTS} participants"
            )));
        }
        let association = AssociationConfig {
            local_ice: local,
            remote_ice: remote.ice,
            fingerprint: remote.fingerprint,
            certificate: self.certificate.clone(),
            dtls: Arc::clone(&self.dtls),
        };
        let address = self.address(index).ip();
        let server = remote.address;
        let command = Command::Connect {
            index,
            address,
            server,
            association: Box::new(association),
            extensions: Box::new(extensions),
            streams,
        };
        commands.send(command).map_err(|_| SwarmError::Ended)?;
        self.participants.store(index + 1, Ordering::Relaxed);
        Ok(index)
    }

    /// Changes what is sent: the first `participants` send `audio` and `video`, the others are
    /// silent. With `busy` the thread never sleeps, so that a sender need not wake it.
    ///
    /// # Errors
    ///
    /// [`SwarmError::Ended`].
    pub fn load(
        &self,
        participants: u32,
        audio: Traffic,
        video: Traffic,
        busy: bool,
    ) -> Result<(), SwarmError> {
        self.send(Command::Load { participants, traffic: [audio, video], busy })
    }

    /// Gives a participant another address, as a change of network does; it checks the new path
    /// at once.
    ///
    /// # Errors
    ///
    /// [`SwarmError::Parameter`] or [`SwarmError::Ended`].
    pub fn relocate(&self, participant: u32) -> Result<(), SwarmError> {
        let number = self.moves.fetch_add(1, Ordering::Relaxed);
        if number >= MAX_MOVES {
            return Err(SwarmError::Parameter(format!("more than {MAX_MOVES} moves")));
        }
        let address = Ipv4Addr::from_bits(FIRST_MOVED.to_bits() + number);
        self.change(participant, Change::Address(IpAddr::V4(address)))
    }

    /// Has a share of a participant's datagrams lost from now on, each way; 1 is an outage.
    ///
    /// # Errors
    ///
    /// [`SwarmError::Parameter`] or [`SwarmError::Ended`].
    pub fn impair(&self, participant: u32, loss: f64) -> Result<(), SwarmError> {
        if !(0.0..=1.0).contains(&loss) {
            return Err(SwarmError::Parameter("loss: must be 0 to 1".into()));
        }
        self.change(participant, Change::Loss(loss))
    }

    /// A participant sends one more stream.
    ///
    /// # Errors
    ///
    /// [`SwarmError::Parameter`] or [`SwarmError::Ended`].
    pub fn publish(&self, participant: u32, stream: StreamConfig) -> Result<(), SwarmError> {
        self.change(participant, Change::Publish(stream))
    }

    /// A participant's stream falls silent, or goes on.
    ///
    /// # Errors
    ///
    /// [`SwarmError::Parameter`] or [`SwarmError::Ended`].
    pub fn silence(&self, participant: u32, ssrc: u32, silent: bool) -> Result<(), SwarmError> {
        self.change(participant, Change::Silence { ssrc, silent })
    }

    /// A participant is gone without a word, for good.
    ///
    /// # Errors
    ///
    /// [`SwarmError::Parameter`] or [`SwarmError::Ended`].
    pub fn disconnect(&self, participant: u32) -> Result<(), SwarmError> {
        self.change(participant, Change::End)
    }

    fn change(&self, index: u32, change: Change) -> Result<(), SwarmError> {
        if index >= self.participants.load(Ordering::Relaxed) {
            return Err(SwarmError::Parameter(format!("there is no participant {index}")));
        }
        self.send(Command::Change { index, change })
    }

    /// All participants as they are now, in the order of their numbers; those that ended have
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`SwarmError::Ended`].
    pub fn statuses(&self) -> Result<Vec<Status>, SwarmError> {
        let (sender, statuses) = mpsc::channel();
        self.send(Command::Statuses(sender))?;
        statuses.recv_timeout(PATIENCE).map_err(|_| SwarmError::Ended)
    }

    /// Totals up to now; the delays start anew.
    ///
    /// # Errors
    ///
    /// [`SwarmError::Ended`].
    pub fn report(&self) -> Result<Report, SwarmError> {
        let (sender, report): (_, Receiver<Report>) = mpsc::channel();
        self.send(Command::Report(sender))?;
        report.recv_timeout(PATIENCE).map_err(|_| SwarmError::Ended)
    }

    /// Ends the thread. Idempotent.
    pub fn close(&self) {
        self.is_over.store(true, Ordering::Release);
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            let _ = thread.join();
        }
    }

    fn send(&self, command: Command) -> Result<(), SwarmError> {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.send(command).map_err(|_| SwarmError::Ended)
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        self.close();
    }
}

/// A socket for all addresses of the loopback network, with a large receive buffer.
fn open() -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(&SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0).into())?;
    let socket: UdpSocket = socket.into();
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER);
    }
    Ok(socket)
}
