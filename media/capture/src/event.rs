//! What a recorder reports.

use std::io;

use media_core::capture::CaptureId;

/// Why something is missing. A closed set: it is a metric label and part of the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cause {
    /// It never arrived.
    Network,
    /// There was no space left, or no quota.
    DiskFull,
    /// The disk did not keep up.
    DiskSlow,
    /// The disk, the mount or the permissions failed.
    DiskError,
    /// The process ended in the middle.
    Crash,
    /// The track was muted, or the recording paused.
    Paused,
}

impl Cause {
    /// All values, in declaration order: the index is `cause as usize`.
    pub const ALL: [Cause; 6] = [
        Cause::Network,
        Cause::DiskFull,
        Cause::DiskSlow,
        Cause::DiskError,
        Cause::Crash,
        Cause::Paused,
    ];

    /// The word used in logs, events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Network => "network",
            Cause::DiskFull => "disk_full",
            Cause::DiskSlow => "disk_slow",
            Cause::DiskError => "disk_error",
            Cause::Crash => "crash",
            Cause::Paused => "paused",
        }
    }

    /// What an error of the file system means.
    pub fn of(error: &io::Error) -> Cause {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Cause::DiskFull,
            _ => Cause::DiskError,
        }
    }
}

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedSegment {
    /// Its number, counting from 1.
    pub number: u32,
    /// Its name within the directory of the track.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Media packets in it.
    pub packets: u64,
    /// The time it covers, in µs of the session clock.
    pub from_us: u64,
    /// End of that time.
    pub to_us: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// SM3 (GB/T 32905) of the file.
    pub sm3: [u8; 32],
}

/// What is missing of a track. Times are µs of the session clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// What came before it.
    pub from_us: u64,
    /// What came after it.
    pub to_us: u64,
    /// Why.
    pub cause: Cause,
    /// Packets missing; `None`: unknown.
    pub packets: Option<u64>,
    /// Index of the encoding; `None`: all of the track.
    pub encoding: Option<u8>,
}

/// What a recorder reports of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaptureEvent {
    /// The first packet was taken.
    Opened {
        /// The track.
        capture: CaptureId,
        /// When, in µs of the session clock.
        at_us: u64,
    },
    /// A segment is on the disk for good.
    SegmentClosed {
        /// The track.
        capture: CaptureId,
        /// The file.
        segment: ClosedSegment,
    },
    /// Something is missing and will not come any more.
    GapDeclared {
        /// The track.
        capture: CaptureId,
        /// What.
        gap: Gap,
    },
    /// Writing fails from now on; it is tried again.
    WriteFailed {
        /// The track.
        capture: CaptureId,
        /// Why.
        cause: Cause,
        /// What the system said.
        message: String,
    },
    /// Writing works again.
    WriteRestored {
        /// The track.
        capture: CaptureId,
    },
    /// Nothing more comes of the track; all its segments and gaps were reported.
    Closed {
        /// The track.
        capture: CaptureId,
        /// When it ended, in µs of the session clock.
        at_us: u64,
    },
}
