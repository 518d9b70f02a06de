"""Reception without renegotiation: a client that offers once and is never asked again.

Every receiving line of the one offer is answered as sending, with SSRCs of its own. What is sent
on it changes as tracks come and go; the line's stream goes on, so that the client sees neither a
new SSRC nor a break in sequence numbers.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sfu.answer import SentTrack
from sfu.codecs import formats_in_common
from sfu.model import Role, Source, Track
from sfu.plane import ConsumerSettings
from sfu.reception import Reception
from sfu.subscription import LayerWish, Publication, Subscription, SubscriptionState

if TYPE_CHECKING:
    from sfu.negotiation import Plan
    from sfu.participant import Participant
    from sfu.transport import ReceivingLine, Transport

__all__ = ["Selection", "StandingReception"]

CNAME_BYTES = 12

_ROLES: Mapping[Role, int] = {Role.RM: 0, Role.CUSTOMER: 1, Role.EXPERT: 2, Role.SUPERVISOR: 3}
_SOURCES: Mapping[Source, int] = {
    Source.MICROPHONE: 0,
    Source.CAMERA: 0,
    Source.SCREEN_AUDIO: 1,
    Source.SCREEN: 1,
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tracks go on the lines, and which of them first.

    The RM's come before the customer's and the expert's; camera and microphone before a shared
    screen and its sound. A line that carries something keeps it; a free one takes the first track
    that waits.

    Attributes:
        participants: only tracks of these, those of the first one first; empty: of everybody.
        tracks: only these, in this order; empty: all.
    """

    participants: tuple[str, ...] = ()
    tracks: tuple[str, ...] = ()

    def covers(self, track: Track) -> bool:
        """Whether the track may go on a line."""
        return (not self.participants or track.participant_id in self.participants) and (
            not self.tracks or track.track_id in self.tracks
        )

    def rank(self, publication: Publication) -> tuple[int, ...]:
        """Place in the order of those it covers."""
        track = publication.track
        return (
            self.tracks.index(track.track_id) if self.tracks else 0,
            self.participants.index(track.participant_id) if self.participants else 0,
            _ROLES[publication.owner.grant.role],
            _SOURCES[track.source],
        )


class StandingReception(Reception):
    """Subscriptions of a participant that offers once.

    Args:
        selection: what it receives.
    """

    def __init__(self, participant: "Participant", selection: Selection) -> None:
        super().__init__(participant)
        self.selection = selection
        self._cnames: list[str] = []

    def end(self, subscription: Subscription) -> None:
        """Ends a subscription; its line goes to the next that waits."""
        super().end(subscription)
        self.ask()

    def refresh(self, subscription: Subscription) -> None:
        """Fits a subscription; a line it has to leave goes to the next that waits."""
        super().refresh(subscription)
        self.ask()

    def consider_asked(self) -> None:
        """Nobody is asked."""

    def ask(self) -> None:
        """Puts waiting subscriptions on free lines; the client need not know."""
        transport = self._participant.transport
        if self._busy or transport is None or not self._participant.present:
            return
        for subscription in self._in_order():
            if subscription.state is SubscriptionState.PENDING:
                self._place(subscription, transport)

    def _in_order(self) -> list[Subscription]:
        return sorted(
            self.subscriptions.values(), key=lambda item: self.selection.rank(item.publication)
        )

    def _adopt_lines(self, plan: "Plan", transport: "Transport") -> None:
        before = list(transport.lines.values())
        super()._adopt_lines(plan, transport)
        for line in before:
            if transport.lines.get(line.mid) is not line:
                self._close(line, transport)
        counts: dict[str, int] = {}
        for line in transport.lines.values():
            number = counts.get(line.kind, 0)
            counts[line.kind] = number + 1
            if line.sent is None:
                line.sent = self._sender(line, number, transport)

    def _close(self, line: "ReceivingLine", transport: "Transport") -> None:
        """Ends the stream of a line that is offered no more."""
        if line.consumer_id is not None:
            self._participant.room.port.remove_consumer(line.consumer_id)
        if line.sent is not None:
            transport.ssrcs -= {line.sent.ssrc, line.sent.rtx_ssrc}

    def _sender(self, line: "ReceivingLine", number: int, transport: "Transport") -> SentTrack:
        """What is announced of a line. The first of each kind are played in step, and so on."""
        if number == len(self._cnames):
            self._cnames.append(secrets.token_urlsafe(CNAME_BYTES))
        with_rtx = any(item.rtx_payload_type is not None for item in line.formats)
        return SentTrack(
            ssrc=transport.new_ssrc(),
            rtx_ssrc=transport.new_ssrc() if with_rtx else None,
            cname=self._cnames[number],
            stream_id=f"watch-{number + 1}",
            track_id=f"{line.kind}-{number + 1}",
        )

    def _put_on_line(
        self, subscription: Subscription, line: "ReceivingLine", transport: "Transport"
    ) -> None:
        if subscription.state is SubscriptionState.UNAVAILABLE:
            subscription.advance(SubscriptionState.PENDING)
        assert line.sent is not None
        publication, port = subscription.publication, self._participant.room.port
        formats = formats_in_common(line.formats, publication.settings.formats)
        settings = ConsumerSettings(
            mid=line.mid,
            ssrc=line.sent.ssrc,
            rtx_ssrc=line.sent.rtx_ssrc,
            formats=formats,
            nack=any(item.nack for item in formats),
            cname=line.sent.cname,
        )
        if line.consumer_id is None:
            line.consumer_id = self._registry.new_id()
            port.add_consumer(
                transport.transport_id, line.consumer_id, publication.producer_id, settings
            )
        else:
            port.update_consumer(line.consumer_id, settings)
            port.set_consumer_source(line.consumer_id, publication.producer_id)
        subscription.advance(SubscriptionState.ACTIVE)
        subscription.line, line.subscription = line, subscription
        subscription.consumer_id, subscription.settings = line.consumer_id, settings
        self._registry.subscriptions[line.consumer_id] = subscription
        subscription.wish = line.wish or LayerWish()
        self.fit(subscription)

    def _leave_line(
        self, subscription: Subscription, state: SubscriptionState, *, remove: bool = True
    ) -> None:
        """The consumer stays, without a source, for the next track on its line."""
        line, consumer_id, wish = subscription.line, subscription.consumer_id, subscription.wish
        subscription.advance(state)
        if consumer_id is None or line is None:
            return
        line.wish = wish
        self._registry.subscriptions.pop(consumer_id, None)
        if not remove:
            line.consumer_id = None
