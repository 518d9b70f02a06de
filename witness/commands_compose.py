"""What ``witness compose`` does."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from witness import os_errors
from witness.bar import Bar
from witness.errors import ComposeError, UsageError
from witness.i18n import language, marked, of_error, t
from witness.recorded import find_session, settings_of

__all__ = ["compose", "said"]

if TYPE_CHECKING:
    from recorder.compose.session import Composed
    from recorder.config import RecordingConfig
    from recorder.envelope import MasterKeys
    from recorder.playback.remux import RemuxedTrack

_DAMAGED = 5
"""Exit code where files were made and something recorded could not be read."""

_LONGEST_WATERMARK = 200
_STEPS = {
    "survey": marked("reading the packets"),
    "tracks": marked("writing the tracks"),
    "film": marked("rendering the film"),
}


def compose(arguments: argparse.Namespace) -> int:
    """``witness compose``."""
    from recorder.compose.film import FilmOptions
    from recorder.compose.layout import Layout
    from recorder.compose.session import compose_session
    from recorder.playback.opening import open_recording

    lang = arguments.lang or language(os.environ)
    if len(arguments.watermark or "") > _LONGEST_WATERMARK:
        text = t("--watermark has {length} characters: at most {limit}")
        raise UsageError(text.format(length=len(arguments.watermark), limit=_LONGEST_WATERMARK))
    settings = settings_of(arguments.config)
    place = find_session(arguments.session, settings.recording.directory)
    out: Path = arguments.out or Path(f"{place.name}-files")
    options = FilmOptions(
        layout=Layout(arguments.layout),
        language=lang,
        zone=_zone(arguments.timezone),
        font=arguments.font,
        watermark=arguments.watermark,
    )
    bars = _Bars(arguments.json or not sys.stderr.isatty())
    with said():
        composed = compose_session(
            open_recording(place, lang, _keys(place, arguments.key, settings.recording)),
            out,
            options,
            tracks=not arguments.film_only,
            progress=bars,
        )
    if arguments.json:
        sys.stdout.write(json.dumps(_told(composed), ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.write(_text(composed) + "\n")
    return _DAMAGED if composed.damage else 0


def _keys(place: Path, given: str | None, config: "RecordingConfig") -> "MasterKeys | None":
    """Keys that were named or configured; none are asked for where nothing is encrypted."""
    from recorder.key_source import keys_given

    if not any((*place.glob("tracks/*/*.enc"), *place.glob("tracks/*/backfill/*.enc"))):
        return None
    return keys_given(config, () if given is None else (given,), os.environ)


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UsageError(t("there is no time zone {name}").format(name=repr(name))) from None


def _told(composed: "Composed") -> dict[str, Any]:
    film = composed.film
    return {
        "film": {
            "file": str(film.file),
            "seconds": round(film.seconds, 3),
            "chapters": film.chapters,
            "subtitles": film.subtitles,
            "slates_s": {name: round(value, 2) for name, value in film.slates_s.items()},
            "sound_missing_s": {
                name: round(value, 2) for name, value in film.sound_missing_s.items()
            },
            "realtime_factor": round(film.seconds / film.wall_s, 2),
            "stages_s": {name: round(value, 2) for name, value in film.stages_s.items()},
        },
        "tracks": [_track(track) for track in composed.tracks],
        "damaged": [
            {
                "track": one.track,
                "file": one.file,
                "from_us": one.from_us,
                "to_us": one.to_us,
                "reason": str(one.why),
            }
            for one in composed.damage
        ],
    }


def _track(track: "RemuxedTrack") -> dict[str, Any]:
    return {
        "track": track.track,
        "file": None if track.file is None else str(track.file),
        "frames": track.frames,
        "from_us": track.from_us,
        "to_us": track.to_us,
        "missing_us": track.missing_us,
        "holes": [[hole.from_us, hole.to_us] for hole in track.holes],
        "undecodable": track.undecodable,
    }


def _text(composed: "Composed") -> str:
    film = composed.film
    lines = [
        t("film: {path}, {seconds:.0f} s, {factor:.1f} × real time").format(
            path=film.file, seconds=film.seconds, factor=film.seconds / film.wall_s
        )
    ]
    lines += [
        t("  no picture of {name} for {seconds:.1f} s").format(name=name, seconds=value)
        for name, value in film.slates_s.items()
    ]
    lines += [
        t("  sound of {name} is missing for {seconds:.1f} s").format(name=name, seconds=value)
        for name, value in film.sound_missing_s.items()
    ]
    for track in composed.tracks:
        if track.file is None:
            lines.append(t("track {track}: nothing that can be played").format(track=track.track))
        else:
            lines.append(
                t("track {track}: {path}, {frames} frames, {seconds:.1f} s missing").format(
                    track=track.track,
                    path=track.file,
                    frames=track.frames,
                    seconds=track.missing_us / 1e6,
                )
            )
    lines += [
        t("damaged: {reason}; {seconds:.1f} s of track {track} can't be shown").format(
            reason=of_error(one.why), seconds=(one.to_us - one.from_us) / 1e6, track=one.track
        )
        for one in composed.damage
    ]
    return "\n".join(lines)


@contextmanager
def said() -> Iterator[None]:
    """Errors of the recorder, of the system and of the encoders, as one sentence."""
    import av

    from recorder.errors import RecorderError

    try:
        yield
    except RecorderError as error:
        raise ComposeError(of_error(error)) from error
    except av.FFmpegError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise ComposeError(f"{where}{error.strerror}") from error
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        raise ComposeError(f"{where}{os_errors.reason(error)}") from error


class _Bars:
    """A bar for each step."""

    def __init__(self, is_silent: bool) -> None:
        self._is_silent = is_silent
        self._step = ""
        self._bar: Bar | None = None

    def __call__(self, step: str, share: float) -> None:
        if self._is_silent:
            return
        if step != self._step:
            if self._bar is not None:
                self._bar(1, 1)
            self._step, self._bar = step, Bar(t(_STEPS[step]))
        if self._bar is not None:
            self._bar(round(share * 1_000), 1_000)
