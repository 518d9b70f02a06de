"""What the plane reports, in the terms of this package."""

# ruff: noqa: ARG002 (all actions have one signature)

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sfu.model import AudioProtection, Kind, PlayoutDelay
from sfu.plane import EnginePort
from sfu.reception import NO_COMMON_CODEC
from sfu.registry import Registry
from sfu.transport import TransportState

if TYPE_CHECKING:
    from sfu._media import Event

__all__ = ["EventDispatch"]

log = logging.getLogger(__name__)


class EventDispatch:
    """Carries events of all engines to rooms and participants.

    Events name things that may be gone by the time they are read; those are ignored. They are
    told apart by class name, so that an engine need not be the compiled one.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._actions: Mapping[str, Callable[[EnginePort, Any], None]] = {
            "TransportStateChanged": self._transport_state_changed,
            "TransportSecured": self._transport_secured,
            "TransportMoved": self._transport_moved,
            "ProducerStarted": self._producer_started,
            "ConsumerStarted": self._consumer_started,
            "ProducerDemand": self._producer_demand,
            "ConsumerLayersChanged": self._consumer_layers_changed,
            "AudioProtection": self._audio_protection,
            "UplinkFloor": self._uplink_floor,
            "PlayoutDelay": self._playout_delay,
            "AudioLevels": self._audio_levels,
            "ActiveSpeaker": self._active_speaker,
            "RoomPanicked": self._room_panicked,
            "CommandFailed": self._command_failed,
            "EventsDropped": self._events_dropped,
            "CaptureOpened": self._captured,
            "CaptureSegmentClosed": self._captured,
            "CaptureGap": self._captured,
            "CaptureFailed": self._captured,
            "CaptureRestored": self._captured,
            "CaptureClosed": self._captured,
            "EngineFailed": self._engine_failed,
        }

    @property
    def event_names(self) -> frozenset[str]:
        """Names of the events that are understood."""
        return frozenset(self._actions)

    def dispatch(self, port: EnginePort, event: "Event") -> None:
        """Takes one event over."""
        name = type(event).__name__.rpartition("_")[2]
        action = self._actions.get(name)
        if action is None:
            log.warning("unknown event", extra={"event": name, "engine": port.index})
            return
        action(port, event)

    def _transport_state_changed(
        self, port: EnginePort, event: "Event.TransportStateChanged"
    ) -> None:
        self._set_transport_state(event.transport, event.state, event.reason)

    def _set_transport_state(self, transport_id: int, state: str, reason: str) -> None:
        participant = self._registry.transports.get(transport_id)
        if participant is not None and state != TransportState.NEW:
            participant.transport_changed(transport_id, TransportState(state), reason)

    def _transport_secured(self, port: EnginePort, event: "Event.TransportSecured") -> None:
        participant = self._registry.transports.get(event.transport)
        if participant is not None:
            log.info(
                "media secured",
                extra={
                    "room_id": participant.room.room_id,
                    "participant_id": participant.participant_id,
                    "dtls_version": event.dtls_version,
                    "profile": event.profile,
                },
            )

    def _transport_moved(self, port: EnginePort, event: "Event.TransportMoved") -> None:
        participant = self._registry.transports.get(event.transport)
        if participant is not None:
            log.info(
                "media path chosen",
                extra={
                    "room_id": participant.room.room_id,
                    "participant_id": participant.participant_id,
                    "pii.remote": event.remote,
                },
            )

    def _producer_started(self, port: EnginePort, event: "Event.ProducerStarted") -> None:
        publication = self._registry.publications.get(event.producer)
        if publication is None:
            return
        publication.codec = event.codec
        if publication.rebound:
            publication.rebound = False
            if publication.track.kind is Kind.VIDEO:
                port.request_keyframe(event.producer)
        for subscription in list(publication.subscriptions.values()):
            settings = subscription.settings
            if settings is None or any(item.codec == event.codec for item in settings.formats):
                continue
            self._registry.listener.track_unavailable(
                subscription.subscriber, subscription.track, NO_COMMON_CODEC
            )

    def _consumer_started(self, port: EnginePort, event: "Event.ConsumerStarted") -> None:
        subscription = self._registry.subscriptions.get(event.consumer)
        if subscription is not None:
            log.debug(
                "subscription flows",
                extra={
                    "participant_id": subscription.subscriber.participant_id,
                    "track_id": subscription.track.track_id,
                },
            )

    def _producer_demand(self, port: EnginePort, event: "Event.ProducerDemand") -> None:
        self._set_demand(event.producer, event.encodings)

    def _set_demand(self, producer_id: int, wanted: Sequence[bool]) -> None:
        publication = self._registry.publications.get(producer_id)
        if publication is None or publication.track.kind is not Kind.VIDEO:
            return
        before = publication.demand
        publication.wanted = tuple(wanted)
        if publication.demand != before:
            self._registry.listener.demand_changed(publication.track, publication.demand)

    def _consumer_layers_changed(
        self, port: EnginePort, event: "Event.ConsumerLayersChanged"
    ) -> None:
        subscription = self._registry.subscriptions.get(event.consumer)
        if subscription is not None:
            log.debug(
                "layers changed",
                extra={
                    "participant_id": subscription.subscriber.participant_id,
                    "track_id": subscription.track.track_id,
                    "current": event.current,
                    "target": event.target,
                    "reason": event.reason,
                },
            )

    def _audio_protection(self, port: EnginePort, event: "Event.AudioProtection") -> None:
        publication = self._registry.publications.get(event.producer)
        if publication is None:
            return
        publication.protection = AudioProtection(
            publication.settings.mid, tuple(event.offsets), event.bitrate_bps
        )
        self._registry.listener.audio_protection_changed(publication.owner, publication.protection)

    def _uplink_floor(self, port: EnginePort, event: "Event.UplinkFloor") -> None:
        participant = self._registry.transports.get(event.transport)
        if participant is not None and participant.transport is not None:
            participant.transport.floor_bps = event.bitrate_bps
            self._registry.listener.uplink_floor_changed(participant)

    def _playout_delay(self, port: EnginePort, event: "Event.PlayoutDelay") -> None:
        subscription = self._registry.subscriptions.get(event.consumer)
        if subscription is None or subscription.line is None:
            return
        subscription.playout_delay_s = event.delay_ms / 1000
        delay = PlayoutDelay(subscription.line.mid, subscription.playout_delay_s)
        self._registry.listener.playout_delay_changed(subscription.subscriber, delay)

    def _audio_levels(self, port: EnginePort, event: "Event.AudioLevels") -> None:
        room = self._registry.rooms.get(event.room)
        if room is not None:
            room.levels_changed(event.levels)

    def _active_speaker(self, port: EnginePort, event: "Event.ActiveSpeaker") -> None:
        room = self._registry.rooms.get(event.room)
        if room is not None:
            room.speaker_changed(event.producer)

    def _room_panicked(self, port: EnginePort, event: "Event.RoomPanicked") -> None:
        room = self._registry.rooms.get(event.room)
        if room is not None:
            log.error("room panicked", extra={"room_id": room.room_id, "engine": port.index})
            room.lost("panicked")

    def _command_failed(self, port: EnginePort, event: "Event.CommandFailed") -> None:
        port.counters.failed += 1
        log.warning(
            "command failed",
            extra={"command": event.command, "id": event.id, "engine": port.index},
        )

    def _events_dropped(self, port: EnginePort, event: "Event.EventsDropped") -> None:
        """Makes up for lost state changes from the snapshot."""
        port.counters.events_lost += event.count
        log.warning("events lost", extra={"count": event.count, "engine": port.index})
        for stats in port.statistics().transports:
            participant = self._registry.transports.get(stats.transport)
            transport = participant.transport if participant is not None else None
            if transport is not None and transport.state.value != stats.state:
                self._set_transport_state(stats.transport, stats.state, "none")
        for producer in port.statistics().producers:
            self._set_demand(producer.producer, [item.wanted for item in producer.encodings])

    def _captured(self, port: EnginePort, event: Any) -> None:
        capture = self._registry.captures.get(event.capture)
        if capture is not None:
            capture.on_event(event.capture, event)

    def _engine_failed(self, port: EnginePort, event: "Event.EngineFailed") -> None:
        log.error("engine failed", extra={"engine": port.index})
        port.fail()
