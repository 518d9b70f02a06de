//! What the plane is told and what it reports.
//!
//! Python decides and sends [`Command`]s; the plane answers with [`Event`]s and a periodic
//! [`Snapshot`]. All identifiers are chosen by the caller, so a command never has to wait for
//! a reply before the next one can name its result.

use crate::capture::CaptureId;
use crate::ledger::Ledger;
use crate::remote::{Protocol, Remote};
use crate::tap::TapWish;

/// A room on this engine. Chosen by the caller, unique for the life of the process.
pub type RoomId = u64;
/// One ICE + DTLS + SRTP association. Chosen by the caller.
pub type TransportId = u64;
/// The receive side of one published track. Chosen by the caller.
pub type ProducerId = u64;
/// The send side of one subscription. Chosen by the caller.
pub type ConsumerId = u64;

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    Audio,
    Video,
}

/// Codecs the plane can forward. It never decodes; it only has to find keyframes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    Opus,
    Vp8,
    Vp9,
    H264,
    Av1,
}

/// ICE credentials of one side (RFC 8839, section 5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceCredentials {
    pub ufrag: String,
    pub password: String,
}

/// Hash of the certificate the remote side announced (RFC 8122).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Lower-case hash name. Only `sha-256`, `sha-384` and `sha-512` are accepted.
    pub algorithm: String,
    pub digest: Vec<u8>,
}

/// Our DTLS role: the opposite of what the remote side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtlsRole {
    /// The remote side says hello; we pick the SRTP profile.
    Server,
    /// We say hello; the remote side picks.
    Client,
    /// The same, but only AES-128-GCM is offered: a remote side without it ends up without keys.
    AeadClient,
}

impl DtlsRole {
    /// Whether we say hello.
    pub fn is_client(self) -> bool {
        self != DtlsRole::Server
    }
}

