"""What an event log tells: chain, files, gaps, attempts; and what was missing when."""

from collections.abc import Iterable
from typing import Any, Final

from witness_verify import values
from witness_verify.crypto import Digests
from witness_verify.devices import Devices, file_of
from witness_verify.failure import Failure
from witness_verify.spans import Range, common, joined, lengths, without

__all__ = ["MAX_LINE", "Story", "Track"]

MAX_LINE: Final = 65_535
MAX_EVENTS: Final = 1_000_000
MAX_GAPS: Final = 200_000
BORDER_US: Final = 100_000
_OF_DEVICES: Final = {
    "device.key",
    "digest.batch",
    "chunk.verified",
    "chunk.backfilled",
    "gap.declared",
}
_FIELDS: Final = {"actor", "at_us", "digest", "payload", "prev", "seq", "ts_server", "type"}


class Track:
    """One track's events."""

    def __init__(self, opened_us: int) -> None:
        self.opened_us, self.closed_us = opened_us, -1
        self.files: list[tuple[str, str, dict[str, Any]]] = []
        self.gaps: list[dict[str, Any]] = []
        # Times: of segments, of gaps, of those for good, of chunks that are whole.
        self.captured: list[Range] = []
        self.declared: list[Range] = []
        self.final: list[Range] = []
        self.complete: list[Range] = []

    def account(self, start: int, end: int, pauses: list[Range]) -> dict[str, Any]:
        """What ``gaps.json`` has to say of it; fails on a hole nobody declared."""
        closed = end if self.closed_us < 0 else min(end, self.closed_us)
        expected = joined([(max(start, self.opened_us), closed)])
        files, gaps = joined(self.captured), joined(self.declared)
        paused = without(pauses, files)
        # Chunks that won't come are missing, whatever other encodings of the time were uploaded.
        there = without(joined(self.complete, BORDER_US), [*self.final, *paused])
        filled = common(common(gaps, there), expected)
        missing = without(common([*gaps, *paused], expected), filled)
        for low, high in without(expected, [*files, *gaps, *paused]):
            if high - low > BORDER_US:
                raise Failure("hole", f"{low} us")
        told = {"expected": expected, "filled": filled, "missing": missing,
                "captured": without(common(files, expected), gaps)}  # fmt: skip
        shares = {f"{key}_us": sum(b - a for a, b in value) for key, value in told.items()}
        parts = zip(self.gaps, lengths(self.declared, there), strict=True)
        listed = [{**gap, "filled_us": length} for gap, length in parts]
        return {**shares, "missing": [list(one) for one in missing], "gaps": listed}


class Story:
    """The log, read once."""

    def __init__(self, genesis: tuple[str, str], session: str = "") -> None:
        self.count, self.head = 0, genesis
        self.from_us, self.to_us, self.last_time = -1, 0, ""
        self.stopped = False
        self.tracks: dict[str, Track] = {}
        self.pauses: list[tuple[int, int]] = []
        self.attempts: dict[str, int] = {}
        self.superseded = 0
        self.devices = Devices(session)
        self._paused_us, self._gaps = -1, 0
        self._running: tuple[str, int] | None = None

    def read(self, lines: Iterable[bytes]) -> None:
        """Every line has to follow the one before it."""
        for line in lines:
            self.count += 1
            if self.count > MAX_EVENTS:
                raise Failure("too_large", "events")
            where = f"event {self.count}"
            event = values.parse(line, where)
            if event.keys() != _FIELDS:
                raise Failure("form", where)
            digest = values.digests(event, "digest")
            body = {key: value for key, value in event.items() if key != "digest"}
            links = (values.number(event, "seq"), values.digests(event, "prev"))
            if links != (self.count, self.head) or Digests(values.canonical(body)).hex() != digest:
                raise Failure("chain", where)
            self.head = digest
            self.last_time = max(self.last_time, values.text(event, "ts_server"))
            try:
                self._take(values.text(event, "type"), event)
            except Failure as failure:
                raise Failure(failure.code, f"{where}: {failure.detail}") from None

    def _take(self, kind: str, event: dict[str, Any]) -> None:
        at, payload = values.number(event, "at_us"), values.mapping(event, "payload")
        if not self.stopped:
            self.to_us = max(self.to_us, at)
        match kind:
            case "recording.started":
                self._expect(self.from_us < 0, "recording")
                self.from_us = at
            case "recording.paused":
                self._paused_us = at
            case "recording.resumed" | "recording.stopped":
                if self._paused_us >= 0:
                    self.pauses.append((self._paused_us, at))
                self._paused_us = -1
                self.stopped = self.stopped or kind == "recording.stopped"
            case "attempt.started" | "attempt.ended":
                self._attempt(kind, payload)
            case "track.opened":
                self.tracks.setdefault(values.text(payload, "track"), Track(at))
            case "track.closed" | "segment.closed" | "gap.declared" | "chunk.backfilled":
                track = self.tracks.setdefault(values.text(payload, "track"), Track(at))
                if kind == "track.closed":
                    track.closed_us = at
                else:
                    self._media(track, kind, payload)
            case "chunk.verified":
                track = self.tracks.setdefault(values.text(payload, "track"), Track(at))
                track.complete += _spans(payload)
        if kind in _OF_DEVICES:
            self.devices.take(kind, event)

    def _media(self, track: Track, kind: str, payload: dict[str, Any]) -> None:
        low, high = values.number(payload, "from_us"), values.number(payload, "to_us")
        self._expect(low <= high, "event")
        if kind != "gap.declared":
            name = file_of(values.text(payload, "track"), kind, payload)
            self._expect(len(name) <= 256, "event")
            if kind == "segment.closed":
                track.captured.append((low, high))
            else:
                track.complete.append((low, high))
            if name:
                track.files.append((kind, name, payload))
            return
        self._expect(len(values.text(payload, "cause")) <= 256, "event")
        self._gaps += 1
        if self._gaps > MAX_GAPS:
            raise Failure("too_large", "gaps")
        track.declared.append((low, high))
        if "chunk" in payload or "chunks" in payload:
            track.final.append((low, high))
        track.gaps.append({key: payload[key] for key in ("from_us", "to_us", "cause")})

    def _attempt(self, kind: str, payload: dict[str, Any]) -> None:
        node, number = values.text(payload, "node"), values.number(payload, "attempt")
        if kind == "attempt.ended":
            self._expect(self._running == (node, number), "attempts")
            self._running = None
            return
        before = self.attempts.get(node, 0)
        sound = number == before + 1 and payload.get("supersedes") == (before or None)
        self._expect(sound and self._running is None, "attempts")
        self.attempts[node], self._running = number, (node, number)
        self.superseded += before > 0

    def _expect(self, holds: bool, code: str) -> None:
        if not holds:
            raise Failure(code)


def _spans(payload: dict[str, Any]) -> list[Range]:
    found = payload.get("spans", [])
    if not isinstance(found, list) or len(found) > MAX_LINE:
        raise Failure("form", "spans")
    for one in found:
        if not isinstance(one, list) or [type(n) for n in one] != [int, int] or one[0] > one[1]:
            raise Failure("form", "spans")
    return [(one[0], one[1]) for one in found]
