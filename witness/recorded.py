"""Recorded sessions as the command line names and lists them."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from witness import os_errors
from witness.config_load import load_settings
from witness.errors import EvidenceError
from witness.i18n import marked, of_error, t
from witness.table import render

__all__ = ["find_session", "recordings", "said", "searches", "settings_of", "views"]

if TYPE_CHECKING:
    from recorder.summary import Summary
    from witness.config import Settings

_LISTED: Final = 10
"""Sessions named in an error."""

_STATES: Final = {
    "ready": marked("ready"),
    "recording": marked("recording"),
    "paused": marked("paused"),
    "interrupted": marked("interrupted"),
    "stopped": marked("stopped"),
    "damaged": marked("damaged"),
}


def settings_of(given: Path | None) -> "Settings":
    """From the file named by the option or by ``WITNESS_CONFIG``, and the environment.

    Raises:
        ConfigError: a value is wrong.
    """
    path = given or os.environ.get("WITNESS_CONFIG") or None
    return load_settings(None if path is None else Path(path), os.environ)


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        # Too long for a name.
        return False


def find_session(name: str, directory: Path | None) -> Path:
    """The directory of a session.

    Args:
        name: a directory, or the id (or the beginning of one id) of a session in ``directory``.
        directory: where recordings lie; ``None`` if that is not configured.

    Raises:
        EvidenceError: there is none, or several may be meant; the text names what there is.
    """
    direct = Path(name)
    places = _places(directory)
    exact = [place for place in places if place.name == name]
    if _is_directory(direct):
        # A directory without a session is left to whoever reads it: it says what is missing.
        found = direct.resolve()
        if exact and exact[0].resolve() != found and (direct / "session.json").is_file():
            text = t("{name} is both {one} and {other}: give the path")
            raise EvidenceError(text.format(name=name, one=found, other=exact[0]))
        if not exact:
            return found
    candidates = exact or [place for place in places if name and place.name.startswith(name)]
    if len(candidates) == 1:
        return candidates[0].resolve()
    if candidates:
        text = t("several sessions begin with {name}: {names}")
        raise EvidenceError(text.format(name=name, names=_named(candidates)))
    if directory is None:
        text = t(
            "{name} is no directory of a session, and recording.directory is not set:"
            " give it in the configuration or as WITNESS_RECORDING__DIRECTORY"
        )
        raise EvidenceError(text.format(name=name))
    if not places:
        text = t("there is no session {name}: {directory} holds none")
        raise EvidenceError(text.format(name=name, directory=directory))
    text = t("there is no session {name}; {directory} holds {names}")
    raise EvidenceError(text.format(name=name, directory=directory, names=_named(places)))


def _places(directory: Path | None) -> list[Path]:
    from recorder.summary import session_places

    if directory is None:
        return []
    try:
        return session_places(directory)
    except OSError as error:
        text = t("can't use the recording directory {path}: {reason}")
        raise EvidenceError(text.format(path=directory, reason=os_errors.reason(error))) from error


def _named(places: Sequence[Path]) -> str:
    """The newest ones: their names begin with their day."""
    newest = [place.name for place in reversed(places)]
    names = ", ".join(newest[:_LISTED])
    more = len(newest) - _LISTED
    return names if more <= 0 else t("{names} and {count} more").format(names=names, count=more)


def recordings(arguments: argparse.Namespace) -> int:
    """``witness recordings``."""
    from recorder.errors import RecorderError
    from recorder.summary import summarise

    directory = settings_of(arguments.config).recording.directory
    if directory is None:
        raise EvidenceError(
            t(
                "recording.directory is not set: give it in the configuration or as"
                " WITNESS_RECORDING__DIRECTORY"
            )
        )
    found: list[Summary] = []
    for place in _places(directory):
        try:
            found.append(summarise(place))
        except (RecorderError, OSError) as error:
            reason = os_errors.reason(error) if isinstance(error, OSError) else of_error(error)
            sys.stderr.write(f"witness: {place.name}: {reason}\n")
    found.sort(key=lambda item: (item.started_at, item.session))
    if arguments.json:
        listed = [item.to_json() for item in found]
        sys.stdout.write(json.dumps(listed, ensure_ascii=False, indent=2) + "\n")
    elif found:
        sys.stdout.write(_table(found) + "\n")
    else:
        sys.stdout.write(t("no sessions in {directory}").format(directory=directory) + "\n")
    return 0


def views(arguments: argparse.Namespace) -> int:
    """``witness recordings views``."""
    from recorder.errors import LogDamagedError, RecorderError
    from recorder.session_file import is_session_id
    from recorder.view_heads import read_heads
    from recorder.views import playback_place, read_views
    from witness.playback import playback_directory

    config = settings_of(arguments.config).recording
    given = Path(arguments.session)
    try:
        # The log outlives the recording, which may have been removed.
        own = playback_place(playback_directory(config), arguments.session)
        is_known = is_session_id(arguments.session) and (own / "session.json").is_file()
        place = own if is_known else None
    except ValueError:
        place = None
    if place is None:
        session = find_session(arguments.session, config.directory)
        beside = (
            config
            if config.directory
            else config.model_copy(update={"directory": given.resolve().parent})
        )
        place = playback_place(playback_directory(beside), session.name)
    try:
        heads = read_heads(place.parent, place.name)
        if not place.exists() and not heads:
            text = t("nobody has watched {session}")
            sys.stdout.write("[]\n" if arguments.json else text.format(session=place.name) + "\n")
            return 0
        if not place.exists():
            raise LogDamagedError("the log of views of {session} was removed", session=place.name)
        session_file, found, last = read_views(place, heads)
    except RecorderError as error:
        raise EvidenceError(of_error(error)) from error
    if arguments.json:
        told = {
            "session": session_file.session,
            "views": [view.to_json() for view in found],
            "events": 0 if last is None else last.seq,
            "heads": len(heads),
            "head": None if last is None else last.digest.to_json(),
        }
        sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")
        return 0
    head = [t("when (UTC)"), t("who"), t("role"), t("purpose"), t("fetched"), t("note")]
    rows = [
        [
            view.opened_at[:19].replace("T", " "),
            view.who,
            view.role,
            view.purpose,
            ", ".join(f"{what} {size / 2**20:.1f} MiB" for what, size in view.fetched.items()),
            view.note,
        ]
        for view in found
    ]
    sys.stdout.write(render([head, *rows], left=set(range(len(head)))) + "\n")
    if last is not None:
        text = t("the chain is whole: {count} lines, the last is {digest}")
        sys.stdout.write(text.format(count=last.seq, digest=last.digest.sha256) + "\n")
        text = t("{count} noted heads are in it") if heads else t("no head of it was ever noted")
        sys.stdout.write(text.format(count=len(heads)) + "\n")
    return 0


def searches(arguments: argparse.Namespace) -> int:
    """``witness recordings searches``."""
    from recorder.errors import LogDamagedError, RecorderError
    from recorder.view_heads import read_searches
    from witness.playback import playback_directory

    try:
        directory = playback_directory(settings_of(arguments.config).recording)
    except ValueError as error:
        text = t(
            "recording.directory is not set: give it in the configuration or as"
            " WITNESS_RECORDING__DIRECTORY"
        )
        raise EvidenceError(text) from error
    try:
        every = list(read_searches(directory))
        if arguments.head is not None and arguments.head not in {digest for _, digest in every}:
            raise LogDamagedError(
                "the log of searches has no line with the digest {digest}", digest=arguments.head
            )
    except RecorderError as error:
        raise EvidenceError(of_error(error)) from error
    found = [one for one, _ in every if arguments.who in {None, one.get("who")}]
    head = every[-1][1] if every else None
    if arguments.json:
        told = {"searches": found, "lines": len(every), "head": head}
        sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")
        return 0
    rows = [
        [
            str(one["at"])[:19].replace("T", " "),
            str(one["who"]),
            str(one["role"]),
            ", ".join(f"{name}={value}" for name, value in one["filters"].items()),
        ]
        for one in found
    ]
    titles = [t("when (UTC)"), t("who"), t("role"), t("looked for")]
    sys.stdout.write(render([titles, *rows], left=set(range(len(titles)))) + "\n")
    if head is not None:
        text = t("the chain is whole: {count} lines, the last is {digest}")
        sys.stdout.write(text.format(count=len(every), digest=head) + "\n")
    return 0


def _table(found: Sequence["Summary"]) -> str:
    head = [
        t("session"), t("room"), t("started (UTC)"), t("length"), t("tracks"), t("captured"),
        t("filled"), t("gaps left"),
        t("sound sent"), t("pictures sent"), t("state"), t("sealed"),
    ]  # fmt: skip
    rows = [
        [
            item.session,
            item.room,
            item.started_at[:19].replace("T", " "),
            _clock(item.length_us),
            str(item.tracks),
            _share(item.captured),
            _share(item.filled),
            str(item.open_gaps),
            _share(item.audio),
            _share(item.video),
            t(_STATES[item.state]),
            t("yes") if item.packages else t("no"),
        ]
        for item in found
    ]
    text = render([head, *rows], left={0, 1, 2, 10, 11})
    problems = [
        f"{item.session}: {of_error(item.problem)}" for item in found if item.problem is not None
    ]
    return "\n".join([text, *problems])


def _clock(length_us: int) -> str:
    minutes, seconds = divmod(length_us // 1_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _share(share: float | None) -> str:
    """Rounded down: what is not complete never reads as 100 %."""
    return t("unknown") if share is None else f"{int(share * 10_000) / 100:.2f} %"


@contextmanager
def said() -> Iterator[None]:
    """Errors of the recorder and of the system, as one sentence."""
    from recorder.errors import RecorderError

    try:
        yield
    except RecorderError as error:
        raise EvidenceError(of_error(error)) from error
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        raise EvidenceError(f"{where}{os_errors.reason(error)}") from error
