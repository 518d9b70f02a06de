//! Capture files: what was received of a track, in segments ordinary tools open.
//!
//! The media thread copies packets into blocks of memory ([`Intake`], which is the plane's
//! [`CaptureSink`](media_core::capture::CaptureSink)) and never waits. A writer thread
//! makes pcapng of them, encrypts where asked to, and notices what is missing. A hashing thread makes
//! the digests of what was written, and a closing thread brings finished segments to the disk for good. See `docs/recording.md` for the files.
//!
//! | queue | size | when full |
//! |---|---|---|
//! | blocks | [`RecorderConfig::buffer_bytes`] | packets dropped, counted, declared as a gap |
//! | written, not yet hashed | [`writer::HASHING`] | the writer waits |
//! | finished segments | [`writer::CLOSING`] | the hashing thread waits |
//! | events | [`writer::EVENTS`] | the closing thread waits |
//! | gaps under way, of one stream | [`track::MAX_HOLES`] | the oldest is declared |

pub mod clock;
pub mod disk;
pub mod event;
mod hash;
mod intake;
pub mod pcapng;
mod record;
pub mod seal;
mod segment;
pub mod sm3;
mod stats;
mod streams;
pub mod track;
pub mod writer;

pub use clock::SessionClock;
pub use disk::{Disk, LocalDisk, SegmentFile};
pub use event::{CaptureEvent, Cause};
pub use intake::Intake;
pub use seal::{MasterKey, MasterKeyError};
pub use stats::RecorderStats;
pub use track::TrackSpec;
pub use writer::{Recorder, RecorderConfig, RecorderControl, RecorderError, Unfinished};
