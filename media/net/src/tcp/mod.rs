//! ICE over TCP for networks without UDP: listeners and connections of one engine.
//!
//! Everything is one descriptor to the media thread, an epoll set, so a wait costs the same
//! however many connections there are. Spec: RFC 6544 (passive candidates), RFC 4571 (framing).

mod connection;
mod listen;
mod queue;
mod stats;

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use media_core::DropReason;
use rustix::event::{Timespec, epoll};

use crate::config::TcpConfig;
use connection::Connection;
pub(crate) use connection::Incoming;
pub(crate) use listen::open;
use listen::{Accepted, Listener};
pub use stats::{Closed, Refused, TcpStats};

/// Events taken from the kernel before UDP and timers get their turn.
const EVENTS_PER_TURN: usize = 64;

/// Connections accepted in one turn.
const ACCEPTS_PER_TURN: usize = 16;

/// Most bytes read from one connection in one turn.
const READ_BYTES: usize = 16 * 1024;

/// How long nothing is accepted after the kernel had no descriptor or memory left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Tokens below this are listeners.
const FIRST_CONNECTION: u64 = 16;

/// Names a connection; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionId(u64);

/// What the kernel reported about a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadyConnection {
    pub(crate) connection: ConnectionId,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

/// All listeners and connections of one engine.
pub(crate) struct Tcp {
    epoll: OwnedFd,
    config: TcpConfig,
    listeners: Vec<Listener>,
    connections: HashMap<ConnectionId, Connection>,
    by_address: HashMap<SocketAddr, ConnectionId>,
    next_id: u64,
    /// Lent to [`Incoming`] while its frames are handled.
    buffer: Vec<u8>,
    stats: TcpStats,
    frames: Frames,
    /// Datagrams that waited in connections that were closed, since this was asked last.
    abandoned: u64,
    /// Datagrams that waited too long, likewise.
    late: u64,
}

/// Datagrams over all connections.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Frames {
    /// The kernel has them.
    pub(crate) sent: u64,
    /// They wait for room.
    pub(crate) waiting: u64,
}

