"""The checks of a package, in their order; what each says is a :class:`Step`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, Final

from witness_verify import values
from witness_verify.asn1 import ED25519, SM2_SM3, Certificate, check_path, signed_ok
from witness_verify.container import Container
from witness_verify.crypto import Digests
from witness_verify.failure import Failure
from witness_verify.frames import MAX_UPLOAD, Comparison, media_packets, uploaded_frames
from witness_verify.merkle import Roots, consistent, included
from witness_verify.stamp import check_stamp
from witness_verify.story import MAX_LINE, Story

__all__ = ["Result", "Step", "verify"]

_MAX_MANIFEST: Final = 8 << 20
_MAX_SMALL: Final = 1 << 16
_CLOCKS: Final = timedelta(minutes=5)
_SEALING: Final = timedelta(days=1)
_NOT_KNOWN: Final = {"signer_unknown", "timestamp_unknown", "head_unproven"}
_ALGORITHMS: Final = {"Ed25519": ED25519, "SM2-SM3": SM2_SM3}


@dataclass(frozen=True, slots=True)
class Step:
    """One check.

    Attributes:
        outcome: ``pass``; ``fail``; ``unknown``, when it can't be checked with what was given;
            ``absent``, when the package says that it has no such thing; ``gaps``.
        code: why it failed or is unknown.
        detail: where, or what was found.
    """

    name: str
    outcome: str
    code: str = ""
    detail: str = ""


@dataclass(slots=True)
class Result:
    """What was found.

    Attributes:
        exit_code: 0 PASS, 1 PASS WITH DECLARED GAPS, 2 FAIL.
        code: the first reason for FAIL.
    """

    steps: list[Step] = field(default_factory=list)
    package: str = ""
    session: str = ""

    @property
    def code(self) -> str:
        """Empty unless it failed."""
        return next((step.code for step in self.steps if step.outcome in {"fail", "unknown"}), "")

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return 2 if self.code else int(any(step.outcome == "gaps" for step in self.steps))


def verify(
    file: BinaryIO,
    trusted: Sequence[Certificate] = (),
    head: dict[str, Any] | None = None,
    progress: Callable[[Step], None] = lambda _: None,
) -> Result:
    """Checks a package.

    Args:
        file: seekable.
        trusted: certificates of those who seal and stamp, or of who certified them.
        head: a signed head of the transparency log that was kept elsewhere.
        progress: told of every step.
    """
    result, check = Result(), _Check(file, trusted, head)
    for name in ("structure", "signatures", "timestamp", "events", "media", "client", "timeline",
                 "attempts", "documents", "log", "head"):  # fmt: skip
        try:
            step = getattr(check, name)()
        except Failure as failure:
            outcome = "unknown" if failure.code in _NOT_KNOWN else "fail"
            step = Step(name, outcome, failure.code, failure.detail)
        result.steps.append(step)
        result.package, result.session = check.package, check.session
        progress(step)
        if step.outcome == "fail":
            # What follows would be said about something that is not a package.
            break
    return result


class _Check:
    """One package under examination."""

    def __init__(
        self, file: BinaryIO, trusted: Sequence[Certificate], head: dict[str, Any] | None
    ) -> None:
        self._file, self._trusted, self._kept = file, trusted, head
        self.package = self.session = ""
        self._signers: dict[str, Certificate] = {}

    def structure(self) -> Step:
        """The container, the manifest, and every file but the media."""
        self._box = Container(self._file)
        self._data = self._box.read("manifest.json", _MAX_MANIFEST)
        manifest = self._manifest = values.parse(self._data, "manifest.json")
        if manifest.get("format") != "witness-evidence/1":
            raise Failure("format_unknown", manifest.get("format"))
        self.package = values.text(manifest, "package")
        self._sealed_at = _moment(values.text(manifest, "sealed_at"))
        if type(manifest.get("timestamp")) is not bool:
            raise Failure("form", "timestamp")
        self._stamped = manifest["timestamp"]
        self._files = {values.text(one, "path"): one for one in values.items(manifest, "files")}
        order = [*self._files, "manifest.json", "manifest.sig.json"]
        order += ["tsa/manifest.sig.tsr"] * self._stamped + ["proofs/log.json"]
        if order != list(self._box.entries):
            odd = set(order) ^ set(self._box.entries)
            raise Failure("files", min(odd, default="order"))
        for name, one in self._files.items():
            if values.number(one, "bytes") != self._box.entries[name].size:
                raise Failure("file_changed", name)
            if not _is_media(name):
                self._hash(name)
        own = values.parse(self._box.read("session.json", _MAX_SMALL), "session.json")
        told = values.mapping(manifest, "session")
        self.session = values.text(own, "session")
        if any(own.get(key) != told.get(key) for key in ("session", "room", "started_at")):
            raise Failure("session")
        return Step("structure", "pass", detail=f"{len(order)} files")

    def signatures(self) -> Step:
        """Who sealed it."""
        self._signed = self._box.read("manifest.sig.json", _MAX_SMALL)
        document = values.parse(self._signed, "manifest.sig.json")
        entries = values.items(document, "signatures")
        wanted = values.items(self._manifest, "signers")
        known = True
        chains = []
        for entry in entries:
            encoded = entry.get("chain")
            if not isinstance(encoded, list) or not 0 < len(encoded) <= 8:
                raise Failure("form", "chain")
            chains.append([Certificate(values.base64_bytes(item)) for item in encoded])
        named = [{"alg": one.get("alg"), "certificate_sha256": chain[0].sha256}
                 for one, chain in zip(entries, chains, strict=True)]  # fmt: skip
        if named != wanted or [one["alg"] for one in named] != list(_ALGORITHMS):
            raise Failure("signers")
        for entry, chain in zip(entries, chains, strict=True):
            self._signers[values.text(entry, "alg")] = chain[0]
            if chain[0].stamps_time():
                raise Failure("certificate", "is one for time-stamps only")
            known = check_path(chain, self._trusted, self._sealed_at) and known
        self._check_signatures(self._data, entries, "signature")
        if not known:
            raise Failure("signer_unknown")
        return Step("signatures", "pass", detail=" + ".join(_ALGORITHMS))

    def timestamp(self) -> Step:
        """When it was sealed, by a third party's clock."""
        if not self._stamped:
            return Step("timestamp", "absent")
        self._stamp = self._box.read("tsa/manifest.sig.tsr", _MAX_SMALL)
        stated, known = check_stamp(self._stamp, self._signed, self._trusted)
        if not self._sealed_at - _CLOCKS <= stated <= self._sealed_at + _SEALING:
            raise Failure("timestamp_time", f"{stated:%Y-%m-%d %H:%M:%S}")
        if not known:
            raise Failure("timestamp_unknown")
        return Step("timestamp", "pass", detail=f"{stated:%Y-%m-%d %H:%M:%S} UTC")

    def events(self) -> Step:
        """The chain of events, from the session file to the head in the manifest."""
        genesis = values.digests(self._files["session.json"])
        story = self._story = Story(genesis, self.session)
        story.read(self._box.lines("events.jsonl", MAX_LINE))
        told = values.mapping(self._manifest, "events")
        if (values.number(told, "count"), values.digests(told, "head")) != (
            story.count,
            story.head,
        ):
            raise Failure("chain_head")
        if story.last_time and _moment(story.last_time) > self._sealed_at + _CLOCKS:
            raise Failure("event_time", story.last_time)
        if story.from_us < 0 or not story.stopped:
            raise Failure("recording")
        return Step("events", "pass", detail=f"{story.count} events")

    def media(self) -> Step:
        """Every file of media: as the log, the index and the Merkle roots say."""
        seen, size = set(), 0
        tracks = values.items(self._manifest, "tracks")
        if [one.get("track") for one in tracks] != sorted(self._story.tracks):
            raise Failure("chunk", "tracks")
        for told in tracks:
            name = values.text(told, "track")
            roots, files = Roots(), iter(self._story.tracks[name].files)
            index = f"chunks/{name}.jsonl"
            for number, line in enumerate(self._box.lines(index, MAX_LINE), 1):
                chunk, file = values.parse(line, index), next(files, None)
                if file is None or chunk != _chunk(number, *file):
                    raise Failure("chunk", f"{index}: {number}")
                listed = self._files.get(chunk["file"], {})
                same = ("bytes", "sha256", "sm3")
                if any(listed.get(key) != chunk[key] for key in same):
                    raise Failure("chunk", chunk["file"])
                self._hash(chunk["file"])
                seen.add(chunk["file"])
                size += chunk["bytes"]
                roots.add(line)
            if next(files, None) is not None:
                raise Failure("chunk", f"{index}: a file is missing")
            if values.digests(told, "merkle") != roots.hex():
                raise Failure("merkle", name)
        extra = {name for name in self._files if _is_media(name)} - seen
        if extra:
            raise Failure("files", min(extra))
        return Step("media", "pass", detail=f"{len(seen)} files, {size} bytes")

    def client(self) -> Step:
        """What the participants' devices said they sent, against what is here."""
        devices = self._story.devices
        if not devices.count:
            return Step("client", "absent")
        arrived, uploaded, lost, awaited = devices.close()
        compared = sum(self._compare(track) for track in devices.tracks)
        detail = f"{devices.count} chunks: {arrived} arrived, {uploaded} uploaded, {lost} lost"
        detail += f", {awaited} awaited; {compared} compared; {devices.signed} signed"
        return Step("client", "pass", detail=detail)

    def _compare(self, track: str) -> int:
        """Makes digests of a track again: of sound, and of chunks that were uploaded whole.

        What is encrypted can't be: only that its files are those of then was checked.
        """
        found = self._story.tracks.get(track)
        files = [name for kind, name, _ in found.files if kind == "segment.closed"] if found else []
        plain = all(name.endswith(".pcapng") for name in files)
        there = [one for one in self._story.devices.tracks[track].values() if one.end in _THERE]
        there = [one for one in there if not one.file.endswith(".enc")]
        sound = [one for one in there if one.codec == "opus" and plain]
        whole = [one for one in there if one.codec != "opus" and one.uploaded == one.frames]
        comparison = Comparison([*sound, *whole])
        if sound:
            for name in files:
                for packet in media_packets(self._box.blocks(name)):
                    comparison.packet(packet)
        for one in there:
            if one.file:
                data = self._box.read(one.file, MAX_UPLOAD)
                for timestamp, frame in uploaded_frames(data, one):
                    comparison.frame(one.ssrc, timestamp, frame)
        comparison.close()
        return comparison.compared

    def timeline(self) -> Step:
        """Media and declared gaps cover the recording."""
        story, told = self._story, []
        for name, track in sorted(story.tracks.items()):
            account = track.account(story.from_us, story.to_us, story.pauses)
            told.append({"track": name, **account})
        expected_file = {"format": "witness-gaps/2", "tracks": told,
                         "pauses": [list(pause) for pause in story.pauses]}  # fmt: skip
        data = self._box.read("gaps.json", 64 << 20)
        span = {"from_us": story.from_us, "to_us": story.to_us}
        if data != values.canonical(expected_file) or self._manifest.get("timeline") != span:
            raise Failure("gaps")
        gaps = [gap for one in told for gap in one["gaps"]]
        left = sum(not 0 < gap["filled_us"] == gap["to_us"] - gap["from_us"] for gap in gaps)
        sums = {key: sum(one[f"{key}_us"] for one in told) for key in ("captured", "filled")}
        total = sum(one["expected_us"] for one in told)
        detail = f"{100 * sums['captured'] / total:.3f} % live" if total else "0 us"
        detail += f", {100 * sums['filled'] / total:.3f} % uploaded" if sums["filled"] else ""
        detail += f"; {len(gaps)} gaps, {len(gaps) - left} filled" if gaps else ""
        missing = any(one["missing"] for one in told)
        return Step("timeline", "gaps" if left or missing or story.pauses else "pass", "", detail)

    def attempts(self) -> Step:
        """Superseded attempts are all there; the events' step has counted them."""
        detail = f"{sum(self._story.attempts.values())}, superseded: {self._story.superseded}"
        return Step("attempts", "pass", detail=detail)

    def documents(self) -> Step:
        """Flow, policy, consents, checks: there, or said not to be."""
        told = values.mapping(self._manifest, "documents")
        there = []
        for name in ("checks.jsonl", "consents.json", "flow.json", "policy.json"):
            if told.get(name.partition(".")[0]) != (name if name in self._files else "unknown"):
                raise Failure("files", name)
            there += [name] if name in self._files else []
        return Step("documents", "pass" if there else "absent", detail=", ".join(there))

    def log(self) -> Step:
        """It stands in the transparency log, which only ever grew."""
        proof = values.parse(self._box.read("proofs/log.json", _MAX_SMALL), "proofs/log.json")
        if proof.get("format") != "witness-log-proof/1" or proof.keys() != _PROOF:
            raise Failure("form", "proofs/log.json")
        leaf = {
            "package": self.package,
            "session": self.session,
            "manifest": _pair(self._data),
            "signatures": _pair(self._signed),
            "timestamp": _pair(self._stamp) if self._stamped else None,
        }
        head, anchor = values.mapping(proof, "head"), proof.get("anchor")
        size, root = self._check_head(head)
        index = values.number(proof, "index")
        path = _hashes(proof, "inclusion")
        if proof.get("leaf") != leaf or index != size - 1:
            raise Failure("inclusion", "leaf")
        if _moment(values.text(head, "time")) != self._sealed_at:
            raise Failure("inclusion", "time")
        if not included(values.canonical(leaf), index, size, path, root):
            raise Failure("inclusion")
        grown = _hashes(proof, "consistency")
        if anchor is None:
            sound = index == 0 and not grown
        else:
            old = values.mapping(proof, "anchor")
            before = self._check_head(old)
            sound = before[0] <= index and consistent(before, (size, root), grown)
            sound = sound and _moment(values.text(old, "time")) <= self._sealed_at + _CLOCKS
        if not sound:
            raise Failure("consistency")
        self._head, self._anchor = (size, root), anchor
        return Step("log", "pass", detail=f"entry {index + 1}")

    def head(self) -> Step:
        """The log against a head that somebody else kept."""
        if self._kept is None:
            return Step("head", "absent")
        kept = self._check_head(values.mapping(self._kept, "head"))
        path, size = _hashes(self._kept, "consistency"), self._head[0]
        anchor = self._anchor
        if kept[0] == size:
            sound = kept == self._head
        elif anchor is not None and kept[0] == values.number(anchor, "size"):
            sound = kept[1].hex() == anchor["root"]
        elif kept[0] > size and values.number(self._kept, "from") == size:
            sound = consistent(self._head, kept, path)
        else:
            raise Failure("head_unproven", f"{kept[0]} / {size}")
        if not sound:
            raise Failure("head")
        return Step("head", "pass", detail=f"{kept[0]}")

    def _hash(self, name: str) -> None:
        digest = Digests()
        for block in self._box.blocks(name):
            digest.update(block)
        if digest.hex() != values.digests(self._files[name]):
            raise Failure("file_changed", name)

    def _check_head(self, head: dict[str, Any]) -> tuple[int, bytes]:
        body = {key: head.get(key) for key in ("root", "size", "time")}
        entries = values.items(head, "signatures")
        if [one.get("alg") for one in entries] != list(_ALGORITHMS) or len(head) != 4:
            raise Failure("form", "head")
        self._check_signatures(values.canonical(body), entries, "consistency")
        return values.number(head, "size"), _hash_value(values.text(head, "root"))

    def _check_signatures(self, data: bytes, entries: list[dict[str, Any]], code: str) -> None:
        for entry in entries:
            name = values.text(entry, "alg")
            signature = values.base64_bytes(entry.get("signature"))
            key = self._signers[name].key
            if not signed_ok(key, _ALGORITHMS[name], signature, data):
                raise Failure(code, name)


