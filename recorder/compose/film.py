"""The film of a session: every tick one picture of all tiles, and the sound of all together."""

import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Final

from recorder.compose.canvas import Rect
from recorder.compose.fonts import Lettering, find_font
from recorder.compose.layout import Layout, Tile, arrange
from recorder.compose.output import About, Coding, FilmFile
from recorder.compose.painter import Painter
from recorder.compose.pictures import PictureTrack
from recorder.compose.plan import (
    chapters,
    film_range,
    node_title,
    person_label,
    tiles_of,
    title_at,
)
from recorder.compose.sound import RATE_HZ, Block, Mixer, PlacedSound
from recorder.compose.speaker import Speaker
from recorder.compose.texts import all_texts, drawable, say
from recorder.compose.tiles import TileTrack, TileView
from recorder.intervals import union
from recorder.playback.errors import RecordingError
from recorder.playback.frames import TrackFrames
from recorder.playback.recording import Recording
from recorder.playback.survey import TrackSurvey

__all__ = ["FilmOptions", "FilmResult", "make_film"]

_AHEAD: Final = 50


@dataclass(frozen=True, slots=True)
class FilmOptions:
    """How a film looks.

    Attributes:
        language: of what is written into it, ``zh`` or ``en``.
        zone: of the clock in the picture; that of this machine if left out.
        font: a font file; found by itself if left out.
        watermark: laid over every picture; a note that the film is derived if left out.
        crf: quality of H.264, lower is better.
        preset: of x264, how much time compression may take.
    """

    layout: Layout = Layout.SIDE_BY_SIDE
    language: str = "zh"
    zone: tzinfo | None = None
    font: Path | None = None
    watermark: str | None = None
    width: int = 1_280
    height: int = 720
    fps: int = 25
    crf: int = 25
    preset: str = "superfast"


@dataclass(slots=True)
class FilmResult:
    """What was made.

    Attributes:
        stages_s: CPU seconds of the film's threads; encoders and decoders may use more.
        slates_s: seconds a slate stood, by tile, ``participant`` or ``participant/document``.
        sound_missing_s: by participant.
    """

    file: Path
    seconds: float
    pictures: int
    chapters: int
    subtitles: int
    wall_s: float = 0.0
    stages_s: dict[str, float] = field(default_factory=dict)
    slates_s: dict[str, float] = field(default_factory=dict)
    sound_missing_s: dict[str, float] = field(default_factory=dict)


def make_film(
    recording: Recording,
    surveys: Sequence[TrackSurvey],
    out: Path,
    options: FilmOptions,
    progress: Callable[[float], None] = lambda _: None,
) -> FilmResult:
    """Renders the whole recording.

    Args:
        recording: the session.
        surveys: of its sources, in the same order.
        out: the file, replaced if it is there; it appears when it is complete.
        options: how it looks.
        progress: called with the share that is done.

    Raises:
        RecorderError: nothing was recorded, a track can't be read, or there is no font.
        OSError: the file can't be written.
        av.FFmpegError: an encoder or the container refused.
    """
    return _Film(recording, surveys, options).render(out, progress)


