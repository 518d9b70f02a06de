"""Tells everybody in a room how well everybody is connected, when there is something to tell."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sfu.model import Quality
from signaling.notices import ParticipantQuality, QualityNotice
from signaling.roster import Roster

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from signaling.connection import Connection
    from signaling.member import Member

__all__ = ["QualityNotices", "is_noticeable"]

REFRESH_S: Final = 10.0
"""Time from which everybody is told again though nothing changed."""

NOTICEABLE_LOSS: Final = 0.01
NOTICEABLE_RTT_S: Final = 0.02
NOTICEABLE_RTT_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class _Told:
    """What a room was told last, and over which sockets."""

    at_s: float
    qualities: "Mapping[str, Quality]"
    connections: "Sequence[Connection | None]"


class QualityNotices:
    """Quality notices of all rooms.

    Args:
        interval_s: time between two calls of :meth:`send` for a room.
    """

    def __init__(self, roster: Roster, interval_s: float) -> None:
        self._roster = roster
        # The call that is nearest to it.
        self._refresh_s = REFRESH_S - interval_s / 2
        self._told: dict[str, _Told] = {}

    def __len__(self) -> int:
        """Rooms something is remembered of."""
        return len(self._told)

    def send(self, room_id: str, now_s: float) -> None:
        """Tells a room, unless everybody in it knows already; steady clock."""
        members = self._roster.in_room(room_id)
        qualities = {member.participant_id: member.participant.quality() for member in members}
        connections = [member.connection for member in members]
        told = self._told.get(room_id)
        if (
            told is None
            or now_s - told.at_s >= self._refresh_s
            or connections != told.connections
            or _differ(told.qualities, qualities)
        ):
            self._told[room_id] = _Told(now_s, qualities, connections)
            _tell(members, qualities)

    def forget(self, room_id: str) -> None:
        """The room is empty."""
        self._told.pop(room_id, None)


def is_noticeable(before: Quality, now: Quality) -> bool:
    """Whether a person could notice the difference, or it changes the summary."""
    return (
        before.score is not now.score
        or _moved(before.uplink_loss, now.uplink_loss, NOTICEABLE_LOSS, 0.0)
        or _moved(before.downlink_loss, now.downlink_loss, NOTICEABLE_LOSS, 0.0)
        or _moved(before.rtt_s, now.rtt_s, NOTICEABLE_RTT_S, NOTICEABLE_RTT_SHARE)
    )


def _moved(before: float | None, now: float | None, least: float, share: float) -> bool:
    if before is None or now is None:
        return before is not now
    difference = abs(now - before)
    return difference >= least and difference >= share * before


def _differ(before: "Mapping[str, Quality]", now: "Mapping[str, Quality]") -> bool:
    return before.keys() != now.keys() or any(
        is_noticeable(before[participant_id], quality) for participant_id, quality in now.items()
    )


def _tell(members: "Sequence[Member]", qualities: "Mapping[str, Quality]") -> None:
    entries = {member: _entry(member, qualities[member.participant_id]) for member in members}
    public = tuple(entries[member] for member in members if not member.grant.hidden)
    notice = QualityNotice(participants=public)
    data_json = notice.data_json()
    for member in members:
        if member.grant.hidden:
            member.notify_volatile(QualityNotice(participants=(*public, entries[member])))
        else:
            member.notify_volatile(notice, data_json=data_json)


def _entry(member: "Member", quality: Quality) -> ParticipantQuality:
    return ParticipantQuality(
        participant_id=member.participant_id,
        uplink_loss=_ratio(quality.uplink_loss),
        downlink_loss=_ratio(quality.downlink_loss),
        rtt_ms=None if quality.rtt_s is None else max(0.0, round(quality.rtt_s * 1000, 1)),
        score=quality.score,
    )


def _ratio(value: float | None) -> float | None:
    return None if value is None else round(min(1.0, max(0.0, value)), 4)
