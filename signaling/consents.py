"""Consents as participants give and withdraw them, and what they are told of those.

Both have effect at once. The reply comes when the event is on the disk, and what it changed is told
after it; a request that comes again meanwhile has its reply under way already.

What is asked for, and what becomes of it, is somebody else's: :class:`ConsentDesk` is what this
package asks of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from sfu.model import Role
from signaling.clock import Instant
from signaling.errors import ErrorCode, RefusedError
from signaling.member import Member, Owed
from signaling.messages import ConsentGive, ConsentWithdraw
from signaling.notices import (
    AskedConsent,
    ConsentNoted,
    ConsentsNotice,
    ConsentText,
    rfc3339,
)
from signaling.roster import Roster

MAX_OWED: Final = 64
"""Replies of one participant that wait for the disk; the next doesn't wait, and says so."""

__all__ = ["AskedFor", "ConsentDesk", "ConsentPermission", "Consents", "Given", "How", "Subject"]

ConsentPermission = Literal["face", "identity", "voice", "speech"]
How = Literal["click", "voice", "sign"]


@dataclass(frozen=True, slots=True)
class AskedFor:
    """A consent that people are asked for, and the text in both languages."""

    permission: ConsentPermission
    zh: ConsentText
    en: ConsentText


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose consent it is."""

    room_id: str
    participant_id: str


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody agreed to.

    Attributes:
        how: clicked by the participant, said, or signed; the latter two are told by others.
        text_sha256: of the text that was agreed to, UTF-8.
        by: who told it: the participant, an RM, or a system of the bank.
    """

    permission: ConsentPermission
    how: How
    text_sha256: str
    by: str


class ConsentDesk(Protocol):
    """What keeps consents. Calls return at once; what they note is in the session's log soon."""

    def asked(self, role: Role) -> Sequence[AskedFor]:
        """What somebody of that role is asked for."""
        ...

    def held(self, subject: Subject) -> Mapping[ConsentPermission, str]:
        """Identifiers of the consents that somebody has given and not withdrawn."""
        ...

    def give(self, subject: Subject, given: Given) -> str:
        """Notes a consent; one that is held already stays as it was.

        Returns:
            Its identifier.

        Raises:
            RefusedError: nobody asks for it, of another text, or too often.
        """
        ...

    def withdraw(self, subject: Subject, permission: ConsentPermission, by: str) -> str | None:
        """Ends a consent: what needs it stops. Returns its identifier; ``None`` if none is held."""
        ...

    def when_written(self, subject: Subject, then: Callable[[bool], None]) -> None:
        """Has it told whether all that was noted of somebody is on the disk, when it is known.

        Args:
            subject: whose consents.
            then: called once, now or within seconds; false: it waits for the session to begin, or
                for a disk that doesn't answer.
        """
        ...

    def forget_room(self, room_id: str) -> None:
        """The room is closed; what was given for a session that never came is void."""
        ...


class Consents:
    """Takes consents from members and tells them what is held.

    Attributes:
        desk: ``None`` on servers that don't watch calls.
    """

    def __init__(self, roster: Roster) -> None:
        self.desk: ConsentDesk | None = None
        self._roster = roster

    @property
    def is_offered(self) -> bool:
        """Whether this server watches calls at all."""
        return self.desk is not None

    def accept(self, member: Member, message: ConsentGive | ConsentWithdraw, now: Instant) -> None:
        """Carries out ``consent.give`` and ``consent.withdraw``, and replies when it is written.

        Raises:
            RefusedError: nobody asks for it, or it is of another text.
        """
        if self.desk is None:
            raise RefusedError(ErrorCode.UNKNOWN_REQUEST, "this server asks for no consent")
        subject = Subject(member.room_id, member.participant_id)
        by, permission = member.participant_id, message.data.permission
        asked = {one.permission for one in self.desk.asked(member.grant.role)}
        if isinstance(message, ConsentGive) and permission not in asked:
            raise RefusedError(ErrorCode.UNKNOWN_REQUEST, "this consent is not asked for")
        owed = member.owed
        is_patient = len(owed.requests) < MAX_OWED
        owed.requests.add(message.id)
        try:
            if isinstance(message, ConsentWithdraw):
                consent_id = self.desk.withdraw(subject, permission, by)
            else:
                given = Given(permission, "click", message.data.text_sha256, by)
                consent_id = self.desk.give(subject, given)
        except RefusedError:
            self._settle(member, owed, message.id)
            raise
        at = rfc3339(now.unix_s)

        def answer(is_written: bool) -> None:
            if member.owed is owed:
                noted = ConsentNoted(consent_id=consent_id, at=at, written=is_written)
                member.reply(message.id, noted)
                self._settle(member, owed, message.id)

        if is_patient:
            self.desk.when_written(subject, answer)
        else:
            answer(False)

    def _settle(self, member: Member, owed: Owed, request_id: str) -> None:
        """A reply is owed no longer; what changed meanwhile comes after the last of them."""
        owed.requests.discard(request_id)
        if not owed.requests and owed.is_changed:
            owed.is_changed = False
            self.remind(member)

    def changed(self, subject: Subject) -> None:
        """A consent was given or withdrawn, or doesn't hold for the session that has begun."""
        member = self._roster.get(subject.room_id, subject.participant_id)
        if member is None:
            return
        if member.owed.requests:
            member.owed.is_changed = True
        else:
            self.remind(member)

    def room_changed(self, room_id: str) -> None:
        """A session of the room has begun or ended: consents are those of a session."""
        for member in self._roster.in_room(room_id):
            self.remind(member)

    def forget_room(self, room_id: str) -> None:
        """The room is closed."""
        if self.desk is not None:
            self.desk.forget_room(room_id)

    def remind(self, member: Member) -> None:
        """Tells somebody what is asked for and what is held; nothing if nothing is asked for."""
        if self.desk is None or not member.grant.publish:
            return
        held = self.desk.held(Subject(member.room_id, member.participant_id))
        consents = tuple(
            AskedConsent(
                permission=one.permission,
                held=one.permission in held,
                consent_id=held.get(one.permission),
                zh=one.zh,
                en=one.en,
            )
            for one in self.desk.asked(member.grant.role)
        )
        if consents:
            member.notify(ConsentsNotice(consents=consents))
