"""Reports a phone in the picture, a phone at the ear, and a hand at the ear."""

from collections import deque
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
from analytics.detectors.episode import Episodes, Rule
from analytics.models import Models
from analytics.vision import face as faces_of
from analytics.vision import objects as objects_of
from analytics.vision import pose as pose_of
from analytics.vision.face import Face, FaceModel, largest
from analytics.vision.geometry import Region
from analytics.vision.network import Array
from analytics.vision.objects import PHONE, REMOTE, ObjectModel, Thing
from analytics.vision.pose import EARS, WRISTS, PoseModel

__all__ = ["Phone", "PhoneConfig", "is_at_ear", "is_hand_at_ear"]

_REMEMBERED_US: Final = 5_000_000
_HEAD: Final = (0.8, 0.4, 0.7)
"""What is searched beside, above and below a face; more of it would make a phone too small."""
_LIKE_PHONES: Final = frozenset({PHONE, REMOTE})
_REACH: Final = 1.1
"""From wrist to ear, in heights of the face: a hand is nearly as long as a face is high."""


class PhoneConfig(DetectorConfig):
    """Settings of ``phone``."""

    rate_hz: float = Field(default=2.0, gt=0, le=30, description="Frames looked at each second.")
    look_every_s: float = Field(
        default=2.0, gt=0, description="Time between two searches while nothing was found."
    )
    whole_every: int = Field(
        default=5, ge=1, description="Every so many searches look at the whole picture as well."
    )
    hand_every: int = Field(
        default=2,
        ge=1,
        description="Every so many searches look for a hand at the ear, and all while it is there.",
    )
    min_score: float = Field(
        default=0.35, ge=0.2, le=1, description="Score from which something counts as a phone."
    )
    ear_score: float = Field(
        default=0.25,
        ge=0.2,
        le=1,
        description="Score from which something beside the face counts as a phone.",
    )
    ear_score_with_hand: float = Field(
        default=0.4,
        ge=0.2,
        le=1,
        description="The same while a wrist is at the ear: a hand looks a little like a phone.",
    )
    doubt_score: float = Field(
        default=0.1,
        ge=0.1,
        le=1,
        description="From this score something beside the face is looked at again, turned.",
    )
    turned_deg: float = Field(
        default=25.0, gt=0, le=60, description="How far it is turned then, to either side."
    )
    turned_score: float = Field(
        default=0.45,
        ge=0.1,
        le=1,
        description="Score from which something beside the turned face counts as a phone.",
    )
    turned_score_with_hand: float = Field(
        default=0.5, ge=0.1, le=1, description="The same while a wrist is at the ear."
    )
    doubts: int = Field(
        default=4,
        ge=0,
        le=16,
        description="Searches at the full rate while there is a doubt, and no wrist at the ear.",
    )
    hits: int = Field(
        default=2, ge=1, le=16, description="Searches that must find it, of the last twice as many."
    )
    clear_s: float = Field(
        default=4.0, ge=0, description="It is over once it was not found for that long."
    )
    wrist_score: float = Field(
        default=0.3, ge=0, le=1, description="Score from which a wrist counts as seen."
    )


class Phone:
    """Emits ``phone_visible``, ``phone_at_ear`` and ``hand_at_ear``."""

    name: ClassVar[str] = "phone"
    version: ClassVar[str] = "4"
    Config: ClassVar[type[DetectorConfig]] = PhoneConfig
    card: ClassVar[Card] = Card(
        title=Text(zh="手机", en="Phone"),
        summary=Text(
            zh="画面中有手机、手机贴在耳边、或手放在耳边时提示。",
            en="Says when there is a phone in the picture, a phone at the ear, or a hand there.",
        ),
        scope=Scope.TRACK,
        permissions=frozenset({Permission.FACE}),
        models=(faces_of.MODEL, objects_of.MODEL, pose_of.MODEL),
        kinds=(
            FindingKind(
                "phone_visible",
                Text(zh="画面中有手机", en="Phone in the picture"),
                Text(
                    zh="最近 {looks} 次检查中有 {hits} 次看到手机。",
                    en="A phone was seen in {hits} of the last {looks} searches.",
                ),
                Severity.INFO,
            ),
            FindingKind(
                "phone_at_ear",
                Text(zh="手机贴在耳边", en="Phone at the ear"),
                Text(
                    zh="最近 {looks} 次检查中有 {hits} 次在人脸旁看到手机。",
                    en="A phone beside the face was seen in {hits} of the last {looks} searches.",
                ),
            ),
            FindingKind(
                "hand_at_ear",
                Text(zh="手在耳边", en="Hand at the ear"),
                Text(
                    zh="最近 {looks} 次检查中有 {hits} 次看到手腕在耳边。",
                    en="A wrist near the ear was seen in {hits} of the last {looks} searches.",
                ),
                Severity.INFO,
            ),
        ),
        limits=Text(
            zh="评测用的是画上去的手机：在真实通话中的召回率没有测过。深色小物件、遥控器、卡片可能被当作"
            "手机；耳机、画面外的手机、被手盖住大半的小手机看不到。手在耳边可能只是托腮或整理头发，"
            "有时被当作手机。",
            en="It was evaluated with drawn phones: its recall on real calls was not measured. "
            "Small dark things, remote controls and cards may count as phones; ear buds, a phone "
            "outside the picture and a small one mostly behind a hand are not seen. A hand at the "
            "ear may just prop up the head, and is sometimes taken for a phone.",
        ),
        unknown_when=Text(
            zh="几秒内没有看到人脸时，不判断是否在耳边。",
            en="Without a face in the last seconds nothing is said of the ear.",
        ),
    )

    def __init__(
        self, config: PhoneConfig, faces: FaceModel, objects: ObjectModel, poses: PoseModel
    ) -> None:
        self.config = config
        self.faces = faces
        self.objects = objects
        self.poses = poses

    @classmethod
    def load(cls, config: PhoneConfig, models: Models) -> Self:
        """Opens the networks for faces, things and joints."""
        return cls(
            config,
            models.loaded(faces_of.MODEL, FaceModel.load),
            models.loaded(objects_of.MODEL, ObjectModel.load),
            models.loaded(pose_of.MODEL, PoseModel.load),
        )

    @property
    def needs(self) -> Needs:
        """Frames of cameras, large enough to see a phone."""
        return Needs(video=VideoNeed(rate_hz=self.config.rate_hz, height=360))

    def watch(self, subject: Subject) -> "PhoneWatch":
        """Starts to watch a track."""
        return PhoneWatch(self, subject)


