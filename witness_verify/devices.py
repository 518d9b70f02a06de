"""What the participants' devices said they sent, and what became of every second of it.

A chunk is about a second of one stream. Its digest came during the call, mostly signed by the
device, and stands in the event log; so whatever was uploaded later can be held against it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from witness_verify import values
from witness_verify.crypto import P256, ecdsa_ok
from witness_verify.failure import Failure

__all__ = ["Chunk", "Devices", "file_of"]

MAX_CHUNKS, MAX_KEYS = 250_000, 256
_ROW = 5
_RATES = {"opus": 48_000}
_VIDEO_RATE = 90_000
_SLACK_US = 100_000
_LONGEST_US, _SOUND_APART_US, _SOUND_FRAME_US = 2_000_000, 500_000, 120_000
_SEALED = 1024  # at most what encryption adds to a file
_NEAR = 16
_SIGNED = ("batch", "chunks", "codec", "from_seq", "late", "prev")


class Chunk:
    """What was said of a chunk, and its end: ``arrived``, ``uploaded``, ``lost``; else awaited.

    ``file`` holds the ``uploaded`` frames of it that did not arrive, if there are any.
    """

    __slots__ = ("actor", "bytes", "codec", "end", "file", "first", "frames", "last", "sha256",
                 "ssrc", "uploaded")  # fmt: skip

    def __init__(self, actor: str, codec: str, row: list[Any]) -> None:
        self.actor, self.codec, self.end, self.file, self.uploaded = actor, codec, "", "", 0
        numbers = row[:_ROW]
        whole = len(row) == _ROW + 1 and all(type(n) is int and n >= 0 for n in numbers)
        if not whole or not re.fullmatch(r"[0-9a-f]{64}", str(row[_ROW])):
            raise Failure("event", "digest.batch")
        self.ssrc, self.first, self.last, self.frames, self.bytes = numbers
        self.sha256 = str(row[_ROW])

    def us_until(self, timestamp: int) -> int:
        """From its first frame to that of a later RTP timestamp."""
        ticks: int = (timestamp - self.first) % 2**32
        return ticks * 1_000_000 // _RATES.get(self.codec, _VIDEO_RATE)

    def holds(self, timestamp: int) -> bool:
        """Whether an RTP timestamp lies in it."""
        return bool((timestamp - self.first) % 2**32 <= (self.last - self.first) % 2**32)


class _Key:
    """A device's key: whose, how many batches it signed, digest and signature of the last."""

    def __init__(self, actor: str, public: bytes, name: str) -> None:
        self.actor, self.public, self.head, self.count = actor, public, name, 0
        self.last = b""

    def signed(self, signature: bytes, digest: bytes) -> bool:
        """ECDSA with SHA-256, r and s of 32 bytes each."""
        rs = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        return len(signature) == 64 and ecdsa_ok(P256, self.public, rs, digest)


