"""Somebody in a room: native media, real signaling, and everything that can go wrong with both."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import aiohttp

from loadtest.errors import LoadtestError, RefusedError
from loadtest.signal import SignalClient, SignalConfig
from loadtest.swarm import FORMATS, Line, MediaSwarm, describe, parse_answer, sent_ssrcs

__all__ = ["Person", "Subscription", "SwarmControl"]

_SOURCES = (("audio", "microphone"), ("video", "camera"))
_RIDS: Mapping[str, tuple[str, ...]] = {"camera": ("q", "h", "f")}
"""Of sources that are sent in several sizes."""
_SCREEN = "screen"
_STREAMS_EACH = 5


class SwarmControl(MediaSwarm, Protocol):
    """What a soak needs of ``sfu._media.Swarm`` beside joining."""

    def relocate(self, participant: int) -> None:
        """Another address."""

    def impair(self, participant: int, *, loss: float) -> None:
        """Loss each way."""

    def publish(
        self, participant: int, *, stream: tuple[str, int, int, int], rid: str | None = None
    ) -> None:
        """One more stream."""

    def silence(self, participant: int, *, ssrc: int, silent: bool) -> None:
        """A stream stops or goes on."""

    def disconnect(self, participant: int) -> None:
        """Gone."""

    def statuses(self) -> list[tuple[bool, str | None, list[tuple[int, int, float]]]]:
        """Keys, failure, what arrives."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A track that is received."""

    track_id: str
    ssrc: int


@dataclass(slots=True)
class _Media:
    """One media connection."""

    swarm: int
    """Which of the swarms: each has a certificate of its own, by which a new connection is told
    from an ICE restart."""
    ufrag: str
    password: str
    first_ssrc: int
    lines: list[Line] = field(default_factory=list)
    sources: dict[int, str] = field(default_factory=dict)
    """By place of the line."""
    unwanted: dict[str, frozenset[str | None]] = field(default_factory=dict)
    """By source: encodings nobody is shown, and which are not sent."""
    offers: int = 0
    number: int | None = None
    """In the swarm, once connected."""

    def next_ssrc(self) -> int:
        """The first that none of its lines has."""
        used = [ssrc for line in self.lines for ssrc, _ in line.streams]
        return max(used, default=self.first_ssrc - 1) + 1


