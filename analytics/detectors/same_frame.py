"""Reports whether people are on one camera who ought to be, and one picture on two cameras."""

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
    Mark,
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
from analytics.detectors.episode import Episode, Rule
from analytics.models import Models
from analytics.vision.face import MODEL, FaceModel, largest
from analytics.vision.geometry import Region, overlap
from analytics.vision.picture import brightness, fingerprint, likeness, thumbnail

__all__ = ["SameFrame", "SameFrameConfig"]

_MAX_AGE_US: Final = 2_000_000
_MAX_TRACKS: Final = 16
_FLAT: Final = 8.0
_DARK: Final = 12.0
_SAME_PLACE: Final = 0.5


class SameFrameConfig(DetectorConfig):
    """Settings of ``same_frame``."""

    rate_hz: float = Field(default=1.0, gt=0, le=30, description="Frames looked at each second.")
    together: dict[str, int] = Field(
        default_factory=dict,
        description="Persons who have to be on one camera, by the role of whose camera it is; "
        "`{branch: 2}` where manager and customer sit side by side.",
    )
    min_score: float = Field(
        default=0.7, ge=0.5, le=1, description="Score from which something counts as a face."
    )
    min_height: float = Field(
        default=0.05, ge=0, le=1, description="Smaller faces don't count; a share of the height."
    )
    missing_after_s: float = Field(
        default=5.0, gt=0, description="Fewer people than required, reported after that long."
    )
    together_after_s: float = Field(
        default=2.0, gt=0, description="All there, said after that long."
    )
    alike: float = Field(
        default=0.93,
        ge=0.5,
        le=1,
        description="Share of the fingerprint from which two pictures are the same.",
    )
    alike_after_s: float = Field(
        default=4.0, gt=0, description="The same picture on two cameras, reported after that long."
    )


class SameFrame:
    """Emits ``together``, ``together_missing`` and ``same_picture``."""

    name: ClassVar[str] = "same_frame"
    version: ClassVar[str] = "1"
    Config: ClassVar[type[DetectorConfig]] = SameFrameConfig
    card: ClassVar[Card] = Card(
        title=Text(zh="同框", en="Same frame"),
        summary=Text(
            zh="要求同框的角色是否在同一画面中；反过来，两位参与者的摄像头是否显示同一画面。",
            en="Whether those who have to be in one picture are; and whether the cameras of two "
            "participants show the same picture.",
        ),
        scope=Scope.SESSION,
        permissions=frozenset({Permission.FACE}),
        models=(MODEL,),
        kinds=(
            FindingKind(
                "together",
                Text(zh="已同框", en="All in the picture"),
                Text(
                    zh="画面中有 {count} 人，要求 {required} 人。",
                    en="{count} people are in the picture, {required} are required.",
                ),
                Severity.INFO,
            ),
            FindingKind(
                "together_missing",
                Text(zh="未同框", en="Somebody is missing from the picture"),
                Text(
                    zh="画面中有 {count} 人，要求 {required} 人同框。",
                    en="{count} people are in the picture where {required} have to be.",
                ),
            ),
            FindingKind(
                "same_picture",
                Text(zh="两路画面相同", en="The same picture twice"),
                Text(
                    zh="两位参与者的画面相似度为 {likeness}。",
                    en="The pictures of two participants agree in {likeness} of their fingerprint.",
                ),
                Severity.CRITICAL,
            ),
        ),
        limits=Text(
            zh="只数人脸，不判断是谁。两台设备从不同角度拍同一个人不会被当作同一画面（见“同一人”检测）。"
            "画面几乎没有结构时不作比较。",
            en="It counts faces and doesn't tell who they are. Two devices that see one person "
            "from different sides don't show the same picture (see the detector of the same "
            "person). Pictures with hardly any structure are not compared.",
        ),
        unknown_when=Text(
            zh="画面太暗、无法判断是否有人时。", en="The picture is too dark to tell."
        ),
    )

    def __init__(self, config: SameFrameConfig, model: FaceModel) -> None:
        self.config = config
        self.model = model

    @classmethod
    def load(cls, config: SameFrameConfig, models: Models) -> Self:
        """Opens the face detector."""
        return cls(config, models.loaded(MODEL, FaceModel.load))

    @property
    def needs(self) -> Needs:
        """Frames of all cameras, and who has which role."""
        return Needs(video=VideoNeed(rate_hz=self.config.rate_hz, height=180), marks=True)

    def watch(self, subject: Subject) -> "SameFrameWatch":
        """Starts to watch a session."""
        return SameFrameWatch(self, subject)


