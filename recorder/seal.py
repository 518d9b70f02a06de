"""Seals a recorded session: one file that anybody can check without this server.

The format is described in ``docs/evidence.md``. Files are read once, as a stream; memory grows
with the number of segments, not with their size.
"""

import json
import os
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from recorder.backfill.pending import Pending
from recorder.backfill.store import FOLDER
from recorder.canonical import canonical
from recorder.consents import CONSENTS_FILE, ConsentBook, write_consents
from recorder.digests import Digests, digests_of
from recorder.durable import sync_directory
from recorder.errors import CanonicalError, LogBusyError, SealError
from recorder.findings import CHECKS_FILE, CLOSED, FindingBook, write_checks
from recorder.flow import FLOW_FILE
from recorder.keys import KeyRing
from recorder.log import Event, EventLog, read_events
from recorder.merkle import MerkleRoot
from recorder.package import PackageWriter, blocks_of
from recorder.regular import open_regular, read_regular
from recorder.report import render_report
from recorder.session import State
from recorder.session_file import SessionFile, read_session, rfc3339
from recorder.timeline import Timeline, derive_timeline
from recorder.timestamp import TimestampAuthority
from recorder.transcript import TRANSCRIPT_FILE, close_transcript, is_closed
from recorder.transparency import TransparencyLog

__all__ = ["DOCUMENTS", "Progress", "Sealed", "SealingOffice", "seal"]

DOCUMENTS: Final = (
    CHECKS_FILE, CONSENTS_FILE, FLOW_FILE, "policy.json", TRANSCRIPT_FILE,
)  # fmt: skip
"""Facts of the sale that are sealed with the media when the session's directory holds them."""

_LOGGED: Final = frozenset({"flow.given", "transcript.closed", CLOSED})
"""Events that hold the digests of a document."""

_SEALED: Final = "recording.sealed"
_PROOF: Final = "proofs/log.json"
_PROVEN: Final = "log"
"""The step of a verifier that looks at the proof, when it has looked at all else."""

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


Examine = Callable[[BinaryIO], tuple[str, str]]
"""What a verifier says of a package: the first step that does not hold, and why, or nothing."""


@dataclass(frozen=True, slots=True)
class SealingOffice:
    """Who seals.

    Attributes:
        keys: for signatures.
        log: where every package is entered.
        authority: a third party's clock; ``None`` if there is none.
        software: name and version of what seals.
        examine: asked before a package is entered into the log: what it would refuse is not.
    """

    keys: KeyRing
    log: TransparencyLog
    authority: TimestampAuthority | None
    software: str
    examine: Examine


@dataclass(frozen=True, slots=True)
class Sealed:
    """What was made.

    Attributes:
        path: the package.
        manifest: digests of ``manifest.json``.
        log_size: entries of the transparency log, this one included.
        segments: files of media, those of uploaded frames included.
        missing_us: declared gaps of all tracks together, without what uploads filled.
        backfilled: files of uploaded frames.
        unsettled: chunks that were still waited for; declared with cause ``pending``.
    """

    path: Path
    package: str
    manifest: Digests
    bytes: int
    segments: int
    log_size: int
    missing_us: int
    backfilled: int
    unsettled: int


@dataclass(slots=True)
class _Track:
    name: str
    about: dict[str, Any]
    segments: list[Event] = field(default_factory=list)
    described: Digests | None = None


@dataclass(slots=True)
class _Case:
    """A session as it is sealed."""

    place: Path
    session: SessionFile
    events: int
    head: Digests
    timeline: Timeline
    tracks: list[_Track]
    documents: dict[str, Digests]
    unsettled: int
    findings: FindingBook
    consents: ConsentBook


