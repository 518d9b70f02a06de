"""Reads offers: from untrusted text to what the negotiation needs.

Every line that matters is checked here first, by rule, so that an error can name it; the checked
lines are then read by aiortc's grammar. Lines nobody needs (candidates, bandwidth, names of
streams) are never looked at.

Spec: RFC 8866 (SDP), RFC 8829 (JSEP), RFC 9143 (BUNDLE), RFC 8285 (extmap), RFC 8839 (ICE),
RFC 8842 and 8122 (DTLS).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiortc.sdp import MediaDescription, SessionDescription

from sfu.codecs import KNOWN_FEEDBACK, RtpMap
from sfu.errors import SdpError
from sfu.model import Kind
from sfu.plane import Ice
from sfu.sdp_rules import (
    DIRECTIONS,
    MEDIA_RULES,
    SESSION_RULES,
    Rule,
    checked_extmap,
    checked_fingerprint,
    checked_formats,
    checked_ssrc,
)

__all__ = [
    "MAX_OFFER_CHARACTERS",
    "MAX_SECTIONS",
    "RemoteDescription",
    "RemoteSection",
    "parse_offer",
]

MAX_OFFER_CHARACTERS = 128 * 1024
MAX_SECTIONS = 64
MAX_SSRCS_PER_SECTION = 32
MAX_RIDS_PER_SECTION = 32
MAX_ENCODINGS = 4
"""Streams of a line that are taken; the answer leaves out what comes after them."""

_ORIGIN = re.compile(r"o=\S{1,64} (\d{1,20}) \d{1,20} IN IP[46] \S+", re.ASCII)
_MEDIA = re.compile(r"m=([A-Za-z0-9-]{1,16}) (\d{1,5}) ([A-Za-z0-9/]{1,32})((?: [!-~]+)+) ?")
_LINE = re.compile(r"[a-z]=")
_FLAGS = ("rtcp-mux", "rtcp-rsize", "bundle-only")
_RTCP_PAYLOAD_TYPES = range(64, 96)
"""RFC 5761, section 4: can't be told from RTCP on the same port."""


@dataclass(frozen=True, slots=True)
class RemoteSection:
    """One m-section of an offer.

    Attributes:
        number: position, from 1.
        media: first word of the m-line; ``kind`` where it is audio or video over SRTP.
        formats: last words of the m-line.
        active: neither stopped nor rejected; ``a=bundle-only`` lines are active.
        sends: whether the client means to send.
        receives: whether the client is ready to receive.
        extensions: URI → id.
        ssrcs: ``(ssrc, rtx_ssrc)`` where announced.
        rids: streams of a line that offers simulcast, in its order.
    """

    number: int
    media: str
    protocol: str
    formats: tuple[str, ...]
    kind: Kind | None
    mid: str
    active: bool
    sends: bool
    receives: bool
    rtp_maps: tuple[RtpMap, ...]
    extensions: Mapping[str, int]
    ssrcs: tuple[int | None, int | None]
    rids: tuple[str, ...]
    rtcp_mux: bool
    rtcp_rsize: bool


@dataclass(frozen=True, slots=True)
class RemoteDescription:
    """An offer.

    Attributes:
        session_id: of the ``o=`` line.
        bundle: mids of the BUNDLE group, in its order.
        ice: of the bundle; ``None`` without an active section.
        fingerprints: ``(algorithm, hex with colons)`` in lower case; empty like ``ice``.
        setup: ``actpass``, ``active`` or ``passive``.
        allow_mixed: two-byte header extensions may be mixed with one-byte ones.
    """

    session_id: str
    sections: tuple[RemoteSection, ...]
    bundle: tuple[str, ...]
    ice: Ice | None
    fingerprints: frozenset[tuple[str, str]]
    setup: str
    allow_mixed: bool


