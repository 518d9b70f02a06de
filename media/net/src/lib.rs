//! The media engine: one thread, one port of UDP and TCP, many rooms.
//!
//! [`Engine`] is the control side's face of an engine. Commands go in through a bounded
//! queue, events come out through another, and a snapshot is published once a second. The media
//! thread owns the sockets and the [`Plane`](media_core::Plane): forwarding takes no lock and
//! never waits for the control side.
//!
//! | queue | size | when full |
//! |---|---|---|
//! | commands | [`COMMAND_QUEUE`] | [`CommandError::Busy`], counted in `commands_rejected` |
//! | events | [`EngineConfig::event_queue`] | newest dropped, counted, reported by `EventsDropped` |
//! | socket, in | about [`RECEIVE_BUFFER_BYTES`] | the kernel drops |
//! | datagrams of a batch | [`Outbox::CAPACITY`] | sent at once |
//! | socket, out | about [`SEND_BUFFER_BYTES`] | dropped as `send_buffer_full` |
//! | TCP connection, in | one frame of [`media_core::framing::MAX_FRAME`] | the kernel slows the sender |
//! | TCP connection, out | 64 KiB of media, 80 KiB in all | newest dropped as `tcp_buffer_full` |
//! | the same | 2 s of media | oldest dropped as `tcp_late` |
//! | what is tapped | see [`tap`] | oldest dropped, counted by reason |
//! | what is recorded | see [`media_capture`] | packets dropped, counted, declared |
//! | TCP connections | [`TcpConfig::max_connections`] | see [`Refused`] and [`Closed`] |

mod bind;
mod config;
mod endpoint;
mod engine;
mod error;
mod event_sender;
mod load;
mod outbox;
mod schedule;
mod shared;
pub mod tap;
mod tcp;
mod turns;
mod wake;
mod worker;

pub use bind::{RECEIVE_BUFFER_BYTES, SEND_BUFFER_BYTES, SocketBuffers};
pub use config::{EVENT_QUEUE_RANGE, EngineConfig, MAX_NAME_BYTES, TcpConfig};
pub use endpoint::{Batch, Endpoint, Merging, Message};
pub use engine::{CLOSE_TIMEOUT, Engine};
pub use error::{CloseTimeout, CommandError, EngineError};
pub use outbox::Outbox;
pub use schedule::Scheduling;
pub use shared::{COMMAND_QUEUE, EngineEvent, EngineSnapshot, SocketStats};
pub use tcp::{Closed, Refused, TcpStats};
