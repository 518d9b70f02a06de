"""``witness bench analytics``: how many watched participants one core carries.

The detectors that are switched on get the frames and sound of one participant, decoded from a real
codec, each at the rate of its settings, in this process and on one thread; what each input costs is
measured. The film is what a host is given of a call: the lowest temporal layer of a camera in VP8,
and Opus. From these costs
follows what a core carries, and, by a queue in virtual time, how long inputs of several
participants wait for each other. Recognising speech has a thread of its own in a host and is told
apart; it costs something only where somebody speaks, so without speech it isn't measured.
"""

import itertools
import platform
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from analytics.config import AnalyticsConfig
from analytics.costs import Costs
from analytics.detector import (
    SAMPLE_RATE_HZ,
    AudioChunk,
    Defers,
    Detector,
    Finding,
    Heard,
    Input,
    Mark,
    Prepares,
    Scope,
    Subject,
    Utterance,
    VideoFrame,
    Watch,
    Word,
)
from analytics.eval.labels import Clip
from analytics.eval.media import items_of
from analytics.eval.speech_clips import Sentences
from analytics.eval.speech_coding import Samples
from analytics.filerun import clip_of, load_detectors
from analytics.pacing import Pace
from analytics.registry import the_registry
from witness.errors import BenchError
from witness.i18n import t

__all__ = [
    "AnalyticsBenchResult",
    "analytics_text",
    "hummed",
    "make_film",
    "measure_analytics",
    "measure_costs",
    "queue_delays",
    "spoken",
]

TARGET: Final = 20
_FPS: Final = 7.5
"""Of the lower of two temporal layers of a camera's 15."""
_SIZE: Final = (640, 360)


@dataclass(frozen=True, slots=True)
class AnalyticsBenchResult:
    """What watching costs; CPU time of one core.

    Attributes:
        participants_per_core: that a core carries when it does nothing else, decoding included.
        cpu_ms_per_s: of each detector for a second of one participant's media.
        decode_ms_per_s: of picture and sound, each decoded once for all detectors.
        deferred_ms_per_s: recognising speech, in its own thread; not in the figure above. ``None``
            where nobody said anything that could be recognised.
        queue_delay_ms: at ``target`` participants on one core; ``None`` where it never ends.
        left_out: detectors that lack a model.
    """

    seconds: float
    source: str
    participants_per_core: float
    target: int
    cpu_ms_per_s: Mapping[str, float]
    decode_ms_per_s: float
    deferred_ms_per_s: float | None
    queue_delay_ms: Mapping[str, float] | None
    left_out: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


@dataclass(slots=True)
class _Costs:
    by_detector: dict[str, float] = field(default_factory=dict)
    deferred_s: float | None = None
    items: list[tuple[int, float]] = field(default_factory=list)
    """When each input came, in µs, and the seconds it took."""


def measure_analytics(config: AnalyticsConfig, path: Path, seconds: float) -> AnalyticsBenchResult:
    """Watches one participant, whose media is a file.

    Raises:
        EvalError: the file can't be opened.
        DetectorError: a detector can't be had.
    """
    registry = the_registry()
    names = [name for name in registry.names if config.config(registry.find(name)).enabled]
    loaded = load_detectors(registry, config, names, config.models())
    clip = clip_of(path, "customer")
    needs = [detector.needs.video for detector in loaded.detectors]
    rate_hz = max((need.rate_hz for need in needs if need), default=1.0)
    began = time.process_time()
    items = list(_first(clip, path.parent, seconds, rate_hz))
    decode_s = time.process_time() - began
    length_s = min(seconds, clip.duration_us / 1e6)
    costs = _watch(loaded.detectors, items)
    watching_s = sum(costs.by_detector.values())
    return AnalyticsBenchResult(
        seconds=round(length_s, 1),
        source=path.name,
        participants_per_core=round(length_s / max(watching_s + decode_s, 1e-9), 1),
        target=TARGET,
        cpu_ms_per_s={
            name: round(1e3 * cost / length_s, 3)
            for name, cost in sorted(costs.by_detector.items(), key=lambda pair: -pair[1])
        },
        decode_ms_per_s=round(1e3 * decode_s / length_s, 3),
        deferred_ms_per_s=None
        if costs.deferred_s is None
        else round(1e3 * costs.deferred_s / length_s, 3),
        queue_delay_ms=queue_delays(costs.items, length_s, TARGET),
        left_out=sorted(loaded.problems),
    )