/// Header extensions the plane understands; any other is dropped at the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExtensionKind {
    /// RFC 9143, `urn:ietf:params:rtp-hdrext:sdes:mid`. Written by the plane.
    Mid,
    /// RFC 8852, `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id`. Read only.
    Rid,
    /// RFC 8852, `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id`. Read only.
    RepairedRid,
    /// RFC 6464, `urn:ietf:params:rtp-hdrext:ssrc-audio-level`. Read and passed on.
    AudioLevel,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time`. Written by the plane.
    AbsSendTime,
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01. Read; written per transport.
    TransportCc,
    /// 3GPP TS 26.114, `urn:3gpp:video-orientation`. Passed on.
    VideoOrientation,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/playout-delay`. Passed on.
    PlayoutDelay,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time`. Passed on.
    AbsCaptureTime,
    /// AV1 dependency descriptor. Read for keyframes, passed on.
    DependencyDescriptor,
}

/// One negotiated header extension (RFC 8285): ids 1..=14 or 16..=255.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtensionId {
    pub kind: ExtensionKind,
    pub id: u8,
}

/// One payload type of an m-line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecParameters {
    pub codec: Codec,
    pub payload_type: u8,
    /// Payload type of the RTX stream that repairs this one (RFC 4588).
    pub rtx_payload_type: Option<u8>,
    /// Payload type under which packets of this one may come with copies of earlier ones
    /// (RFC 2198). Opus only.
    pub red_payload_type: Option<u8>,
    pub clock_rate_hz: u32,
    /// Distinguishes variants of one codec (H.264 profile and packetization mode, VP9 profile):
    /// a consumer forwards only packets whose `codec` and `variant` it has a payload type for.
    /// Opaque to the plane; compared for equality.
    pub variant: String,
}

/// One stream of a track: several with simulcast, the smallest picture first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncodingParameters {
    pub rid: Option<String>,
    /// Known from `a=ssrc` or learnt from the MID and RID extensions.
    pub ssrc: Option<u32>,
    pub rtx_ssrc: Option<u32>,
}

/// How a published track arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerParameters {
    pub kind: MediaKind,
    pub mid: String,
    pub codecs: Vec<CodecParameters>,
    pub encodings: Vec<EncodingParameters>,
    /// Send NACKs for what is missing.
    pub nack: bool,
}

/// How a track is sent to one subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerParameters {
    pub mid: String,
    pub ssrc: u32,
    pub rtx_ssrc: Option<u32>,
    pub codecs: Vec<CodecParameters>,
    /// Answer NACKs. Over RTX where negotiated, else by sending the packet again.
    pub nack: bool,
    /// RTCP CNAME (RFC 7022): the same for all tracks of one publisher, so that they sync.
    pub cname: String,
    /// Starts without forwarding until [`Command::SetConsumerPaused`] with `false`.
    pub paused: bool,
}

/// A layer of a track: how large and how smooth.
///
/// Ordered by quality: a larger picture first, then more frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layer {
    /// Index of the encoding, as in [`ProducerParameters::encodings`]: 0 is the smallest.
    pub spatial: u8,
    /// Highest temporal layer: 0 is the base.
    pub temporal: u8,
}

impl Layer {
    /// A temporal layer above all: no frame is left out.
    pub const ALL_TEMPORAL: u8 = 7;
    /// A layer above all.
    pub const HIGHEST: Layer = Layer { spatial: u8::MAX, temporal: Layer::ALL_TEMPORAL };
}

/// What a subscriber wants of a video track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerWish {
    /// The best layer that is of use. `None`: the track is not shown, send nothing.
    pub preferred: Option<Layer>,
    /// Class among the subscriber's tracks when its link cannot carry all: 0 comes first.
    pub priority: u8,
}

impl Default for LayerWish {
    fn default() -> LayerWish {
        LayerWish { preferred: Some(Layer::HIGHEST), priority: 0 }
    }
}

/// Why a subscription gets another layer. A closed set: it is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LayerSwitchReason {
    /// The subscriber wants more or less.
    Wish,
    /// Its link can carry more or less.
    Budget,
    /// The publisher began or stopped sending an encoding.
    Encoding,
}

impl LayerSwitchReason {
    /// All values, in declaration order: the index is `reason as usize`.
    pub const ALL: [LayerSwitchReason; 3] =
        [LayerSwitchReason::Wish, LayerSwitchReason::Budget, LayerSwitchReason::Encoding];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            LayerSwitchReason::Wish => "wish",
            LayerSwitchReason::Budget => "budget",
            LayerSwitchReason::Encoding => "encoding",
        }
    }
}

/// What Python asks of an engine. Commands for something unknown yield [`Event::CommandFailed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    CreateRoom {
        room: RoomId,
    },
    /// Closes all transports of the room.
    CloseRoom {
        room: RoomId,
    },
    CreateTransport {
        room: RoomId,
        transport: TransportId,
        local_ice: IceCredentials,
        remote_ice: IceCredentials,
        remote_fingerprints: Vec<Fingerprint>,
        dtls_role: DtlsRole,
    },
    /// Old credentials keep working until a check arrives with the new ones (RFC 8445, 9).
    RestartIce {
        transport: TransportId,
        local_ice: IceCredentials,
        remote_ice: IceCredentials,
    },
    /// Replaces the whole table; the same ids serve both directions of the bundle.
    SetExtensions {
        transport: TransportId,
        extensions: Vec<ExtensionId>,
    },
    CloseTransport {
        transport: TransportId,
    },
    AddProducer {
        transport: TransportId,
        producer: ProducerId,
        parameters: ProducerParameters,
    },
    /// Renegotiation changed payload types or SSRCs; consumers stay attached.
    UpdateProducer {
        producer: ProducerId,
        parameters: ProducerParameters,
    },
    /// Consumers stay, without a source, until removed or given another.
    RemoveProducer {
        producer: ProducerId,
    },
    /// A muted producer is received and counted but not forwarded.
    SetProducerPaused {
        producer: ProducerId,
        paused: bool,
    },
    RequestKeyframe {
        producer: ProducerId,
    },
    /// Captures a producer's packets under this name from now on, `None`: no longer. All encodings
    /// that arrive are taken, the largest counts as wanted, and lost packets are asked for
    /// longer than anybody waits for them.
    SetCapture {
        producer: ProducerId,
        capture: Option<CaptureId>,
    },
    /// Hands a producer's packets of one encoding to analytics from now on, `None`: no longer.
    /// The encoding counts as wanted. Losing packets of a tap harms nothing else.
    SetTap {
        producer: ProducerId,
        wish: Option<TapWish>,
    },
    /// A track's recording pauses or goes on, apart from whether the track is muted.
    PauseCapture {
        producer: ProducerId,
        paused: bool,
    },
    /// Nothing more is captured under this name: its last file ends.
    CloseCapture {
        capture: CaptureId,
    },
    AddConsumer {
        transport: TransportId,
        consumer: ConsumerId,
        producer: ProducerId,
        parameters: ConsumerParameters,
    },
    UpdateConsumer {
        consumer: ConsumerId,
        parameters: ConsumerParameters,
    },
    /// Continues sequence numbers, timestamps and SSRC from another source, from its next
    /// keyframe on: the publisher reloaded its page and came back.
    SetConsumerSource {
        consumer: ConsumerId,
        producer: ProducerId,
    },
    SetConsumerPaused {
        consumer: ConsumerId,
        paused: bool,
    },
    /// Says what of a video track is of use; everything, first class, until then.
    SetConsumerLayers {
        consumer: ConsumerId,
        wish: LayerWish,
    },
    RemoveConsumer {
        consumer: ConsumerId,
    },
    /// Makes the next packet of the room panic: proves that one room cannot take others along.
    InjectPanic {
        room: RoomId,
    },
}

