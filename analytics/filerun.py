"""Runs detectors over one media file, without a server: for whoever writes or judges them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from analytics.config import AnalyticsConfig
from analytics.detector import Detector, FrameRef, VideoFrame
from analytics.errors import DetectorError, DetectorFailedError, EvalError, ModelError
from analytics.eval.labels import Clip, ClipTrack
from analytics.eval.media import items_of
from analytics.models import Models
from analytics.registry import Registry

__all__ = ["Loaded", "clip_of", "frames_of", "load_detectors", "suppliers"]

_CAMERA: Final = "camera"
_MICROPHONE: Final = "microphone"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Detectors that could be loaded, and what is wrong with the others, by name."""

    detectors: tuple[Detector, ...]
    problems: Mapping[str, Exception]


def suppliers(registry: Registry, config: AnalyticsConfig, names: Sequence[str]) -> list[str]:
    """The detectors named, after those whose words or findings they need.

    Raises:
        DetectorError: one of those named can't be had.
    """
    from analytics.cards import needs_of

    order: list[str] = []
    kinds = _makers(registry)

    def add(name: str) -> None:
        detector = registry.find(name)
        needs = needs_of(detector, config.config(detector))
        wanted = {kinds[kind] for kind in (needs.findings if needs else ()) if kind in kinds}
        if needs is not None and needs.words:
            wanted.add("transcript")
        for one in sorted(wanted - {name}):
            if one not in order:
                add(one)
        if name not in order:
            order.append(name)

    for name in names:
        add(name)
    return order


def _makers(registry: Registry) -> dict[str, str]:
    """Which detector says each kind of finding."""
    makers: dict[str, str] = {}
    for name in registry.names:
        try:
            kinds = registry.find(name).card.kinds
        except DetectorError:
            continue
        makers |= {kind.kind: name for kind in kinds}
    return makers


def load_detectors(
    registry: Registry, config: AnalyticsConfig, names: Sequence[str], models: Models
) -> Loaded:
    """Loads detectors; a missing model, or a fault, is a problem of that detector only.

    Raises:
        DetectorError: one can't be had, or its settings are wrong.
    """
    loaded: list[Detector] = []
    problems: dict[str, Exception] = {}
    for name in names:
        detector = registry.find(name)
        settings: Any = config.config(detector)
        try:
            loaded.append(detector.load(settings, models))
        except ModelError as error:
            problems[name] = error
        except Exception as error:  # noqa: BLE001 - one detector's fault is not the others'
            failed = DetectorFailedError(
                "{detector} can't be loaded: {reason}",
                detector=name, reason=f"{type(error).__name__}: {error}",
            )  # fmt: skip
            failed.__cause__ = error
            problems[name] = failed
    return Loaded(tuple(loaded), problems)


def clip_of(path: Path, role: str) -> Clip:
    """The file as what one participant sends: its picture a camera, its sound a microphone.

    Raises:
        EvalError: it can't be opened, or has neither.
    """
    import av

    try:
        with av.open(str(path)) as container:
            kinds = {stream.type for stream in container.streams}
            duration_us = _duration_us(container)
    except (OSError, av.FFmpegError) as error:
        raise EvalError("media {path} can't be opened: {cause}", path=path, cause=error) from error
    tracks = tuple(
        ClipTrack(
            track_id=source,
            participant_id=role,
            role=role,
            kind=kind,
            source=source,
            file=path.name,
        )
        for kind, source in (("video", _CAMERA), ("audio", _MICROPHONE))
        if kind in kinds
    )
    if not tracks or duration_us <= 0:
        raise EvalError("media {path} has neither picture nor sound", path=path)
    return Clip(name="file", duration_us=duration_us, tracks=tracks, scored=frozenset())


def _duration_us(container: Any) -> int:
    lengths = [
        int(Fraction(stream.duration) * stream.time_base * 1_000_000)
        for stream in container.streams
        if stream.duration is not None and stream.time_base is not None
    ]
    return max([*lengths, container.duration or 0])


def frames_of(
    clip: Clip, directory: Path, refs: Sequence[FrameRef], *, rate_hz: float, height: int
) -> dict[int, VideoFrame]:
    """The frames that findings name, by their time; decoded again, at the rate they were seen.

    Raises:
        EvalError: the file can't be opened.
    """
    wanted = {ref.at_us for ref in refs}
    found: dict[int, VideoFrame] = {}
    if not wanted:
        return found
    for item in items_of(clip, directory, {_CAMERA: rate_hz}, height, 96):
        if isinstance(item, VideoFrame) and item.pts_us in wanted:
            found[item.pts_us] = item
    return found