impl Tcp {
    /// Serves the listeners; without any it does nothing, ever.
    pub(crate) fn new(sockets: Vec<OwnedFd>, config: TcpConfig) -> io::Result<Tcp> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let listeners: Vec<Listener> = sockets.into_iter().map(Listener::new).collect();
        for (token, listener) in listeners.iter().enumerate() {
            let data = epoll::EventData::new_u64(token as u64);
            epoll::add(&epoll, listener, data, epoll::EventFlags::IN)?;
        }
        Ok(Tcp {
            epoll,
            config,
            listeners,
            connections: HashMap::new(),
            by_address: HashMap::new(),
            next_id: FIRST_CONNECTION,
            buffer: vec![0; READ_BYTES],
            stats: TcpStats::default(),
            frames: Frames::default(),
            abandoned: 0,
            late: 0,
        })
    }

    pub(crate) fn stats(&self) -> TcpStats {
        TcpStats { connections: self.connections.len() as u64, ..self.stats }
    }

    /// Whether nobody is connected.
    pub(crate) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    pub(crate) fn frames(&self) -> Frames {
        let waiting = self.connections.values().map(|connection| connection.waiting() as u64);
        Frames { waiting: waiting.sum(), ..self.frames }
    }

    /// How many datagrams went down with their connections since this was asked last.
    pub(crate) fn take_abandoned(&mut self) -> u64 {
        std::mem::take(&mut self.abandoned)
    }

    /// How many datagrams were dropped because they had waited too long since this was asked last.
    pub(crate) fn take_late(&mut self) -> u64 {
        std::mem::take(&mut self.late)
    }

    /// Accepts what waits and adds to `ready` which connections want attention.
    pub(crate) fn poll(&mut self, now: Instant, ready: &mut Vec<ReadyConnection>) {
        let mut events = [MaybeUninit::uninit(); EVENTS_PER_TURN];
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Interrupted or not, what is ready now will be so at the next turn.
        let Ok((events, _)) = epoll::wait(&self.epoll, &mut events, Some(&zero)) else { return };
        for event in &*events {
            let (token, flags) = (event.data.u64(), event.flags);
            if token < FIRST_CONNECTION {
                self.accept(token as usize, now);
                continue;
            }
            ready.push(ReadyConnection {
                connection: ConnectionId(token),
                // An error is told by reading.
                readable: flags.intersects(!epoll::EventFlags::OUT),
                writable: flags.contains(epoll::EventFlags::OUT),
            });
        }
    }

    fn accept(&mut self, index: usize, now: Instant) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = self.listeners.get_mut(index) else { return };
            match listener.accept() {
                Accepted::Stream(stream, remote) => {
                    if let Err(reason) = self.admit(stream, remote, now) {
                        self.stats.refused[reason as usize] += 1;
                    }
                }
                Accepted::Nothing => return,
                Accepted::Failed => {}
                Accepted::Exhausted => {
                    // The connection stays in the backlog and would wake the thread at once.
                    self.stats.refused[Refused::NoDescriptor as usize] += 1;
                    listener.paused_until = Some(now + ACCEPT_PAUSE);
                    return self.watch_listener(index, epoll::EventFlags::empty());
                }
            }
        }
    }

    fn watch_listener(&self, index: usize, flags: epoll::EventFlags) {
        let Some(listener) = self.listeners.get(index) else { return };
        let data = epoll::EventData::new_u64(index as u64);
        // The listener is in the set for as long as it is open.
        let _ = epoll::modify(&self.epoll, listener, data, flags);
    }

    fn admit(&mut self, stream: OwnedFd, remote: SocketAddr, now: Instant) -> Result<(), Refused> {
        // The kernel allows one connection of an address and port to each of ours: the newer is
        // the one in use.
        if let Some(older) = self.by_address.get(&remote).copied() {
            self.close(older, Closed::Replaced);
        }
        let network = network(remote.ip());
        let of_network =
            |connection: &&Connection| self::network(connection.remote.ip()) == network;
        let same = self.connections.values().filter(of_network).count();
        if same >= self.config.max_connections_per_address {
            self.make_room(Some(network)).ok_or(Refused::AddressLimit)?;
        } else if self.connections.len() >= self.config.max_connections {
            self.make_room(None).ok_or(Refused::TotalLimit)?;
        }
        let connection = Connection::new(stream, remote, now).map_err(|_| Refused::Broken)?;
        let id = ConnectionId(self.next_id);
        let data = epoll::EventData::new_u64(id.0);
        epoll::add(&self.epoll, &connection, data, epoll::EventFlags::IN)
            .map_err(|_| Refused::Broken)?;
        self.next_id += 1;
        self.by_address.insert(remote, id);
        self.connections.insert(id, connection);
        self.stats.accepted += 1;
        Ok(())
    }

    /// Closes the connection that has been without an authentic check for longest.
    fn make_room(&mut self, network: Option<IpAddr>) -> Option<()> {
        let oldest = self
            .connections
            .iter()
            .filter(|(_, connection)| !connection.is_known)
            .filter(|(_, connection)| {
                network.is_none_or(|wanted| self::network(connection.remote.ip()) == wanted)
            })
            .min_by_key(|(_, connection)| connection.opened)
            .map(|(id, _)| *id)?;
        self.close(oldest, Closed::MadeRoom);
        Some(())
    }

    /// Reads what one connection holds, up to the share of one turn.
    ///
    /// # Errors
    ///
    /// The connection is at its end and must be closed.
    pub(crate) fn read(&mut self, id: ConnectionId) -> Result<Option<Incoming>, Closed> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(None) };
        connection.read(&mut self.buffer)
    }

    /// Takes back what [`Tcp::read`] lent.
    pub(crate) fn put_back(&mut self, id: ConnectionId, incoming: Incoming) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.deframer = incoming.deframer;
        }
        self.buffer = incoming.buffer;
    }

    /// Sends what waited for room in the kernel.
    pub(crate) fn flush(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            self.frames.sent += connection.flush() as u64;
            self.late += connection.take_late();
            self.watch(id);
        }
    }

    /// Sends one datagram without waiting.
    pub(crate) fn send(&mut self, remote: SocketAddr, datagram: &[u8]) -> Result<(), DropReason> {
        let id = *self.by_address.get(&remote).ok_or(DropReason::SendFailed)?;
        let connection = self.connections.get_mut(&id).ok_or(DropReason::SendFailed)?;
        let result = connection.send(datagram);
        self.frames.sent += u64::from(result == Ok(true));
        self.late += connection.take_late();
        self.watch(id);
        result.map(drop)
    }

    /// Asks to be told of room in the kernel while something waits for it.
    fn watch(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.has_waiting() == connection.is_watched {
            return;
        }
        connection.is_watched = connection.has_waiting();
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, connection.is_watched);
        // The connection is in the set for as long as it is open.
        let _ = epoll::modify(&self.epoll, &*connection, epoll::EventData::new_u64(id.0), flags);
    }

    /// Says whether the plane knows the connection's address, and whether it has to close: its
    /// time to send an authentic check is over, or the transport it belonged to has ended.
    pub(crate) fn judge(&mut self, id: ConnectionId, is_known: bool, now: Instant) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else { return false };
        let was_known = std::mem::replace(&mut connection.is_known, is_known);
        let is_late = now >= connection.opened + self.config.authenticate_within;
        !is_known && (was_known || is_late)
    }

    /// Closes a connection; returns its remote address, if there was one.
    pub(crate) fn close(&mut self, id: ConnectionId, reason: Closed) -> Option<SocketAddr> {
        let connection = self.connections.remove(&id)?;
        if self.by_address.get(&connection.remote) == Some(&id) {
            self.by_address.remove(&connection.remote);
        }
        self.stats.closed[reason as usize] += 1;
        self.abandoned += connection.waiting() as u64;
        Some(connection.remote)
    }

    /// All connections and their remote addresses.
    pub(crate) fn all(&self) -> Vec<(ConnectionId, SocketAddr)> {
        self.connections.iter().map(|(id, connection)| (*id, connection.remote)).collect()
    }

    /// Accepts again what had to wait.
    pub(crate) fn resume(&mut self, now: Instant) {
        for index in 0..self.listeners.len() {
            let paused_until = self.listeners[index].paused_until;
            if paused_until.is_some_and(|at| at <= now) {
                self.listeners[index].paused_until = None;
                self.watch_listener(index, epoll::EventFlags::IN);
            }
        }
    }
}

/// Readable while there is something to do.
impl AsFd for Tcp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// What counts as one source: an IPv4 address, or the 64 bits an IPv6 network shares.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_is_an_ipv4_address_or_an_ipv6_network() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("192.0.2.7"), of("::ffff:192.0.2.7"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
