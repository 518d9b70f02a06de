"""What devices said they sent, against what is in a package."""

import asyncio
import itertools
import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recorder import seal as sealing
from recorder.backfill.chunk import SaidChunk
from recorder.backfill.examine import PCAPNG
from recorder.backfill.service import BackfillService
from recorder.backfill.store import read_stored
from recorder.digests import digests_of
from recorder.envelope import MasterKeys
from recorder.envelope import seal as encrypted
from recorder.errors import SealError
from recorder.log import Event, EventLog, read_events
from recorder.playback.errors import RecordingError
from recorder.playback.opening import open_recording
from recorder.playback.source import CapturedPacket
from recorder.recovery import recover_session
from recorder.seal import seal
from recorder.session_file import read_session, write_session
from tests.recorder.backfill.segments import Sent, send
from tests.recorder.backfill.test_device_key import Device
from tests.recorder.capture_files import capture_file
from tests.recorder.evidence import Office
from tests.witness_verify.tampering import unpacked
from witness_verify import verify
from witness_verify.asn1 import load_pem
from witness_verify.devices import MAX_KEYS, Devices
from witness_verify.failure import Failure
from witness_verify.steps import Result, Step

S = 1_000_000
END_US = 4_500_000
"""Less than 2 s after the last packet: else the recorder declares a gap."""
NOW_NS = 1_790_000_000 * 10**9
Events = list[tuple[str, dict[str, Any], str, int]]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office.made(tmp_path_factory.mktemp("office"))


class Clock:
    """The log of a session whose clock stands where the test puts it."""

    def __init__(self, log: EventLog) -> None:
        self._log, self.at_us = log, 30_000_000

    def append(self, type_: str, payload: dict[str, Any], **more: Any) -> Event:
        return self._log.append(type_, payload, **{"at": self.at_us, **more})

    def now_us(self) -> int:
        return self.at_us

    @property
    def room(self) -> int:
        return 1_000


async def record(
    root: Path,
    sent: Sent,
    *,
    fills: bool = True,
    gaps: bool = False,
    keys: MasterKeys | None = None,
    device: Device | None = None,
) -> Path:
    """A recorded call of one track; what the network took is uploaded after it."""
    write_session(root, session="s1", room="r", started_ns=NOW_NS)
    place = root / "s1"
    folder = place / "tracks/t1"
    folder.mkdir(parents=True)
    data, name = capture_file(sent.items), "000001.pcapng"
    if keys is not None:
        name += ".enc"
        data = encrypted(data, keys.current, f"s1/t1/{name}")
    (folder / name).write_bytes(data)
    service = BackfillService(PCAPNG, executor=ThreadPoolExecutor(1), keys=keys)
    with EventLog.open(place) as log:
        clock = Clock(log)
        service.open("s1", place, clock)
        log.append("recording.started", {}, at=0)
        span = sent.items[0].arrival_us, END_US
        log.append("track.opened", {"track": "t1"}, at=span[0])
        if device is None:
            service.accept("s1", "p1", "t1", sent.codec, sent.chunks, late=False)
        else:
            service.announce_key("s1", *device.announced("p1"))
            for chunk in sent.chunks:
                signed = device.sign("t1", sent.codec, [chunk])
                said = ("s1", "p1", "t1", sent.codec, [chunk])
                service.accept(*said, late=False, signed=signed)
        segment = {
            "track": "t1", "segment": 1, "file": name, "bytes": len(data),
            "packets": len(sent.items), "from_us": span[0], "to_us": span[1],
            **digests_of(data).to_json(),
        }  # fmt: skip
        log.append("segment.closed", segment, at=END_US)
        service.segment_closed("s1", "t1", name, *span)
        gap = {"track": "t1", "from_us": 500_000, "to_us": 1_500_000, "cause": "network"}
        if gaps:
            log.append("gap.declared", {**gap, "packets": 20}, at=END_US)
        log.append("track.closed", {"track": "t1"}, at=END_US)
        log.append("recording.stopped", {}, at=END_US)
        service.ended("s1")
        clock.at_us += 60_000_000
        await service.tick()
        for track, seq, have in service.wanted("s1", "p1", 100)[0] if fills else ():
            await service.put("s1", "p1", track, seq, sent.missing(seq, have))
    service.close()
    return place