@dataclass(slots=True)
class _Section:
    """What the scan collects of one m-section before aiortc reads it.

    ``rtp_maps`` and ``late_lines`` describe payload types. Of the latter each is kept once, since
    reading them takes time in proportion to the payload types of the section.
    """

    number: int
    line: int
    media: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    kind: Kind | None
    lines: list[str] = field(default_factory=list)
    rtp_maps: list[str] = field(default_factory=list)
    late_lines: dict[str, str] = field(default_factory=dict)
    payload_types: set[int] = field(default_factory=set)
    flags: set[str] = field(default_factory=set)
    rids: list[str] = field(default_factory=list)
    simulcast: tuple[str, ...] | None = None
    extensions: dict[str, int] = field(default_factory=dict)
    ssrcs: set[int] = field(default_factory=set)

    @property
    def active(self) -> bool:
        return self.port != 0 or "bundle-only" in self.flags

    def codec_lines(self) -> tuple[str, ...]:
        """What describes payload types, as aiortc may read it."""
        usable = {"*", *map(str, self.payload_types)}
        late = [
            text
            for text in self.late_lines.values()
            if text.partition(":")[2].split(" ", 1)[0] in usable
        ]
        return (*self.rtp_maps, *late)

    def head(self) -> str:
        """The m-line, as aiortc may read it."""
        formats = [item for item in self.formats if self.kind and int(item) in self.payload_types]
        return f"m={self.kind or 'application'} 9 UDP/TLS/RTP/SAVPF {' '.join(formats) or '0'}"


@dataclass(slots=True)
class _Scan:
    """Result of the first pass."""

    session_id: str = ""
    lines: list[str] = field(default_factory=list)
    sections: list[_Section] = field(default_factory=list)
    bundle: tuple[str, ...] | None = None
    allow_mixed: bool = False


def parse_offer(sdp: str) -> RemoteDescription:
    """Reads an offer.

    Args:
        sdp: the text, at most ``MAX_OFFER_CHARACTERS``, with at most ``MAX_SECTIONS`` m-lines.

    Raises:
        SdpError: malformed, or asks for something this server can't do; no other exception
            whatever the text.
    """
    scan = _scan(sdp)
    text, described_by = _sanitized(scan)
    try:
        session = SessionDescription.parse(text)
    except (ValueError, LookupError, AttributeError, TypeError, AssertionError, StopIteration):
        raise SdpError(
            "the description can't be understood; send what createOffer() gave"
        ) from None
    maps = {index: _rtp_maps(session.media[index]) for index in set(described_by)}
    sections = tuple(
        _section(item, media, maps[index])
        for item, media, index in zip(scan.sections, session.media, described_by, strict=True)
    )
    _check_mids(sections)
    bundle = scan.bundle or ()
    _check_bundle(sections, bundle)
    ice, fingerprints, setup = _transport_of(sections, session.media, bundle)
    return RemoteDescription(
        session_id=scan.session_id,
        sections=sections,
        bundle=bundle,
        ice=ice,
        fingerprints=fingerprints,
        setup=setup,
        allow_mixed=scan.allow_mixed,
    )


def _sanitized(scan: _Scan) -> tuple[str, list[int]]:
    """The lines aiortc is to read, and which section describes the codecs of each.

    Browsers describe the same codecs in every line of a kind. They are read once: that is most of
    what an offer costs.
    """
    first_with: dict[tuple[object, ...], int] = {}
    described_by: list[int] = []
    lines = ["v=0", *scan.lines]
    for index, item in enumerate(scan.sections):
        codecs = item.codec_lines()
        described_by.append(first_with.setdefault((item.kind, *codecs), index))
        lines += [item.head(), *item.lines]
        if described_by[-1] == index:
            lines += codecs
    return "\r\n".join([*lines, ""]), described_by


