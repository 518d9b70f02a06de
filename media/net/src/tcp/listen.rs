//! Listening sockets and the options of their connections.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel keeps until they are accepted.
const BACKLOG: i32 = 256;

/// Unsent bytes in the kernel from which a connection takes no more: what is queued there can't
/// be dropped any more, and makes everything behind it late.
const UNSENT_BYTES: libc::c_int = 16 * 1024;

/// Time without an acknowledgement after which a connection has ended, in milliseconds.
const USER_TIMEOUT_MS: libc::c_int = 10_000;

/// One listening socket.
pub(super) struct Listener {
    socket: OwnedFd,
    /// Nothing is accepted until then.
    pub(super) paused_until: Option<Instant>,
}

/// What accepting led to.
pub(super) enum Accepted {
    /// A connection, not blocking.
    Stream(OwnedFd, SocketAddr),
    /// None waits.
    Nothing,
    /// This one was broken; another may wait.
    Failed,
    /// No descriptor or memory is left for it; it goes on waiting.
    Exhausted,
}

impl Listener {
    pub(super) fn new(socket: OwnedFd) -> Listener {
        Listener { socket, paused_until: None }
    }

    pub(super) fn accept(&self) -> Accepted {
        match acceptfrom_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok((stream, remote)) => match remote.map(SocketAddr::try_from) {
                Some(Ok(remote)) => Accepted::Stream(stream, remote),
                _ => Accepted::Failed,
            },
            Err(Errno::AGAIN) => Accepted::Nothing,
            // Errors of the connection itself are reported here, too (accept(2)).
            Err(
                Errno::INTR
                | Errno::CONNABORTED
                | Errno::PERM
                | Errno::PROTO
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::TIMEDOUT,
            ) => Accepted::Failed,
            // No descriptor, no memory, or something that would happen again at once.
            Err(_) => Accepted::Exhausted,
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Listens on an address, also if connections of a process before linger there.
pub(crate) fn open(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Sets what makes a stream fit for media, as far as the kernel knows it.
pub(super) fn tune(stream: &OwnedFd) {
    for (option, value) in [
        (libc::TCP_NODELAY, 1),
        (libc::TCP_NOTSENT_LOWAT, UNSENT_BYTES),
        (libc::TCP_USER_TIMEOUT, USER_TIMEOUT_MS),
        // A call of audio has few packets in flight: it must not wait for three duplicates, nor
        // ever longer between retransmissions.
        (libc::TCP_THIN_LINEAR_TIMEOUTS, 1),
        (libc::TCP_THIN_DUPACK, 1),
    ] {
        // SAFETY: the descriptor is open for the whole call, and the kernel reads exactly the
        // given size from `value`, which outlives the call.
        unsafe {
            libc::setsockopt(
                stream.as_raw_fd(),
                libc::IPPROTO_TCP,
                option,
                (&raw const value).cast(),
                size_of_val(&value) as libc::socklen_t,
            );
        }
    }
}