def measure_costs(config: AnalyticsConfig, path: Path, seconds: float) -> Costs:
    """What one watch of each detector costs, alone: no model's work is shared with others.

    Detectors of words are given sentences and nodes. Left out are those that only take findings of
    others, that lack a model, or that recognise speech where the file has none.

    Raises:
        EvalError: the file can't be opened.
        DetectorError: a detector can't be had.
    """
    registry = the_registry()
    names = [name for name in registry.names if config.config(registry.find(name)).enabled]
    detectors = load_detectors(registry, config, names, config.models()).detectors
    clip = clip_of(path, "customer")
    length_s = min(seconds, clip.duration_us / 1e6)
    rates = [need.video.rate_hz for need in (one.needs for one in detectors) if need.video]
    media = list(_first(clip, path.parent, seconds, max(rates, default=1.0)))
    found: dict[str, float] = {}
    for detector in detectors:
        needs = detector.needs
        if not (needs.video or needs.audio or needs.words):
            continue
        items: list[Input] = list(media)
        if needs.words:
            items += _words(length_s)
        items.sort(key=_time)
        costs = _watch([detector], items)
        if isinstance(detector, Defers) and costs.deferred_s is None:
            continue
        spent_s = costs.by_detector[detector.name] + (costs.deferred_s or 0.0)
        found[detector.name] = float(f"{1e3 * spent_s * 60 / length_s:.3g}")
    return Costs(machine=_machine(), seconds=round(length_s, 1), cpu_ms_per_minute=found)


def _machine() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names and names[0] else platform.machine() or "unknown"


