"""Reports when nobody is in the picture, and when somebody more is."""

from collections.abc import Sequence
from typing import ClassVar, Self

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
from analytics.vision import mesh as mesh_of
from analytics.vision.face import MODEL, Face, FaceModel
from analytics.vision.mesh import MeshModel
from analytics.vision.picture import brightness, thumbnail

__all__ = ["FacePresence", "FacePresenceConfig"]


class FacePresenceConfig(DetectorConfig):
    """Settings of ``face_presence``."""

    rate_hz: float = Field(default=2.0, gt=0, le=30, description="Frames looked at each second.")
    min_score: float = Field(
        default=0.7, ge=0.5, le=1, description="Score from which something counts as a face."
    )
    min_height: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Smaller faces don't count as persons; a share of the picture's height.",
    )
    absent_after_s: float = Field(
        default=3.0, gt=0, description="Shorter absences are not reported."
    )
    extra_after_s: float = Field(
        default=2.0, gt=0, description="Further persons are reported after that long."
    )
    back_after_s: float = Field(
        default=0.75, ge=0, description="An absence is over once a face was seen that long."
    )
    min_presence: float = Field(
        default=0.0,
        description="Certainty of the face mesh below which what looks like a further face is "
        "none: a lamp, a pattern.",
    )
    max_faces: dict[str, int] = Field(
        default_factory=dict,
        description="Faces allowed on one camera, by role; one where the role isn't named.",
    )
    dark_below: float = Field(
        default=12.0,
        ge=0,
        le=255,
        description="Mean brightness below which nobody can say whether a face is there.",
    )


class FacePresence:
    """Emits ``face_absent`` and ``extra_person``."""

    name: ClassVar[str] = "face_presence"
    version: ClassVar[str] = "2"
    Config: ClassVar[type[DetectorConfig]] = FacePresenceConfig
    card: ClassVar[Card] = Card(
        title=Text(zh="人脸在场", en="Face present"),
        summary=Text(
            zh="统计画面中的人脸：无人在画面中，或人数超出该角色允许的人数时提示。",
            en="Counts faces: says when nobody is in the picture, and when there are more people "
            "than the role may have.",
        ),
        scope=Scope.TRACK,
        permissions=frozenset({Permission.FACE}),
        models=(MODEL, mesh_of.MODEL),
        kinds=(
            FindingKind(
                "face_absent",
                Text(zh="画面中没有人脸", en="No face in the picture"),
                Text(
                    zh="连续一段时间没有检测到人脸（平均亮度 {brightness}）。",
                    en="No face was found for a while (mean brightness {brightness}).",
                ),
            ),
            FindingKind(
                "extra_person",
                Text(zh="画面中有多余的人", en="More people than allowed"),
                Text(
                    zh="检测到 {count} 张人脸，该角色允许 {allowed} 张。",
                    en="{count} faces were found where the role may have {allowed}.",
                ),
                Severity.CRITICAL,
            ),
        ),
        limits=Text(
            zh="背对镜头、口罩加墨镜或严重侧脸会被当作没有人脸；照片、海报、屏幕里的脸以及某些动物"
            "会被当作人脸。它不判断人是谁，也不判断是否为真人。",
            en="A back, a full profile, or a mask with sunglasses counts as no face; a photo, a "
            "poster, a face on a screen and some animals count as one. It doesn't tell who it is, "
            "nor whether the person is real.",
        ),
        unknown_when=Text(
            zh="画面太暗、无法判断是否有人时。",
            en="The picture is too dark to tell.",
        ),
    )

    def __init__(self, config: FacePresenceConfig, model: FaceModel, meshes: MeshModel) -> None:
        self.config = config
        self.model = model
        self.meshes = meshes

    @classmethod
    def load(cls, config: FacePresenceConfig, models: Models) -> Self:
        """Opens the face detector, and the mesh for further faces."""
        return cls(
            config,
            models.loaded(MODEL, FaceModel.load),
            models.loaded(mesh_of.MODEL, MeshModel.load),
        )

    @property
    def needs(self) -> Needs:
        """Frames of cameras."""
        return Needs(video=VideoNeed(rate_hz=self.config.rate_hz, height=180))

    def prepare(self, frames: Sequence[VideoFrame]) -> None:
        """Finds the faces of several frames."""
        self.model.prepare(frames)

    def watch(self, subject: Subject) -> "FacePresenceWatch":
        """Starts to watch a track."""
        return FacePresenceWatch(self, subject)


class FacePresenceWatch:
    """Who is there on one track."""

    def __init__(self, detector: FacePresence, subject: Subject) -> None:
        self._detector = detector
        config = detector.config
        self._allowed = config.max_faces.get(subject.role, 1)
        back_s = config.back_after_s
        self._absent = Rule("face_absent", config.absent_after_s, back_s)
        self._unseen = Rule("face_absent", config.absent_after_s, back_s, outcome=Outcome.UNKNOWN)
        self._extra = Rule("extra_person", config.extra_after_s, back_s)
        rules = (self._absent, self._unseen, self._extra)
        self._episodes = Episodes(rules, subject.participant_id, subject.track_id)

    def process(self, item: Input) -> list[Finding]:
        """Takes the next frame."""
        if not isinstance(item, VideoFrame):
            return []
        config = self._detector.config
        faces = [
            face
            for face in self._detector.model.faces(item, config.min_score)
            if face.region.height >= config.min_height * item.image.shape[0]
        ]
        light, _ = brightness(thumbnail(item))
        is_dark = light < config.dark_below
        frame = FrameRef(item.track_id, item.pts_us)
        values = {"brightness": round(light)}
        nobody = not faces
        found = self._episodes[self._absent].update(
            item.pts_us, nobody and not is_dark, values=values, frame=frame
        )
        found += self._episodes[self._unseen].update(
            item.pts_us, nobody and is_dark, values=values, frame=frame
        )
        return found + self._count(item, faces)

    def _count(self, item: VideoFrame, faces: Sequence[Face]) -> list[Finding]:
        config, meshes = self._detector.config, self._detector.meshes
        rest = [
            face
            for face in sorted(faces, key=lambda face: -face.region.height)[self._allowed :]
            if meshes.mesh(item, face).presence >= config.min_presence
        ]
        frame = rest and FrameRef(
            item.track_id, item.pts_us, rest[0].region.box(item.image), "extra"
        )
        return self._episodes[self._extra].update(
            item.pts_us,
            bool(rest),
            score=rest[0].score if rest else None,
            values={"count": self._allowed + len(rest), "allowed": self._allowed},
            frame=frame or None,
        )

    def flush(self, at_us: int) -> list[Finding]:
        """Ends what goes on."""
        return self._episodes.flush(at_us)
