"""What ``witness archive`` does."""

import argparse
import getpass
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from witness import os_errors
from witness.bar import Bar
from witness.errors import EvidenceError, UsageError
from witness.i18n import marked, of_error, t
from witness.recorded import find_session, settings_of
from witness.table import render

__all__ = [
    "expire",
    "fetch",
    "find",
    "hold",
    "init",
    "journal",
    "put",
    "reindex",
    "release",
    "retain",
    "status",
    "verify",
]

if TYPE_CHECKING:
    from archive.archive import Archive, Expired
    from archive.record import Deposit
    from witness.archiving import Archiving

_STATES = {
    "archived": marked("archived"),
    "deleted": marked("deleted"),
    "held": marked("held"),
    "due": marked("due"),
}


def init(arguments: argparse.Namespace) -> int:
    """``witness archive init``."""
    from witness.archiving import Archiving

    archiving = Archiving.of(settings_of(arguments.config))
    with _said():
        name = archiving.begin(adopt=arguments.adopt)
    if arguments.json:
        _print({"archive": name, "directory": str(archiving.directory)})
    else:
        text = t("archive {name} in {directory}")
        _say(text.format(name=name, directory=archiving.directory))
    return 0


def put(arguments: argparse.Namespace) -> int:
    """``witness archive put``: the exit code is 1 when a session could not be archived."""
    if bool(arguments.sessions) == arguments.all_sealed:
        raise UsageError(t("give sessions, or --all-sealed"))
    archiving, archive = _opened(arguments)
    with _said():
        names = _sealed(archiving, archive) if arguments.all_sealed else [
            _session(archiving, name) for name in arguments.sessions
        ]  # fmt: skip
    told, failed = [], 0
    for name in names:
        try:
            with _said():
                bar = _bar(arguments, name)
                deposit = archiving.deposit(archive, name, who=_who(arguments), progress=bar)
        except EvidenceError as error:
            failed += 1
            told.append({"session_id": name, "error": str(error)})
            sys.stderr.write(f"witness: {name}: {error}\n")
            continue
        told.append(deposit.to_json())
        if not arguments.json:
            text = t("archived: {session}, {bytes} bytes in {objects} objects, kept until {day}")
            _say(
                text.format(
                    session=name,
                    bytes=deposit.bytes,
                    objects=len(deposit.objects),
                    day=deposit.keep.retain_until or t("the contract's end is known"),
                )
            )
    if arguments.json:
        _print(told)
    elif not names:
        _say(t("nothing to archive"))
    return 1 if failed else 0


def status(arguments: argparse.Namespace) -> int:
    """``witness archive status``."""
    archiving, archive = _opened(arguments)
    with _said():
        counts = archive.catalogue.counts()
        names = _sealed(archiving, archive)
        due = len(archive.due())
    told = {
        "storage": archive.storage.name,
        "directory": str(archiving.directory),
        **counts,
        "due": due,
        "waiting": names,
    }
    if arguments.json:
        _print(told)
        return 0
    lines = [
        t("storage:  {name}, catalogue in {directory}").format(
            name=archive.storage.name, directory=archiving.directory
        ),
        t("archived: {archived}, {bytes} bytes; {held} held, {due} may be deleted").format(
            **counts, due=due
        ),
        t("deleted:  {deleted}").format(**counts),
        t("waiting:  {names}").format(names=", ".join(names) or t("none")),
    ]
    _say("\n".join(lines))
    return 0


def find(arguments: argparse.Namespace) -> int:
    """``witness archive list``."""
    from archive.catalogue import Query

    _, archive = _opened(arguments)
    query = Query(
        session=arguments.session,
        room=arguments.room,
        order=arguments.order,
        customer=arguments.customer,
        participant=arguments.participant,
        since=_day(arguments.since),
        until=_day(arguments.until),
        state=arguments.state,
        limit=arguments.limit,
        cursor=arguments.cursor,
    )
    with _said():
        page = archive.search(query)
    if arguments.json:
        _print({"deposits": [one.to_json() for one in page.deposits], "next": page.next})
    elif page.deposits:
        _say(_table(page.deposits))
        if page.next is not None:
            _say(t("more: --cursor {cursor}").format(cursor=page.next))
    else:
        _say(t("nothing found"))
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """``witness archive verify``: digests of all objects, and the verifier over the package."""
    from archive.errors import IntegrityError

    archiving, archive = _opened(arguments)
    told: list[dict[str, Any]] = []
    failed = False
    with _said():
        for session in [archive.session_named(name) for name in arguments.sessions]:
            try:
                judged = archive.verify(
                    session,
                    _who(arguments),
                    partial(archiving.judge, archive),
                    _bar(arguments, session),
                )
            except IntegrityError as error:
                # The others are looked at all the same.
                failed = True
                told.append({"session_id": session, "error": of_error(error)})
                sys.stderr.write(f"witness: {session}: {of_error(error)}\n")
                continue
            for deposit, verdict in judged:
                told.append(
                    {
                        "session_id": session,
                        "package": deposit.facts.package,
                        "objects": len(deposit.objects),
                        "verdict": verdict,
                    }
                )
    if arguments.json:
        _print(told)
    else:
        text = t("{session}: {objects} objects are what was archived; the package: {verdict}")
        for one in (one for one in told if "verdict" in one):
            _say(
                text.format(
                    session=one["session_id"], objects=one["objects"], verdict=one["verdict"]
                )
            )
    wrong = any(str(one.get("verdict")).startswith("fail") for one in told)
    return 1 if failed or wrong else 0


