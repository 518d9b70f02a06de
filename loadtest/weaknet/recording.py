"""What the pages and the path noted during one measurement, as arrays."""

import base64
import bisect
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtest.netem.emulator import Counted, PathReport
from loadtest.weaknet import markers

__all__ = ["AudioSample", "PageRecord", "PathSample", "VideoSample", "Way"]

Samples = NDArray[np.int16]
_ZERO = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class AudioSample:
    """Counters of the heard track, cumulative; samples are of 48 kHz."""

    at_s: float
    concealed: float
    silent: float
    total: float
    events: float
    buffer_s: float
    emitted: float


@dataclass(frozen=True, slots=True)
class VideoSample:
    """Counters of the seen track, cumulative."""

    at_s: float
    frames: float
    freezes: float
    frozen_s: float


@dataclass(frozen=True, slots=True)
class Way:
    """Packets of one direction: all, audio, video, the rest of UDP."""

    total: Counted
    audio: Counted
    video: Counted
    lost: int
    queue_full: int


@dataclass(frozen=True, slots=True)
class PathSample:
    """Counters of the path at one moment, cumulative."""

    at_s: float
    down: Way
    up: Way

    @classmethod
    def of(
        cls, at_s: float, reports: tuple[PathReport, PathReport], audio_types: Sequence[int]
    ) -> "PathSample":
        """Sorts payload types into audio and video."""
        down, up = (_way(report, audio_types) for report in reports)
        return cls(at_s, down, up)


def _sum(items: Sequence[Counted]) -> Counted:
    packets, octets, arrived, arrived_octets = (
        sum(column) for column in zip(_ZERO, *items, strict=True)
    )
    return packets, octets, arrived, arrived_octets


def _way(report: PathReport, audio_types: Sequence[int]) -> Way:
    audio = _sum([counted for kind, counted in report.rtp if kind in audio_types])
    video = _sum([counted for kind, counted in report.rtp if kind not in audio_types])
    return Way(
        total=_sum([audio, video, report.rtcp, report.other_udp]),
        audio=audio,
        video=video,
        lost=report.netem.lost,
        queue_full=report.netem.queue_full,
    )


class PageRecord:
    """What one page noted.

    Args:
        data: as ``probe.js`` gives it.
        rate_hz: at which it kept sound.
    """

    def __init__(self, data: Mapping[str, Any], rate_hz: int = markers.KEPT_RATE_HZ) -> None:
        self._data = data
        self.rate_hz = rate_hz
        self.audio_types: list[int] = [int(number) for number in data["audioTypes"]]
        self.stalled_s = float(data["stalled"]) / 1000

    def audio(self) -> list[AudioSample]:
        """Counters of the heard track over time."""
        return [AudioSample(at / 1000, *audio[:6]) for at, audio, *_ in self._rows() if audio]

    def video(self) -> list[VideoSample]:
        """Counters of the seen track over time."""
        return [VideoSample(at / 1000, *video[:3]) for at, _, video, *_ in self._rows() if video]

    def encoded(self) -> list[tuple[float, float]]:
        """Time and pictures encoded so far, of the encoding that has most."""
        return [(at / 1000, sent[0]) for at, _, _, sent, *_ in self._rows() if sent]

    def sound(self, name: str) -> Samples:
        """Samples of ``said`` or ``heard``, at :attr:`rate_hz`; none where nothing was kept."""
        sound = self._data["sounds"].get(name)
        if sound is None:
            return np.zeros(0, np.int16)
        return np.frombuffer(base64.b64decode(sound["pcm"]), dtype="<i2").astype(np.int16)

    def chirps(self, name: str) -> list[tuple[int, float]]:
        """Kind and time of every marker in ``said`` or ``heard``, in seconds of the wall clock."""
        sound = self._data["sounds"].get(name)
        if sound is None or not sound["chunks"] or self.rate_hz != markers.KEPT_RATE_HZ:
            return []
        times_us, arrivals_ms, counts = zip(*sound["chunks"], strict=True)
        samples = np.frombuffer(base64.b64decode(sound["pcm"]), dtype="<i2")
        # Time stamps count from the page's beginning; a chunk that was read at once tells when.
        offset_s = min(
            wall / 1000 - at / 1e6 for at, wall in zip(times_us, arrivals_ms, strict=True)
        )
        starts = [0, *itertools.accumulate(counts)]
        found = []
        for heard in markers.find(samples.astype(np.int16)):
            chunk = bisect.bisect_right(starts, heard.index) - 1
            inside = (heard.index - starts[chunk]) / markers.KEPT_RATE_HZ
            found.append((heard.kind, times_us[chunk] / 1e6 + inside + offset_s))
        return found

    def carriers(self, start_s: float, end_s: float) -> dict[str, float]:
        """Share of a time that media went over ``udp``, ``tcp`` or a ``relay``; the largest first.

        Empty where no path was selected.
        """
        seen = Counter(
            str(pair[2])
            for at, *_, pair in self._rows()
            if pair and pair[2] and start_s <= at / 1000 <= end_s
        )
        return {name: count / seen.total() for name, count in seen.most_common()}

    def problems(self) -> list[str]:
        """What kept the page from listening."""
        return [str(one["problem"]) for one in self._data["sounds"].values() if one["problem"]]

    def _rows(self) -> Sequence[Sequence[Any]]:
        rows: Sequence[Sequence[Any]] = self._data["samples"]
        return rows
