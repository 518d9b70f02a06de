"""Connection quality in figures and in one word."""

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
    connection = participant.room.port.statistics().connection(transport.transport_id)
    uplink, downlink, rtt_s = connection or (None, None, None)
    loss = uplink if downlink is None or (uplink or 0.0) > downlink else downlink
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
