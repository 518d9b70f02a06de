"""Somebody in a room: native media, real signaling, and everything that can go wrong with both."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp

from loadtest.errors import LoadtestError, RefusedError
from loadtest.signal import SignalClient, SignalConfig
from loadtest.swarm import FORMATS, Line, MediaSwarm, describe, parse_answer, sent_ssrcs

__all__ = ["Person", "Subscription", "SwarmControl"]

_SOURCES = (("audio", "microphone"), ("video", "camera"))
_SCREEN = "screen"
_STREAMS_EACH = 4


class SwarmControl(MediaSwarm, Protocol):
    """What a soak needs of ``sfu._media.Swarm`` beside joining."""

    def relocate(self, participant: int) -> None:
        """Another address."""

    def impair(self, participant: int, *, loss: float) -> None:
        """Loss each way."""

    def publish(self, participant: int, *, stream: tuple[str, int, int, int]) -> None:
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
    offers: int = 0
    number: int | None = None
    """In the swarm, once connected."""


class Person:
    """Joins, publishes microphone and camera, takes every track it is offered.

    Args:
        config: makes server and token for each new participation.
        session: HTTP client, shared by many.
        swarms: at least two, to have new certificates.
        ssrcs: gives four unused SSRCs and returns the first.
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
        place, source = next((i, s) for i, (k, s) in enumerate(_SOURCES) if k == kind)
        track_id = self.published.get(source)
        if self.signal is None or self._media is None or track_id is None:
            return
        if muted:
            self.muted.add(source)
        self._silence(self._media.lines[place], silent=muted)
        await self.signal.request("mute", {"track_id": track_id, "muted": muted})
        if not muted:
            self.muted.discard(source)

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
            media.lines.append(Line(kind, "sendonly", media.first_ssrc + place))
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
            media.lines.append(Line("video", "sendonly", media.first_ssrc + len(_SOURCES)))
            media.sources[place] = _SCREEN
        elif place is not None:
            direction = "sendonly" if self.shares_screen else "inactive"
            line = media.lines[place]
            media.lines[place] = Line(line.kind, direction, line.ssrc)
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
            line = media.lines[new_screen]
            stream = (line.kind, line.ssrc or 0, FORMATS[line.kind], new_screen)
            swarm.publish(media.number, stream=stream)
        place = self._place_of_screen(media)
        if place is not None:
            self._silence(media.lines[place], silent=not self.shares_screen)

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
            streams=[
                (line.kind, line.ssrc, FORMATS[line.kind], place)
                for place, line in enumerate(media.lines)
                if line.ssrc is not None
            ],
        )
        for place, source in media.sources.items():
            if source in self.muted:
                self._silence(media.lines[place], silent=True)

    def _silence(self, line: Line, *, silent: bool) -> None:
        number = self.media_number
        if number is not None and line.ssrc is not None:
            self._swarms[number[0]].silence(number[1], ssrc=line.ssrc, silent=silent)

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
