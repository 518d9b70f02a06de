"""Which detectors there are: those that come with Witness, and those of separate packages.

A package gives detectors by entry points of the group ``witness.detectors``::

    [project.entry-points."witness.detectors"]
    smile = "bank_detectors.smile:Smile"

The name of an entry point is the detector's name. Nothing is imported before somebody asks for a
detector, and what is wrong with one package is told where it is asked for, and harms no other.
"""

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from analytics.detector import Card, Detector, DetectorConfig
from analytics.errors import DetectorError, UnknownDetectorError

__all__ = ["BUILTIN", "GROUP", "WITNESS", "Origin", "Registry", "the_registry"]

GROUP: Final = "witness.detectors"
WITNESS: Final = "witness"

BUILTIN: Final[Mapping[str, str]] = {
    "clear_answer": "analytics.detectors.clear_answer:ClearAnswer",
    "coaching": "analytics.detectors.coaching:Coaching",
    "face_presence": "analytics.detectors.face_presence:FacePresence",
    "face_quality": "analytics.detectors.face_quality:FaceQuality",
    "liveness_hint": "analytics.detectors.liveness_hint:LivenessHint",
    "person_swap": "analytics.detectors.person_swap:PersonSwap",
    "phone": "analytics.detectors.phone:Phone",
    "picture_health": "analytics.detectors.picture_health:PictureHealth",
    "prohibited_promises": "analytics.detectors.prohibited_promises:ProhibitedPromises",
    "required_statements": "analytics.detectors.required_statements:RequiredStatements",
    "same_frame": "analytics.detectors.same_frame:SameFrame",
    "same_person": "analytics.detectors.same_person:SamePerson",
    "second_voice": "analytics.detectors.second_voice:SecondVoice",
    "sound_health": "analytics.detectors.sound_health:SoundHealth",
    "speech_activity": "analytics.detectors.speech_activity:SpeechActivity",
    "speech_rate": "analytics.detectors.speech_rate:SpeechRate",
    "transcript": "analytics.detectors.transcript:Transcript",
}
"""Where each built-in detector is."""

_METHODS: Final = ("load", "needs", "watch")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a detector comes from.

    Attributes:
        package: ``witness``, or the name of the separate package.
        target: ``module:class``.
    """

    package: str
    target: str


class Registry:
    """Detectors by name.

    Args:
        origins: of each name; a name that several packages give belongs to none of them, except
            that nobody takes a name from Witness.
    """

    def __init__(self, origins: Iterable[tuple[str, Origin]]) -> None:
        found: dict[str, list[Origin]] = {}
        for name, origin in origins:
            found.setdefault(name, []).append(origin)
        self._origins: dict[str, Origin] = {}
        self._clashes: dict[str, tuple[Origin, ...]] = {}
        for name, candidates in sorted(found.items()):
            own = [origin for origin in candidates if origin.package == WITNESS]
            if len(candidates) > 1:
                self._clashes[name] = tuple(candidates)
            if own or len(candidates) == 1:
                self._origins[name] = (own or candidates)[0]
        self._classes: dict[str, type[Detector]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names that have one detector, sorted; it may still be broken."""
        return tuple(self._origins)

    def clashes(self) -> list[DetectorError]:
        """What is wrong with names that several packages give."""
        return [_clash(name, origins) for name, origins in self._clashes.items()]

    def origin(self, name: str) -> Origin:
        """Where a detector comes from; as :meth:`find`."""
        if name in self._origins:
            return self._origins[name]
        if name in self._clashes:
            raise _clash(name, self._clashes[name])
        raise UnknownDetectorError(
            "no detector is called {detector}; there are {known}",
            detector=name,
            known=", ".join(self.names) or "-",
        )

    def find(self, name: str) -> type[Detector]:
        """The class of a detector, imported when it is first asked for.

        Raises:
            UnknownDetectorError: none has that name.
            DetectorError: several packages give it, it can't be imported, or it is no detector.
        """
        if name not in self._classes:
            self._classes[name] = _imported(name, self.origin(name))
        return self._classes[name]


def the_registry() -> Registry:
    """The detectors of this installation."""
    own = [(name, Origin(WITNESS, target)) for name, target in BUILTIN.items()]
    foreign = [
        (point.name, Origin(_package_of(point), point.value)) for point in entry_points(group=GROUP)
    ]
    # A package that is on the path twice is still one package.
    return Registry([*own, *dict.fromkeys(foreign)])


def _package_of(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "?"


def _clash(name: str, origins: Iterable[Origin]) -> DetectorError:
    return DetectorError(
        "several packages give a detector called {detector}: {packages}; uninstall one of them",
        detector=name,
        packages=", ".join(origin.package for origin in origins),
    )


def _imported(name: str, origin: Origin) -> type[Detector]:
    module, _, attribute = origin.target.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        raise DetectorError(
            "the detector {detector} of {package} can't be imported: {reason}",
            detector=name,
            package=origin.package,
            reason=f"{type(error).__name__}: {error}",
        ) from error
    lack = _lack(found, name)
    if lack:
        raise DetectorError(
            "{target} of {package} is no detector: {lack}",
            target=origin.target,
            package=origin.package,
            lack=lack,
        )
    detector: type[Detector] = found
    return detector


def _lack(found: Any, name: str) -> str:
    """What it lacks to be the detector of that name; empty if nothing."""
    if not isinstance(found, type):
        return "not a class"
    missing = [one for one in _METHODS if not hasattr(found, one)]
    if missing:
        return f"no {missing[0]}"
    if getattr(found, "name", None) != name:
        return f"name is {getattr(found, 'name', None)!r}, not {name!r}"
    if not getattr(found, "version", ""):
        return "no version"
    config = getattr(found, "Config", None)
    if not (isinstance(config, type) and issubclass(config, DetectorConfig)):
        return "Config is no DetectorConfig"
    if not isinstance(getattr(found, "card", None), Card):
        return "card is no Card"
    return ""