class PhoneWatch:
    """Phones on one track."""

    def __init__(self, detector: Phone, subject: Subject) -> None:
        self._detector = detector
        config = detector.config
        kinds = ("phone_visible", "phone_at_ear", "hand_at_ear")
        self._rules = {kind: Rule(kind, 0.0, config.clear_s, gap_s=10.0) for kind in kinds}
        self._looks: dict[str, deque[int | None]] = {
            kind: deque(maxlen=2 * config.hits) for kind in kinds
        }
        rules = tuple(self._rules.values())
        self._episodes = Episodes(rules, subject.participant_id, subject.track_id)
        self._looked_us: int | None = None
        self._count = 0
        self._face: tuple[Face, int] | None = None
        self._hit = False
        self._doubts = 0
        self._hands = 0
        self._has_hand = False
        self._hand_at: tuple[int, bool] | None = None

    def process(self, item: Input) -> list[Finding]:
        """Takes the next frame."""
        if not isinstance(item, VideoFrame) or not self._is_due(item.pts_us):
            return []
        detector = self._detector
        self._looked_us = item.pts_us
        face = self._face_of(item)
        things = self._search(item, face)
        ear = [thing for thing in things if face and is_at_ear(thing.region, face.region)]
        ear = self._sure(item, face, ear)
        phones = [
            thing
            for thing in things
            if thing.label == PHONE and thing.score >= detector.config.min_score
        ]
        self._hit = bool(phones or ear)
        if ear and face is not None:
            self._face = (face, item.pts_us)
        found = self._say(item, "phone_visible", _best(phones + ear))
        found += self._say(item, "phone_at_ear", _best(ear))
        return found + self._hand(item, face)

    def _sure(self, item: VideoFrame, face: Face | None, near: list[Thing]) -> list[Thing]:
        """Of what is at the ear, what counts as a phone."""
        config = self._detector.config
        sure = [thing for thing in near if thing.score >= config.ear_score_with_hand]
        floor = min(config.doubt_score, config.ear_score)
        if sure or face is None or not _best(near, floor):
            self._doubts = 0
            return sure
        has_hand = self._is_hand(item, face)
        if not has_hand:
            sure = [thing for thing in near if thing.score >= config.ear_score]
        sure = sure or self._turned(item, face, has_hand=has_hand)
        # A hand is doubtful again and again: looked at often, it would be taken for a phone.
        self._doubts = 0 if sure or has_hand else self._doubts + 1
        return sure

    def _turned(self, item: VideoFrame, face: Face, *, has_hand: bool) -> list[Thing]:
        """What counts as a phone at the ear once it is turned upright, to whichever side."""
        config = self._detector.config
        floor = config.turned_score_with_hand if has_hand else config.turned_score
        part = face.region.grown(*_HEAD)
        return [
            thing
            for degrees in (config.turned_deg, -config.turned_deg)
            for thing in self._detector.objects.things(item, part, degrees)
            if thing.label in _LIKE_PHONES
            and thing.score >= floor
            and is_at_ear(thing.region, face.region)
        ]

    def _hand(self, item: VideoFrame, face: Face | None) -> list[Finding]:
        """Looks for a hand at the ear in some searches, and in all while one is there."""
        self._hands += 1
        was_asked = self._hand_at is not None and self._hand_at[0] == item.pts_us
        is_due = self._has_hand or (self._hands - 1) % self._detector.config.hand_every == 0
        if not was_asked and not is_due:
            return []
        self._has_hand = self._is_hand(item, face)
        near = Thing(PHONE, face.region, 0.5) if face is not None and self._has_hand else None
        return self._say(item, "hand_at_ear", near)

    def _is_hand(self, item: VideoFrame, face: Face | None) -> bool:
        """Whether a wrist is at the ear in this frame; looked at once."""
        if self._hand_at is None or self._hand_at[0] != item.pts_us:
            is_there = face is not None and is_hand_at_ear(
                self._detector.poses.joints(item), face.region, self._detector.config.wrist_score
            )
            self._hand_at = (item.pts_us, is_there)
        return self._hand_at[1]

    def _face_of(self, item: VideoFrame) -> Face | None:
        """The face, or where it was a moment ago: a phone may cover so much that it isn't found."""
        face = largest(self._detector.faces.faces(item, 0.6))
        if face is not None:
            self._face = (face, item.pts_us)
        elif self._face is not None and item.pts_us - self._face[1] > _REMEMBERED_US:
            self._face = None
        return None if self._face is None else self._face[0]

    def _is_due(self, at_us: int) -> bool:
        said = self._episodes[self._rules["phone_visible"]].is_open
        may_be = 0 < self._doubts <= self._detector.config.doubts
        if self._looked_us is None or ((self._hit or may_be) and not said):
            return True
        return at_us - self._looked_us >= self._detector.config.look_every_s * 1e6 - 1

    def _search(self, item: VideoFrame, face: Face | None) -> list[Thing]:
        """Phones, and what looks like one beside a face."""
        config = self._detector.config
        objects = self._detector.objects
        things: list[Thing] = []
        if face is not None:
            things += objects.things(item, face.region.grown(*_HEAD))
        if face is None or self._hit or self._count % config.whole_every == 0:
            things += objects.things(item)
        self._count += 1
        return [thing for thing in things if thing.label in _LIKE_PHONES]

    def _say(self, item: VideoFrame, kind: str, thing: Thing | None) -> list[Finding]:
        config = self._detector.config
        looks = self._looks[kind]
        looks.append(item.pts_us if thing else None)
        hits = [at for at in looks if at is not None]
        frame = None
        if thing is not None:
            box = thing.region.box(item.image)
            frame = FrameRef(item.track_id, item.pts_us, box, kind)
        episode = self._episodes[self._rules[kind]]
        # Once said, a single hit keeps it going, and only a hit does.
        holds = thing is not None if episode.is_open else len(hits) >= config.hits
        return episode.update(
            item.pts_us,
            holds,
            score=round(min(thing.score, 1.0), 3) if thing else None,
            values={"hits": len(hits), "looks": len(looks)},
            frame=frame,
            since_us=hits[0] if hits else None,
        )

    def flush(self, at_us: int) -> list[Finding]:
        """Ends what goes on."""
        for looks in self._looks.values():
            looks.clear()
        self._looked_us, self._hit, self._doubts, self._face = None, False, 0, None
        self._has_hand, self._hand_at = False, None
        return self._episodes.flush(at_us)