def _scan(sdp: str) -> _Scan:
    if len(sdp) > MAX_OFFER_CHARACTERS:
        raise SdpError(
            f"the offer has {len(sdp)} characters, at most {MAX_OFFER_CHARACTERS} are read; "
            "offer fewer lines or codecs"
        )
    scan = _Scan()
    for number, raw in enumerate(sdp.split("\n"), start=1):
        line = raw.removesuffix("\r")
        if number == 1 and line != "v=0":
            raise SdpError("a description starts with 'v=0'", line=1)
        if not line:
            continue
        section = scan.sections[-1] if scan.sections else None
        if not _LINE.match(line):
            raise SdpError(
                "not of the form <letter>=<value>",
                line=number,
                section=section.number if section else None,
            )
        if line.startswith("m="):
            scan.sections.append(_media_line(line, number, len(scan.sections) + 1))
        elif line.startswith("o=") and section is None:
            origin = _ORIGIN.fullmatch(line)
            if origin is None:
                raise SdpError("the o= line is malformed (RFC 8866, 5.2)", line=number)
            scan.session_id = origin.group(1)
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            if section is None:
                _session_attribute(scan, name, value, number)
            else:
                _media_attribute(scan, section, name, value, number)
    if not scan.session_id:
        raise SdpError("the o= line is missing")
    return scan


def _media_line(line: str, number: int, position: int) -> _Section:
    if position > MAX_SECTIONS:
        raise SdpError(f"more than {MAX_SECTIONS} m-lines; reuse stopped ones", line=number)
    match = _MEDIA.fullmatch(line)
    if match is None:
        raise SdpError("the m-line is malformed (RFC 8866, 5.14)", line=number, section=position)
    media, port, protocol, formats = match.groups()
    if int(port) > 65535:
        raise SdpError("the port is above 65535", line=number, section=position)
    rtp = media in ("audio", "video") and protocol.endswith("RTP/SAVPF")
    section = _Section(
        number=position,
        line=number,
        media=media,
        port=int(port),
        protocol=protocol,
        formats=tuple(formats.split()),
        kind=Kind(media) if rtp else None,
    )
    if rtp:
        checked_formats(section.formats, number, position)
    return section


def _session_attribute(scan: _Scan, name: str, value: str, number: int) -> None:
    if name == "extmap-allow-mixed":
        scan.allow_mixed = True
        return
    if name == "group":
        words = value.split()
        if not words or words[0] != "BUNDLE":
            return
        if scan.bundle is not None:
            raise SdpError("two BUNDLE groups; set bundlePolicy to max-bundle", line=number)
        if len(words) > MAX_SECTIONS + 1:
            raise SdpError(f"the BUNDLE group names more than {MAX_SECTIONS} lines", line=number)
        scan.bundle = tuple(words[1:])
        return
    rule = SESSION_RULES.get(name)
    if rule is not None:
        scan.lines.append(_checked(rule, name, value, number, None))


def _media_attribute(scan: _Scan, section: _Section, name: str, value: str, number: int) -> None:
    if name in DIRECTIONS:
        section.lines.append(f"a={name}")
    elif name in _FLAGS:
        section.flags.add(name)
    elif name == "extmap-allow-mixed":
        scan.allow_mixed = True
    elif section.kind is None and name not in SESSION_RULES and name != "mid":
        return
    elif name == "extmap":
        checked_extmap(section.extensions, value, number, section.number)
    elif name == "ssrc":
        _ssrc_attribute(section, value, number)
    elif (rule := MEDIA_RULES.get(name)) is not None:
        text = _checked(rule, name, value, number, section.number)
        _ruled_attribute(section, name, value, text, number)


def _ssrc_attribute(section: _Section, value: str, number: int) -> None:
    ssrc = checked_ssrc(value, number, section.number)
    if ssrc in section.ssrcs:
        return
    if len(section.ssrcs) >= MAX_SSRCS_PER_SECTION:
        raise SdpError(
            f"more than {MAX_SSRCS_PER_SECTION} a=ssrc", line=number, section=section.number
        )
    section.ssrcs.add(ssrc)
    section.lines.append(f"a=ssrc:{ssrc} cname:-")


