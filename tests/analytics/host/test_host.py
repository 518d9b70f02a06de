"""A host with real workers: what watches get, and what is heard of them."""

from typing import Any

import pytest

from analytics.host.wire import Out
from analytics.link import MAX_LINE_BYTES, Hello, KeyframeWanted, from_host
from tests.analytics.host.scene import HERE, Scene, config, detectors

pytestmark = pytest.mark.net


RUBBISH: list[tuple[Any, dict[str, Any]]] = [
    ("finding", {}),
    ("finding", {"kind": "picture"}),
    ("finding", {"kind": "picture", "start_us": 1e999, "end_us": 2}),
    ("finding", {"kind": "picture", "start_us": 3, "end_us": 2}),
    ("finding", {"kind": "picture", "start_us": -3, "end_us": 2}),
    ("finding", {"kind": "other", "start_us": 1, "end_us": 2}),
    ("finding", {"kind": "picture", "start_us": 1, "end_us": 2, "score": 1e999}),
    ("finding", {"kind": "picture", "start_us": 1, "end_us": 2, "score": 2}),
    ("finding", {"kind": "picture", "start_us": 1, "end_us": 2, "more": 2}),
    ("finding", {"kind": "picture", "start_us": 1, "end_us": 2, "values": {"x": [1]}}),
    ("finding", {"kind": "picture", "start_us": 1, "end_us": 2, "frames": [{"at_us": 1}]}),
    ("said", {"text": "x" * 3_000}),
    ("heard", {"participant_id": "a", "track_id": "t", "start_us": "x"}),
]


async def test_pictures_reach_a_watch_and_its_findings_keep_their_name() -> None:
    async with Scene(config(detectors(Counter={}))) as scene:
        await scene.ready("Counter")
        scene.join()
        scene.start()
        await scene.show(25)
        await scene.until(lambda: len(scene.found("Counter")) >= 10)
        found = scene.found("Counter")
        assert found[0].values == {"height": 90, "width": 120, "count": 1}
        assert (found[0].session_id, found[0].participant_id) == ("s", "a")
        assert found[0].track_id == "video-a"
        assert [item.values["count"] for item in found] == list(range(1, len(found) + 1))
        watched = scene.found("Counter", "watched")
        assert len({item.finding_id for item in watched}) == 1
        assert all(item.is_open for item in watched)
        scene.end()
        await scene.until(lambda: not scene.found("Counter", "watched")[-1].is_open)
        assert scene.found("Counter", "watched")[-1].finding_id == watched[0].finding_id
        assert scene.host._frames.held == 0
        hello = scene.of(Hello)[-1]
        wants = hello.wants[f"{HERE}Counter"]
        assert (wants.video_height, wants.audio_sources) == (90, frozenset())
        for message in scene.said:
            line = message.model_dump_json().encode()
            assert len(line) < MAX_LINE_BYTES
            assert from_host(line) == message
        assert scene.unknown("Counter") == []


async def test_sound_comes_in_chunks_and_marks_come_to_whom_they_concern() -> None:
    async with Scene(config(detectors(Listener={}))) as scene:
        await scene.ready("Listener")
        scene.join()
        scene.start("audio", tap=2)
        await scene.speak(60)
        scene.mark("challenge")
        scene.mark("challenge", who="b")
        scene.mark("node.started", who="")
        await scene.until(lambda: len(scene.found("Listener", "mark")) >= 2)
        chunks = scene.found("Listener", "chunk")
        assert len(chunks) >= 10
        assert {item.values["samples"] for item in chunks} == {1_536}
        assert [item.values["gap"] for item in chunks] == [1] + [0] * (len(chunks) - 1)
        marks = [item.values["kind"] for item in scene.found("Listener", "mark")]
        assert marks == ["challenge", "node.started"]


