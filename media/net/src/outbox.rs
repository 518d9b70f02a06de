//! Sends many datagrams with few system calls.
//!
//! Datagrams wait until [`Outbox::flush`], at most [`Outbox::CAPACITY`] of them. Each destination
//! gets its datagrams in the order they were pushed, as runs of equal length that one message can
//! carry (UDP segmentation offload); all messages leave with one `sendmmsg`. So what a batch of
//! received datagrams causes costs one call, and no datagram waits longer than its batch takes.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr};
use std::ptr;

use crate::endpoint::Endpoint;

/// Longest datagram taken, in bytes.
const MAX_DATAGRAM: usize = 2_048;

/// Most bytes one segmented message may hold: UDP's limit, with room for headers.
const MAX_RUN_BYTES: usize = 65_000;

/// Most segments the kernel accepts in one message (`UDP_MAX_SEGMENTS` of older kernels).
const MAX_RUN_SEGMENTS: usize = 64;

/// Room for the control messages of one message: source address (IPv6 is the longer) and
/// segment size.
const CONTROL_BYTES: usize = 64;

/// No further datagram in a chain.
const END: u16 = u16::MAX;

/// Places of the table that finds a destination; a power of two, at least twice the capacity.
const TABLE: usize = 512;

/// One waiting datagram.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    offset: u32,
    len: u16,
    /// Next one to the same destination.
    next: u16,
}

/// Where datagrams go, and the chain of those that wait for it.
#[derive(Debug, Clone, Copy)]
struct Chain {
    source: Option<IpAddr>,
    destination: SocketAddr,
    first: u16,
    last: u16,
}

/// Datagrams that one message carries: `count` of a chain from `first` on.
#[derive(Debug, Clone, Copy)]
struct Run {
    chain: u16,
    first: u16,
    count: u16,
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_BYTES]);

/// Datagrams waiting to be sent. See the module's text.
pub struct Outbox {
    bytes: Vec<u8>,
    waiting: Vec<Waiting>,
    chains: Vec<Chain>,
    /// Index of a chain plus one, by hash of the destination; zero: free.
    table: Box<[u16; TABLE]>,
    /// Places of the table in use, to clear them.
    used: Vec<u16>,
    runs: Vec<Run>,
    scratch: Scratch,
    segmentation: bool,
}

/// Arrays for one `sendmmsg`. The pointers in them are set and used within one call of
/// [`Outbox::send_runs`] and mean nothing outside.
struct Scratch {
    names: Vec<libc::sockaddr_storage>,
    controls: Vec<Control>,
    slices: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

// SAFETY: the raw pointers in `scratch` are never followed outside of one `send_runs` call, which
// sets them anew from memory the outbox owns; so it may move to another thread.
unsafe impl Send for Outbox {}

impl Default for Outbox {
    fn default() -> Self {
        Outbox::new()
    }
}

impl Outbox {
    /// Datagrams that may wait: two for each of a receive batch, and then some.
    pub const CAPACITY: usize = 192;

    /// Makes an empty outbox with all memory it will ever need (some 500 KiB).
    pub fn new() -> Outbox {
        // SAFETY: these C structures consist of integers and pointers, for which zero is valid.
        let (name, header) = unsafe { (zeroed::<libc::sockaddr_storage>(), zeroed()) };
        let slice = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        let scratch = Scratch {
            names: vec![name; Outbox::CAPACITY],
            controls: vec![Control([0; CONTROL_BYTES]); Outbox::CAPACITY],
            slices: vec![slice; Outbox::CAPACITY],
            headers: vec![header; Outbox::CAPACITY],
        };
        Outbox {
            bytes: Vec::with_capacity(Outbox::CAPACITY * MAX_DATAGRAM),
            waiting: Vec::with_capacity(Outbox::CAPACITY),
            chains: Vec::with_capacity(Outbox::CAPACITY),
            table: Box::new([0; TABLE]),
            used: Vec::with_capacity(Outbox::CAPACITY),
            runs: Vec::with_capacity(Outbox::CAPACITY),
            scratch,
            segmentation: true,
        }
    }

    /// Switches segmentation offload off or on; off, each datagram is a message of its own.
    pub fn set_segmentation(&mut self, on: bool) {
        self.segmentation = on;
    }

    /// Datagrams that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether [`Outbox::flush`] must come before the next [`Outbox::push`].
    pub fn is_full(&self) -> bool {
        self.waiting.len() == Outbox::CAPACITY
    }