def _best(things: list[Thing], floor: float = 0.0) -> Thing | None:
    likely = [thing for thing in things if thing.score >= floor]
    return max(likely, key=lambda thing: thing.score, default=None)


def is_at_ear(thing: Region, face: Region) -> bool:
    """Whether a thing is where a phone is held in a call: beside the face, no larger than it."""
    width, height = max(face.width, 1e-6), max(face.height, 1e-6)
    across = abs(thing.centre[0] - face.centre[0]) / width
    along = (thing.centre[1] - face.centre[1]) / height
    fits = thing.height <= 1.5 * height and thing.width <= 1.3 * width
    return fits and 0.25 <= across <= 1.1 and -0.6 <= along <= 0.75


def is_hand_at_ear(joints: Array, face: Region, min_score: float) -> bool:
    """Whether a wrist is beside the head: at the height of an ear, and not in front of the face.

    Args:
        joints: ``(17, 3)``, x, y, score.
        face: of the same person.
        min_score: from which wrist and ear count as seen.
    """
    reach = _REACH * max(face.width, face.height, 1e-6)
    for wrist, score in ((joints[i, :2], joints[i, 2]) for i in WRISTS):
        if score < min_score:
            continue
        beside = abs(wrist[0] - face.centre[0]) >= 0.4 * face.width
        ears = [joints[i, :2] for i in EARS if joints[i, 2] >= min_score]
        near = any(float(((wrist - ear) ** 2).sum()) ** 0.5 <= reach for ear in ears)
        if beside and near and wrist[1] <= face.bottom + 0.35 * face.height:
            return True
    return False
