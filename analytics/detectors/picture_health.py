"""Reports a picture that is black or stands still."""

from collections import deque
from typing import ClassVar, Final, Self

import numpy as np
from pydantic import Field

from analytics.detector import (
    Card,
    DetectorConfig,
    Finding,
    FindingKind,
    FrameRef,
    Input,
    Needs,
    Permission,
    Scope,
    Subject,
    Text,
    VideoFrame,
    VideoNeed,
)
from analytics.detectors.episode import Episodes, Rule
from analytics.models import Models
from analytics.vision.network import Image
from analytics.vision.picture import brightness, changes, thumbnail

__all__ = ["PictureHealth", "PictureHealthConfig"]

_MAX_PAIRS: Final = 600
_REPEATED_MOST: Final = 0.8
_MOVED: Final = 2.5
_MOVED_BLOCKS: Final = 75
"""Blocks that loss has damaged are fewer than a quarter; who moves changes more."""


class PictureHealthConfig(DetectorConfig):
    """Settings of ``picture_health``."""

    rate_hz: float = Field(default=2.0, gt=0, le=30, description="Frames looked at each second.")
    black_below: float = Field(
        default=20.0, ge=0, le=255, description="A picture of a lower mean brightness may be black."
    )
    black_spread: float = Field(
        default=6.0, ge=0, le=255, description="A black picture's brightness varies less than that."
    )
    black_after_s: float = Field(default=2.0, gt=0, description="Shorter ones are not reported.")
    frozen_change: float = Field(
        default=0.06,
        ge=0,
        le=255,
        description="Change of brightness, in the middle of all blocks, up to which a frame "
        "repeats the one before. Noise of a camera is above it.",
    )
    frozen_share: float = Field(
        default=0.35,
        gt=0,
        le=1,
        description="Share of repeated frames from which a picture stands still; the others are "
        "an encoder at work on a still picture.",
    )
    frozen_after_s: float = Field(default=5.0, gt=0, description="Shorter ones are not reported.")


class PictureHealth:
    """Emits ``picture_black`` and ``picture_frozen``."""

    name: ClassVar[str] = "picture_health"
    version: ClassVar[str] = "1"
    Config: ClassVar[type[DetectorConfig]] = PictureHealthConfig
    card: ClassVar[Card] = Card(
        title=Text(zh="画面状态", en="State of the picture"),
        summary=Text(
            zh="画面全黑或长时间静止不动时提示。",
            en="Says when the picture is black, or repeats one frame.",
        ),
        scope=Scope.TRACK,
        permissions=frozenset({Permission.PICTURE}),
        kinds=(
            FindingKind(
                "picture_black",
                Text(zh="画面全黑", en="Black picture"),
                Text(
                    zh="平均亮度 {brightness}，几乎没有变化：镜头可能被遮挡或关闭。",
                    en="Mean brightness {brightness} and hardly any structure: the lens may be "
                    "covered or off.",
                ),
            ),
            FindingKind(
                "picture_frozen",
                Text(zh="画面静止", en="Frozen picture"),
                Text(
                    zh="{share} 的帧与前一帧完全相同，连摄像头噪点也没有。",
                    en="{share} of the frames repeat the one before, without a camera's noise.",
                ),
            ),
        ),
        limits=Text(
            zh="只看画面内容：没有收到任何帧时由服务器另行记录。循环播放的录像、带噪点的静止照片不会"
            "被发现；码率极低时编码器会抹去噪点，长时间完全不动的人可能被误报。",
            en="It sees pictures only: that no frames come at all is told elsewhere. A recording "
            "that plays in a loop, or a photo with noise added, is not found; at very low bit "
            "rates the encoder removes noise, and a person who doesn't move may be reported.",
        ),
        unknown_when=Text(zh="没有收到画面时。", en="There are no frames."),
    )

    def __init__(self, config: PictureHealthConfig) -> None:
        self.config = config

    @classmethod
    def load(cls, config: PictureHealthConfig, models: Models) -> Self:  # noqa: ARG003 - interface
        """Needs no model."""
        return cls(config)

    @property
    def needs(self) -> Needs:
        """Frames of cameras and screens."""
        return Needs(video=VideoNeed(rate_hz=self.config.rate_hz, height=180))

    def watch(self, subject: Subject) -> "PictureHealthWatch":
        """Starts to watch a track."""
        return PictureHealthWatch(self.config, subject)


class PictureHealthWatch:
    """Light and movement of one track."""

    def __init__(self, config: PictureHealthConfig, subject: Subject) -> None:
        self._config = config
        self._black = Rule("picture_black", config.black_after_s, 0.5)
        self._frozen = Rule("picture_frozen", 0.0, 0.0)
        rules = (self._black, self._frozen)
        self._episodes = Episodes(rules, subject.participant_id, subject.track_id)
        self._pairs: deque[tuple[int, bool]] = deque(maxlen=_MAX_PAIRS)
        self._before: Image | None = None
        self._anchor: Image | None = None

    def process(self, item: Input) -> list[Finding]:
        """Takes the next frame."""
        if not isinstance(item, VideoFrame):
            return []
        config = self._config
        small = thumbnail(item)
        light, spread = brightness(small)
        is_black = light < config.black_below and spread < config.black_spread
        frame = FrameRef(item.track_id, item.pts_us)
        found = self._episodes[self._black].update(
            item.pts_us, is_black, values={"brightness": round(light)}, frame=frame
        )
        share = 0.0 if is_black else self._share_repeated(item.pts_us, small)
        return found + self._episodes[self._frozen].update(
            item.pts_us,
            share >= config.frozen_share,
            values={"share": f"{share:.0%}"},
            frame=frame,
            since_us=self._pairs[0][0] if self._pairs else None,
        )

    def _share_repeated(self, at_us: int, small: Image) -> float:
        """Share of frames of the last seconds that repeat the one before; 0 if something moved."""
        before, self._before = self._before, small
        if before is None or self._anchor is None:
            self._start(small)
            return 0.0
        change = changes(before, small)
        moved = changes(self._anchor, small)
        if np.percentile(moved, _MOVED_BLOCKS) > _MOVED:
            self._start(small)
            return 0.0
        middle, most = float(np.median(change)), float(change.max())
        repeats = middle <= self._config.frozen_change and most < _REPEATED_MOST
        self._pairs.append((at_us, repeats))
        after_us = self._config.frozen_after_s * 1e6
        while len(self._pairs) > 1 and at_us - self._pairs[1][0] >= after_us:
            self._pairs.popleft()
        if at_us - self._pairs[0][0] < after_us:
            return 0.0
        return sum(one for _, one in self._pairs) / len(self._pairs)

    def _start(self, small: Image) -> None:
        self._anchor = small
        self._pairs.clear()

    def flush(self, at_us: int) -> list[Finding]:
        """Ends what goes on; what comes next is not compared with what was."""
        self._before = self._anchor = None
        self._pairs.clear()
        return self._episodes.flush(at_us)
