"""Reports a face that can't be seen well: too small, too dark, covered, or cut off."""

from collections.abc import Sequence
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
    Outcome,
    Permission,
    Scope,
    Severity,
    Subject,
    Text,
    VideoFrame,
    VideoNeed,
)
from analytics.detectors.episode import Episodes, Rule
from analytics.models import Models
from analytics.vision import face as faces_of
from analytics.vision import mesh as mesh_of
from analytics.vision.face import Face, FaceModel, largest
from analytics.vision.mesh import MeshModel
from analytics.vision.picture import brightness, gray, thumbnail

__all__ = ["FaceQuality", "FaceQualityConfig"]

_KINDS: Final = ("face_too_small", "face_too_dark", "face_occluded", "face_cut_off")
_BEST: Final = 90
_DARK_SHARE: Final = 0.7
_LOST_US: Final = 4_000_000
"""Without a face for that long it is gone, not covered."""


class FaceQualityConfig(DetectorConfig):
    """Settings of ``face_quality``."""

    rate_hz: float = Field(default=1.0, gt=0, le=30, description="Frames looked at each second.")
    after_s: float = Field(default=3.0, gt=0, description="Shorter ones are not reported.")
    clear_s: float = Field(default=1.5, ge=0, description="Shorter improvements don't end it.")
    min_score: float = Field(
        default=0.6, ge=0.5, le=1, description="Score from which something counts as a face."
    )
    min_height: float = Field(
        default=0.13, ge=0, le=1, description="A smaller face is too small; share of the height."
    )
    min_light: float = Field(
        default=45.0, ge=0, le=255, description="A face of a lower mean brightness is too dark."
    )
    min_visible: float = Field(
        default=0.75,
        ge=0,
        le=1,
        description="A face of which less lies inside the picture is cut off.",
    )
    occluded_below: float = Field(
        default=0.45,
        ge=0,
        le=1,
        description="The certainty of the face mesh, as a share of this person's usual one, below "
        "which the face is covered.",
    )
    usual_samples: int = Field(
        default=8, ge=3, le=100, description="Faces seen before anything is said about covering."
    )


class FaceQuality:
    """Emits ``face_too_small``, ``face_too_dark``, ``face_occluded`` and ``face_cut_off``."""

    name: ClassVar[str] = "face_quality"
    version: ClassVar[str] = "2"
    Config: ClassVar[type[DetectorConfig]] = FaceQualityConfig
    card: ClassVar[Card] = Card(
        title=Text(zh="人脸质量", en="Quality of the face"),
        summary=Text(
            zh="人脸太小、太暗、被遮挡或出画时提示。",
            en="Says when the face is too small, too dark, covered, or partly outside the picture.",
        ),
        scope=Scope.TRACK,
        permissions=frozenset({Permission.FACE}),
        models=(faces_of.MODEL, mesh_of.MODEL),
        kinds=(
            FindingKind(
                "face_too_small",
                Text(zh="人脸太小", en="Face too small"),
                Text(
                    zh="人脸高度仅占画面的 {height}，请靠近镜头。",
                    en="The face has {height} of the picture's height; come closer.",
                ),
                Severity.INFO,
            ),
            FindingKind(
                "face_too_dark",
                Text(zh="人脸太暗", en="Face too dark"),
                Text(
                    zh="人脸平均亮度 {light}，请改善光线。",
                    en="The face has a mean brightness of {light}; more light is needed.",
                ),
                Severity.INFO,
            ),
            FindingKind(
                "face_occluded",
                Text(zh="人脸被遮挡", en="Face covered"),
                Text(
                    zh="人脸特征只有平时的 {share}，可能被口罩、手或物体遮挡。",
                    en="The face is found with {share} of the usual certainty: a mask, a hand or "
                    "a thing may cover it.",
                ),
            ),
            FindingKind(
                "face_cut_off",
                Text(zh="人脸出画", en="Face partly outside"),
                Text(
                    zh="只有 {visible} 的人脸在画面内。",
                    en="Only {visible} of the face is inside the picture.",
                ),
                Severity.INFO,
            ),
        ),
        limits=Text(
            zh="遮挡是与本人开始时的样子比较得出的：一开始就戴口罩不会被发现；转头、模糊也会降低该值。"
            "亮度不等于可辨认：逆光、偏色不作判断。",
            en="Covering is judged against the same person's first seconds: a mask worn from the "
            "start is not found, and a turned head or blur lowers the measure too. Light from "
            "behind and wrong colours are not judged.",
        ),
        unknown_when=Text(
            zh="画面中没有人脸，或对该人的观察还不够时。",
            en="There is no face, or it was not seen often enough yet.",
        ),
    )

    def __init__(self, config: FaceQualityConfig, faces: FaceModel, meshes: MeshModel) -> None:
        self.config = config
        self.faces = faces
        self.meshes = meshes

    @classmethod
    def load(cls, config: FaceQualityConfig, models: Models) -> Self:
        """Opens the face detector and the mesh."""
        return cls(
            config,
            models.loaded(faces_of.MODEL, FaceModel.load),
            models.loaded(mesh_of.MODEL, MeshModel.load),
        )

    @property
    def needs(self) -> Needs:
        """Frames of cameras."""
        return Needs(video=VideoNeed(rate_hz=self.config.rate_hz, height=180))

    def prepare(self, frames: Sequence[VideoFrame]) -> None:
        """Finds the faces of several frames."""
        self.faces.prepare(frames)

    def watch(self, subject: Subject) -> "FaceQualityWatch":
        """Starts to watch a track."""
        return FaceQualityWatch(self, subject)