def seal(
    place: Path,
    out: Path,
    office: SealingOffice,
    *,
    now_ns: int,
    unsettled: bool = False,
    progress: Progress | None = None,
) -> Sealed:
    """Makes the package of a session whose recording has stopped.

    A recording that broke off with its server, and was finished by the next start, is stopped
    where it broke off. Holes in the timeline that nobody declared are declared first, in the
    session's log, with cause ``unknown``. A package that was made, and of which a crash kept the
    log from telling, is told of instead of made again.

    Args:
        place: the session's directory.
        out: the package; must not exist, but for such a one. Written beside itself as ``.part``
            and renamed.
        office: keys, log and clock to seal with.
        now_ns: ns since 1970.
        unsettled: also while uploads of what the recording lacks are awaited; what they would
            bring is declared missing.
        progress: told of media that was read.

    Raises:
        SealError: the recording runs still, uploads are awaited, a file is not what the
            log says, or the verifier would refuse the package: then nothing was entered.
        LogDamagedError: the event log was changed.
        SigningError, TimestampError, TransparencyError: see there.
        OSError: a file can't be read or written.
    """
    if not out.parent.is_dir():
        raise SealError("there is no directory {path}: make it first", path=out.parent)
    if out.exists():
        return _tell(place, _unsaid(place, out, office.examine))
    waiting = _declare_holes(place, rfc3339(now_ns), unsettled=unsettled)
    case = _read_case(place, waiting)
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("w+b") as file:
            sealing = _Sealing(case, file, office, progress)
            sealed = sealing.run(out, rfc3339(now_ns))
            file.flush()
            os.fsync(file.fileno())
        part.rename(out)
        sync_directory(out.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return _tell(place, sealed)


def _tell(place: Path, sealed: Sealed) -> Sealed:
    """Enters a package into the log of its session."""
    with EventLog.open(place) as events:
        payload = {
            "package": sealed.package,
            "manifest": sealed.manifest.to_json(),
            "log_size": sealed.log_size,
        }
        events.append(_SEALED, payload, durable=True)
    return sealed


def _unsaid(place: Path, out: Path, examine: Examine) -> Sealed:
    """A package of this session that passes and that the session's log does not tell of.

    Raises:
        SealError: the log tells of it, or it is another file.
    """
    refused = SealError("{path} exists already; packages are never replaced", path=out)
    session, pending = read_session(place), Pending()
    with _opened(out) as file:
        step, _ = examine(file)
    if step:
        raise refused
    try:
        with zipfile.ZipFile(out) as box:
            data, proof = box.read("manifest.json"), json.loads(box.read("proofs/log.json"))
            gaps = json.loads(box.read("gaps.json"))
        manifest = json.loads(data)
        package, count = manifest["package"], manifest["events"]["count"]
        has_log = False
        for event in read_events(place, session):
            pending.note(event)
            if event.type == _SEALED and event.payload["package"] == package:
                raise refused
            if event.seq == count:
                has_log = event.digest.to_json() == manifest["events"]["head"]
        if not has_log:
            raise refused
        tracks = manifest["tracks"]
        return Sealed(
            out,
            manifest["package"],
            digests_of(data),
            out.stat().st_size,
            sum(track["chunks"] for track in tracks),
            proof["head"]["size"],
            sum(track["missing_us"] for track in gaps["tracks"]),
            sum(track["backfilled"] for track in tracks),
            pending.count,
        )
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, RecursionError):
        raise refused from None


