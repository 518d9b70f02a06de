//! Limits and timeouts of one engine.

use std::time::Duration;

/// Limits and timeouts of one [`Plane`](crate::Plane).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaneConfig {
    /// Rooms on this engine; `CreateRoom` beyond fails.
    pub max_rooms: usize,
    /// Transports on this engine; `CreateTransport` beyond fails.
    pub max_transports: usize,
    /// Transports of one room; `CreateTransport` beyond fails.
    pub max_transports_per_room: usize,
    /// Published tracks of one transport; `AddProducer` beyond fails.
    pub max_producers_per_transport: usize,
    /// Subscriptions of one transport; `AddConsumer` beyond fails.
    pub max_consumers_per_transport: usize,
    /// Largest datagram the plane makes by itself (DTLS, RTCP), in bytes of UDP payload.
    pub mtu: usize,
    /// Largest media datagram sent, in bytes of UDP payload. Publishers choose the size of their
    /// packets and rewriting adds a few bytes; what exceeds this is dropped and counted.
    pub max_forwarded_len: usize,
    /// Silence after which a transport counts as disconnected.
    pub disconnected_after: Duration,
    /// Silence after which consent to send has expired (RFC 7675): nothing is sent any more but
    /// connectivity checks, until one is answered.
    pub consent_timeout: Duration,
    /// Silence after which the transport fails: nobody is expected to come back.
    pub given_up_after: Duration,
    /// Time from the creation of a transport until DTLS must have finished.
    pub handshake_timeout: Duration,
    /// Shortest time between two keyframe requests to one producer.
    pub keyframe_interval: Duration,
    /// Mean time between two RTCP reports of a transport; each is spread by ±50 %.
    pub report_interval: Duration,
    /// Time between two transport-wide congestion feedbacks of a transport.
    pub feedback_interval: Duration,
    /// Rate a subscriber is believed to take until its first congestion feedback arrives, in
    /// bits per second; probes then try three and six times as much, and only the smallest
    /// encoding of each track is sent until they are answered.
    pub start_bitrate_bps: u64,
    /// No estimate is lower: speech needs it.
    pub min_bitrate_bps: u64,
    /// No estimate is higher.
    pub max_bitrate_bps: u64,
    /// Seed of the plane's own random choices (SSRCs, report spread). Never used for keys.
    pub seed: u64,
    /// Accepts `InjectPanic`. For tests only.
    pub fault_injection: bool,
}

impl Default for PlaneConfig {
    fn default() -> Self {
        PlaneConfig {
            max_rooms: 1_000,
            max_transports: 4_000,
            max_transports_per_room: 64,
            max_producers_per_transport: 16,
            max_consumers_per_transport: 256,
            mtu: 1_200,
            max_forwarded_len: 1_472,
            disconnected_after: Duration::from_secs(6),
            consent_timeout: Duration::from_secs(30),
            given_up_after: Duration::from_secs(120),
            handshake_timeout: Duration::from_secs(40),
            keyframe_interval: Duration::from_millis(500),
            report_interval: Duration::from_secs(1),
            feedback_interval: Duration::from_millis(100),
            start_bitrate_bps: 1_000_000,
            min_bitrate_bps: 30_000,
            max_bitrate_bps: 30_000_000,
            seed: 0,
            fault_injection: false,
        }
    }
}
