"""Recordings and the people in them: from packets that were lost to a complete archive."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from recorder.backfill.service import BackfillService
from recorder.backfill.token import UploadTokens
from recorder.log import EventLog
from recorder.session_file import write_session
from sfu import Role, Source
from signaling.messages import DigestBatchData
from signaling.uploads import UploadRefusedError
from tests.recorder.backfill.segments import READER, Sent, send, write
from tests.signaling.scene import End, Scene
from witness.completeness import RecordingUploads
from witness.gap_filling import BackfillCollector, GapFilling

FILE = "tracks/{track}/000001.pcapng"


class Clock:
    """A log with a session clock that the test sets."""

    def __init__(self, log: EventLog) -> None:
        self.append, self.at_us, self.room = log.append, 0, 1_000

    def now_us(self) -> int:
        return self.at_us


class Recorded:
    """A customer whose room is recorded, and what they sent."""

    def __init__(self, folder: Path) -> None:
        write_session(folder, session="s-1", room="sale-1", started_ns=1)
        self.folder, self.place = folder, folder / "s-1"
        self.log = EventLog.open(self.place)
        self.clock = Clock(self.log)
        self.executor = ThreadPoolExecutor(1)
        self.scene = Scene()
        self.done: list[str] = []
        self.service = BackfillService(READER, window_s=600, executor=self.executor)
        self.uploads = RecordingUploads(self.service, UploadTokens.at(folder), 600)
        self.scene.hub.recordings.completeness = self.uploads
        self.filling = GapFilling(
            self.service,
            self.scene.hub.recordings,
            on_done=self.done.append,
            clock=lambda: self.scene.now,
        )
        self.customer: End = self.scene.join("customer-1", Role.CUSTOMER)
        self.track = self.scene.publish(self.customer, Source.MICROPHONE)["microphone"]
        self.sent: Sent = send("opus", seconds=3, loss=0.7)

    def batch(self) -> dict[str, object]:
        rows = [
            {name: getattr(said, name) for name in said.__slots__} for _, said in self.sent.chunks
        ]
        return {
            "session_id": "s-1", "track_id": self.track, "codec": "opus",
            "from_seq": self.sent.chunks[0][0], "chunks": rows,
        }  # fmt: skip

    def close_file(self) -> None:
        file = FILE.format(track=self.track)
        write(self.place / file, self.sent.items)
        payload = {"track": self.track, "file": "000001.pcapng", "from_us": 0, "to_us": 10_000_000}
        self.log.append("segment.closed", payload)
        self.filling.segment_closed("s-1", self.track, file, 0, 10_000_000)
        self.clock.at_us = 10_000_000

    async def upload(self, wanted: list[dict[str, object]]) -> None:
        for item in wanted:
            seq, have = item["seq"], item["have"]
            assert isinstance(seq, int)
            assert isinstance(have, list)
            body = self.sent.missing(seq, have)
            await self.uploads.put("s-1", "customer-1", self.track, seq, body)

    def metrics(self) -> dict[str, float]:
        registry = CollectorRegistry()
        registry.register(BackfillCollector(self.service))
        return {
            sample.name + "".join(sample.labels.values()): sample.value
            for family in registry.collect()
            for sample in family.samples
        }


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    made = Recorded(tmp_path)
    yield made
    made.service.close()
    made.executor.shutdown()
    made.log.close()


async def test_what_was_lost_is_said_asked_for_uploaded_and_done(recorded: Recorded) -> None:
    recorded.filling.started("sale-1", "s-1", recorded.place, recorded.clock)
    (notice,) = recorded.customer.take("recording")
    bearer = recorded.uploads.bearer(notice["upload"]["token"], recorded.scene.now.unix_s)
    assert (bearer.session_id, bearer.participant_id) == ("s-1", "customer-1")
    assert recorded.customer.ask("digest.batch", **recorded.batch())["type"] == "ok"
    recorded.close_file()
    await recorded.filling.tick()
    (asked,) = recorded.customer.take("gap.want")
    assert len(asked["chunks"]) == 3
    assert recorded.metrics()["witness_chunks_missingaudio"] == 3
    assert 0.2 < recorded.metrics()["witness_archive_completeness_ratioaudio"] < 0.4
    await recorded.upload(asked["chunks"])
    assert recorded.metrics()["witness_archive_completeness_ratioaudio"] == 1
    assert recorded.metrics()["witness_chunks_backfilled_total"] == 3
    await recorded.filling.tick()
    assert recorded.customer.take("gap.want")[-1]["chunks"] == []
    assert not recorded.done, "the recording goes on"
    recorded.filling.paused("sale-1")
    recorded.filling.resumed("sale-1")
    recorded.filling.stopped("sale-1")
    states = [item["state"] for item in recorded.customer.take("recording")]
    assert states == ["on", "paused", "on", "off"]
    await recorded.filling.tick()
    assert recorded.uploads.state("s-1", "customer-1") == "done"
    assert not recorded.done, "others may yet say what they sent"
    recorded.clock.at_us += 3_600_000_000
    await recorded.filling.tick()
    assert recorded.done == ["s-1"]
    assert recorded.uploads.state("s-1", "customer-1") == "done"
    assert recorded.service.completeness("s-1")["audio"].ratio == 1  # type: ignore[index]
    with pytest.raises(UploadRefusedError):
        recorded.uploads.state("s-2", "customer-1")


async def test_a_server_that_was_restarted_goes_on_taking_uploads(recorded: Recorded) -> None:
    recorded.filling.started("sale-1", "s-1", recorded.place, recorded.clock)
    recorded.customer.ask("digest.batch", **recorded.batch())
    recorded.close_file()
    recorded.log.append("recording.stopped", {})
    recorded.log.close()
    service = BackfillService(READER, window_s=1e12, executor=recorded.executor)
    recorded.service = service
    filling = GapFilling(service, recorded.scene.hub.recordings)
    assert filling.recover(recorded.folder, 600) == 1
    uploads = RecordingUploads(service, UploadTokens.at(recorded.folder), 600)
    assert uploads.state("s-1", "customer-1") == "open"
    await filling.tick()
    wanted, _ = uploads.wanted("s-1", "customer-1", 10)
    assert len(wanted) == 3
    recorded.uploads = uploads
    await recorded.upload([{"seq": item.seq, "have": list(item.have)} for item in wanted])
    await filling.tick()
    assert uploads.state("s-1", "customer-1") == "done"
    await filling.stop()


async def test_a_damaged_session_does_not_keep_others_from_being_taken_up(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    recorded.log.close()
    (recorded.place / "events.jsonl").write_text("{}\n")
    assert recorded.filling.recover(recorded.folder, 600) == 0
    assert "session not reopened" in caplog.text


async def test_a_log_without_room_makes_clients_wait_and_say_it_again(recorded: Recorded) -> None:
    recorded.filling.started("sale-1", "s-1", recorded.place, recorded.clock)
    recorded.clock.room = 0
    refused = recorded.customer.ask("digest.batch", "d-1", **recorded.batch())["data"]
    assert (refused["code"], refused["retry_after_s"]) == ("busy", 2)
    recorded.clock.room = 1_000
    assert recorded.customer.ask("digest.batch", "d-1", **recorded.batch())["type"] == "ok"


async def test_refusals_of_the_recorder_become_those_of_the_protocol(recorded: Recorded) -> None:
    recorded.filling.started("sale-1", "s-1", recorded.place, recorded.clock)
    batch = DigestBatchData.model_validate_json(json.dumps(recorded.batch()))
    recorded.uploads.accept_digests("s-1", "customer-1", batch, late=False)
    recorded.close_file()
    await recorded.filling.tick()
    seq = recorded.sent.chunks[0][0]
    whole = recorded.sent.missing(seq, [])
    cases = [
        ("customer-1", recorded.track, seq, b"\0", 400, "bad_message"),
        ("customer-1", recorded.track, seq, b"", 409, "incomplete"),
        ("rm-1", recorded.track, seq, whole, 403, "forbidden"),
        ("customer-1", recorded.track, 9, whole, 404, "unknown_chunk"),
        ("customer-1", recorded.track, seq, whole[:-1] + b"\xff", 422, "digest_mismatch"),
    ]
    for participant, track, number, body, status, code in cases:
        with pytest.raises(UploadRefusedError) as caught:
            await recorded.uploads.put("s-1", participant, track, number, body)
        assert (caught.value.status, caught.value.code.value) == (status, code)
    with pytest.raises(UploadRefusedError):
        recorded.uploads.lost("s-1", "rm-1", recorded.track, [seq], "evicted")
    assert recorded.metrics()["witness_backfill_rejected_totalmismatch"] == 1


async def test_it_looks_by_itself_until_it_is_stopped(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("witness.gap_filling._TICK_S", 0.0)
    looked = asyncio.Event()

    async def fails() -> None:
        looked.set()
        raise RuntimeError("one session's fault")

    monkeypatch.setattr(recorded.service, "tick", fails)
    recorded.filling.start()
    await looked.wait()
    looked.clear()
    await looked.wait()
    await recorded.filling.stop()
    assert "gap filling failed" in caplog.text
