//! One UDP socket: batched receive with local addresses, send with a chosen source.

use std::array;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use media_core::DropReason;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};

/// Longest datagram taken, in bytes. Nothing we negotiate is longer; longer ones are discarded.
const MAX_DATAGRAM: usize = 2_048;

/// Room for one message of many merged datagrams: the kernel would cut off what does not fit.
/// The odd part keeps the starts of slots from competing for the same places of the cache.
const MERGED_BYTES: usize = 65_536 + 1_088;

/// Whether the kernel may hand over datagrams of one sender that arrived together and are
/// equally long (the last may be shorter) as one message: a picture costs one receipt then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merging {
    /// Every datagram is a message.
    Off,
    /// UDP receive offload. All datagrams of a message have the arrival time of the first.
    On,
}

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
    pub fn new(socket: UdpSocket, merging: Merging) -> io::Result<Endpoint> {
        let state = UdpSocketState::new((&socket).into())?;
        if merging == Merging::Off {
            switch_off(&socket, libc::SOL_UDP, libc::UDP_GRO)?;
        }
        let is_ipv4 = socket.local_addr()?.is_ipv4();
        // Nobody asks for the congestion marks, and each would come with its own control message.
        match is_ipv4 {
            true => switch_off(&socket, libc::IPPROTO_IP, libc::IP_RECVTOS)?,
            false => switch_off(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS)?,
        }
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

    /// Datagrams the kernel lost because the receive buffer was full, since the socket was made;
    /// zero where it does not tell.
    pub(crate) fn overflowed(&self) -> u32 {
        /// `SK_MEMINFO_VARS` of <linux/sock_diag.h>; the last one is `SK_MEMINFO_DROPS`.
        const VALUES: usize = 9;
        let mut values = [0_u32; VALUES];
        let mut len = size_of_val(&values) as libc::socklen_t;
        // SAFETY: the descriptor is open for the whole call, and the kernel writes at most `len`
        // bytes to `values`, which outlives the call.
        let outcome = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                values.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        if outcome == 0 && len as usize >= size_of_val(&values) { values[VALUES - 1] } else { 0 }
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

/// Turns off what [`UdpSocketState::new`] turned on.
fn switch_off(socket: &UdpSocket, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let off: libc::c_int = 0;
    // SAFETY: the descriptor is open for the whole call, and the kernel reads exactly the given
    // size from `off`, which outlives the call.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const off).cast(),
            size_of_val(&off) as libc::socklen_t,
        )
    };
    match io::Error::last_os_error() {
        // A kernel without the option has nothing to turn off.
        error if outcome < 0 && error.raw_os_error() != Some(libc::ENOPROTOOPT) => Err(error),
        _ => Ok(()),
    }
}

/// Memory for one batch of received messages.
pub struct Batch {
    bytes: Vec<u8>,
    slot_bytes: usize,
    meta: [RecvMeta; BATCH_SIZE],
}

/// Datagrams received together: from one sender, at one address.
pub struct Message<'a> {
    /// Where they came from.
    pub remote: SocketAddr,
    /// The address they were sent to.
    pub local: Option<IpAddr>,
    /// Arrival of the first in the kernel since the Unix epoch.
    pub arrived: Option<Duration>,
    bytes: &'a mut [u8],
    /// Length of each datagram but the last, which may be shorter.
    segment: usize,
}

impl<'a> Message<'a> {
    /// The datagrams in the order they came in, at least one. Empty where one is too long.
    pub fn into_datagrams(self) -> impl Iterator<Item = &'a mut [u8]> {
        // An empty datagram is one, too.
        let empty = self.bytes.is_empty().then_some(Default::default());
        let datagrams = self.bytes.chunks_mut(self.segment.max(1));
        datagrams.chain(empty).map(|datagram| match datagram.len() {
            0..=MAX_DATAGRAM => datagram,
            _ => &mut [],
        })
    }
}

impl Batch {
    /// Messages a batch holds.
    pub const SIZE: usize = BATCH_SIZE;

    /// Takes the memory; `merging` as for the endpoints it receives from. With merging 2 MiB, of
    /// which only what was ever filled becomes resident.
    pub fn new(merging: Merging) -> Batch {
        let slot_bytes = match merging {
            // A byte more than is taken, to tell what was cut off.
            Merging::Off => MAX_DATAGRAM + 1,
            Merging::On => MERGED_BYTES,
        };
        Batch {
            bytes: vec![0; slot_bytes * BATCH_SIZE],
            slot_bytes,
            meta: array::from_fn(|_| RecvMeta::default()),
        }
    }

    /// Receives what is waiting, at most [`Batch::SIZE`] messages; returns how many.
    pub fn receive(&mut self, endpoint: &Endpoint) -> usize {
        let mut slots = self.bytes.chunks_exact_mut(self.slot_bytes);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            array::from_fn(|_| IoSliceMut::new(slots.next().expect("one slot per entry")));
        // An error is either "nothing there" or one the next call doesn't repeat.
        endpoint.state.recv((&endpoint.socket).into(), &mut slices, &mut self.meta).unwrap_or(0)
    }

    /// Sender and first datagram of the message at `index`, below what [`Batch::receive`]
    /// returned.
    pub fn peek(&self, index: usize) -> (SocketAddr, &[u8]) {
        let meta = &self.meta[index];
        let start = index * self.slot_bytes;
        (meta.addr, &self.bytes[start..start + meta.stride.min(meta.len)])
    }

    /// The message at `index`, below what [`Batch::receive`] returned.
    pub fn message(&mut self, index: usize) -> Message<'_> {
        let meta = &self.meta[index];
        let start = index * self.slot_bytes;
        Message {
            remote: meta.addr,
            local: meta.dst_ip,
            arrived: meta.timestamp,
            bytes: &mut self.bytes[start..start + meta.len],
            segment: meta.stride,
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

    #[test]
    fn a_message_is_cut_into_its_datagrams() {
        for (len, segment, expected) in [
            (0, 0, &[0][..]),
            (0, 100, &[0]),
            (100, 100, &[100]),
            (300, 100, &[100, 100, 100]),
            (250, 100, &[100, 100, 50]),
            (5, 100, &[5]),
            // The kernel never says so; it must only do no harm.
            (3, 0, &[1, 1, 1]),
            (2_048, 2_048, &[2_048]),
            (2_049, 2_049, &[0]),
            (5_000, 3_000, &[0, 2_000]),
        ] {
            let mut bytes = vec![7; len];
            let remote = SocketAddr::from(([192, 0, 2, 1], 9));
            let message =
                Message { remote, local: None, arrived: None, bytes: &mut bytes, segment };
            let lens: Vec<usize> =
                message.into_datagrams().map(|datagram| datagram.len()).collect();
            assert_eq!(lens, expected, "{len} by {segment}");
        }
    }
}
