"""What stays of a demonstration: its call as it was recorded, sealed and verified, and a film."""

import json
import os
import re
import secrets
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from recorder.config import EvidenceConfig, RecordedRooms, RecordingConfig
from witness import os_errors
from witness.demo_findings import findings_json, findings_lines
from witness.errors import ComposeError, DemoError, WitnessError
from witness.i18n import language, marked, of_error, t
from witness.sealing import certificates_of, seal_session

__all__ = ["DemoArchive", "Evidence", "default_directory", "demo_of"]

_KEPT: Final = 5
"""Demonstrations that stay; older ones are removed when a new one begins."""

_FILM_UP_TO_US: Final = 30_000_000
"""Of a longer call the command is printed instead: a film takes some seconds for each ten."""

_NAME: Final = re.compile(r"demo-\d{8}-\d{6}-[0-9a-f]{4}")

_VERDICTS: Final = (marked("PASS"), marked("PASS WITH DECLARED GAPS"), marked("FAIL"))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was made of one recorded session.

    Attributes:
        session: its directory.
        missing_us: declared gaps of all tracks together.
        exit_code: the verifier's: 0 PASS, 1 PASS WITH DECLARED GAPS, 2 FAIL.
        code: why it fails; empty otherwise.
        film: ``None`` where none was made.
        no_film: why it could not be made; empty where the call was too long to make one at once.
        trust: certificates to verify with.
        findings: of detectors, as its log has them.
        people: who took part.
    """

    session: Path
    package: Path
    bytes: int
    missing_us: int
    exit_code: int
    code: str
    film: Path | None
    no_film: str
    trust: tuple[Path, ...]
    findings: tuple[Mapping[str, Any], ...] = ()
    people: tuple[Mapping[str, Any], ...] = ()

    @property
    def verify_command(self) -> str:
        """To check the package again."""
        keys = shlex.quote(str(self.trust[0].parent))
        return f"witness verify {shlex.quote(str(self.package))} --trust {keys}/*.crt"

    @property
    def compose_command(self) -> str:
        """To make the film."""
        out = self.package.parent / "files"
        return shlex.join(["witness", "compose", str(self.session), "--out", str(out)])

    @property
    def play_command(self) -> str:
        """To look at it on the playback page."""
        return shlex.join(["witness", "play", str(self.session)])

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "session": str(self.session),
            "play": self.play_command,
            "package": str(self.package),
            "bytes": self.bytes,
            "missing_us": self.missing_us,
            "verdict": _VERDICTS[self.exit_code],
            "exit": self.exit_code,
            "code": self.code or None,
            "film": None if self.film is None else str(self.film),
            "trust": [str(path) for path in self.trust],
            "findings": findings_json(self.findings),
        }

    def lines(self) -> list[str]:
        """For people."""
        verdict = t(_VERDICTS[self.exit_code])
        if self.code:
            verdict += f" ({self.code})"
        if self.missing_us:
            missing = t("{seconds:.1f} s of all tracks together are declared missing")
            verdict += t(" ({text})").format(text=missing.format(seconds=self.missing_us / 1e6))
        findings = findings_lines(self.findings, self.people, language(os.environ))
        found = [
            *(findings if self.findings else []),
            t("recording:   {path}").format(path=self.session),
            t("package:     {path}, {size:.1f} MiB").format(
                path=self.package, size=self.bytes / 2**20
            ),
            t("verdict:     {verdict}").format(verdict=verdict),
            t("check it:    {command}").format(command=self.verify_command),
            t("watch it:    {command}").format(command=self.play_command),
        ]
        if self.film is not None:
            return [*found, t("film:        {path}").format(path=self.film)]
        if self.no_film:
            found.append(t("no film:     {reason}").format(reason=self.no_film))
        return [*found, t("make a film: {command}").format(command=self.compose_command)]


class DemoArchive:
    """A directory of one demonstration: keys, transparency log, recordings, packages, films."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.recording = RecordingConfig(directory=place / "recordings", rooms=RecordedRooms.ALL)
        self.evidence = EvidenceConfig(
            keys_directory=place / "keys",
            log_directory=place / "log",
            packages_directory=place,
            tsa_local=True,
        )

    @classmethod
    def begin(cls, directory: Path, now: datetime | None = None) -> Self:
        """Makes the directory of a demonstration with keys of its own; old ones are removed.

        Raises:
            DemoError: the directory can't be used, or ``openssl`` is missing.
        """
        from recorder.keys import init_keys
        from recorder.timestamp import make_local_authority

        moment = datetime.now(UTC) if now is None else now
        name = f"demo-{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        made = cls(directory.absolute() / name)
        with _said():
            made.place.mkdir(mode=0o700, parents=True)
            (made.place / "recordings").mkdir()
            init_keys(made.place / "keys", name="witness demo")
            make_local_authority(made.place / "keys")
            _remove_old(directory)
        return made

    def finish(self) -> list[Evidence]:
        """Seals and verifies what was recorded, and makes a film of a short call.

        Raises:
            DemoError: a session can't be sealed.
        """
        from recorder.summary import session_places

        with _said():
            return [self._seal(place) for place in session_places(self.place / "recordings")]

    def _seal(self, session: Path) -> Evidence:
        from recorder.review import describe_recording
        from recorder.summary import summarise

        package = self.place / f"{session.name}.zip"
        # Browsers that joined may have something to upload yet: that is declared.
        sealed, verdict = seal_session(session, package, self.evidence, unsettled=True)
        film, reason = None, ""
        if summarise(session).length_us <= _FILM_UP_TO_US:
            try:
                film = _film(session, self.place / "files")
            except ComposeError as error:
                reason = str(error)
        told = describe_recording(session)
        return Evidence(
            session=session,
            package=package,
            bytes=sealed.bytes,
            missing_us=sealed.missing_us,
            exit_code=verdict.exit_code,
            code=verdict.code,
            film=film,
            no_film=reason,
            trust=tuple(certificates_of(self.evidence)),
            findings=tuple(told["findings"]),
            people=tuple(told["people"]),
        )