class Devices:
    """The account of all chunks, as the log tells it.

    Attributes:
        signed: of each participant, how many chunks the key of a device stands for, and how many
            there are.
        keys: names of the keys that signed something.
        checked: how many signatures were: of every key its proof, and the last of its chain.
    """

    def __init__(self, session: str = "") -> None:
        self.tracks: dict[str, dict[int, Chunk]] = {}
        self.count = self.checked = self.late = 0
        self.signed: dict[str, tuple[int, int]] = {}
        self.keys: set[str] = set()
        self._owners: set[str] = set()
        self._session, self._keys = session, dict[str, _Key]()
        self._pending: set[tuple[str, int]] = set()
        self._spans: list[tuple[str, list[int], int]] = []

    def take(self, kind: str, event: dict[str, Any]) -> None:
        """An event of a chunk; fails where it does not follow from those before."""
        payload, actor = values.mapping(event, "payload"), values.text(event, "actor")
        if kind == "device.key":
            self._announced(actor, payload)
            return
        track = values.text(payload, "track")
        if kind == "digest.batch":
            self._said(track, actor, payload)
        elif kind == "chunk.verified":
            seqs = values.items(payload, "chunks", int)
            spans = [
                values.numbers(one, 2)
                for one in values.items({"spans": [], **payload}, "spans", list)
            ]
            for seq in seqs:
                self._ends(track, seq, "arrived")
            if not seqs:
                raise Failure("event", kind)
            self._spans.append((track, seqs, sum(high - low for low, high in spans)))
        elif kind == "chunk.backfilled":
            seq = values.number(payload, "chunk")
            chunk = self._ends(track, seq, "uploaded")
            length = values.number(payload, "to_us") - values.number(payload, "from_us")
            self._spans.append((track, [seq], length))
            chunk.file = file_of(track, kind, payload)
            chunk.uploaded = values.number(payload, "frames")
            sound = (0 < chunk.uploaded <= chunk.frames) if chunk.file else not chunk.uploaded
            same = payload.get("ssrc") == chunk.ssrc and chunk.actor == actor
            most = chunk.bytes + _SEALED * chunk.file.endswith(".enc")
            if not sound or not same or values.number(payload, "bytes") > most:
                raise Failure("event", kind)
        elif "chunk" in payload:
            self._ends(track, values.number(payload, "chunk"), "lost")
        elif "chunks" in payload:
            # Still awaited when it was sealed.
            for seq in values.items(payload, "chunks", int):
                self._pending.add((track, self._known(track, seq)))

    def check_chains(self) -> None:
        """The last signature of every key: it covers all batches before it, by their digests."""
        for key in self._keys.values():
            if key.count:
                self.checked += 1
                if not key.signed(key.last, bytes.fromhex(key.head)):
                    raise Failure("device_key", f"{key.actor}: batch {key.count}")

    def close(self) -> dict[str, int]:
        """How many chunks came to which end; fails on the first of which nothing is known."""
        ends = {"arrived": 0, "uploaded": 0, "lost": 0, "awaited": 0}
        for track, chunks in self.tracks.items():
            for seq, chunk in chunks.items():
                if not chunk.end and (track, seq) not in self._pending:
                    raise Failure("client", f"{track}: {seq}")
                ends[chunk.end or "awaited"] += 1
        for track, seqs, length in self._spans:
            if length > sum(self._longest_us(track, seq) for seq in seqs):
                raise Failure("client", f"{track}: {seqs[0]} is longer than what was said")
        return ends

    def _longest_us(self, track: str, seq: int) -> int:
        """How long a chunk can answer for: to the next one of its stream, or a frame's length on.

        The next one counts where no number between the two is left out: then nothing was sent.
        Sound is sent all the time, in silence a little; a picture stands until the next one.
        """
        chunks = self.tracks[track]
        one = chunks[seq]
        sound, steps = one.codec in _RATES, one.frames - 1
        limit = min(steps * _SOUND_APART_US, _LONGEST_US) if sound else _LONGEST_US
        inside = one.us_until(one.last)
        if inside > limit:
            return limit + _SLACK_US
        frame = _SOUND_FRAME_US if sound else _LONGEST_US
        longest: int = inside + min(inside // max(1, steps), frame)
        for after in range(seq + 1, seq + 1 + _NEAR):
            found = chunks.get(after)
            if found is None or found.ssrc == one.ssrc:
                until = one.us_until(found.first) if found else 0
                longest = max(longest, min(until, inside + _SOUND_APART_US) if sound else until)
                break
        return longest + _SLACK_US

    def _said(self, track: str, actor: str, payload: dict[str, Any]) -> None:
        rows, codec = values.items(payload, "chunks", list), values.text(payload, "codec")
        known = self.tracks.setdefault(track, {})
        for seq, row in enumerate(rows, values.number(payload, "from_seq")):
            if seq in known:
                raise Failure("event", f"chunk {seq} was said before")
            known[seq] = Chunk(actor, codec, row)
        self.count += len(rows)
        if self.count > MAX_CHUNKS:
            raise Failure("too_large", "chunks")
        if "key" in payload:
            self._chained(track, actor, payload)
            self.late += len(rows) if payload["late"] else 0
        elif payload.get("late") is not True and actor in self._owners:
            # Who has a key signs what is said during the call.
            raise Failure("device_chain", f"{track}: chunk {payload['from_seq']} is not signed")
        signed, count = self.signed.get(actor, (0, 0))
        self.signed[actor] = signed + ("key" in payload) * len(rows), count + len(rows)

    def _announced(self, actor: str, payload: dict[str, Any]) -> None:
        public = values.base64_bytes(payload.get("public"))
        name = hashlib.sha256(public).hexdigest()
        sound = payload.get("alg") == "ES256" and payload.get("key") == name
        if not sound or name in self._keys or P256.point(public) is None:
            raise Failure("device_key", actor)
        if len(self._keys) >= MAX_KEYS:
            raise Failure("too_large", "keys")
        key = self._keys[name] = _Key(actor, public, name)
        owned = {"key": name, "participant": actor, "session": self._session, "type": "device.key"}
        self.checked += 1
        proof = values.base64_bytes(payload.get("proof"))
        if not key.signed(proof, hashlib.sha256(values.canonical(owned)).digest()):
            raise Failure("device_key", actor)
        self._owners.add(actor)

    def _chained(self, track: str, actor: str, payload: dict[str, Any]) -> None:
        """What was signed: the batch, its number and the digest of the one before."""
        body = {name: payload.get(name) for name in _SIGNED}
        data = values.canonical({**body, "session": self._session, "track": track})
        key, where = self._keys.get(values.text(payload, "key")), f"{track}: batch {body['batch']}"
        links = (actor, body["batch"], body["prev"])
        if key is None or (key.actor, key.count + 1, key.head) != links:
            raise Failure("device_chain", where)
        key.last = values.base64_bytes(payload.get("signature"))
        if len(key.last) != 64 or type(body["late"]) is not bool:
            raise Failure("device_key", where)
        key.count, key.head = key.count + 1, hashlib.sha256(data).hexdigest()
        self.keys.add(str(payload["key"]))

    def _known(self, track: str, seq: int) -> int:
        if seq not in self.tracks.get(track, {}):
            raise Failure("event", f"nobody spoke of chunk {seq}")
        return seq

    def _ends(self, track: str, seq: int, end: str) -> Chunk:
        chunk = self.tracks.get(track, {})[self._known(track, seq)]
        if chunk.end:
            raise Failure("event", f"chunk {seq} was {chunk.end} before")
        chunk.end = end
        return chunk


def file_of(track: str, kind: str, payload: dict[str, Any]) -> str:
    """Where the file of an event lies in the package; empty if there is none."""
    if kind == "chunk.backfilled" and payload.get("file", "") is None:
        return ""
    name = values.text(payload, "file").rpartition("/")[2]
    return f"media/{track}/{'backfill/' if kind == 'chunk.backfilled' else ''}{name}"