class _Film:
    def __init__(
        self, recording: Recording, surveys: Sequence[TrackSurvey], options: FilmOptions
    ) -> None:
        self._recording = recording
        self._options = options
        self._surveys = [s for s in surveys if s.first_us is not None]
        span = film_range(recording.timeline, self._surveys)
        if span is None or not self._surveys:
            raise RecordingError(
                "nothing was recorded in session {session}", session=recording.session
            )
        self._from_us, self._to_us = span
        self._tick_us = 1_000_000 // options.fps
        self._ticks = -(-(self._to_us - self._from_us) // self._tick_us)
        infos = [survey.info for survey in self._surveys]
        self._infos = infos
        self._tiles = tiles_of(infos)
        timeline = recording.timeline
        self._muted = {
            name: union(
                timeline.pauses,
                ((gap.from_us, gap.to_us) for gap in track.gaps if gap.cause == "paused"),
            )
            for name, track in timeline.tracks.items()
        }
        language = options.language
        labels = {tile: person_label(tile, infos, language) for tile in self._tiles}
        self._labels = {tile: drawable(label) for tile, label in labels.items()}
        found = chapters(recording, self._from_us, self._to_us, language)
        self._chapters = [replace(one, title=drawable(one.title)) for one in found]
        watermark = None if options.watermark is None else drawable(options.watermark)
        if watermark is None:
            watermark = f"{recording.session} · {say('derived', language)}"
        written = [*self._labels.values(), *(c.title for c in self._chapters), watermark]
        self._lettering = Lettering(find_font([*written, *all_texts(language)], options.font))
        self._painter = Painter(self._lettering, options.width, options.height, language, watermark)

    def render(self, out: Path, progress: Callable[[float], None]) -> FilmResult:
        options, recording = self._options, self._recording
        began = time.monotonic()
        result = FilmResult(
            out,
            self._ticks * self._tick_us / 1e6,
            self._ticks,
            len(self._chapters),
            len(recording.transcript),
        )
        with ExitStack() as stack:
            views = self._views(stack)
            sound = _SoundThread(self._mixer(), self._ticks)
            stack.callback(sound.close)
            file = FilmFile(
                out,
                Coding(options.width, options.height, options.fps, options.crf, options.preset),
                About(
                    self._chapters,
                    recording.transcript,
                    self._from_us,
                    options.language,
                    self._metadata(),
                ),
            )
            stack.callback(file.abort)
            self._run(views, sound, file, result, progress)
            file.finish()
            result.stages_s = {
                "decode": sum(track.decode_s for track in self._tracks),
                "sound": sound.cpu_s,
                "encode": file.encode_s,
                "compose": time.thread_time() - self._cpu_began,
            }
        result.wall_s = time.monotonic() - began
        return result

    def _run(
        self,
        views: Sequence[TileView],
        sound: "_SoundThread",
        file: FilmFile,
        result: FilmResult,
        progress: Callable[[float], None],
    ) -> None:
        self._cpu_began = time.thread_time()
        participants = {s.info.track: s.info.participant for s in self._surveys}
        speaker = Speaker(self._options.fps)
        shown_for: tuple[tuple[Tile, ...], str | None] | None = None
        places: Mapping[Tile, Rect] = {}
        tick_s = self._tick_us / 1e6
        for index in range(self._ticks):
            now_us = self._from_us + index * self._tick_us
            block = sound.take()
            speaker.hear({participants[t]: level for t, level in block.levels.items()})
            lacking = {
                participants[track] for track in block.missing if not self._is_muted(track, now_us)
            }
            for name in lacking:
                result.sound_missing_s[name] = result.sound_missing_s.get(name, 0.0) + tick_s
            visible = tuple(view.tile for view in views if view.is_visible(now_us))
            if shown_for != (visible, speaker.current):
                shown_for = (visible, speaker.current)
                places = arrange(
                    self._options.layout, visible, self._painter.area, speaker=speaker.current
                )
                self._resize(views, places)
                self._painter.clear()
            self._painter.bar(self._clock(now_us), self._title(now_us))
            for view in views:
                if view.tile not in places:
                    continue
                # A tick shows what was captured nearest to it, not only before it.
                seen = view.view(now_us + self._tick_us // 2)
                self._painter.tile(
                    places[view.tile],
                    seen,
                    self._labels[view.tile],
                    sound_missing=view.tile.participant in lacking and not view.tile.is_document,
                    clock=self._clock,
                )
                if seen.slate is not None:
                    name = view.tile.participant + ("/document" if view.tile.is_document else "")
                    result.slates_s[name] = result.slates_s.get(name, 0.0) + tick_s
            file.write(self._painter.frame(), block.samples)
            if index % self._options.fps == 0:
                progress(index / self._ticks)
        progress(1.0)

    def _resize(self, views: Sequence[TileView], places: Mapping[Tile, Rect]) -> None:
        for view in views:
            if view.tile in places:
                view.resize(places[view.tile])

    def _views(self, stack: ExitStack) -> list[TileView]:
        self._tracks: list[PictureTrack] = []
        tracks: dict[Tile, list[TileTrack]] = {tile: [] for tile in self._tiles}
        sources = {source.info.track: source for source in self._recording.sources}
        for survey in self._surveys:
            info = survey.info
            if info.kind != "video":
                continue
            pictures = PictureTrack(
                TrackFrames(sources[info.track], survey),
                info.codec,
                epoch_us=self._from_us + self._tick_us // 2,
                tick_us=self._tick_us,
                area=self._painter.area,
            )
            stack.callback(pictures.close)
            self._tracks.append(pictures)
            known = self._recording.timeline.tracks.get(info.track)
            opened_us = known.opened_us if known is not None else survey.first_us
            closed_us = known.closed_us if known is not None else None
            tracks[Tile(info.participant, info.is_document)].append(
                TileTrack(
                    pictures,
                    opened_us=min(opened_us or 0, survey.first_us or 0),
                    closed_us=self._to_us if closed_us is None else closed_us,
                    gaps=known.gaps if known is not None else [],
                    is_document=info.is_document,
                )
            )
        timeline = self._recording.timeline
        absences = timeline.pauses, timeline.outages
        return [TileView(tile, tracks[tile], *absences) for tile in self._tiles]

    def _is_muted(self, track: str, time_us: int) -> bool:
        """Whether nothing of a track was taken on purpose."""
        ranges = self._muted.get(track, self._recording.timeline.pauses)
        place = bisect_right(ranges, (time_us, self._to_us)) - 1
        return place >= 0 and time_us < ranges[place][1]

    def _mixer(self) -> Mixer:
        sources = {source.info.track: source for source in self._recording.sources}
        sounds = {
            survey.info.track: PlacedSound(
                (frame for frame in TrackFrames(sources[survey.info.track], survey) if frame.shown),
                self._from_us,
            )
            for survey in self._surveys
            if survey.info.kind == "audio"
        }
        return Mixer(sounds, RATE_HZ // self._options.fps)

    def _clock(self, time_us: int) -> str:
        moment = datetime.fromtimestamp(0, UTC) + timedelta(
            microseconds=self._recording.started_ns // 1_000 + time_us
        )
        local = moment.astimezone(self._options.zone)
        return local.strftime("%Y-%m-%d %H:%M:%S %z")

    def _title(self, time_us: int) -> str:
        attempt = title_at(self._recording.timeline.attempts, time_us)
        if attempt is None:
            return ""
        return node_title(attempt, self._recording.titles, self._options.language)

    def _metadata(self) -> dict[str, str]:
        moment = datetime.fromtimestamp(self._recording.started_ns / 1e9, UTC)
        return {
            "title": self._recording.session,
            "comment": say("derived", self._options.language),
            "creation_time": moment.isoformat(timespec="milliseconds"),
        }


class _SoundThread:
    """Mixes two seconds ahead in a thread of its own."""

    def __init__(self, mixer: Mixer, count: int) -> None:
        self.cpu_s = 0.0
        self._mixer = mixer
        self._count = count
        self._queue: Queue[Block | BaseException] = Queue(_AHEAD)
        self._is_stopped = Event()
        self._thread = Thread(target=self._run, name="sound", daemon=True)
        self._thread.start()

    def take(self) -> Block:
        """The next block; what failed in the thread is raised here."""
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """Ends the thread."""
        self._is_stopped.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.01)
            except Empty:
                continue

    def _run(self) -> None:
        try:
            for block in self._mixer.blocks(self._count):
                self._put(block)
                if self._is_stopped.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - raised again by take()
            self._put(error)
        self.cpu_s = time.thread_time()

    def _put(self, item: Block | BaseException) -> None:
        while not self._is_stopped.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except Full:
                continue
            return
