//! The media plane: everything that happens to a packet between two sockets.
//!
//! Sans-IO: datagrams and the current time come in as arguments; datagrams to send, events and
//! the next timeout come out. No socket, clock or thread is used in here, so a whole call can
//! be tested in virtual time.

pub mod allocate;
mod allowance;
pub mod api;
mod bwe;
pub mod cache;
pub mod capture;
mod carried;
pub mod certificate;
pub mod clock;
pub mod codec;
pub mod config;
mod consumer;
pub mod demux;
mod echoes;
pub mod ext;
pub mod framing;
pub mod layers;
pub mod ledger;
mod lips;
pub mod nack;
#[cfg(any(test, feature = "netem"))]
pub mod netem;
pub mod ntp;
mod pacer;
pub mod plane;
mod producer;
pub mod protect;
pub mod reception;
pub mod red;
pub mod remote;
pub mod resend;
pub mod rewrite;
mod room;
pub mod rtcp;
pub mod rtp;
mod sent;
mod shared;
pub mod speaker;
pub mod srtp;
mod survey;
mod table;
pub mod tap;
pub mod throttle;
mod timers;
pub mod transport;
pub mod twcc;
mod uplink;
mod voice;
pub mod window;

pub use api::{Command, DropReason, EngineCounters, Event, Snapshot};
pub use certificate::{Certificate, CertificateError};
pub use config::PlaneConfig;
pub use ledger::{Ledger, Stage};
pub use plane::{Output, Plane};
pub use remote::{Protocol, Remote};
pub use survey::Survey;