_THERE: Final = {"arrived", "uploaded"}
_PROOF: Final = {"format", "leaf", "index", "inclusion", "head", "anchor", "consistency"}


def _is_media(name: str) -> bool:
    return name.startswith("media/") and not name.endswith("/track.json")


def _chunk(number: int, kind: str, file: str, told: dict[str, Any]) -> dict[str, Any]:
    """The line of the index that the event of a file asks for."""
    own = ("segment", "packets") if kind == "segment.closed" else ("chunk", "frames", "ssrc")
    chunk = {key: told.get(key) for key in (*own, "bytes", "from_us", "to_us", "sha256", "sm3")}
    return {**chunk, "seq": number, "file": file, "source": told.get("source", "live")}


def _pair(data: bytes) -> dict[str, str]:
    return dict(zip(("sha256", "sm3"), Digests(data).hex(), strict=True))


def _moment(text: str) -> datetime:
    try:
        if not re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text, re.ASCII):
            raise ValueError  # noqa: TRY301
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Failure("form", text) from None


def _hash_value(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise Failure("form", "digest")
    return bytes.fromhex(text)


def _hashes(value: dict[str, Any], key: str) -> list[bytes]:
    found = value.get(key)
    if not isinstance(found, list) or len(found) > 128:
        raise Failure("form", key)
    return [_hash_value(str(item)) for item in found]
