"""What is published, and who receives it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from sfu.errors import IllegalTransitionError
from sfu.layers import HIGHEST_SPATIAL
from sfu.model import AudioProtection, EncodingDemand, Size, Track
from sfu.plane import ConsumerSettings, ProducerSettings

if TYPE_CHECKING:
    from sfu.participant import Participant
    from sfu.transport import ReceivingLine

__all__ = ["LayerWish", "Publication", "Subscription", "SubscriptionState"]


class SubscriptionState(StrEnum):
    """Life of a subscription.

    ``pending`` waits for an m-line, ``active`` has one, ``unavailable`` has no codec in common
    with the track and is tried again when either side negotiates.
    """

    PENDING = "pending"
    ACTIVE = "active"
    UNAVAILABLE = "unavailable"
    ENDED = "ended"


_NEXT: Mapping[SubscriptionState, frozenset[SubscriptionState]] = {
    SubscriptionState.PENDING: frozenset(
        {SubscriptionState.ACTIVE, SubscriptionState.UNAVAILABLE, SubscriptionState.ENDED}
    ),
    SubscriptionState.ACTIVE: frozenset(
        {SubscriptionState.PENDING, SubscriptionState.UNAVAILABLE, SubscriptionState.ENDED}
    ),
    SubscriptionState.UNAVAILABLE: frozenset({SubscriptionState.PENDING, SubscriptionState.ENDED}),
    SubscriptionState.ENDED: frozenset(),
}


@dataclass(slots=True, eq=False)
class Publication:
    """A track with its receive side.

    Attributes:
        producer_id: identifier in the plane; another one after a page reload.
        settings: what the plane was told of it.
        subscriptions: by subscriber.
        codec: of its first packet; ``None`` before.
        rebound: came back on a new transport and has not started there yet.
        sizes: of its encodings, smallest first; ``None`` where not declared.
        wanted: whether anybody wants each of them, as the plane told last.
        protection: what its publisher should do about loss, as the plane told last.
    """

    track: Track
    owner: "Participant"
    producer_id: int
    settings: ProducerSettings
    subscriptions: "dict[Participant, Subscription]" = field(default_factory=dict)
    codec: str | None = None
    rebound: bool = False
    sizes: tuple[Size | None, ...] = (None,)
    wanted: tuple[bool, ...] = ()
    protection: AudioProtection | None = None

    @property
    def demand(self) -> tuple[EncodingDemand, ...]:
        """Which encodings the publisher shall send: all while nothing else was said."""
        rids: tuple[str | None, ...] = self.settings.rids or (None,)
        wanted = self.wanted if len(self.wanted) == len(rids) else (True,) * len(rids)
        return tuple(EncodingDemand(*item) for item in zip(rids, wanted, strict=True))


@dataclass(frozen=True, slots=True)
class LayerWish:
    """What the plane was told of a subscription's layers; ``spatial`` ``None``: send nothing."""

    spatial: int | None = HIGHEST_SPATIAL
    priority: int = 0


@dataclass(slots=True, eq=False)
class Subscription:
    """A participant's wish to receive a track.

    Attributes:
        line: where it is received; only while active.
        consumer_id: identifier in the plane; only while active.
        settings: what the plane was told of it; only while active.
        wish: what the plane was told of its layers.
        playout_delay_s: how long the subscriber should hold it, as the plane told last.
    """

    publication: Publication
    subscriber: "Participant"
    state: SubscriptionState = SubscriptionState.PENDING
    line: "ReceivingLine | None" = None
    consumer_id: int | None = None
    settings: ConsumerSettings | None = None
    wish: LayerWish = field(default_factory=LayerWish)
    playout_delay_s: float = 0.0

    @property
    def track(self) -> Track:
        """The track."""
        return self.publication.track

    @property
    def active(self) -> bool:
        """Whether it has a line and a consumer."""
        return self.state is SubscriptionState.ACTIVE

    def advance(self, state: SubscriptionState) -> None:
        """Goes to ``state``; leaving ``active`` frees the line.

        Raises:
            IllegalTransitionError: the step does not exist; nothing was changed.
        """
        if state not in _NEXT[self.state]:
            raise IllegalTransitionError(f"a subscription can't go from {self.state} to {state}")
        if self.active and self.line is not None:
            self.line.subscription = None
            self.line = None
            self.consumer_id = None
            self.settings = None
            self.wish = LayerWish()
            self.playout_delay_s = 0.0
        self.state = state