def _words(length_s: float) -> list[Input]:
    """A sentence every four seconds, as a recogniser tells it, in nodes of half a minute."""
    statement = {"zh": "本产品不保本，投资有风险，您可能会损失全部本金。"}
    answer = {"speaker": "customer", "lexicon": [], "window_s": 5, "retries": 0}
    items: list[Input] = [Mark("participant.joined", 0, "customer", {"role": "customer"})]
    for at_s in range(0, int(length_s), 4):
        start_us, end_us = at_s * 1_000_000, at_s * 1_000_000 + 3_000_000
        if at_s % 32 == 0:
            items.append(
                Mark(
                    "node.started",
                    start_us,
                    data={
                        "code": f"n{at_s}",
                        "kind": "question",
                        "required_statements": [statement],
                        "answer": answer,
                    },
                )
            )
        text = _SENTENCES[at_s // 4 % len(_SENTENCES)]
        step_us = 3_000_000 // len(text)
        words = tuple(
            Word(one, start_us + index * step_us, start_us + (index + 1) * step_us)
            for index, one in enumerate(text)
        )
        items.append(Utterance("customer", "microphone", start_us, end_us, text, words, 0.9, "zh"))
        items.append(Heard("customer", "microphone", start_us, end_us + 1_000_000))
    return items


_SENTENCES: Final = (
    "您好，今天想了解一下这款产品的期限和费用。",
    "这个产品是不保本的，投资有风险，您的本金有可能全部损失。",
    "请问您是否清楚以上内容？",
    "好的，我清楚，我同意。",
)


def _time(item: Input) -> int:
    match item:
        case VideoFrame(pts_us=at_us) | AudioChunk(pts_us=at_us) | Mark(at_us=at_us):
            return at_us
        case Utterance(end_us=at_us) | Heard(end_us=at_us) | Finding(end_us=at_us):
            return at_us
    raise TypeError(type(item).__name__)


def _first(
    clip: Clip, directory: Path, seconds: float, rate_hz: float
) -> Iterator[VideoFrame | AudioChunk]:
    for item in items_of(clip, directory, {"camera": rate_hz}, _SIZE[1], 96):
        if isinstance(item, VideoFrame | AudioChunk):
            if item.pts_us > seconds * 1e6:
                return
            yield item


def _watch(detectors: Sequence[Detector], items: Sequence[Input]) -> _Costs:
    costs = _Costs({detector.name: 0.0 for detector in detectors})
    watches = [_Watching(detector, _begin(detector)) for detector in detectors]
    # The first inference of a network allocates; that is no cost of watching.
    for item in items[:4]:
        _give(watches, item, _Costs({detector.name: 0.0 for detector in detectors}))
    watches = [_Watching(detector, _begin(detector)) for detector in detectors]
    for item in items:
        if isinstance(item, VideoFrame | AudioChunk):
            item.shared.clear()
        before = sum(costs.by_detector.values())
        _give(watches, item, costs)
        costs.items.append((_time(item), sum(costs.by_detector.values()) - before))
    return costs


def _begin(detector: Detector) -> Watch:
    roles = {"customer": "customer"}
    if detector.card.scope is Scope.SESSION:
        return detector.watch(Subject("bench", roles=roles))
    track = "camera" if detector.needs.video else "microphone"
    track = track if detector.card.scope is Scope.TRACK else ""
    return detector.watch(Subject("bench", "customer", track, "customer", roles))


@dataclass(slots=True)
class _Watching:
    detector: Detector
    watch: Watch
    pace: Pace | None = None
    prepares: Prepares | None = None

    def __post_init__(self) -> None:
        if (video := self.detector.needs.video) is not None:
            self.pace = Pace(video)
        if isinstance(self.detector, Prepares):
            self.prepares = self.detector

    def wants(self, item: Input) -> bool:
        """Whether the host would give it this input."""
        needs = self.detector.needs
        match item:
            case VideoFrame():
                return self.pace is not None and self.pace.takes(item.track_id, item.pts_us)
            case AudioChunk():
                return needs.audio is not None
            case Utterance() | Heard():
                return needs.words
            case Mark():
                return needs.marks
        return False


def _give(watches: Sequence[_Watching], item: Input, costs: _Costs) -> None:
    for one in watches:
        if not one.wants(item):
            continue
        detector = one.detector
        began = time.process_time()
        if isinstance(item, VideoFrame) and one.prepares is not None:
            one.prepares.prepare([item])
        one.watch.process(item)
        costs.by_detector[detector.name] += time.process_time() - began
        while isinstance(detector, Defers) and detector.waiting:
            began = time.process_time()
            if detector.work() is None:
                break
            costs.deferred_s = (costs.deferred_s or 0.0) + time.process_time() - began


def queue_delays(
    items: Sequence[tuple[int, float]], length_s: float, participants: int, seed: int = 1
) -> dict[str, float] | None:
    """How long inputs wait when so many participants share one core, in virtual time.

    Args:
        items: when each input of one participant comes, in µs, and the seconds it takes.
        length_s: of them.
        participants: each with these inputs, begun at a time of its own.
        seed: of the beginnings.

    Returns:
        ``p50``, ``p95`` and ``max`` in ms; ``None`` if the core can't keep up.
    """
    if sum(cost for _, cost in items) * participants >= length_s:
        return None
    rng = random.Random(seed)  # noqa: S311 - no secret
    arrivals: list[tuple[float, float]] = []
    for _ in range(participants):
        offset_s = rng.random() * length_s
        arrivals += (((at_us / 1e6 + offset_s) % length_s, cost) for at_us, cost in items)
    free_s, waits = 0.0, []
    for at_s, cost in sorted(arrivals):
        waits.append(max(free_s - at_s, 0.0))
        free_s = max(free_s, at_s) + cost
    p50, p95, worst = np.percentile(np.array(waits) * 1e3, [50, 95, 100])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2), "max": round(float(worst), 2)}


def hummed(seconds: float) -> Samples:
    """Somebody hums four syllables a second for four seconds in ten; then another has the word."""
    at = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    loud = 0.3 * (at % 10 < 4) * (np.sin(at * 2 * np.pi * 4) > 0)
    return (loud * np.sin(at * 2 * np.pi * 140)).astype(np.float32)


