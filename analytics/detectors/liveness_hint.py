"""Says whether a person did what a challenge asked for: a hint, never a proof of anything."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self

from pydantic import Field

from analytics.detector import (
    Burst,
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
from analytics.models import Models
from analytics.vision import face as faces_of
from analytics.vision import landmarks as points_of
from analytics.vision import mesh as mesh_of
from analytics.vision.face import Face, FaceModel, largest
from analytics.vision.landmarks import EyeModel, LandmarkModel
from analytics.vision.mesh import Mesh, MeshModel, eye_opening, mouth_opening, turn

__all__ = ["ASKS", "LivenessHint", "LivenessHintConfig"]

ASKS: Final = ("blink", "turn", "turn_left", "turn_right", "open_mouth")
"""What ``data["ask"]`` of a ``challenge`` may be; left and right as the person sees it."""
_MAX_OPEN: Final = 4
_MAX_WITHIN_S: Final = 120.0
_IDLE_US: Final = 1_500_000
"""Between two looks at the usual face, however many frames others ask for."""


class LivenessHintConfig(DetectorConfig):
    """Settings of ``liveness_hint``."""

    idle_hz: float = Field(
        default=0.5,
        gt=0,
        le=30,
        description="Frames looked at each second without a challenge: what the face is usually "
        "like.",
    )
    rate_hz: float = Field(
        default=5.0,
        gt=0,
        le=30,
        description="Frames looked at each second during a challenge. At 5 a blink is seen only "
        "if the eyes stay closed for a moment: ask for that.",
    )
    within_s: float = Field(
        default=8.0,
        gt=0,
        le=_MAX_WITHIN_S,
        description="Time to answer, where the challenge doesn't say (`within_s`).",
    )
    min_presence: float = Field(
        default=8.0, description="Certainty of the face mesh below which nothing is measured."
    )
    closed_share: float = Field(
        default=0.6,
        gt=0,
        lt=1,
        description="Eyes open less than that share of their usual opening are closed.",
    )
    closed_score: float = Field(
        default=0.8,
        gt=0.5,
        le=1,
        description="Certainty of closed eyes from which they are closed, for whoever usually has "
        "them open.",
    )
    turn_degrees: float = Field(
        default=18.0,
        gt=0,
        lt=90,
        description="A head turned that far from its usual way is turned.",
    )
    mouth_share: float = Field(
        default=0.3, gt=0, description="A mouth opened that much more than usual is open."
    )


class LivenessHint:
    """Emits ``challenge_seen`` and ``challenge_missed``."""

    name: ClassVar[str] = "liveness_hint"
    version: ClassVar[str] = "2"
    Config: ClassVar[type[DetectorConfig]] = LivenessHintConfig
    card: ClassVar[Card] = Card(
        title=Text(zh="活体提示", en="Hint of liveness"),
        summary=Text(
            zh="收到“挑战”后，看本人是否照做：闭眼、转头、张嘴。",
            en="After a challenge, whether the person did as asked: close the eyes, turn the head, "
            "open the mouth.",
        ),
        scope=Scope.PARTICIPANT,
        permissions=frozenset({Permission.FACE}),
        models=(faces_of.MODEL, mesh_of.MODEL, points_of.MODEL, points_of.EYE_MODEL),
        kinds=(
            FindingKind(
                "challenge_seen",
                Text(zh="看到所要求的动作", en="The movement was seen"),
                Text(
                    zh="要求“{ask}”，{after} 秒后看到动作。这不证明是真人。",
                    en="{ask} was asked for and seen after {after} s. It proves nothing.",
                ),
                Severity.INFO,
            ),
            FindingKind(
                "challenge_missed",
                Text(zh="没有看到所要求的动作", en="The movement was not seen"),
                Text(
                    zh="要求“{ask}”，{within} 秒内没有看到动作（看了 {frames} 帧）。",
                    en="{ask} was asked for and not seen within {within} s, in {frames} frames.",
                ),
            ),
        ),
        limits=Text(
            zh="只是提示，绝不是通过：播放的录像、换脸软件、会动的面具都可能做出这些动作。每秒几帧时，"
            "快速眨眼看不到。戴墨镜看不到眼睛。",
            en="A hint and never a pass: a recording, face-swapping software or a mask may do all "
            "of this. At a few frames a second a quick blink goes unseen, and so do eyes behind "
            "dark glasses.",
        ),
        unknown_when=Text(
            zh="看到动作时也是“未知”：它不证明什么；没有人脸或光线不足、无法测量时也是。",
            en="Always where the movement was seen, for it proves nothing; and where no face could "
            "be measured.",
        ),
    )

    def __init__(
        self,
        config: LivenessHintConfig,
        faces: FaceModel,
        meshes: MeshModel,
        landmarks: LandmarkModel,
        eyes: EyeModel,
    ) -> None:
        self.config = config
        self.faces = faces
        self.meshes = meshes
        self._landmarks = landmarks
        self._eyes = eyes

    @classmethod
    def load(cls, config: LivenessHintConfig, models: Models) -> Self:
        """Opens the face detector, the mesh, and what looks at eyes."""
        return cls(
            config,
            models.loaded(faces_of.MODEL, FaceModel.load),
            models.loaded(mesh_of.MODEL, MeshModel.load),
            models.loaded(points_of.MODEL, LandmarkModel.load),
            models.loaded(points_of.EYE_MODEL, EyeModel.load),
        )

    def closed(self, frame: VideoFrame, face: Face) -> float:
        """How surely the eyes are closed, 0..1."""
        return self._eyes.closed(frame, self._landmarks.points(frame, face))

    @property
    def needs(self) -> Needs:
        """Frames of cameras, more of them during a challenge, and challenges."""
        config = self.config
        burst = Burst("challenge", config.rate_hz, config.within_s)
        return Needs(video=VideoNeed(rate_hz=config.idle_hz, height=180, burst=burst), marks=True)

    def watch(self, subject: Subject) -> "LivenessHintWatch":
        """Starts to watch a participant."""
        return LivenessHintWatch(self, subject)


@dataclass(slots=True)
class _Challenge:
    """A challenge that is open."""

    ask: str
    at_us: int
    until_us: int
    measured: int = 0
    first: dict[str, float] = field(default_factory=dict)


class LivenessHintWatch:
    """The challenges put to one participant."""

    def __init__(self, detector: LivenessHint, subject: Subject) -> None:
        self._detector = detector
        self._subject = subject
        self._open: list[_Challenge] = []
        # The usual face, measured now and then: what a challenge is compared with.
        self._usual: dict[str, deque[float]] = {
            name: deque(maxlen=20) for name in ("eyes", "closed", "turn", "mouth")
        }
        self._measured_us: int | None = None

    def process(self, item: Input) -> list[Finding]:
        """Takes the next frame or challenge."""
        match item:
            case Mark(kind="challenge") if item.participant_id in {
                "",
                self._subject.participant_id,
            }:
                return self._begin(item)
            case VideoFrame():
                return self._expire(item.pts_us) + self._look(item)
            case Mark():
                return self._expire(item.at_us)
        return []

    def flush(self, at_us: int) -> list[Finding]:
        """Says of challenges that are open that nobody knows."""
        missed = [self._missed(one, min(at_us, one.until_us), over=False) for one in self._open]
        self._open.clear()
        return missed

    def _begin(self, mark: Mark) -> list[Finding]:
        ask = mark.data.get("ask")
        if ask not in ASKS or len(self._open) >= _MAX_OPEN:
            return []
        within_s = _seconds(mark.data, self._detector.config.within_s)
        self._open.append(_Challenge(str(ask), mark.at_us, mark.at_us + int(within_s * 1e6)))
        return []

    def _expire(self, at_us: int) -> list[Finding]:
        over = [one for one in self._open if at_us > one.until_us]
        self._open = [one for one in self._open if at_us <= one.until_us]
        return [self._missed(one, one.until_us, over=True) for one in over]

    def _missed(self, one: _Challenge, at_us: int, *, over: bool) -> Finding:
        # Too few looks at a face say nothing about what it did.
        enough = one.measured >= 0.5 * self._detector.config.rate_hz * (at_us - one.at_us) / 1e6
        known = over and enough and one.measured > 0
        return Finding(
            "challenge_missed",
            one.at_us,
            max(at_us, one.at_us),
            Outcome.WARN if known else Outcome.UNKNOWN,
            participant_id=self._subject.participant_id,
            values={
                "ask": one.ask,
                "within": round((one.until_us - one.at_us) / 1e6, 1),
                "frames": one.measured,
            },
        )

    def _look(self, item: VideoFrame) -> list[Finding]:
        idle = not self._open
        if idle and self._measured_us is not None and item.pts_us - self._measured_us < _IDLE_US:
            return []
        config = self._detector.config
        face = largest(self._detector.faces.faces(item, 0.6))
        if face is None:
            return []
        mesh = self._detector.meshes.mesh(item, face)
        if mesh.presence < config.min_presence:
            return []
        self._measured_us = item.pts_us
        now = _measures(mesh) | {"closed": self._detector.closed(item, face)}
        if idle:
            for name, value in now.items():
                self._usual[name].append(value)
            return []
        frame = FrameRef(item.track_id, item.pts_us, face.region.box(item.image), "challenge")
        return [
            self._seen(one, item.pts_us, frame)
            for one in list(self._open)
            if item.pts_us >= one.at_us and self._does(one, now)
        ]

    def _does(self, one: _Challenge, now: Mapping[str, float]) -> bool:
        config = self._detector.config
        one.measured += 1
        usual = {
            name: sorted(values)[len(values) // 2]
            if values
            else one.first.setdefault(name, now[name])
            for name, values in self._usual.items()
        }
        turned = now["turn"] - usual["turn"]
        match one.ask:
            case "blink":
                # The mesh follows eyelids badly; who looks down is closed to the other one.
                shut = usual["closed"] < 0.5 and now["closed"] >= config.closed_score
                return shut or now["eyes"] < config.closed_share * usual["eyes"]
            case "open_mouth":
                return now["mouth"] > usual["mouth"] + config.mouth_share
            case "turn_left":
                return turned > config.turn_degrees
            case "turn_right":
                return turned < -config.turn_degrees
        return abs(turned) > config.turn_degrees

    def _seen(self, one: _Challenge, at_us: int, frame: FrameRef) -> Finding:
        self._open.remove(one)
        return Finding(
            "challenge_seen",
            one.at_us,
            at_us,
            Outcome.UNKNOWN,
            participant_id=self._subject.participant_id,
            track_id=frame.track_id,
            values={"ask": one.ask, "after": round((at_us - one.at_us) / 1e6, 1)},
            frames=(frame,),
        )


def _measures(mesh: Mesh) -> dict[str, float]:
    return {
        "eyes": eye_opening(mesh),
        "turn": turn(mesh) * 57.29578,
        "mouth": mouth_opening(mesh),
    }


def _seconds(data: Mapping[str, Any], default: float) -> float:
    value = data.get("within_s")
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return min(float(value), _MAX_WITHIN_S)
    return default