def logged(place: Path) -> Events:
    events = read_events(place, read_session(place))
    return [(event.type, event.payload, event.actor, event.at_us) for event in events]


def log_again(place: Path, events: Events) -> None:
    """What whoever has the server could do: all of the log made anew."""
    (place / "events.jsonl").unlink()
    with EventLog.open(place) as log:
        for type_, payload, actor, at_us in events:
            log.append(type_, payload, actor=actor, at=at_us)


def sealed(office: Office, place: Path, *, unsettled: bool = False) -> tuple[int, Step, Path]:
    """Exit code and the devices' step of the package."""
    out = place.parent / "s1.zip"
    people = office.people(stamped=False, honest=False)
    made = seal(place, out, people, now_ns=time.time_ns(), unsettled=unsettled)
    trusted = [one for path in office.trust for one in load_pem(path.read_bytes())]
    with made.path.open("rb") as file:
        result = verify(file, trusted)
    step = next((one for one in result.steps if one.name == "client"), result.steps[-1])
    return result.exit_code, step, out


@pytest.mark.parametrize(("codec", "compared"), [("opus", 3), ("vp8", 0)])
async def test_uploaded_frames_are_sealed_and_held_against_digests(
    office: Office, tmp_path: Path, codec: str, compared: int
) -> None:
    place = await record(tmp_path, send(codec, seconds=3, loss=0.5))
    code, step, out = sealed(office, place)
    assert (code, step.outcome) == (0, "pass"), step
    assert step.detail == (
        f"3 chunks: 0 arrived, 3 uploaded, 0 lost, 0 awaited; {compared} compared;"
        " signed: 'p1' 0 of 3"
    )
    files = unpacked(out)
    index = [json.loads(line) for line in files["chunks/t1.jsonl"].splitlines()]
    assert [line["source"] for line in index] == ["live", "backfill", "backfill", "backfill"]
    for line in index[1:]:
        kept = place / "tracks/t1/backfill" / Path(line["file"]).name
        assert files[line["file"]] == kept.read_bytes()
        assert line["frames"] > 0
    (track,) = json.loads(files["manifest.json"])["tracks"]
    assert (track["chunks"], track["backfilled"]) == (4, 3)


async def test_a_gap_that_uploads_filled_is_told_and_passes(office: Office, tmp_path: Path) -> None:
    place = await record(tmp_path, send("opus", seconds=3, loss=0.5), gaps=True)
    code, step, out = sealed(office, place)
    assert (code, step.outcome) == (0, "pass")
    files = unpacked(out)
    (track,) = json.loads(files["gaps.json"])["tracks"]
    assert (track["filled_us"], track["missing_us"], track["missing"]) == (1_000_000, 0, [])
    (gap,) = track["gaps"]
    assert (gap["cause"], gap["filled_us"]) == ("network", 1_000_000)
    assert "100.00 %" in files["report.html"].decode()
    with out.open("rb") as file:
        steps = {one.name: one.detail for one in verify(file).steps}
    later = 100 * S / track["expected_us"]
    told = f"{100 - later:.3f} % live, {later:.3f} % uploaded; 1 gaps, 1 filled"
    assert steps["timeline"] == told


async def test_all_that_arrived_is_compared_with_the_digests(
    office: Office, tmp_path: Path
) -> None:
    place = await record(tmp_path, send("opus", seconds=3, loss=0))
    code, step, _ = sealed(office, place)
    assert code == 0
    assert (
        step.detail
        == "3 chunks: 3 arrived, 0 uploaded, 0 lost, 0 awaited; 3 compared; signed: 'p1' 0 of 3"
    )


