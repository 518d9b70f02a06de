//! Opening the sockets of an engine.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;

use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::TcpConfig;
use crate::error::EngineError;
use crate::tcp;

/// Receive buffer asked of the kernel, in bytes: about 60 ms of a full gigabit.
pub const RECEIVE_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Send buffer asked of the kernel, in bytes: what is queued longer is worth dropping.
pub const SEND_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Ports tried until one is free in both families.
const PORT_ATTEMPTS: usize = 32;

/// What the kernel granted, in bytes of its own accounting; the least of all sockets.
///
/// Without `CAP_NET_ADMIN` it is capped by `net.core.rmem_max` and `net.core.wmem_max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketBuffers {
    /// Receive buffer.
    pub receive: usize,
    /// Send buffer.
    pub send: usize,
}

/// Sockets of one engine.
pub(crate) struct Bound {
    pub(crate) udp: Vec<UdpSocket>,
    /// Listening; none where TCP is not offered.
    pub(crate) tcp: Vec<OwnedFd>,
    pub(crate) tcp_port: Option<u16>,
}

/// Binds every address, all to one port; TCP to the same or its own.
pub(crate) fn bind(listen: &[SocketAddr], tcp: Option<&TcpConfig>) -> Result<Bound, EngineError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match bind_once(listen, tcp) {
            // The port the kernel chose for one socket is taken for another.
            Err(EngineError::Bind { source, .. } | EngineError::BindTcp { source, .. })
                if source.kind() == io::ErrorKind::AddrInUse
                    && listen.iter().all(|address| address.port() == 0)
                    && attempts < PORT_ATTEMPTS => {}
            outcome => return outcome,
        }
    }
}

fn bind_once(listen: &[SocketAddr], tcp: Option<&TcpConfig>) -> Result<Bound, EngineError> {
    let mut port = 0;
    let mut sockets = Vec::with_capacity(listen.len());
    for address in listen {
        let mut wanted = *address;
        if wanted.port() == 0 {
            wanted.set_port(port);
        }
        let refused = |source| EngineError::Bind { address: wanted, source };
        let socket = open(wanted).map_err(refused)?;
        port = socket.local_addr().map_err(refused)?.port();
        sockets.push(socket);
    }
    let tcp_port = tcp.map(|tcp| tcp.port.map_or(port, NonZeroU16::get));
    let listener = |address: &SocketAddr, port| {
        let address = SocketAddr::new(address.ip(), port);
        tcp::open(address).map_err(|source| EngineError::BindTcp { address, source })
    };
    let tcp = match tcp_port {
        Some(port) => listen.iter().map(|a| listener(a, port)).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    Ok(Bound { udp: sockets, tcp, tcp_port })
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    let socket: UdpSocket = socket.into();
    enlarge_buffers(&socket);
    Ok(socket)
}

/// Asks for large buffers; a refusal leaves the kernel's default, see [`granted_buffers`].
fn enlarge_buffers(socket: &UdpSocket) {
    if sockopt::set_socket_recv_buffer_size_force(socket, RECEIVE_BUFFER_BYTES).is_err() {
        let _ = sockopt::set_socket_recv_buffer_size(socket, RECEIVE_BUFFER_BYTES);
    }
    if sockopt::set_socket_send_buffer_size_force(socket, SEND_BUFFER_BYTES).is_err() {
        let _ = sockopt::set_socket_send_buffer_size(socket, SEND_BUFFER_BYTES);
    }
}

/// The buffers the kernel granted, the least of all sockets.
pub(crate) fn granted_buffers(sockets: &[UdpSocket]) -> SocketBuffers {
    let least = |size: fn(&UdpSocket) -> rustix::io::Result<usize>| {
        sockets.iter().map(|socket| size(socket).unwrap_or(0)).min().unwrap_or(0)
    };
    SocketBuffers {
        receive: least(|socket| sockopt::socket_recv_buffer_size(socket)),
        send: least(|socket| sockopt::socket_send_buffer_size(socket)),
    }
}
