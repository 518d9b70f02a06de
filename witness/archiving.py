"""The configured archive, and what of a session goes into it."""

import io
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from archive.config import ArchiveConfig, StorageKind
from recorder.config import EvidenceConfig
from witness.config import Settings
from witness.errors import EvidenceError
from witness.i18n import t
from witness.tokens import load_token

__all__ = ["Archiving", "waiting"]

if TYPE_CHECKING:
    from archive.archive import Archive, Check, Material
    from archive.errors import DepositError
    from archive.package import Facts
    from archive.record import Deposit
    from archive.storage import Progress, Storage

_FILMS: Final = frozenset({".mp4", ".webm", ".mkv"})
_LATER: Final = frozenset({"recording.sealed"})
"""Events after sealing that add nothing to the recording."""


@dataclass(frozen=True, slots=True)
class Archiving:
    """Sessions of one server on their way into its archive.

    Attributes:
        recordings: directory of the sessions; ``None`` where nothing is recorded here.
        playback: directory of the playback page's films, if it is not in ``recordings``.
        secret: of the access key of the storage; empty where it needs none.
    """

    archive: ArchiveConfig
    evidence: EvidenceConfig
    recordings: Path | None
    secret: str = ""
    playback: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """With the secret read.

        Raises:
            ConfigError: the file with the secret can't be used.
        """
        config, secret = settings.archive, None
        if config.storage is StorageKind.S3:
            service = config.s3
            key = "archive.s3.secret_access_key"
            secret = load_token(key, service.secret_access_key, service.secret_access_key_file)
            if secret is None:
                text = t("archive.s3.secret_access_key is not set: give {variable} or a file")
                variable = "WITNESS_ARCHIVE__S3__SECRET_ACCESS_KEY"
                raise EvidenceError(text.format(variable=variable))
        return cls(
            config,
            settings.evidence,
            settings.recording.directory,
            secret or "",
            settings.recording.playback_directory,
        )

    def to_json(self) -> dict[str, Any]:
        """For the worker process, by a pipe: it holds the secret."""
        hidden = {"s3": {"secret_access_key", "secret_access_key_file"}}
        return {
            "archive": self.archive.model_dump(mode="json", exclude=hidden),
            "evidence": self.evidence.model_dump(mode="json"),
            "recordings": None if self.recordings is None else str(self.recordings),
            "secret": self.secret,
            "playback": None if self.playback is None else str(self.playback),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_json`."""
        recordings, playback = value["recordings"], value["playback"]
        return cls(
            ArchiveConfig.model_validate(value["archive"]),
            EvidenceConfig.model_validate(value["evidence"]),
            None if recordings is None else Path(recordings),
            value["secret"],
            None if playback is None else Path(playback),
        )

    def open(self) -> "Archive":
        """The archive.

        Raises:
            EvidenceError: it isn't configured.
            StorageError: it wasn't begun, isn't mounted, or can't be reached.
            OSError: its directory can't be used.
        """
        from archive.archive import Archive
        from archive.retention import Rules

        return Archive(self.directory, self._storage(), Rules(self.archive.retention))

    def begin(self, *, adopt: bool = False) -> str:
        """Begins the archive; see :func:`archive.identity.begin`."""
        from archive.identity import begin

        return begin(self.directory, self._storage(), adopt=adopt)

    def _storage(self) -> "Storage":
        from archive.local import LocalBackend
        from archive.s3 import S3Backend
        from archive.storage import Backend, Storage

        backend: Backend = (
            S3Backend(self.archive.s3, self.secret)
            if self.archive.storage is StorageKind.S3
            else LocalBackend(self.directory / "objects")
        )
        return Storage(backend)

    @property
    def directory(self) -> Path:
        """Of catalogue and journal.

        Raises:
            EvidenceError: it isn't configured.
        """
        if self.archive.directory is None:
            text = t("archive.{key} is not set: give it in the configuration or as {variable}")
            variable = "WITNESS_ARCHIVE__DIRECTORY"
            raise EvidenceError(text.format(key="directory", variable=variable))
        return self.archive.directory

    @property
    def packages(self) -> Path | None:
        """Directory of sealed packages."""
        return self.evidence.packages_directory or self.recordings

    def package_of(self, session: str) -> Path | None:
        """The sealed package of a session, if it is on this machine."""
        path = None if self.packages is None else self.packages / f"{session}.zip"
        return path if path is not None and path.is_file() else None

    def deposit(
        self, archive: "Archive", session: str, *, who: str, progress: "Progress | None" = None
    ) -> "Deposit":
        """Archives a sealed session as configured.

        Raises:
            EvidenceError: it has no package here.
            ArchiveError, RecorderError, OSError: see :meth:`archive.archive.Archive.deposit`.
        """
        package = self.package_of(session)
        if package is None:
            text = t("session {name} has no package in {directory}: seal it first (`witness seal`)")
            raise EvidenceError(text.format(name=session, directory=self.packages))
        material = self._material(session, package)
        return archive.deposit(
            material,
            self._check(),
            who=who,
            remove=partial(self._whole, session, package)
            if self.archive.remove_originals
            else None,
            progress=progress,
        )

    def originals(self, session: str) -> list[Path]:
        """What is there of what is removed once a session is archived."""
        places = [self.packages, self.recordings]
        names = (f"{session}.zip", session)
        found = [at / name for at, name in zip(places, names, strict=True) if at is not None]
        return [path for path in found if path.exists()]

    def left(self, session: str) -> list[Path]:
        """What lies on this machine of a session whatever the archive deleted."""
        from recorder.views import PLAYBACK_FOLDER, playback_place

        places = [] if self.packages is None else [self.packages / f"{session}.zip"]
        if self.recordings is not None:
            played = playback_place(self.playback or self.recordings / PLAYBACK_FOLDER, session)
            places += [self.recordings / session, self.recordings / f"{session}-files", played]
        return [path for path in places if path.exists()]

    def _material(self, session: str, package: Path) -> "Material":
        from archive.archive import Material
        from recorder.views import PLAYBACK_FOLDER, playback_place

        originals = [package]
        films: list[Path] = []
        if self.recordings is not None:
            originals.insert(0, self.recordings / session)
            if self.archive.films:
                played = playback_place(self.playback or self.recordings / PLAYBACK_FOLDER, session)
                for folder in (self.recordings / f"{session}-files", played):
                    if folder.is_dir():
                        found = (path for path in folder.iterdir() if path.suffix in _FILMS)
                        films += sorted(found)
        return Material(package, tuple({path.name: path for path in films}.values()),
                        tuple(originals))  # fmt: skip

    @contextmanager
    def _whole(self, session: str, package: Path, facts: "Facts") -> Iterator[bool]:
        """Whether what was archived has all of the session: nothing came after it was sealed, and
        nothing is waited for. Until this is left the log belongs to this process, so the server
        refuses what would be added; afterwards there is no session to add to.
        """
        from archive.package import facts_of
        from recorder.errors import LogBusyError
        from recorder.log import EventLog

        with package.open("rb") as file:
            is_whole = facts_of(file) == facts and facts.session == session
        place = None if self.recordings is None else self.recordings / session
        if place is None or not (place / "session.json").is_file():
            yield is_whole
            return
        try:
            log = EventLog.open(place)
        except LogBusyError:
            yield False
            return
        with log:
            yield is_whole and _has_all(place, facts)

    def _check(self) -> "Check":
        from witness.sealing import check

        if self.evidence.keys_directory is None:
            # Who signs isn't known here: that is said, and everything else is checked.
            return _unknown

        def passes(path: Path) -> str:
            verdict = check(path, self.evidence)
            if verdict.code:
                raise _failed(path, verdict.code)
            return "gaps" if verdict.exit_code else "pass"

        return passes

    def judge(self, archive: "Archive", deposit: "Deposit") -> str:
        """What the verifier says of a package as it lies in the storage.

        Returns:
            ``pass``, ``gaps``, ``unknown``, or ``fail:`` and why.
        """
        from witness.sealing import certificates_of, judged
        from witness_verify import verify
        from witness_verify.__main__ import certificates

        if self.evidence.keys_directory is None:
            return "unknown"
        trusted = [one for name in certificates_of(self.evidence) for one in certificates(name)]
        with io.BufferedReader(archive.open_package(deposit)) as file:
            result = verify(file, trusted)
        verdict = judged(result)
        if verdict.code:
            return f"fail:{verdict.code}"
        return "gaps" if verdict.exit_code else "pass"


def _has_all(place: Path, facts: "Facts") -> bool:
    """Whether nothing was logged since a package was sealed, and nothing is waited for."""
    from recorder.backfill.pending import Pending
    from recorder.log import read_events
    from recorder.session_file import read_session

    pending = Pending()
    for event in read_events(place, read_session(place)):
        pending.note(event)
        if event.seq > facts.events and event.type not in _LATER:
            return False
    return not pending.count


def waiting(archiving: Archiving, settled: Collection[str]) -> list[str]:
    """Sealed sessions of this machine that are not in the archive, the oldest package first.

    Args:
        archiving: where to look.
        settled: ids of packages for which nothing is left to do.

    Raises:
        OSError: a directory can't be read.
    """
    packages = archiving.packages
    if packages is None or not packages.is_dir():
        return []
    found = []
    for path in packages.glob("*.zip"):
        about = path.stat()
        if _id_of(path, about.st_mtime_ns, about.st_size) not in settled:
            found.append((about.st_mtime_ns, path.stem))
    return [name for _, name in sorted(found)]


def _unknown(path: Path) -> str:
    from recorder.regular import open_regular
    from witness_verify import verify

    with open_regular(path) as file:
        steps = verify(file).steps
    failed = [step.code for step in steps if step.outcome == "fail"]
    if failed:
        raise _failed(path, failed[0])
    return "unknown"


def _failed(path: Path, code: str) -> "DepositError":
    from archive.errors import DepositError

    return DepositError("{path} does not pass: {code}; see `witness verify`", path=path, code=code)


@lru_cache(maxsize=65_536)
def _id_of(path: Path, _modified_ns: int, _bytes: int) -> str:
    """Id of a package, which is another one when its session was sealed anew; empty where it can't
    be read: archiving it says why.
    """
    from archive.errors import PackageError
    from archive.package import facts_of
    from recorder.regular import open_regular

    try:
        with open_regular(path) as file:
            return facts_of(file).package
    except (PackageError, OSError):
        return ""