/// Life of a transport as seen from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportState {
    /// Waiting for the first authenticated connectivity check.
    New,
    /// ICE has a pair; DTLS is under way.
    Connecting,
    /// Media flows.
    Connected,
    /// Nothing authenticated arrived for a while. May come back.
    Disconnected,
    /// Final: consent expired or DTLS failed. See `reason`.
    Failed,
    /// Final: closed by command or by the remote side's close_notify.
    Closed,
}

/// Why a transport reached a final state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    None,
    Command,
    RemoteClosed,
    ConsentExpired,
    DtlsFailed,
    DtlsTimeout,
    FingerprintMismatch,
    NoSrtpProfile,
    RoomClosed,
    RoomPanicked,
}

/// SRTP protection profile (RFC 5764, RFC 7714).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SrtpProfile {
    AeadAes128Gcm,
    AeadAes256Gcm,
    Aes128CmSha1_80,
}

/// What the plane reports. Never one per packet.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    TransportStateChanged {
        transport: TransportId,
        state: TransportState,
        reason: CloseReason,
    },
    /// Sent once per handshake, before `Connected`.
    TransportSecured {
        transport: TransportId,
        dtls_version: &'static str,
        profile: SrtpProfile,
    },
    /// Where media goes: once per handshake, and whenever the remote side moves to another address
    /// (network switch). The address is personal data.
    TransportMoved {
        transport: TransportId,
        remote: Remote,
    },
    /// First packet of a producer after it was added or unpaused.
    ProducerStarted {
        producer: ProducerId,
        codec: Codec,
    },
    /// First packet forwarded to a consumer after it was added, unpaused or re-sourced.
    ConsumerStarted {
        consumer: ConsumerId,
    },
    /// Which encodings of a producer anybody wants, in their order. Only told when it changes;
    /// all of them until then. An encoding is given up about 2 s after the last wish for it.
    ProducerDemand {
        producer: ProducerId,
        encodings: Vec<bool>,
    },
    /// A consumer gets another layer from now on, or nothing.
    ConsumerLayersChanged {
        consumer: ConsumerId,
        current: Option<Layer>,
        target: Option<Layer>,
        reason: LayerSwitchReason,
    },
    /// What the publisher of an audio track should do about the loss on its way to us, and its
    /// subscribers' on theirs. Only told when it changes; nothing until then.
    AudioProtection {
        producer: ProducerId,
        /// How many frames earlier the frames were of which each packet should carry copies,
        /// rising, each 1..=17. Empty: no copies.
        offsets: Vec<u8>,
        /// Bit rate of the encoder with which copies fit, on both ways; `None`: as it likes.
        bitrate_bps: Option<u32>,
    },
    /// The rate a publisher's own estimate of its way to us shall stay above, in bit/s: the way
    /// loses packets whatever is sent, and its browser would take that for a narrow link. `None`:
    /// it may fall. Only told when it changes; `None` until then.
    UplinkFloor {
        transport: TransportId,
        bitrate_bps: Option<u32>,
    },
    /// How long a subscriber should hold an audio track back so that copies of what was lost come
    /// in time; zero: as it likes. Only told when it changes; zero until then.
    PlayoutDelay {
        consumer: ConsumerId,
        delay_ms: u32,
    },
    /// Audio levels of a room, at most every 200 ms, only where something changed:
    /// `(producer, level)`, level 0 (digital full scale) to 127 (silence) as in RFC 6464.
    AudioLevels {
        room: RoomId,
        levels: Vec<(ProducerId, u8)>,
    },
    /// `None`: nobody speaks.
    ActiveSpeaker {
        room: RoomId,
        producer: Option<ProducerId>,
    },
    /// The room is gone with all its transports; other rooms go on.
    RoomPanicked {
        room: RoomId,
        message: String,
    },
    CommandFailed {
        command: &'static str,
        id: u64,
        message: String,
    },
    /// The event queue overflowed; `count` events before this one are lost.
    EventsDropped {
        count: u64,
    },
}

