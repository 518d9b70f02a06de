"""Advice to clients against loss: what to send, how much, and how long to hold what comes."""

from typing import TYPE_CHECKING, Final

from signaling.clock import Deadlines, Instant
from signaling.deadlines import Due, DueKey
from signaling.notices import Playout, PlayoutLine, ProtectedLine, Protection

if TYPE_CHECKING:
    from sfu import Participant
    from signaling.member import Member

__all__ = ["ADVICE_INTERVAL_S", "AudioAdvice"]

ADVICE_INTERVAL_S: Final = 0.25
"""At most one notice of a type to a member in this time; later changes are in the next."""

MAX_DELAY_MS: Final = 10_000
"""The most a browser can be told."""


class AudioAdvice:
    """Sends ``protection`` and ``playout``.

    Volatile, always the whole state: nothing is kept for a member without a socket, and whoever
    comes back is told how things are then.
    """

    def __init__(self, deadlines: Deadlines[DueKey]) -> None:
        self._deadlines = deadlines

    def changed(self, member: "Member", kind: type[Protection | Playout]) -> None:
        """The plane has other advice; told as soon as the interval allows."""
        if member.connection is None:
            return
        member.advice.due.add(kind)
        key: DueKey = (Due.ADVICE, member)
        if key not in self._deadlines:
            self._deadlines.set(key, member.advice.not_before_s)

    def remind(self, member: "Member") -> None:
        """A client came back and may have missed the last one."""
        for kind, notice in _present(member.participant).items():
            if notice.says_something or kind in member.advice.given:
                self.changed(member, kind)

    def send(self, member: "Member", now: Instant) -> None:
        """Says what changed."""
        advice = member.advice
        for kind, notice in _present(member.participant).items():
            if kind not in advice.due:
                continue
            (advice.given.add if notice.says_something else advice.given.discard)(kind)
            member.notify_volatile(notice)
        advice.due.clear()
        advice.not_before_s = now.steady_s + ADVICE_INTERVAL_S


def _present(participant: "Participant") -> dict[type[Protection | Playout], Protection | Playout]:
    return {Protection: _protection(participant), Playout: _playout(participant)}


def _protection(participant: "Participant") -> Protection:
    return Protection(
        tracks=tuple(
            ProtectedLine(mid=item.mid, offsets=item.offsets, bitrate_bps=item.bitrate_bps)
            for item in participant.audio_protections()
            if item.offsets or item.bitrate_bps is not None
        ),
        floor_bps=participant.uplink_floor_bps,
    )


def _playout(participant: "Participant") -> Playout:
    return Playout(
        tracks=tuple(
            PlayoutLine(mid=item.mid, delay_ms=min(MAX_DELAY_MS, round(item.delay_s * 1000)))
            for item in participant.playout_delays()
            if item.delay_s > 0
        )
    )