def hold(arguments: argparse.Namespace) -> int:
    """``witness archive hold``."""
    return _cases(arguments, "hold")


def release(arguments: argparse.Namespace) -> int:
    """``witness archive release``."""
    return _cases(arguments, "release")


def _cases(arguments: argparse.Namespace, what: str) -> int:
    archiving, archive = _opened(arguments)
    told = []
    with _said():
        for name in arguments.sessions:
            session = _known(archiving, archive, name)
            change = archive.hold if what == "hold" else archive.release
            cases = change(session, arguments.case, who=_who(arguments), why=arguments.reason)
            told.append({"session_id": session, "holds": list(cases)})
    if arguments.json:
        _print(told)
        return 0
    for one in told:
        names = ", ".join(one["holds"]) or t("none")
        _say(t("{session}: held for {cases}").format(session=one["session_id"], cases=names))
    return 0


def retain(arguments: argparse.Namespace) -> int:
    """``witness archive retain``."""
    contract, dispute = _day(arguments.contract_end), _day(arguments.dispute_end)
    if contract is None and dispute is None:
        raise UsageError(t("give --contract-end or --dispute-end"))
    _, archive = _opened(arguments)
    with _said():
        session = archive.session_named(arguments.session)
        deposits = archive.retain(
            session,
            contract_end=contract,
            dispute_end=dispute,
            repeated=_day(arguments.repeat),
            who=_who(arguments),
            why=arguments.reason,
        )
    if arguments.json:
        _print([one.to_json() for one in deposits])
    else:
        _say(_table(deposits))
    return 0


def expire(arguments: argparse.Namespace) -> int:
    """``witness archive expire``: says what may go; deletes it with ``--delete``."""
    archiving, archive = _opened(arguments)
    today = _day(arguments.today)
    if arguments.delete and not (arguments.reason and today):
        raise UsageError(t("--delete needs --reason and --today"))
    with _said():
        due = archive.due()
        if not arguments.delete:
            if arguments.json:
                _print([one.to_json() for one in due])
            else:
                _say(_table(due) if due else t("nothing may be deleted today"))
            return 0
        assert today is not None
        who, why = _who(arguments), arguments.reason
        done = [archive.expire(one, today=today, who=who, why=why) for one in due]
        left = _left(archiving, archive, done, who)
    told: list[dict[str, Any]] = [
        {
            "session_id": one.deposit.facts.session,
            "package": one.deposit.facts.package,
            "deleted": one.refused is None,
            "refused": None if one.refused is None else of_error(one.refused),
            "left": [str(path) for path in left.get(one.deposit.facts.session, ())],
        }
        for one in done
    ]
    if arguments.json:
        _print(told)
    else:
        for item in told:
            text = t("deleted: {session}") if item["deleted"] else t("kept: {session}: {reason}")
            _say(text.format(session=item["session_id"], reason=item["refused"]))
            for path in item["left"]:
                _say(t("  still on this machine: {path}").format(path=path))
        if not told:
            _say(t("nothing may be deleted today"))
    return 0 if all(item["deleted"] and not item["left"] for item in told) else 1


def _left(
    archiving: "Archiving", archive: "Archive", done: "list[Expired]", who: str
) -> dict[str, list[Path]]:
    """What of deleted sessions the archive doesn't delete; the journal says so too."""
    found = {}
    for one in done:
        facts = one.deposit.facts
        if one.refused is None and (paths := archiving.left(facts.session)):
            found[facts.session] = paths
            names = [path.name for path in paths]
            archive.journal.append(
                "expiry.left", facts.package, who, session=facts.session, left=names
            )
    return found


