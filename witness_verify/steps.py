"""The checks of a package, in their order; what each says is a :class:`Step`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, BinaryIO, NamedTuple

from witness_verify import values
from witness_verify.asn1 import ED25519, SM2_SM3, Certificate, check_path, signed_ok
from witness_verify.container import Container
from witness_verify.crypto import Digests
from witness_verify.devices import Chunk
from witness_verify.failure import Failure
from witness_verify.frames import MAX_UPLOAD, Comparison, uploaded_frames
from witness_verify.merkle import Roots, consistent, included
from witness_verify.segments import check_times, held, packets
from witness_verify.stamp import check_stamp
from witness_verify.story import MAX_LINE, Story

__all__ = ["STEPS", "Result", "Step", "verify"]

STEPS = ("structure", "signatures", "timestamp", "events", "media", "client", "timeline",
         "attempts", "documents", "tracks", "log", "head")  # fmt: skip
_MAX_MANIFEST, _MAX_SMALL, _MAX_GAPS = 8 << 20, 1 << 16, 64 << 20
_CLOCKS, _SEALING = timedelta(minutes=5), timedelta(days=1)
_NOT_KNOWN = {"signer_unknown", "timestamp_unknown", "head_unproven"}
_ALGORITHMS = {"Ed25519": ED25519, "SM2-SM3": SM2_SM3}
_DOCUMENTS = ("checks.jsonl", "consents.json", "flow.json", "policy.json", "transcript.jsonl")
_PROOF = {"format", "leaf", "index", "inclusion", "head", "anchor", "consistency"}
_OWN = {"segment.closed": ("segment", "packets"), "chunk.backfilled": ("chunk", "frames", "ssrc")}
_OF_TRACK = ("participant", "role", "kind", "codec")
_MAX_TOLD = 20
_THERE = {"arrived", "uploaded"}
_ENCRYPTED = (b"WITNESS\x01", b"WITNESS\x02")


class Step(NamedTuple):
    """One check.

    Attributes:
        outcome: ``pass``; ``fail``; ``unknown``, when it can't be checked with what was given;
            ``absent``, when the package says that it has no such thing; ``encrypted``, when a part
            of it could not be compared therefore; ``unsaid``, when no device spoke of a part of it;
            ``gaps``.
        code: why it failed or is unknown.
        detail: where, or what was found.
    """

    name: str
    outcome: str
    code: str = ""
    detail: str = ""


class Result:
    """What was found, by step."""

    def __init__(self, steps: Sequence[Step] = ()) -> None:
        self.steps, self.package, self.session = list(steps), "", ""

    @property
    def code(self) -> str:
        """The first reason for FAIL; empty unless it failed."""
        return next((step.code for step in self.steps if step.outcome in {"fail", "unknown"}), "")

    @property
    def exit_code(self) -> int:
        """0 PASS, 1 PASS WITH DECLARED GAPS, 2 FAIL."""
        return 2 if self.code else int(any(step.outcome == "gaps" for step in self.steps))


def verify(
    file: BinaryIO,
    trusted: Sequence[Certificate] = (),
    head: dict[str, Any] | None = None,
    progress: Callable[[Step], None] = lambda _: None,
    pinned: Sequence[str] = (),
) -> Result:
    """Checks a package.

    Args:
        file: seekable.
        trusted: certificates of those who seal and stamp, or of who certified them.
        head: a signed head of the transparency log that was kept elsewhere.
        progress: told of every step.
        pinned: SHA-256 of keys of devices, hexadecimal, that have to have signed digests.
    """
    result, check = Result(), _Check(file, trusted, head, pinned)
    for name in STEPS:
        try:
            outcome, detail = getattr(check, name)()
            step = Step(name, outcome, "", detail)
        except Failure as failure:
            outcome = "unknown" if failure.code in _NOT_KNOWN else "fail"
            step = Step(name, outcome, failure.code, failure.detail)
        except Exception as error:  # noqa: BLE001
            # Whatever was not foreseen must not come out as another verdict than FAIL.
            code = "unreadable" if isinstance(error, OSError) else "internal"
            step = Step(name, "fail", code, type(error).__name__)
        result.steps.append(step)
        result.package, result.session = check.package, check.session
        progress(step)
        if step.outcome == "fail":
            # What follows would be said about something that is not a package.
            break
    return result


def _expect(holds: object, code: str, detail: object = "") -> None:
    if not holds:
        raise Failure(code, detail)


class _Check:
    """One package under examination; each step returns its outcome and what was found."""

    def __init__(
        self,
        file: BinaryIO,
        trusted: Sequence[Certificate],
        head: dict[str, Any] | None,
        pinned: Sequence[str],
    ) -> None:
        self._file, self._trusted, self._kept, self._pinned = file, trusted, head, pinned
        self.package = self.session = ""
        self._signers: dict[str, Certificate] = {}
        self._strange = 0

    def structure(self) -> tuple[str, str]:
        """The container, the manifest, and every file but the media."""
        box = self._box = Container(self._file)
        self._data = box.read("manifest.json", _MAX_MANIFEST)
        manifest = self._manifest = values.parse(self._data, "manifest.json")
        form = manifest.get("format")
        _expect(form == "witness-evidence/1", "format_unknown", form)
        self.package = values.text(manifest, "package")
        self._sealed_at = _moment(values.text(manifest, "sealed_at"))
        self._stamped = manifest.get("timestamp")
        _expect(type(self._stamped) is bool, "form", "timestamp")
        self._files = {values.text(one, "path"): one for one in values.items(manifest, "files")}
        stamp = ["tsa/manifest.sig.tsr"] if self._stamped else []
        order = [*self._files, "manifest.json", "manifest.sig.json", *stamp, "proofs/log.json"]
        odd = set(order) ^ set(box.entries)
        _expect(order == list(box.entries), "files", min(odd, default="order"))
        for name, one in self._files.items():
            _expect(values.number(one, "bytes") == box.entries[name].size, "file_changed", name)
            if not _is_media(name):
                self._hash(name)
        own = values.parse(box.read("session.json", _MAX_SMALL), "session.json")
        told = values.mapping(manifest, "session")
        self.session = values.text(own, "session")
        names = ("session", "room", "started_at")
        _expect(all(own.get(name) == told.get(name) for name in names), "session")
        return "pass", f"{len(order)} files"

    def signatures(self) -> tuple[str, str]:
        """Who sealed it."""
        self._signed = self._box.read("manifest.sig.json", _MAX_SMALL)
        document = values.parse(self._signed, "manifest.sig.json")
        entries, chains, named = values.items(document, "signatures"), [], []
        for entry in entries:
            encoded = values.items(entry, "chain", str)
            _expect(0 < len(encoded) <= 8, "form", "chain")
            chains.append([Certificate(values.base64_bytes(item)) for item in encoded])
            sha256 = chains[-1][0].sha256
            named.append({"alg": entry.get("alg"), "certificate_sha256": sha256})
        wanted = values.items(self._manifest, "signers")
        algorithms = [one["alg"] for one in named]
        _expect(named == wanted and algorithms == list(_ALGORITHMS), "signers")
        known = True
        for name, chain in zip(algorithms, chains):
            self._signers[name] = chain[0]
            _expect(not chain[0].stamps_time(), "certificate", "is one for time-stamps only")
            known = check_path(chain, self._trusted, self._sealed_at) and known
        self._check_signatures(self._data, entries, "signature")
        _expect(known, "signer_unknown")
        return "pass", " + ".join(_ALGORITHMS)

    def timestamp(self) -> tuple[str, str]:
        """When it was sealed, by a third party's clock."""
        if not self._stamped:
            return "absent", ""
        self._stamp = self._box.read("tsa/manifest.sig.tsr", _MAX_SMALL)
        stated, known = check_stamp(self._stamp, self._signed, self._trusted)
        told = f"{stated:%Y-%m-%d %H:%M:%S}"
        near = self._sealed_at - _CLOCKS <= stated <= self._sealed_at + _SEALING
        _expect(near, "timestamp_time", told)
        _expect(known, "timestamp_unknown")
        return "pass", f"{told} UTC"

    def events(self) -> tuple[str, str]:
        """The chain of events, from the session file to the head in the manifest."""
        genesis = values.digests(self._files["session.json"])
        story = self._story = Story(genesis, self.session)
        story.read(self._box.lines("events.jsonl", MAX_LINE))
        told = values.mapping(self._manifest, "events")
        head = values.digests(values.mapping(told, "head"))
        _expect((values.number(told, "count"), head) == (story.count, story.head), "chain_head")
        if story.last_time:
            late = _moment(story.last_time) > self._sealed_at + _CLOCKS
            _expect(not late, "event_time", story.last_time)
        _expect(story.from_us >= 0 and story.stopped, "recording")
        checked = story.devices.checked
        more = f", {checked} signatures of devices" if checked else ""
        return "pass", f"{story.count} events{more}"

    def media(self) -> tuple[str, str]:
        """Every file of media: as the log, the index and the Merkle roots say, of its time."""
        seen, size = set(), 0
        tracks = values.items(self._manifest, "tracks")
        names = [one.get("track") for one in tracks]
        _expect(names == sorted(self._story.tracks), "chunk", "tracks")
        for told in tracks:
            name = values.text(told, "track")
            track = self._story.tracks[name]
            roots, files, segments = Roots(), iter(track.files), []
            said = {one.ssrc for one in self._story.devices.tracks.get(name, {}).values()}
            index = f"chunks/{name}.jsonl"
            for number, line in enumerate(self._box.lines(index, MAX_LINE), 1):
                chunk, file = values.parse(line, index), next(files, None)
                expected = None if file is None else _line(number, *file)
                _expect(chunk == expected, "chunk", f"{index}: {number}")
                listed = self._files.get(chunk["file"], {})
                same = all(listed.get(key) == chunk[key] for key in ("bytes", "sha256", "sm3"))
                _expect(same, "chunk", chunk["file"])
                self._hash(chunk["file"])
                seen.add(chunk["file"])
                size += chunk["bytes"]
                roots.add(line)
                if "segment" in chunk and not self._is_encrypted(chunk["file"]):
                    blocks = self._box.blocks(chunk["file"])
                    segments.append(held(chunk["file"], blocks, chunk, said))
            _expect(next(files, None) is None, "chunk", f"{index}: a file is missing")
            self._strange += sum(one.strange for one in segments)
            check_times(segments, track.captured, [*track.declared, *self._story.pauses])
            _expect(values.digests(values.mapping(told, "merkle")) == roots.hex(), "merkle", name)
        extra = {name for name in self._files if _is_media(name)} - seen
        _expect(not extra, "files", min(extra, default=""))
        return "pass", f"{len(seen)} files, {size} bytes"

    def client(self) -> tuple[str, str]:
        """What the participants' devices said they sent, against what is here."""
        devices = self._story.devices
        missing = set(self._pinned) - devices.keys
        _expect(not missing, "device_unknown", min(missing, default=""))
        if not devices.count:
            return "absent", ""
        ends = devices.close()
        counts = [self._compare(track) for track in devices.tracks]
        compared, hidden = sum(one for one, _ in counts), sum(one for _, one in counts)
        told = ", ".join(f"{count} {end}" for end, count in ends.items())
        told += f"; {compared} compared" + (f", {hidden} encrypted" if hidden else "")
        people = [
            f"{actor[:40]!a} {part} of {all_}" for actor, (part, all_) in devices.signed.items()
        ]
        told += f"; {devices.late} said late" if devices.late else ""
        told += f"; signed: {', '.join(people[:_MAX_TOLD])}" + ", …" * (len(people) > _MAX_TOLD)
        strange, told = self._strange, f"{devices.count} chunks: {told}"
        told += f"; {strange} packets of streams no device spoke of" if strange else ""
        return "encrypted" if hidden else "unsaid" if strange else "pass", told

    def _compare(self, track: str) -> tuple[int, int]:
        """Makes digests of a track again: of sound, and of chunks that were uploaded whole.

        What is encrypted can't be: only that its files are those of then was checked.

        Returns:
            How many were compared, and how many of those could not be.
        """
        found = self._story.tracks.get(track)
        files = [name for kind, name, _ in found.files if kind == "segment.closed"] if found else []
        there = [one for one in self._story.devices.tracks[track].values() if one.end in _THERE]
        mine = [one for one in there if one.codec == "opus" or one.uploaded == one.frames]
        hidden = {one for one in there if self._is_encrypted(one.file)}
        comparison = Comparison((one for one in mine if one not in hidden), self._uploaded)
        heard = any(one.codec == "opus" for one in mine)
        captured = [name for name in files if heard and not self._is_encrypted(name)]
        for name in captured:
            for _, packet in packets(self._box.blocks(name)):
                comparison.packet(packet or b"")
        elsewhere = hidden.union(mine)
        for one in there:
            # In part, of pictures: their packets are not put together, but the file has its form.
            for _ in self._uploaded(one) if one.file and one not in elsewhere else ():
                pass
        left = comparison.close(is_whole=not heard or len(captured) == len(files))
        return comparison.compared, left + sum(one in hidden for one in mine)

    def _uploaded(self, chunk: Chunk) -> Iterator[tuple[int, bytes]]:
        return uploaded_frames(self._box.read(chunk.file, MAX_UPLOAD), chunk)

    def _is_encrypted(self, name: str) -> bool:
        """Whether a file is what its name says: else it is read as if it were not encrypted."""
        return name.endswith(".enc") and next(self._box.blocks(name), b"").startswith(_ENCRYPTED)

    def timeline(self) -> tuple[str, str]:
        """Media, uploads and declared gaps cover the recording."""
        story = self._story
        accounts = [
            {"track": name, **track.account(story.from_us, story.to_us, story.pauses)}
            for name, track in sorted(story.tracks.items())
        ]
        pauses = [list(pause) for pause in story.pauses]
        expected = {"format": "witness-gaps/2", "pauses": pauses, "tracks": accounts}
        outages = [list(outage) for outage in story.outages]
        written = self._box.read("gaps.json", _MAX_GAPS)
        # Who sealed before outages were told of did not write them down; the log has them.
        more = {"outages": outages} if outages else {}
        told = {values.canonical({**expected, **one}) for one in ({}, more)}
        _expect(written in told, "gaps")
        span = {"from_us": story.from_us, "to_us": story.to_us}
        _expect(self._manifest.get("timeline") == span, "gaps")
        gaps = [gap for one in accounts for gap in one["gaps"]]
        filled = sum(0 < gap["filled_us"] == gap["to_us"] - gap["from_us"] for gap in gaps)
        names = ("expected_us", "captured_us", "filled_us", "missing_us")
        total, live, later, missing = (sum(one[name] for one in accounts) for name in names)
        detail = f"{100 * live / total:.3f} % live" if total else "0 us"
        detail += f", {100 * later / total:.3f} % uploaded" if later else ""
        detail += f"; {len(gaps)} gaps, {filled} filled" if gaps else ""
        out = sum(high - low for low, high in story.outages)
        detail += f"; out of service {len(outages)} times, {out} us" if outages else ""
        detail += f"; events were lost {len(story.lost)} times" if story.lost else ""
        whole = len(gaps) == filled and not (missing or pauses or outages or story.lost)
        return "pass" if whole else "gaps", detail

    def attempts(self) -> tuple[str, str]:
        """Superseded attempts are all there; the events' step has counted them."""
        story = self._story
        return "pass", f"{sum(story.attempts.values())}, superseded: {story.superseded}"

    def documents(self) -> tuple[str, str]:
        """Flow, policy, consents, checks: there, or said not to be; as the log has them."""
        told, there = values.mapping(self._manifest, "documents"), []
        for file in _DOCUMENTS:
            present, logged = self._files.get(file), self._story.documents.get(file)
            stated = told.get(file.partition(".")[0])
            _expect(stated == (file if present else "unknown"), "files", file)
            _expect(logged in {None, present and values.digests(present)}, "files", file)
            there += [file] if present else []
        if self._story.consents:
            # Every consent and withdrawal of the log is in it, and nothing else.
            listed = list(self._story.consents.values())
            told = {"format": "witness-consents/1", "texts": self._story.asked, "consents": listed}
            present = self._files.get("consents.json")
            same = present and values.digests(present) == _digests_of(told)
            _expect(same, "files", "consents.json")
        return "pass" if there else "absent", ", ".join(there)

    def tracks(self) -> tuple[str, str]:
        """Who sent them: as the log said when they were opened."""
        tracks, count = values.items(self._manifest, "tracks"), 0
        for told in tracks:
            name = values.text(told, "track")
            if name in self._story.described:
                about, who = self._story.described[name]
                file = f"media/{name}/track.json"
                present = self._files.get(file)
                _expect(present and values.digests(present) == about, "track", name)
                own = values.parse(self._box.read(file, _MAX_MANIFEST), file)
                _expect(all(own.get(key) == said for key, said in who.items()), "track", name)
                same = all(told.get(key) == own.get(key, "unknown") for key in _OF_TRACK)
                _expect(same, "track", name)
                count += 1
        outcome = "pass" if count == len(tracks) else "absent"
        return outcome, f"{count} of {len(tracks)} described in the log"

    def log(self) -> tuple[str, str]:
        """It stands in the transparency log, which only ever grew."""
        proof = values.parse(self._box.read("proofs/log.json", _MAX_SMALL), "proofs/log.json")
        sound = proof.get("format") == "witness-log-proof/1" and proof.keys() == _PROOF
        _expect(sound, "form", "proofs/log.json")
        leaf = {
            "package": self.package,
            "session": self.session,
            "manifest": _pair(self._data),
            "signatures": _pair(self._signed),
            "timestamp": _pair(self._stamp) if self._stamped else None,
        }
        head, anchor = values.mapping(proof, "head"), proof.get("anchor")
        size, root = self._check_head(head)
        index, path = values.number(proof, "index"), _hashes(proof, "inclusion")
        _expect(proof.get("leaf") == leaf and index == size - 1, "inclusion", "leaf")
        _expect(_moment(values.text(head, "time")) == self._sealed_at, "inclusion", "time")
        _expect(included(values.canonical(leaf), index, size, path, root), "inclusion")
        grown = _hashes(proof, "consistency")
        if anchor is None:
            sound = index == 0 and not grown
        else:
            old = values.mapping(proof, "anchor")
            before = self._check_head(old)
            sound = before[0] <= index and consistent(before, (size, root), grown)
            sound = sound and _moment(values.text(old, "time")) <= self._sealed_at + _CLOCKS
        _expect(sound, "consistency")
        self._head, self._anchor = (size, root), anchor
        return "pass", f"entry {index + 1}"

    def head(self) -> tuple[str, str]:
        """The log against a head that somebody else kept."""
        if self._kept is None:
            return "absent", ""
        kept = self._check_head(values.mapping(self._kept, "head"))
        path, size, anchor = _hashes(self._kept, "consistency"), self._head[0], self._anchor
        if kept[0] == size:
            sound = kept == self._head
        elif anchor is not None and kept[0] == values.number(anchor, "size"):
            sound = kept[1].hex() == anchor["root"]
        else:
            later = kept[0] > size and values.number(self._kept, "from") == size
            _expect(later, "head_unproven", f"{kept[0]} / {size}")
            sound = consistent(self._head, kept, path)
        _expect(sound, "head")
        return "pass", f"{kept[0]}"

    def _hash(self, name: str) -> None:
        digest = Digests()
        for block in self._box.blocks(name):
            digest.update(block)
        _expect(digest.hex() == values.digests(self._files[name]), "file_changed", name)

    def _check_head(self, head: dict[str, Any]) -> tuple[int, bytes]:
        body = {key: head.get(key) for key in ("root", "size", "time")}
        entries = values.items(head, "signatures")
        sound = [one.get("alg") for one in entries] == list(_ALGORITHMS) and len(head) == 4
        _expect(sound, "form", "head")
        self._check_signatures(values.canonical(body), entries, "consistency")
        return values.number(head, "size"), _hash_value(values.text(head, "root"))

    def _check_signatures(self, data: bytes, entries: list[dict[str, Any]], code: str) -> None:
        for entry in entries:
            name, signature = values.text(entry, "alg"), values.base64_bytes(entry.get("signature"))
            key = self._signers[name].key
            _expect(signed_ok(key, _ALGORITHMS[name], signature, data), code, name)