    /// Keeps a copy of `datagram`. Returns `false`, and keeps nothing, if the outbox is full or
    /// the datagram longer than 2,048 bytes.
    #[inline]
    pub fn push(
        &mut self,
        source: Option<IpAddr>,
        destination: SocketAddr,
        datagram: &[u8],
    ) -> bool {
        if self.is_full() || datagram.len() > MAX_DATAGRAM {
            return false;
        }
        let index = self.waiting.len() as u16;
        let offset = self.bytes.len() as u32;
        self.bytes.extend_from_slice(datagram);
        self.waiting.push(Waiting { offset, len: datagram.len() as u16, next: END });
        let chain = self.chain(source, destination, index);
        let last = std::mem::replace(&mut chain.last, index);
        if last != index {
            self.waiting[usize::from(last)].next = index;
        }
        true
    }

    /// The chain of a destination; a new one starts and ends with `index`.
    #[inline]
    fn chain(&mut self, source: Option<IpAddr>, destination: SocketAddr, index: u16) -> &mut Chain {
        let mut place = hash(destination) % TABLE;
        loop {
            let found = self.table[place];
            if found == 0 {
                self.chains.push(Chain { source, destination, first: index, last: index });
                self.table[place] = self.chains.len() as u16;
                self.used.push(place as u16);
                let newest = self.chains.len() - 1;
                return &mut self.chains[newest];
            }
            let at = usize::from(found) - 1;
            if self.chains[at].destination == destination && self.chains[at].source == source {
                return &mut self.chains[at];
            }
            place = (place + 1) % TABLE;
        }
    }

    /// Sends everything; returns how many datagrams the kernel took. `failed` is told how many an
    /// error kept from leaving.
    pub fn flush(
        &mut self,
        endpoint: &Endpoint,
        mut failed: impl FnMut(usize, &io::Error),
    ) -> usize {
        if self.waiting.is_empty() {
            return 0;
        }
        self.collect_runs();
        let (mut sent, mut taken) = (0, 0);
        while sent < self.runs.len() {
            match self.send_runs(endpoint, sent) {
                Ok(count) => {
                    let runs = &self.runs[sent..sent + count];
                    taken += runs.iter().map(|run| usize::from(run.count)).sum::<usize>();
                    sent += count;
                }
                Err(error) => {
                    taken += self.on_error(endpoint, sent, &error, &mut failed);
                    sent += 1;
                }
            }
        }
        self.clear();
        taken
    }

    fn clear(&mut self) {
        for place in self.used.drain(..) {
            self.table[usize::from(place)] = 0;
        }
        self.bytes.clear();
        self.waiting.clear();
        self.chains.clear();
        self.runs.clear();
    }

    /// Splits each chain: all segments of a message are equally long, but the last may be
    /// shorter.
    fn collect_runs(&mut self) {
        for (chain, &Chain { first, .. }) in self.chains.iter().enumerate() {
            let mut at = first;
            while at != END {
                let (count, next) = self.run_from(at);
                self.runs.push(Run { chain: chain as u16, first: at, count });
                at = next;
            }
        }
    }

    /// Length of the run that starts with a datagram, and where the next one starts.
    fn run_from(&self, first: u16) -> (u16, u16) {
        let Waiting { len: segment, mut next, .. } = self.waiting[usize::from(first)];
        let (mut count, mut bytes) = (1, usize::from(segment));
        while next != END && self.segmentation {
            let candidate = self.waiting[usize::from(next)];
            bytes += usize::from(candidate.len);
            let is_over = usize::from(count) >= MAX_RUN_SEGMENTS || bytes > MAX_RUN_BYTES;
            if candidate.len > segment || candidate.len == 0 || segment == 0 || is_over {
                break;
            }
            count += 1;
            next = candidate.next;
            if candidate.len < segment {
                break;
            }
        }
        (count, next)
    }

    /// Hands the runs from `start` on to the kernel; returns how many it took.
    fn send_runs(&mut self, endpoint: &Endpoint, start: usize) -> io::Result<usize> {
        let mut slice = 0;
        let runs = &self.runs[start..];
        for (index, run) in runs.iter().enumerate() {
            let first_slice = slice;
            let mut at = run.first;
            for _ in 0..run.count {
                let Waiting { offset, len, next } = self.waiting[usize::from(at)];
                let data = &self.bytes[offset as usize..][..usize::from(len)];
                self.scratch.slices[slice] =
                    libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
                slice += 1;
                at = next;
            }
            let chain = &self.chains[usize::from(run.chain)];
            let segment = self.waiting[usize::from(run.first)].len;
            let segment = (run.count > 1).then_some(segment);
            let name_len = write_address(&mut self.scratch.names[index], chain.destination);
            let control_len =
                write_control(&mut self.scratch.controls[index].0, chain.source, segment);
            let header = &mut self.scratch.headers[index].msg_hdr;
            header.msg_name = (&raw mut self.scratch.names[index]).cast();
            header.msg_namelen = name_len;
            header.msg_iov = &raw mut self.scratch.slices[first_slice];
            header.msg_iovlen = usize::from(run.count) as _;
            header.msg_control = match control_len {
                0 => ptr::null_mut(),
                _ => self.scratch.controls[index].0.as_mut_ptr().cast(),
            };
            header.msg_controllen = control_len as _;
        }
        endpoint.send_messages(&mut self.scratch.headers[..runs.len()])
    }

