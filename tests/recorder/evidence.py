"""Synthetic sessions, keys and packages for the tests of sealing and verifying."""

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from recorder.backfill.form import Frame, digest_of, pack
from recorder.canonical import canonical
from recorder.digests import digests_of
from recorder.keys import KeyRing, init_keys
from recorder.log import EventLog
from recorder.seal import Sealed, SealingOffice, seal
from recorder.session_file import write_session
from recorder.timestamp import LocalAuthority, make_local_authority
from recorder.transparency import TransparencyLog
from tests.recorder.capture_files import datagram, header
from witness_verify import verify
from witness_verify.asn1 import load_pem

S = 1_000_000


def pcapng(rng: random.Random, size: int, span: tuple[int, int]) -> tuple[bytes, int]:
    """A capture file with about ``size`` bytes of packets, and how many they are.

    The first one came at the beginning of the span, the last one less than 2 s before its end.
    """
    sizes = [rng.randrange(1, 300) * 4]
    while sum(sizes) < size:
        sizes.append(rng.randrange(1, 300) * 4)
    low, high = span
    last = max(low, high - rng.randrange(1, 2 * S))
    times = [low, *sorted(rng.randrange(low, last + 1) for _ in sizes[2:]), last][: len(sizes)]
    if len(sizes) == 1 and last - low >= 2 * S:
        sizes, times = [*sizes, 4], [low, last]
    packets = zip(times, sizes, strict=True)
    blocks = [datagram(at_us, 5_004, rng.randbytes(length)) for at_us, length in packets]
    return header() + b"".join(blocks), len(blocks)


@dataclass(frozen=True)
class Office:
    """A server's keys, log and time-stamps in one directory."""

    root: Path
    keys: KeyRing
    log: TransparencyLog
    authority: LocalAuthority
    trust: tuple[Path, ...]

    @classmethod
    def made(cls, root: Path) -> "Office":
        init_keys(root / "keys", name="测试银行 test bank")
        make_local_authority(root / "keys")
        return cls.opened(root)

    @classmethod
    def opened(cls, root: Path) -> "Office":
        keys = KeyRing.load(root / "keys")
        log, authority = TransparencyLog(root / "log", keys), LocalAuthority(root / "keys")
        names = ("seal-ed25519.crt", "seal-sm2.crt", "tsa.crt")
        return cls(root, keys, log, authority, tuple(root / "keys" / name for name in names))

    def people(self, *, stamped: bool = True, honest: bool = True) -> SealingOffice:
        """Who is not ``honest`` seals what verifiers refuse."""
        authority = self.authority if stamped else None
        examine = self.examine if honest else nobody
        return SealingOffice(self.keys, self.log, authority, "witness/test", examine)

    def seal(self, place: Path, out: Path, *, stamped: bool = True, honest: bool = True) -> Sealed:
        people = self.people(stamped=stamped, honest=honest)
        return seal(place, out, people, now_ns=time.time_ns())

    def examine(self, file: BinaryIO) -> tuple[str, str]:
        """The verifier's first refusal."""
        trusted = [one for path in self.trust for one in load_pem(path.read_bytes())]
        steps = [step for step in verify(file, trusted).steps if step.code]
        return (steps[0].name, steps[0].code) if steps else ("", "")


def nobody(_: BinaryIO) -> tuple[str, str]:
    """Examines nothing."""
    return "log", "form"


@dataclass(frozen=True)
class Shape:
    """What a synthetic session is like."""

    tracks: int = 2
    segments: int = 3
    bytes: int = 4_000
    gaps: int = 0
    pause: bool = False
    attempts: int = 2
    documents: bool = False
    uploads: int = 0
    described: bool = True


WHOLE = Shape()


