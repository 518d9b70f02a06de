"""Header extensions the plane understands."""

from collections.abc import Mapping

__all__ = ["EXTENSION_URIS", "STREAM_ID_URIS", "TRANSPORT_CC"]

TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

STREAM_ID_URIS: Mapping[str, str] = {
    "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id": "rid",
    "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id": "repaired_rid",
}
"""Of RFC 8852; negotiated on lines that offer ``a=rid`` only."""

EXTENSION_URIS: Mapping[str, str] = {
    "urn:ietf:params:rtp-hdrext:sdes:mid": "mid",
    **STREAM_ID_URIS,
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level": "audio_level",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time": "abs_send_time",
    TRANSPORT_CC: "transport_cc",
    "urn:3gpp:video-orientation": "video_orientation",
    "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay": "playout_delay",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time": "abs_capture_time",
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension": (
        "dependency_descriptor"
    ),
}
"""URI → name in ``Engine.set_extensions``."""
