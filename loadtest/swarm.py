"""Participants whose media runs in native code: signaling here, packets there.

The signaling is that of any client: one WebSocket each, an offer whenever the server asks for one.
The offers are those of a browser that sends one microphone and one camera, in few words.
"""

import asyncio
import contextlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from loadtest.errors import LoadtestError, RefusedError, ReplyTimeoutError, SignalClosedError
from loadtest.signal import SignalClient, SignalConfig

__all__ = [
    "FORMATS",
    "Answer",
    "Line",
    "MediaSwarm",
    "SwarmParticipant",
    "describe",
    "offer_sdp",
    "parse_answer",
    "sent_ssrcs",
]

_EXTENSIONS = {
    "urn:ietf:params:rtp-hdrext:sdes:mid": ("mid", 4),
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01": (
        "transport_cc",
        3,
    ),
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level": ("audio_level", 1),
    "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id": ("rid", 10),
}
_OPUS = 111
_VP8 = 96
_FORMATS = {
    "audio": (
        "111",
        [
            "a=rtpmap:111 opus/48000/2",
            "a=fmtp:111 minptime=10;useinbandfec=1",
            "a=rtcp-fb:111 transport-cc",
        ],
    ),
    "video": (
        "96 97",
        [
            "a=rtpmap:96 VP8/90000",
            "a=rtcp-fb:96 nack",
            "a=rtcp-fb:96 nack pli",
            "a=rtcp-fb:96 ccm fir",
            "a=rtcp-fb:96 transport-cc",
            "a=rtpmap:97 rtx/90000",
            "a=fmtp:97 apt=96",
        ],
    ),
}
_SENDING = ("audio", "video")
FORMATS = {"audio": _OPUS, "video": _VP8}
"""Payload types of what is sent."""
_SOURCES = {"audio": "microphone", "video": "camera"}


