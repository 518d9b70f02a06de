"""Whatever is lost, late, repeated or restarted: it is whole in the end, or declared."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from recorder.backfill.chunk import ChunkState
from recorder.compose.session import survey_all
from recorder.intervals import Range
from recorder.log import read_events
from recorder.playback.frames import TrackFrames
from recorder.playback.opening import open_recording
from recorder.session_file import read_session
from recorder.timeline import derive_timeline
from tests.net.recorded import shown_uploads
from tests.recorder.backfill.world import SECOND, TYPES, Plan, World

PLANS = {
    "one": Plan(),
    "encrypted": Plan(encrypted=True),
    "layers": Plan(layers=3),
    "encodings": Plan(encodings=3),
    "changing": Plan(encodings=3, changes=True),
    "silence and a slow link": Plan(silences=True, picture_us=1_000_000),
    "still pictures": Plan(silences=True, picture_us=7_300_000, seconds=60),
    "stalls": Plan(encodings=2, stall_us=1_800_000, digest_delay_us=12 * SECOND),
    "restarts": Plan(encodings=2, encrypted=True, restarts=4),
    "crashes": Plan(encodings=2, restarts=5, forget=2),
    "nearly nothing": Plan(loss=0.97, seconds=20),
    "everything": Plan(
        encodings=3,
        changes=True,
        layers=3,
        stall_us=900_000,
        digest_delay_us=20 * SECOND,
        encrypted=True,
        restarts=3,
        forget=1,
        loss=0.85,
    ),
}


@pytest.fixture
def worlds() -> Iterator[list[World]]:
    made: list[World] = []
    yield made
    for world in made:
        world.close()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", PLANS)
async def test_all_that_was_sent_is_there_in_the_end_and_plays(
    place: Path, worlds: list[World], name: str, seed: int
) -> None:
    world = World(place, replace(PLANS[name], seed=seed))
    worlds.append(world)
    await world.run()
    sent = {track: len(line.chunks) for track, line in world.lines.items()}
    whole = {track: {ChunkState.VERIFIED: count} for track, count in sent.items()}
    assert world.states() == whole
    assert not world.lost
    assert not world.service.refused
    assert world.uploads > 10
    assert _missing(world) == {"a1": [], "v1": []}
    played = _played(world)
    for track, line in world.lines.items():
        shown = played[track]
        if len(line.streams) == 1:
            everything = [(ssrc, frame.timestamp, frame.data) for _, ssrc, frame in line.sent]
            assert shown == everything, f"{len(shown)} of {len(everything)} of {track}"
        else:
            # One encoding at a time, and at no time none.
            times = [at for at, ssrc, f in line.sent if (ssrc, f.timestamp, f.data) in set(shown)]
            assert max(b - a for a, b in pairwise(times)) <= SECOND
            assert len(times) >= 0.95 * len({at for at, *_ in line.sent})


async def test_uploads_that_are_damaged_or_gone_are_a_gap_and_the_rest_plays(
    place: Path, worlds: list[World]
) -> None:
    world = World(place, Plan(seconds=12))
    worlds.append(world)
    await world.run()
    assert len(_played(world)["a1"]) == len(world.lines["a1"].sent)
    cut, gone = _spoilt(place / "tracks/a1/backfill")
    recording, surveys = survey_all(open_recording(place))
    (source, survey) = next(
        pair
        for pair in zip(recording.sources, surveys, strict=True)
        if pair[1].info.kind == "audio"
    )
    assert {Path(one.file).name for one in source.damage} == {cut.name, gone.name}
    gaps = recording.timeline.tracks["a1"].gaps
    assert [gap.cause for gap in gaps] == ["damaged", "damaged"]
    shown = sum(timed.shown for timed in TrackFrames(source, survey))
    assert 0.5 * len(world.lines["a1"].sent) < shown < len(world.lines["a1"].sent)
    assert len(source.damage) == 2, "read twice, told once"


def _spoilt(folder: Path) -> tuple[Path, Path]:
    """Two of the files there: one that is cut short now, and one that is gone."""
    cut, gone, *_ = sorted(folder.iterdir())
    cut.write_bytes(cut.read_bytes()[:-1])
    gone.unlink()
    return cut, gone


def _missing(world: World) -> dict[str, list[Range]]:
    """What no upload filled, had nothing arrived live; of what lies well inside of the call."""
    world.events.log.append("recording.started", {}, at=0)
    for track, line in world.lines.items():
        times = [at for at, *_ in line.sent]
        span = {"from_us": min(times) + 5 * SECOND, "to_us": max(times) - 5 * SECOND}
        world.events.append("gap.declared", {"track": track, "cause": "network", **span})
    timeline = derive_timeline(read_events(world.place, read_session(world.place)))
    return {name: track.missing for name, track in timeline.tracks.items()}


def _played(world: World) -> dict[str, list[tuple[int, int, bytes]]]:
    """Frames that a player gets, by track: SSRC, timestamp, bytes."""
    for track, line in world.lines.items():
        about = {
            "participant": "p1",
            "kind": "audio" if line.codec == "opus" else "video",
            "formats": [{"codec": line.codec, "payload_type": TYPES[line.codec]}],
        }
        folder = world.place / "tracks" / track
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "track.json").write_text(json.dumps(about))
    recording, surveys = survey_all(open_recording(world.place, keys=world.keys))
    found = {}
    for source, survey in zip(recording.sources, surveys, strict=True):
        shown = [
            (timed.frame.ssrc, timed.frame.timestamp, timed.frame.data)
            for timed in TrackFrames(source, survey)
            if timed.shown
        ]
        there, uploaded = {data for *_, data in shown}, shown_uploads(source, survey)
        assert sum(data in there for data in uploaded) >= 0.99 * len(uploaded)
        found[survey.info.track] = shown
    return found
