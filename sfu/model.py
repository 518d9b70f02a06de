"""Values the rest of the package and its callers speak in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

__all__ = [
    "Answer",
    "AudioProtection",
    "EncodingDemand",
    "Grant",
    "Kind",
    "Lines",
    "MediaState",
    "Offer",
    "PlayoutDelay",
    "Quality",
    "Role",
    "Score",
    "Size",
    "Source",
    "Track",
    "TrackDeclaration",
]


class Role(StrEnum):
    """What somebody is in a sale."""

    RM = "rm"
    CUSTOMER = "customer"
    EXPERT = "expert"
    SUPERVISOR = "supervisor"


class Kind(StrEnum):
    """Kind of an m-line and of a track."""

    AUDIO = "audio"
    VIDEO = "video"


class Source(StrEnum):
    """Where a track comes from; a participant publishes at most one track of each."""

    MICROPHONE = "microphone"
    CAMERA = "camera"
    SCREEN = "screen"
    SCREEN_AUDIO = "screen_audio"

    @property
    def kind(self) -> Kind:
        """Kind of the track's media."""
        return Kind.AUDIO if self in (Source.MICROPHONE, Source.SCREEN_AUDIO) else Kind.VIDEO


class MediaState(StrEnum):
    """Whether a participant's media flows."""

    NONE = "none"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    FAILED = "failed"


class Score(StrEnum):
    """Connection quality in one word."""

    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    LOST = "lost"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a participant may do.

    Attributes:
        role: the participant's role.
        publish: sources it may publish. A hidden participant publishes nothing whatever this says.
        subscribe: roles whose tracks it may receive.
        hidden: others never learn of the participant.
        expires_at: end of the grant, Unix time in seconds. The caller enforces it.
    """

    role: Role
    publish: frozenset[Source]
    subscribe: frozenset[Role]
    hidden: bool
    expires_at: float

    @classmethod
    def default_for(cls, role: Role, expires_at: float) -> Self:
        """The grant of a token that names nothing but a role.

        Args:
            role: a supervisor is hidden and publishes nothing; all others publish every source.
            expires_at: Unix time in seconds.
        """
        supervisor = role is Role.SUPERVISOR
        return cls(
            role=role,
            publish=frozenset() if supervisor else frozenset(Source),
            subscribe=frozenset({Role.RM, Role.CUSTOMER, Role.EXPERT}),
            hidden=supervisor,
            expires_at=expires_at,
        )

    def may_publish(self, source: Source) -> bool:
        """Whether a track of ``source`` may be published."""
        return source in self.publish and not self.hidden


@dataclass(frozen=True, slots=True)
class Lines:
    """Receiving m-lines an offer must have in total, by kind."""

    audio: int
    video: int


@dataclass(slots=True, eq=False)
class Track:
    """What a participant publishes.

    Attributes:
        track_id: unique in the process; survives a page reload of its publisher.
        muted: nothing is forwarded.
    """

    track_id: str
    participant_id: str
    kind: Kind
    source: Source
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Size:
    """Pixels; zero where nothing is to be seen."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class EncodingDemand:
    """Whether anybody wants an encoding; ``rid`` is ``None`` where there is only one."""

    rid: str | None
    wanted: bool


@dataclass(frozen=True, slots=True)
class AudioProtection:
    """What the publisher of an audio track should do about loss.

    Attributes:
        mid: of the m-line it sends the track on.
        offsets: each packet should carry copies of the frames so many frames earlier, 1..17,
            rising (RFC 2198); empty: none.
        bitrate_bps: of the encoder, so that the copies fit; ``None``: as it likes.
    """

    mid: str
    offsets: tuple[int, ...] = ()
    bitrate_bps: int | None = None


@dataclass(frozen=True, slots=True)
class PlayoutDelay:
    """How long a subscriber should hold an audio track back, so that copies come in time.

    Attributes:
        mid: of the m-line it receives the track on.
        delay_s: zero: as it likes.
    """

    mid: str
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TrackDeclaration:
    """What a sending m-line carries.

    Attributes:
        mid: identifies the m-line.
        sizes: of its simulcast encodings at most, by ``rid``; those left out are not known.
        muted: state of a new track, or of one that comes back on a new transport; ignored else.
    """

    mid: str
    source: Source
    muted: bool = False
    sizes: Mapping[str, Size] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Offer:
    """A client's description and what its sending lines carry.

    Attributes:
        sdp: the text.
        tracks: sending lines not named here get a source by kind, where the grant allows it:
            microphone and camera first, screen audio and screen next.
        dtls_server: the client would rather be the DTLS server, has AES-128-GCM for SRTP, and makes
            another connection where that comes to nothing.
        restarts_ice: other ICE credentials with the same certificate are those of a restart. If
            not, they are another connection's: a program that keeps its certificate in a file has
            the same one when it starts again.
    """

    sdp: str
    tracks: Sequence[TrackDeclaration] = ()
    dtls_server: bool = False
    restarts_ice: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """The server's description.

    Attributes:
        sdp: the text.
        published: mid → track_id of what the client sends.
        subscribed: mid → track_id of what the client receives.
    """

    sdp: str
    published: Mapping[str, str] = field(default_factory=dict)
    subscribed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quality:
    """Connection quality of a participant.

    Attributes:
        uplink_loss: share of its packets missing before repair, the worst of its tracks, 0..1.
        downlink_loss: share it reported missing, the worst of its subscriptions, 0..1.
        rtt_s: round trip between it and the server.
        score: summary; ``unknown`` while nothing is known.
    """

    uplink_loss: float | None
    downlink_loss: float | None
    rtt_s: float | None
    score: Score
