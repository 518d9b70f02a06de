"""What rooms share: settings, identifiers of the plane and whom they belong to."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sfu.config import SfuConfig
from sfu.listener import SfuListener

if TYPE_CHECKING:
    from sfu.capture import RoomCapture
    from sfu.participant import Participant
    from sfu.room import Room
    from sfu.subscription import Publication, Subscription

__all__ = ["Registry"]


@dataclass(slots=True, eq=False)
class Registry:
    """Shared by all rooms of a process.

    Attributes:
        fingerprint: of our certificate, SHA-256 in SDP form.
        forget_room: called when a room has closed.
        transports: owner by transport identifier; the others alike.
    """

    config: SfuConfig
    listener: SfuListener
    fingerprint: str
    forget_room: "Callable[[Room], None]"
    rooms: "dict[int, Room]" = field(default_factory=dict)
    transports: "dict[int, Participant]" = field(default_factory=dict)
    publications: "dict[int, Publication]" = field(default_factory=dict)
    subscriptions: "dict[int, Subscription]" = field(default_factory=dict)
    captures: "dict[int, RoomCapture]" = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def new_id(self) -> int:
        """An identifier for the plane, unique for the life of the process."""
        return next(self._ids)
