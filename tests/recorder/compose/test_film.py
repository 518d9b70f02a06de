from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from recorder.compose.film import FilmOptions, make_film
from recorder.compose.fonts import CANDIDATES, Lettering
from recorder.compose.layout import Layout
from recorder.playback.clock import SenderReport
from recorder.playback.errors import RecordingError
from recorder.playback.recording import Line, Recording
from recorder.playback.source import Item
from recorder.playback.survey import survey_participant
from recorder.session import Attempt, State
from recorder.timeline import Gap, Timeline, TrackTimeline
from tests.recorder.encoders import encode_opus, encode_video, packets
from tests.recorder.scene import DELAY_US, Link, ListedTrack, audio_track, info, video_track

FONT = Path(CANDIDATES[0])
CHINA = timezone(timedelta(hours=8))
OPTIONS = FilmOptions(width=320, height=180, zone=CHINA, font=FONT, preset="ultrafast")
STARTED_NS = 1_790_000_000_000_000_000
MAY_BE_APART_S = 0.045

pytestmark = pytest.mark.skipif(not FONT.exists(), reason="fonts-noto-cjk is not installed")


def flashes(seconds: int, fps: int = 25) -> list[NDArray[np.uint8]]:
    """Dark pictures, white for 120 ms at every whole second from 1 s on."""
    dark, white = np.full((120, 160), 30, np.uint8), np.full((120, 160), 220, np.uint8)
    lit = max(1, fps * 3 // 25)
    return [white if index >= fps and index % fps < lit else dark for index in range(seconds * fps)]


def beeps(seconds: int) -> NDArray[np.int16]:
    """120 ms of 1 kHz at every whole second from 1 s on."""
    out = np.zeros(seconds * 48_000, np.int16)
    beep = (12_000 * np.sin(2 * np.pi * 1_000 * np.arange(5_760) / 48_000)).astype(np.int16)
    for second in range(1, seconds):
        out[second * 48_000 :][:5_760] = beep
    return out


def timeline(
    tracks: Sequence[ListedTrack], seconds: float, *, from_us: int = 0, **more: Any
) -> Timeline:
    end_us = round(seconds * 1e6)
    known = {t.info.track: TrackTimeline(t.info.track, from_us, end_us) for t in tracks}
    empty: dict[str, Any] = {"attempts": [], "marks": [], "pauses": []}
    return Timeline(State.STOPPED, from_us, end_us, known, **(empty | more))


@dataclass
class Seen:
    """A film as a player sees it."""

    luma: list[NDArray[np.uint8]]
    sound: NDArray[np.float32]
    times_s: list[float]
    chapters: list[tuple[float, float, str]]
    subtitles: list[tuple[float, float, str]]

    def flash_onsets_s(self, left: int = 0, right: int = 320) -> list[float]:
        bright = [float(picture[60:120, left:right].mean()) > 90 for picture in self.luma]
        pairs = zip(self.times_s, bright, [False, *bright], strict=False)
        return [at for at, now, before in pairs if now and not before]

    def beep_onsets_s(self) -> list[float]:
        at = np.flatnonzero(np.abs(self.sound) > 0.05)
        before = np.concatenate([[-50_000], at[:-1]])
        return [float(sample) / 48_000 for sample in at[at - before > 9_600]]


def watch(path: Path) -> Seen:
    seen = Seen([], np.zeros(0, np.float32), [], [], [])
    with av.open(str(path)) as file:
        for frame in file.decode(video=0):
            seen.luma.append(frame.to_ndarray()[: frame.height])
            seen.times_s.append(frame.time)
        for chapter in file.chapters():
            base = float(chapter["time_base"])
            title = chapter["metadata"]["title"]
            seen.chapters.append((chapter["start"] * base, chapter["end"] * base, title))
    with av.open(str(path)) as file:
        parts = []
        for frame in file.decode(audio=0):
            if not parts and frame.pts > 0:
                parts.append(np.zeros(frame.pts, np.float32))
            parts.append(frame.to_ndarray()[0])
        seen.sound = np.concatenate(parts)
    with av.open(str(path)) as file:
        if file.streams.subtitles:
            for packet in file.demux(file.streams.subtitles[0]):
                for line in packet.decode():
                    base = float(packet.time_base)
                    text = line.dialogue.decode()
                    start, length = packet.pts * base, (packet.duration or 0) * base
                    seen.subtitles.append((round(start, 3), round(start + length, 3), text))
    return seen


def film(
    tracks: Sequence[ListedTrack],
    folder: Path,
    seconds: float,
    options: FilmOptions = OPTIONS,
    *,
    recording: dict[str, Any] | None = None,
    **more: Any,
) -> Seen:
    people = sorted({track.info.participant for track in tracks})
    ordered = [t for name in people for t in tracks if t.info.participant == name]
    surveys = [
        found
        for name in people
        for found in survey_participant([t for t in ordered if t.info.participant == name])
    ]
    whole = Recording(
        "s1", STARTED_NS, timeline(ordered, seconds, **more), ordered, **(recording or {})
    )
    result = make_film(whole, surveys, folder / "film.mp4", options)
    assert result.file.exists()
    assert not list(folder.glob("*.part"))
    return watch(result.file)


def offsets_s(seen: Seen) -> list[float]:
    """Sound against picture, for every beep with a flash within half a second."""
    flashed = np.array(seen.flash_onsets_s())
    out = []
    for beep in seen.beep_onsets_s():
        nearest = float(flashed[np.abs(flashed - beep).argmin()])
        if abs(nearest - beep) < 0.5:
            out.append(beep - nearest)
    return out


@pytest.mark.parametrize("codec", ["vp8", "vp9", "h264", "av1"])
def test_flash_and_beep_come_together(codec: str, tmp_path: Path) -> None:
    link = Link(jitter_us=8_000)
    tracks = [
        video_track("v", codec, flashes(4), link),
        audio_track("a", beeps(4), replace(link, seed=2)),
    ]
    seen = film(tracks, tmp_path, 4)
    assert len(seen.luma) == 100
    offsets = offsets_s(seen)
    assert len(offsets) == 3
    assert max(map(abs, offsets)) < MAY_BE_APART_S


@pytest.mark.parametrize("seed", range(3))
def test_they_do_so_after_a_third_of_the_packets_was_lost(seed: int, tmp_path: Path) -> None:
    """Onsets are judged where the picture and the packet that begin them arrived."""
    link = Link(loss=0.3, jitter_us=15_000, seed=seed)
    picture = video_track("v", "vp8", flashes(12), link, gop=1)
    sound = audio_track("a", beeps(12), link)

    def came(track: ListedTrack, rate: int) -> set[int]:
        items = [i for i in track.items if not isinstance(i, SenderReport)]
        ticks = [(int.from_bytes(i.data[4:8], "big") + 5_000) % 2**32 for i in items]
        return {second for second in range(1, 12) if second * rate in ticks}

    judged = came(picture, 90_000) & came(sound, 48_000)
    assert len(judged) >= 3
    seen = film([picture, sound], tmp_path, 12)
    flashed, beeped = seen.flash_onsets_s(), seen.beep_onsets_s()
    for second in judged:
        flash = min(flashed, key=lambda at: abs(at - second - DELAY_US / 1e6))
        beep = min(beeped, key=lambda at: abs(at - second - DELAY_US / 1e6))
        assert abs(beep - flash) < MAY_BE_APART_S


@pytest.mark.parametrize("ppm", [-50, 50])
def test_they_do_so_after_ten_minutes_of_drift(ppm: float, tmp_path: Path) -> None:
    """The sender's clock is 30 ms off by then; its sound card another 30 ms the other way.

    Ten seconds of frames are sent sixty times; only the last seconds are composed.
    """
    picture = list(encode_video("vp8", flashes(10, 25), gop=250))
    sound = list(encode_opus(beeps(10)))
    items: dict[str, list[Item]] = {"v": [], "a": []}
    for kind, frames, rate, ssrc in (("v", picture, 90_000, 2), ("a", sound, 48_000, 1)):
        codec = "vp8" if kind == "v" else "opus"
        whole = [replace(f, ticks=f.ticks + n * 10 * rate) for n in range(60) for f in frames]
        card = 1 - 2e-6 * ppm if kind == "a" else 1.0
        groups = packets(codec, [replace(f, ticks=round(f.ticks * card)) for f in whole], ssrc=ssrc)
        link = Link(drift_ppm=ppm, jitter_us=5_000, seed=3)
        delivered = link.deliver(whole, groups, rate, ssrc=ssrc)
        if kind == "a":
            delivered = [_on_card(item, card, rate) for item in delivered]
        items[kind] = delivered
    tracks = [ListedTrack(info("v", "vp8"), items["v"]), ListedTrack(info("a", "opus"), items["a"])]
    seen = film(tracks, tmp_path, 600, from_us=594_000_000)
    offsets = offsets_s(seen)
    assert len(offsets) >= 4
    assert max(map(abs, offsets)) < MAY_BE_APART_S
    true = [t / (1 + ppm * 1e-6) - 594 + DELAY_US / 1e6 for t in range(595, 600)]
    flashed = seen.flash_onsets_s()
    for expected in true:
        assert min(abs(flash - expected) for flash in flashed) < MAY_BE_APART_S


def _on_card(item: Item, card: float, rate: int) -> Item:
    """A report of a stream whose timestamps run at the speed of a sound card."""
    if not isinstance(item, SenderReport):
        return item
    ticks = (item.rtp_timestamp + 5_000) % 2**32
    return replace(item, rtp_timestamp=(round(ticks * card) - 5_000) % 2**32)


def test_a_gap_is_a_slate_and_never_a_cut(tmp_path: Path) -> None:
    link = Link(outages_us=[(1_000_000, 2_400_000)])
    white = [np.full((120, 160), 200, np.uint8)] * 100
    lossy = video_track("v1", "vp8", white, link, gop=25, participant="p1", role="rm")
    whole = video_track("v2", "vp8", white, Link(), participant="p2", ssrc=5)
    seen = film([lossy, whole], tmp_path, 4)
    assert len(seen.luma) == 100

    def level(second: float, left: int) -> float:
        """Of a place in the tile where neither watermark nor text stands."""
        picture = seen.luma[round(second * 25)]
        return float(picture[64:76, left : left + 100].mean())

    assert level(0.8, 20) > 180
    assert 45 < level(1.5, 20) < 70
    assert 45 < level(2.2, 20) < 70
    assert level(3.2, 20) > 180
    assert {level(second, 180) > 180 for second in (0.8, 1.5, 2.2, 3.2)} == {True}
    text = seen.luma[40][80:115, 20:150]
    assert text.max() > 180, "the slate says why"


def test_chapters_subtitles_time_and_names_are_there(tmp_path: Path) -> None:
    tracks = [
        video_track("v", "vp8", flashes(4), Link(), name="欧阳雪", role="customer"),
        audio_track("a", beeps(4), Link(), name="欧阳雪", role="customer"),
    ]
    attempts = [
        Attempt("risk", 1, None, 500_000, 1_500_000, superseded_by=2),
        Attempt("risk", 2, 1, 2_000_000, 3_000_000),
    ]
    spoken = [Line(1_000_000, 1_800_000, "欧阳雪", "我同意"), Line(2_500_000, 3_000_000, "", "好")]
    seen = film(
        tracks,
        tmp_path,
        4,
        attempts=attempts,
        marks=[(3_500_000, "签字")],
        recording={"titles": {"risk": "风险揭示"}, "transcript": spoken},
    )
    assert [(round(a, 2), round(b, 2), title) for a, b, title in seen.chapters] == [
        (0.0, 0.5, "其他时段"),
        (0.5, 1.5, "环节 风险揭示，已补录"),
        (1.5, 2.0, "其他时段"),
        (2.0, 3.0, "环节 风险揭示（第 2 次）"),
        (3.0, 3.5, "其他时段"),
        (3.5, 4.0, "标记：签字"),
    ]
    assert [line for line in seen.subtitles if line[2]] == [
        (1.0, 1.8, "欧阳雪：我同意"),
        (2.5, 3.0, "好"),
    ]
    lettering = Lettering(FONT)
    size = 10
    mask = lettering.line("2026-09-21 22:13:22 +0800", size)
    bar = seen.luma[60][:20].astype(float)
    assert _likeness(bar, mask) > 0.85
    assert _likeness(seen.luma[30][:20].astype(float), mask) < _likeness(bar, mask) - 0.003
    label = lettering.line("欧阳雪 · 客户", size, 300)
    assert _likeness(seen.luma[60][160:180].astype(float), label) > 0.8
    title = lettering.line("环节 风险揭示（第 2 次）", size)
    assert _likeness(seen.luma[60][:20].astype(float), title) > 0.8
    assert _likeness(seen.luma[10][:20].astype(float), title) < 0.5


def _likeness(picture: NDArray[np.float64], mask: NDArray[np.uint8]) -> float:
    """The best correlation of the mask with any place of the picture."""
    height, width = mask.shape
    best = 0.0
    for top in range(max(1, picture.shape[0] - height + 1)):
        for left in range(picture.shape[1] - width + 1):
            part = picture[top : top + height, left : left + width]
            if part.shape == mask.shape and part.std() > 1:
                best = max(best, float(np.corrcoef(part.ravel(), mask.ravel())[0, 1]))
    return best


def test_declared_gaps_name_their_cause(tmp_path: Path) -> None:
    link = Link(outages_us=[(1_000_000, 2_000_000)])
    track = video_track("v", "vp8", flashes(3), link, gop=25)
    surveys = survey_participant([track])
    pictures = []
    for cause in ("network", "disk_full", "paused"):
        line = timeline([track], 3)
        line.tracks["v"].gaps.append(Gap("v", 1_000_000, 2_000_000, cause))
        recording = Recording("s1", STARTED_NS, line, [track])
        result = make_film(recording, surveys, tmp_path / f"{cause}.mp4", OPTIONS)
        assert 0.8 < result.slates_s["p1"] < 1.1
        pictures.append(watch(result.file).luma[37][60:120].tobytes())
    assert len(set(pictures)) == 3


@pytest.mark.parametrize("cause", ["network", "paused"])
def test_sound_that_was_muted_is_not_missing(cause: str, tmp_path: Path) -> None:
    tracks = [audio_track("a", beeps(3), Link(outages_us=[(1_000_000, 2_000_000)]))]
    line = timeline(tracks, 3)
    line.tracks["a"].gaps.append(Gap("a", 1_000_000, 2_040_000, cause))
    recording = Recording("s1", STARTED_NS, line, tracks)
    result = make_film(recording, survey_participant(tracks), tmp_path / "film.mp4", OPTIONS)
    missing = result.sound_missing_s.get("p1", 0.0)
    assert missing == 0 if cause == "paused" else 0.9 < missing < 1.2


def test_a_pause_is_as_long_in_the_film_and_says_what_it_is(tmp_path: Path) -> None:
    link = Link(outages_us=[(1_000_000, 2_000_000)])
    tracks = [video_track("v", "vp8", flashes(3), link, gop=25)]
    seen = film(tracks, tmp_path, 3, pauses=[(1_000_000, 2_000_000)])
    assert len(seen.luma) == 75
    mask = Lettering(FONT).line("录制已暂停", 10)
    assert _likeness(seen.luma[37][70:130].astype(float), mask) > 0.8


@pytest.mark.parametrize(
    ("language", "text"), [("zh", "服务器中断，未录制"), ("en", "server outage, not recorded")]
)
def test_an_outage_is_a_slate_that_says_so(tmp_path: Path, language: str, text: str) -> None:
    link = Link(outages_us=[(1_000_000, 2_000_000)])
    tracks = [video_track("v", "vp8", flashes(3), link, gop=25)]
    options = replace(OPTIONS, language=language)
    seen = film(tracks, tmp_path, 3, options, outages=[(1_000_000, 2_000_000)])
    assert len(seen.luma) == 75
    mask = Lettering(FONT).line(text, 10)
    assert _likeness(seen.luma[37][70:130].astype(float), mask) > 0.8


@pytest.mark.parametrize("layout", Layout)
def test_every_layout_shows_everybody(layout: Layout, tmp_path: Path) -> None:
    levels = (90, 150, 210)
    tracks = []
    for index, level in enumerate(levels):
        still = [np.full((120, 160), level, np.uint8)] * 25
        name = f"p{index}"
        tracks.append(video_track(f"v{index}", "vp8", still, Link(), participant=name, ssrc=index))
    document = video_track("d", "vp8", [np.full((120, 160), 235, np.uint8)] * 25, Link(), ssrc=9)
    shown = replace(document.info, participant="p0", is_document=True)
    tracks.append(ListedTrack(shown, document.items))
    seen = film(tracks, tmp_path, 1, replace(OPTIONS, layout=layout))
    picture = seen.luma[20]
    areas = {
        level: int((np.abs(picture.astype(int) - level) < 8).sum()) for level in (*levels, 235)
    }
    assert min(areas.values()) > 800
    if layout is Layout.DOCUMENT:
        assert areas[235] > 4 * max(areas[level] for level in levels)


def test_who_speaks_stands_large(tmp_path: Path) -> None:
    tracks = []
    for index, level in enumerate((100, 200)):
        still = [np.full((120, 160), level, np.uint8)] * 100
        name = f"p{index}"
        tracks.append(video_track(f"v{index}", "vp8", still, Link(), participant=name, ssrc=index))
        loud = (8_000 * np.sin(np.arange(96_000) / 10)).astype(np.int16)
        silent = np.zeros(96_000, np.int16)
        said = np.concatenate([loud, silent] if index == 0 else [silent, loud])
        tracks.append(audio_track(f"a{index}", said, Link(), participant=name, ssrc=9 + index))
    seen = film(tracks, tmp_path, 4, replace(OPTIONS, layout=Layout.SPEAKER))

    def area(second: float, level: int) -> int:
        picture = seen.luma[round(second * 25)].astype(int)
        return int((np.abs(picture - level) < 8).sum())

    assert area(1.5, 100) > 3 * area(1.5, 200)
    assert area(3.9, 200) > 3 * area(3.9, 100)


def test_a_session_of_nothing_says_so(tmp_path: Path) -> None:
    empty = Recording("s1", STARTED_NS, timeline([], 4), [])
    with pytest.raises(RecordingError, match="nothing was recorded in session s1"):
        make_film(empty, [], tmp_path / "film.mp4", OPTIONS)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_leaves_no_file(tmp_path: Path) -> None:
    tracks = [video_track("v", "vp8", flashes(2), Link())]
    recording = Recording("s1", STARTED_NS, timeline(tracks, 2), tracks)
    folder = tmp_path / "gone"
    with pytest.raises(OSError, match="No such file"):
        make_film(recording, survey_participant(tracks), folder / "film.mp4", OPTIONS)
    assert not folder.exists()
