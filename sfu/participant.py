"""One person's presence in a room."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sfu.answer import AnswerLine, LocalTransport, SentTrack, candidate_lines, write_answer
from sfu.dtls import DtlsMemory
from sfu.errors import (
    EngineUnavailableError,
    ForbiddenError,
    IllegalTransitionError,
    SdpError,
    UnknownParticipantError,
    UnknownTrackError,
)
from sfu.model import (
    Answer,
    AudioProtection,
    EncodingDemand,
    Grant,
    Kind,
    Lines,
    MediaState,
    Offer,
    PlayoutDelay,
    Quality,
    Size,
    Track,
)
from sfu.negotiation import Plan, TransportStep, plan_offer
from sfu.plane import Ice
from sfu.publishing import Publishing
from sfu.quality import measure
from sfu.reception import Reception
from sfu.sdp import parse_offer
from sfu.standing import Selection, StandingReception
from sfu.subscription import Publication
from sfu.transport import Transport, TransportState, new_ice

if TYPE_CHECKING:
    from sfu.room import Room

__all__ = ["Participant"]

log = logging.getLogger(__name__)


class Participant:
    """Made by :meth:`sfu.Room.admit`.

    Attributes:
        name: shown to others; personal data, never logged.
        transport: the association with the plane, ``None`` before the first offer.
    """

    def __init__(
        self,
        room: "Room",
        participant_id: str,
        grant: Grant,
        *,
        name: str,
        auto_subscribe: bool,
        selection: Selection | None = None,
    ) -> None:
        self.room = room
        self.participant_id = participant_id
        self.grant = grant
        self.name = name
        self.auto_subscribe = auto_subscribe
        self.present = True
        self.transport: Transport | None = None
        self._dtls = DtlsMemory()
        self.publishing = Publishing(self)
        self.selection = selection
        self.reception = StandingReception(self, selection) if selection else Reception(self)

    @property
    def media(self) -> MediaState:
        """Whether media flows."""
        return self.transport.media_state if self.transport else MediaState.NONE

    @property
    def published(self) -> Mapping[str, Track]:
        """Tracks by identifier."""
        items = self.publishing.publications.values()
        return {item.track.track_id: item.track for item in items}

    @property
    def lines(self) -> Lines:
        """Receiving m-lines the client's offers must have in total."""
        return self.reception.lines

    def may_receive(self, publication: Publication) -> bool:
        """Whether the grant, and the selection where there is one, cover the track."""
        return (
            publication.owner is not self
            and publication.owner.grant.role in self.grant.subscribe
            and (self.selection is None or self.selection.covers(publication.track))
        )

    def negotiate(self, offer: Offer) -> Answer:
        """Answers an offer and carries out what follows from it.

        Raises:
            SdpError: the offer can't be used.
            ForbiddenError: a declared track is not granted, or there are too many.
            NoCommonCodecError: a declared track has no codec this server forwards.
            UnknownParticipantError: the participant has left.
            EngineUnavailableError: the plane refused; the media connection is closed.

        With the first three nothing has changed.
        """
        self._check_present()
        self.reception.begin_offer()
        answered = False
        try:
            remote = parse_offer(offer.sdp)
            config = self.room.registry.config
            plan = plan_offer(
                remote,
                offer.tracks,
                self.grant,
                config,
                self.transport,
                dtls_server=offer.dtls_server and self._dtls.works,
                restarts_ice=offer.restarts_ice,
            )
            answer = self._carry_out(plan)
            answered = True
        finally:
            self.reception.end_offer(answered=answered)
        return answer

    @property
    def ice(self) -> tuple[Ice, Ice] | None:
        """Our credentials and the client's, ``None`` before the first offer."""
        return (self.transport.local, self.transport.remote) if self.transport else None

    @property
    def candidates(self) -> list[str]:
        """Our candidates as attributes of a description."""
        port = self.room.port
        return list(candidate_lines(port.addresses, port.tcp_addresses))

    def restart_ice(self, remote: Ice) -> Ice:
        """Restarts ICE without an offer (RFC 9725, section 4.3.3).

        Args:
            remote: the client's new credentials.

        Returns:
            Our new credentials.

        Raises:
            SdpError: there is no media connection, or it is gone for good; nothing has changed.
            UnknownParticipantError: the participant has left.
            EngineUnavailableError: the plane refused; the old credentials are good.
        """
        self._check_present()
        transport = self.transport
        if transport is None or transport.final:
            raise SdpError("the media connection is gone; make a new one")
        local = new_ice()
        self.room.port.restart_ice(transport.transport_id, local=local, remote=remote)
        transport.local, transport.remote = local, remote
        return local

    def set_muted(self, track_id: str, muted: bool, *, by: str) -> None:
        """Mutes or unmutes a track of this participant.

        Args:
            track_id: one of ``published``.
            muted: the new state; nothing happens where it is the present one.
            by: the participant who did it, for the others.

        Raises:
            UnknownTrackError: not a track of this participant.
        """
        for publication in self.publishing.publications.values():
            if publication.track.track_id == track_id:
                self.publishing.set_muted(publication, muted, by)
                return
        raise UnknownTrackError("the participant publishes no such track")

    def subscribe(self, track_id: str) -> None:
        """Asks to receive a track; nothing happens where that was asked before.

        Raises:
            UnknownTrackError: no such track in the room, or an own one.
            ForbiddenError: the grant does not cover its publisher's role.
            UnknownParticipantError: the participant has left.
        """
        self._check_present()
        publication = self.room.publications.get(track_id)
        if publication is None or publication.owner is self:
            raise UnknownTrackError("no such track to subscribe to")
        if not self.may_receive(publication):
            raise ForbiddenError("the grant does not allow to receive this participant")
        self.reception.wish(publication)
        self.reception.ask()

    def unsubscribe(self, track_id: str) -> None:
        """Ends a subscription; nothing happens where there is none.

        Raises:
            UnknownTrackError: no such track in the room.
            UnknownParticipantError: the participant has left.
        """
        self._check_present()
        if track_id not in self.room.publications:
            raise UnknownTrackError("no such track to unsubscribe from")
        subscription = self.reception.subscriptions.get(track_id)
        if subscription is not None:
            self.reception.end(subscription)

    def show(self, sizes: Mapping[str, Size]) -> None:
        """Says how large tracks are shown, in device pixels; nobody is sent more than that.

        Args:
            sizes: by track; zero: not to be seen. Tracks not named keep what was said before,
                and those nothing was ever said of are sent at their best. Names of tracks that
                are not there or not for this participant are passed over.

        Raises:
            UnknownParticipantError: the participant has left.
        """
        self._check_present()
        for track_id, size in sizes.items():
            publication = self.room.publications.get(track_id)
            if publication is not None and self.may_receive(publication):
                self.reception.show(publication, size)

    def leave(self, reason: str) -> None:
        """Takes the participant out of the room; nothing happens the second time."""
        if not self.present:
            return
        self.present = False
        self.publishing.withdraw_all()
        self.reception.end_all()
        self._close_transport()
        self.room.forget(self, reason)

    def demands(self) -> list[tuple[Track, tuple[EncodingDemand, ...]]]:
        """Which encodings of each own video the client shall send."""
        items = self.publishing.publications.values()
        return [(item.track, item.demand) for item in items if item.track.kind is Kind.VIDEO]

    @property
    def uplink_floor_bps(self) -> int | None:
        """What the client's own estimate of its way up shall stay above; ``None``: it may fall."""
        return self.transport.floor_bps if self.transport else None

    def audio_protections(self) -> list[AudioProtection]:
        """What the client should do about loss of its audio, where anything was said of it."""
        items = (item.protection for item in self.publishing.publications.values())
        return [item for item in items if item is not None]

    def playout_delays(self) -> list[PlayoutDelay]:
        """How long the client should hold the audio it receives, where that is not zero."""
        return [
            PlayoutDelay(item.line.mid, item.playout_delay_s)
            for item in self.reception.subscriptions.values()
            if item.line is not None and item.playout_delay_s
        ]

    def quality(self) -> Quality:
        """Connection quality as the plane measures it."""
        return measure(self)

    def transport_changed(self, transport_id: int, state: TransportState, reason: str) -> None:
        """Takes over what the plane reports of the transport."""
        transport = self.transport
        if transport is None or transport.transport_id != transport_id:
            return
        before = transport.media_state
        try:
            transport.advance(state)
        except IllegalTransitionError:
            log.warning("transport state out of order", extra={"state": state.value})
            return
        if state is TransportState.CONNECTED:
            self._dtls.connected(transport.dtls_role)
        elif state is TransportState.FAILED and before is MediaState.CONNECTING:
            self._dtls.given_up(transport.dtls_role, reason)
        if transport.media_state is not before:
            log.info(
                "media state changed",
                extra={
                    "room_id": self.room.room_id,
                    "participant_id": self.participant_id,
                    "state": transport.media_state.value,
                    "reason": reason,
                },
            )
            listener = self.room.registry.listener
            listener.media_changed(self, transport.media_state, reason)

    def _check_present(self) -> None:
        if not self.present:
            raise UnknownParticipantError("the participant has left the room")

    def _carry_out(self, plan: Plan) -> Answer:
        media_before, old = self.media, self.transport
        fresh = plan.step in (TransportStep.CREATE, TransportStep.CLOSE)
        try:
            transport = self.transport = self._associate(plan)
            published = self.publishing.carry_out(plan, transport, fresh=fresh)
            if fresh and old is not None:
                self._drop(old)
            subscribed = self.reception.carry_out(plan, transport) if transport else {}
        except EngineUnavailableError:
            self.publishing.withdraw_all()
            if old is not None:
                self._drop(old)
            self._close_transport()
            raise
        sdp = self._answer(plan, published)
        if self.media is not media_before:
            self.room.registry.listener.media_changed(self, self.media, "none")
        return Answer(sdp, published, subscribed)

    def _associate(self, plan: Plan) -> Transport | None:
        """The association the plan asks for; an old one is left to be closed."""
        remote, port = plan.remote, self.room.port
        transport = self.transport
        if plan.step in (TransportStep.NONE, TransportStep.CLOSE) or remote.ice is None:
            return None
        if plan.step is TransportStep.CREATE or transport is None:
            transport = self.transport = self._new_transport(plan, remote.ice)
        elif plan.step is TransportStep.RESTART:
            local = new_ice()
            port.restart_ice(transport.transport_id, local=local, remote=remote.ice)
            transport.local, transport.remote = local, remote.ice
        if transport.extensions != plan.extensions:
            port.set_extensions(transport.transport_id, plan.extensions)
            transport.extensions = dict(plan.extensions)
        transport.remote_ssrcs = frozenset(
            ssrc for item in remote.sections for ssrc in item.ssrcs if ssrc is not None
        )
        transport.remote_session_id = remote.session_id
        return transport

    def _new_transport(self, plan: Plan, ice: Ice) -> Transport:
        registry = self.room.registry
        transport = Transport(
            transport_id=registry.new_id(),
            remote=ice,
            local=new_ice(),
            fingerprints=plan.remote.fingerprints,
            dtls_role=plan.dtls_role,
            remote_session_id=plan.remote.session_id,
        )
        self.room.port.create_transport(
            self.room.plane_id,
            transport.transport_id,
            local=transport.local,
            remote=ice,
            fingerprints=sorted(transport.fingerprints),
            dtls_role=plan.dtls_role.value,
        )
        registry.transports[transport.transport_id] = self
        return transport

    def _close_transport(self) -> None:
        if self.transport is not None:
            self._drop(self.transport)
            self.transport = None

    def _drop(self, transport: Transport) -> None:
        if transport.state is TransportState.CONNECTING:
            self._dtls.given_up(transport.dtls_role)
        self.reception.forget_transport(transport)
        if self.room.registry.transports.pop(transport.transport_id, None) is not None:
            self.room.port.close_transport(transport.transport_id)

    def _answer(self, plan: Plan, published: Mapping[str, str]) -> str:
        transport, registry = self.transport, self.room.registry
        if transport is None:
            lines = [AnswerLine(item.section, accepted=False) for item in plan.lines]
            return write_answer(plan.remote, lines, None, session_id=1, version=1)
        transport.version += 1
        lines = [
            AnswerLine(
                section=item.section,
                accepted=item.accepted,
                receives=item.section.mid in published and item.source is not None,
                sent=self._sent(transport, item.section.mid) if item.accepted else None,
                formats=item.formats,
                extensions=item.extensions,
                rids=item.section.rids,
            )
            for item in plan.lines
        ]
        local = LocalTransport(
            transport.local,
            registry.fingerprint,
            transport.dtls_role.setup,
            self.room.port.addresses,
            self.room.port.tcp_addresses,
        )
        return write_answer(
            plan.remote, lines, local, session_id=transport.session_id, version=transport.version
        )

    @staticmethod
    def _sent(transport: Transport, mid: str) -> SentTrack | None:
        line = transport.lines.get(mid)
        if line is not None and line.sent is not None:
            return line.sent
        subscription = line.subscription if line else None
        if subscription is None or subscription.settings is None:
            return None
        settings, track = subscription.settings, subscription.track
        return SentTrack(
            ssrc=settings.ssrc,
            rtx_ssrc=settings.rtx_ssrc,
            cname=settings.cname,
            stream_id=track.participant_id,
            track_id=track.track_id,
        )
