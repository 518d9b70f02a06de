"""What an event log tells: chain, files, gaps, attempts; and what was missing when."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from witness_verify import values
from witness_verify.crypto import Digests
from witness_verify.devices import Devices, file_of
from witness_verify.failure import Failure
from witness_verify.spans import Range, common, joined, lengths, without

__all__ = ["MAX_LINE", "Story", "Track"]

MAX_LINE = 65_535
MAX_EVENTS = 1_000_000
MAX_GAPS = 200_000
BORDER_US = 100_000
PART_ABSENT = 1_000
_OF_DEVICES = {"device.key", "digest.batch", "chunk.verified", "chunk.backfilled", "gap.declared"}
_OF_TRACKS = {"track.closed", "segment.closed", "gap.declared", "chunk.backfilled",
              "chunk.verified"}  # fmt: skip
_WHO = ("participant", "role", "kind", "source", "codec", "ssrc")
_OF_CONSENTS = ("consent", "participant", "permission", "how", "text_sha256", "given_at")
_FIELDS = {"actor", "at_us", "digest", "payload", "prev", "seq", "ts_server", "type"}


def _expect(holds: bool, code: str) -> None:
    if not holds:
        raise Failure(code)


class Track:
    """One track's events."""

    def __init__(self, opened_us: int) -> None:
        self.opened_us, self.closed_us = opened_us, -1
        self.files: list[tuple[str, str, dict[str, Any]]] = []
        self.gaps: list[dict[str, Any]] = []
        # Times: of segments, of gaps, of those for good; of chunks that uploads made whole, and of
        # those that arrived whole, which are there where segments are.
        self.captured: list[Range] = []
        self.declared: list[Range] = []
        self.final: list[Range] = []
        self.uploaded: list[Range] = []
        self.arrived: list[Range] = []

    def take(self, name: str, kind: str, payload: dict[str, Any]) -> None:
        """An event of a file, of a gap, or of chunks that arrived."""
        if kind == "chunk.verified":
            for span in values.items({"spans": [], **payload}, "spans", list):
                low, high = values.numbers(span, 2)
                self.arrived.append((low, high))
            return
        span = values.number(payload, "from_us"), values.number(payload, "to_us")
        _expect(span[0] <= span[1], "event")
        if kind == "gap.declared":
            _expect(len(values.text(payload, "cause")) <= 256, "event")
            self.lacks(span, payload["cause"], final=bool({"chunk", "chunks"} & payload.keys()))
            return
        file = file_of(name, kind, payload)
        _expect(len(file) <= 256, "event")
        uploaded = self.uploaded if file else self.arrived
        (self.captured if kind == "segment.closed" else uploaded).append(span)
        self.files += [(kind, file, payload)] if file else []

    def lacks(self, span: Range, cause: str, *, final: bool) -> None:
        """A gap; for good if ``final``, whatever was uploaded."""
        self.declared.append(span)
        self.final += [span] if final else []
        self.gaps.append({"from_us": span[0], "to_us": span[1], "cause": cause})

    def account(self, start: int, end: int, pauses: list[Range]) -> dict[str, Any]:
        """What ``gaps.json`` has to say of it; fails on a hole nobody declared."""
        closed = end if self.closed_us < 0 else min(end, self.closed_us)
        expected = joined([(max(start, self.opened_us), closed)])
        files, gaps = joined(self.captured), joined(self.declared)
        paused = without(pauses, files)
        # Chunks that won't come are missing, whatever other encodings of the time were uploaded.
        whole = [*self.uploaded, *common(self.arrived, joined(files, BORDER_US))]
        for first, last in expected:
            # Before the first frame and after the last nothing was sent: chunks end with those.
            whole += [(high, last) for _, high in whole if last - BORDER_US <= high < last]
            whole += [(first, low) for low, _ in whole if first < low <= first + BORDER_US]
        there = without(joined(whole, BORDER_US), [*self.final, *paused])
        filled = common(common(gaps, there), expected)
        missing = without(common([*gaps, *paused], expected), filled)
        holes = without(expected, [*files, *gaps, *paused])
        for low, high in holes:
            if high - low > BORDER_US:
                raise Failure("hole", f"{low} us")
        # Distances between packets, and at both ends; not one after the other, half the recording.
        absent, length = (sum(high - low for low, high in part) for part in (holes, expected))
        if absent > 2 * BORDER_US + length // PART_ABSENT:
            raise Failure("hole", f"{absent} us in {len(holes)} pieces")
        captured = without(common(files, expected), gaps)
        parts = {"expected": expected, "captured": captured, "filled": filled, "missing": missing}
        shares = {f"{key}_us": sum(b - a for a, b in part) for key, part in parts.items()}
        lefts = zip(self.gaps, lengths(self.declared, there))
        listed = [{**gap, "filled_us": length} for gap, length in lefts]
        return {**shares, "missing": [list(one) for one in missing], "gaps": listed}


