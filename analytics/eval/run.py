"""Runs detectors over a clip as a host would, without one: at their own rates, in order of time."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from analytics.detector import (
    AudioChunk,
    Defers,
    Detector,
    Finding,
    Heard,
    Input,
    Mark,
    Output,
    Portrait,
    Scope,
    Subject,
    Utterance,
    Watch,
    is_watch,
)
from analytics.errors import DetectorFailedError, EvalError
from analytics.eval.labels import Clip, require_file
from analytics.eval.media import items_of
from analytics.pacing import Pace, most_hz

__all__ = ["Run", "Said", "run_clip"]


@dataclass(frozen=True, slots=True)
class Said:
    """A finding, and when it was said for the first time."""

    detector: str
    finding: Finding
    said_us: int


@dataclass(slots=True)
class Run:
    """What detectors made of a clip.

    Attributes:
        said: findings, each once, as it was in the end.
        utterances: final ones.
        seconds: of one core spent in each detector.
        seen_us: how far the media went that detectors asked for; ``None``: they asked for none.
    """

    clip: Clip
    said: list[Said] = field(default_factory=list)
    utterances: list[Utterance] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    seen_us: int | None = None


class _Watching:
    """One watch, and what it is due."""

    def __init__(self, detector: Detector, watch: Watch, subject: Subject) -> None:
        self.detector = detector
        self.watch = watch
        self.subject = subject
        self.needs = detector.needs
        video = detector.needs.video
        self._pace = None if video is None else Pace(video)

    def wants(self, item: Input, sources: dict[str, tuple[str, str]]) -> bool:
        """Whether it is given this."""
        needs = self.needs
        match item:
            case Mark():
                if self._pace is not None and self._is_about(item.participant_id):
                    self._pace.note(item)
                return needs.marks
            case Finding():
                return item.kind in needs.findings and self._is_about(item.participant_id)
            case Utterance() | Heard():
                return needs.words and self._is_about(item.participant_id)
            case Portrait():
                return False
        source, role = sources[item.track_id]
        if needs.roles and role not in needs.roles:
            return False
        if self.subject.track_id and item.track_id != self.subject.track_id:
            return False
        if not self._is_about(item.participant_id):
            return False
        if isinstance(item, AudioChunk):
            return needs.audio is not None and source in needs.audio.sources
        if needs.video is None or source not in needs.video.sources:
            return False
        return self._pace is not None and self._pace.takes(item.track_id, item.pts_us)

    def _is_about(self, participant_id: str) -> bool:
        mine = self.subject.participant_id
        return not mine or not participant_id or participant_id == mine


class _Stage:
    """All watches of a clip."""

    def __init__(self, clip: Clip, directory: Path, detectors: Sequence[Detector]) -> None:
        self.run = Run(clip, seconds={detector.name: 0.0 for detector in detectors})
        self._watching = [
            _Watching(detector, _called(detector, 0, _begun, detector, subject), subject)
            for detector in detectors
            for subject in _subjects(clip, directory, detector)
        ]
        self._sources = {track.track_id: (track.source, track.role) for track in clip.tracks}
        self._place: dict[tuple[str, str, str, str, int], int] = {}

    def give(self, item: Input, now_us: int) -> None:
        """Gives an input to whoever wants it, and what they say of it to whoever wants that."""
        for one in self._watching:
            if one.wants(item, self._sources):
                began = time.thread_time()
                said = _called(one.detector, now_us, one.watch.process, item)
                self.run.seconds[one.detector.name] += time.thread_time() - began
                self._take(one, said, now_us)
            self._work(one, now_us)

    def finish(self, now_us: int) -> None:
        """Flushes all."""
        for one in self._watching:
            self._work(one, now_us)
            self._take(one, _called(one.detector, now_us, one.watch.flush, now_us), now_us)

    def _work(self, one: _Watching, now_us: int) -> None:
        detector: Any = one.detector
        if not isinstance(detector, Defers):
            return
        while detector.waiting:
            began = time.thread_time()
            done = _called(one.detector, now_us, detector.work)
            self.run.seconds[one.detector.name] += time.thread_time() - began
            if done is None:
                return
            watch, said = done
            owner = next((other for other in self._watching if other.watch is watch), one)
            self._take(owner, said, now_us)

    def _take(self, one: _Watching, said: Iterable[Output], now_us: int) -> None:
        for output in _checked(one.detector, said, now_us):
            if isinstance(output, Finding):
                output = _named(output, one.subject)  # noqa: PLW2901 - the same, more explicit
                self._note(one, output, now_us)
            elif isinstance(output, Utterance) and output.is_final:
                self.run.utterances.append(output)
            self.give(output, now_us)

    def _note(self, one: _Watching, finding: Finding, now_us: int) -> None:
        about = (finding.participant_id, finding.track_id)
        key = (one.detector.name, finding.kind, *about, finding.start_us)
        if key in self._place:
            before = self.run.said[self._place[key]]
            self.run.said[self._place[key]] = Said(before.detector, finding, before.said_us)
            return
        self._place[key] = len(self.run.said)
        self.run.said.append(Said(one.detector.name, finding, now_us))


def _begun(detector: Detector, subject: Subject) -> Watch:
    watch = detector.watch(subject)
    if not is_watch(watch):
        raise TypeError(f"watch() returned {type(watch).__name__}, which is no watch")
    return watch


def _called(detector: Detector, now_us: int, call: Callable[..., Any], *arguments: Any) -> Any:
    """Runs a detector's code; what it raises is its own."""
    try:
        return call(*arguments)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise DetectorFailedError(
            "{detector} failed at {at:.1f} s of the media: {reason}",
            detector=detector.name, at=now_us / 1e6, reason=reason,
        ) from error  # fmt: skip


