"""Settings of the ``sfu`` package."""

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from sfu.contradiction import contradiction
from sfu.section import Section

__all__ = ["AudioCodec", "SfuConfig", "VideoCodec", "parse_advertised"]

AudioCodec = Literal["opus"]
VideoCodec = Literal["vp8", "vp9", "h264", "av1"]


def _advertised(text: str) -> str:
    parse_advertised(text)
    return text


class SfuConfig(Section):
    """Rooms, limits and what is negotiated."""

    audio_codecs: tuple[AudioCodec, ...] = Field(
        default=("opus",),
        min_length=1,
        description="Audio codecs that may be negotiated; the client's order of preference counts.",
    )
    video_codecs: tuple[VideoCodec, ...] = Field(
        default=("vp8", "vp9", "h264", "av1"),
        min_length=1,
        description="Video codecs that may be negotiated; the client's order of preference counts.",
    )
    advertised_addresses: tuple[Annotated[str, AfterValidator(_advertised)], ...] = Field(
        default=(),
        max_length=16,
        description=(
            "IP addresses clients reach this machine at, IPv4 or IPv6, best first; with a port "
            "('192.0.2.1:40000', '[2001:db8::1]:40000') only where a NAT maps it to another "
            "than the one listened on, then with one engine only. Empty: the addresses listened "
            "on, or those of all interfaces."
        ),
    )
    max_rooms: int = Field(
        default=500, ge=1, le=100_000, description="Rooms at the same time in this process."
    )
    max_participants_per_room: int = Field(
        default=12,
        ge=1,
        le=64,
        description="Participants in one room, hidden supervisors included.",
    )
    max_tracks_per_participant: int = Field(
        default=4,
        ge=1,
        le=4,
        description="Tracks one participant may publish: microphone, camera, screen, screen audio.",
    )

    screen_first: bool = Field(
        default=False,
        description=(
            "When a participant's link can't carry all: a shared screen before faces. Without it "
            "the faces of RM and customer come first, then experts, then screens."
        ),
    )


def parse_advertised(text: str) -> tuple[str, int | None]:
    """Splits an advertised address into IP address and port.

    Returns:
        The address in canonical form, and the port or ``None`` for the engine's own.

    Raises:
        ValueError: neither an IP address nor ``address:port``.
    """
    host, port = text.strip(), None
    if host.startswith("[") and "]:" in host:
        host, _, tail = host[1:].partition("]:")
        port = tail
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise contradiction(
            "{value} is not an IP address; write '192.0.2.1', '2001:db8::1' or with a port "
            "'192.0.2.1:40000', '[2001:db8::1]:40000'",
            value=repr(text),
        ) from None
    if address.is_unspecified or address.is_multicast:
        raise contradiction(
            "{value} can't be reached by a client; name a concrete address", value=repr(text)
        )
    if port is None:
        return str(address), None
    if not port.isascii() or not port.isdigit() or not 1 <= int(port[:6]) <= 65535:
        raise contradiction("{value}: the port must be 1 to 65535", value=repr(text))
    return str(address), int(port)
