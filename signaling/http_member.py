"""A participant that came by WHIP or WHEP: it has a transport and a resource, but no socket."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from signaling.auth import Identity
from signaling.config import LimitsConfig
from signaling.member import Member
from signaling.notices import Reach, ServerData
from signaling.stats import Stats

if TYPE_CHECKING:
    from sfu import Participant

__all__ = ["HttpMember", "HttpProtocol", "HttpSession"]


class HttpProtocol(StrEnum):
    """Ways to take part without a WebSocket."""

    WHIP = "whip"
    WHEP = "whep"


@dataclass(slots=True, eq=False)
class HttpSession:
    """The resource of one media connection.

    Attributes:
        session_id: unguessable; part of its address.
        address: of whoever made it; ``None`` where addresses are not counted.
        etag: names its ICE session, quoted (RFC 9110, section 8.8.3).
        media: first word of the m-line its bundle goes by.
        mid: identifier of that line.
    """

    session_id: str
    protocol: HttpProtocol
    member: "HttpMember"
    address: str | None
    etag: str
    media: str
    mid: str


class HttpMember(Member):
    """A participation that lives as long as its media connection.

    It can be told nothing, so nothing is kept for it.

    Attributes:
        protocol: how it came.
        session: its resource; ``None`` only while it is being made.
        closed_by_client: its media connection ended because the client said so.
    """

    def __init__(
        self,
        identity: Identity,
        participant: "Participant",
        protocol: HttpProtocol,
        *,
        limits: LimitsConfig,
        stats: Stats,
    ) -> None:
        super().__init__(
            identity,
            participant,
            limits=limits,
            stats=stats,
            auto_subscribe=protocol is HttpProtocol.WHEP,
            on_overflow=lambda _: None,
        )
        self.protocol = protocol
        self.session: HttpSession | None = None
        self.closed_by_client = False

    @property
    def signaling(self) -> str:
        """How it takes part."""
        return self.protocol.value

    @property
    def can_answer(self) -> bool:
        """Nobody can ask it anything."""
        return False

    def reach(self) -> Reach:
        """Whether its media has flowed lately."""
        return Reach.RECONNECTING if self.overdue else Reach.CONNECTED

    def notify(self, data: ServerData, *, data_json: str | None = None) -> None:
        """Tells nothing."""
