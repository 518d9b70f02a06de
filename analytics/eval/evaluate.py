"""Evaluates detectors on a directory of labelled clips."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from analytics.detector import Detector, Permission
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


def detectors_for(clips: Sequence[Clip]) -> list[str]:
    """Names of the detectors that say something of the kinds that the clips are about.

    Detectors are taken in whose findings those need, too.
    """
    registry = the_registry()
    classes = {name: registry.find(name) for name in registry.names}
    kinds = frozenset(kind for clip in clips for kind in clip.scored)
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
        EvalError: media can't be opened.
        AnalyticsError: a detector can't be loaded.
    """
    clips = [(path.parent, clip) for path, clip in find_clips(directory)]
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


def _judge(folder: Path, clip: Clip) -> Judged:
    return judge(run_clip(clip, folder, _LOADED["detectors"]))
