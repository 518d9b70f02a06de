"""Ways to tamper with a package, chosen by a seed."""

import base64
import json
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile

from recorder.canonical import canonical
from recorder.digests import digests_of
from recorder.log import EventLog, read_events
from recorder.merkle import MerkleRoot
from recorder.package import PackageWriter
from recorder.session_file import read_session
from tests.recorder.capture_files import datagram
from tests.recorder.evidence import Office

Files = dict[str, bytes]


@dataclass(frozen=True)
class Stage:
    """What tampering has to do with.

    Attributes:
        packages: of the office, all different.
        others: of somebody else's office, with the same names and shapes.
    """

    office: Office
    packages: list[Path]
    others: list[Path]


def unpacked(path: Path) -> Files:
    with ZipFile(path) as box:
        return {name: box.read(name) for name in box.namelist()}


def packed(files: Files) -> bytes:
    """A container of the right form, whatever is in it."""
    out = BytesIO()
    writer = PackageWriter(out)
    for name, data in files.items():
        writer.add(name, [data])
    writer.finish()
    return out.getvalue()


def listed_anew(files: Files) -> Files:
    """The manifest lists what is there, as a tamperer without keys would see to."""
    manifest = json.loads(files["manifest.json"])
    manifest["files"] = [
        {"path": name, "bytes": len(data), **digests_of(data).to_json()}
        for name, data in files.items()
        if name
        not in {"manifest.json", "manifest.sig.json", "tsa/manifest.sig.tsr", "proofs/log.json"}
    ]
    for track in manifest["tracks"]:
        roots = MerkleRoot()
        lines = files.get(f"chunks/{track['track']}.jsonl", b"").splitlines()
        for line in lines:
            roots.add(line)
        track["merkle"], track["chunks"] = roots.roots(), len(lines)
    events = files.get("events.jsonl", b"").splitlines()
    if events:
        manifest["events"] = {"count": len(events), "head": json.loads(events[-1])["digest"]}
    return {**files, "manifest.json": canonical(manifest)}


def chained_anew(files: Files, events: list[dict[str, Any]]) -> Files:
    """The log with every digest made again."""
    prev, lines = digests_of(files["session.json"]), []
    for seq, event in enumerate(events, 1):
        body = {key: value for key, value in event.items() if key != "digest"}
        body |= {"seq": seq, "prev": prev.to_json()}
        prev = digests_of(canonical(body))
        lines.append(canonical({**body, "digest": prev.to_json()}) + b"\n")
    return {**files, "events.jsonl": b"".join(lines)}


def signed_by(office: Office, files: Files) -> Files:
    """The manifest signed by whoever holds these keys."""
    signatures = office.keys.sign(files["manifest.json"], chains=True)
    document = {"format": "witness-signatures/1", "signatures": signatures}
    return {**files, "manifest.sig.json": canonical(document)}


