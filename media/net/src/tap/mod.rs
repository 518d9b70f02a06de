//! The way of tapped packets to another process.
//!
//! The media thread copies packets into blocks of memory ([`TapIntake`]) and never waits. A writer
//! thread hands whole blocks to a local socket (`SOCK_SEQPACKET`), each as one message. What is old
//! makes room for what is new: where no block is free, the oldest that waits is dropped and used
//! again. A reader that stalls, or is gone, costs the media thread nothing more than that.
//!
//! A message is a row of records, all numbers little-endian:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 2 | bytes of RTP that follow the head; 0: the number was left out or brought nothing |
//! | 2 | 1 | [`RECORD_VERSION`] |
//! | 3 | 1 | codec: 0 Opus, 1 VP8, 2 VP9, 3 H.264, 4 AV1 |
//! | 4 | 1 | index of the encoding, the smallest picture first |
//! | 5 | 1 | quarter turns to turn the picture by, clockwise; 255: the packet doesn't say |
//! | 6 | 2 | zero |
//! | 8 | 4 | instance of the encoding: another one is another stream |
//! | 12 | 4 | zero |
//! | 16 | 8 | tap |
//! | 24 | 8 | sequence number that doesn't wrap |
//! | 32 | 8 | arrival on the session clock, µs |

mod intake;
mod writer;

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use crossbeam_queue::ArrayQueue;

pub use intake::TapIntake;
pub use writer::{TapControl, TapWriter};

/// Third byte of each record.
pub const RECORD_VERSION: u8 = 1;
/// Bytes before a packet.
pub const RECORD_HEAD: usize = 40;
/// Size of a block; also the longest message.
pub const TAP_BLOCK: usize = 32 << 10;
/// Blocks between the media thread and the writer: a second of 16 Mbit/s.
pub const TAP_BLOCKS: usize = 64;

/// Why tapped packets were dropped. A closed set: it is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TapDrop {
    /// Newer packets needed the room.
    RingFull,
    /// The reader took nothing for a while.
    Stalled,
    /// Nobody reads.
    NoReader,
}

impl TapDrop {
    /// All values, in declaration order: the index is `reason as usize`.
    pub const ALL: [TapDrop; 3] = [TapDrop::RingFull, TapDrop::Stalled, TapDrop::NoReader];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            TapDrop::RingFull => "ring_full",
            TapDrop::Stalled => "stalled",
            TapDrop::NoReader => "no_reader",
        }
    }
}

/// What the taps of an engine did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TapStats {
    /// Packets taken from the plane.
    pub packets: u64,
    /// Packets the reader was given.
    pub delivered: u64,
    /// Packets that wait, by the last count.
    pub waiting: u64,
    /// By [`TapDrop`].
    pub dropped: [u64; TapDrop::ALL.len()],
}

/// A filled block.
struct Block {
    bytes: Vec<u8>,
    packets: u64,
}

/// What both threads share: nobody waits for anybody.
struct Ring {
    full: ArrayQueue<Block>,
    empty: ArrayQueue<Vec<u8>>,
    writer: OnceLock<Thread>,
    packets: AtomicU64,
    delivered: AtomicU64,
    dropped: [AtomicU64; TapDrop::ALL.len()],
    is_over: AtomicBool,
}

impl Ring {
    fn new(blocks: usize) -> Arc<Ring> {
        let ring = Ring {
            full: ArrayQueue::new(blocks),
            empty: ArrayQueue::new(blocks),
            writer: OnceLock::new(),
            packets: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            dropped: [const { AtomicU64::new(0) }; TapDrop::ALL.len()],
            is_over: AtomicBool::new(false),
        };
        for _ in 0..blocks {
            // Memory is given when it is first written to: there will be no taps on most machines.
            let _ = ring.empty.push(Vec::with_capacity(TAP_BLOCK));
        }
        Arc::new(ring)
    }

    fn drop_block(&self, mut block: Block, reason: TapDrop) -> Vec<u8> {
        self.dropped[reason as usize].fetch_add(block.packets, Ordering::Relaxed);
        block.bytes.clear();
        block.bytes
    }

    fn stats(&self) -> TapStats {
        let mut dropped = [0; TapDrop::ALL.len()];
        for (sum, counter) in dropped.iter_mut().zip(&self.dropped) {
            *sum = counter.load(Ordering::Relaxed);
        }
        let delivered = self.delivered.load(Ordering::Relaxed);
        let packets = self.packets.load(Ordering::Relaxed);
        let gone = delivered + dropped.iter().sum::<u64>();
        TapStats { packets, delivered, waiting: packets.saturating_sub(gone), dropped }
    }
}

/// A copy of a descriptor that is closed with its owner.
#[allow(unsafe_code, reason = "descriptors come from Python as numbers")]
pub(crate) fn duplicate(descriptor: RawFd) -> std::io::Result<OwnedFd> {
    // SAFETY: the kernel looks the number up, and changes nothing of what it names.
    let copy = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0) };
    if copy < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the kernel just made it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Makes the two ends of a tap.
///
/// # Errors
///
/// The thread can't be started.
pub fn start(name: &str) -> std::io::Result<(TapWriter, TapIntake)> {
    let ring = Ring::new(TAP_BLOCKS);
    let writer = TapWriter::start(Arc::clone(&ring), name)?;
    Ok((writer, TapIntake::new(ring, media_capture::clock::MonotonicAnchor::now())))
}
