"""A recorded call to compose in a measurement: real encoders, no network."""

import fractions
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from struct import pack
from typing import Any, Final

import av
import numpy as np

from loadtest.sources import MEDIA_DIR
from recorder.playback.clock import SenderReport
from recorder.playback.recording import Recording
from recorder.playback.source import CapturedPacket, Damage, Item, TrackInfo
from recorder.playback.uploads import Uploads
from recorder.session import Attempt, State
from recorder.timeline import Timeline, TrackTimeline

__all__ = ["recorded_call"]

_FPS: Final = 30
_CLIP_PICTURES: Final = 150
_BIT_RATE: Final = 1_500_000
_PACKET: Final = 1_100
_ROLES: Final = (("王丽", "rm"), ("李雷", "customer"), ("Zhang Wei", "expert"))
_NTP_US: Final = 3_900_000_000_000_000


@dataclass(frozen=True, slots=True)
class _Looped:
    """One track: a clip of encoded frames, repeated; packets are made while it is read."""

    info: TrackInfo
    frames: tuple[tuple[bytes, ...], ...]
    ticks: int
    seconds: float
    ssrc: int
    uploads: Uploads = field(default_factory=Uploads)
    damage: Sequence[Damage] = ()

    def read(self) -> Iterator[Item]:
        """Packets and a sender report each second, as if nothing was lost."""
        sequence = 0
        count = round(self.seconds * self.info.clock_rate / self.ticks)
        next_report_us = 500_000
        for index in range(count):
            ticks = index * self.ticks
            at_us = ticks * 1_000_000 // self.info.clock_rate
            payloads = self.frames[index % len(self.frames)]
            for place, payload in enumerate(payloads):
                second = 96 | (128 if place == len(payloads) - 1 else 0)
                header = pack("!BBHII", 0x80, second, sequence & 0xFFFF, ticks, self.ssrc)
                sequence += 1
                yield CapturedPacket(at_us + 20_000, header + payload)
            if at_us >= next_report_us:
                next_report_us += 1_000_000
                yield SenderReport(self.ssrc, ticks, _NTP_US + at_us, at_us + 20_000)


def recorded_call(participants: int, seconds: float, size: tuple[int, int]) -> Recording:
    """A call of so many participants with camera (VP8, 30 pictures/s) and microphone (Opus)."""
    video, audio = _video(size), _audio()
    tracks: list[_Looped] = []
    for index in range(participants):
        name, role = _ROLES[index % len(_ROLES)]
        person = f"p{index + 1}"
        shift = index * len(video) // participants // _FPS * _FPS
        camera = TrackInfo(f"v{index + 1}", person, name, role, "video", "vp8", 90_000)
        sound = TrackInfo(f"a{index + 1}", person, name, role, "audio", "opus", 48_000)
        turned = video[shift:] + video[:shift]
        tracks.append(_Looped(camera, turned, 90_000 // _FPS, seconds, 100 + index))
        tracks.append(_Looped(sound, audio, 960, seconds, 200 + index))
    end_us = round(seconds * 1e6)
    timeline = Timeline(
        State.STOPPED,
        0,
        end_us,
        {track.info.track: TrackTimeline(track.info.track, 0, end_us) for track in tracks},
        [
            Attempt("identity", 1, None, 0, end_us // 3),
            Attempt("risk_disclosure", 1, None, end_us // 3, end_us),
        ],
        [],
        [],
    )
    return Recording("bench", 1_790_000_000_000_000_000, timeline, tracks)


def _video(size: tuple[int, int]) -> tuple[tuple[bytes, ...], ...]:
    """A clip of a face, scaled up, encoded as a browser does; a keyframe every second."""
    encoder: Any = av.Codec("libvpx", "w").create("video")
    encoder.width, encoder.height = size
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = fractions.Fraction(1, 90_000)
    encoder.framerate = fractions.Fraction(_FPS)
    encoder.bit_rate = _BIT_RATE
    encoder.gop_size = _FPS
    encoder.options = {"deadline": "realtime", "cpu-used": "10", "lag-in-frames": "0"}
    out: list[tuple[bytes, ...]] = []
    with av.open(str(MEDIA_DIR / "carphone.mp4")) as clip:
        pictures = [frame for _, frame in zip(range(_CLIP_PICTURES), clip.decode(video=0))]  # noqa: B905
    for index in range(_CLIP_PICTURES):
        picture = pictures[index % len(pictures)].reformat(*size, "yuv420p")
        picture.pts, picture.time_base = index * 90_000 // _FPS, encoder.time_base
        out += [_vp8_payloads(bytes(packet)) for packet in encoder.encode(picture)]
    out += [_vp8_payloads(bytes(packet)) for packet in encoder.encode(None)]
    return tuple(out)


def _vp8_payloads(frame: bytes) -> tuple[bytes, ...]:
    parts = [frame[at : at + _PACKET] for at in range(0, len(frame), _PACKET)]
    return tuple((b"\x10" if index == 0 else b"\x00") + part for index, part in enumerate(parts))


def _audio() -> tuple[tuple[bytes, ...], ...]:
    """Five seconds of speech."""
    encoder: Any = av.Codec("libopus", "w").create("audio")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    encoder.time_base = fractions.Fraction(1, 48_000)
    encoder.bit_rate = 32_000
    resampler = av.AudioResampler(format="s16", layout="mono", rate=48_000)
    with av.open(str(MEDIA_DIR / "zh_tts0.wav")) as file:
        parts = [
            out.to_ndarray().ravel()
            for frame in file.decode(audio=0)
            for out in resampler.resample(frame)
        ]
    samples = np.resize(np.concatenate(parts).astype(np.int16), 250 * 960)
    out: list[tuple[bytes, ...]] = []
    for index in range(250):
        block = samples[index * 960 : (index + 1) * 960].reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48_000, index * 960
        frame.time_base = encoder.time_base
        out += [(bytes(packet),) for packet in encoder.encode(frame)]
    return tuple(out)