    /// Counts what an error hit. A segmented message is tried again in pieces, unless the socket
    /// is full: not every device and path takes segments. Returns how many datagrams left.
    fn on_error(
        &mut self,
        endpoint: &Endpoint,
        index: usize,
        error: &io::Error,
        failed: &mut impl FnMut(usize, &io::Error),
    ) -> usize {
        let run = self.runs[index];
        let is_full = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS));
        if run.count == 1 || is_full {
            failed(run.count.into(), error);
            return 0;
        }
        if matches!(error.raw_os_error(), Some(libc::EIO | libc::EOPNOTSUPP)) {
            self.segmentation = false;
        }
        let rest = self.runs.split_off(index);
        let (mut at, mut taken) = (run.first, 0);
        for _ in 0..run.count {
            self.runs.push(Run { first: at, count: 1, ..run });
            match self.send_runs(endpoint, index) {
                Ok(count) => taken += count,
                Err(error) => failed(1, &error),
            }
            self.runs.pop();
            at = self.waiting[usize::from(at)].next;
        }
        self.runs.extend(rest);
        taken
    }
}

/// Spreads addresses over the table.
fn hash(address: SocketAddr) -> usize {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let ip = match address.ip() {
        IpAddr::V4(ip) => u64::from(ip.to_bits()),
        IpAddr::V6(ip) => (ip.to_bits() ^ ip.to_bits() >> 64) as u64,
    };
    ((ip << 16 ^ u64::from(address.port())).wrapping_mul(MULTIPLIER) >> 40) as usize
}

/// Writes a socket address; returns its length.
fn write_address(name: &mut libc::sockaddr_storage, address: SocketAddr) -> libc::socklen_t {
    match address {
        SocketAddr::V4(address) => {
            let value = libc::sockaddr_in {
                sin_family: libc::AF_INET as _,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: `sockaddr_storage` is at least as large and as strictly aligned as any
            // socket address.
            unsafe { (&raw mut *name).cast::<libc::sockaddr_in>().write(value) };
            size_of::<libc::sockaddr_in>() as _
        }
        SocketAddr::V6(address) => {
            let value = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as _,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: address.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                sin6_scope_id: address.scope_id(),
            };
            // SAFETY: as above.
            unsafe { (&raw mut *name).cast::<libc::sockaddr_in6>().write(value) };
            size_of::<libc::sockaddr_in6>() as _
        }
    }
}

/// Writes the control messages; returns their length, 0 if there are none.
fn write_control(
    control: &mut [u8; CONTROL_BYTES],
    source: Option<IpAddr>,
    segment: Option<u16>,
) -> usize {
    let mut at = 0;
    match source {
        Some(IpAddr::V4(ip)) => {
            // `struct in_pktinfo`: interface, source address, destination (unused).
            let mut info = [0; 12];
            info[4..8].copy_from_slice(&ip.octets());
            at = write_message(control, at, (libc::IPPROTO_IP, libc::IP_PKTINFO), &info);
        }
        Some(IpAddr::V6(ip)) => {
            // `struct in6_pktinfo`: source address, interface.
            let mut info = [0; 20];
            info[..16].copy_from_slice(&ip.octets());
            at = write_message(control, at, (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO), &info);
        }
        None => {}
    }
    if let Some(segment) = segment {
        let kind = (libc::SOL_UDP, libc::UDP_SEGMENT);
        at = write_message(control, at, kind, &segment.to_ne_bytes());
    }
    at
}

/// Writes one control message at `at`: `struct cmsghdr`, then `data`, padded. Returns its end.
fn write_message(
    control: &mut [u8; CONTROL_BYTES],
    at: usize,
    (level, kind): (libc::c_int, libc::c_int),
    data: &[u8],
) -> usize {
    const WORD: usize = size_of::<usize>();
    let header = size_of::<libc::cmsghdr>();
    let len = header + data.len();
    // `cmsg_len` is a word wide with every libc we build for, or padded to one.
    control[at..at + WORD].copy_from_slice(&len.to_ne_bytes());
    control[at + WORD..at + WORD + 4].copy_from_slice(&level.to_ne_bytes());
    control[at + WORD + 4..at + WORD + 8].copy_from_slice(&kind.to_ne_bytes());
    control[at + header..at + len].copy_from_slice(data);
    let end = at + len.next_multiple_of(WORD);
    control[at + len..end].fill(0);
    end
}

#[cfg(test)]
mod tests;