def _is_media(name: str) -> bool:
    return name.startswith("media/") and not name.endswith("/track.json")


def _line(number: int, kind: str, file: str, told: dict[str, Any]) -> dict[str, Any]:
    """The line of the index that the event of a file asks for."""
    names = (*_OWN[kind], "bytes", "from_us", "to_us", "sha256", "sm3")
    own = {key: told.get(key) for key in names}
    return {**own, "seq": number, "file": file, "source": told.get("source", "live")}


def _digests_of(value: dict[str, Any]) -> tuple[str, str]:
    return Digests(values.canonical(value)).hex()


def _pair(data: bytes) -> dict[str, str]:
    return dict(zip(("sha256", "sm3"), Digests(data).hex()))


def _moment(text: str) -> datetime:
    """RFC 3339, UTC, ms."""
    form = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    try:
        _expect(re.fullmatch(form, text, re.ASCII), "form", text)
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")
    except ValueError:
        raise Failure("form", text) from None


def _hash_value(text: str) -> bytes:
    _expect(re.fullmatch(r"[0-9a-f]{64}", text), "form", "digest")
    return bytes.fromhex(text)


def _hashes(value: dict[str, Any], key: str) -> list[bytes]:
    found = values.items(value, key, str)
    _expect(len(found) <= 128, "form", key)
    return [_hash_value(item) for item in found]
