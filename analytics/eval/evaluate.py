"""Evaluates detectors on a directory of labelled clips."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from analytics.detector import Detector, Permission
from analytics.errors import EvalError, LabelError
from analytics.eval.labels import Clip, find_clips
from analytics.eval.run import run_clip
from analytics.eval.score import Judged, judge
from analytics.models import Models
from analytics.registry import the_registry

__all__ = ["detectors_for", "evaluate", "load_detectors"]

BRANCH: Final[Mapping[str, Mapping[str, Any]]] = {
    "same_frame": {"together": {"branch": 2}},
    "face_presence": {"max_faces": {"branch": 2}},
}
"""What clips of a branch, where manager and customer sit side by side, are for; nobody else has
that role."""
_LOADED: dict[str, Sequence[Detector]] = {}
_SHORT_S: Final = 5.0
"""A label may go on for so long after its media: what was lost at the end was there once."""


def detectors_for(clips: Sequence[Clip]) -> list[str]:
    """Names of the detectors that say something of the kinds that the clips are about.

    Detectors are taken in whose findings those need, too.

    Raises:
        LabelError: no detector says one of these kinds. Never found, it would be right in all
            clips in which it doesn't happen.
    """
    registry = the_registry()
    classes = {name: registry.find(name) for name in registry.names}
    kinds = frozenset(kind for clip in clips for kind in clip.scored)
    known = {kind.kind for one in classes.values() for kind in one.card.kinds}
    for clip in clips:
        for kind in sorted(clip.scored - known):
            raise LabelError(
                "clip {clip}: no detector that is installed says {kind}", clip=clip.name, kind=kind
            )
    names = {
        name for name, one in classes.items() if kinds & {kind.kind for kind in one.card.kinds}
    }
    if any(Permission.SPEECH in classes[name].card.permissions for name in names):
        # Whoever looks for words needs somebody who hears them.
        names.add("transcript")
    return sorted(names)


def load_detectors(
    names: Sequence[str], settings: dict[str, Any], models: Models
) -> list[Detector]:
    """Loads detectors; those that need others' findings come after them.

    Raises:
        UnknownDetectorError: there is no such detector.
        ModelMissingError: a model is not installed.
        pydantic.ValidationError: settings are not what they should be.
    """
    registry = the_registry()
    loaded: list[Detector] = []
    for name in names:
        one = registry.find(name)
        config = one.Config.model_validate(settings.get(name, BRANCH.get(name, {})))
        loaded.append(one.load(config, models))
    return sorted(loaded, key=lambda one: bool(one.needs.findings))


def evaluate(
    directory: Path,
    names: Sequence[str],
    settings: dict[str, Any],
    models: Callable[[], Models],
    workers: int = 1,
) -> Iterator[tuple[Path, Judged]]:
    """Runs and judges every clip below a directory; gives each with its folder, as it is done.

    Args:
        directory: of clips.
        names: of the detectors.
        settings: of each detector, by its name.
        models: gives the installed models; called in each process.
        workers: processes.

    Raises:
        LabelError: a label is none, or there is none.
        EvalError: media can't be opened, or end long before the label says.
        AnalyticsError: a detector can't be loaded.
    """
    said = {kind.kind for name in names for kind in the_registry().find(name).card.kinds}
    clips = [(path.parent, _about(clip, said)) for path, clip in find_clips(directory)]
    if workers <= 1:
        _load(names, settings, models)
        for folder, clip in clips:
            yield folder, _judge(folder, clip)
        return
    # What can't be loaded is told here, where it can be told well.
    load_detectors(names, settings, models())
    fresh = get_context("spawn")
    with ProcessPoolExecutor(workers, fresh, _load, (names, settings, models)) as pool:
        folders = [folder for folder, _ in clips]
        judged = pool.map(_judge, folders, [clip for _, clip in clips])
        yield from zip(folders, judged, strict=True)


def _load(names: Sequence[str], settings: dict[str, Any], models: Callable[[], Models]) -> None:
    _LOADED["detectors"] = load_detectors(names, settings, models())


def _about(clip: Clip, kinds: AbstractSet[str]) -> Clip:
    """What a label says of these kinds: nobody is right about others, or wrong."""
    events = tuple(event for event in clip.events if event.kind in kinds)
    return clip.model_copy(update={"scored": clip.scored & kinds, "events": events})


def _judge(folder: Path, clip: Clip) -> Judged:
    detectors = _LOADED["detectors"]
    run = run_clip(clip, folder, detectors)
    needs = [one.needs.video for one in detectors if one.needs.video is not None]
    slack_s = _SHORT_S + max((1 / need.rate_hz for need in needs), default=0.0)
    if run.seen_us is not None and (clip.duration_us - run.seen_us) / 1e6 > slack_s:
        # What nobody saw would count as time without a false alarm.
        raise EvalError(
            "the media of clip {clip} end after {seen:.1f} s, its label after {length:.1f} s",
            clip=clip.name,
            seen=run.seen_us / 1e6,
            length=clip.duration_us / 1e6,
        )
    return judge(run)