def _declare_holes(place: Path, now: str, *, unsettled: bool) -> int:
    """Says what nobody said; returns how many chunks are still waited for."""
    try:
        log = EventLog.open(place)
    except LogBusyError:
        raise SealError(
            "session {session} is being recorded: stop it first", session=place.name
        ) from None
    with log:
        pending = Pending()
        last = ""

        def note(event: Event) -> None:
            nonlocal last
            last = event.ts_server
            pending.note(event)

        timeline = derive_timeline(_noted(read_events(place, log.session), note))
        if timeline.state is State.INTERRUPTED:
            # The server was gone and nobody went on: the recording ends where it broke off.
            ended = {"interrupted": True}
            log.append("recording.stopped", ended, at=timeline.to_us, durable=True)
            timeline = derive_timeline(read_events(place, log.session))
        if timeline.state is not State.STOPPED:
            raise SealError(
                "the recording of session {session} has not been stopped ({state})",
                session=place.name,
                state=timeline.state.value,
            )
        if pending.count and not unsettled:
            raise SealError(
                "session {session} waits for {count} chunks that may still be uploaded:"
                " seal it later, or now with --now",
                session=place.name,
                count=pending.count,
            )
        for payload in [
            *(_unknown(track.track, hole) for track in timeline.tracks.values()
              for hole in track.undeclared),
            *pending.gaps((timeline.from_us or 0, timeline.to_us)),
        ]:  # fmt: skip
            log.append("gap.declared", payload, durable=True)
        if (place / TRANSCRIPT_FILE).is_file() and not is_closed(place):
            close_transcript(place, log)
        write_consents(place, read_events(place, log.session))
        write_checks(place, log)
        if last > now:
            # Else the package would seem to be older than what is in it.
            log.append("clock.set_back", {"was": last}, durable=True)
        return pending.count


def _unknown(track: str, hole: tuple[int, int]) -> dict[str, Any]:
    from_us, to_us = hole
    times = {"from_us": from_us, "to_us": to_us}
    return {"track": track, **times, "cause": "unknown", "packets": None}


def _noted(events: Iterable[Event], note: Callable[[Event], None]) -> Iterator[Event]:
    for event in events:
        note(event)
        yield event


def _read_case(place: Path, unsettled: int) -> _Case:
    session = read_session(place)
    count, head = 0, session.digests
    tracks: dict[str, _Track] = {}
    documents: dict[str, Digests] = {}
    described: dict[str, Digests] = {}
    findings, consents = FindingBook(), ConsentBook()

    def note(event: Event) -> None:
        nonlocal count, head
        count, head = event.seq, event.digest
        findings.apply(event)
        consents.apply(event)
        if event.type == "segment.closed" or _has_upload(event):
            name = event.payload["track"]
            tracks.setdefault(name, _Track(name, {})).segments.append(event)
        elif event.type == "track.described" and "about" in event.payload:
            described[event.payload["track"]] = Digests.from_json(event.payload["about"])
        elif event.type in _LOGGED:
            told = event.payload
            documents[told["file"]] = Digests(told["sha256"], told["sm3"])

    timeline = derive_timeline(_noted(read_events(place, session), note))
    for name in timeline.tracks:
        track = tracks.setdefault(name, _Track(name, {}))
        folder = place / "tracks" / name
        track.about = _about_track(folder / "track.json")
        track.described = described.get(name)
        open_files = sorted(folder.glob("*.part"))
        if open_files:
            raise SealError(
                "{path} was never closed: start the server once, it finishes what a crash left",
                path=open_files[0],
            )
    ordered = [tracks[name] for name in sorted(tracks)]
    return _Case(
        place,
        session,
        count,
        head,
        timeline,
        ordered,
        documents,
        unsettled,
        findings,
        consents,
    )


def _has_upload(event: Event) -> bool:
    """Whether an event tells of a file with uploaded frames."""
    return event.type == "chunk.backfilled" and event.payload["file"] is not None


def _about_track(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_regular(path))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        raise SealError("{path} is no JSON", path=path) from None
    return value if isinstance(value, dict) else {}


