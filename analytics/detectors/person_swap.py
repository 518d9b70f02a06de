"""Reports when somebody else has taken a person's place, or isn't who the document shows."""

from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

import numpy as np
from pydantic import Field, model_validator

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
    Portrait,
    Scope,
    Severity,
    Subject,
    Text,
    VideoFrame,
    VideoNeed,
)
from analytics.detectors.episode import Episodes, Rule
from analytics.detectors.identity import MODELS, FaceComparer, Verdict, Votes
from analytics.models import Models
from analytics.vision.embedding import likeness, mean
from analytics.vision.face import Face
from analytics.vision.geometry import crop, overlap
from analytics.vision.network import Array, Image
from analytics.vision.picture import gray

__all__ = ["PersonSwap", "PersonSwapConfig"]

_JUMPED: Final = 0.2
_SOON_S: Final = 1.0
_LIKE_BEFORE: Final = 0.6
"""Correlation with the face of the frame before below which it may be another one."""
_LOOK: Final = (16, 16)


class PersonSwapConfig(DetectorConfig):
    """Settings of ``person_swap``."""

    rate_hz: float = Field(default=2.0, gt=0, le=30, description="Frames looked at each second.")
    min_score: float = Field(
        default=0.8, ge=0.5, le=1, description="Score from which a face can be compared."
    )
    min_pixels: float = Field(
        default=56.0, ge=16, description="A face of fewer pixels in height is not compared."
    )
    max_turn: float = Field(
        default=0.6,
        gt=0,
        le=1,
        description="A face turned further is not compared; 1 is a profile.",
    )
    enrol_samples: int = Field(
        default=4, ge=2, le=16, description="Faces at the start that say who it is."
    )
    enrol_every_s: float = Field(
        default=1.0, ge=0, description="Time between two faces of the start."
    )
    sample_every_s: float = Field(
        default=4.0, gt=0, description="Time between two comparisons while nothing is doubtful."
    )
    same_above: float = Field(
        default=0.42, ge=-1, le=1, description="Likeness from which a face is the same person's."
    )
    other_below: float = Field(
        default=0.32, ge=-1, le=1, description="Likeness below which a face is another person's."
    )
    samples: int = Field(
        default=3, ge=1, le=16, description="Faces that have to agree before anything is said."
    )
    unknown_after_s: float = Field(
        default=15.0, gt=0, description="Not knowing who it is, is reported after that long."
    )

    @model_validator(mode="after")
    def _has_hysteresis(self) -> Self:
        if self.other_below > self.same_above:
            raise ValueError("other_below must not be greater than same_above")
        return self