def spoken(sentences: Sentences, seconds: float, seed: int = 1) -> Samples:
    """Somebody says as many of these sentences as there is time for, four seconds in ten.

    Raises:
        EvalError: a file can't be opened.
        BenchError: there are none.
    """
    names = sorted(sentences.texts)
    if not names:
        path = sentences.folder / "sentences.json"
        raise BenchError(t("{path} lists no sentences").format(path=path))
    samples = np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)
    order = np.random.default_rng(seed).permutation(names)
    at = 0
    for name in itertools.cycle(order):
        sound = sentences.sound(str(name))
        if at + len(sound) > len(samples):
            return samples
        samples[at : at + len(sound)] = sound
        at += max(SAMPLE_RATE_HZ, round(2.5 * len(sound)))
    raise AssertionError


def make_film(frames: Sequence[Any], sound: Samples, path: Path) -> None:
    """A Matroska film of these pictures, to and fro, and this sound: what a host gets.

    Args:
        frames: those of 15 pictures a second, of which the lower temporal layer has every other.
        sound: 16 kHz; as long as it is, so is the film. A quiet room is added.
        path: ends in ``.mkv``.
    """
    import av

    rng = np.random.default_rng(1)
    room = rng.normal(0, 0.001, len(sound)).astype(np.float32)
    turn = [*frames, *frames[-2:0:-1]][::2]
    rate = Fraction(_FPS)
    count = SAMPLE_RATE_HZ // 50
    with av.open(str(path), "w") as container:
        options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
        video = container.add_stream("libvpx", rate=rate, options=options)
        video.width, video.height = _SIZE
        video.pix_fmt, video.bit_rate = "yuv420p", 300_000
        audio = container.add_stream("libopus", rate=48_000, layout="mono")
        to_audio = av.AudioResampler("flt", "mono", 48_000, frame_size=960)
        # Pieces of 20 ms, and the pictures between them.
        shown = 0
        for index in range(len(sound) // count):
            if index / 50 >= shown / _FPS:
                picture = av.VideoFrame.from_ndarray(turn[shown % len(turn)], format="rgb24")
                picture = picture.reformat(width=_SIZE[0], height=_SIZE[1], format="yuv420p")
                picture.pts, picture.time_base = shown, 1 / rate
                container.mux(video.encode(picture))
                shown += 1
            piece = slice(index * count, (index + 1) * count)
            wave = np.clip(sound[piece] + room[piece], -1, 1)
            heard = av.AudioFrame.from_ndarray(wave[None], format="flt", layout="mono")
            heard.sample_rate, heard.pts = SAMPLE_RATE_HZ, index * count
            heard.time_base = Fraction(1, SAMPLE_RATE_HZ)
            for frame in to_audio.resample(heard):
                container.mux(audio.encode(frame))
        for frame in to_audio.resample(None):
            container.mux(audio.encode(frame))
        for stream in (video, audio):
            container.mux(stream.encode())


def analytics_text(result: AnalyticsBenchResult) -> str:
    """The result for people."""
    delay = result.queue_delay_ms
    lines = [
        t("{count} watched participants on one core (target: {target})").format(
            count=result.participants_per_core, target=result.target
        ),
        t("decoding: {ms} ms for a second of one participant").format(ms=result.decode_ms_per_s),
    ]
    lines += [f"  {name}: {ms} ms" for name, ms in result.cpu_ms_per_s.items()]
    if result.deferred_ms_per_s is None:
        lines.append(t("recognising speech: not measured, nobody spoke (--speech)"))
    else:
        text = t("recognising speech, in its own thread: {ms} ms")
        lines.append(text.format(ms=result.deferred_ms_per_s))
    if delay is None:
        text = t("one core can't keep up with {count} participants")
        lines.append(text.format(count=result.target))
    else:
        text = t("waiting at {count} participants: {p50} ms (median), {p95} ms (95 %), {max} ms")
        lines.append(text.format(count=result.target, **delay))
    for name in result.left_out:
        lines.append(t("left out, its model is missing: {detector}").format(detector=name))
    return "\n".join(lines)
