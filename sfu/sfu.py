"""Rooms on engines: the entrance to the package."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence

from sfu.addresses import candidate_addresses, tcp_addresses
from sfu.config import SfuConfig
from sfu.engine import EngineLike
from sfu.errors import DrainingError, EngineUnavailableError, RoomLimitError
from sfu.events import EventDispatch
from sfu.listener import SfuListener
from sfu.model import Grant, Offer
from sfu.negotiation import plan_offer
from sfu.plane import EnginePort
from sfu.registry import Registry
from sfu.room import Room
from sfu.sdp import parse_offer
from sfu.snapshot import SfuSnapshot
from sfu.views import take_snapshot

__all__ = ["Sfu"]

log = logging.getLogger(__name__)

LOAD_PER_MEMBER = 0.001
"""Share of an engine one participant or track counts for, until its load shows in snapshots."""


class Sfu:
    """All rooms of this process.

    Everything runs on one thread, that of the event loop.

    Args:
        config: limits and codecs.
        engines: at least one; rooms are spread over them.
        fingerprint: of the engines' certificate, SHA-256 in SDP form.
        listener: is told what happens.
        clock: seconds, monotonic.
        on_room: is given every new room, before anybody is in it.

    Raises:
        AddressError: an engine has no address clients could be told.
    """

    def __init__(
        self,
        config: SfuConfig,
        engines: Sequence[EngineLike],
        fingerprint: str,
        listener: SfuListener,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_room: Callable[[Room], None] | None = None,
    ) -> None:
        if not engines:
            raise EngineUnavailableError("at least one engine is needed")
        self._config = config
        self._ports = [
            self._port(config, engine, index, len(engines), clock)
            for index, engine in enumerate(engines)
        ]
        self._rooms: dict[str, Room] = {}
        self._registry = Registry(config, listener, fingerprint, self._forget)
        self._dispatch = EventDispatch(self._registry)
        self._draining = False
        self._on_room = on_room
        self._loop: asyncio.AbstractEventLoop | None = None

    @staticmethod
    def _port(
        config: SfuConfig,
        engine: EngineLike,
        index: int,
        engines: int,
        clock: Callable[[], float],
    ) -> EnginePort:
        addresses = tuple(candidate_addresses(config, engine, engines=engines))
        by_tcp = tuple(tcp_addresses(engine, addresses))
        return EnginePort(engine, index, addresses, clock, tcp_addresses=by_tcp)

    @property
    def rooms(self) -> Mapping[str, Room]:
        """Open rooms by identifier."""
        return self._rooms

    def open_room(self, room_id: str) -> Room:
        """The room of this identifier, a new one where there is none.

        Raises:
            DrainingError: there is none, and new ones are refused.
            RoomLimitError: there is none, and no more may be opened.
            EngineUnavailableError: no engine works any more.
        """
        room = self._rooms.get(room_id)
        if room is not None:
            return room
        if self._draining:
            raise DrainingError("no new rooms: the server is about to stop")
        if len(self._rooms) >= self._config.max_rooms:
            raise RoomLimitError(f"at most {self._config.max_rooms} rooms may be open")
        room = Room(room_id, self._registry.new_id(), self._least_loaded(), self._registry)
        self._rooms[room_id] = room
        log.info("room opened", extra={"room_id": room_id, "engine": room.port.index})
        if self._on_room is not None:
            self._on_room(room)
        return room

    def check_offer(self, offer: Offer, grant: Grant) -> None:
        """Finds out whether the first offer of a participant could be answered; does nothing.

        Args:
            offer: what it would say.
            grant: what it may do.

        Raises:
            SdpError: the offer can't be used.
            ForbiddenError: a declared track is not granted, or there are too many.
            NoCommonCodecError: a declared track has no codec this server forwards.
        """
        plan_offer(parse_offer(offer.sdp), offer.tracks, grant, self._config, None)

    def refuse_new_rooms(self) -> None:
        """From now on :meth:`open_room` only finds rooms that are open."""
        self._draining = True

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watches the engines' events on ``loop``."""
        self._loop = loop
        for port in self._ports:
            loop.add_reader(port.engine.fileno(), self.handle_events, port.engine)

    def detach(self) -> None:
        """Stops watching."""
        if self._loop is not None:
            for port in self._ports:
                self._loop.remove_reader(port.engine.fileno())
            self._loop = None

    def handle_events(self, engine: EngineLike) -> None:
        """Takes over what an engine has to report, and sends it what had to wait."""
        port = next(item for item in self._ports if item.engine is engine)
        was_failed = port.failed
        for event in engine.drain_events():
            self._dispatch.dispatch(port, event)
        port.flush()
        if port.failed:
            self._close_rooms_of(port)
            if not was_failed and self._loop is not None:
                self._loop.remove_reader(engine.fileno())

    def snapshot(self) -> SfuSnapshot:
        """Everything at this moment, as engines saw it about a second ago."""
        for port in self._ports:
            port.flush()
            if port.failed:
                self._close_rooms_of(port)
        return take_snapshot(self._ports, self._rooms.values(), draining=self._draining)

    def close(self) -> None:
        """Closes all rooms, reason ``shutdown``. The engines stay the caller's."""
        self._draining = True
        for room in list(self._rooms.values()):
            room.close("shutdown")
        self.detach()

    def _least_loaded(self) -> EnginePort:
        working = [port for port in self._ports if not port.failed]
        if not working:
            raise EngineUnavailableError("no engine works any more")
        return min(working, key=self._load)

    def _load(self, port: EnginePort) -> float:
        members = sum(
            1 + len(room.participants) + len(room.publications)
            for room in self._rooms.values()
            if room.port is port
        )
        return port.statistics().load + members * LOAD_PER_MEMBER

    def _close_rooms_of(self, port: EnginePort) -> None:
        for room in [item for item in self._rooms.values() if item.port is port]:
            room.lost("engine_failed")

    def _forget(self, room: Room) -> None:
        self._rooms.pop(room.room_id, None)