class _Sealing:
    """One package being written."""

    def __init__(
        self,
        case: _Case,
        file: BinaryIO,
        office: SealingOffice,
        progress: Progress | None,
    ) -> None:
        self._case = case
        self._file = file
        self._writer = PackageWriter(file)
        self._office = office
        self._progress = progress
        self._total = sum(e.payload["bytes"] for t in case.tracks for e in t.segments)
        self._done = 0
        self._files: list[dict[str, Any]] = []

    def run(self, out: Path, sealed_at: str) -> Sealed:
        case, package = self._case, uuid.uuid4().hex
        self._copy("session.json", case.place / "session.json", case.session.digests)
        self._copy_events()
        tracks = [self._add_track(track) for track in case.tracks]
        gaps = _gaps(case.timeline)
        self._add("gaps.json", canonical(gaps))
        documents = self._copy_documents()
        manifest: dict[str, Any] = {
            "format": "witness-evidence/1",
            "package": package,
            "sealed_at": sealed_at,
            "software": self._office.software,
            "session": {
                "session": case.session.session,
                "room": case.session.room,
                "started_at": rfc3339(case.session.started_ns),
            },
            "events": {"count": case.events, "head": case.head.to_json()},
            "tracks": tracks,
            "timeline": {"from_us": case.timeline.from_us, "to_us": case.timeline.to_us},
            "documents": documents,
            "signers": [signer.to_json() for signer in self._office.keys.signers],
            "timestamp": self._office.authority is not None,
        }
        self._add("report.html", self._report(manifest))
        manifest["files"] = self._files
        data = canonical(manifest)
        self._writer.add("manifest.json", [data])
        log_size = self._prove(data, package, sealed_at)
        self._writer.finish()
        return Sealed(
            out,
            package,
            digests_of(data),
            self._writer.size,
            sum(len(track.segments) for track in case.tracks),
            log_size,
            sum(track["missing_us"] for track in gaps["tracks"]),
            sum(track["backfilled"] for track in tracks),
            case.unsettled,
        )

    def _report(self, manifest: dict[str, Any]) -> bytes:
        case = self._case
        consents = list(case.consents.consents.values())
        return render_report(manifest, case.timeline, case.findings.findings(), consents).encode()

    def _prove(self, manifest: bytes, package: str, sealed_at: str) -> int:
        """Signatures, the third party's time over them, the log's entry over both."""
        signatures = canonical(
            {
                "format": "witness-signatures/1",
                "signatures": self._office.keys.sign(manifest, chains=True),
            }
        )
        self._writer.add("manifest.sig.json", [signatures])
        stamp = None
        if self._office.authority is not None:
            stamp = self._office.authority.stamp(signatures)
            self._writer.add("tsa/manifest.sig.tsr", [stamp])
        leaf = {
            "package": package,
            "session": self._case.session.session,
            "manifest": digests_of(manifest).to_json(),
            "signatures": digests_of(signatures).to_json(),
            "timestamp": None if stamp is None else digests_of(stamp).to_json(),
        }
        self._rehearse()
        proof = self._office.log.add(leaf, sealed_at)
        self._writer.add(_PROOF, [canonical(proof)])
        size: int = proof["head"]["size"]
        return size

    def _rehearse(self) -> None:
        """Has the package examined, whole but for its proof: what is entered stays entered."""
        entry = self._writer.add(_PROOF, [b"{}"])
        self._writer.finish()
        self._file.flush()
        step, reason = self._office.examine(self._file)
        if step != _PROVEN:
            raise SealError(
                "the package of session {session} would not pass, at {step}: {reason};"
                " nothing was entered into the transparency log",
                session=self._case.session.session,
                step=step,
                reason=reason,
            )
        self._writer.take_back(entry)

    def _add_track(self, track: _Track) -> dict[str, Any]:
        place = self._case.place / "tracks" / track.name
        merkle, lines = MerkleRoot(), []
        for number, event in enumerate(track.segments, 1):
            folder = f"{FOLDER}/" if _has_upload(event) else ""
            name = f"{folder}{Path(event.payload['file']).name}"
            path = f"media/{track.name}/{name}"
            self._copy_media(path, place / name, event)
            line = canonical(_chunk(number, path, event))
            merkle.add(line)
            lines.append(line + b"\n")
        self._add(f"chunks/{track.name}.jsonl", b"".join(lines))
        about = place / "track.json"
        if os.path.lexists(about) or track.described is not None:
            path = f"media/{track.name}/track.json"
            with _opened(about) as file:
                self._note(entry := self._writer.add(path, blocks_of(file)))
            if track.described not in {None, entry.digests}:
                raise _not_logged(about)
        return {
            "track": track.name,
            "participant": track.about.get("participant", "unknown"),
            "role": track.about.get("role", "unknown"),
            "kind": track.about.get("kind", "unknown"),
            "codec": track.about.get("codec", "unknown"),
            "chunks": len(lines),
            "backfilled": sum(_has_upload(event) for event in track.segments),
            "bytes": sum(event.payload["bytes"] for event in track.segments),
            "merkle": merkle.roots(),
        }

    def _copy_media(self, path: str, source: Path, event: Event) -> None:
        expected = Digests(event.payload["sha256"], event.payload["sm3"])
        with _opened(source) as file:
            entry = self._writer.add(path, self._watched(file))
            self._note(entry)
        if entry.digests != expected or entry.bytes != event.payload["bytes"]:
            raise _not_logged(source)

    def _watched(self, file: BinaryIO) -> Iterator[bytes]:
        for block in blocks_of(file):
            yield block
            self._done += len(block)
            if self._progress is not None:
                self._progress(self._done, self._total)

    def _copy(self, path: str, source: Path, expected: Digests) -> None:
        data = read_regular(source)
        if digests_of(data) != expected:
            raise SealError("{path} changed while it was sealed", path=source)
        self._add(path, data)

    def _copy_events(self) -> None:
        """Exactly the lines that were checked; later ones belong to a later package."""

        def lines() -> Iterator[bytes]:
            for event in read_events(self._case.place, self._case.session):
                yield event.line()
                if event.seq == self._case.events:
                    return

        self._note(self._writer.add("events.jsonl", lines()))

    def _copy_documents(self) -> dict[str, Any]:
        there: dict[str, Any] = {}
        for name in DOCUMENTS:
            source = self._case.place / name
            there[name.partition(".")[0]] = name if source.is_file() else "unknown"
            expected = self._case.documents.get(name)
            if not source.is_file() and expected is None:
                continue
            with _opened(source) as file:
                entry = self._writer.add(name, blocks_of(file))
            self._note(entry)
            if expected is not None and entry.digests != expected:
                raise _not_logged(source)
        return there

    def _add(self, path: str, data: bytes) -> None:
        self._note(self._writer.add(path, [data]))

    def _note(self, entry: Any) -> None:
        self._files.append({"path": entry.path, "bytes": entry.bytes, **entry.digests.to_json()})