def _ruled_attribute(section: _Section, name: str, value: str, text: str, number: int) -> None:
    if name == "rtpmap":
        payload_type = int(value.split(" ", 1)[0])
        if payload_type in section.payload_types:
            raise SdpError("payload type described twice", line=number, section=section.number)
        if str(payload_type) in section.formats and payload_type not in _RTCP_PAYLOAD_TYPES:
            section.payload_types.add(payload_type)
            section.rtp_maps.append(text)
    elif name == "rid":
        rid, way = value.split(" ")[:2]
        if way == "send":
            if rid in section.rids:
                raise SdpError("a=rid described twice", line=number, section=section.number)
            if len(section.rids) >= MAX_RIDS_PER_SECTION:
                raise SdpError(
                    f"more than {MAX_RIDS_PER_SECTION} a=rid", line=number, section=section.number
                )
            section.rids.append(rid)
    elif name == "simulcast":
        section.simulcast = _simulcast_streams(value)
    elif name == "fmtp":
        section.late_lines.setdefault(f"fmtp {value.split(' ', 1)[0]}", text)
    elif name == "rtcp-fb":
        if value.split(" ", 1)[1] in KNOWN_FEEDBACK:
            section.late_lines[value] = text
    else:
        section.lines.append(text)


def _checked(rule: Rule, name: str, value: str, number: int, section: int | None) -> str:
    if not rule.pattern.fullmatch(value):
        raise SdpError(f"a={name} is malformed: {rule.hint}", line=number, section=section)
    if name == "fingerprint":
        checked_fingerprint(value, number, section)
    if name == "fmtp":
        head, _, parameters = value.partition(" ")
        parts = [part.strip() for part in parameters.split(";")]
        value = f"{head} {';'.join(part for part in parts if part)}"
    return f"a={name}:{value}"


def _rtp_maps(media: MediaDescription) -> list[RtpMap]:
    return [
        RtpMap(
            payload_type=codec.payloadType or 0,
            name=codec.mimeType.partition("/")[2].lower(),
            clock_rate_hz=codec.clockRate,
            channels=codec.channels or 1,
            parameters={
                key.lower(): "" if value is None else str(value)
                for key, value in codec.parameters.items()
            },
            feedback=tuple(
                f"{item.type} {item.parameter}" if item.parameter else item.type
                for item in codec.rtcpFeedback
            ),
        )
        for codec in media.rtp.codecs
    ]


def _section(scan: _Section, media: MediaDescription, maps: list[RtpMap]) -> RemoteSection:
    direction = media.direction or "sendrecv"
    order = {int(item): index for index, item in enumerate(scan.formats)} if scan.kind else {}
    return RemoteSection(
        number=scan.number,
        media=scan.media,
        protocol=scan.protocol,
        formats=scan.formats,
        kind=scan.kind,
        mid=media.rtp.muxId or "",
        active=scan.active,
        sends=direction in ("sendonly", "sendrecv"),
        receives=direction in ("recvonly", "sendrecv"),
        rtp_maps=tuple(sorted(maps, key=lambda item: order.get(item.payload_type, len(order)))),
        extensions=scan.extensions,
        ssrcs=(None, None) if scan.rids else _ssrcs(media),
        rids=_rids(scan),
        rtcp_mux="rtcp-mux" in scan.flags,
        rtcp_rsize="rtcp-rsize" in scan.flags,
    )


def _simulcast_streams(value: str) -> tuple[str, ...]:
    """What ``a=simulcast`` sends: of alternatives the first, paused or not."""
    words = value.split(" ")
    ways = dict(zip(words[::2], words[1::2], strict=True))
    streams = ways.get("send", "").split(";")
    return tuple(item.split(",")[0].removeprefix("~") for item in streams if item)


def _rids(scan: _Section) -> tuple[str, ...]:
    """The streams a line sends, in the order of ``a=simulcast``; without it, only the first."""
    if scan.simulcast is None:
        return tuple(scan.rids[:1])
    described = [rid for rid in dict.fromkeys(scan.simulcast) if rid in scan.rids]
    return tuple((described or scan.rids[:1])[:MAX_ENCODINGS])


