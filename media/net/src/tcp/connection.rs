//! One connection.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use media_core::DropReason;
use media_core::framing::{Deframer, PREFIX_LEN, prefix};
use rustix::io::Errno;

use super::listen::tune;
use super::queue::SendQueue;
use super::stats::Closed;
use crate::worker::is_rtp;

/// One connection of a remote side.
pub(crate) struct Connection {
    stream: OwnedFd,
    pub(crate) remote: SocketAddr,
    local: Option<IpAddr>,
    pub(crate) opened: Instant,
    /// An authentic check came over it.
    pub(crate) is_known: bool,
    /// The kernel was asked to tell when there is room.
    pub(crate) is_watched: bool,
    pub(crate) deframer: Deframer,
    queue: SendQueue,
    /// Packets dropped because they waited too long, until taken.
    late: u64,
}

/// What was read, and what is needed to make frames of it.
pub(crate) struct Incoming {
    pub(crate) remote: SocketAddr,
    pub(crate) local: Option<IpAddr>,
    pub(crate) deframer: Deframer,
    pub(crate) buffer: Vec<u8>,
    pub(crate) len: usize,
}

impl Connection {
    pub(crate) fn new(stream: OwnedFd, remote: SocketAddr, now: Instant) -> io::Result<Connection> {
        tune(&stream);
        let local = SocketAddr::try_from(rustix::net::getsockname(&stream)?)?.ip();
        Ok(Connection {
            stream,
            remote,
            local: Some(local),
            opened: now,
            is_known: false,
            is_watched: false,
            deframer: Deframer::default(),
            queue: SendQueue::default(),
            late: 0,
        })
    }

    /// Reads into `buffer`, which is lent until the frames are handled.
    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Incoming>, Closed> {
        match rustix::io::read(&self.stream, buffer.as_mut_slice()) {
            Ok(0) => Err(Closed::Remote),
            Ok(len) => Ok(Some(Incoming {
                remote: self.remote,
                local: self.local,
                deframer: std::mem::take(&mut self.deframer),
                buffer: std::mem::take(buffer),
                len,
            })),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(_) => Err(Closed::Remote),
        }
    }

    /// Sends one datagram, or keeps it for later while there is room. Returns whether it is gone.
    pub(crate) fn send(&mut self, datagram: &[u8]) -> Result<bool, DropReason> {
        let mut sent = 0;
        if self.queue.is_empty() {
            let prefix = prefix(datagram.len()).ok_or(DropReason::TooLarge)?;
            sent = self.write(&[IoSlice::new(&prefix), IoSlice::new(datagram)])?;
        }
        if sent == PREFIX_LEN + datagram.len() {
            return Ok(true);
        }
        let now = Instant::now();
        self.late += self.queue.expire(now);
        match self.queue.push(datagram, is_rtp(datagram), sent, now) {
            true => Ok(false),
            false => Err(DropReason::TcpBufferFull),
        }
    }

    /// Writes what the kernel takes; zero if nothing now.
    fn write(&self, slices: &[IoSlice<'_>]) -> Result<usize, DropReason> {
        let message = rustix::net::sendmsg(
            &self.stream,
            slices,
            &mut rustix::net::SendAncillaryBuffer::default(),
            rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT,
        );
        match message {
            Ok(len) => Ok(len),
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => Ok(0),
            // Reading will tell the same, and then the connection is closed.
            Err(_) => Err(DropReason::SendFailed),
        }
    }

    /// Sends what waited; returns how many datagrams are gone with that.
    pub(crate) fn flush(&mut self) -> usize {
        self.late += self.queue.expire(Instant::now());
        let mut sent = 0;
        while !self.queue.is_empty() {
            match self.write(&self.queue.slices()) {
                Ok(len) if len > 0 => sent += self.queue.consume(len),
                _ => break,
            }
        }
        sent
    }

    /// Datagrams that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.frames()
    }

    /// Packets dropped since this was asked last because they had waited too long.
    pub(crate) fn take_late(&mut self) -> u64 {
        std::mem::take(&mut self.late)
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.queue.is_empty()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
