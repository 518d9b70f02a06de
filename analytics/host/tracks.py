"""A tapped track: what of it came, and what came out of it."""

from dataclasses import dataclass, field
from typing import Final

from analytics.host.audio import AudioTap, Chunker
from analytics.host.tap import TapPacket
from analytics.host.video import VideoTap
from analytics.link import TrackStarted, UnknownCause

__all__ = ["TappedMedia", "Trouble"]

_SILENT_US: Final = 3_000_000
_MS_US: Final = 1_000

Trouble = tuple[UnknownCause, int]
"""Why nothing is known, and since when."""


@dataclass(slots=True)
class TappedMedia:
    """A track with its decoder.

    Attributes:
        chunkers: by their length in samples.
        muted: it brings nothing for now, and is not expected to.
        shed_us: since when it is left out because the host can't keep up; ``None``: it isn't.
        packet_us: when its last packet came.
        has_failed: reading it has failed in a way that nobody thought of.
        whole_us: when a picture, or a chunk of sound, last came out of it.
    """

    started: TrackStarted
    video: VideoTap | None = None
    audio: AudioTap | None = None
    chunkers: dict[int, Chunker] = field(default_factory=dict)
    muted: bool = False
    shed_us: int | None = None
    packet_us: int = 0
    whole_us: int = 0
    has_failed: bool = False
    _is_wanted: bool = False
    _missing: int = 0
    _newest: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def is_wanted(self) -> bool:
        """Whether anybody needs it and may have it, and it is expected to bring something."""
        return self._is_wanted and not self.muted

    def expect(self, now_us: int) -> None:
        """It should bring something from now on."""
        self.packet_us = self.whole_us = now_us
        self._newest.clear()
        self._missing = 0

    def want(self, wanted: bool, now_us: int) -> None:
        """Somebody needs it, or nobody does."""
        if wanted and not self._is_wanted:
            self.expect(now_us)
        self._is_wanted = wanted

    def note_packet(self, packet: TapPacket) -> None:
        """Something came. A number that comes late fills its gap."""
        self.packet_us = max(self.packet_us, packet.at_us)
        place = packet.encoding, packet.instance
        newest = self._newest.get(place)
        if newest is None:
            # One stream has another's place: it has no gaps yet.
            self._newest = {place: packet.number}
        elif packet.number > newest:
            self._missing += packet.number - newest - 1
            self._newest[place] = packet.number
        elif self._missing:
            self._missing -= 1

    def note_whole(self, at_us: int) -> None:
        """A picture or a chunk of sound came out of it."""
        self.whole_us = max(self.whole_us, at_us)
        self._missing = 0

    def trouble(self, now_us: int, is_behind: bool) -> Trouble | None:
        """Why nothing is seen or heard of it, though it should be.

        Args:
            now_us: session clock.
            is_behind: the host reads media late: what doesn't come may have been dropped for that.
        """
        if not self.is_wanted:
            return None
        if self.shed_us is not None:
            return UnknownCause.OVERLOADED, self.shed_us
        if now_us - self.packet_us >= _SILENT_US:
            cause = UnknownCause.OVERLOADED if is_behind else UnknownCause.NO_MEDIA
            return cause, self.packet_us
        if now_us - self.whole_us >= _SILENT_US + self._longest_us():
            lossy = is_behind and self._missing > 0
            cause = UnknownCause.OVERLOADED if lossy else UnknownCause.UNDECODABLE
            return cause, self.whole_us
        return None

    def _longest_us(self) -> int:
        return max(self.chunkers, default=0) // 16 * _MS_US