def _not_logged(path: Path) -> SealError:
    return SealError("{path} is not the file the event log tells of", path=path)


def _opened(path: Path) -> BinaryIO:
    try:
        return open_regular(path, os.O_NOFOLLOW)
    except FileNotFoundError:
        raise SealError("{path} is missing", path=path) from None


def _chunk(number: int, path: str, event: Event) -> dict[str, Any]:
    """The line of the index of a file."""
    payload = event.payload
    own = ("chunk", "frames", "ssrc") if _has_upload(event) else ("segment", "packets")
    keys = (*own, "bytes", "from_us", "to_us", "sha256", "sm3")
    try:
        line = {key: payload[key] for key in keys}
    except KeyError as error:
        raise CanonicalError("{type} lacks {key}", type=event.type, key=str(error)) from None
    return {**line, "seq": number, "file": path, "source": payload.get("source", "live")}


def _gaps(timeline: Timeline) -> dict[str, Any]:
    told = timeline.to_json()["tracks"]
    keys = ("track", "expected_us", "captured_us", "filled_us", "missing_us", "missing", "gaps")
    return {
        "format": "witness-gaps/2",
        "pauses": [list(item) for item in timeline.pauses],
        **({"outages": [list(item) for item in timeline.outages]} if timeline.outages else {}),
        "tracks": [
            {key: track[key] for key in keys}
            for track in sorted(told, key=lambda track: str(track["track"]))
        ],
    }
