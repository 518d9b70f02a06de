//! The raw limit: what it costs to protect a packet and to send it, and nothing else.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::worker::pin_to;

/// RTP header and two header extensions, which are authenticated but not encrypted.
const HEADER_BYTES: usize = 28;
const TAG_BYTES: usize = 16;

/// CPU time of one packet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawLimit {
    /// AES-GCM alone.
    pub protect: Duration,
    /// AES-GCM and one `sendto` on an unconnected socket.
    pub total: Duration,
}

/// Protects and sends `packets` packets of `packet_bytes` (before protection) to `destinations`
/// in turn, on a thread of its own, on CPU `cpu` if given. The same buffer is encrypted again and
/// again: no copy is in the figure. A packet the full socket refuses counts like any other.
///
/// # Errors
///
/// The kernel refuses socket or CPU, or there is no destination.
pub fn measure_raw_limit(
    destinations: &[SocketAddr],
    packet_bytes: usize,
    packets: u32,
    cpu: Option<usize>,
) -> io::Result<RawLimit> {
    let Some(first) = destinations.first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no destination"));
    };
    let socket = UdpSocket::bind(if first.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.set_nonblocking(true)?;
    let destinations = destinations.to_vec();
    let work = move || -> io::Result<RawLimit> {
        if let Some(cpu) = cpu {
            pin_to(cpu)?;
        }
        let protect = measure(packets, packet_bytes, |_, _| ());
        let total = measure(packets, packet_bytes, |index, packet| {
            // A full receiver drops, which costs what delivery costs.
            let _ = socket.send_to(packet, destinations[index as usize % destinations.len()]);
        });
        Ok(RawLimit { protect, total })
    };
    thread::spawn(work).join().map_err(|_| io::Error::other("the measuring thread panicked"))?
}

/// Thread CPU time of one packet.
fn measure(packets: u32, packet_bytes: usize, mut send: impl FnMut(u32, &[u8])) -> Duration {
    let key = UnboundKey::new(&AES_128_GCM, &[7; 16]).expect("the key has the right length");
    let key = LessSafeKey::new(key);
    let packet_bytes = packet_bytes.max(HEADER_BYTES);
    let mut packet = vec![0x55; packet_bytes + TAG_BYTES];
    // Version 2, so that the receiver sees what it sees in a call.
    packet[0] = 0x90;
    let before = thread_cpu();
    for index in 0..packets {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&index.to_be_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let (plain, tag) = packet.split_at_mut(packet_bytes);
        let (header, payload) = plain.split_at_mut(HEADER_BYTES);
        key.seal_in_place_scatter(nonce, Aad::from(&*header), payload, &[], tag)
            .expect("lengths are right");
        send(index, &packet);
    }
    (thread_cpu() - before) / packets.max(1)
}

/// CPU time of the calling thread, user and kernel.
pub(crate) fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec` to the pointer, which is valid for the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sending_costs_more_than_protecting() {
        let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
        let limit = measure_raw_limit(&[sink.local_addr().unwrap()], 1_100, 200, None).unwrap();
        assert!(limit.protect > Duration::ZERO);
        assert!(limit.total > limit.protect);
    }

    #[test]
    fn a_destination_is_needed() {
        assert!(measure_raw_limit(&[], 100, 1, None).is_err());
    }
}