def record(root: Path, name: str, shape: Shape = WHOLE, seed: int = 1) -> Path:
    """Makes the directory of a session whose recording was stopped; returns it."""
    rng = random.Random(seed)
    started_ns = time.time_ns() - 3_600 * 10**9
    write_session(root, session=name, room="sale-1", started_ns=started_ns)
    place = root / name
    end = shape.segments * 10 * S + (5 * S if shape.pause else 0)
    with EventLog.open(place) as log:
        log.append("recording.started", {}, actor="rm", at=0)
        tracks = [f"t{number}" for number in range(shape.tracks)]
        for track in tracks:
            folder = place / "tracks" / track
            folder.mkdir(parents=True)
            about = {"participant": "p-7f", "role": "customer", "kind": "audio", "codec": "opus"}
            (folder / "track.json").write_bytes(canonical(about))
            if shape.described:
                digests = digests_of(canonical(about)).to_json()
                log.append("track.described", {"track": track, **about, "about": digests}, at=0)
            log.append("track.opened", {"track": track}, at=0)
        for number in range(1, shape.attempts + 1):
            payload = {"node": "risk", "attempt": number, "supersedes": number - 1 or None}
            log.append("attempt.started", payload, actor="rm", at=number * S)
            ended = {"node": "risk", "attempt": number, "reason": "re_record"}
            log.append("attempt.ended", ended, actor="rm", at=number * S + 1)
        at = 0
        for segment in range(1, shape.segments + 1):
            for track in tracks:
                close_segment(log, place, track, segment, (at, at + 10 * S), rng, shape.bytes)
            at += 10 * S
            if shape.pause and segment == 1:
                log.append("recording.paused", {}, actor="rm", at=at)
                at += 5 * S
                log.append("recording.resumed", {}, actor="rm", at=at)
        upload(log, place, rng, shape.uploads)
        for number in range(shape.gaps):
            start = rng.randrange(0, end - S)
            payload = {
                "track": rng.choice(tracks),
                "from_us": start,
                "to_us": start + rng.randrange(1, S),
                "cause": "network",
                "packets": number + 1,
            }
            log.append("gap.declared", payload, at=end)
        for track in tracks:
            log.append("track.closed", {"track": track}, at=end)
        if shape.documents:
            consents(log)
        log.append("recording.stopped", {}, actor="rm", at=end, durable=True)
    if shape.documents:
        (place / "policy.json").write_bytes(canonical({"id": "cn", "version": 3}))
    return place


def consents(log: EventLog) -> None:
    """One that is held, and one that was withdrawn."""
    text = {"text": "我同意", "sha256": "0a" * 32}
    log.append("consent.asked", {"texts": {"face": {"zh": text, "en": text}}}, at=0)
    for name, permission in (("c-1", "face"), ("c-2", "speech")):
        given = {
            "consent": name,
            "participant": "p-7f",
            "permission": permission,
            "how": "voice",
            "text_sha256": "0a" * 32,
            "given_at": "2026-11-22T04:00:01.000Z",
        }
        log.append("consent.given", given, actor="rm", at=S)
    withdrawn = {
        "consent": "c-2",
        "participant": "p-7f",
        "permission": "speech",
        "withdrawn_at": "2026-11-22T04:00:05.000Z",
    }
    log.append("consent.withdrawn", withdrawn, actor="p-7f", at=2 * S)


def close_segment(
    log: EventLog,
    place: Path,
    track: str,
    segment: int,
    span: tuple[int, int],
    rng: random.Random,
    size: int,
) -> None:
    data, packets = pcapng(rng, size, span)
    path = place / "tracks" / track / f"{segment:06}.pcapng"
    path.write_bytes(data)
    payload = {
        "track": track,
        "segment": segment,
        "file": f"tracks/{track}/{path.name}",
        "bytes": len(data),
        "packets": packets,
        "from_us": span[0],
        "to_us": span[1],
        **digests_of(data).to_json(),
    }
    log.append("segment.closed", payload, at=span[1])


def upload(log: EventLog, place: Path, rng: random.Random, count: int) -> None:
    """Chunks of pictures: one after the other uploaded whole, in part, arrived, or lost."""
    chunks = [
        [Frame(90_000 * number + 30_000 * index, rng.randbytes(rng.randrange(1, 40)))
         for index in range(3)]
        for number in range(count)
    ]  # fmt: skip
    rows = [
        [7, frames[0].timestamp, frames[-1].timestamp, 3, len(pack(frames)), digest_of(frames)]
        for frames in chunks
    ]
    if rows:
        said = {"track": "t0", "codec": "vp8", "from_seq": 5, "late": False, "chunks": rows}
        log.append("digest.batch", said, actor="p-7f", at=S)
    for seq, frames in enumerate(chunks, 5):
        span = {"track": "t0", "from_us": (seq - 5) * S, "to_us": (seq - 4) * S}
        match seq % 4:
            case 0:
                lost = {"cause": "evicted", "packets": 0, "frames": 3}
                log.append("gap.declared", {**span, "chunk": seq, **lost}, at=S)
            case 3:
                log.append("chunk.verified", {**span, "chunks": [seq]}, at=S)
            case rest:
                data = pack(frames[: 3 if rest == 1 else 1])
                path = place / "tracks/t0/backfill" / f"{seq}.frames"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(data)
                payload = {
                    **span,
                    "chunk": seq,
                    "ssrc": 7,
                    "source": "backfill",
                    "file": path.relative_to(place).as_posix(),
                    "frames": 3 if rest == 1 else 1,
                    "bytes": len(data),
                    **digests_of(data).to_json(),
                }
                log.append("chunk.backfilled", payload, actor="p-7f", at=S)
