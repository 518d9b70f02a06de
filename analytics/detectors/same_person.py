"""Reports one person on the cameras of two participants."""

from itertools import combinations
from typing import ClassVar, Final, Self

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
    Severity,
    Subject,
    Text,
    VideoFrame,
    VideoNeed,
)
from analytics.detectors.episode import Episode, Rule
from analytics.detectors.identity import MODELS, FaceComparer
from analytics.models import Models
from analytics.vision.embedding import likeness
from analytics.vision.network import Array

__all__ = ["SamePerson", "SamePersonConfig"]

_MAX_PARTICIPANTS: Final = 16


class SamePersonConfig(DetectorConfig):
    """Settings of ``same_person``."""

    rate_hz: float = Field(default=0.5, gt=0, le=30, description="Frames looked at each second.")
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
    sample_every_s: float = Field(
        default=10.0, gt=0, description="Time between two faces of one participant."
    )
    alike: float = Field(
        default=0.5, ge=-1, le=1, description="Likeness from which two faces are one person's."
    )
    samples: int = Field(
        default=3, ge=1, le=16, description="Comparisons that have to agree, one after another."
    )


class SamePerson:
    """Emits ``same_person``."""

    name: ClassVar[str] = "same_person"
    version: ClassVar[str] = "1"
    Config: ClassVar[type[DetectorConfig]] = SamePersonConfig
    card: ClassVar[Card] = Card(
        title=Text(zh="同一人出现在两处", en="One person, two participants"),
        summary=Text(
            zh="两位参与者的摄像头里是否为同一个人。",
            en="Whether the cameras of two participants show the same person.",
        ),
        scope=Scope.SESSION,
        permissions=frozenset({Permission.FACE, Permission.IDENTITY}),
        models=MODELS,
        kinds=(
            FindingKind(
                "same_person",
                Text(zh="两位参与者疑似同一人", en="Two participants look like one person"),
                Text(
                    zh="两路画面中人脸的相似度为 {likeness}（不低于 {limit}）。",
                    en="The likeness of the faces of two participants is {likeness}, at least "
                    "{limit}.",
                ),
                Severity.CRITICAL,
            ),
        ),
        limits=Text(
            zh="双胞胎和近亲会被当作同一人；阈值来自少量公开照片，须用自己的数据校准。"
            "每位参与者只看最大的人脸。人脸特征只留在该次观察的内存里。",
            en="Twins and relatives count as one person; the threshold stems from few public "
            "photos and has to be calibrated. Only the largest face of each camera is looked at. "
            "Templates stay in the memory of the watch.",
        ),
        unknown_when=Text(
            zh="没有可比较的人脸时不作判断。", en="Nothing is said where no face can be compared."
        ),
    )

    def __init__(self, config: SamePersonConfig, comparer: FaceComparer) -> None:
        self.config = config
        self.comparer = comparer

    @classmethod
    def load(cls, config: SamePersonConfig, models: Models) -> Self:
        """Opens the networks that compare faces."""
        return cls(config, FaceComparer.load(models))

    @property
    def needs(self) -> Needs:
        """Frames of all cameras, large enough to compare faces."""
        return Needs(video=VideoNeed(rate_hz=self.config.rate_hz, height=360))

    def watch(self, subject: Subject) -> "SamePersonWatch":
        """Starts to watch a session."""
        del subject
        return SamePersonWatch(self)


class SamePersonWatch:
    """The faces of one session."""

    def __init__(self, detector: SamePerson) -> None:
        self._detector = detector
        self._latest: dict[str, tuple[int, Array, FrameRef]] = {}
        self._agreed: dict[tuple[str, str], int] = {}
        self._pairs: dict[tuple[str, str], Episode] = {}

    def process(self, item: Input) -> list[Finding]:
        """Takes the next frame of any camera."""
        if not isinstance(item, VideoFrame):
            return []
        config = self._detector.config
        latest = self._latest.get(item.participant_id)
        if latest is not None and item.pts_us - latest[0] < config.sample_every_s * 1e6:
            return []
        if latest is None and len(self._latest) >= _MAX_PARTICIPANTS:
            return []
        face = self._detector.comparer.candidate(
            item,
            min_score=config.min_score,
            min_pixels=config.min_pixels,
            max_turn=config.max_turn,
        )
        if face is None:
            return []
        embedding = self._detector.comparer.sample(item, face).embedding
        frame = FrameRef(item.track_id, item.pts_us, face.region.box(item.image), "face")
        self._latest[item.participant_id] = (item.pts_us, embedding, frame)
        return self._compare(item)

    def _compare(self, item: VideoFrame) -> list[Finding]:
        config = self._detector.config
        found: list[Finding] = []
        for pair in combinations(sorted(self._latest), 2):
            if item.participant_id not in pair:
                continue
            (at, one, _), (other_at, other, frame) = (self._latest[name] for name in pair)
            if abs(at - other_at) > 3 * config.sample_every_s * 1e6:
                continue
            like = likeness(one, other)
            self._agreed[pair] = self._agreed.get(pair, 0) + 1 if like >= config.alike else 0
            if pair not in self._pairs:
                rule = Rule("same_person", 0.0, 0.0, gap_s=6 * config.sample_every_s)
                self._pairs[pair] = Episode(rule)
            found += self._pairs[pair].update(
                item.pts_us,
                self._agreed[pair] >= config.samples,
                score=round(min(max(like, 0.0), 1.0), 3),
                values={"likeness": round(like, 2), "limit": config.alike},
                frame=frame,
            )
        return found

    def flush(self, at_us: int) -> list[Finding]:
        """Ends what goes on and forgets the faces."""
        self._latest.clear()
        self._agreed.clear()
        return [finding for one in self._pairs.values() for finding in one.flush(at_us)]