async def test_nothing_is_looked_at_without_consent_and_withdrawal_ends_it_at_once() -> None:
    async with Scene(config(detectors(FaceCounter={}, Counter={}))) as scene:
        await scene.ready("FaceCounter", "Counter")
        scene.join()
        scene.start()
        await scene.show(10)
        await scene.until(lambda: len(scene.found("Counter")) >= 4)
        assert scene.found("FaceCounter") == []
        (nothing,) = scene.unknown("FaceCounter")
        assert (nothing.cause, nothing.is_open, nothing.participant_id) == ("no_consent", True, "a")
        scene.allow("face", "voice")
        over = scene.unknown("FaceCounter")[-1]
        assert (over.finding_id, over.is_open) == (nothing.finding_id, False)
        await scene.show(10)
        await scene.until(lambda: len(scene.found("FaceCounter")) >= 4)
        scene.allow("voice")
        # Before anything else happens, nothing that waited is left.
        queue = scene.host.pool.of(f"{HERE}FaceCounter").queue
        assert not any(isinstance(entry.order, tuple) for entry in queue._entries)
        withdrawn_us = scene.now_us
        await scene.show(10)
        await scene.until(lambda: not scene.found("FaceCounter", "watched")[-1].is_open)
        assert all(item.end_us <= withdrawn_us for item in scene.found("FaceCounter"))
        again = scene.unknown("FaceCounter")[-1]
        assert (again.cause, again.is_open, again.start_us) == ("no_consent", True, withdrawn_us)
        counts = [item.values["count"] for item in scene.found("Counter")]
        assert counts == list(range(1, len(counts) + 1))


async def test_a_muted_track_says_what_is_open_and_goes_on_after() -> None:
    async with Scene(config(detectors(Counter={}))) as scene:
        await scene.ready("Counter")
        scene.join()
        scene.start()
        await scene.show(5)
        await scene.until(lambda: scene.found("Counter", "watched"))
        scene.mark("track.muted", track_id="video-a")
        await scene.until(lambda: not scene.found("Counter", "watched")[-1].is_open)
        count = len(scene.found("Counter"))
        await scene.show(30)
        assert len(scene.found("Counter")) == count
        scene.mark("track.unmuted", track_id="video-a")
        await scene.show(31)
        await scene.until(lambda: scene.found("Counter", "watched")[-1].is_open)
        first, last = (scene.found("Counter", "watched")[at].finding_id for at in (0, -1))
        assert first != last


async def test_a_model_that_is_missing_and_wrong_settings_are_unknown() -> None:
    names = detectors(Counter={"rate_hz": "often"}, NoSuch={})
    async with Scene(config(names)) as scene:
        await scene.until(lambda: set(scene.host._down.values()) == {"config"})
        scene.join()
        for name in ("Counter", "NoSuch"):
            (unknown,) = scene.unknown(name)
            assert (unknown.cause, unknown.is_open) == ("config", True)
        scene.mark("session.ended", who="")
        assert not scene.unknown("NoSuch")[-1].is_open


async def test_rubbish_from_the_server_is_counted_and_a_lost_decoder_asks_for_a_keyframe() -> None:
    async with Scene(config(detectors(Counter={}))) as scene:
        await scene.ready("Counter")
        for line in (b"", b"{}", b'{"type":"mark"}', b"\xff"):
            scene.host.take_line(line)
        scene.host.take_tap(b"rubbish")
        assert scene.host.status().refused == 5
        scene.join()
        scene.start()
        await scene.show(3)
        scene.camera.picture()
        await scene.show(60)
        assert scene.of(KeyframeWanted)[0].tap == 1


async def test_a_session_that_ends_leaves_nothing() -> None:
    async with Scene(config(detectors(Counter={}, FaceCounter={}))) as scene:
        await scene.ready("Counter", "FaceCounter")
        scene.join()
        scene.start()
        await scene.show(5)
        await scene.until(lambda: scene.found("Counter"))
        scene.mark("session.ended", who="")
        await scene.until(lambda: not scene.host._watches)
        host = scene.host
        assert not len(host._media)
        assert not host._watches.by_key
        assert not host._unknown._open
        assert list(host.board.sessions) == []
        assert not scene.found("Counter", "watched")[-1].is_open


async def test_rubbish_of_a_worker_is_its_detectors_fault() -> None:
    async with Scene(config(detectors(Counter={}))) as scene:
        await scene.ready("Counter")
        scene.join()
        scene.start()
        ((number, _),) = scene.host._watches
        said = len(scene.said)
        for kind, data in RUBBISH:
            out = Out.model_construct(watch=number, kind=kind, data=data)
            assert scene.host.out(out) == f"{HERE}Counter", (kind, data)
            stranger = Out.model_construct(watch=99, kind=kind, data=data)
            assert scene.host.out(stranger) is None
        assert len(scene.said) == said
