"""Makes the set of clips: stories, people and channels, dealt out by a seed."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np

from analytics.errors import EvalError
from analytics.eval.coding import Channel, record
from analytics.eval.labels import Clip, ClipTrack, write_clip
from analytics.eval.material import Person
from analytics.eval.scene import HEIGHT, WIDTH, Camera, Shot
from analytics.eval.stories import SCORED, STORIES, Cast, Story
from analytics.vision.network import Image

__all__ = ["CHANNELS", "Plan", "full_set", "make_clip", "make_clips", "quick_set"]

CHANNELS: Final = (
    Channel("vp8", 400),
    Channel("h264", 400),
    Channel("vp8", 150),
    Channel("h264", 150),
    Channel("vp8", 900, 0.005),
    Channel("h264", 900, 0.005),
    Channel("vp8", 400, 0.02),
    Channel("h264", 400, 0.02),
)
STORY_S: Final = 25.0
CLEAN_S: Final = 60.0
_COUNTS: Final = {
    "absent": 24,
    "swap": 40,
    "phone": 40,
    "returns": 16,
    "mask": 12,
    "dim": 12,
    "black": 8,
    "frozen": 12,
    "small": 8,
    "extra": 12,
    "challenge": 32,
    "hand": 40,
    "cheek": 16,
    "hair": 16,
    "cup": 16,
    "back": 16,
    "document": 16,
    "twice": 8,
    "neighbours": 8,
    "same": 12,
    "together": 12,
}
_LENGTHS_S: Final = {"neighbours": 50.0, "same": 50.0}
_DARKER: Final = 0.92


@dataclass(frozen=True, slots=True)
class Plan:
    """A clip that is to be made.

    Attributes:
        story: name of one of :data:`STORIES`, or ``video`` for the man who talks.
        seed: of everything that is left to chance.
    """

    story: str
    seed: int
    channel: Channel
    length_s: float = STORY_S

    @property
    def name(self) -> str:
        """Name of the clip."""
        return f"{self.story}-{self.seed:05d}"


def full_set(clean_minutes: float, seed: int = 1) -> list[Plan]:
    """All stories through all channels, and so much time in which nothing happens."""
    plans = [
        Plan(
            story,
            seed * 10_000 + index,
            CHANNELS[index % len(CHANNELS)],
            _LENGTHS_S.get(story, STORY_S),
        )
        for story, count in _COUNTS.items()
        for index in range(count)
    ]
    kinds = ("clean", "clean", "clean", "still", "video")
    for index in range(round(clean_minutes * 60 / CLEAN_S)):
        channel = CHANNELS[index % len(CHANNELS)]
        plans.append(Plan(kinds[index % 5], seed * 10_000 + 1_000 + index, channel, CLEAN_S))
    return plans


def quick_set(seed: int = 1) -> list[Plan]:
    """A few clips of the targets, for a look in less than a minute; no figures to quote."""
    stories = ("absent", "swap", "phone", "clean")
    return [
        Plan(story, seed * 10_000 + 5_000 + index, CHANNELS[index % 2], 20.0)
        for index, story in enumerate(stories)
    ]


def make_clips(
    plans: Sequence[Plan],
    people: Sequence[Person],
    talking: Sequence[Image],
    directory: Path,
    workers: int = 1,
) -> Iterator[Clip]:
    """Makes clips and their labels; gives each as it is done.

    Raises:
        EvalError: there are fewer than two people.
    """
    if len(people) < 2:
        raise EvalError("clips need pictures of two people, there are {count}", count=len(people))
    directory.mkdir(parents=True, exist_ok=True)
    if workers <= 1:
        for plan in plans:
            yield make_clip(plan, people, talking, directory)
        return
    fresh = get_context("spawn")
    with ProcessPoolExecutor(workers, fresh, _share, (people, talking)) as pool:
        yield from pool.map(_make, plans, [directory] * len(plans))


_SHARED: dict[str, Sequence[Person] | Sequence[Image]] = {}


def _share(people: Sequence[Person], talking: Sequence[Image]) -> None:
    _SHARED["people"], _SHARED["talking"] = people, talking


def _make(plan: Plan, directory: Path) -> Clip:
    return make_clip(plan, _SHARED["people"], _SHARED["talking"], directory)  # type: ignore[arg-type]


def make_clip(
    plan: Plan, people: Sequence[Person], talking: Sequence[Image], directory: Path
) -> Clip:
    """Makes one clip and its label."""
    rng = np.random.default_rng([plan.seed, len(plan.story)])
    # Each person once before anybody comes again.
    first = plan.seed % len(people)
    second = (first + 1 + int(rng.integers(len(people) - 1))) % len(people)
    if plan.story == "video":
        story = Story(lambda _: Shot([]))
        frames = _talking(plan, talking)
    else:
        cast = Cast(people[first], people[second], rng)
        story = STORIES[plan.story](cast, plan.length_s)
        frames = _drawn(plan, story)
    file = f"{plan.name}.mkv"
    record(frames, plan.channel, directory / file, plan.seed)
    tracks = [ClipTrack(track_id="camera", participant_id="customer", role=story.role, file=file)]
    if story.other is not None:
        tracks.append(_second(plan, story, directory))
    clip = Clip(
        name=plan.name,
        duration_us=round(plan.length_s * 1e6),
        tracks=tuple(tracks),
        scored=_scored(story),
        events=story.events,
        marks=story.marks,
        tags={"story": plan.story, **plan.channel.tags, **story.tags},
        seed=plan.seed,
        id_photo={} if story.photo is None else {"customer": _photo(plan, story.photo, directory)},
    )
    write_clip(clip, directory)
    return clip


def _scored(story: Story) -> frozenset[str]:
    """Of a document all is known only where there is one."""
    return SCORED if story.photo is None else SCORED | {"id_match"}


def _second(plan: Plan, story: Story, directory: Path) -> ClipTrack:
    """The camera of the manager."""
    assert story.other is not None
    shot = story.other.shot
    file = f"{plan.name}-rm.mkv"
    # The same seed is the same room, with the same movements and noise.
    frames = _drawn(plan, story) if shot is None else _drawn(plan, replace(story, shot=shot), 500)
    if shot is None:
        frames = ((image * _DARKER).astype(np.uint8) for image in frames)
    channel = CHANNELS[(CHANNELS.index(plan.channel) + 1) % len(CHANNELS)]
    record(frames, channel, directory / file, plan.seed + 1)
    return ClipTrack(track_id="camera-rm", participant_id="rm", role="rm", file=file)


def _photo(plan: Plan, photo: Image, directory: Path) -> str:
    from PIL import Image as Pictures

    file = f"{plan.name}.jpg"
    Pictures.fromarray(photo).save(directory / file, "JPEG", quality=80)
    return file


def _drawn(plan: Plan, story: Story, elsewhere: int = 0) -> Iterator[Image]:
    camera = Camera(plan.seed + elsewhere, story.liveliness)
    for index in range(round(plan.length_s * plan.channel.rate_hz)):
        at_s = index / plan.channel.rate_hz
        yield camera.frame(story.shot(at_s), at_s)


def _talking(plan: Plan, frames: Sequence[Image]) -> Iterator[Image]:
    """The man who talks, to and fro, with the camera's light and noise of this seed."""
    import cv2

    rng = np.random.default_rng(plan.seed)
    gain, offset = rng.uniform(0.7, 1.15), rng.uniform(-10, 10)
    mirrored = bool(rng.random() < 0.5)
    noise = rng.normal(0, rng.uniform(0.5, 2.5), (4, HEIGHT, WIDTH, 3)).astype(np.float32)
    start = int(rng.integers(len(frames)))
    for index in range(round(plan.length_s * plan.channel.rate_hz)):
        place = (start + 3 * index) % (2 * len(frames) - 2)
        image = frames[place if place < len(frames) else 2 * len(frames) - 2 - place]
        if mirrored:
            image = np.ascontiguousarray(image[:, ::-1])
        wide = cv2.resize(image[::8, ::8], (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        width = round(image.shape[1] * HEIGHT / image.shape[0])
        left = (WIDTH - width) // 2
        wide[:, left : left + width] = cv2.resize(
            image, (width, HEIGHT), interpolation=cv2.INTER_CUBIC
        )
        made = wide.astype(np.float32) * gain + offset + noise[index % 4]
        yield np.clip(made, 0, 255).astype(np.uint8)