/// Why a packet was not forwarded. A closed set: it is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DropReason {
    /// Neither STUN, DTLS, RTP nor RTCP (RFC 7983), or shorter than its header.
    Malformed,
    /// No transport has this source address.
    UnknownSource,
    /// STUN without or with wrong message integrity, or for unknown credentials.
    StunUnauthenticated,
    /// A connectivity check that came from another address before.
    StunReplay,
    /// RTP or RTCP before DTLS finished.
    NotSecured,
    /// The remote side has been silent for so long that nothing may be sent to it (RFC 7675).
    NoConsent,
    SrtpAuthentication,
    SrtpReplay,
    /// No producer claims this SSRC.
    UnknownSsrc,
    UnknownPayloadType,
    /// RTX or late packet that had already arrived.
    Duplicate,
    ProducerPaused,
    ConsumerPaused,
    /// Video cannot start in the middle of a picture group.
    AwaitingKeyframe,
    /// Another simulcast encoding, or a temporal layer above the wanted one.
    LayerNotWanted,
    /// The subscriber did not negotiate this codec.
    CodecMismatch,
    /// The socket's send buffer was full.
    SendBufferFull,
    /// Too much waited already to be sent over a TCP connection.
    TcpBufferFull,
    /// It waited too long behind a TCP connection that had stalled.
    TcpLate,
    /// The kernel refused the datagram.
    SendFailed,
    /// Larger than the MTU after rewriting.
    TooLarge,
    /// A bounded table was full (SSRCs per transport, transports per room, …).
    LimitReached,
    RoomGone,
    /// The queue that spreads bursts to a subscriber was full.
    PacerOverflow,
    /// Its transport ended while it waited or before it came.
    TransportClosed,
    /// Its subscription ended while it waited.
    ConsumerGone,
    /// Asked for again, and no longer there.
    NotCached,
    /// Asked for again while the last copy was probably still under way.
    TooSoon,
    /// Asked for again more often than the path to the subscriber bears.
    OverBudget,
    /// Asked for again by a subscriber that did not negotiate to.
    RepairOff,
    /// Asked for again, but copies of it are in packets the subscriber has or is being sent.
    CopySent,
    /// An audio track brought more than sound can be.
    RateExceeded,
}

