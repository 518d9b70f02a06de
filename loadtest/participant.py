"""A participant on aiortc: joins through the real WebSocket, sends and receives real media."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import av
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from loadtest.errors import LoadtestError, RefusedError, ReplyTimeoutError, SignalClosedError
from loadtest.signal import SignalClient, SignalConfig
from loadtest.sinks import AudioSink, VideoSink

__all__ = ["Participant", "ReceivedTrack", "TrackReport"]

_LOG = logging.getLogger(__name__)
_VOLATILE = frozenset({"speakers", "quality"})
_KEPT_NOTICES = 200
_CONNECT_TIMEOUT_S = 10.0


@dataclass(slots=True)
class ReceivedTrack:
    """A subscribed track while it is being received."""

    track_id: str
    participant_id: str
    sink: AudioSink | VideoSink
    transceiver: RTCRtpTransceiver

    @property
    def kind(self) -> str:
        """``audio`` or ``video``."""
        return "audio" if isinstance(self.sink, AudioSink) else "video"


@dataclass(frozen=True, slots=True)
class TrackReport:
    """What arrived of one track. ``None``: not known."""

    track_id: str
    participant_id: str
    kind: str
    packets: int
    lost: int
    jitter_s: float | None
    frames: int


@dataclass(slots=True)
class _Media:
    """One peer connection and what belongs to it."""

    connection: RTCPeerConnection
    sending: dict[str, RTCRtpTransceiver] = field(default_factory=dict)
    receiving: list[RTCRtpTransceiver] = field(default_factory=list)
    readers: dict[str, asyncio.Task[None]] = field(default_factory=dict)


class Participant:
    """Joins, publishes ``sources`` and receives what the server offers.

    Args:
        config: server and token.
        session: HTTP client, shared by many participants.
        sources: what to send, by protocol source name (microphone, camera, …).
        rewrite_answer: changes the server's answer before it is used, to lead media over a relay.

    Attributes:
        heard: told every notice but the volatile ones.
    """

    def __init__(
        self,
        config: SignalConfig,
        session: aiohttp.ClientSession,
        sources: Mapping[str, MediaStreamTrack],
        *,
        rewrite_answer: Callable[[str], str] | None = None,
    ) -> None:
        self.signal = SignalClient(config, session, self._noticed)
        self.participant_id = ""
        self.received: dict[str, ReceivedTrack] = {}
        self.notices: list[tuple[str, Mapping[str, object]]] = []
        self.latest: dict[str, Mapping[str, object]] = {}
        self.failure: str | None = None
        self.heard: Callable[[str, Mapping[str, Any]], None] = lambda *_: None
        self._sources = dict(sources)
        self._rewrite_answer = rewrite_answer
        self._owners: dict[str, str] = {}
        self._lines = {"audio": 0, "video": 0}
        self._media: _Media | None = None
        self._negotiating = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._by_mid: dict[str, ReceivedTrack] = {}

    @property
    def connection_state(self) -> str:
        """State of the peer connection: new, connecting, connected, failed, closed."""
        return self._media.connection.connectionState if self._media else "new"

    async def start(self) -> None:
        """Joins and negotiates; returns when the first answer is in place.

        Raises:
            LoadtestError: refused, unreachable or no answer.
        """
        joined = await self.signal.join()
        self.participant_id = str(joined["participant_id"])
        self._adopt(joined)
        await self.negotiate()
        self._worker = asyncio.create_task(self._renegotiate())

    async def agree(self) -> int:
        """Gives every consent that is asked for and not held; returns how many.

        Raises:
            LoadtestError: refused, or no answer.
        """
        asked: Any = self.latest.get("consents", {}).get("consents", [])
        lacking = [one for one in asked if not one["held"]]
        for one in lacking:
            given = {"permission": one["permission"], "text_sha256": one["zh"]["sha256"]}
            await self.signal.request("consent.give", given)
        return len(lacking)

    async def leave(self) -> None:
        """Leaves the room and releases everything. Idempotent."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        with contextlib.suppress(SignalClosedError, RefusedError, ReplyTimeoutError):
            await self.signal.request("leave", {})
        await self.signal.close()
        await self._close_media()

    async def negotiate(self) -> None:
        """One offer and its answer, with as many receiving lines as the server asked for."""
        async with self._negotiating:
            media = self._media or self._open_media()
            await _settled(media.connection)
            for kind, wanted in self._lines.items():
                have = sum(t.kind == kind for t in media.receiving)
                media.receiving += [
                    media.connection.addTransceiver(kind, direction="recvonly")
                    for _ in range(wanted - have)
                ]
            if not media.connection.getTransceivers():
                return
            await media.connection.setLocalDescription(await media.connection.createOffer())
            tracks = [
                {"mid": transceiver.mid, "source": source, "muted": False}
                for source, transceiver in media.sending.items()
            ]
            sdp = media.connection.localDescription.sdp
            answer = await self.signal.request("offer", {"sdp": sdp, "tracks": tracks})
            text = str(answer["sdp"])
            if self._rewrite_answer is not None:
                text = self._rewrite_answer(text)
            description = RTCSessionDescription(sdp=text, type="answer")
            await media.connection.setRemoteDescription(description)
            self._bind(media, answer["subscribed"])

    async def restart_media(self) -> None:
        """Throws the peer connection away and makes a new one, as a reloaded page does."""
        await self._close_media()
        await self.negotiate()

    async def reports(self) -> list[TrackReport]:
        """What arrived so far, per subscribed track."""
        return [await _report(track) for track in self.received.values()]

    async def rtt_s(self) -> float | None:
        """Round trip to the server as its receiver reports give it; ``None`` before the first."""
        if self._media is None:
            return None
        for transceiver in self._media.sending.values():
            for item in (await transceiver.sender.getStats()).values():
                if item.type == "remote-inbound-rtp" and item.roundTripTime is not None:
                    return float(item.roundTripTime)
        return None

    def source(self, name: str) -> MediaStreamTrack:
        """What is being sent as ``name``."""
        return self._sources[name]

    def _adopt(self, state: Mapping[str, Any]) -> None:
        """Takes over ``joined`` or ``resumed``."""
        for track in state.get("tracks", ()):
            self._owners[track["track_id"]] = track["participant_id"]
        self._lines.update({k: int(v) for k, v in state.get("lines", {}).items()})

    def _noticed(self, kind: str, data: Mapping[str, Any]) -> None:
        if kind in _VOLATILE:
            self.latest[kind] = data
            return
        if kind == "consents":
            self.latest[kind] = data
        self.heard(kind, data)
        self.notices.append((kind, data))
        del self.notices[:-_KEPT_NOTICES]
        match kind:
            case "track.published":
                track = data["track"]
                self._owners[track["track_id"]] = track["participant_id"]
            case "track.unpublished":
                self._owners.pop(data["track_id"], None)
                self.received.pop(data["track_id"], None)
            case "negotiate":
                self._lines = {"audio": int(data["audio"]), "video": int(data["video"])}
                self._wanted.set()
            case "resumed" if not data["replay"]:
                self._adopt(data)
                self._wanted.set()
            case "bye" | "error":
                self.failure = f"{data.get('code')}: {data.get('message')}"

    async def _renegotiate(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.negotiate()
            except LoadtestError as error:
                self.failure = str(error)
                _LOG.warning("negotiation failed", extra={"reason": type(error).__name__})

    def _open_media(self) -> _Media:
        connection = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._media = media = _Media(connection)
        for name, source in self._sources.items():
            media.sending[name] = connection.addTransceiver(source, direction="sendonly")
        return media

    async def _close_media(self) -> None:
        media, self._media = self._media, None
        self.received.clear()
        self._by_mid.clear()
        if media is None:
            return
        # Senders must not end the sources: they go on in the next connection.
        for transceiver in media.sending.values():
            transceiver.sender.replaceTrack(None)
        for reader in media.readers.values():
            reader.cancel()
        await asyncio.gather(*media.readers.values(), return_exceptions=True)
        await media.connection.close()

    def _bind(self, media: _Media, subscribed: Any) -> None:
        """Connects each line the server sends on with a sink."""
        lines: Sequence[Mapping[str, str]] = subscribed
        current = {line["mid"]: line for line in lines}
        for mid in [mid for mid in self._by_mid if mid not in current]:
            self.received.pop(self._by_mid.pop(mid).track_id, None)
        for mid, line in current.items():
            old = self._by_mid.get(mid)
            if old is not None and old.track_id == line["track_id"]:
                continue
            if old is not None:
                self.received.pop(old.track_id, None)
            transceiver = next(t for t in media.receiving if t.mid == mid)
            sink = AudioSink() if transceiver.kind == "audio" else VideoSink()
            owner = line.get("participant_id") or self._owners.get(line["track_id"], "")
            track = ReceivedTrack(line["track_id"], owner, sink, transceiver)
            self._by_mid[mid] = self.received[track.track_id] = track
            if mid not in media.readers:
                media.readers[mid] = asyncio.create_task(self._read(mid, transceiver))

    async def _read(self, mid: str, transceiver: RTCRtpTransceiver) -> None:
        """Decodes one line for as long as it exists, whatever track is on it."""
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await transceiver.receiver.track.recv()
                track = self._by_mid.get(mid)
                match track, frame:
                    case ReceivedTrack(sink=AudioSink() as ears), av.AudioFrame():
                        ears.add(frame)
                    case ReceivedTrack(sink=VideoSink() as eyes), av.VideoFrame():
                        eyes.add(frame)


async def _settled(connection: RTCPeerConnection) -> None:
    """Waits until aiortc has started what was negotiated.

    It does that in a background task, which fails for good if lines are added meanwhile; there is
    no other way to know of it.
    """
    starting = [
        task
        for task in asyncio.all_tasks()
        if getattr(task.get_coro(), "__qualname__", "") == "RTCPeerConnection.__connect"
        and _owner(task) is connection
    ]
    if starting:
        await asyncio.wait(starting, timeout=_CONNECT_TIMEOUT_S)


def _owner(task: asyncio.Task[object]) -> object:
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame.f_locals.get("self") if frame is not None else None


async def _report(track: ReceivedTrack) -> TrackReport:
    stats = (await track.transceiver.receiver.getStats()).values()
    # One entry for each SSRC: the media and its retransmissions, which are fewer.
    streams = [item for item in stats if item.type == "inbound-rtp"]
    inbound = max(streams, key=lambda item: item.packetsReceived, default=None)
    clock_hz = 48_000 if track.kind == "audio" else 90_000
    return TrackReport(
        track_id=track.track_id,
        participant_id=track.participant_id,
        kind=track.kind,
        packets=inbound.packetsReceived if inbound else 0,
        lost=inbound.packetsLost if inbound else 0,
        jitter_s=inbound.jitter / clock_hz if inbound else None,
        frames=track.sink.frames,
    )
