"""Which codecs of an offer are forwarded, and when two payload types mean the same."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from aiortc.sdp import H264_PROFILE_PATTERNS

from sfu.model import Kind

__all__ = ["Format", "RtpMap", "formats_in_common", "select_formats"]

CLOCK_RATES_HZ: Mapping[str, int] = {
    "opus": 48_000,
    "vp8": 90_000,
    "vp9": 90_000,
    "h264": 90_000,
    "av1": 90_000,
}

FORMAT_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "opus": ("minptime", "maxplaybackrate", "stereo", "sprop-stereo", "useinbandfec"),
    "vp8": ("max-fs", "max-fr"),
    "vp9": ("profile-id", "max-fs", "max-fr"),
    "h264": ("level-asymmetry-allowed", "packetization-mode", "profile-level-id"),
    "av1": ("level-idx", "profile", "tier"),
}
"""Format parameters an answer repeats; encoder hints of one browser are not passed on."""

FEEDBACK: Mapping[Kind, tuple[str, ...]] = {
    Kind.AUDIO: ("nack", "transport-cc"),
    Kind.VIDEO: ("nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"),
}

KNOWN_FEEDBACK = frozenset(value for values in FEEDBACK.values() for value in values)

MAX_FORMATS = 64
"""Payload types the plane takes for one m-line; more of them are left out."""

MAX_RED_BLOCKS = 32
"""What browsers read of one packet."""

VP9_PROFILES = ("0", "2")
AV1_PROFILES = ("0", "1", "2")
H264_PACKETIZATION_MODES = ("0", "1")
H264_DEFAULT_PROFILE_LEVEL_ID = "420010"
"""RFC 6184, section 8.1: Baseline at level 1 where the parameter is missing."""


@dataclass(frozen=True, slots=True)
class RtpMap:
    """One ``a=rtpmap`` of an offer with what refers to it.

    Attributes:
        name: encoding name in lower case.
        parameters: of ``a=fmtp``, names in lower case.
        feedback: of ``a=rtcp-fb``, such as ``nack pli``.
    """

    payload_type: int
    name: str
    clock_rate_hz: int
    channels: int
    parameters: Mapping[str, str]
    feedback: Sequence[str]


@dataclass(frozen=True, slots=True)
class Format:
    """A payload type both sides agree on.

    Attributes:
        codec: name of the plane: opus, vp8, vp9, h264, av1.
        encoding_name: as the offer spelt it, with clock rate and channels: ``VP8/90000``.
        rtx_payload_type: of its retransmissions (RFC 4588).
        red_payload_type: of its packets with copies of earlier ones (RFC 2198).
        red_first: the offer puts those packets before plain ones: it will send them.
        variant: equal where one side's stream can be decoded by the other.
        parameters: of the answer's ``a=fmtp``.
        feedback: of the answer's ``a=rtcp-fb``.
    """

    codec: str
    payload_type: int
    clock_rate_hz: int
    encoding_name: str
    rtx_payload_type: int | None
    variant: str
    parameters: tuple[tuple[str, str], ...]
    feedback: tuple[str, ...]
    red_payload_type: int | None = None
    red_first: bool = False

    @property
    def nack(self) -> bool:
        """Whether missing packets may be asked for."""
        return "nack" in self.feedback

    @property
    def key(self) -> tuple[str, str]:
        """What must be equal for a stream to be forwarded."""
        return self.codec, self.variant


def select_formats(
    offered: Sequence[RtpMap], kind: Kind, allowed: Collection[str], *, transport_cc: bool
) -> tuple[Format, ...]:
    """The offered payload types this server forwards, in the client's order.

    Args:
        offered: in order of the m-line.
        kind: of the m-line.
        allowed: codec names of the configuration.
        transport_cc: whether the m-line negotiates the transport-wide sequence number.
    """
    retransmissions: dict[int, int] = {}
    for item in offered:
        apt = item.parameters.get("apt", "")
        if item.name == "rtx" and apt.isascii() and apt.isdigit() and len(apt) <= 3:
            retransmissions.setdefault(int(apt), item.payload_type)
    redundant = _redundant(offered)
    order = [item.payload_type for item in offered]
    selected = []
    for item in offered:
        if item.name not in allowed or item.clock_rate_hz != CLOCK_RATES_HZ[item.name]:
            continue
        if item.name == "opus" and item.channels != 2:
            continue
        variant = _variant(item)
        if variant is None:
            continue
        red = redundant.get(item.payload_type) if item.name == "opus" else None
        selected.append(
            Format(
                codec=item.name,
                payload_type=item.payload_type,
                clock_rate_hz=item.clock_rate_hz,
                encoding_name=_encoding_name(item),
                rtx_payload_type=retransmissions.get(item.payload_type),
                variant=variant,
                parameters=_parameters(item),
                feedback=_feedback(item, kind, transport_cc=transport_cc),
                red_payload_type=red,
                red_first=red is not None and order.index(red) < order.index(item.payload_type),
            )
        )
    return tuple(selected[:MAX_FORMATS])


def formats_in_common(
    subscriber: Sequence[Format], publisher: Sequence[Format]
) -> tuple[Format, ...]:
    """The subscriber's payload types for what the publisher may send, in the subscriber's order.

    Payload types that mean the same are all kept: which of them the plane takes is its choice.
    """
    keys = {item.key for item in publisher}
    return tuple(item for item in subscriber if item.key in keys)


def _redundant(offered: Sequence[RtpMap]) -> dict[int, int]:
    """Payload types of RED by the one they carry: ``111/111`` (RFC 2198, section 5)."""
    redundant: dict[int, int] = {}
    for item in offered:
        if item.name != "red" or (item.clock_rate_hz, item.channels) != (48_000, 2):
            continue
        for key in item.parameters:
            first, *others = key.split("/")
            blocks = 1 + len(others)
            if (
                2 <= blocks <= MAX_RED_BLOCKS
                and all(other == first for other in others)
                and first.isascii()
                and first.isdigit()
                and len(first) <= 3
            ):
                redundant.setdefault(int(first), item.payload_type)
    return redundant


def _variant(item: RtpMap) -> str | None:
    """Variant string, or ``None`` for a variant that isn't forwarded."""
    parameters = item.parameters
    if item.name == "vp9":
        profile = parameters.get("profile-id", "0")
        return f"profile={profile}" if profile in VP9_PROFILES else None
    if item.name == "av1":
        profile = parameters.get("profile", "0")
        return f"profile={profile}" if profile in AV1_PROFILES else None
    if item.name == "h264":
        mode = parameters.get("packetization-mode", "0")
        if mode not in H264_PACKETIZATION_MODES:
            return None
        level_id = parameters.get("profile-level-id", H264_DEFAULT_PROFILE_LEVEL_ID)
        profile_class = _h264_profile(level_id)
        return f"pm={mode};profile={profile_class}" if profile_class else None
    return ""