impl DropReason {
    /// All values, in declaration order: the index is `reason as usize`.
    pub const ALL: [DropReason; 32] = [
        DropReason::Malformed,
        DropReason::UnknownSource,
        DropReason::StunUnauthenticated,
        DropReason::StunReplay,
        DropReason::NotSecured,
        DropReason::NoConsent,
        DropReason::SrtpAuthentication,
        DropReason::SrtpReplay,
        DropReason::UnknownSsrc,
        DropReason::UnknownPayloadType,
        DropReason::Duplicate,
        DropReason::ProducerPaused,
        DropReason::ConsumerPaused,
        DropReason::AwaitingKeyframe,
        DropReason::LayerNotWanted,
        DropReason::CodecMismatch,
        DropReason::SendBufferFull,
        DropReason::TcpBufferFull,
        DropReason::TcpLate,
        DropReason::SendFailed,
        DropReason::TooLarge,
        DropReason::LimitReached,
        DropReason::RoomGone,
        DropReason::PacerOverflow,
        DropReason::TransportClosed,
        DropReason::ConsumerGone,
        DropReason::NotCached,
        DropReason::TooSoon,
        DropReason::OverBudget,
        DropReason::RepairOff,
        DropReason::CopySent,
        DropReason::RateExceeded,
    ];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            DropReason::Malformed => "malformed",
            DropReason::UnknownSource => "unknown_source",
            DropReason::StunUnauthenticated => "stun_unauthenticated",
            DropReason::StunReplay => "stun_replay",
            DropReason::NotSecured => "not_secured",
            DropReason::NoConsent => "no_consent",
            DropReason::SrtpAuthentication => "srtp_authentication",
            DropReason::SrtpReplay => "srtp_replay",
            DropReason::UnknownSsrc => "unknown_ssrc",
            DropReason::UnknownPayloadType => "unknown_payload_type",
            DropReason::Duplicate => "duplicate",
            DropReason::ProducerPaused => "producer_paused",
            DropReason::ConsumerPaused => "consumer_paused",
            DropReason::AwaitingKeyframe => "awaiting_keyframe",
            DropReason::LayerNotWanted => "layer_not_wanted",
            DropReason::CodecMismatch => "codec_mismatch",
            DropReason::SendBufferFull => "send_buffer_full",
            DropReason::TcpBufferFull => "tcp_buffer_full",
            DropReason::TcpLate => "tcp_late",
            DropReason::SendFailed => "send_failed",
            DropReason::TooLarge => "too_large",
            DropReason::LimitReached => "limit_reached",
            DropReason::RoomGone => "room_gone",
            DropReason::PacerOverflow => "pacer_overflow",
            DropReason::TransportClosed => "transport_closed",
            DropReason::ConsumerGone => "consumer_gone",
            DropReason::NotCached => "not_cached",
            DropReason::TooSoon => "too_soon",
            DropReason::OverBudget => "over_budget",
            DropReason::RepairOff => "repair_off",
            DropReason::CopySent => "copy_sent",
            DropReason::RateExceeded => "rate_exceeded",
        }
    }
}

/// Copies of earlier frames in one audio packet, at most.
pub const MAX_COPIES: usize = crate::protect::MAX_SPAN as usize;

/// Upper bounds in seconds of the forward-delay histogram; one more bucket counts the rest.
pub const FORWARD_DELAY_BOUNDS_S: [f64; 12] =
    [0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2];

/// Counters of one engine since it started. Indices of the pairs: `[audio, video]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EngineCounters {
    pub rtp_packets_in: [u64; 2],
    /// Handed over to be sent; what the kernel then refuses is among the dropped.
    pub rtp_packets_out: [u64; 2],
    pub rtp_bytes_in: [u64; 2],
    pub rtp_bytes_out: [u64; 2],
    pub rtcp_packets_in: u64,
    pub rtcp_packets_out: u64,
    /// Packets that never arrived although later ones did (RFC 3550 A.3), per kind.
    pub rtp_lost: [u64; 2],
    pub nack_sent: u64,
    pub nack_received: u64,
    pub pli_sent: u64,
    pub pli_received: u64,
    /// Of those, answered by repairing the keyframe that was under way.
    pub keyframes_repaired: u64,
    /// Losses of publishers left out of congestion feedback: they have nothing to do with the
    /// rate.
    pub losses_untold: u64,
    pub retransmissions_in: u64,
    pub retransmissions_out: u64,
    /// Packets of video sent again before a subscriber asked for them.
    pub echoes_out: u64,
    /// The same that were not sent: neither there any more nor within what is followed.
    pub echoes_missed: u64,
    /// And how often one had to wait because the path takes no more.
    pub echoes_postponed: u64,
    /// Packets sent again only to find out what the path takes.
    pub padding_out: u64,
    /// NACKed by a subscriber but no longer in the cache.
    pub retransmissions_missed: u64,
    /// Sums over all stages but [`Stage::Nack`](crate::ledger::Stage). Known to snapshots only.
    pub dropped: [u64; DropReason::ALL.len()],
    /// What became of every packet.
    pub ledger: Ledger,
    /// Subscriptions that got a higher layer, by [`LayerSwitchReason`].
    pub layer_switches_up: [u64; LayerSwitchReason::ALL.len()],
    /// Subscriptions that got a lower layer or nothing any more, by [`LayerSwitchReason`].
    pub layer_switches_down: [u64; LayerSwitchReason::ALL.len()],
    /// RED packets of publishers.
    pub red_packets_in: u64,
    /// Frames of audio that came as copies only.
    pub audio_frames_recovered: u64,
    /// Audio packets to subscribers that take RED, by how many copies they carry.
    pub audio_copies_out: [u64; MAX_COPIES + 1],
    /// Empty packets sent in places that would else have stayed gaps.
    pub fillers_out: u64,
    /// Not cumulative; one per bound and one for the rest.
    pub forward_delay_buckets: [u64; FORWARD_DELAY_BOUNDS_S.len() + 1],
    pub forward_delay_sum_s: f64,
    pub dtls_handshakes: u64,
    pub dtls_failures: u64,
    pub room_panics: u64,
}

