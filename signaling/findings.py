"""Findings of detectors as RMs see them, and challenges as those see them who are asked.

Nobody else in a call is told.
Where they come from is somebody else's: :class:`FindingDesk` is what this package asks of it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from sfu.model import Role
from signaling.errors import ErrorCode, RefusedError
from signaling.notices import ChallengeNotice, FindingNotice, Ok
from signaling.roster import Roster

if TYPE_CHECKING:
    from signaling.member import Member

__all__ = ["FindingDesk", "Findings"]


class FindingDesk(Protocol):
    """What keeps findings. Calls return at once."""

    def open_hints(self, room_id: str) -> Sequence[FindingNotice]:
        """What the RMs of a room were told that is not over yet."""
        ...

    def acknowledge(self, room_id: str, finding_id: str, by: str) -> bool:
        """Notes that an RM has seen a finding; false where there is none of that id."""
        ...


class Findings:
    """Tells RMs, takes their acknowledgements, and tells people what they are asked to do.

    Attributes:
        desk: ``None`` on servers that don't watch calls.
    """

    def __init__(self, roster: Roster) -> None:
        self.desk: FindingDesk | None = None
        self._roster = roster

    def tell(self, room_id: str, notice: FindingNotice) -> None:
        """Tells the room's RMs."""
        for member in self._roster.in_room(room_id):
            if member.grant.role is Role.RM:
                member.notify(notice)

    def ask(self, room_id: str, participant_id: str, notice: ChallengeNotice) -> None:
        """Tells somebody what he is asked to do, if he is there."""
        member = self._roster.get(room_id, participant_id)
        if member is not None:
            member.notify(notice)

    def remind(self, member: "Member") -> None:
        """Tells an RM who came what is open."""
        if self.desk is not None and member.grant.role is Role.RM:
            for notice in self.desk.open_hints(member.room_id):
                member.notify(notice)

    def acknowledge(self, member: "Member", finding_id: str) -> Ok:
        """Carries out ``finding.acknowledge``.

        Raises:
            RefusedError: not an RM, or no such finding in this room.
        """
        if self.desk is None:
            raise RefusedError(ErrorCode.UNKNOWN_REQUEST, "this server watches no calls")
        if member.grant.role is not Role.RM:
            raise RefusedError(ErrorCode.FORBIDDEN, "only an rm is told of findings")
        if not self.desk.acknowledge(member.room_id, finding_id, member.participant_id):
            raise RefusedError(ErrorCode.UNKNOWN_REQUEST, "no such finding in this room")
        return Ok()