class FaceQualityWatch:
    """How well the face on one track can be seen."""

    def __init__(self, detector: FaceQuality, subject: Subject) -> None:
        self._detector = detector
        config = detector.config
        self._rules = {kind: Rule(kind, config.after_s, config.clear_s) for kind in _KINDS}
        # Without light the mesh says nothing of covering.
        self._unsure = Rule(
            "face_occluded", config.after_s, config.clear_s, outcome=Outcome.UNKNOWN
        )
        self._episodes = Episodes(
            (*self._rules.values(), self._unsure), subject.participant_id, subject.track_id
        )
        self._seen: list[float] = []
        self._face_us: int | None = None

    def process(self, item: Input) -> list[Finding]:
        """Takes the next frame."""
        if not isinstance(item, VideoFrame):
            return []
        config = self._detector.config
        face = largest(self._detector.faces.faces(item, config.min_score))
        if face is None:
            # What is too dark to find a face in is too dark for the face.
            light, _ = brightness(thumbnail(item))
            dark = light < _DARK_SHARE * config.min_light
            states: dict[str, tuple[bool | None, str, float]] = {}
            if dark:
                states["face_too_dark"] = (dark, "light", float(round(light)))
            elif self._face_us is not None and item.pts_us - self._face_us <= _LOST_US:
                # A covered face is found now and then only: that it isn't now says nothing.
                states["face_occluded"] = (None, "share", 0.0)
            return self._say(item, None, states)
        self._face_us = item.pts_us
        visible = face.region.inside(item.image)
        area = max(face.region.width * face.region.height, 1e-6)
        height = face.region.height / item.image.shape[0]
        inside = min(visible.width * visible.height / area, 1.0)
        light = _light(item, face)
        states = {
            "face_too_small": (height < config.min_height, "height", round(height, 2)),
            "face_too_dark": (light < config.min_light, "light", round(light)),
            "face_cut_off": (inside < config.min_visible, "visible", round(inside, 2)),
            "face_occluded": (None, "share", 0.0),
        }
        if not any(held for held, _, _ in states.values()):
            share = self._share(item, face)
            covered = None if share is None else share < config.occluded_below
            states["face_occluded"] = (covered, "share", round(share or 0.0, 2))
        return self._say(item, face, states)

    def _share(self, item: VideoFrame, face: Face) -> float | None:
        """Certainty of the mesh as a share of this person's usual one."""
        config = self._detector.config
        presence = self._detector.meshes.mesh(item, face).presence
        if len(self._seen) < config.usual_samples:
            self._seen.append(presence)
            return None
        usual = float(np.percentile(self._seen, _BEST))
        return min(max(presence / usual, 0.0), 1.0) if usual > 1 else None

    def _say(
        self, item: VideoFrame, face: Face | None, states: dict[str, tuple[bool | None, str, float]]
    ) -> list[Finding]:
        found: list[Finding] = []
        frame = None
        if face is not None:
            frame = FrameRef(item.track_id, item.pts_us, face.region.box(item.image), "face")
        for kind in _KINDS:
            holds, name, value = states.get(kind, (False, "", 0.0))
            found += self._episodes[self._rules[kind]].update(
                item.pts_us, holds, values={name: value}, frame=frame
            )
        is_dark = bool(states.get("face_too_dark", (False, "", 0.0))[0])
        return found + self._episodes[self._unsure].update(
            item.pts_us, is_dark, values={"share": 0.0}, frame=frame
        )

    def flush(self, at_us: int) -> list[Finding]:
        """Ends what goes on; whoever comes next is looked at anew."""
        self._seen.clear()
        self._face_us = None
        return self._episodes.flush(at_us)


def _light(item: VideoFrame, face: Face) -> float:
    """Mean brightness of the face's middle."""
    region = face.region.inside(item.image)
    x, y = region.centre
    half_x, half_y = region.width * 0.35, region.height * 0.35
    height, width = item.image.shape[:2]
    top = min(max(int(y - half_y), 0), height - 1)
    left = min(max(int(x - half_x), 0), width - 1)
    part = item.image[top : max(int(y + half_y), top + 1), left : max(int(x + half_x), left + 1)]
    return float(gray(np.ascontiguousarray(part)).mean())
