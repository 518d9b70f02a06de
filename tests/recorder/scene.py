"""Synthetic participants on a virtual network: what a recorder would have captured of them."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recorder.playback.clock import SenderReport
from recorder.playback.source import CapturedPacket, Damage, Item, TrackInfo
from recorder.playback.survey import TrackSurvey, survey_participant
from recorder.playback.uploads import Uploads
from tests.recorder.encoders import Encoded, encode_opus, encode_video, packets

NTP_ZERO_US = 3_900_000_000_000_000
DELAY_US = 20_000


@dataclass
class ListedTrack:
    """A track source out of a list."""

    info: TrackInfo
    items: list[Item]
    uploads: Uploads = field(default_factory=Uploads)
    damage: list[Damage] = field(default_factory=list)

    def read(self) -> Iterator[Item]:
        return iter(self.items)


@dataclass
class Link:
    """Loss, jitter, and the speed of the sender's clock against the session's."""

    loss: float = 0.0
    jitter_us: float = 2_000.0
    drift_ppm: float = 0.0
    outages_us: Sequence[tuple[int, int]] = field(default_factory=tuple)
    seed: int = 1

    def deliver(
        self,
        frames: Sequence[Encoded],
        groups: Sequence[Sequence[bytes]],
        clock_rate: int,
        *,
        ssrc: int,
        first_timestamp: int = 2**32 - 5_000,
        start_us: int = 0,
    ) -> list[Item]:
        """Items in order of arrival. Ticks of frames are those of the sender's clock."""
        rng = random.Random(self.seed * 1_000 + ssrc)
        items: list[tuple[int, Item]] = []
        speed = 1 + self.drift_ppm * 1e-6
        next_report_us = 100_000.0
        for frame, group in zip(frames, groups, strict=True):
            sender_us = frame.ticks * 1_000_000 / clock_rate
            true_us = start_us + sender_us / speed
            for data in group:
                arrival = round(true_us + DELAY_US + rng.expovariate(1 / (self.jitter_us + 1)))
                out = any(low <= true_us < high for low, high in self.outages_us)
                if not out and rng.random() >= self.loss:
                    items.append((arrival, CapturedPacket(arrival, data)))
            if sender_us >= next_report_us:
                next_report_us += 1_000_000
                arrival = round(true_us + DELAY_US + rng.expovariate(1 / (self.jitter_us + 1)))
                ntp_us = NTP_ZERO_US + round(start_us * speed + sender_us)
                timestamp = (first_timestamp + frame.ticks) % 2**32
                items.append((arrival, SenderReport(ssrc, timestamp, ntp_us, arrival)))
        return [item for _, item in sorted(items, key=lambda pair: pair[0])]


def info(
    track: str, codec: str, participant: str = "p1", *, name: str = "", role: str = "customer"
) -> TrackInfo:
    kind, rate = ("audio", 48_000) if codec == "opus" else ("video", 90_000)
    return TrackInfo(track, participant, name or participant, role, kind, codec, rate)


def video_track(
    track: str,
    codec: str,
    pictures: Sequence[NDArray[np.uint8]],
    link: Link,
    *,
    participant: str = "p1",
    fps: int = 25,
    gop: int = 1_000,
    ssrc: int = 22,
    **about: str,
) -> ListedTrack:
    frames = list(encode_video(codec, pictures, fps=fps, gop=gop))
    groups = packets(codec, frames, ssrc=ssrc)
    items = link.deliver(frames, groups, 90_000, ssrc=ssrc)
    return ListedTrack(info(track, codec, participant, **about), items)


def audio_track(
    track: str,
    samples: NDArray[np.int16],
    link: Link,
    *,
    participant: str = "p1",
    ssrc: int = 11,
    **about: str,
) -> ListedTrack:
    frames = list(encode_opus(samples))
    groups = packets("opus", frames, ssrc=ssrc, payload_type=111)
    items = link.deliver(frames, groups, 48_000, ssrc=ssrc)
    return ListedTrack(info(track, "opus", participant, **about), items)


def survey(*tracks: ListedTrack) -> list[TrackSurvey]:
    return survey_participant(tracks)


Picture = Callable[[int], NDArray[np.uint8]]
