//! One UDP socket: batched receive with local addresses, send with a chosen source.

use std::array;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use media_core::DropReason;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};

/// Room for one datagram, in bytes. Nothing we negotiate is longer; longer ones are cut off by
/// the kernel and discarded.
const SLOT_BYTES: usize = 2_048;

/// One bound socket.
pub struct Endpoint {
    socket: UdpSocket,
    state: UdpSocketState,
    is_ipv4: bool,
}

impl Endpoint {
    /// Prepares a bound socket for batches, local addresses and arrival times.
    ///
    /// # Errors
    ///
    /// The kernel refuses an option that is needed.
    pub fn new(socket: UdpSocket) -> io::Result<Endpoint> {
        let state = UdpSocketState::new((&socket).into())?;
        disable_gro(&socket)?;
        let is_ipv4 = socket.local_addr()?.is_ipv4();
        Ok(Endpoint { socket, state, is_ipv4 })
    }

    /// Hands messages to the kernel without waiting; returns how many it took. The error is that
    /// of the first message.
    pub(crate) fn send_messages(&self, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
        // SAFETY: the caller filled the headers with pointers into memory it keeps for the call,
        // and the kernel writes nothing but their `msg_len`.
        let taken = unsafe {
            libc::sendmmsg(
                self.socket.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as _,
                libc::MSG_DONTWAIT,
            )
        };
        usize::try_from(taken).map_err(|_| io::Error::last_os_error())
    }

    /// The family it can send to.
    pub(crate) fn is_ipv4(&self) -> bool {
        self.is_ipv4
    }
}

impl AsFd for Endpoint {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Why the kernel did not take a datagram.
pub(crate) fn drop_reason(error: &io::Error) -> DropReason {
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::ENOBUFS) => DropReason::SendBufferFull,
        Some(libc::EMSGSIZE) => DropReason::TooLarge,
        _ => DropReason::SendFailed,
    }
}

/// Turns off receive offload, which [`UdpSocketState::new`] turns on.
///
/// With it the kernel may hand over up to 64 KiB of one sender's datagrams in one buffer: every
/// slot would need that much, and arrival times would be lost.
fn disable_gro(socket: &UdpSocket) -> io::Result<()> {
    let off: libc::c_int = 0;
    // SAFETY: the descriptor is open for the whole call, and the kernel reads exactly the given
    // size from `off`, which outlives the call.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_GRO,
            (&raw const off).cast(),
            size_of_val(&off) as libc::socklen_t,
        )
    };
    match io::Error::last_os_error() {
        // A kernel without the option doesn't merge either.
        error if outcome < 0 && error.raw_os_error() != Some(libc::ENOPROTOOPT) => Err(error),
        _ => Ok(()),
    }
}

/// Memory for one batch of received datagrams.
pub struct Batch {
    bytes: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
}

/// One received datagram.
pub struct Datagram<'a> {
    /// Where it came from.
    pub remote: SocketAddr,
    /// The address it was sent to.
    pub local: Option<IpAddr>,
    /// Arrival in the kernel since the Unix epoch.
    pub arrived: Option<Duration>,
    /// Empty if it was longer than a slot.
    pub bytes: &'a mut [u8],
}

impl Default for Batch {
    fn default() -> Self {
        Batch::new()
    }
}

impl Batch {
    /// Datagrams a batch holds.
    pub const SIZE: usize = BATCH_SIZE;

    /// Takes the memory.
    pub fn new() -> Batch {
        Batch {
            bytes: vec![0; SLOT_BYTES * BATCH_SIZE],
            meta: array::from_fn(|_| RecvMeta::default()),
        }
    }

    /// Receives what is waiting, at most [`Batch::SIZE`] datagrams; returns how many.
    pub fn receive(&mut self, endpoint: &Endpoint) -> usize {
        let mut slots = self.bytes.chunks_exact_mut(SLOT_BYTES);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            array::from_fn(|_| IoSliceMut::new(slots.next().expect("one slot per entry")));
        // An error is either "nothing there" or one the next call doesn't repeat.
        endpoint.state.recv((&endpoint.socket).into(), &mut slices, &mut self.meta).unwrap_or(0)
    }

    /// The datagram at `index`, below what [`Batch::receive`] returned.
    pub fn datagram(&mut self, index: usize) -> Datagram<'_> {
        let meta = &self.meta[index];
        let start = index * SLOT_BYTES;
        // A datagram that fills its slot was probably cut off.
        let length = if meta.len < SLOT_BYTES { meta.len } else { 0 };
        Datagram {
            remote: meta.addr,
            local: meta.dst_ip,
            arrived: meta.timestamp,
            bytes: &mut self.bytes[start..start + length],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn send_errors_map_to_drop_reasons() {
        for (code, reason) in [
            (libc::EAGAIN, DropReason::SendBufferFull),
            (libc::ENOBUFS, DropReason::SendBufferFull),
            (libc::EMSGSIZE, DropReason::TooLarge),
            (libc::EPERM, DropReason::SendFailed),
            (libc::ENETUNREACH, DropReason::SendFailed),
        ] {
            assert_eq!(drop_reason(&io::Error::from_raw_os_error(code)), reason);
        }
    }
}
