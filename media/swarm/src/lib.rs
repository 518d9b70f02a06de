//! A load generator: many participants on one thread, with as little work for each packet as
//! possible.
//!
//! What a server sees is real: connectivity checks with MESSAGE-INTEGRITY, a DTLS handshake, SRTP
//! with the negotiated profile, valid VP8 and Opus framing, sender and receiver reports, and
//! transport-wide feedback where it was negotiated, as often as libwebrtc sends them. What arrives is counted by its readable
//! header; one packet of [`SwarmConfig::sample`] is decrypted for the time it was sent at.
//!
//! All participants share a few sockets on the loopback network, where every address of
//! `127.0.0.0/8` is ours: each has an address of its own, and the server can't tell the
//! difference. So packets of hundreds of participants are received and sent in batches.

mod association;
#[cfg(test)]
mod cost;
mod histogram;
mod participant;
mod path;
mod raw;
mod reports;
mod stream;
mod swarm;
mod worker;

pub use association::{Association, AssociationConfig, AssociationError};
pub use histogram::DelayHistogram;
pub use participant::Receiver;
pub use path::{
    ClassCounters, NOT_UDP, OTHER_UDP, Path, PathConfig, PathCounters, RTCP, Steps, class_of,
};
pub use raw::{RawLimit, measure_raw_limit};
pub use stream::{StreamConfig, Traffic};
pub use swarm::{Credentials, Remote, Report, Status, Swarm, SwarmConfig, SwarmError};
