"""Media of all tracks: packets in, pictures and sound out to the watches that are due them."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable

from pydantic import BaseModel

from analytics.detector import AudioChunk
from analytics.host.audio import AudioTap, Chunker, Sound
from analytics.host.board import Board, Key
from analytics.host.frames import Frames
from analytics.host.pool import Pool
from analytics.host.session_clock import SessionClocks
from analytics.host.shedding import Shedding
from analytics.host.tap import TapPacket
from analytics.host.tracks import TappedMedia, Trouble
from analytics.host.video import Picture, VideoTap
from analytics.host.watches import Watches, Watching
from analytics.host.wire import Flush, FrameAt
from analytics.link import KeyframeWanted, TrackStarted

__all__ = ["Media"]

log = logging.getLogger(__name__)


class Media:
    """Decodes what watches need, as often and as large as they need it, and hands it out.

    Args:
        frames: where pictures lie.
        pool: takes inputs for watches.
        say: takes messages for the server.

    Attributes:
        decode_s: of one core, spent on packets so far.
        failed: packets that reading failed at.
        shed_packets: of tracks that were left out because the host couldn't keep up.
        no_memory: pictures that there was no room for, by detector.
    """

    def __init__(
        self,
        board: Board,
        watches: Watches,
        clocks: SessionClocks,
        frames: Frames,
        pool: Pool,
        say: Callable[[BaseModel], None],
    ) -> None:
        self.decode_s = 0.0
        self.failed = 0
        self.shed_packets = 0
        self.no_memory: Counter[str] = Counter()
        self._board = board
        self._watches = watches
        self._clocks = clocks
        self._frames = frames
        self._pool = pool
        self._say = say
        self._tracks: dict[str, TappedMedia] = {}
        self._taps: dict[int, TappedMedia] = {}
        self._shedding = Shedding()
        self._has_bursts = False
        """Some watch wants more frames than it usually does."""

    def __contains__(self, track_id: object) -> bool:
        return track_id in self._tracks

    def __getitem__(self, track_id: str) -> TappedMedia:
        return self._tracks[track_id]

    def __len__(self) -> int:
        return len(self._tracks)

    @property
    def shed_tracks(self) -> int:
        """Tracks that are left out now."""
        return sum(track.shed_us is not None for track in self._tracks.values())

    # Tracks come, change and go.

    def start(self, message: TrackStarted) -> None:
        """A track begins; nothing of it is decoded before it is fitted."""
        self.drop(message.track_id)
        track = TappedMedia(message)
        if message.kind == "video":
            track.video = VideoTap(wait_us=self._pool.config.video_wait_ms * 1_000)
        else:
            track.audio = AudioTap(wait_us=self._pool.config.audio_wait_ms * 1_000)
        self._tracks[message.track_id] = self._taps[message.tap] = track
        self._board.session(message.session_id).tracks[message.track_id] = message

    def drop(self, track_id: str) -> None:
        """A track is gone, if there was one."""
        track = self._tracks.pop(track_id, None)
        if track is None:
            return
        if self._taps.get(track.started.tap) is track:
            del self._taps[track.started.tap]
        for _, number in self._watches.by_key.of(track.started.session_id):
            self._watches[number].pace.forget(track_id)
        self._board.session(track.started.session_id).tracks.pop(track_id, None)

    def flush(self, track_id: str, at_us: int) -> None:
        """Media of a track have stopped: what is whole goes out, and watches say what is open."""
        self._flush(self._tracks[track_id], at_us)

    def mute(self, track_id: str, at_us: int, *, muted: bool) -> None:
        """A track brings nothing for now, or brings something again."""
        track = self._tracks.get(track_id)
        if track is None:
            return
        track.muted = muted
        if muted:
            self._flush(track, at_us)
        else:
            track.expect(at_us)

    def feeding(self, track: TrackStarted) -> list[str]:
        """Detectors that media of a track go to."""
        return [name for name in self._board.detectors if self._board.feeds(name, track)]

    def fit(self, track_ids: Iterable[str]) -> None:
        """Has tracks decoded as often, and as large, as somebody needs."""
        for track_id in track_ids:
            if (track := self._tracks.get(track_id)) is not None:
                self._fit(track)

    def fit_all(self) -> None:
        """The same of all there are."""
        self.fit(self._tracks)

    def burst(self, session_id: str) -> None:
        """Some watches of a session want more frames from now on."""
        self._has_bursts = True
        self.fit(self._board.session(session_id).tracks)

    # Packets come.

    def take(self, packets: Iterable[TapPacket]) -> None:
        """Decodes what came; the last of it tells how late media are read."""
        began = time.thread_time()
        last: TapPacket | None = None
        for packet in packets:
            last = packet
            track = self._taps.get(packet.tap)
            if track is None or track.muted:
                continue
            self._clocks.note(track.started.session_id, packet.at_us)
            track.note_packet(packet)
            if track.shed_us is None:
                self._try_decode(track, packet)
            else:
                self.shed_packets += 1
        self.decode_s += time.thread_time() - began
        newest = None if last is None else self._taps.get(last.tap)
        if last is not None and newest is not None:
            self._shedding.note(self._clocks.now_us(newest.started.session_id) - last.at_us)

    # A second has gone by.

    def tick(self) -> None:
        """Leaves tracks out or takes them in again, and ends what were bursts."""
        self._shed()
        if self._has_bursts:
            self._has_bursts = any(self._is_bursting(one) for _, one in self._watches)
            self.fit_all()

    def troubles(self) -> dict[Key, Trouble]:
        """Why watches see or hear nothing, though they should, and since when."""
        found: dict[Key, Trouble] = {}
        for track in self._tracks.values():
            now_us = self._clocks.now_us(track.started.session_id)
            trouble = track.trouble(now_us, self._shedding.is_behind)
            if trouble is not None:
                for watching, _ in self._watches.fed(track.started):
                    found.setdefault(watching.key, trouble)
        return found

    def _shed(self) -> None:
        """Leaves tracks out, or takes them in again: those of the oldest sessions stay longest."""
        sessions: dict[str, list[TappedMedia]] = {}
        for track in self._tracks.values():
            tracks = sessions.setdefault(track.started.session_id, [])
            if track.is_wanted:
                tracks.append(track)
            else:
                track.shed_us = None
        wanted = [track for tracks in sessions.values() for track in tracks]
        self._shedding.tick(len(wanted))
        limit = self._shedding.limit
        for place, track in enumerate(wanted):
            now_us = self._clocks.now_us(track.started.session_id)
            is_left_out = limit is not None and place >= limit
            if is_left_out and track.shed_us is None:
                self._flush(track, now_us)
                track.shed_us = now_us
            elif not is_left_out and track.shed_us is not None:
                track.shed_us = None
                track.expect(now_us)

    def _is_bursting(self, watching: Watching) -> bool:
        need = self._board.detectors[watching.key.detector].needs.video
        now_us = self._clocks.now_us(watching.key.session_id)
        return need is not None and watching.pace.rate_hz(now_us) > need.rate_hz

    def _flush(self, track: TappedMedia, at_us: int) -> None:
        for samples, chunker in track.chunkers.items():
            for sound in chunker.flush():
                self._give_sound(track, samples, sound)
        for tap in (track.video, track.audio):
            if tap is not None:
                tap.reset()
        for key, number in self._watches.about(track.started):
            self._pool.order(key.detector, Flush(number, at_us))

    def _fit(self, track: TappedMedia) -> None:
        needs = [self._board.detectors[name].needs for name in self.feeding(track.started)]
        track.want(bool(needs), self._clocks.now_us(track.started.session_id))
        if track.video is not None:
            videos = [need.video for need in needs if need.video is not None]
            track.video.want(
                self._rate_hz(track), max((need.height for need in videos), default=180)
            )
            if not videos:
                track.video.reset()
        elif track.audio is not None:
            sizes = {need.audio.chunk_ms * 16 for need in needs if need.audio is not None}
            track.chunkers = {size: track.chunkers.get(size) or Chunker(size) for size in sizes}
            if not sizes:
                track.audio.reset()

    def _rate_hz(self, track: TappedMedia) -> float:
        """Pictures a second that somebody needs now."""
        started = track.started
        now_us = self._clocks.now_us(started.session_id)
        needs = [self._board.detectors[name].needs.video for name in self.feeding(started)]
        rates = [need.rate_hz for need in needs if need is not None]
        rates += [watching.pace.rate_hz(now_us) for watching, _ in self._watches.fed(started)]
        return max(rates, default=0.0)

    def _try_decode(self, track: TappedMedia, packet: TapPacket) -> None:
        """Whatever a sender makes up, the media of all others go on."""
        try:
            self._decode(track, packet)
        except Exception:
            self.failed += 1
            if not track.has_failed:
                track.has_failed = True
                log.exception("media can't be read", extra={"codec": packet.codec})
            for tap in (track.video, track.audio):
                if tap is not None:
                    tap.reset()

    def _decode(self, track: TappedMedia, packet: TapPacket) -> None:
        if track.video is not None and packet.codec != "opus":
            before = track.video.decoded
            for picture in track.video.push(packet):
                self._give_picture(track, picture)
            if track.video.decoded > before:
                track.note_whole(packet.at_us)
            if track.video.wants_keyframe:
                track.video.wants_keyframe = False
                self._say(KeyframeWanted(tap=packet.tap))
        elif track.audio is not None and packet.codec == "opus" and track.chunkers:
            for sound in track.audio.push(packet):
                for samples, chunker in track.chunkers.items():
                    for chunk in chunker.push(sound):
                        track.note_whole(packet.at_us)
                        self._give_sound(track, samples, chunk)

    def _give_picture(self, track: TappedMedia, picture: Picture) -> None:
        started = track.started
        due: dict[str, list[int]] = {}
        for watching, number in self._watches.fed(started):
            need = self._board.detectors[watching.key.detector].needs.video
            if need is not None and watching.pace.takes(started.track_id, picture.pts_us):
                due.setdefault(watching.key.detector, []).append(number)
        if not due:
            return
        offset = self._frames.put(picture.image)
        while offset is None and self._pool.drop_frames_for_room():
            offset = self._frames.put(picture.image)
        if offset is None:
            self.no_memory.update(due)
            return
        height, width, depth = picture.image.shape
        frame = FrameAt(
            started.track_id, started.participant_id, picture.pts_us, offset, (height, width, depth)
        )
        self._pool.put(frame, due)
        self._frames.release(offset)

    def _give_sound(self, track: TappedMedia, samples: int, sound: Sound) -> None:
        started = track.started
        due: dict[str, list[int]] = {}
        for watching, number in self._watches.fed(started):
            need = self._board.detectors[watching.key.detector].needs.audio
            if need is not None and need.chunk_ms * 16 == samples:
                due.setdefault(watching.key.detector, []).append(number)
        if not due:
            return
        chunk = AudioChunk(
            started.track_id,
            started.participant_id,
            sound.pts_us,
            sound.samples,
            sound.is_after_gap,
        )
        self._pool.put(chunk, due)