def fetch(arguments: argparse.Namespace) -> int:
    """``witness archive fetch``: the package, or all objects."""
    _, archive = _opened(arguments)
    directory: Path = arguments.out or Path()
    paths = []
    with _said():
        deposit = archive.newest(archive.session_named(arguments.session))
        session = deposit.facts.session
        directory.mkdir(parents=True, exist_ok=True)
        for one in deposit.objects if arguments.all else deposit.objects[:1]:
            name = f"{session}.zip" if one.kind == "package" else f"{session}-{Path(one.key).name}"
            bar = _bar(arguments, name)
            out = directory / name
            archive.fetch(
                deposit, one, out, who=_who(arguments), why=arguments.reason, progress=bar
            )
            paths.append(out)
    if arguments.json:
        _print({"session_id": session, "files": [str(path) for path in paths]})
    else:
        _say("\n".join(str(path) for path in paths))
    return 0


def reindex(arguments: argparse.Namespace) -> int:
    """``witness archive reindex``."""
    _, archive = _opened(arguments)
    with _said():
        packages, without = archive.reindex(_who(arguments), _bar(arguments, ""))
    if arguments.json:
        _print({"packages": packages, "without_record": without})
    else:
        text = t("{packages} packages, {without} of them without a record")
        _say(text.format(packages=packages, without=without))
    return 0


def journal(arguments: argparse.Namespace) -> int:
    """``witness archive journal``: who did what and why, checked line by line."""
    _, archive = _opened(arguments)
    with _said():
        found = [
            entry
            for entry in archive.journal.read()
            if arguments.session is None or entry.facts.get("session") == arguments.session
        ]
    if arguments.json:
        _print([entry.to_json() for entry in found])
        return 0
    rows = [
        [str(one.seq), one.at, one.what, str(one.facts.get("session", "")), one.who, one.why]
        for one in found
    ]
    head = ["", t("time"), t("what"), t("session"), t("who"), t("why")]
    _say(render([head, *rows], left={1, 2, 3, 4, 5}))
    return 0


def _opened(arguments: argparse.Namespace) -> "tuple[Archiving, Archive]":
    from witness.archiving import Archiving

    archiving = Archiving.of(settings_of(arguments.config))
    with _said():
        return archiving, archiving.open()


def _sealed(archiving: "Archiving", archive: "Archive") -> list[str]:
    from witness.archiving import waiting

    return waiting(archiving, archive.catalogue.settled())


def _session(archiving: "Archiving", name: str) -> str:
    """The id of a session of this machine; one whose capture is gone has its package still."""
    if archiving.package_of(name) is not None:
        return name
    return find_session(name, archiving.recordings).name


def _known(archiving: "Archiving", archive: "Archive", name: str) -> str:
    """An archived session, or one that will be."""
    from archive.errors import CatalogueError

    try:
        return archive.session_named(name)
    except CatalogueError:
        return find_session(name, archiving.recordings).name


def _who(arguments: argparse.Namespace) -> str:
    if arguments.by:
        return str(arguments.by)
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _bar(arguments: argparse.Namespace, step: str) -> Bar | None:
    return None if arguments.json or not sys.stderr.isatty() else Bar(step)


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(
            t("{value} is no day: write YYYY-MM-DD").format(value=repr(text))
        ) from None


def _table(found: "Sequence[Deposit]") -> str:
    head = [
        t("session"), t("room"), t("started (UTC)"), t("order"), t("MiB"), t("kept until"),
        t("held for"), t("state"),
    ]  # fmt: skip
    rows = [
        [
            one.facts.session,
            one.facts.room,
            one.facts.started_at[:19].replace("T", " "),
            one.facts.sale.order_no or "",
            f"{one.bytes / 2**20:.1f}",
            t("unknown") if one.keep.retain_until is None else str(one.keep.retain_until),
            ", ".join(one.keep.holds),
            t(_STATES[one.state]),
        ]
        for one in found
    ]
    return render([head, *rows], left={0, 1, 2, 3, 5, 6, 7})


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _print(value: Any) -> None:
    _say(json.dumps(value, ensure_ascii=False, indent=2))


@contextmanager
def _said() -> Iterator[None]:
    """Errors of archive, recorder and system, as one sentence."""
    from archive.errors import ArchiveError
    from recorder.errors import RecorderError

    try:
        yield
    except (ArchiveError, RecorderError) as error:
        raise EvidenceError(of_error(error)) from error
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        raise EvidenceError(f"{where}{os_errors.reason(error)}") from error