/// State of one transport when the snapshot was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct TransportStats {
    pub transport: TransportId,
    pub room: RoomId,
    pub state: TransportState,
    /// What media is sent over, `None` while there is no path.
    pub protocol: Option<Protocol>,
    /// From RTCP (LSR/DLSR), `None` until known.
    pub rtt_s: Option<f64>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// What may be sent to the subscriber, retransmissions included; `None` until it said
    /// anything about it.
    pub estimate_bps: Option<u64>,
    /// What arrives there, by transport-wide feedback.
    pub acked_bps: Option<u64>,
    /// Time the last packet in the pacer's queue will wait.
    pub pacer_queue_ms: f64,
    /// Share of what was sent lately and lost on the way, 0..=1.
    pub send_loss_ratio: Option<f64>,
    /// What its tracks could use at the layers they want.
    pub wanted_bps: u64,
    /// Bytes this transport holds in caches, tables and buffers.
    pub memory_bytes: u64,
}

/// State of one producer when the snapshot was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct ProducerStats {
    pub producer: ProducerId,
    pub transport: TransportId,
    pub kind: MediaKind,
    pub packets: u64,
    pub bytes: u64,
    /// Cumulative after repair (RFC 3550 A.3 less what came back), never negative.
    pub lost: u64,
    /// Cumulative share repaired by retransmission.
    pub repaired: u64,
    /// Of the last second, 0..=1, before repair.
    pub loss_ratio: f64,
    pub jitter_s: f64,
    pub bitrate_bps: u64,
    pub keyframes: u64,
    pub encodings: Vec<EncodingStats>,
}

/// State of one encoding of a producer.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodingStats {
    pub rid: Option<String>,
    /// Media arrived lately.
    pub live: bool,
    /// Somebody wants it.
    pub wanted: bool,
    pub bitrate_bps: u64,
    pub temporal_layers: u8,
    /// Pixels, where its keyframes name them in plain bytes (VP8, VP9).
    pub width: Option<u16>,
    pub height: Option<u16>,
}

/// State of one consumer when the snapshot was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerStats {
    pub consumer: ConsumerId,
    pub transport: TransportId,
    pub producer: Option<ProducerId>,
    pub packets: u64,
    pub bytes: u64,
    /// Packets sent again, padding included.
    pub retransmitted: u64,
    /// What the subscriber reported last (receiver report), 0..=1; `None` before the first.
    pub loss_ratio: Option<f64>,
    pub jitter_s: Option<f64>,
    pub rtt_s: Option<f64>,
    pub bitrate_bps: u64,
    /// What the subscriber wants; `None`: nothing.
    pub preferred: Option<Layer>,
    /// What it shall get now.
    pub target: Option<Layer>,
    /// What it gets. The temporal layer is the highest that passes.
    pub current: Option<Layer>,
    pub priority: u8,
}

/// Everything that can be seen of an engine. Taken about once a second, room after room (see
/// [`Survey`](crate::Survey)): a room's parts are of one moment, and all counters but `rtp_lost` are
/// of the last one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    pub counters: EngineCounters,
    pub rooms: u64,
    pub transports: Vec<TransportStats>,
    pub producers: Vec<ProducerStats>,
    pub consumers: Vec<ConsumerStats>,
}