def _ssrcs(media: MediaDescription) -> tuple[int | None, int | None]:
    """The first stream and its retransmissions."""
    pairs = {
        group.items[0]: group.items[1]
        for group in media.ssrc_group
        if group.semantic == "FID" and len(group.items) == 2
    }
    repairs = {item for group in media.ssrc_group for item in group.items[1:]}
    announced = {item.ssrc for item in media.ssrc}
    for item in media.ssrc:
        if item.ssrc not in repairs:
            rtx = pairs.get(item.ssrc)
            return item.ssrc, int(rtx) if rtx in announced else None
    return None, None


def _check_mids(sections: Sequence[RemoteSection]) -> None:
    seen: set[str] = set()
    ssrcs: set[int] = set()
    for item in sections:
        if item.kind is not None and item.active and not item.mid:
            raise SdpError("a=mid is missing; every m-line needs one", section=item.number)
        if item.mid and item.mid in seen:
            raise SdpError(f"mid {item.mid!r} is used twice", section=item.number)
        seen.add(item.mid)
        for ssrc in item.ssrcs:
            if ssrc in ssrcs:
                raise SdpError("an ssrc of another m-line is used again", section=item.number)
            if ssrc is not None:
                ssrcs.add(ssrc)


def _check_bundle(sections: Sequence[RemoteSection], bundle: Sequence[str]) -> None:
    active = [item for item in sections if item.active and item.kind is not None]
    # A bundle-only line may leave to the others what is the same for the whole bundle.
    bundled_mux = any(item.rtcp_mux for item in active if item.mid in bundle)
    for item in active:
        if not item.rtcp_mux and not (bundled_mux and item.mid in bundle):
            raise SdpError(
                "a=rtcp-mux is missing; set rtcpMuxPolicy to require", section=item.number
            )
        if item.mid not in bundle and (bundle or len(active) > 1):
            raise SdpError(
                "not in the BUNDLE group; set bundlePolicy to max-bundle", section=item.number
            )
    ids: dict[int, str] = {}
    for item in active:
        for uri, number in item.extensions.items():
            if ids.setdefault(number, uri) != uri:
                raise SdpError(
                    f"header extension id {number} means something else in another m-line",
                    section=item.number,
                )


def _transport_of(
    sections: Sequence[RemoteSection], media: Sequence[MediaDescription], bundle: Sequence[str]
) -> tuple[Ice | None, frozenset[tuple[str, str]], str]:
    """Credentials of the bundle: those of its first active section that has some."""
    usable = [
        (item, description)
        for item, description in zip(sections, media, strict=True)
        if item.active and (item.kind is not None or item.mid in bundle)
    ]
    if not any(item.kind is not None for item, _ in usable):
        return None, frozenset(), "actpass"
    position = {mid: index for index, mid in enumerate(bundle)}
    usable.sort(key=lambda pair: position.get(pair[0].mid, len(position)))
    for item, description in usable:
        ice, dtls = description.ice, description.dtls
        if ice is None or not ice.usernameFragment or not ice.password:
            continue
        if dtls is None:
            raise SdpError("a=setup is missing; offers say actpass", section=item.number)
        fingerprints = frozenset(
            (value.algorithm.lower(), value.value.lower())
            for value in dtls.fingerprints
            if value.algorithm.lower() in ("sha-256", "sha-384", "sha-512")
        )
        if not fingerprints:
            raise SdpError(
                "a=fingerprint with sha-256, sha-384 or sha-512 is missing", section=item.number
            )
        setup = {"auto": "actpass", "client": "active", "server": "passive"}[dtls.role]
        return Ice(ice.usernameFragment, ice.password), fingerprints, setup
    raise SdpError("a=ice-ufrag and a=ice-pwd are missing", section=usable[0][0].number)
