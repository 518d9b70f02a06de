"""What is true of a clip: a JSON file beside the media, ``NAME.clip.json``.

One clip is a piece of one session: some tracks, each a file beside the label, and everything that
happens in them that a detector ought to find. A label says for which kinds of findings it is
complete (:attr:`Clip.scored`): a finding of such a kind with no event under it is a false alarm, a
finding of any other kind counts for nothing.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from analytics.detector import Outcome
from analytics.errors import LabelError

__all__ = [
    "MAX_LABEL_BYTES",
    "SUFFIX",
    "Clip",
    "ClipEvent",
    "ClipMark",
    "ClipTrack",
    "find_clips",
    "read_clip",
    "require_file",
    "write_clip",
]

SUFFIX: Final = ".clip.json"
MAX_LABEL_BYTES: Final = 4 << 20
"""Larger files are no labels; a transcript of an hour has some 100 kB."""

_MAX_US: Final = 86_400 * 1_000_000
_Us = Annotated[int, Field(ge=0, le=_MAX_US)]
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
_Kind = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,63}$")]


class _Label(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _is_beside(file: str) -> bool:
    path = PurePosixPath(file)
    return not (path.is_absolute() or ".." in path.parts or "\\" in file)


class ClipTrack(_Label):
    """One track of a clip.

    Attributes:
        file: the media, relative to the label; it starts at ``offset_us`` of the clip.
        source: as in the protocol: ``camera``, ``microphone``.
    """

    track_id: _Id
    participant_id: _Id
    role: str = ""
    kind: Literal["audio", "video"] = "video"
    source: str = "camera"
    file: Annotated[str, Field(min_length=1, max_length=255)]
    offset_us: _Us = 0

    @model_validator(mode="after")
    def _stays_beside_label(self) -> Self:
        if not _is_beside(self.file):
            raise ValueError(f"file {self.file!r} of track {self.track_id} is not beside the label")
        return self


class ClipMark(_Label):
    """A mark that the detectors are given (:class:`analytics.detector.Mark`)."""

    kind: Annotated[str, Field(min_length=1, max_length=64)]
    at_us: _Us
    participant_id: str = ""
    data: dict[str, JsonValue] = Field(default_factory=dict)


class ClipEvent(_Label):
    """Something that happens, and what a detector ought to say of it.

    Attributes:
        kind: the kind of finding.
        outcome: what it has to say; without it any ``warn`` or ``fail`` counts.
        participant_id, track_id: whom it is about; empty where that doesn't matter.
        within_s: so many seconds after ``start_us`` it has to be said; later counts as missed.
        match: values that the finding must carry, such as the code of a statement.
        optional: it is right to find it, and no miss not to (a short absence, a doubtful case).
        tags: how it was made; figures are given for each tag as well.
    """

    kind: _Kind
    start_us: _Us
    end_us: _Us
    outcome: Outcome | None = None
    participant_id: str = ""
    track_id: str = ""
    within_s: Annotated[float, Field(gt=0, le=3_600)] | None = None
    match: dict[str, float | int | str] = Field(default_factory=dict)
    optional: bool = False
    tags: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.end_us < self.start_us:
            raise ValueError(f"event {self.kind} ends before it starts")
        return self


class Clip(_Label):
    """A clip and all that is true of it.

    Attributes:
        scored: kinds for which ``events`` is complete.
        tags: how it was made: ``codec``, ``kbps``, ``loss``; figures are given for each.
        seed: makes the same clip again.
        id_photo: file of a portrait beside the label, by participant.
        texts: what is said, in order, by participant; for recognisers.
    """

    version: Literal[1] = 1
    name: _Id
    duration_us: Annotated[int, Field(gt=0, le=_MAX_US)]
    tracks: Annotated[tuple[ClipTrack, ...], Field(min_length=1, max_length=16)]
    scored: frozenset[_Kind]
    events: Annotated[tuple[ClipEvent, ...], Field(max_length=10_000)] = ()
    marks: Annotated[tuple[ClipMark, ...], Field(max_length=10_000)] = ()
    tags: dict[str, str] = Field(default_factory=dict)
    seed: int | None = None
    id_photo: dict[str, str] = Field(default_factory=dict)
    texts: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        tracks = [track.track_id for track in self.tracks]
        if len(set(tracks)) != len(tracks):
            raise ValueError("two tracks have the same track_id")
        for photo in self.id_photo.values():
            if not _is_beside(photo):
                raise ValueError(f"id_photo {photo!r} is not beside the label")
        participants = {track.participant_id for track in self.tracks}
        for event in self.events:
            if event.end_us > self.duration_us:
                raise ValueError(f"event {event.kind} at {event.start_us} ends after the clip")
            if event.track_id and event.track_id not in tracks:
                raise ValueError(f"event {event.kind} is about no track of the clip")
            if event.participant_id and event.participant_id not in participants:
                raise ValueError(f"event {event.kind} is about no participant of the clip")
            if event.kind not in self.scored:
                raise ValueError(f"event {event.kind} is of a kind that is not in scored")
        return self


def require_file(path: Path) -> None:
    """Refuses what would be waited for, such as a pipe.

    Raises:
        OSError: it is no file, or not there.
    """
    if not S_ISREG(path.stat().st_mode):
        raise OSError("it is no file")


def read_clip(path: Path) -> Clip:
    """The label in ``path``.

    Raises:
        LabelError: it is no label, or can't be read.
    """
    try:
        require_file(path)
        with path.open("rb") as file:
            text = file.read(MAX_LABEL_BYTES + 1)
    except OSError as error:
        raise LabelError("label {path} can't be read: {cause}", path=path, cause=error) from error
    if len(text) > MAX_LABEL_BYTES:
        raise LabelError(
            "label {path} has more than {limit} bytes", path=path, limit=MAX_LABEL_BYTES
        )
    try:
        return Clip.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise LabelError(
            "label {path}: {where}: {cause}", path=path, where=where, cause=first["msg"]
        ) from error


def write_clip(clip: Clip, directory: Path) -> Path:
    """Writes the label beside its media, whole or not at all; gives its path."""
    path = directory / f"{clip.name}{SUFFIX}"
    partial = path.with_suffix(".part")
    partial.write_text(clip.model_dump_json(indent=1, exclude_defaults=True) + "\n", "utf-8")
    partial.replace(path)
    return path


def find_clips(directory: Path) -> Iterator[tuple[Path, Clip]]:
    """All labelled clips below a directory, by name.

    Raises:
        LabelError: a label is none, or there is none at all.
    """
    paths = sorted(directory.rglob(f"*{SUFFIX}"))
    if not paths:
        raise LabelError(
            "no *{suffix} below {path}; `witness analytics clips` makes some",
            suffix=SUFFIX,
            path=directory,
        )
    for path in paths:
        yield path, read_clip(path)