class SameFrameWatch:
    """The cameras of one session."""

    def __init__(self, detector: SameFrame, subject: Subject) -> None:
        self._detector = detector
        self._roles = dict(subject.roles)
        self._latest: dict[str, VideoFrame] = {}
        self._counts: dict[tuple[str, str], Episode] = {}
        self._pairs: dict[tuple[str, str], Episode] = {}

    def process(self, item: Input) -> list[Finding]:
        """Takes the next frame of any camera."""
        match item:
            case VideoFrame():
                return self._look(item)
            case Mark(participant_id=participant_id, data={"role": str(role)}) if participant_id:
                self._roles[participant_id] = role
        return []

    def _look(self, frame: VideoFrame) -> list[Finding]:
        if frame.track_id not in self._latest and len(self._latest) >= _MAX_TRACKS:
            oldest = min(self._latest.values(), key=lambda one: one.pts_us)
            del self._latest[oldest.track_id]
        self._latest[frame.track_id] = frame
        return self._together(frame) + self._compare(frame)

    def _together(self, frame: VideoFrame) -> list[Finding]:
        config = self._detector.config
        required = config.together.get(self._roles.get(frame.participant_id, ""), 0)
        if not required:
            return []
        faces = [
            face
            for face in self._detector.model.faces(frame, config.min_score)
            if face.region.height >= config.min_height * frame.image.shape[0]
        ]
        is_dark = brightness(thumbnail(frame))[0] < _DARK
        missing = len(faces) < required
        found: list[Finding] = []
        for name, rule, holds in (
            ("missing", Rule("together_missing", config.missing_after_s), missing and not is_dark),
            (
                "unseen",
                Rule("together_missing", config.missing_after_s, outcome=Outcome.UNKNOWN),
                missing and is_dark,
            ),
            (
                "all",
                Rule("together", config.together_after_s, 2.0, outcome=Outcome.PASS),
                not missing,
            ),
        ):
            key = (name, frame.track_id)
            if key not in self._counts:
                self._counts[key] = Episode(rule, frame.participant_id, frame.track_id)
            found += self._counts[key].update(
                frame.pts_us,
                holds,
                values={"count": len(faces), "required": required},
                frame=FrameRef(frame.track_id, frame.pts_us),
            )
        return found

    def _compare(self, frame: VideoFrame) -> list[Finding]:
        found: list[Finding] = []
        for one, other in combinations(sorted(self._latest), 2):
            if frame.track_id not in {one, other}:
                continue
            before = self._latest[other if frame.track_id == one else one]
            if before.participant_id == frame.participant_id:
                continue
            if abs(frame.pts_us - before.pts_us) > _MAX_AGE_US:
                continue
            alike = self._alike(frame, before)
            if (one, other) not in self._pairs:
                rule = Rule("same_picture", self._detector.config.alike_after_s, 2.0)
                self._pairs[one, other] = Episode(rule)
            found += self._pairs[one, other].update(
                frame.pts_us,
                None if alike is None else alike >= self._detector.config.alike,
                score=alike,
                values={"likeness": round(alike or 0.0, 2)},
                frame=FrameRef(frame.track_id, frame.pts_us),
            )
        return found

    def _alike(self, one: VideoFrame, other: VideoFrame) -> float | None:
        """How alike two pictures are; ``None`` where that says nothing."""
        if min(brightness(thumbnail(frame))[1] for frame in (one, other)) < _FLAT:
            return None
        alike = likeness(fingerprint(one), fingerprint(other))
        if alike < self._detector.config.alike:
            return alike
        # Two people before one company's background have the same picture but for themselves.
        faces = [largest(self._detector.model.faces(frame)) for frame in (one, other)]
        if faces[0] is None or faces[1] is None:
            return alike if faces[0] is faces[1] else 0.0
        place = [
            _fractions(face.region, frame)
            for face, frame in zip((faces[0], faces[1]), (one, other), strict=True)
        ]
        return alike if overlap(*place) >= _SAME_PLACE else 0.0

    def flush(self, at_us: int) -> list[Finding]:
        """Ends what goes on."""
        episodes = [*self._counts.values(), *self._pairs.values()]
        self._latest.clear()
        return [finding for one in episodes for finding in one.flush(at_us)]


def _fractions(region: Region, frame: VideoFrame) -> Region:
    height, width = frame.image.shape[:2]
    return Region(
        region.left / width, region.top / height, region.right / width, region.bottom / height
    )