class Story:
    """The log, read once."""

    def __init__(self, genesis: tuple[str, str], session: str = "") -> None:
        self.count, self.head = 0, genesis
        self.from_us, self.to_us, self.last_time, self.stopped = -1, 0, "", False
        self.tracks: dict[str, Track] = {}
        self.pauses: list[Range] = []
        self.outages: list[Range] = []
        self.lost: list[Range] = []
        self.attempts: dict[str, int] = {}
        self.documents: dict[str, tuple[str, str]] = {}
        self.described: dict[str, tuple[tuple[str, str], dict[str, Any]]] = {}
        self.superseded = self._gaps = 0
        self.asked: dict[str, Any] = {}
        self.consents: dict[str, dict[str, Any]] = {}
        self.devices = Devices(session)
        self._paused_us, self._broken_us, self._running = -1, -1, ("", 0)
        self._gone = False  # since a crash: what is logged then makes the recording no longer

    def read(self, lines: Iterable[bytes]) -> None:
        """Every line has to follow the one before it."""
        for line in lines:
            self.count += 1
            where = f"event {self.count}"
            if self.count > MAX_EVENTS:
                raise Failure("too_large", "events")
            event = values.parse(line, where)
            if event.keys() != _FIELDS:
                raise Failure("form", where)
            digest = values.digests(values.mapping(event, "digest"))
            body = {key: value for key, value in event.items() if key != "digest"}
            prev = values.digests(values.mapping(event, "prev"))
            follows = (values.number(event, "seq"), prev) == (self.count, self.head)
            if not follows or Digests(values.canonical(body)).hex() != digest:
                raise Failure("chain", where)
            self.head = digest
            # Of the last one: a clock that was ahead and was set back makes no earlier event later.
            self.last_time = values.text(event, "ts_server")
            try:
                self._outage(event)
                self._take(values.text(event, "type"), event)
                self._consent(event)
                self._describe(event)
            except Failure as failure:
                raise Failure(failure.code, f"{where}: {failure.detail}") from None
        self.devices.check_chains()
        if self._gaps + len(self.tracks) * len(self.lost) > MAX_GAPS:
            raise Failure("too_large", "gaps")
        # Any of the events that were lost may have told that something of a track is missing.
        for track in self.tracks.values():
            for span in self.lost:
                track.lacks(span, "log_lost", final=True)

    def _take(self, kind: str, event: dict[str, Any]) -> None:
        at, payload = values.number(event, "at_us"), values.mapping(event, "payload")
        self.to_us = self.to_us if self.stopped or self._gone else max(self.to_us, at)
        if kind == "recording.started":
            _expect(self.from_us < 0, "recording")
            self.from_us = at
        elif kind == "recording.paused":
            self._paused_us = at
        elif kind in {"recording.resumed", "recording.stopped"}:
            self.pauses += [(self._paused_us, at)] if self._paused_us >= 0 else []
            self._paused_us = -1
            self.stopped = self.stopped or kind == "recording.stopped"
        elif kind == "log.lost":
            low, high = values.number(payload, "from_us"), values.number(payload, "to_us")
            _expect(low <= high, "event")
            self.lost.append((low, high))
        elif kind in {"attempt.started", "attempt.ended"}:
            self._attempt(kind, payload)
        elif kind in {"flow.given", "transcript.closed", "checks.closed"}:
            self.documents[values.text(payload, "file")] = values.digests(payload)
        elif kind == "track.opened" or kind in _OF_TRACKS:
            name = values.text(payload, "track")
            track = self.tracks.setdefault(name, Track(at))
            if kind == "track.closed":
                track.closed_us = at
            elif kind in _OF_TRACKS:
                track.take(name, kind, payload)
        self._gaps += kind == "gap.declared"
        if self._gaps + len(self.lost) > MAX_GAPS:
            raise Failure("too_large", "gaps")
        if kind in _OF_DEVICES:
            self.devices.take(kind, event)

    def _outage(self, event: dict[str, Any]) -> None:
        """From a crash until the recording goes on nobody is recorded, unless it was paused."""
        kind, at = values.text(event, "type"), values.number(event, "at_us")
        if kind == "recording.recovered" and self.from_us >= 0 and not self.stopped:
            self._gone = True
            # The event's own time is that of the next start; those before have their files' times.
            unknown = self._paused_us < 0 and self._broken_us < 0
            self._broken_us = self.to_us if unknown else self._broken_us
        elif kind in {"recording.resumed", "recording.stopped"}:
            ended = values.mapping(event, "payload").get("interrupted")
            known = 0 <= self._broken_us < at and not ended
            self.outages += [(self._broken_us, at)] if known else []
            self._broken_us, self._gone = -1, False

    def _consent(self, event: dict[str, Any]) -> None:
        """What ``consents.json`` has to say."""
        kind, payload, actor = event["type"], event["payload"], values.text(event, "actor")
        if kind == "consent.asked":
            self.asked.update(values.mapping(payload, "texts"))
        if kind not in {"consent.given", "consent.withdrawn"}:
            return
        name = values.text(payload, "consent")
        if kind == "consent.given":
            given = {key: values.text(payload, key) for key in _OF_CONSENTS}
            _expect(name not in self.consents, "event")
            withdrawn = {"withdrawn_at": None, "withdrawn_by": None}
            self.consents[name] = {**given, "by": actor, **withdrawn}
        elif name in self.consents and self.consents[name]["withdrawn_at"] is None:
            at = values.text(payload, "withdrawn_at")
            self.consents[name].update({"withdrawn_at": at, "withdrawn_by": actor})

    def _describe(self, event: dict[str, Any]) -> None:
        """Who sends a track, and the digests of its file."""
        payload = event["payload"]
        if event["type"] == "track.described" and "about" in payload:
            who = {key: payload[key] for key in _WHO if key in payload}
            about = values.digests(values.mapping(payload, "about"))
            self.described[values.text(payload, "track")] = about, who

    def _attempt(self, kind: str, payload: dict[str, Any]) -> None:
        node, number = values.text(payload, "node"), values.number(payload, "attempt")
        if kind == "attempt.ended":
            _expect(number > 0 and self._running == (node, number), "attempts")
            self._running = ("", 0)
            return
        before = self.attempts.get(node, 0)
        sound = number == before + 1 and payload.get("supersedes") == (before or None)
        _expect(sound and not self._running[1], "attempts")
        self.attempts[node], self._running = number, (node, number)
        self.superseded += before > 0