def bit_flip(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def raw(rng: random.Random, stage: Stage) -> bytes:
    """The file itself: flips, cuts, insertions, exchanged blocks."""
    data = rng.choice(stage.packages).read_bytes()
    at, size = rng.randrange(len(data)), rng.randrange(1, 400)
    match rng.randrange(8):
        case 0 | 1 | 2:
            return bit_flip(rng, data)
        case 3:
            return data[:at]
        case 4:
            return data[at + 1 :]
        case 5:
            return data[:at] + rng.randbytes(size) + data[at:]
        case 6:
            return data[:at] + data[at + size :]
        case _:
            return data + rng.choice((b"\x00", data, data[-98:], rng.randbytes(size)))


def contents(rng: random.Random, stage: Stage) -> bytes:
    """One file of the package, in a container that is in order."""
    files = unpacked(rng.choice(stage.packages))
    name = rng.choice(list(files))
    match rng.randrange(6):
        case 0 | 1 | 2:
            files[name] = bit_flip(rng, files[name])
        case 3:
            files[name] = files[name][: rng.randrange(len(files[name]))]
        case 4:
            del files[name]
        case _:
            files[f"{name}.more"] = rng.randbytes(40)
    if rng.random() < 0.5 and "manifest.json" in files and name != "manifest.json":
        with suppress(ValueError):
            files = listed_anew(files)
    return packed(files)


def segments(rng: random.Random, stage: Stage) -> bytes:
    """Media exchanged, removed, inserted, or of another session; the manifest fitted to it."""
    path, other = rng.sample(stage.packages, 2)
    files = unpacked(path)
    media = [name for name in files if name.endswith((".pcapng", ".frames"))]
    first, second = rng.sample(media, 2)
    match rng.randrange(4):
        case 0:
            files[first], files[second] = files[second], files[first]
        case 1:
            del files[first]
        case 2:
            files = {"media/t0/000099.pcapng": files[first], **files}
        case _:
            theirs = unpacked(other)
            files[first] = rng.choice([theirs[n] for n in theirs if n.endswith(".pcapng")])
    return packed(listed_anew(files) if rng.random() < 0.8 else files)


def indexes(rng: random.Random, stage: Stage) -> bytes:
    """Lines of the index of a track; everything that needs no key fitted to it."""
    files = unpacked(rng.choice(stage.packages))
    name = rng.choice([name for name in files if name.startswith("chunks/")])
    lines = files[name].splitlines(keepends=True)
    at = rng.randrange(len(lines))
    match rng.randrange(3):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[at])
        case _:
            chunk = json.loads(lines[at])
            chunk[rng.choice(["from_us", "to_us", "packets", "seq"])] += 1
            lines[at] = canonical(chunk) + b"\n"
    files[name] = b"".join(lines)
    return packed(listed_anew(files))


def events(rng: random.Random, stage: Stage) -> bytes:
    """The event log edited; chain and manifest made again, which needs no key."""
    files = unpacked(rng.choice(stage.packages))
    log = [json.loads(line) for line in files["events.jsonl"].splitlines()]
    at = rng.randrange(len(log))
    match rng.randrange(6):
        case 0:
            del log[at]
        case 1:
            log[at]["at_us"] += rng.randrange(1, 10**6)
        case 2:
            log[at]["ts_server"] = "2020-01-01T00:00:00.000Z"
        case 3:
            other = (at + 1) % len(log)
            log[at], log[other] = log[other], log[at]
        case 4:
            log.insert(at, {**log[at], "type": "mark", "payload": {"label": "forged"}})
        case _:
            log = log[: at + 1] if at + 1 < len(log) else log[:-1]
    if rng.random() < 0.7:
        files = chained_anew(files, log)
    else:
        files["events.jsonl"] = b"".join(canonical(event) + b"\n" for event in log)
    return packed(listed_anew(files) if rng.random() < 0.8 else files)


def signatures(rng: random.Random, stage: Stage) -> bytes:
    """Signatures, certificates and proofs replaced by those of others."""
    path, other = rng.sample(stage.packages, 2)
    files = unpacked(path)
    theirs = unpacked(rng.choice([other, rng.choice(stage.others)]))
    document = json.loads(files["manifest.sig.json"])
    entry = rng.choice(document["signatures"])
    match rng.randrange(6):
        case 0:
            files["manifest.sig.json"] = theirs["manifest.sig.json"]
        case 1:
            name = rng.choice(["proofs/log.json", "tsa/manifest.sig.tsr"])
            files[name] = theirs[name]
        case 2:
            document["signatures"].remove(entry)
            files["manifest.sig.json"] = canonical(document)
        case 3:
            signature = bit_flip(rng, base64.b64decode(entry["signature"]))
            entry["signature"] = base64.b64encode(signature).decode()
            files["manifest.sig.json"] = canonical(document)
        case 4:
            document["signatures"].reverse()
            files["manifest.sig.json"] = canonical(document)
        case _:
            # Signed once more by the right keys, as nobody but the sealer could: the time-stamp
            # and the log know the signatures that were there first.
            manifest = json.loads(files["manifest.json"])
            manifest["software"] = "witness/9"
            files["manifest.json"] = canonical(manifest)
            files = signed_by(stage.office, files)
    return packed(files)


