//! Words of the Python side for the enums of the plane.

use media_core::api::{
    CloseReason, Codec, DtlsRole, ExtensionKind, Layer, MediaKind, SrtpProfile, TransportState,
};

pub(crate) const KINDS: &[(&str, MediaKind)] =
    &[("audio", MediaKind::Audio), ("video", MediaKind::Video)];

pub(crate) const CODECS: &[(&str, Codec)] = &[
    ("opus", Codec::Opus),
    ("vp8", Codec::Vp8),
    ("vp9", Codec::Vp9),
    ("h264", Codec::H264),
    ("av1", Codec::Av1),
];

pub(crate) const DTLS_ROLES: &[(&str, DtlsRole)] = &[
    ("server", DtlsRole::Server),
    ("client", DtlsRole::Client),
    ("aead_client", DtlsRole::AeadClient),
];

pub(crate) const EXTENSIONS: &[(&str, ExtensionKind)] = &[
    ("mid", ExtensionKind::Mid),
    ("rid", ExtensionKind::Rid),
    ("repaired_rid", ExtensionKind::RepairedRid),
    ("audio_level", ExtensionKind::AudioLevel),
    ("abs_send_time", ExtensionKind::AbsSendTime),
    ("transport_cc", ExtensionKind::TransportCc),
    ("video_orientation", ExtensionKind::VideoOrientation),
    ("playout_delay", ExtensionKind::PlayoutDelay),
    ("abs_capture_time", ExtensionKind::AbsCaptureTime),
    ("dependency_descriptor", ExtensionKind::DependencyDescriptor),
];

/// Usable fingerprint algorithms and the length of their digests.
pub(crate) const DIGEST_BYTES: &[(&str, usize)] =
    &[("sha-256", 32), ("sha-384", 48), ("sha-512", 64)];

pub(crate) fn kind(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

pub(crate) fn codec(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "opus",
        Codec::Vp8 => "vp8",
        Codec::Vp9 => "vp9",
        Codec::H264 => "h264",
        Codec::Av1 => "av1",
    }
}

/// What a codec's payload is.
pub(crate) fn kind_of(codec: Codec) -> MediaKind {
    match codec {
        Codec::Opus => MediaKind::Audio,
        Codec::Vp8 | Codec::Vp9 | Codec::H264 | Codec::Av1 => MediaKind::Video,
    }
}

pub(crate) fn state(state: TransportState) -> &'static str {
    match state {
        TransportState::New => "new",
        TransportState::Connecting => "connecting",
        TransportState::Connected => "connected",
        TransportState::Disconnected => "disconnected",
        TransportState::Failed => "failed",
        TransportState::Closed => "closed",
    }
}

pub(crate) fn reason(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::None => "none",
        CloseReason::Command => "command",
        CloseReason::RemoteClosed => "remote_closed",
        CloseReason::ConsentExpired => "consent_expired",
        CloseReason::DtlsFailed => "dtls_failed",
        CloseReason::DtlsTimeout => "dtls_timeout",
        CloseReason::FingerprintMismatch => "fingerprint_mismatch",
        CloseReason::NoSrtpProfile => "no_srtp_profile",
        CloseReason::RoomClosed => "room_closed",
        CloseReason::RoomPanicked => "room_panicked",
    }
}

/// A layer as ``(spatial, temporal)``.
pub(crate) fn layer(layer: Option<Layer>) -> Option<(u8, u8)> {
    layer.map(|layer| (layer.spatial, layer.temporal))
}

pub(crate) fn profile(profile: SrtpProfile) -> &'static str {
    match profile {
        SrtpProfile::AeadAes128Gcm => "aead_aes_128_gcm",
        SrtpProfile::AeadAes256Gcm => "aead_aes_256_gcm",
        SrtpProfile::Aes128CmSha1_80 => "aes128_cm_sha1_80",
    }
}
