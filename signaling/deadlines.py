"""What the hub waits for."""

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signaling.connection import Connection
    from signaling.member import Member

__all__ = ["Due", "DueKey"]


class Due(Enum):
    """Kinds of deadlines; each key holds what it is about."""

    HELLO = "hello"
    OVERDUE = "overdue"
    WINDOW = "window"
    EXPIRY = "expiry"
    OVERFLOW = "overflow"
    QUESTION = "question"
    QUALITY = "quality"
    MEDIA = "media"
    SILENCE = "silence"
    ADVICE = "advice"
    DRAIN = "drain"


DueKey = tuple[Due, "Connection | Member | str | None"]
"""A connection, a member, a request id or a room id beside the kind."""
