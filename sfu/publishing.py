"""A participant's tracks on their way into the plane."""

import logging
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import ref

from sfu.model import AudioProtection, Kind, Source, Track
from sfu.negotiation import Plan, PlannedLine
from sfu.subscription import Publication
from sfu.transport import Transport

if TYPE_CHECKING:
    from sfu.participant import Participant

__all__ = ["Publishing"]

log = logging.getLogger(__name__)

TRACK_ID_BYTES = 12
CNAME_BYTES = 12


class Publishing:
    """Tracks of one participant, at most one of each source."""

    def __init__(self, participant: "Participant") -> None:
        # Weakly: who left is freed at once, and waits for no garbage collection.
        self._owner = ref(participant)
        self._registry = participant.room.registry
        self.cname = secrets.token_urlsafe(CNAME_BYTES)
        self.publications: dict[Source, Publication] = {}

    @property
    def _participant(self) -> "Participant":
        participant = self._owner()
        assert participant is not None, "outlived its participant"
        return participant

    def carry_out(self, plan: Plan, transport: Transport | None, *, fresh: bool) -> dict[str, str]:
        """Makes the tracks what the plan says.

        Args:
            plan: says which line carries which source.
            transport: where they arrive.
            fresh: the transport is a new one, and tracks of the last one come back by source.

        Returns:
            mid → track_id.
        """
        lines = {line.source: line for line in plan.lines if line.source is not None}
        for source, publication in list(self.publications.items()):
            if source not in lines:
                self._withdraw(publication, remove=not fresh)
        moved = self._take_off(list(lines.values()), fresh=fresh)
        new: list[Publication] = []
        for source, line in lines.items():
            present = self.publications.get(source)
            if transport is None or line.settings is None:
                continue
            if present is None:
                new.append(self._add(line, source, transport))
            elif source in moved:
                self._rebind(present, line, transport)
            elif present.settings != line.settings:
                self._update(present, line)
            if present is not None and present.sizes != line.sizes:
                present.sizes = line.sizes
                for subscription in list(present.subscriptions.values()):
                    subscription.subscriber.reception.fit(subscription)
                if self._participant.room.taps is not None:
                    self._participant.room.taps.fit(present)
        if new:
            self._participant.room.announce(new)
        return {
            publication.settings.mid: publication.track.track_id
            for publication in self.publications.values()
        }

    def set_muted(self, publication: Publication, muted: bool, by: str) -> None:
        """Forwards or holds back; a video that comes back starts with a keyframe."""
        if publication.track.muted == muted:
            return
        publication.track.muted = muted
        port = self._participant.room.port
        port.set_producer_paused(publication.producer_id, muted)
        if not muted and publication.track.kind is Kind.VIDEO:
            port.request_keyframe(publication.producer_id)
        self._registry.listener.track_muted(publication.track, by)
        self._tell_taps_of_muting(publication)

    def _tell_taps_of_muting(self, publication: Publication) -> None:
        taps = self._participant.room.taps
        if taps is not None:
            taps.muted(publication.track)

    def withdraw_all(self) -> None:
        """Unpublishes everything; the producers go with the transport, which the caller closes."""
        for publication in list(self.publications.values()):
            self._withdraw(publication, remove=False)

    def _take_off(self, lines: Sequence[PlannedLine], *, fresh: bool) -> set[Source]:
        """Removes producers whose line changed, so that two never share one.

        Returns:
            Sources whose track needs a new producer.
        """
        moved: set[Source] = set()
        for line in lines:
            publication = self.publications.get(line.source) if line.source else None
            if publication is None or line.source is None or line.settings is None:
                continue
            if fresh:
                moved.add(line.source)
            elif publication.settings.mid != line.settings.mid:
                moved.add(line.source)
                self._participant.room.port.remove_producer(publication.producer_id)
        return moved

    def _add(self, line: PlannedLine, source: Source, transport: Transport) -> Publication:
        assert line.settings is not None
        participant = self._participant
        track = Track(
            track_id=f"t_{secrets.token_urlsafe(TRACK_ID_BYTES)}",
            participant_id=participant.participant_id,
            kind=source.kind,
            source=source,
            muted=bool(line.muted),
        )
        publication = Publication(
            track, participant, self._registry.new_id(), line.settings, sizes=line.sizes
        )
        self.publications[source] = publication
        self._start(publication, transport)
        return publication

    def _start(self, publication: Publication, transport: Transport) -> None:
        port = self._participant.room.port
        self._registry.publications[publication.producer_id] = publication
        port.add_producer(transport.transport_id, publication.producer_id, publication.settings)
        if publication.track.muted:
            port.set_producer_paused(publication.producer_id, True)

    def _rebind(self, publication: Publication, line: PlannedLine, transport: Transport) -> None:
        """Gives a track another producer; its subscribers go on with the same streams."""
        assert line.settings is not None
        track = publication.track
        was_muted = track.muted
        if line.muted is not None:
            track.muted = line.muted
        self._registry.publications.pop(publication.producer_id, None)
        publication.producer_id = self._registry.new_id()
        self._end_protection(publication)
        publication.settings = line.settings
        publication.codec = None
        publication.rebound = True
        publication.wanted = ()
        self._start(publication, transport)
        port = self._participant.room.port
        for subscription in publication.subscriptions.values():
            if subscription.active and subscription.consumer_id is not None:
                port.set_consumer_source(subscription.consumer_id, publication.producer_id)
        if self._participant.room.capture is not None:
            self._participant.room.capture.bring(publication)
        if self._participant.room.taps is not None:
            self._participant.room.taps.bring(publication)
        self._refresh_subscribers(publication)
        if track.kind is Kind.VIDEO:
            port.request_keyframe(publication.producer_id)
        if track.muted != was_muted:
            self._registry.listener.track_muted(track, self._participant.participant_id)
            self._tell_taps_of_muting(publication)
        log.info("track rebound", extra={"track_id": track.track_id})

    def _update(self, publication: Publication, line: PlannedLine) -> None:
        assert line.settings is not None
        same_formats = publication.settings.formats == line.settings.formats
        if publication.settings.rids != line.settings.rids:
            publication.wanted = ()
        publication.settings = line.settings
        self._participant.room.port.update_producer(publication.producer_id, line.settings)
        if not same_formats:
            self._refresh_subscribers(publication)

    def _refresh_subscribers(self, publication: Publication) -> None:
        for subscription in list(publication.subscriptions.values()):
            subscription.subscriber.reception.refresh(subscription)

    def _end_protection(self, publication: Publication) -> None:
        """What was said of a line doesn't hold for what comes next on it."""
        said, publication.protection = publication.protection, None
        if said is not None and (said.offsets or said.bitrate_bps is not None):
            nothing = AudioProtection(said.mid)
            self._registry.listener.audio_protection_changed(self._participant, nothing)

    def _withdraw(self, publication: Publication, *, remove: bool = True) -> None:
        del self.publications[publication.track.source]
        self._registry.publications.pop(publication.producer_id, None)
        for subscription in list(publication.subscriptions.values()):
            subscription.subscriber.reception.end(subscription)
        room = self._participant.room
        if remove:
            room.port.remove_producer(publication.producer_id)
            self._end_protection(publication)
        room.retract(publication)