def default_directory(environ: Mapping[str, str]) -> Path:
    """Where demonstrations stay if nothing else was asked for.

    Raises:
        DemoError: this user has no directory for data.

    Spec: XDG Base Directory Specification, ``XDG_DATA_HOME``.
    """
    given = Path(environ.get("XDG_DATA_HOME", ""))
    try:
        base = given if given.is_absolute() else Path.home() / ".local" / "share"
    except RuntimeError:
        text = t("there is no home directory to keep the demonstration in: give --directory")
        raise DemoError(text) from None
    return base / "witness" / "demo"


def demo_of(session: Path) -> DemoArchive | None:
    """The demonstration that a recording was made in; ``None`` if it was none."""
    place = session.parent.parent
    is_demo = _NAME.fullmatch(place.name) is not None and (place / "keys").is_dir()
    return DemoArchive(place) if is_demo and session.parent.name == "recordings" else None


def _remove_old(directory: Path) -> None:
    """Names begin with the time, so the oldest come first."""
    found = sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))
    for path in found[:-_KEPT]:
        shutil.rmtree(path)


def _film(session: Path, out: Path) -> Path:
    from recorder.compose.film import FilmOptions
    from recorder.compose.session import compose_session
    from recorder.playback.opening import open_recording
    from recorder.review import describe_recording
    from recorder.views import PLAYBACK_FOLDER, playback_place
    from witness.commands_compose import said

    lang = language(os.environ)
    with said():
        composed = compose_session(open_recording(session, lang), out, FilmOptions(language=lang))
        film = composed.film
        # The playback page has it then, too.
        own = playback_place(session.parent / PLAYBACK_FOLDER, session.name)
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        shown = own / f"film-{lang}.mp4"
        shown.unlink(missing_ok=True)
        shown.hardlink_to(film.file)
        about = {
            "seconds": round(film.seconds, 3),
            "uploads": describe_recording(session)["uploads"],
        }
        shown.with_suffix(".json").write_text(json.dumps(about))
    return film.file


@contextmanager
def _said() -> Iterator[None]:
    """Whatever went wrong, as one sentence of the demonstration."""
    from recorder.errors import RecorderError

    try:
        yield
    except RecorderError as error:
        raise DemoError(of_error(error)) from error
    except WitnessError as error:
        raise DemoError(str(error)) from error
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        raise DemoError(f"{where}{os_errors.reason(error)}") from error
