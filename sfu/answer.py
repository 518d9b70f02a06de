"""Writes answers.

Spec: RFC 8829 (JSEP), section 5.3; RFC 9143 (BUNDLE); RFC 8839 (ICE-lite, no trickle).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sfu.codecs import Format
from sfu.plane import Ice
from sfu.sdp import RemoteDescription, RemoteSection

__all__ = ["AnswerLine", "LocalTransport", "SentTrack", "candidate_lines", "write_answer"]

HOST_TYPE_PREFERENCE = 126
"""RFC 8445, section 5.1.2.2."""

TCP_TYPE_PREFERENCE = 90
"""Below everything over UDP but a relay (RFC 6544, section 4.2): UDP is used wherever it works."""

PASSIVE_DIRECTION_PREFERENCE = 4
"""Of host candidates others connect to (RFC 6544, section 4.2)."""


@dataclass(frozen=True, slots=True)
class SentTrack:
    """What the server sends on a line."""

    ssrc: int
    rtx_ssrc: int | None
    cname: str
    stream_id: str
    track_id: str


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """The server's side of one m-section.

    Attributes:
        section: the client's side.
        accepted: ``False`` writes port 0.
        receives: whether the server takes what the client sends.
        sent: what the server sends, if anything.
        formats: payload types, in the client's order.
        extensions: ``(id, URI)``.
        rids: simulcast streams the server takes, in the client's order.
    """

    section: RemoteSection
    accepted: bool
    receives: bool = False
    sent: SentTrack | None = None
    formats: tuple[Format, ...] = ()
    extensions: tuple[tuple[int, str], ...] = ()
    rids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """The server's side of the association.

    Attributes:
        setup: ``passive`` or ``active``.
        addresses: ``(IP address, port)``, best first.
        tcp_addresses: the same for clients whose network has no UDP.
    """

    ice: Ice
    fingerprint: str
    setup: str
    addresses: Sequence[tuple[str, int]]
    tcp_addresses: Sequence[tuple[str, int]] = ()


def write_answer(
    remote: RemoteDescription,
    lines: Sequence[AnswerLine],
    transport: LocalTransport | None,
    *,
    session_id: int,
    version: int,
) -> str:
    """The answer as text.

    Args:
        remote: the offer.
        lines: one per m-section of the offer, in its order.
        transport: ``None`` only where no line is accepted.
        session_id: of the ``o=`` line, one per client connection.
        version: grows with every answer of a session.
    """
    accepted = {line.section.mid for line in lines if line.accepted}
    bundle = [mid for mid in remote.bundle if mid in accepted]
    text = [
        "v=0",
        f"o=- {session_id} {version} IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        *(["a=extmap-allow-mixed"] if remote.allow_mixed else []),
        *([f"a=group:BUNDLE {' '.join(bundle)}"] if bundle else []),
        "a=msid-semantic: WMS *",
    ]
    for line in lines:
        if not line.accepted or transport is None:
            text += _rejected(line.section)
            continue
        text += _accepted(line, transport)
        # Those of the bundle's first line would do (RFC 9143, section 8), and browsers look at
        # no other; aiortc looks at the last line that shares a transport.
        text += candidate_lines(transport.addresses, transport.tcp_addresses)
    return "\r\n".join(text) + "\r\n"


def _rejected(section: RemoteSection) -> Iterable[str]:
    yield f"m={section.media} 0 {section.protocol} {' '.join(section.formats)}"
    yield "c=IN IP4 0.0.0.0"
    if section.mid:
        yield f"a=mid:{section.mid}"
    yield "a=inactive"


def _accepted(line: AnswerLine, transport: LocalTransport) -> Iterable[str]:
    section = line.section
    payload_types = [number for item in line.formats for number in _numbers(item, section)]
    payload_types += [
        item.rtx_payload_type for item in line.formats if item.rtx_payload_type is not None
    ]
    yield f"m={section.media} 9 {section.protocol} {' '.join(map(str, payload_types))}"
    yield "c=IN IP4 0.0.0.0"
    yield "a=rtcp:9 IN IP4 0.0.0.0"
    yield f"a=ice-ufrag:{transport.ice.ufrag}"
    yield f"a=ice-pwd:{transport.ice.password}"
    yield f"a=fingerprint:sha-256 {transport.fingerprint}"
    yield f"a=setup:{transport.setup}"
    yield f"a=mid:{section.mid}"
    for number, uri in line.extensions:
        yield f"a=extmap:{number} {uri}"
    yield f"a={_direction(line)}"
    if line.sent is not None:
        yield f"a=msid:{line.sent.stream_id} {line.sent.track_id}"
    yield "a=rtcp-mux"
    if section.rtcp_rsize:
        yield "a=rtcp-rsize"
    for item in line.formats:
        yield from _format(item)
    if line.sent is not None:
        yield from _ssrcs(line.sent)
    if line.receives and len(line.rids) > 1:
        # RFC 8853, section 5.3.2.
        yield from (f"a=rid:{rid} recv" for rid in line.rids)
        yield f"a=simulcast:recv {';'.join(line.rids)}"


def _direction(line: AnswerLine) -> str:
    if line.sent is not None:
        return "sendrecv" if line.receives else "sendonly"
    return "recvonly" if line.receives else "inactive"


def _numbers(item: Format, section: RemoteSection) -> Iterable[int]:
    """Payload types of a format, the preferred one first.

    The order tells the client what to send: RED first where it offered so. A line that only
    receives gets what suits the loss, whatever stands first.
    """
    if item.red_payload_type is None:
        return (item.payload_type,)
    if item.red_first or not section.sends:
        return item.red_payload_type, item.payload_type
    return item.payload_type, item.red_payload_type


def _format(item: Format) -> Iterable[str]:
    yield f"a=rtpmap:{item.payload_type} {item.encoding_name}"
    for feedback in item.feedback:
        yield f"a=rtcp-fb:{item.payload_type} {feedback}"
    if item.parameters:
        pairs = ";".join(f"{key}={value}" for key, value in item.parameters)
        yield f"a=fmtp:{item.payload_type} {pairs}"
    if item.rtx_payload_type is not None:
        yield f"a=rtpmap:{item.rtx_payload_type} rtx/{item.clock_rate_hz}"
        yield f"a=fmtp:{item.rtx_payload_type} apt={item.payload_type}"
    if item.red_payload_type is not None:
        # RFC 2198, section 5. Browsers read the two, and send and take any number.
        yield f"a=rtpmap:{item.red_payload_type} red/{item.clock_rate_hz}/2"
        yield f"a=fmtp:{item.red_payload_type} {item.payload_type}/{item.payload_type}"


def _ssrcs(sent: SentTrack) -> Iterable[str]:
    if sent.rtx_ssrc is not None:
        yield f"a=ssrc-group:FID {sent.ssrc} {sent.rtx_ssrc}"
    for ssrc in (sent.ssrc, sent.rtx_ssrc):
        if ssrc is not None:
            yield f"a=ssrc:{ssrc} cname:{sent.cname}"
            yield f"a=ssrc:{ssrc} msid:{sent.stream_id} {sent.track_id}"


def candidate_lines(
    addresses: Sequence[tuple[str, int]], tcp_addresses: Sequence[tuple[str, int]]
) -> Iterable[str]:
    """All candidates of the server as attributes, and that there are no more."""
    foundation = 0
    for index, (address, port) in enumerate(addresses):
        foundation += 1
        priority = HOST_TYPE_PREFERENCE << 24 | (65535 - index) << 8 | 255
        yield f"a=candidate:{foundation} 1 udp {priority} {address} {port} typ host"
    for index, (address, port) in enumerate(tcp_addresses):
        foundation += 1
        local = PASSIVE_DIRECTION_PREFERENCE << 13 | (8191 - index)
        priority = TCP_TYPE_PREFERENCE << 24 | local << 8 | 255
        yield (
            f"a=candidate:{foundation} 1 tcp {priority} {address} {port} typ host tcptype passive"
        )
    yield "a=end-of-candidates"
