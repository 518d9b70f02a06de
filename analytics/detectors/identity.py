"""Faces good enough to be compared, and what comparing them over time says."""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from analytics.detector import VideoFrame
from analytics.models import Models
from analytics.vision import embedding as embedding_of
from analytics.vision import face as faces_of
from analytics.vision import landmarks as landmarks_of
from analytics.vision.embedding import EmbeddingModel
from analytics.vision.face import Face, FaceModel, largest
from analytics.vision.geometry import overlap
from analytics.vision.landmarks import LandmarkModel, turn
from analytics.vision.network import Array, Image

__all__ = ["FaceComparer", "Sample", "Verdict", "Votes"]

_STAYED: Final = 0.2
MODELS: Final = (faces_of.MODEL, landmarks_of.MODEL, embedding_of.MODEL)
"""What comparing needs."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A face and its template, which stays in the watch that asked for it."""

    face: Face
    embedding: Array


class FaceComparer:
    """Makes templates of faces that are large, straight and single enough to be compared."""

    def __init__(
        self, faces: FaceModel, landmarks: LandmarkModel, embeddings: EmbeddingModel
    ) -> None:
        self.faces = faces
        self._landmarks = landmarks
        self._embeddings = embeddings

    @classmethod
    def load(cls, models: Models) -> Self:
        """Opens the three networks.

        Raises:
            ModelMissingError: one is not installed.
        """
        return cls(
            models.loaded(faces_of.MODEL, FaceModel.load),
            models.loaded(landmarks_of.MODEL, LandmarkModel.load),
            models.loaded(embedding_of.MODEL, EmbeddingModel.load),
        )

    def candidate(
        self,
        frame: VideoFrame,
        last: Face | None = None,
        *,
        min_score: float,
        min_pixels: float,
        max_turn: float,
    ) -> Face | None:
        """The face that can be compared, if there is one; cheap.

        Of several it is the one where ``last`` was, else the largest: somebody who leans into the
        picture doesn't take the place of whoever sits there.
        """
        faces = self.faces.faces(frame, min_score)
        stayed = [face for face in faces if last and overlap(face.region, last.region) >= _STAYED]
        face = largest(stayed or faces)
        if face is None or face.region.height < min_pixels:
            return None
        region = face.region
        height, width = frame.image.shape[:2]
        x, y = region.centre
        if not (0 <= x < width and 0 <= y < height):
            return None
        return face if abs(turn(self._landmarks.points(frame, face))) <= max_turn else None

    def sample(self, frame: VideoFrame, face: Face) -> Sample:
        """The template of a face; costs some 70 ms."""
        points = self._landmarks.points(frame, face)
        return Sample(face, self._embeddings.embed(frame.image, points))

    def of_photo(self, image: Image) -> Array | None:
        """The template of the largest face on a still picture, if there is one."""
        face = largest(self.faces.in_image(image, 0.6))
        if face is None:
            return None
        return self._embeddings.embed(image, self._landmarks.in_image(image, face))


class Verdict(StrEnum):
    """What several samples say together."""

    SAME = "same"
    OTHER = "other"
    OPEN = "open"


class Votes:
    """Hysteresis over samples: a change of mind takes several that agree.

    Args:
        same_above: likeness from which a sample says "the same".
        other_below: likeness below which it says "another"; in between it says nothing.
        needed: samples that have to agree, of the last ``needed + 1``.
    """

    def __init__(self, same_above: float, other_below: float, needed: int) -> None:
        self._same_above = same_above
        self._other_below = other_below
        self._needed = needed
        self._votes: deque[tuple[Verdict, float]] = deque(maxlen=needed + 1)
        self._since: dict[Verdict, int] = {}
        self.verdict = Verdict.OPEN

    @property
    def is_contested(self) -> bool:
        """The last sample says something else than the verdict."""
        return bool(self._votes) and self._votes[-1][0] not in {self.verdict, Verdict.OPEN}

    @property
    def is_doubtful(self) -> bool:
        """The last sample doesn't confirm the verdict."""
        return bool(self._votes) and self._votes[-1][0] is not self.verdict

    @property
    def is_undecided(self) -> bool:
        """There are samples, and no verdict that the last of them confirms."""
        return bool(self._votes) and (self.verdict is Verdict.OPEN or self.is_doubtful)

    @property
    def since_us(self) -> int | None:
        """First sample of those in a row that say what the verdict says."""
        return self._since.get(self.verdict)

    @property
    def likeness(self) -> float:
        """Middle of the samples that the verdict rests on, or of all."""
        values = [like for vote, like in self._votes if vote is self.verdict]
        values = values or [like for _, like in self._votes] or [0.0]
        return sorted(values)[len(values) // 2]

    def take(self, like: float, at_us: int) -> Verdict:
        """Takes the likeness of the next sample."""
        vote = Verdict.OPEN
        if like >= self._same_above:
            vote = Verdict.SAME
        elif like < self._other_below:
            vote = Verdict.OTHER
        self._votes.append((vote, like))
        if vote is not Verdict.OPEN:
            # A vote for one side ends the row of the other, unless that one has won.
            kept = {side: at for side, at in self._since.items() if side in {vote, self.verdict}}
            self._since = {vote: at_us} | kept
        for side in (Verdict.SAME, Verdict.OTHER):
            if sum(one is side for one, _ in self._votes) >= self._needed:
                self.verdict = side
        return self.verdict

    def forget(self) -> None:
        """Drops the samples and keeps the verdict: time has passed."""
        self._votes.clear()
