"""Who asks for something over HTTP, and for whom he may."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from sfu.model import Role
from signaling.auth import TokenVerifier
from signaling.clock import Clock
from signaling.consents import Subject
from signaling.errors import UnauthorizedError
from signaling.origin import is_local
from signaling.staff import StaffGate, StaffRole

__all__ = ["Asker", "AskerGate"]

_STAFF: Final = frozenset({StaffRole.CRM})


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and for whom he may.

    Attributes:
        rooms: the only rooms he may speak of; ``None``: all.
        participant: the only participant he may speak for; empty: anybody.
    """

    name: str
    rooms: frozenset[str] | None
    participant: str = ""

    def may_speak_for(self, subject: Subject) -> bool:
        """Whether somebody's affairs are his business."""
        in_reach = self.rooms is None or subject.room_id in self.rooms
        return in_reach and self.participant in {"", subject.participant_id}


class AskerGate:
    """A system of the bank, or somebody with a room's token: an RM may speak for all in it."""

    def __init__(self, verifier: TokenVerifier, clock: Clock) -> None:
        self._verifier = verifier
        self._staff = StaffGate(verifier, clock)

    def asker(self, request: web.Request) -> Asker:
        """Whoever sent the request.

        Raises:
            UnauthorizedError, RefusedError: no token, or none that is good for this.
        """
        try:
            staff = self._staff.identity(request, _STAFF)
        except UnauthorizedError as error:
            if error.cause != "audience":
                raise
        else:
            return Asker(staff.subject, staff.rooms)
        _, _, token = request.headers.get("Authorization", "").partition(" ")
        person = self._verifier.verify(
            token.strip(),
            now_unix_s=self._staff.clock().unix_s,
            local=is_local(request.remote, request.headers),
        )
        own = "" if person.grant.role is Role.RM else person.participant_id
        return Asker(person.participant_id, frozenset({person.room_id}), own)