async def test_pictures_that_were_uploaded_whole_are_compared(
    office: Office, tmp_path: Path
) -> None:
    sent = send("vp8", seconds=3, loss=0)
    live = {frame.timestamp for frame in sent.bodies[1002]}
    items = [one for one in sent.items if int.from_bytes(one.data[4:8], "big") in live]
    place = await record(tmp_path, replace(sent, items=items))
    code, step, _ = sealed(office, place)
    told = "3 chunks: 1 arrived, 2 uploaded, 0 lost, 0 awaited; 2 compared; signed: 'p1' 0 of 3"
    assert (code, step.detail) == (0, told)


async def test_a_session_that_waits_for_uploads_is_sealed_only_when_asked_to(
    office: Office, tmp_path: Path
) -> None:
    place = await record(tmp_path, send("opus", seconds=3, loss=0.5), fills=False)
    with pytest.raises(SealError, match="waits for 3 chunks"):
        sealed(office, place)
    assert not [one for one in logged(place) if one[0] == "gap.declared"]
    code, step, out = sealed(office, place, unsettled=True)
    assert code == 1
    assert (
        step.detail
        == "3 chunks: 0 arrived, 0 uploaded, 0 lost, 3 awaited; 0 compared; signed: 'p1' 0 of 3"
    )
    gaps = [payload for type_, payload, *_ in logged(place) if type_ == "gap.declared"]
    assert [(gap["cause"], len(gap["chunks"])) for gap in gaps] == [("pending", 3)]
    out.unlink()
    assert sealed(office, place, unsettled=True)[0] == 1
    assert len([one for one in logged(place) if one[0] == "gap.declared"]) == 1, "said once"


def of(type_: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Events], None]:
    """Changes the first event of a type."""

    def apply(events: Events) -> None:
        payload = next(payload for kind, payload, *_ in events if kind == type_)
        change(payload)

    return apply


def without(type_: str) -> Callable[[Events], None]:
    def apply(events: Events) -> None:
        events.remove(next(event for event in events if event[0] == type_))

    return apply


def said_by_another(events: Events) -> None:
    at = next(i for i, event in enumerate(events) if event[0] == "chunk.backfilled")
    events[at] = (*events[at][:2], "p2", events[at][3])


def twice(type_: str) -> Callable[[Events], None]:
    def apply(events: Events) -> None:
        events.append(next(event for event in events if event[0] == type_))

    return apply


def add(type_: str, **payload: Any) -> Callable[[Events], None]:
    return lambda events: events.append((type_, {"track": "t1", **payload}, "p1", END_US))


ROW = [1, 0, 9, 1, 9, "0" * 64]
BATCH = {"codec": "opus", "from_seq": 1, "late": False}
SPAN = {"from_us": 0, "to_us": 1, "cause": "network", "packets": None}


def lost_events(from_us: int, to_us: int) -> Callable[[Events], None]:
    return add("log.lost", events=1, from_us=from_us, to_us=to_us, types={"mark": 1})


def crowd(events: Events) -> None:
    """More chunks at one time than there can be."""
    add("digest.batch", chunks=[ROW] * 65, **BATCH)(events)
    add("chunk.verified", chunks=list(range(1, 66)))(events)


