"""Connection quality in figures and in one word."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sfu.model import MediaState, Quality, Score

if TYPE_CHECKING:
    from sfu.participant import Participant

__all__ = ["measure", "score"]

FAIR_LOSS = 0.05
"""Share of packets missing from which repair can be noticed."""

POOR_LOSS = 0.20
"""Share of packets missing from which video suffers whatever is done."""

FAIR_RTT_S = 0.3
"""ITU-T G.114: 150 ms one way is comfortable."""

POOR_RTT_S = 0.8
"""ITU-T G.114: 400 ms one way is the limit of a conversation."""


def measure(participant: "Participant") -> Quality:
    """Quality of a participant's connection, from the plane's last snapshot."""
    transport = participant.transport
    if transport is None or participant.room.port.failed:
        return Quality(None, None, None, score(participant.media, None, None))
    statistics = participant.room.port.statistics()
    incoming = (
        statistics.producer(item.producer_id)
        for item in participant.publishing.publications.values()
    )
    uplink = _worst(item.loss_ratio for item in incoming if item is not None and item.packets)
    outgoing = [
        statistics.consumer(item.consumer_id)
        for item in participant.reception.subscriptions.values()
        if item.consumer_id is not None
    ]
    downlink = _worst(item.loss_ratio for item in outgoing if item is not None)
    stats = statistics.transport(transport.transport_id)
    rtt_s = stats.rtt_s if stats is not None else None
    loss = _worst([uplink, downlink])
    return Quality(uplink, downlink, rtt_s, score(participant.media, loss, rtt_s))


def score(media: MediaState, loss: float | None, rtt_s: float | None) -> Score:
    """One word for a connection.

    Args:
        media: state of the transport.
        loss: worse of the two directions, 0..1; ``None`` where unknown.
        rtt_s: round trip; ``None`` where unknown.
    """
    if media in (MediaState.DISCONNECTED, MediaState.FAILED):
        return Score.LOST
    if media is not MediaState.CONNECTED or (loss is None and rtt_s is None):
        return Score.UNKNOWN
    if (loss or 0.0) >= POOR_LOSS or (rtt_s or 0.0) >= POOR_RTT_S:
        return Score.POOR
    if (loss or 0.0) >= FAIR_LOSS or (rtt_s or 0.0) >= FAIR_RTT_S:
        return Score.FAIR
    return Score.GOOD


def _worst(values: Iterable[float | None]) -> float | None:
    return max((item for item in values if item is not None), default=None)