class Person:
    """Joins, publishes microphone and camera, takes every track it is offered.

    The camera is sent in three sizes; those that the server says nobody is shown are not sent.

    Args:
        config: makes server and token for each new participation.
        session: HTTP client, shared by many.
        swarms: at least two, to have new certificates.
        ssrcs: gives so many unused SSRCs and returns the first.
    """

    def __init__(
        self,
        config: Callable[[], SignalConfig],
        session: aiohttp.ClientSession,
        swarms: Sequence[SwarmControl],
        ssrcs: Callable[[int], int],
    ) -> None:
        self._config = config
        self._session = session
        self._swarms = swarms
        self._ssrcs = ssrcs
        self._wanted = asyncio.Event()
        self._negotiating = asyncio.Lock()
        self._lines = {"audio": 0, "video": 0}
        self._worker: asyncio.Task[None] | None = None
        self._media: _Media | None = None
        self._swarm = -1
        self.signal: SignalClient | None = None
        self.participant_id = ""
        self.published: dict[str, str] = {}
        """Track ids by source."""
        self.muted: set[str] = set()
        """Sources."""
        self.shares_screen = False
        self.subscriptions: dict[str, Subscription] = {}
        """By MID."""
        self.hidden: set[str] = set()
        """Tracks that are shown in no size."""
        self.owners: dict[str, str] = {}
        self.byes: list[str] = []

    @property
    def media_number(self) -> tuple[int, int] | None:
        """Swarm, and number in it."""
        media = self._media
        return (media.swarm, media.number) if media and media.number is not None else None

    async def join(self) -> None:
        """Begins a participation, with new media.

        Raises:
            LoadtestError: refused, unreachable or no answer.
        """
        self.signal = SignalClient(self._config(), self._session, self._noticed)
        joined: Mapping[str, Any] = await self.signal.join()
        self.participant_id = str(joined["participant_id"])
        self._adopt(joined)
        self.muted.clear()
        self.shares_screen = False
        await self.connect_media()
        self._worker = asyncio.create_task(self._renegotiate())

    async def connect_media(self) -> None:
        """A new media connection in place of the present one.

        Raises:
            LoadtestError: as :meth:`join`.
        """
        async with self._negotiating:
            old, self._media = self._media, self._new_media()
            self.subscriptions = {}
            if old is not None and old.number is not None:
                self._swarms[old.swarm].disconnect(old.number)
            await self._offer()

    async def leave(self) -> None:
        """Says so, and is gone."""
        await self._stop_worker()
        if self.signal is not None:
            with contextlib.suppress(LoadtestError):
                await self.signal.request("leave", {})
        await self.vanish()

    async def vanish(self) -> None:
        """Is gone without a word."""
        await self._stop_worker()
        if self.signal is not None:
            await self.signal.close()
        media, self._media = self._media, None
        self.subscriptions = {}
        if media is not None and media.number is not None:
            self._swarms[media.swarm].disconnect(media.number)

    async def reload(self) -> None:
        """Loads its page again: joins over its own participation.

        Raises:
            LoadtestError: as :meth:`join`.
        """
        await self.vanish()
        await self.join()

    async def resume(self) -> None:
        """Loses its WebSocket, which is then resumed."""
        if self.signal is not None:
            await self.signal.drop_socket()

    async def mute(self, kind: str, *, muted: bool) -> None:
        """Stops or goes on sending sound or picture.

        Raises:
            LoadtestError: refused or no answer.
        """
        source = next(source for k, source in _SOURCES if k == kind)
        track_id = self.published.get(source)
        if self.signal is None or self._media is None or track_id is None:
            return
        if muted:
            self.muted.add(source)
        self._send_what_is_wanted()
        await self.signal.request("mute", {"track_id": track_id, "muted": muted})
        if not muted:
            self.muted.discard(source)
            self._send_what_is_wanted()

    async def share_screen(self, *, on: bool) -> None:
        """Begins or ends a shared screen.

        Raises:
            LoadtestError: refused or no answer.
        """
        self.shares_screen = on
        async with self._negotiating:
            await self._offer()

    async def watch(self, sizes: Sequence[tuple[int, int]]) -> None:
        """Shows the tracks it receives in these sizes.

        Raises:
            LoadtestError: refused or no answer.
        """
        tracks = sorted(one.track_id for one in self.subscriptions.values())
        shown = [
            {"track_id": track, "width": sizes[place % len(sizes)][0],
             "height": sizes[place % len(sizes)][1]}
            for place, track in enumerate(tracks)
        ]  # fmt: skip
        if self.signal is None or not shown:
            return
        self.hidden |= {str(item["track_id"]) for item in shown if not item["width"]}
        await self.signal.request("layers.want", {"tracks": shown})
        self.hidden -= {str(item["track_id"]) for item in shown if item["width"]}

    def move(self) -> None:
        """Media comes from another address."""
        number = self.media_number
        if number is not None:
            self._swarms[number[0]].relocate(number[1])

    def impair(self, loss: float) -> None:
        """Media is lost, each way."""
        number = self.media_number
        if number is not None:
            self._swarms[number[0]].impair(number[1], loss=loss)

    def go_offline(self) -> None:
        """Has no network at all."""
        self.impair(1.0)
        if self.signal is not None:
            self.signal.go_offline()

    async def go_online(self) -> None:
        """Has its network back."""
        self.impair(0.0)
        if self.signal is not None:
            await self.signal.go_online()

    def _new_media(self) -> _Media:
        # Another certificate than last time: else it would be taken for an ICE restart.
        self._swarm = (self._swarm + 1) % len(self._swarms)
        media = _Media(
            self._swarm, secrets.token_hex(4), secrets.token_hex(12), self._ssrcs(_STREAMS_EACH)
        )
        for place, (kind, source) in enumerate(_SOURCES):
            rids = _RIDS.get(source, ())
            media.lines.append(Line(kind, "sendonly", media.next_ssrc(), rids))
            media.sources[place] = source
        return media

    def _place_of_screen(self, media: _Media) -> int | None:
        return next((place for place, s in media.sources.items() if s == _SCREEN), None)

    def _arrange(self, media: _Media) -> int | None:
        """The lines of the next offer; returns the place of a screen that is new to the swarm."""
        new_screen = None
        place = self._place_of_screen(media)
        if self.shares_screen and place is None:
            new_screen = place = len(media.lines)
            media.lines.append(Line("video", "sendonly", media.next_ssrc()))
            media.sources[place] = _SCREEN
        elif place is not None:
            direction = "sendonly" if self.shares_screen else "inactive"
            line = media.lines[place]
            media.lines[place] = replace(line, direction=direction)
        for kind, wanted in self._lines.items():
            have = sum(line.kind == kind and line.ssrc is None for line in media.lines)
            media.lines += [Line(kind, "recvonly")] * (wanted - have)
        return new_screen

    async def _offer(self) -> None:
        media, signal = self._media, self.signal
        if media is None or signal is None:
            return
        new_screen = self._arrange(media)
        media.offers += 1
        swarm = self._swarms[media.swarm]
        text = describe(
            media.lines,
            ufrag=media.ufrag,
            password=media.password,
            fingerprint=swarm.fingerprint,
            version=media.offers,
        )
        tracks = [
            {"mid": str(place), "source": source, "muted": source in self.muted}
            for place, source in media.sources.items()
            if media.lines[place].direction == "sendonly"
        ]
        reply: Mapping[str, Any] = await signal.request("offer", {"sdp": text, "tracks": tracks})
        self._read_answer(media, reply)
        if media.number is None:
            self._connect(media, reply["sdp"])
        elif new_screen is not None:
            self._publish(media, media.number, new_screen)
        self._send_what_is_wanted()

    def _read_answer(self, media: _Media, reply: Mapping[str, Any]) -> None:
        self.published = {
            media.sources[int(item["mid"])]: item["track_id"] for item in reply["published"]
        }
        ssrcs = sent_ssrcs(reply["sdp"])
        self.subscriptions = {
            item["mid"]: Subscription(item["track_id"], ssrcs[item["mid"]])
            for item in reply["subscribed"]
            if item["mid"] in ssrcs
        }
        known = {one.track_id for one in self.subscriptions.values()}
        self.hidden &= known

    def _connect(self, media: _Media, sdp: str) -> None:
        answer = parse_answer(sdp)
        media.number = self._swarms[media.swarm].connect(
            remote=answer.address,
            local_ufrag=media.ufrag,
            local_password=media.password,
            remote_ufrag=answer.ufrag,
            remote_password=answer.password,
            remote_fingerprint=answer.fingerprint,
            extensions=answer.extensions,
            streams=[],
        )
        for place in media.sources:
            self._publish(media, media.number, place)

    def _publish(self, media: _Media, number: int, place: int) -> None:
        line = media.lines[place]
        for ssrc, rid in line.streams:
            stream = (line.kind, ssrc, FORMATS[line.kind], place)
            self._swarms[media.swarm].publish(number, stream=stream, rid=rid)

    def _send_what_is_wanted(self) -> None:
        """Silences what is muted, not shared or shown to nobody; the rest is sent."""
        media = self._media
        if media is None or media.number is None:
            return
        for place, source in media.sources.items():
            line = media.lines[place]
            stopped = source in self.muted or line.direction == "inactive"
            unwanted = media.unwanted.get(source, ())
            for ssrc, rid in line.streams:
                silent = stopped or rid in unwanted
                self._swarms[media.swarm].silence(media.number, ssrc=ssrc, silent=silent)

    def _take_wishes(self, data: Mapping[str, Any]) -> None:
        """Which encodings of an own track somebody is shown."""
        media = self._media
        source = next((s for s, t in self.published.items() if t == data["track_id"]), None)
        if media is None or source is None:
            return
        media.unwanted[source] = frozenset(
            item["rid"] for item in data["encodings"] if not item["wanted"]
        )
        self._send_what_is_wanted()

    def _adopt(self, state: Mapping[str, Any]) -> None:
        """Takes over ``joined`` or ``resumed``."""
        self.owners = {item["track_id"]: item["participant_id"] for item in state["tracks"]}
        self._lines.update({kind: int(count) for kind, count in state["lines"].items()})

    def _noticed(self, kind: str, data: Mapping[str, Any]) -> None:
        match kind:
            case "negotiate":
                self._lines = {"audio": int(data["audio"]), "video": int(data["video"])}
                self._wanted.set()
            case "track.published":
                track = data["track"]
                self.owners[track["track_id"]] = track["participant_id"]
            case "track.unpublished":
                self.owners.pop(data["track_id"], None)
            case "resumed" if not data["replay"]:
                self._adopt(data)
                self._wanted.set()
            case "layers.wanted":
                self._take_wishes(data)
            case "bye":
                self.byes.append(str(data.get("code")))

    async def _renegotiate(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                async with self._negotiating:
                    await self._offer()
            except RefusedError as error:
                self.byes.append(f"offer: {error.code}")
            except LoadtestError:
                # Without a network; what is needed is said again after the resume.
                await asyncio.sleep(0.5)

    async def _stop_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