WRONG: dict[str, tuple[Callable[[Events], None], str]] = {
    "a digest of which nothing became": (without("chunk.verified"), "client"),
    "an upload left out": (without("chunk.backfilled"), "client"),
    "a digest made up": (
        of("digest.batch", lambda payload: payload["chunks"][0].__setitem__(5, "0" * 64)),
        "device",
    ),
    "a frame more was said": (
        of("digest.batch", lambda payload: payload["chunks"][0].__setitem__(3, 51)),
        "device",
    ),
    "uploaded by somebody else": (said_by_another, "event"),
    "arrived twice": (twice("chunk.verified"), "event"),
    "said twice": (twice("digest.batch"), "event"),
    "nobody said it": (add("chunk.verified", chunks=[4]), "event"),
    "lost, nobody said it": (add("gap.declared", chunk=4, **SPAN), "event"),
    "awaited, nobody said it": (add("gap.declared", chunks=[4], **SPAN), "event"),
    "more frames than were said": (
        of("chunk.backfilled", lambda payload: payload.__setitem__("frames", 90)),
        "event",
    ),
    "fewer frames than the file has": (
        of("chunk.backfilled", lambda payload: payload.__setitem__("frames", 1)),
        "device",
    ),
    "no list": (add("digest.batch", chunks={}, **BATCH), "form"),
    "no row": (add("digest.batch", chunks=[1], **BATCH), "form"),
    "short row": (add("digest.batch", chunks=[[1]], **BATCH), "event"),
    "negative": (add("digest.batch", chunks=[[-1, *ROW[1:]]], **BATCH), "event"),
    "text for a number": (add("digest.batch", chunks=[["1", *ROW[1:]]], **BATCH), "event"),
    "no digest": (add("digest.batch", chunks=[[*ROW[:5], "x"]], **BATCH), "event"),
    "no numbers": (add("chunk.verified", chunks=["a"]), "form"),
    "chunks at one time": (crowd, "too_large"),
    "an hour arrived of a second": (
        of("chunk.verified", lambda payload: payload["spans"].append([0, 3_600_000_000])),
        "client",
    ),
    "spans of no chunk": (add("chunk.verified", chunks=[], spans=[[0, S]]), "event"),
    "spans that end before they begin": (
        of("chunk.verified", lambda payload: payload.update(spans=[[S, 0]])),
        "form",
    ),
    "an hour uploaded of a second": (
        of("chunk.backfilled", lambda payload: payload.update(to_us=3_600_000_000)),
        "client",
    ),
    "lost events that end before they begin": (lost_events(S, 0), "event"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session with chunks that arrived and chunks that were uploaded."""
    sent = send("opus", seconds=4, loss=0)
    # The third second is lost in part.
    first, last = sent.chunks[2][1].first_ts, sent.chunks[2][1].last_ts
    lost = itertools.count()
    sent.items = [
        item
        for item in sent.items
        if (int.from_bytes(item.data[4:8], "big") - first) % 2**32 > (last - first) % 2**32
        or next(lost) % 2
    ]
    return asyncio.run(record(tmp_path_factory.mktemp("whole"), sent))


def verified_anew(
    office: Office, place: Path, out: Path, change: Callable[[Events], None]
) -> Result:
    """The sealer's own account is changed: its keys are right, and it seals what it likes."""
    events = json.loads(json.dumps(logged(place)))
    change(events)
    log_again(place, [tuple(event) for event in events])
    sealed_without_checks(office, place, out)
    with out.open("rb") as file:
        trusted = [one for path in office.trust for one in load_pem(path.read_bytes())]
        return verify(file, trusted)


def copied(place: Path, to: Path) -> Path:
    shutil.copytree(place, to / "s1")
    return to / "s1"


@pytest.mark.parametrize("name", WRONG)
def test_accounts_that_do_not_add_up_are_refused(
    office: Office, whole: Path, tmp_path: Path, name: str
) -> None:
    """The sealer's own account is wrong: its keys are right, and it seals what it likes."""
    change, code = WRONG[name]
    result = verified_anew(office, copied(whole, tmp_path), tmp_path / "s1.zip", change)
    assert result.code == code, result.steps


@pytest.mark.parametrize(
    ("codec", "frames_ms", "answers_ms"),
    [
        ("opus", [(0, 20, 40)], 60),
        ("opus", [(0, 400, 800), (1_200, 1_600)], 1_200),
        ("opus", [(0, 20), (4_000, 4_020)], 520),
        ("opus", [(0, 4_000)], 500),
        ("opus", [(0, 20, *range(40, 4_040, 400))], 2_000),
        ("vp8", [(0,), (1_000,)], 1_000),
        ("vp8", [(0, 40), (9_000, 9_040)], 9_000),
        ("vp8", [(0, 4_000), (4_040,)], 2_000),
        ("vp8", [(0, 500)], 1_000),
    ],
)
def test_few_frames_do_not_answer_for_a_long_time(
    codec: str, frames_ms: list[tuple[int, ...]], answers_ms: int
) -> None:
    rate = 48 if codec == "opus" else 90
    rows = [[7, run[0] * rate, run[-1] * rate, len(run), 99, "0" * 64] for run in frames_ms]
    for over_ms, is_taken in ((100, True), (101, False)):
        devices = Devices()
        said = {"track": "t", "codec": codec, "from_seq": 5, "late": False, "chunks": rows}
        devices.take("digest.batch", {"payload": said, "actor": "p"})
        span = [1_000_000, (1_000 + answers_ms + over_ms) * 1_000]
        arrived = {"track": "t", "chunks": [5], "spans": [span]}
        devices.take("chunk.verified", {"payload": arrived, "actor": "system"})
        if len(rows) > 1:
            rest = {"track": "t", "chunks": [6], "spans": []}
            devices.take("chunk.verified", {"payload": rest, "actor": "system"})
        if is_taken:
            devices.close()
        else:
            with pytest.raises(Failure, match="is longer than what was said"):
                devices.close()


def test_lost_events_do_not_pass(office: Office, whole: Path, tmp_path: Path) -> None:
    place, out = copied(whole, tmp_path), tmp_path / "s1.zip"
    result = verified_anew(office, place, out, lost_events(S, S))
    assert result.exit_code == 1, result.steps
    (track,) = json.loads(unpacked(out)["gaps.json"])["tracks"]
    assert track["gaps"] == [{"from_us": S, "to_us": S, "cause": "log_lost", "filled_us": 0}]


def sealed_without_checks(office: Office, place: Path, out: Path) -> Path:
    """Seals what the sealer itself would refuse."""
    people = office.people(stamped=False, honest=False)
    with out.open("w+b") as file:
        made = sealing._Sealing(sealing._read_case(place, 0), file, people, None)
        made.run(out, sealing.rfc3339(time.time_ns()))
    return out


async def test_sound_that_was_exchanged_with_its_log_is_found(
    office: Office, tmp_path: Path
) -> None:
    """Whoever has the server writes other sound and a log that fits: the devices' digests don't."""
    sent = send("opus", seconds=3, loss=0)
    place = await record(tmp_path, sent)
    forged = [*sent.items]
    forged[40] = replace(forged[40], data=forged[40].data[:-1] + b"\x55")
    data = capture_file(forged)
    (place / "tracks/t1/000001.pcapng").write_bytes(data)
    events = logged(place)
    of("segment.closed", lambda payload: payload.update(digests_of(data).to_json()))(events)
    log_again(place, events)
    code, step, _ = sealed(office, place)
    assert (code, step.code) == (2, "device")


async def test_another_stream_beside_the_one_a_device_spoke_of_never_passes(
    office: Office, tmp_path: Path
) -> None:
    """Other sound in the same track: the digests are of the true one, which is there too."""
    sent = send("opus", seconds=3, loss=0)
    other = (8).to_bytes(4, "big")
    forged = [replace(one, data=one.data[:8] + other + one.data[12:]) for one in sent.items]
    items = [one for pair in zip(sent.items, forged, strict=True) for one in pair]
    place = await record(tmp_path, replace(sent, items=items))
    code, step, _ = sealed(office, place)
    assert (code, step.outcome) == (0, "unsaid"), step
    assert step.detail.endswith("; 150 packets of streams no device spoke of")


async def test_a_name_alone_does_not_keep_anything_from_being_compared(
    office: Office, tmp_path: Path
) -> None:
    """Sound and uploads that aren't what was said, called encrypted."""
    sent = send("opus", seconds=3, loss=0.5)
    place = await record(tmp_path, sent)
    (path, *_) = place.glob("tracks/t1/backfill/*")
    data = bytes(len(path.read_bytes()))
    path.unlink()
    named = path.with_name(path.name + ".enc")
    named.write_bytes(data)
    events = logged(place)
    for _, payload, *_ in events:
        if str(payload.get("file")).endswith(f"/{path.name}"):
            payload |= {"file": f"{payload['file']}.enc", **digests_of(data).to_json()}
    log_again(place, events)
    code, step, _ = sealed(office, place)
    assert (code, step.code) == (2, "device")


@pytest.mark.parametrize("forged", [False, True])
async def test_a_file_that_is_encrypted_hides_only_itself(
    office: Office, tmp_path: Path, *, forged: bool
) -> None:
    sent = send("opus", seconds=3, loss=0)
    place = await record(tmp_path, sent)
    events = logged(place)
    at, (_, segment, *_) = next((i, e) for i, e in enumerate(events) if e[0] == "segment.closed")
    files = {"000001.pcapng": capture_file(sent.items[:100]), "000002.pcapng.enc": b"WITNESS\x02"}
    if forged:
        changed = replace(sent.items[40], data=sent.items[40].data[:-1] + b"\x55")
        files["000001.pcapng"] = capture_file([*sent.items[:40], changed, *sent.items[41:100]])
    (place / "tracks/t1/000001.pcapng").unlink()
    del events[at]
    cut_us = sent.items[100].arrival_us
    spans = [(segment["from_us"], cut_us), (cut_us, segment["to_us"])]
    for number, (name, data) in enumerate(files.items(), 1):
        (place / "tracks/t1" / name).write_bytes(data)
        times = dict(zip(("from_us", "to_us"), spans[number - 1], strict=True))
        own = {"segment": number, "file": name, "bytes": len(data), **digests_of(data).to_json()}
        own |= {**times, "packets": 100 if number == 1 else 50}
        events.insert(at + number - 1, ("segment.closed", {**segment, **own}, "system", END_US))
    log_again(place, events)
    code, step, _ = sealed(office, place)
    if forged:
        assert (code, step.code) == (2, "device")
    else:
        assert (code, step.outcome) == (0, "encrypted"), step
        assert step.detail.endswith("2 compared, 1 encrypted; signed: 'p1' 0 of 3")


async def test_an_encrypted_recording_is_filled_sealed_and_played(
    office: Office, tmp_path: Path
) -> None:
    sent = send("opus", seconds=4, loss=0.6)
    # Of one chunk nothing arrived: encrypted, its file is larger than all that was said of it.
    gone = {frame.timestamp for frame in sent.bodies[1001]}
    came = [one for one in sent.items if int.from_bytes(one.data[4:8], "big") not in gone]
    sent = replace(sent, items=came)
    keys = MasterKeys(bytes(range(32)), [bytes(32)])
    place = await record(tmp_path, sent, keys=keys)
    uploads = list(place.glob("tracks/t1/backfill/*"))
    assert uploads
    assert all(path.name.endswith(".frames.enc") for path in uploads)
    assert recover_session(place) is None
    filled = [one for kind, one, *_ in logged(place) if kind == "chunk.backfilled"]
    assert any(one["bytes"] > sent.chunks[one["chunk"] - 1000][1].bytes for one in filled)
    code, step, _ = sealed(office, place)
    assert (code, step.outcome) == (0, "encrypted")
    (place / "tracks/t1/track.json").write_text(
        '{"participant": "p1", "kind": "audio", "codec": "opus",'
        ' "formats": [{"codec": "opus", "payload_type": 111}]}'
    )
    (source,) = open_recording(place, keys=keys).sources
    captured = {item.data for item in source.read() if isinstance(item, CapturedPacket)}
    assert len(captured) == len(sent.items)
    frames = [one for item in source.uploads.files() for one in source.uploads.frames(item)]
    said = {frame.timestamp: frame.data for frame in sent.frames}
    assert frames
    assert all(said[frame.timestamp] == frame.data for frame in frames)
    # Neither can stand in another's place.
    one, other, *_ = uploads
    other.write_bytes(one.read_bytes())
    with pytest.raises(RecordingError, match="belongs to"):
        read_stored(place, other.relative_to(place).as_posix(), keys)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session of which all digests are signed by the device, in three batches."""
    sent = send("opus", seconds=3, loss=0)
    return asyncio.run(record(tmp_path_factory.mktemp("signed"), sent, device=Device()))


def test_what_devices_signed_is_checked_and_counted(
    office: Office, signed: Path, tmp_path: Path
) -> None:
    code, step, _ = sealed(office, copied(signed, tmp_path))
    assert (code, step.outcome) == (0, "pass"), step
    assert step.detail.endswith("3 compared; signed: 'p1' 3 of 3")


def test_the_verifiers_work_does_not_grow_with_the_batches_a_device_signs() -> None:
    device = Device()
    devices = Devices("s1")
    payload = {"alg": "ES256", "key": device.key, "public": device.public}
    told = {**payload, "proof": device.proof("p1")}
    devices.take("device.key", {"actor": "p1", "payload": told})
    for seq in range(2_000):
        chunk = SaidChunk(7, seq * 48_000, seq * 48_000 + 960, 2, 40, f"{seq:064x}")
        signed = device.sign("t1", "opus", [(seq, chunk)], late=seq >= 1_990)
        row = [7, seq * 48_000, seq * 48_000 + 960, 2, 40, f"{seq:064x}"]
        said = {"track": "t1", "codec": "opus", "from_seq": seq, "chunks": [row]}
        event = {"actor": "p1", "payload": {**said, **signed.to_json()}}
        devices.take("digest.batch", event)
    devices.check_chains()
    assert (devices.checked, devices.signed["p1"], devices.late) == (2, (2_000, 2_000), 10)


def batch(number: int, change: Callable[[dict[str, Any]], Any]) -> Callable[[Events], None]:
    """Changes a signed batch."""

    def apply(events: Events) -> None:
        change([payload for kind, payload, *_ in events if kind == "digest.batch"][number])

    return apply


def dropped(number: int) -> Callable[[Events], None]:
    """All that the log has of a chunk is left out; the others are as they were."""

    def apply(events: Events) -> None:
        one = [event for event in events if event[0] == "digest.batch"][number]
        events.remove(one)
        for kind, payload, *_ in events:
            if kind == "chunk.verified":
                payload["chunks"].remove(one[1]["from_seq"])

    return apply


def swapped(events: Events) -> None:
    first, second = [i for i, event in enumerate(events) if event[0] == "digest.batch"][:2]
    events[first], events[second] = events[second], events[first]


def another_key(events: Events) -> None:
    """A server makes a key of its own later, and signs with it what it likes."""
    forger = Device(9)
    made = {"key": forger.key, "public": forger.public, "proof": forger.proof("p1")}
    of("device.key", lambda payload: payload.update(made))(events)


def signed_by_another(events: Events) -> None:
    """The last signature is one of the same key, over something else."""
    first = next(payload for kind, payload, *_ in events if kind == "digest.batch")
    batch(2, lambda it: it.update(signature=first["signature"]))(events)


def many_keys(events: Events) -> None:
    """Each would cost the verifier time."""
    for number in range(100, 100 + MAX_KEYS):
        one = Device(number)
        told = {"alg": "ES256", "key": one.key, "public": one.public, "proof": one.proof("p1")}
        events.insert(1, ("device.key", told, "p1", 0))


def unannounced(events: Events) -> None:
    without("device.key")(events)


def stripped(events: Events, number: int, *, late: bool = False) -> None:
    payload = [payload for kind, payload, *_ in events if kind == "digest.batch"][number]
    payload["late"] = late
    for name in ("key", "batch", "prev", "signature"):
        del payload[name]


def all_stripped(events: Events) -> None:
    """Whoever writes the log says that nobody ever had a key."""
    without("device.key")(events)
    for number in range(3):
        stripped(events, number)


def end_stripped(events: Events) -> None:
    """What a page that was opened again says has no signature, and is late."""
    stripped(events, 2, late=True)


@pytest.mark.parametrize(
    ("change", "signed_chunks", "pinned"),
    [(all_stripped, 0, "device_unknown"), (end_stripped, 2, "")],
)
def test_a_key_that_was_kept_shows_that_signatures_were_stripped(
    office: Office,
    signed: Path,
    tmp_path: Path,
    change: Callable[[Events], None],
    signed_chunks: int,
    pinned: str,
) -> None:
    place, out = copied(signed, tmp_path), tmp_path / "s1.zip"
    result = verified_anew(office, place, out, change)
    detail = next(step.detail for step in result.steps if step.name == "client")
    assert (result.exit_code, detail[-16:]) == (0, f"signed: 'p1' {signed_chunks} of 3"[-16:])
    trusted = [one for path in office.trust for one in load_pem(path.read_bytes())]
    with out.open("rb") as file:
        assert verify(file, trusted, pinned=[Device().key]).code == pinned


SIGNED: dict[str, tuple[Callable[[Events], Any], str]] = {
    "a digest exchanged": (
        batch(1, lambda it: it["chunks"][0].__setitem__(5, "0" * 64)),
        "device_chain",
    ),
    "a digest of the last exchanged": (
        batch(2, lambda it: it["chunks"][0].__setitem__(5, "0" * 64)),
        "device_key",
    ),
    "called late": (batch(2, lambda it: it.update(late=True)), "device_key"),
    "called late before others": (batch(0, lambda it: it.update(late=True)), "device_chain"),
    "late is no truth value": (batch(2, lambda it: it.update(late=0)), "device_key"),
    "another batch's signature": (signed_by_another, "device_key"),
    "a time moved": (batch(2, lambda it: it["chunks"][0].__setitem__(1, 1)), "device_key"),
    "another codec": (batch(0, lambda it: it.update(codec="vp8")), "device_chain"),
    "the first left out": (dropped(0), "device_chain"),
    "one left out": (dropped(1), "device_chain"),
    "out of order": (swapped, "device_chain"),
    "numbered anew": (batch(1, lambda it: it.update(batch=3)), "device_chain"),
    "linked anew": (batch(1, lambda it: it.update(prev="0" * 64)), "device_chain"),
    "half a signature": (batch(0, lambda it: it.update(signature="AAAA")), "device_key"),
    "no signature": (batch(0, lambda it: it.update(signature=None)), "form"),
    "signatures stripped from one on": (
        lambda events: [stripped(events, n) for n in (1, 2)],
        "device_chain",
    ),
    "signatures stripped from all": (
        lambda events: [stripped(events, n) for n in (0, 1, 2)],
        "device_chain",
    ),
    "another key": (another_key, "device_chain"),
    "no key": (unannounced, "device_chain"),
    "a key twice": (twice("device.key"), "device_key"),
    "of another kind": (of("device.key", lambda it: it.update(alg="RS256")), "device_key"),
    "no point": (of("device.key", lambda it: it.update(public="AAAA")), "device_key"),
    "no proof": (of("device.key", lambda it: it.pop("proof")), "form"),
    "proof of another key": (
        of("device.key", lambda it: it.update(proof=Device(9).proof("p1"))),
        "device_key",
    ),
    "proof for another participant": (
        of("device.key", lambda it: it.update(proof=Device().proof("p2"))),
        "device_key",
    ),
    "proof for another session": (
        of("device.key", lambda it: it.update(proof=Device().proof("p1", session="s2"))),
        "device_key",
    ),
    "too many keys": (many_keys, "too_large"),
    "not base64": (of("device.key", lambda it: it.update(public="*")), "form"),
    "key named wrongly": (of("device.key", lambda it: it.update(key="0" * 64)), "device_key"),
}


@pytest.mark.parametrize("name", SIGNED)
def test_whoever_writes_the_log_anew_cannot_write_what_a_device_signed(
    office: Office, signed: Path, tmp_path: Path, name: str
) -> None:
    place = copied(signed, tmp_path)
    change, code = SIGNED[name]
    events = json.loads(json.dumps(logged(place)))
    change(events)
    log_again(place, [tuple(event) for event in events])
    out = sealed_without_checks(office, place, tmp_path / "s1.zip")
    with out.open("rb") as file:
        result = verify(file)
    assert result.steps[-1].code == code, result.steps[-1]
    assert result.steps[-1].name == "events"