def _checked(detector: Detector, said: Any, now_us: int) -> Sequence[Output]:
    """What a watch said, if a host would take it."""
    about = {"detector": detector.name, "at": now_us / 1e6}
    if not isinstance(said, list | tuple):
        raise DetectorFailedError(
            "{detector} returned {type} in place of a list at {at:.1f} s of the media",
            type=type(said).__name__, **about,
        )  # fmt: skip
    kinds = {kind.kind for kind in detector.card.kinds}
    for output in said:
        if not isinstance(output, Finding | Utterance | Heard):
            raise DetectorFailedError(
                "{detector} said a {type} at {at:.1f} s of the media, which is no finding",
                type=type(output).__name__, **about,
            )  # fmt: skip
        if isinstance(output, Finding) and output.kind not in kinds:
            raise DetectorFailedError(
                "{detector} found {kind} at {at:.1f} s of the media, which its card does not have",
                kind=output.kind, **about,
            )  # fmt: skip
        if output.end_us < output.start_us:
            raise DetectorFailedError(
                "{detector} said something at {at:.1f} s of the media that ends before it begins",
                **about,
            )
    return said


def _named(finding: Finding, subject: Subject) -> Finding:
    """A finding that says what it is about, where its subject did."""
    return replace(
        finding,
        participant_id=finding.participant_id or subject.participant_id,
        track_id=finding.track_id or subject.track_id,
    )


def run_clip(
    clip: Clip,
    directory: Path,
    detectors: Sequence[Detector],
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Runs detectors over one clip.

    Args:
        clip: its label.
        directory: where its media are.
        detectors: loaded ones.
        progress: told how many µs of how many are done.

    Raises:
        EvalError: its media can't be opened.
        DetectorFailedError: a detector raised something, or said what no host would take.
    """
    stage = _Stage(clip, directory, detectors)
    needs = [detector.needs for detector in detectors]
    video_hz: dict[str, float] = {}
    for need in needs:
        for source in need.video.sources if need.video else ():
            assert need.video is not None
            video_hz[source] = max(video_hz.get(source, 0.0), most_hz(need.video))
    height = max((need.video.height for need in needs if need.video), default=180)
    chunk_ms = min((need.audio.chunk_ms for need in needs if need.audio), default=96)
    if any(track.kind == "audio" or track.source in video_hz for track in clip.tracks):
        stage.run.seen_us = 0
    for item in items_of(clip, directory, video_hz, height, chunk_ms):
        now_us = item.at_us if isinstance(item, Mark) else item.pts_us
        end_us = item.end_us if isinstance(item, AudioChunk) else now_us
        if stage.run.seen_us is not None and not isinstance(item, Mark):
            stage.run.seen_us = max(stage.run.seen_us, end_us)
        stage.give(item, end_us)
        if progress is not None:
            progress(min(now_us, clip.duration_us - 1), clip.duration_us)
    stage.finish(clip.duration_us)
    return stage.run


def _subjects(clip: Clip, directory: Path, detector: Detector) -> list[Subject]:
    roles = {track.participant_id: track.role for track in clip.tracks}
    if detector.card.scope is Scope.SESSION:
        return [Subject(clip.name, roles=roles)]
    if detector.card.scope is Scope.PARTICIPANT:
        return [
            Subject(clip.name, who, role=role, roles=roles, id_photo=_photo(clip, directory, who))
            for who, role in roles.items()
        ]
    kinds = {
        kind
        for kind, need in (("video", detector.needs.video), ("audio", detector.needs.audio))
        if need is not None
    }
    return [
        Subject(clip.name, track.participant_id, track.track_id, track.role, roles)
        for track in clip.tracks
        if track.kind in kinds
    ]


def _photo(clip: Clip, directory: Path, participant_id: str) -> Any:
    if participant_id not in clip.id_photo:
        return None
    import numpy as np
    from PIL import Image

    path = directory / clip.id_photo[participant_id]
    try:
        require_file(path)
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"), np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        raise EvalError("media {path} can't be opened: {cause}", path=path, cause=error) from error
