"""What a participant receives: subscriptions, their m-lines, and when to ask for more of those."""

from typing import TYPE_CHECKING
from weakref import ref

from sfu.codecs import formats_in_common
from sfu.layers import ALL_TEMPORAL, HIGHEST_SPATIAL, priority_of, spatial_for
from sfu.model import Kind, Lines, PlayoutDelay, Size
from sfu.negotiation import Plan
from sfu.plane import ConsumerSettings
from sfu.subscription import LayerWish, Publication, Subscription, SubscriptionState
from sfu.transport import ReceivingLine, Transport

if TYPE_CHECKING:
    from sfu.participant import Participant

__all__ = ["Reception"]

NO_COMMON_CODEC = "no_common_codec"


class Reception:
    """Subscriptions of one participant.

    The client is asked for an offer at most once between two offers; what changes in between is
    found when the next one has been answered.
    """

    def __init__(self, participant: "Participant") -> None:
        # Weakly: who left is freed at once, and waits for no garbage collection.
        self._owner = ref(participant)
        self._registry = participant.room.registry
        self._asked = False
        self._busy = False
        self.subscriptions: dict[str, Subscription] = {}
        self._shown: dict[str, Size] = {}

    @property
    def _participant(self) -> "Participant":
        participant = self._owner()
        assert participant is not None, "outlived its participant"
        return participant

    @property
    def lines(self) -> Lines:
        """Receiving m-lines needed in total."""
        wanted = [
            item.track.kind
            for item in self.subscriptions.values()
            if item.state in (SubscriptionState.PENDING, SubscriptionState.ACTIVE)
        ]
        return Lines(audio=wanted.count(Kind.AUDIO), video=wanted.count(Kind.VIDEO))

    def wish(self, publication: Publication) -> None:
        """Subscribes; a second wish for the same track changes nothing."""
        track_id = publication.track.track_id
        if track_id in self.subscriptions:
            return
        subscription = Subscription(publication, self._participant)
        self.subscriptions[track_id] = subscription
        publication.subscriptions[self._participant] = subscription

    def end(self, subscription: Subscription) -> None:
        """Ends a subscription and frees its line."""
        self._leave_line(subscription, SubscriptionState.ENDED)
        self._shown.pop(subscription.track.track_id, None)
        self.subscriptions.pop(subscription.track.track_id, None)
        subscription.publication.subscriptions.pop(self._participant, None)

    def show(self, publication: Publication, size: Size) -> None:
        """Takes over how large a track is shown."""
        track = publication.track
        if track.kind is not Kind.VIDEO or self._shown.get(track.track_id) == size:
            return
        self._shown[track.track_id] = size
        subscription = self.subscriptions.get(track.track_id)
        if subscription is not None:
            self.fit(subscription)

    def fit(self, subscription: Subscription) -> None:
        """Tells the plane which layers of an active subscription are of use, if that is new."""
        publication, consumer_id = subscription.publication, subscription.consumer_id
        if consumer_id is None or publication.track.kind is not Kind.VIDEO:
            return
        shown = self._shown.get(publication.track.track_id)
        spatial: int | None = HIGHEST_SPATIAL
        if shown is not None:
            spatial = spatial_for(shown, publication.sizes)
        wish = LayerWish(
            spatial,
            priority_of(
                publication.owner.grant.role,
                publication.track.source,
                screen_first=self._participant.room.screen_first,
            ),
        )
        if subscription.wish == wish:
            return
        subscription.wish = wish
        self._participant.room.port.set_consumer_layers(
            consumer_id, spatial=wish.spatial, temporal=ALL_TEMPORAL, priority=wish.priority
        )

    def fit_all(self) -> None:
        """The same for all subscriptions."""
        for subscription in self.subscriptions.values():
            self.fit(subscription)

    def refresh(self, subscription: Subscription) -> None:
        """Fits a subscription to a publication whose payload types changed."""
        if subscription.state is SubscriptionState.UNAVAILABLE:
            subscription.advance(SubscriptionState.PENDING)
            self.ask()
        elif subscription.active:
            self._refit(subscription)

    def consider_asked(self) -> None:
        """The client was told the lines it needs in another way."""
        self._asked = self._pending

    def begin_offer(self) -> None:
        """An offer arrived: the last request, if any, is answered by it."""
        self._asked = False
        self._busy = True

    def end_offer(self, *, answered: bool) -> None:
        """The offer was dealt with; asks again for what is still missing.

        Args:
            answered: ``False`` where it was refused. Asking again at once would make a client
                that can't do better repeat itself.
        """
        self._busy = False
        if answered:
            self.ask()

    def ask(self) -> None:
        """Asks for an offer where a subscription waits and no request is outstanding."""
        if self._asked or self._busy or not self._pending or not self._participant.present:
            return
        self._asked = True
        self._registry.listener.negotiation_needed(self._participant, self.lines)

    def carry_out(self, plan: Plan, transport: Transport) -> dict[str, str]:
        """Puts subscriptions on the lines of an offer.

        Returns:
            mid → track_id.
        """
        self._adopt_lines(plan, transport)
        for subscription in self._in_order():
            if not subscription.active:
                self._place(subscription, transport)
        return {
            mid: line.subscription.track.track_id
            for mid, line in transport.lines.items()
            if line.subscription is not None
        }

    def forget_transport(self, transport: Transport) -> None:
        """The transport is gone and its consumers with it; their subscriptions wait again."""
        for line in list(transport.lines.values()):
            if line.subscription is not None:
                self._leave_line(line.subscription, SubscriptionState.PENDING, remove=False)
        transport.lines.clear()
        # Another page may come, which shows everything in other sizes, or never says.
        self._shown.clear()

    def end_all(self) -> None:
        """Ends every subscription."""
        for subscription in list(self.subscriptions.values()):
            self.end(subscription)

    def _in_order(self) -> list[Subscription]:
        """Subscriptions, those first that are to be placed first."""
        return list(self.subscriptions.values())

    @property
    def _pending(self) -> bool:
        return any(item.state is SubscriptionState.PENDING for item in self.subscriptions.values())

    def _adopt_lines(self, plan: Plan, transport: Transport) -> None:
        offered = {
            item.section.mid: ReceivingLine(item.section.mid, item.kind, item.formats)
            for item in plan.lines
            if item.kind is not None
        }
        for mid, line in list(transport.lines.items()):
            successor = offered.get(mid)
            if successor is None or successor.kind is not line.kind:
                if line.subscription is not None:
                    self._leave_line(line.subscription, SubscriptionState.PENDING)
                del transport.lines[mid]
        for mid, line in offered.items():
            present = transport.lines.setdefault(mid, line)
            if present.formats != line.formats:
                present.formats = line.formats
                if present.subscription is not None:
                    self._refit(present.subscription)

    def _place(self, subscription: Subscription, transport: Transport) -> None:
        kind = subscription.track.kind
        free = [
            line
            for line in transport.lines.values()
            if line.kind is kind and line.subscription is None
        ]
        for line in free:
            if formats_in_common(line.formats, subscription.publication.settings.formats):
                self._put_on_line(subscription, line, transport)
                return
        if free and subscription.state is SubscriptionState.PENDING:
            self._make_unavailable(subscription)

    def _put_on_line(
        self, subscription: Subscription, line: ReceivingLine, transport: Transport
    ) -> None:
        if subscription.state is SubscriptionState.UNAVAILABLE:
            subscription.advance(SubscriptionState.PENDING)
        publication = subscription.publication
        formats = formats_in_common(line.formats, publication.settings.formats)
        with_rtx = any(item.rtx_payload_type is not None for item in line.formats)
        settings = ConsumerSettings(
            mid=line.mid,
            ssrc=transport.new_ssrc(),
            rtx_ssrc=transport.new_ssrc() if with_rtx else None,
            formats=formats,
            nack=any(item.nack for item in formats),
            cname=publication.owner.publishing.cname,
        )
        consumer_id = self._registry.new_id()
        subscription.advance(SubscriptionState.ACTIVE)
        subscription.line, line.subscription = line, subscription
        subscription.consumer_id = consumer_id
        subscription.settings = settings
        self._registry.subscriptions[consumer_id] = subscription
        self._participant.room.port.add_consumer(
            transport.transport_id, consumer_id, publication.producer_id, settings
        )
        self.fit(subscription)

    def _refit(self, subscription: Subscription) -> None:
        """Sends an active subscription's payload types again where they changed."""
        line, settings = subscription.line, subscription.settings
        consumer_id = subscription.consumer_id
        assert line is not None
        assert settings is not None
        assert consumer_id is not None
        formats = formats_in_common(line.formats, subscription.publication.settings.formats)
        if not formats:
            self._make_unavailable(subscription)
            return
        changed = ConsumerSettings(
            mid=settings.mid,
            ssrc=settings.ssrc,
            rtx_ssrc=settings.rtx_ssrc,
            formats=formats,
            nack=any(item.nack for item in formats),
            cname=settings.cname,
        )
        if changed != settings:
            subscription.settings = changed
            self._participant.room.port.update_consumer(consumer_id, changed)

    def _make_unavailable(self, subscription: Subscription) -> None:
        self._leave_line(subscription, SubscriptionState.UNAVAILABLE)
        self._registry.listener.track_unavailable(
            self._participant, subscription.track, NO_COMMON_CODEC
        )

    def _leave_line(
        self, subscription: Subscription, state: SubscriptionState, *, remove: bool = True
    ) -> None:
        consumer_id, settings = subscription.consumer_id, subscription.settings
        was_held = subscription.playout_delay_s > 0
        subscription.advance(state)
        if consumer_id is None:
            return
        self._registry.subscriptions.pop(consumer_id, None)
        if remove:
            self._participant.room.port.remove_consumer(consumer_id)
        if remove and was_held and settings is not None:
            # The line's next track is another; what is said ends with a connection by itself.
            free = PlayoutDelay(settings.mid, 0.0)
            self._registry.listener.playout_delay_changed(self._participant, free)
        transport = self._participant.transport
        if transport is not None and settings is not None:
            transport.ssrcs -= {settings.ssrc, settings.rtx_ssrc}