class MediaSwarm(Protocol):
    """The native side, see ``sfu._media.Swarm``."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as in SDP."""

    def connect(  # noqa: PLR0913 - keyword-only arguments of one command
        self,
        *,
        remote: str,
        local_ufrag: str,
        local_password: str,
        remote_ufrag: str,
        remote_password: str,
        remote_fingerprint: str,
        extensions: Sequence[tuple[str, int]],
        streams: Sequence[tuple[str, int, int, int]],
    ) -> int:
        """Adds a participant that connects at once; returns its number."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the native side needs to know of an answer."""

    address: str
    """``host:port`` of the first IPv4 candidate."""
    ufrag: str
    password: str
    fingerprint: str
    extensions: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One m-line of an offer."""

    kind: str
    """audio or video."""
    direction: str
    """sendonly, recvonly or inactive."""
    ssrc: int | None = None
    """Of what is sent."""
    rids: tuple[str, ...] = ()
    """Of several encodings, the smallest first; their SSRCs count up from ``ssrc``."""

    @property
    def streams(self) -> tuple[tuple[int, str | None], ...]:
        """SSRC and RID of what is sent."""
        if self.ssrc is None:
            return ()
        if not self.rids:
            return ((self.ssrc, None),)
        return tuple((self.ssrc + place, rid) for place, rid in enumerate(self.rids))

    def offers(self, extension: str) -> bool:
        """Whether the line uses a header extension."""
        needed = {"audio_level": self.kind == "audio", "rid": bool(self.rids)}
        return needed.get(extension, True)


@dataclass(frozen=True, slots=True)
class _Local:
    ufrag: str
    password: str
    fingerprint: str
    ssrcs: Mapping[str, int]


class SwarmParticipant:
    """Joins, publishes microphone and camera, takes every track it is offered.

    Args:
        config: server and token.
        session: HTTP client, shared by many participants.
        media: the native side, shared by many participants.
        first_ssrc: of the two streams published; the next one is used as well.
    """

    def __init__(
        self,
        config: SignalConfig,
        session: aiohttp.ClientSession,
        media: MediaSwarm,
        first_ssrc: int,
    ) -> None:
        self.signal = SignalClient(config, session, self._noticed)
        self.subscribed = 0
        self.failure: str | None = None
        self._media = media
        self._local = _Local(
            ufrag=secrets.token_hex(4),
            password=secrets.token_hex(12),
            fingerprint=media.fingerprint,
            ssrcs={"audio": first_ssrc, "video": first_ssrc + 1},
        )
        self._lines = {"audio": 0, "video": 0}
        self._receiving: list[str] = []
        self._offers = 0
        self._is_connected = False
        self._wanted = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Joins and negotiates; returns when the first answer is there.

        Raises:
            LoadtestError: refused, unreachable or no answer.
        """
        joined: Mapping[str, Any] = await self.signal.join()
        self._lines.update({kind: int(count) for kind, count in joined["lines"].items()})
        await self._negotiate()
        self._worker = asyncio.create_task(self._renegotiate())

    async def close(self) -> None:
        """Leaves the room. Idempotent."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        with contextlib.suppress(SignalClosedError, RefusedError, ReplyTimeoutError):
            await self.signal.request("leave", {})
        await self.signal.close()

    def _noticed(self, kind: str, data: Mapping[str, Any]) -> None:
        match kind:
            case "negotiate":
                self._lines = {"audio": int(data["audio"]), "video": int(data["video"])}
                self._wanted.set()
            case "bye" | "error":
                self.failure = f"{data.get('code')}: {data.get('message')}"

    async def _renegotiate(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._negotiate()
            except LoadtestError as error:
                self.failure = str(error)

    async def _negotiate(self) -> None:
        for kind, wanted in self._lines.items():
            self._receiving += [kind] * (wanted - self._receiving.count(kind))
        self._offers += 1
        local = self._local
        text = offer_sdp(
            ufrag=local.ufrag,
            password=local.password,
            fingerprint=local.fingerprint,
            ssrcs=local.ssrcs,
            receiving=self._receiving,
            version=self._offers,
        )
        tracks = [
            {"mid": str(mid), "source": _SOURCES[kind], "muted": False}
            for mid, kind in enumerate(_SENDING)
        ]
        reply: Mapping[str, Any] = await self.signal.request(
            "offer", {"sdp": text, "tracks": tracks}
        )
        self.subscribed = len(reply["subscribed"])
        if not self._is_connected:
            self._connect(parse_answer(reply["sdp"]))
            self._is_connected = True

    def _connect(self, answer: Answer) -> None:
        self._media.connect(
            remote=answer.address,
            local_ufrag=self._local.ufrag,
            local_password=self._local.password,
            remote_ufrag=answer.ufrag,
            remote_password=answer.password,
            remote_fingerprint=answer.fingerprint,
            extensions=answer.extensions,
            streams=[
                (kind, self._local.ssrcs[kind], FORMATS[kind], mid)
                for mid, kind in enumerate(_SENDING)
            ],
        )


def offer_sdp(
    *,
    ufrag: str,
    password: str,
    fingerprint: str,
    ssrcs: Mapping[str, int],
    receiving: Sequence[str],
    version: int,
) -> str:
    """An offer of one audio and one video line that send, and lines that receive.

    Args:
        ufrag: ICE user fragment.
        password: ICE password.
        fingerprint: SHA-256 of the certificate.
        ssrcs: of the sent streams, by kind.
        receiving: kinds of the receiving lines, in order; only ever extended.
        version: of the session, counted up with each offer.
    """
    lines = [Line(kind, "sendonly", ssrcs[kind]) for kind in _SENDING]
    lines += [Line(kind, "recvonly") for kind in receiving]
    return describe(lines, ufrag=ufrag, password=password, fingerprint=fingerprint, version=version)


def describe(
    lines: Sequence[Line], *, ufrag: str, password: str, fingerprint: str, version: int
) -> str:
    """An offer of these lines; their places are their MIDs. Otherwise as :func:`offer_sdp`."""
    mids = " ".join(str(mid) for mid in range(len(lines)))
    rows = [
        "v=0",
        f"o=- 1 {version} IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {mids}",
        "a=extmap-allow-mixed",
    ]
    for mid, line in enumerate(lines):
        numbers, formats = _FORMATS[line.kind]
        rows += [
            f"m={line.kind} 9 UDP/TLS/RTP/SAVPF {numbers}",
            "c=IN IP4 0.0.0.0",
            f"a=ice-ufrag:{ufrag}",
            f"a=ice-pwd:{password}",
            f"a=fingerprint:sha-256 {fingerprint}",
            "a=setup:active",
            f"a=mid:{mid}",
            *(
                f"a=extmap:{number} {uri}"
                for uri, (name, number) in _EXTENSIONS.items()
                if line.offers(name)
            ),
            f"a={line.direction}",
            "a=rtcp-mux",
            "a=rtcp-rsize",
            *formats,
        ]
        if line.rids:
            rows += [f"a=rid:{rid} send" for rid in line.rids]
            rows.append(f"a=simulcast:send {';'.join(line.rids)}")
        elif line.ssrc is not None:
            rows.append(f"a=ssrc:{line.ssrc} cname:swarm-{ufrag}")
    return "\r\n".join(rows) + "\r\n"


def parse_answer(sdp: str) -> Answer:
    """Reads an answer.

    Raises:
        LoadtestError: something is missing; the text says what.
    """

    def first(pattern: str, what: str) -> str:
        match = re.search(pattern, sdp, re.MULTILINE)
        if match is None:
            raise LoadtestError(f"the answer has no {what}")
        return match[1]

    candidates = re.findall(
        r"^a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host",
        sdp,
        re.MULTILINE | re.IGNORECASE,
    )
    if not candidates:
        raise LoadtestError("the answer has no IPv4 host candidate for UDP")
    host, port = candidates[0]
    extensions = {}
    for number, uri in re.findall(r"^a=extmap:(\d+)\S* (\S+)", sdp, re.MULTILINE):
        if uri in _EXTENSIONS:
            extensions[_EXTENSIONS[uri][0]] = int(number)
    return Answer(
        address=f"{host}:{port}",
        ufrag=first(r"^a=ice-ufrag:(\S+)", "ice-ufrag"),
        password=first(r"^a=ice-pwd:(\S+)", "ice-pwd"),
        fingerprint=first(r"^a=fingerprint:sha-256 (\S+)", "SHA-256 fingerprint"),
        extensions=tuple(extensions.items()),
    )


def sent_ssrcs(sdp: str) -> dict[str, int]:
    """SSRC of the media the server sends on each line of an answer, by MID."""
    found = {}
    for section in re.split(r"^m=", sdp, flags=re.MULTILINE)[1:]:
        mid = re.search(r"^a=mid:(\S+)", section, re.MULTILINE)
        ssrc = re.search(r"^a=ssrc:(\d+) ", section, re.MULTILINE)
        if mid is not None and ssrc is not None:
            found[mid[1]] = int(ssrc[1])
    return found
