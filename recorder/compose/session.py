"""All files of a session that people can play: its tracks and its film."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recorder.compose.film import FilmOptions, FilmResult, make_film
from recorder.playback.errors import RecordingError
from recorder.playback.recording import Recording
from recorder.playback.remux import RemuxedTrack, remux_track
from recorder.playback.source import Damage, TrackSource
from recorder.playback.survey import TrackSurvey, survey_participant
from recorder.timeline import Gap, Timeline

__all__ = ["Composed", "Progress", "compose_session", "survey_all"]

Progress = Callable[[str, float], None]
"""Takes the name of a step (``survey``, ``tracks``, ``film``) and the share of it that is done."""


@dataclass(frozen=True, slots=True)
class Composed:
    """What was made."""

    film: FilmResult
    tracks: list[RemuxedTrack]
    damage: list[Damage]


def survey_all(
    recording: Recording, progress: Progress = lambda *_: None
) -> tuple[Recording, list[TrackSurvey]]:
    """Reads all tracks once; what can't be read of them is a gap of the timeline from then on.

    Returns:
        The recording with its sources in the order of the surveys, and these.

    Raises:
        RecorderError: a track can't be read.
        OSError: a file can't be read.
    """
    people: dict[str, list[TrackSource]] = {}
    for source in recording.sources:
        people.setdefault(source.info.participant, []).append(source)
    surveys: list[TrackSurvey] = []
    for done, sources in enumerate(people.values()):
        progress("survey", done / len(people))
        surveys += survey_participant(sources)
        for source in sources:
            _declare_damage(source, recording.timeline)
    ordered = [source for sources in people.values() for source in sources]
    return (
        Recording(
            recording.session,
            recording.started_ns,
            recording.timeline,
            ordered,
            recording.titles,
            recording.transcript,
        ),
        surveys,
    )


def compose_session(
    recording: Recording,
    out: Path,
    options: FilmOptions,
    *,
    tracks: bool = True,
    progress: Progress = lambda *_: None,
) -> Composed:
    """Remuxes every track and renders the film into one directory.

    Args:
        recording: the session.
        out: directory, made if need be; files of the same names are replaced.
        options: of the film.
        tracks: whether tracks are remuxed too.
        progress: told how far it is.

    Raises:
        RecorderError: nothing was recorded, a track can't be read, or there is no font.
        OSError: a file can't be read or written.
        av.FFmpegError: an encoder or a container refused.
    """
    ordered, surveys = survey_all(recording, progress)
    damage = [one for source in ordered.sources for one in source.damage]
    if not any(survey.packets for survey in surveys):
        if damage:
            raise damage[0].why
        raise RecordingError("nothing was recorded in session {session}", session=recording.session)
    out.mkdir(parents=True, exist_ok=True)
    remuxed: list[RemuxedTrack] = []
    started_us = recording.timeline.from_us or 0
    if tracks:
        for done, (source, survey) in enumerate(zip(ordered.sources, surveys, strict=True)):
            progress("tracks", done / len(surveys))
            remuxed.append(remux_track(source, survey, out, epoch_us=started_us))
    film = make_film(
        ordered,
        surveys,
        out / "film.mp4",
        options,
        lambda share: progress("film", share),
    )
    return Composed(film, remuxed, damage)


def _declare_damage(source: TrackSource, timeline: Timeline) -> None:
    for said in source.uploads.files():
        deque(source.uploads.frames(said), 0)
    known = timeline.tracks.get(source.info.track)
    if known is not None:
        known.gaps += [Gap(one.track, one.from_us, one.to_us, "damaged") for one in source.damage]