def _h264_profile(profile_level_id: str) -> str | None:
    """Name of the profile ``profile_idc`` and ``profile_iop`` stand for (RFC 6184, table 5)."""
    try:
        value = bytes.fromhex(profile_level_id)
    except ValueError:
        return None
    if len(value) != 3 or len(profile_level_id) != 6:
        return None
    for profile_idc, pattern, profile in H264_PROFILE_PATTERNS:
        if profile_idc == value[0] and pattern.matches(value[1]):
            return profile.name.removeprefix("PROFILE_").lower()
    return None


def _encoding_name(item: RtpMap) -> str:
    name = item.name if item.name == "opus" else item.name.upper()
    suffix = f"/{item.channels}" if item.name == "opus" else ""
    return f"{name}/{item.clock_rate_hz}{suffix}"


def _parameters(item: RtpMap) -> tuple[tuple[str, str], ...]:
    known = FORMAT_PARAMETERS[item.name]
    kept = {key: value for key, value in item.parameters.items() if key in known}
    if item.name == "opus":
        kept["useinbandfec"] = "1"
    if item.name == "h264":
        # What is sent to this client has the level of its publisher.
        kept["level-asymmetry-allowed"] = "1"
    return tuple(kept.items())


def _feedback(item: RtpMap, kind: Kind, *, transport_cc: bool) -> tuple[str, ...]:
    offered = set(item.feedback)
    if transport_cc and "transport-cc" in offered:
        offered.discard("goog-remb")
    else:
        offered.discard("transport-cc")
    return tuple(value for value in FEEDBACK[kind] if value in offered)