def strangers(rng: random.Random, stage: Stage) -> bytes:
    """Whole in itself, but sealed by somebody else; or ours, signed by somebody else."""
    if rng.random() < 0.5:
        return rng.choice(stage.others).read_bytes()
    files = unpacked(rng.choice(stage.packages))
    return packed(signed_by(Office.opened(stage.others[0].parent), files))


def back_dated(rng: random.Random, stage: Stage) -> bytes:
    """Sealed anew by the sealer itself with an earlier time: what insiders would try."""
    files = unpacked(rng.choice(stage.packages))
    manifest = json.loads(files["manifest.json"])
    if rng.random() < 0.5:
        manifest["sealed_at"] = f"2026-0{rng.randrange(1, 9)}-01T00:00:00.000Z"
    else:
        sealed_at = datetime.fromisoformat(manifest["sealed_at"])
        earlier = sealed_at - timedelta(seconds=rng.randrange(1, 200))
        manifest["sealed_at"] = f"{earlier:%Y-%m-%dT%H:%M:%S}.000Z"
    if rng.random() < 0.5:
        manifest["timestamp"] = False
        files.pop("tsa/manifest.sig.tsr")
    files["manifest.json"] = canonical(manifest)
    return packed(signed_by(stage.office, files))


def fields(rng: random.Random, stage: Stage) -> bytes:
    """One value somewhere in a document that no manifest lists."""
    files = unpacked(rng.choice(stage.packages))
    name = rng.choice(["manifest.json", "manifest.sig.json", "proofs/log.json"])
    document = json.loads(files[name])
    holder: Any = document
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = rng.choice(keys)
        value = holder[key]
        if not isinstance(value, (dict, list)) or not value or rng.random() < 0.2:
            break
        holder = value
    match value:
        case bool():
            holder[key] = not value
        case int():
            holder[key] = value + rng.choice((-1, 1))
        case str() if value:
            at = rng.randrange(len(value))
            holder[key] = value[:at] + ("0" if value[at] != "0" else "1") + value[at + 1 :]
        case _:
            if isinstance(holder, dict):
                holder[f"{key}x"] = holder.pop(key)
            else:
                del holder[key]
    return packed({**files, name: canonical(document)})


def claims(rng: random.Random, stage: Stage) -> bytes:
    """A recorder that says other things than it wrote, sealed by the right keys."""
    path = rng.choice(stage.packages)
    with TemporaryDirectory() as root:
        place = Path(root) / path.stem
        shutil.copytree(path.with_suffix(""), place)
        log = list(read_events(place, read_session(place)))
        log = log[: next(n for n, one in enumerate(log, 1) if one.type == "recording.stopped")]
        told = [one.payload for one in log if one.type == "segment.closed"]
        payload = rng.choice(told)
        file = place / payload["file"]
        match rng.randrange(3):
            case 0:
                payload["packets"] += rng.choice((-1, 1, 100))
            case 1:
                other = rng.choice([one for one in told if one["from_us"] != payload["from_us"]])
                file.write_bytes((place / other["file"]).read_bytes())
                payload |= {key: other[key] for key in ("bytes", "packets", "sha256", "sm3")}
            case _:
                late = datagram(payload["to_us"] + rng.randrange(1, 10**9), 5_004, b"later")
                file.write_bytes(file.read_bytes() + late)
                made = digests_of(file.read_bytes()).to_json()
                payload |= {"packets": payload["packets"] + 1, **made}
                payload["bytes"] += len(late)
        (place / "events.jsonl").unlink()
        with EventLog.open(place) as anew:
            for one in log:
                anew.append(one.type, one.payload, actor=one.actor, at=one.at_us)
        return stage.office.seal(place, Path(root) / "forged.zip", honest=False).path.read_bytes()


KINDS: list[Callable[[random.Random, Stage], bytes]] = [
    raw,
    contents,
    segments,
    indexes,
    events,
    signatures,
    strangers,
    back_dated,
    fields,
    claims,
]


def tampered(seed: int, stage: Stage) -> tuple[str, bytes]:
    """One mutation: its name and the file."""
    rng = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    return kind.__name__, kind(rng, stage)