class PersonSwap:
    """Emits ``person_swapped``, ``id_match`` and ``id_mismatch``."""

    name: ClassVar[str] = "person_swap"
    version: ClassVar[str] = "2"
    Config: ClassVar[type[DetectorConfig]] = PersonSwapConfig
    card: ClassVar[Card] = Card(
        title=Text(zh="换人", en="Person swapped"),
        summary=Text(
            zh="把当前人脸与会话开始时的人脸、以及（如有）证件照比较。",
            en="Compares the face with that of the session's start and, where given, with the "
            "photo on the identity document.",
        ),
        scope=Scope.PARTICIPANT,
        permissions=frozenset({Permission.FACE, Permission.IDENTITY}),
        models=MODELS,
        kinds=(
            FindingKind(
                "person_swapped",
                Text(zh="可能换人", en="Another person"),
                Text(
                    zh="与开始时的人脸相似度为 {likeness}（低于 {limit}）。",
                    en="The likeness with the face of the start is {likeness}, below {limit}.",
                ),
                Severity.CRITICAL,
            ),
            FindingKind(
                "id_match",
                Text(zh="与证件照相符", en="Like the document's photo"),
                Text(
                    zh="与证件照的相似度为 {likeness}。",
                    en="The likeness with the photo is {likeness}.",
                ),
                Severity.INFO,
            ),
            FindingKind(
                "id_mismatch",
                Text(zh="与证件照不符", en="Unlike the document's photo"),
                Text(
                    zh="与证件照的相似度为 {likeness}（低于 {limit}）。",
                    en="The likeness with the photo is {likeness}, below {limit}.",
                ),
                Severity.CRITICAL,
            ),
        ),
        limits=Text(
            zh="阈值来自少量公开照片，必须用自己的数据校准。近亲和长相相近的人可能不被发现；妆容、眼镜、"
            "光线、低码率会降低相似度。开始几秒内的人被当作本人。不做活体判断：照片和换脸软件不会被发现。"
            "人脸特征只留在该次观察的内存里。",
            en="The thresholds stem from few public photos and have to be calibrated on your own. "
            "Relatives may not be told apart; make-up, glasses, light and low bit rates lower the "
            "likeness. Whoever is there in the first seconds counts as the right person. It is no "
            "test of liveness: photos and face-swapping software are not found. Templates stay in "
            "the memory of the watch.",
        ),
        unknown_when=Text(
            zh="长时间没有可比较的人脸（太小、侧脸、出画）、相似度介于两个阈值之间、开始时的人脸互不相符，"
            "或证件照上没有人脸时。",
            en="For long no face could be compared (small, turned, outside), the likeness lay "
            "between the limits, or the faces of the start weren't alike; or the document's photo "
            "shows none.",
        ),
    )

    def __init__(self, config: PersonSwapConfig, comparer: FaceComparer) -> None:
        self.config = config
        self.comparer = comparer

    @classmethod
    def load(cls, config: PersonSwapConfig, models: Models) -> Self:
        """Opens the networks that compare faces."""
        return cls(config, FaceComparer.load(models))

    @property
    def needs(self) -> Needs:
        """Frames of cameras, large enough to compare faces, and the document's photo."""
        return Needs(
            video=VideoNeed(rate_hz=self.config.rate_hz, height=360),
            id_photo=frozenset({"id_match", "id_mismatch"}),
        )

    def watch(self, subject: Subject) -> "PersonSwapWatch":
        """Starts to watch a participant."""
        return PersonSwapWatch(self, subject)


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photo of a document; no template: it shows no face."""

    template: Array | None


class PersonSwapWatch:
    """Who one participant is, and whether they still are."""

    def __init__(self, detector: PersonSwap, subject: Subject) -> None:
        self._detector = detector
        self._subject = subject
        config = detector.config
        self._enrolled: list[Array] = []
        self._votes = Votes(config.same_above, config.other_below, config.samples)
        self._swapped = Rule("person_swapped", 0.0, 0.0, gap_s=60.0)
        self._unknown = Rule(
            "person_swapped", config.unknown_after_s, 0.0, gap_s=60.0, outcome=Outcome.UNKNOWN
        )
        rules = (self._swapped, self._unknown)
        self._episodes = Episodes(rules, subject.participant_id)
        self._sampled_us: int | None = None
        self._last: Face | None = None
        self._look: Array | None = None
        self._photo: _Photo | None = None
        if subject.id_photo is not None:
            self._show(subject.id_photo)
            self._subject = replace(subject, id_photo=None)

    def _show(self, photo: Image) -> None:
        """Takes the document's photo: its template is enough."""
        self._photo = _Photo(self._detector.comparer.of_photo(photo))

    def process(self, item: Input) -> list[Finding]:
        """Takes the next frame, or the document's photo."""
        if isinstance(item, Portrait):
            self._show(item.image)
            return []
        if not isinstance(item, VideoFrame):
            return []
        config = self._detector.config
        face = self._detector.comparer.candidate(
            item,
            self._last,
            min_score=config.min_score,
            min_pixels=config.min_pixels,
            max_turn=config.max_turn,
        )
        last, self._last = self._last, face
        broke = not (face and last and overlap(face.region, last.region) >= _JUMPED)
        look, self._look = self._look, None if face is None else _look(item, face)
        if look is not None and self._look is not None:
            broke = broke or float((look * self._look).sum()) < _LIKE_BEFORE
        found: list[Finding] = []
        if face is not None and self._is_due(item.pts_us, broke=broke):
            self._sampled_us = item.pts_us
            embedding = self._detector.comparer.sample(item, face).embedding
            if self._is_enrolled:
                found += self._judge(item, face, embedding)
                found += self._compare_photo(item, face)
            else:
                found += self._enrol(item, face, embedding)
        is_told = face is not None and self._is_enrolled and not self._votes.is_undecided
        return found + self._episodes[self._unknown].update(item.pts_us, not is_told)

    @property
    def _is_enrolled(self) -> bool:
        """Whether it is known who was there at the start."""
        return len(self._enrolled) >= self._detector.config.enrol_samples

    def _is_due(self, at_us: int, *, broke: bool) -> bool:
        config = self._detector.config
        if self._sampled_us is None:
            return True
        passed_s = (at_us - self._sampled_us) / 1e6
        if not self._is_enrolled:
            return passed_s >= config.enrol_every_s
        # A face that fits badly is looked at in the next frame, one that came back or jumped soon.
        if self._votes.is_contested:
            return True
        if broke or self._votes.is_doubtful:
            return passed_s >= min(_SOON_S, config.sample_every_s)
        return passed_s >= config.sample_every_s

    def _enrol(self, item: VideoFrame, face: Face, embedding: Array) -> list[Finding]:
        config = self._detector.config
        if self._enrolled and likeness(embedding, mean(self._enrolled)) < config.same_above:
            # Two faces that differ can't both say who it is: begin again with this one.
            self._enrolled = []
        self._enrolled.append(embedding)
        return self._compare_photo(item, face) if self._is_enrolled else []

    def _compare_photo(self, item: VideoFrame, face: Face) -> list[Finding]:
        config = self._detector.config
        if self._photo is None:
            return []
        template, self._photo = self._photo.template, None
        like = None if template is None else likeness(template, mean(self._enrolled))
        kind, outcome = "id_mismatch", Outcome.UNKNOWN
        if like is not None and like >= config.same_above:
            kind, outcome = "id_match", Outcome.PASS
        elif like is not None and like < config.other_below:
            outcome = Outcome.FAIL
        return [
            Finding(
                kind,
                item.pts_us,
                item.pts_us,
                outcome,
                score=None if like is None else _share(like),
                participant_id=self._subject.participant_id,
                track_id=item.track_id,
                values={"likeness": round(like or 0.0, 2), "limit": config.other_below},
                frames=(_frame(item, face, "face"),),
            )
        ]

    def _judge(self, item: VideoFrame, face: Face, embedding: Array) -> list[Finding]:
        verdict = self._votes.take(likeness(embedding, mean(self._enrolled)), item.pts_us)
        like = self._votes.likeness
        return self._episodes[self._swapped].update(
            item.pts_us,
            verdict is Verdict.OTHER,
            score=_share(1 - like),
            values={"likeness": round(like, 2), "limit": self._detector.config.other_below},
            frame=_frame(item, face, "other"),
            since_us=self._votes.since_us,
        )

    def flush(self, at_us: int) -> list[Finding]:
        """Ends what goes on; who was enrolled stays, should they come back."""
        self._last = self._look = None
        self._sampled_us = None
        self._votes.forget()
        return self._episodes.flush(at_us)


def _frame(item: VideoFrame, face: Face, label: str) -> FrameRef:
    return FrameRef(item.track_id, item.pts_us, face.region.box(item.image), label)


def _look(item: VideoFrame, face: Face) -> Array:
    """The face as a few gray values, without light and contrast: cheap to correlate."""
    small = gray(crop(item.image, face.region, _LOOK)).astype(np.float32)
    small -= small.mean()
    length = float(np.linalg.norm(small))
    if length < 1:
        return np.full(_LOOK, 1 / _LOOK[0], np.float32)
    return np.asarray(small / length, np.float32)


def _share(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), 3)
