//! What a recorder did so far.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::event::Cause;

/// Counters of the media thread (the first three) and of the recorder's.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) packets: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) written_packets: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) segments: AtomicU64,
    pub(crate) failures: [AtomicU64; Cause::ALL.len()],
    pub(crate) gaps: [AtomicU64; Cause::ALL.len()],
    pub(crate) missing: [AtomicU64; Cause::ALL.len()],
    pub(crate) lag_us: AtomicU64,
    pub(crate) tracks: AtomicI64,
    pub(crate) failing: AtomicI64,
}

/// For counters only one thread writes: spares the media thread a locked instruction.
#[inline]
pub(crate) fn add_alone(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
}

/// For counters of both threads of a recorder.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// State of a recorder at one moment; totals since it was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecorderStats {
    /// Packets taken from the plane.
    pub packets: u64,
    /// Their bytes, RTP headers included.
    pub bytes: u64,
    /// Packets there was no memory for, because the disk is slow.
    pub dropped: u64,
    /// Packets written into segments.
    pub written_packets: u64,
    /// Bytes of segments.
    pub written_bytes: u64,
    /// Segments closed and synced.
    pub segments: u64,
    /// Failed attempts to write, by [`Cause`].
    pub failures: [u64; Cause::ALL.len()],
    /// Gaps declared, by [`Cause`].
    pub gaps: [u64; Cause::ALL.len()],
    /// Packets missing in them, as far as that is known.
    pub missing: [u64; Cause::ALL.len()],
    /// Age of what the writer wrote last, in µs.
    pub lag_us: u64,
    /// Tracks being recorded.
    pub tracks: u64,
    /// Of them, those that cannot be written now.
    pub failing: u64,
}

impl Counters {
    /// Grows as long as the disk takes something, or refuses it.
    pub(crate) fn progress(&self) -> u64 {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        get(&self.written_packets)
            + get(&self.segments)
            + self.failures.iter().map(get).sum::<u64>()
    }

    pub(crate) fn stats(&self) -> RecorderStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let count = |counter: &AtomicI64| counter.load(Ordering::Relaxed).max(0) as u64;
        RecorderStats {
            packets: get(&self.packets),
            bytes: get(&self.bytes),
            dropped: get(&self.dropped),
            written_packets: get(&self.written_packets),
            written_bytes: get(&self.written_bytes),
            segments: get(&self.segments),
            failures: self.failures.each_ref().map(get),
            gaps: self.gaps.each_ref().map(get),
            missing: self.missing.each_ref().map(get),
            lag_us: get(&self.lag_us),
            tracks: count(&self.tracks),
            failing: count(&self.failing),
        }
    }
}
